//! The two pushed answers: the state on open, on every change, and every [`RENEW_EVERY`].
//!
//! KEDA reconnects 2 s to 60 s after a stream broke, and only a clean end (OK) makes it start again at 2 s. So a stream
//! ends in two ways: the peer goes, or we shut down, and then the sender is dropped and the stream ends with OK. What is
//! not known is not pushed. A slow peer gets the newest state when it reads again, never a backlog.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::metrics::OpenStream;
use super::pb::{GetMetricSpecResponse, IsActiveResponse};
use crate::engine::{Clock, Published};
use crate::time::Timestamp;

/// KEDA ignores a pushed `false` and loses a pushed `true` while it restarts; a repetition costs some bytes.
pub(super) const RENEW_EVERY: Duration = Duration::from_secs(30);

/// What a stream is to its peer.
pub(super) type Pushed<T> = ReceiverStream<Result<T, Status>>;

/// What a stream is to us.
#[derive(Debug)]
pub(super) struct Outlet<T> {
    sender: mpsc::Sender<Result<T, Status>>,
    shutdown: CancellationToken,
    _open: OpenStream,
}

/// Both ends of a stream. One answer may be under way: more would be stale when it is read.
pub(super) fn open<T>(shutdown: CancellationToken, open: OpenStream) -> (Outlet<T>, Pushed<T>) {
    let (sender, receiver) = mpsc::channel(1);
    (Outlet { sender, shutdown, _open: open }, ReceiverStream::new(receiver))
}

/// The peer is gone, or we are going.
struct Ended;

impl<T> Outlet<T> {
    async fn ended(&self) {
        tokio::select! {
            () = self.shutdown.cancelled() => {}
            () = self.sender.closed() => {}
        }
    }

    /// Waits until the peer has room, so that what is sent next is read next.
    async fn room(&self) -> Result<mpsc::Permit<'_, Result<T, Status>>, Ended> {
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => Err(Ended),
            permit = self.sender.reserve() => permit.map_err(|_| Ended),
        }
    }
}

/// Pushes whether the target should be running.
///
/// A decision comes into force at a moment of its own, so the stream wakes for that as well as for a publication.
pub(super) async fn push_activity(
    clock: &impl Clock,
    mut published: watch::Receiver<Published>,
    outlet: Outlet<IsActiveResponse>,
) {
    let mut last: Option<(bool, Timestamp)> = None;
    loop {
        let Ok(permit) = outlet.room().await else { return };
        let now = clock.now();
        let snapshot = published.borrow_and_update().clone();
        let active = snapshot.at(now).ok().and_then(|decision| decision.active());
        let news = active
            .filter(|active| last.is_none_or(|(pushed, renew_at)| pushed != *active || now >= renew_at));
        if let Some(active) = news {
            permit.send(Ok(IsActiveResponse { result: active }));
            last = Some((active, now + RENEW_EVERY));
        } else {
            drop(permit);
        }
        // While the state is not known there is nothing to renew, only something to wait for.
        let renew_at = active.and(last).map(|(_, renew_at)| renew_at);
        let wake_at = [snapshot.changes_at(now), renew_at].into_iter().flatten().min();
        tokio::select! {
            () = outlet.ended() => return,
            changed = published.changed() => if changed.is_err() { return },
            () = sleep_until(clock, wake_at) => {}
        }
    }
}

/// Waits until `at`, or for ever.
async fn sleep_until(clock: &impl Clock, at: Option<Timestamp>) {
    match at {
        Some(at) => clock.sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Pushes the metric's name and target, which never change.
pub(super) async fn push_metric_spec(
    clock: &impl Clock,
    spec: GetMetricSpecResponse,
    outlet: Outlet<GetMetricSpecResponse>,
) {
    loop {
        let Ok(permit) = outlet.room().await else { return };
        let renew_at = clock.now() + RENEW_EVERY;
        permit.send(Ok(spec.clone()));
        tokio::select! {
            () = outlet.ended() => return,
            () = clock.sleep_until(renew_at) => {}
        }
    }
}
