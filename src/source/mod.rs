//! Where measurements come from.
//!
//! [`prometheus`] asks a server for load on an epoch-aligned grid in which a hole is a hole. It does not decide what a
//! measurement means.

pub mod prometheus;
