//! Our Prometheus source, and the whole of `tidetable serve`, against a real Prometheus, started and back-filled here.
//!
//! `source` asks the source alone; `serve` runs the binary between that Prometheus and a client that calls as KEDA does.
//! `shared` is about queries that many targets share, `tls` about certificates.
//! `faults` holds what a real server cannot be made to show, against a server that lies on purpose. Everything that needs
//! a Prometheus lives in this one binary, so that its harness has no unused half.

// `cfg(test)` holds in every integration test; it tells clippy that a helper may unwrap as a test may.
#[cfg(test)]
mod faults;
#[cfg(test)]
mod serve;
#[cfg(test)]
mod server;
#[cfg(test)]
mod shared;
#[cfg(test)]
mod source;
#[cfg(test)]
mod tls;

use std::time::Duration;

use tidetable::engine::Demand;
use tidetable::source::prometheus::{Settings, Source};
use tidetable::time::Step;
use tidetable::units::LoadPerReplica;

/// What is measured at 1 min by `query`.
fn demand(query: &str) -> Demand {
    Demand {
        name: "demand".into(),
        source: "main".to_owned(),
        query: query.to_owned(),
        label: None,
        step: Step::MINUTE,
        settle_lag: Duration::from_secs(60),
        history: Duration::from_secs(21 * 86_400),
        unit: "tx/s".to_owned(),
        capacity: LoadPerReplica::try_new(100.0).expect("a capacity"),
    }
}

/// A source as `serve` would make it, TLS provider included.
fn connect(settings: Settings) -> Source {
    // Fails when another test of this process was first, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Source::try_new(settings).expect("the settings can work")
}
