//! Where measurements come from.
//!
//! [`prometheus`] asks a server, [`recorded`] reads a file. Both give load on an epoch-aligned grid in which a hole is a
//! hole; neither knows the other, and neither decides what a measurement means.

pub mod prometheus;
pub mod recorded;
