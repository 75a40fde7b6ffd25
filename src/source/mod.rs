//! Where measurements come from.
