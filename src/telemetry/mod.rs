//! Logging and the metrics registry: how the product is seen running.
//!
//! A component owns its metrics and brings them with a `register(&mut Registry)` of its own; this module makes the
//! registry they go into and reads what belongs to nobody, the published decisions. It refuses to be imported by the
//! other adapters: they are handed a registry, or they write events with `tracing`.

mod decision_log;
mod decisions;
mod logging;
mod metrics;

pub use decision_log::DecisionLog;
pub use decisions::Decisions;
pub use logging::{Error, Format, install};
pub use metrics::registry;
