//! Where connections come in: who may, how many, and for how long without a word.
//!
//! ```text
//! listener   TCP, or a socket in the file system
//! incoming   accept → TLS → the first words of HTTP/2, each with a bound
//! refusal    why a connection was turned away: counted always, logged once a minute
//! connection a connection that has spoken, until it has been idle for too long
//! presence   whether calls are open on it
//! ```
//!
//! The port may be reachable by more than KEDA, so a slow or silent peer must cost the others nothing. It cannot hold a
//! place, because of those that have not yet spoken the oldest makes room. It cannot hold a task, because each stage of
//! its life has an end of its own: the greeting here, a frame that does not get finished by HTTP/2's keepalive, a call by
//! the second that `server` gives it, and a connection without calls by [`Limits::idle_for`].

mod connection;
mod incoming;
mod listener;
mod presence;
mod refusal;

use std::time::Duration;

pub use listener::{BindError, Listener};

pub(super) use incoming::connections;
pub(super) use presence::Counted;
pub(super) use refusal::{Refusal, Refusals};

use super::tls;

/// What the server listens on, whom it trusts, and how much it bears.
#[derive(Debug)]
pub struct Edge {
    /// Where connections arrive.
    pub listener: Listener,
    /// The certificate and whom to trust; without it the port is plaintext.
    pub tls: Option<tls::Keeper>,
    /// How many and how long.
    pub limits: Limits,
}

impl<L: Into<Listener>> From<L> for Edge {
    /// Plaintext, with the usual limits.
    fn from(listener: L) -> Self {
        Self { listener: listener.into(), tls: None, limits: Limits::default() }
    }
}

/// What connections may cost. The defaults are what `tidetable serve` has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time. KEDA keeps one for each address and set of credentials, however many of its objects
    /// share them; 1,024 with their buffers are some 64 MiB. One more is closed before HTTP/2 begins, for then gRPC counts its
    /// attempt as failed and backs off; a polite GOAWAY would have it back at once.
    pub connections: usize,
    /// Connections that have not yet spoken, handshakes included. With one more, the oldest of them is closed: an honest
    /// peer is through in milliseconds, so it is never the oldest.
    pub greeting: usize,
    /// The time for the TLS handshake and the first words of HTTP/2 together: four round trips.
    pub greeting_within: Duration,
    /// How long a connection without calls is kept. Whatever KEDA polls at more than this interval reconnects each time.
    pub idle_for: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            greeting: 128,
            greeting_within: Duration::from_secs(5),
            idle_for: Duration::from_secs(15 * 60),
        }
    }
}
