//! The configuration file: its raw shape, its validation, its schema.
