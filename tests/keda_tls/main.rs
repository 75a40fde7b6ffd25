//! The edge of the gRPC server over real sockets: TLS, whose certificates are taken, new certificates under load, sockets in
//! the file system, and peers that are slow, silent, many or hostile.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::disallowed_methods, reason = "peers of a socket wait in real time")]

mod binary;
mod certificates;
mod handshakes;
mod limits;
mod peers;
mod rotation;
#[path = "../stage/mod.rs"]
mod stage;
mod unix;
