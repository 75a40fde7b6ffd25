//! From an accepted socket to a connection that HTTP/2 can have: TLS if it is due, then the client's first words.
//!
//! HTTP/2's own timers begin after its first 24 bytes, so a peer that stays silent would be kept for ever, and at shutdown
//! waited for. Here every peer has [`Limits::greeting_within`] for its handshake and those bytes. Greetings run beside each
//! other and never hold up the next; there are at most [`Limits::greeting`], and the oldest makes room for the newest.
//! Accepting goes on after an error, but not at once: out of file descriptors, it would spin.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::connection::{Connection, Place, Stream};
use super::{Limits, Listener, Refusal};
use crate::keda::{Metrics, tls};

/// Long enough for a descriptor to become free, short enough for KEDA not to notice.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);

/// Connections waiting to be served; the server takes them at once.
const MOST_WAITING: usize = 16;

/// The first words of an HTTP/2 client (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The first byte of a TLS handshake, which no HTTP/2 client says.
const TLS_HANDSHAKE: u8 = 0x16;

/// How long a refused peer may take to read why.
const FAREWELL_WITHIN: Duration = Duration::from_millis(500);

/// The connections of `listener` that have spoken, until `shutdown`. Handshakes take the configuration that is newest when
/// they begin.
pub(in crate::keda) fn connections(
    listener: Listener,
    tls: Option<tls::Current>,
    limits: Limits,
    metrics: &Metrics,
    tasks: &TaskTracker,
    shutdown: CancellationToken,
) -> ReceiverStream<io::Result<Connection>> {
    let (sender, receiver) = mpsc::channel(MOST_WAITING);
    let door = Door { listener, tls, limits, metrics: metrics.clone(), served: sender };
    tasks.spawn(door.keep(tasks.clone(), shutdown));
    ReceiverStream::new(receiver)
}

/// What every greeting needs.
struct Door {
    listener: Listener,
    tls: Option<tls::Current>,
    limits: Limits,
    metrics: Metrics,
    served: mpsc::Sender<io::Result<Connection>>,
}

impl Door {
    async fn keep(self, tasks: TaskTracker, shutdown: CancellationToken) {
        let places = Arc::new(Semaphore::new(self.limits.connections));
        let mut greeting: VecDeque<oneshot::Sender<()>> = VecDeque::new();
        loop {
            let accepted = tokio::select! {
                () = shutdown.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    warn!(%error, "a connection could not be accepted");
                    // Ends early at shutdown; either way the loop looks again.
                    let _ = tokio::time::timeout(PAUSE_AFTER_ERROR, shutdown.cancelled()).await;
                    continue;
                }
            };
            let Ok(permit) = Arc::clone(&places).try_acquire_owned() else {
                let found = format!("{} connections are open", self.limits.connections);
                self.metrics.refusals.note(Refusal::TooMany, &peer, &found);
                continue;
            };
            let place = Place::taken(permit, self.metrics.connections.clone());

            greeting.retain(|waiting| !waiting.is_closed());
            if greeting.len() >= self.limits.greeting
                && let Some(oldest) = greeting.pop_front()
            {
                // If it has just finished it needs no telling.
                let _ = oldest.send(());
            }
            let (make_room, crowded_out) = oneshot::channel();
            greeting.push_back(make_room);
            let tls = self.tls.as_ref().map(tls::Current::get);
            let greeting =
                Greeting { limits: self.limits, metrics: self.metrics.clone(), served: self.served.clone() };
            let shutdown = shutdown.clone();
            tasks.spawn(async move {
                tokio::select! {
                    () = shutdown.cancelled() => {}
                    () = greeting.hear(stream, tls, peer, place, crowded_out) => {}
                }
            });
        }
    }
}

/// A stream that is not served, and why is said.
struct Unheard(Box<dyn Stream>);

struct Greeting {
    limits: Limits,
    metrics: Metrics,
    served: mpsc::Sender<io::Result<Connection>>,
}

impl Greeting {
    /// Hears `stream` out, and hands it on if it says what it should.
    async fn hear(
        self,
        stream: Box<dyn Stream>,
        tls: Option<Arc<ServerConfig>>,
        peer: String,
        place: Place,
        crowded_out: oneshot::Receiver<()>,
    ) {
        let Limits { greeting_within, idle_for, .. } = self.limits;
        let heard = tokio::select! {
            heard = tokio::time::timeout(greeting_within, self.greeted(stream, tls, &peer)) => heard.ok(),
            // At shutdown the sender goes unused, and nobody was crowded out.
            Ok(()) = crowded_out => None,
        };
        match heard {
            Some(Ok(stream)) => {
                let connection = Connection::new(stream, PREFACE, idle_for, place);
                // A server that has ended needs no more connections.
                let _ = self.served.send(Ok(connection)).await;
            }
            Some(Err(Unheard(stream))) => bid_farewell(stream).await,
            None => self.metrics.refusals.note(Refusal::Silent, &peer, "an unfinished greeting"),
        }
    }

    async fn greeted(
        &self,
        stream: Box<dyn Stream>,
        tls: Option<Arc<ServerConfig>>,
        peer: &str,
    ) -> Result<Box<dyn Stream>, Unheard> {
        let Some(config) = tls else { return self.spoken(stream, peer).await };
        match TlsAcceptor::from(config).accept(stream).into_fallible().await {
            Ok(stream) => {
                let connection = stream.get_ref().1;
                debug!(
                    peer,
                    version = ?connection.protocol_version(),
                    names = ?connection.peer_certificates().map(tls::names_of),
                    "a handshake was finished"
                );
                self.spoken(Box::new(stream), peer).await
            }
            Err((error, stream)) => {
                if let Some((refusal, found)) = tls::refusal(&error) {
                    self.metrics.refusals.note(refusal, peer, &found);
                } else {
                    debug!(peer, %error, "a peer went away during its handshake");
                }
                Err(Unheard(stream))
            }
        }
    }

    /// `stream`, if it begins as HTTP/2 does.
    async fn spoken(&self, mut stream: Box<dyn Stream>, peer: &str) -> Result<Box<dyn Stream>, Unheard> {
        let (mut said, mut length) = ([0; PREFACE.len()], 0);
        while length < PREFACE.len() {
            match stream.read(&mut said[length..]).await {
                Ok(count @ 1..) => length += count,
                // A probe of the port, or a peer that changed its mind: nothing was asked, so nothing is refused.
                Ok(0) | Err(_) => return Err(Unheard(stream)),
            }
            if said[..length] != PREFACE[..length] {
                let refusal =
                    if said[0] == TLS_HANDSHAKE { Refusal::TlsToPlaintext } else { Refusal::NotHttp2 };
                let found = said[..length].escape_ascii().to_string();
                self.metrics.refusals.note(refusal, peer, &found);
                return Err(Unheard(stream));
            }
        }
        Ok(stream)
    }
}

/// Closes `stream` so that what was said last is read: a socket closed with bytes unread takes back what it has sent.
async fn bid_farewell(mut stream: Box<dyn Stream>) {
    let farewell = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(1 << 16), &mut tokio::io::sink()).await
    };
    // The peer was told as well as can be.
    let _ = tokio::time::timeout(FAREWELL_WITHIN, farewell).await;
}
