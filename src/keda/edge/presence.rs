//! Whether calls are open on a connection, so that only one without any counts as idle.
//!
//! Bytes do not tell: HTTP/2's keepalive moves some every 30 s for as long as the peer lives.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::{Frame, SizeHint};
use tokio::time::Instant;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Bytes, Service, http};
use tonic::server::NamedService;

/// The calls of one connection.
#[derive(Debug)]
pub(in crate::keda) struct Presence {
    since: Instant,
    open: AtomicUsize,
    /// When the last call ended, in milliseconds from `since`.
    quiet_from: AtomicU64,
}

impl Presence {
    /// A connection that begins now.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { since: Instant::now(), open: AtomicUsize::new(0), quiet_from: AtomicU64::new(0) })
    }

    /// When the last call ended, or the connection began; `None` while a call is open.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        // The moment is written before the count, and read after it.
        if self.open.load(Ordering::Acquire) > 0 {
            return None;
        }
        Some(self.since + Duration::from_millis(self.quiet_from.load(Ordering::Acquire)))
    }

    /// Opens a call, until the result is dropped.
    fn call(self: &Arc<Self>) -> Call {
        self.open.fetch_add(1, Ordering::AcqRel);
        Call(Arc::clone(self))
    }
}

/// An open call.
#[derive(Debug)]
struct Call(Arc<Presence>);

impl Drop for Call {
    fn drop(&mut self) {
        let age = u64::try_from(self.0.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.quiet_from.fetch_max(age, Ordering::AcqRel);
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A service whose calls are seen by the connection they came on, until the last byte of the answer.
#[derive(Debug, Clone)]
pub(in crate::keda) struct Counted<S>(pub(in crate::keda) S);

impl<S: NamedService> NamedService for Counted<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<http::Request<Body>> for Counted<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let call = request.extensions().get::<Arc<Presence>>().map(Presence::call);
        let answered = self.0.call(request);
        Box::pin(async move { Ok(answered.await?.map(|body| Body::new(Answer { body, _call: call }))) })
    }
}

/// An answer's body, with the call it belongs to.
#[derive(Debug)]
struct Answer {
    body: Body,
    _call: Option<Call>,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_from_its_start_or_from_the_end_of_its_last_call() {
        let presence = Presence::new();
        let start = Instant::now();
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(presence.idle_since(), Some(start));
        let (first, second) = (presence.call(), presence.call());
        assert_eq!(presence.idle_since(), None);
        drop(first);
        assert_eq!(presence.idle_since(), None, "one is still open");
        tokio::time::advance(Duration::from_secs(5)).await;
        drop(second);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(presence.idle_since(), Some(start + Duration::from_secs(10)));
    }
}
