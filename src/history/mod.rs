//! Where measurements are kept.
//!
//! [`Recent`] keeps them in memory, filled anew from the source at each start: Prometheus is in effect the write-ahead
//! log. What is settled and what is provisional is decided here, once, so that no forecast ever learns from a slot that
//! was read too early.

mod recent;

pub use recent::Recent;
