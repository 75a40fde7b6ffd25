//! The gRPC server that KEDA asks: five RPCs, answered from published snapshots.
//!
//! KEDA polls without a deadline and holds a lock while it waits, so an answer that waits for anything stops the scaling
//! of the workload it is about. Nothing here does I/O, fits, or decides; a handler reads the
//! [`Board`](crate::engine::Board) and the clock, and returns. What is not known is a gRPC error and never a number: KEDA
//! turns every bad number into 0, and 0 is an instruction.
//!
//! ```text
//! metadata   who asks for which target        strings → Target, or a message its author can act on
//! service    the five RPCs                    Target → Decision → answer; our errors → Status, in one place
//! answer     replicas → MetricSpec, MetricValue
//! stream     the two pushed answers           state on open, on change, every 30 s; a clean end at shutdown
//! health     grpc.health.v1                   SERVING until shutdown
//! edge       the connections: who may, how many, for how long
//! tls        our certificate, whose certificates we take, and both anew when their files change
//! server     the limits of HTTP/2, and the drain
//! ```
//!
//! Target and ScaledObject are what the peer says they are. With client certificates the peer is an operator of KEDA, which
//! can be believed; without, a message still never names a target of somebody else's namespace.

mod answer;
mod edge;
mod health;
mod metadata;
mod metrics;
#[rustfmt::skip]
#[expect(missing_docs, clippy::pedantic, clippy::allow_attributes, reason = "generated; `tests/proto.rs` keeps it equal to the proto")]
pub mod pb;
mod server;
mod service;
mod stream;
pub mod tls;

pub use edge::{BindError, Edge, Limits, Listener};
pub use metrics::Metrics;
pub use server::{Error, serve};
