//! The HTTP listener, and how it ends.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::listener::Bounded;
use super::pages::{self, Shown};
use crate::engine::{Board, Clock};

/// Pages take milliseconds; what is still open then is a peer that does not read.
const DRAIN_WITHIN: Duration = Duration::from_secs(5);

/// Why the server ended before it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The listener failed.
    #[error("the HTTP server failed; see whether its address is still there")]
    Listener(#[from] io::Error),
}

/// Shows what is on `board` and in `registry` on `listener` until `shutdown`.
///
/// The replica counts as ready once every target has had its first decision, at the latest after `grace` by `clock`.
///
/// # Errors
/// [`Error::Listener`] when the server cannot go on.
pub async fn serve<C: Clock>(
    listener: TcpListener,
    board: Arc<Board>,
    registry: Arc<Registry>,
    clock: Arc<C>,
    grace: Duration,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    if let Ok(address) = listener.local_addr() {
        info!(%address, "showing metrics, health and decisions");
    }
    let router = pages::router(Shown::new(board, registry, clock, grace));
    let server = axum::serve(Bounded::new(listener), router)
        .with_graceful_shutdown(shutdown.clone().cancelled_owned())
        .into_future();
    let mut server = std::pin::pin!(server);
    tokio::select! {
        ended = &mut server => return Ok(ended?),
        () = shutdown.cancelled() => {}
    }
    if let Ok(ended) = tokio::time::timeout(DRAIN_WITHIN, server).await {
        return Ok(ended?);
    }
    warn!(seconds = DRAIN_WITHIN.as_secs(), "connections were still open when the drain ended");
    Ok(())
}
