//! The registry that every component's metrics go into.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

/// What every name begins with.
const PREFIX: &str = "tidetable";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
    arch: &'static str,
}

/// A registry with our prefix and `tidetable_build_info`; components register themselves into it.
pub fn registry() -> Registry {
    let mut registry = Registry::with_prefix(PREFIX);
    let build = Build { version: env!("CARGO_PKG_VERSION"), arch: std::env::consts::ARCH };
    registry.register("build", "The running binary", Info::new(build));
    registry
}
