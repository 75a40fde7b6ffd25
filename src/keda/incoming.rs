//! Connections, handed on when they have said something.
//!
//! HTTP/2's keepalive begins after its handshake, so a peer that connects and stays silent would be kept for ever, and at
//! shutdown waited for. A client's first bytes come with its connection; who has sent none after [`FIRST_BYTE_WITHIN`] is
//! no gRPC client. Accepting goes on after an error, but not at once: out of file descriptors, it would spin.

use std::io;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

/// Hundreds of round trips.
const FIRST_BYTE_WITHIN: Duration = Duration::from_secs(10);

/// Long enough for a descriptor to become free, short enough for KEDA not to notice.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);

/// Connections waiting to be served; the server takes them at once.
const MOST_WAITING: usize = 16;

/// The speaking connections of `listener`, until `shutdown`.
pub(super) fn connections(
    listener: TcpListener,
    tasks: &TaskTracker,
    shutdown: CancellationToken,
) -> ReceiverStream<io::Result<TcpStream>> {
    let (sender, receiver) = mpsc::channel(MOST_WAITING);
    let greeting = tasks.clone();
    tasks.spawn(async move {
        loop {
            let accepted = tokio::select! {
                () = shutdown.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    let (sender, shutdown) = (sender.clone(), shutdown.clone());
                    greeting.spawn(async move {
                        tokio::select! {
                            () = shutdown.cancelled() => {}
                            () = hand_on(stream, sender) => {}
                        }
                    });
                }
                Err(error) => {
                    warn!(%error, "a connection could not be accepted");
                    // Ends early at shutdown; either way the loop looks again.
                    let _ = tokio::time::timeout(PAUSE_AFTER_ERROR, shutdown.cancelled()).await;
                }
            }
        }
    });
    ReceiverStream::new(receiver)
}

async fn hand_on(stream: TcpStream, sender: mpsc::Sender<io::Result<TcpStream>>) {
    let first = &mut [0];
    if let Ok(Ok(1..)) = tokio::time::timeout(FIRST_BYTE_WITHIN, stream.peek(first)).await {
        // An answer is one small segment, which Nagle's algorithm would hold back. Without it answers are only later.
        let _ = stream.set_nodelay(true);
        // A server that has ended needs no more connections.
        let _ = sender.send(Ok(stream)).await;
    }
}
