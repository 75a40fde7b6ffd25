//! Metrics and health over HTTP, from published snapshots only.
