//! The gRPC server that KEDA asks.

#[rustfmt::skip]
#[expect(missing_docs, clippy::pedantic, clippy::allow_attributes, reason = "generated; `tests/proto.rs` keeps it equal to the proto")]
pub mod pb;
