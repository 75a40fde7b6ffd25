//! What the gRPC server counts about itself.
//!
//! Labels are the method, the status code, the target, the reason of a refusal and the outcome of a reload, each from a
//! closed set: a request that names no target of ours is counted by method and code only, so that a stranger cannot make
//! series. What never reaches a handler, such as a message above the size limit or one that does not parse, is not counted.

use std::sync::Arc;
use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tonic::Code;

use super::edge::Refusals;

/// From what an answer takes from memory (some microseconds) to the second after which it is given up.
const DURATION_BUCKETS_SECONDS: [f64; 14] =
    [5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 1e-2, 0.05, 0.1, 0.5, 1.0];

/// A method of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Rpc {
    IsActive,
    StreamIsActive,
    GetMetricSpec,
    GetMetrics,
    StreamMetricSpec,
}

impl Rpc {
    /// Its name on the wire.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::IsActive => "IsActive",
            Self::StreamIsActive => "StreamIsActive",
            Self::GetMetricSpec => "GetMetricSpec",
            Self::GetMetrics => "GetMetrics",
            Self::StreamMetricSpec => "StreamMetricSpec",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    rpc: &'static str,
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Method {
    rpc: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    target: Arc<str>,
    rpc: &'static str,
}

/// What became of new files for TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reload {
    /// New connections are served with them.
    Renewed,
    /// They cannot be served with; the old ones stay in force.
    Failed,
}

impl Reload {
    fn outcome(self) -> &'static str {
        match self {
            Self::Renewed => "renewed",
            Self::Failed => "failed",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reloaded {
    outcome: &'static str,
}

/// No labels: of a family with this set there is one series or, while nothing is known, none.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Single {}

/// The counters of the gRPC server; clones share them.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// Connections that were turned away.
    pub(super) refusals: Refusals,
    /// Connections that are open.
    pub(super) connections: Gauge,
    tls_reloads: Family<Reloaded, Counter>,
    tls_expiry: Family<Single, Gauge>,
    answered: Family<Answered, Counter>,
    duration: Family<Method, Histogram, fn() -> Histogram>,
    asked: Family<Asked, Counter>,
    open_streams: Family<Method, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            refusals: Refusals::default(),
            connections: Gauge::default(),
            tls_reloads: Family::default(),
            tls_expiry: Family::default(),
            answered: Family::default(),
            duration: Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS_SECONDS)),
            asked: Family::default(),
            open_streams: Family::default(),
        }
    }
}

impl Metrics {
    /// Makes the counters visible in `registry`, which brings the prefix.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("rpcs", "RPCs answered; a stream counts when it opens", self.answered.clone());
        registry.register_with_unit(
            "rpc_duration",
            "Time from a decoded request to its answer; for a stream, to its opening",
            Unit::Seconds,
            self.duration.clone(),
        );
        registry.register(
            "target_rpcs",
            "RPCs by target; a target whose GetMetricSpec is asked for and whose GetMetrics is not has lost its place in the HPA",
            self.asked.clone(),
        );
        registry.register("open_streams", "Streams that are open", self.open_streams.clone());
        registry.register(
            "open_connections",
            "gRPC connections that are open, those still in their handshake included",
            self.connections.clone(),
        );
        registry.register(
            "connections_refused",
            "gRPC connections that were turned away before anything could be asked on them",
            self.refusals.counter(),
        );
        registry.register(
            "tls_reloads",
            "Changes of the files for TLS, by whether new connections are served with them",
            self.tls_reloads.clone(),
        );
        registry.register_with_unit(
            "tls_certificate_expiry_timestamp",
            "When the first certificate of the chain that new connections are shown ends; absent without TLS",
            Unit::Seconds,
            self.tls_expiry.clone(),
        );
    }

    /// Notes what became of new files for TLS.
    pub(super) fn reloaded(&self, reload: Reload) {
        self.tls_reloads.get_or_create(&Reloaded { outcome: reload.outcome() }).inc();
    }

    /// Notes when the certificate in force ends, in seconds since 1970.
    pub(super) fn certificate_expires(&self, at: u64) {
        for reload in [Reload::Renewed, Reload::Failed] {
            // With TLS both outcomes are there from the start, so that the first one is an increase.
            drop(self.tls_reloads.get_or_create(&Reloaded { outcome: reload.outcome() }));
        }
        self.tls_expiry.get_or_create(&Single {}).set(i64::try_from(at).unwrap_or(i64::MAX));
    }

    /// Starts the time of an RPC; it ends with [`Timer::end`] or, when the caller went away, with the timer itself.
    pub(super) fn begin(&self, rpc: Rpc) -> Timer<'_> {
        Timer { metrics: self, rpc, code: Code::Cancelled, since: instant() }
    }

    /// Notes that a target was asked for by who may.
    pub(super) fn asked(&self, rpc: Rpc, target: &Arc<str>) {
        self.asked.get_or_create(&Asked { target: Arc::clone(target), rpc: rpc.name() }).inc();
    }

    /// Notes that a stream is open until the result is dropped.
    pub(super) fn open_stream(&self, rpc: Rpc) -> OpenStream {
        let gauge = self.open_streams.get_or_create_owned(&Method { rpc: rpc.name() });
        gauge.inc();
        OpenStream(gauge)
    }
}

/// One RPC under way; observed when dropped.
#[derive(Debug)]
pub(super) struct Timer<'a> {
    metrics: &'a Metrics,
    rpc: Rpc,
    code: Code,
    since: Instant,
}

impl Timer<'_> {
    /// Ends it with its outcome.
    pub(super) fn end(mut self, code: Code) {
        self.code = code;
    }
}

impl Drop for Timer<'_> {
    fn drop(&mut self) {
        let rpc = self.rpc.name();
        self.metrics.answered.get_or_create(&Answered { rpc, code: code_name(self.code) }).inc();
        let seconds = instant().duration_since(self.since).as_secs_f64();
        self.metrics.duration.get_or_create(&Method { rpc }).observe(seconds);
    }
}

/// One open stream.
#[derive(Debug)]
pub(super) struct OpenStream(Gauge);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long an answer takes is a matter of real time, also under a simulated clock"
)]
fn instant() -> Instant {
    Instant::now()
}

/// The code as gRPC spells it.
pub(super) fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
