//! Logging and the metrics registry.
