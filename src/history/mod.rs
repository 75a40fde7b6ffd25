//! Where measurements are kept.
