//! Where measurements are kept.
//!
//! [`Recent`] keeps them in memory, filled anew from the source at each start: Prometheus is in effect the write-ahead
//! log. What is settled and what is provisional is decided here, once, so that no forecast ever learns from a slot that
//! was read too early. [`archive`] keeps settled days on disk, for longer than Prometheus does; [`Notes`] beside it what was
//! seen of pods.

pub mod archive;
mod notes;
mod recent;

pub use archive::Archive;
pub use notes::{Notes, NotesError};
pub use recent::Recent;
