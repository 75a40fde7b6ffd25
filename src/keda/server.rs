//! HTTP/2, its limits, and how it ends.
//!
//! KEDA opens one connection per address for every ScaledObject of a cluster, calls without deadlines, and reconnects with
//! up to two minutes of back-off. Hence: every call is bounded here and not by its peer; dead peers are found by
//! keepalive; concurrent streams are limited by what all targets together may hold open and not by HTTP/2's usual 200,
//! which push triggers of 100 targets would fill and so lock out every poll.
//!
//! At shutdown health says `NOT_SERVING`, streams end with OK, calls under way finish, nothing new is accepted; after
//! [`DRAIN_WITHIN`] what is left is dropped and said so.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::transport::Server;
use tonic_health::pb::health_server::HealthServer;
use tracing::{info, warn};

use super::edge::{self, Counted, Edge};
use super::health::Reporter;
use super::pb::external_scaler_server::ExternalScalerServer;
use super::service::Scaler;
use super::{Metrics, tls};
use crate::engine::{Board, Clock};

/// The whole of a unary call, request body included; for a stream, its opening. An answer takes microseconds: this ends
/// calls whose request never arrives. A shorter deadline of the caller counts.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// Calls that finish do so within [`ANSWER_WITHIN`]; the rest is for peers that read their streams slowly. Well inside
/// the 30 s that Kubernetes gives a pod.
const DRAIN_WITHIN: Duration = Duration::from_secs(10);

/// A decoded request, several times what `metadata` reads, so that its refusal with a remedy comes first.
const MOST_REQUEST_BYTES: usize = 64 * 1024;

/// An answer is one metric with a short name.
const MOST_ANSWER_BYTES: usize = 64 * 1024;

/// Request headers, all together. KEDA sends about 200 bytes.
const MOST_HEADER_BYTES: u32 = 16 * 1024;

/// Polls under way on one connection, beside the streams that stay open.
const MOST_POLLS: usize = 256;

/// A push trigger holds two streams; as many again while KEDA replaces them.
const STREAMS_PER_TARGET: usize = 4;

/// A connection's limit is told to its peer when it opens, from a number that the server was built with. So there is room
/// from the start for as many targets as a reload is likely to bring; beyond that a restart makes more.
const TARGETS_FORESEEN: usize = 1_000;

/// How long a silent peer is believed to be there.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(30);

/// How long it has to say so.
const KEEPALIVE_WITHIN: Duration = Duration::from_secs(10);

/// Why the server ended before it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The transport failed.
    #[error("the gRPC server failed; see whether its address is still there")]
    Transport(#[from] tonic::transport::Error),
}

/// Answers KEDA at `edge` until `shutdown`, and returns when what was under way has ended. A listener alone is an edge
/// too: plaintext, with the usual limits.
///
/// # Errors
/// [`Error::Transport`] when the server cannot go on.
pub async fn serve<C: Clock>(
    edge: impl Into<Edge>,
    board: Arc<Board>,
    clock: Arc<C>,
    metrics: Metrics,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let Edge { listener, tls, limits } = edge.into();
    let targets = board.table().targets().count().max(TARGETS_FORESEEN);
    let most_streams = MOST_POLLS + STREAMS_PER_TARGET * targets;
    let tasks = TaskTracker::new();
    let health = HealthServer::new(Reporter::new(tasks.clone(), shutdown.clone()));
    let scaler = Scaler::new(board, clock, metrics.clone(), tasks.clone(), shutdown.clone());
    let scaler = ExternalScalerServer::new(scaler)
        .max_decoding_message_size(MOST_REQUEST_BYTES)
        .max_encoding_message_size(MOST_ANSWER_BYTES);
    info!(address = listener.address(), tls = tls.is_some(), most_streams, "answering KEDA");
    let current = tls.as_ref().map(tls::Keeper::current);
    if let Some(keeper) = tls {
        tasks.spawn(keeper.watch(metrics.clone(), shutdown.clone()));
    }
    let server = Server::builder()
        .timeout(ANSWER_WITHIN)
        .max_concurrent_streams(u32::try_from(most_streams).unwrap_or(u32::MAX))
        .http2_max_header_list_size(MOST_HEADER_BYTES)
        .http2_keepalive_interval(Some(KEEPALIVE_EVERY))
        .http2_keepalive_timeout(Some(KEEPALIVE_WITHIN))
        .add_service(Counted(scaler))
        .add_service(Counted(health))
        .serve_with_incoming_shutdown(
            edge::connections(listener, current, limits, &metrics, &tasks, shutdown.clone()),
            shutdown.clone().cancelled_owned(),
        );
    let mut server = pin!(server);
    tokio::select! {
        ended = &mut server => return Ok(ended?),
        () = shutdown.cancelled() => {}
    }
    tasks.close();
    let drained = tokio::time::timeout(DRAIN_WITHIN, async {
        let ended = server.await;
        tasks.wait().await;
        ended
    });
    if let Ok(ended) = drained.await {
        return Ok(ended?);
    }
    warn!(seconds = DRAIN_WITHIN.as_secs(), "connections were still open when the drain ended");
    Ok(())
}
