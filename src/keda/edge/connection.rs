//! A connection that has spoken, until nothing has been asked on it for too long.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};
use tonic::transport::server::Connected;

use super::presence::Presence;

/// Bytes both ways: TCP, a socket in the file system, or TLS over either.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A place among the connections that may be open, counted while it is held.
#[derive(Debug)]
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    open: Gauge,
}

impl Place {
    pub(super) fn taken(permit: OwnedSemaphorePermit, open: Gauge) -> Self {
        open.inc();
        Self { _permit: permit, open }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.dec();
    }
}

/// A connection that has spoken.
pub(in crate::keda) struct Connection {
    stream: Box<dyn Stream>,
    /// What was read to see who speaks, and is to be read again.
    greeting: &'static [u8],
    presence: Arc<Presence>,
    idle_for: Duration,
    idle: Pin<Box<Sleep>>,
    _place: Place,
}

impl Connection {
    /// `stream`, from which `greeting` was read. It ends when it has had no call for `idle_for`.
    pub(super) fn new(
        stream: Box<dyn Stream>,
        greeting: &'static [u8],
        idle_for: Duration,
        place: Place,
    ) -> Self {
        let idle = Box::pin(tokio::time::sleep_until(Instant::now() + idle_for));
        Self { stream, greeting, presence: Presence::new(), idle_for, idle, _place: place }
    }
}

impl Connected for Connection {
    type ConnectInfo = Arc<Presence>;

    fn connect_info(&self) -> Arc<Presence> {
        Arc::clone(&self.presence)
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.greeting.is_empty() {
            let (now, later) = this.greeting.split_at(this.greeting.len().min(buffer.remaining()));
            buffer.put_slice(now);
            this.greeting = later;
            return Poll::Ready(Ok(()));
        }
        if let Poll::Ready(read) = Pin::new(&mut this.stream).poll_read(context, buffer) {
            return Poll::Ready(read);
        }
        loop {
            ready!(this.idle.as_mut().poll(context));
            let now = Instant::now();
            let until = this.presence.idle_since().unwrap_or(now) + this.idle_for;
            if until <= now {
                // To HTTP/2 the peer has gone; it ends the connection, which has nothing open.
                return Poll::Ready(Ok(()));
            }
            this.idle.as_mut().reset(until);
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
