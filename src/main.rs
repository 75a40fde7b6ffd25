//! The tidetable binary.

fn main() {}
