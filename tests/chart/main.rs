//! The chart, rendered by Helm's own engine and held against Kubernetes' own schemas, the binary and the README.
//!
//! `render.py` does the rendering. Objects of other projects (cert-manager, the Prometheus operator, KEDA) have no schema
//! there; what we say in them is asserted field by field. Nothing here speaks to a cluster.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod alerts;
mod examples;
mod objects;
mod render;
mod restricted;
mod schema;
mod shapes;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use render::{Case, Objects};

/// A path in this repository.
fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(here(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
