//! The gRPC server that KEDA asks.
