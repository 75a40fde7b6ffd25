//! One file per command: the only place where things are wired together.
