//! The parts of `tidetable demo`: a simulated cluster, a Prometheus to measure it with and a table to watch it in.
//!
//! Nothing here knows the scaler. It is given the scaler's answers and shows what came of them, beside a reactive HPA that
//! had the same traffic, the same pods and the same behavior.

pub mod endpoint;
pub mod table;
pub mod world;
