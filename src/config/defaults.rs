//! What holds when a key is not given, and why. The effective configuration that `check` prints shows all of it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::guard::Mode;
use crate::time::Step;
use crate::units::Quantile;

/// The port that KEDA's own examples of external scalers listen on.
pub(super) const GRPC: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 50_051);

/// Pages, metrics and health.
pub(super) const HTTP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8080);

/// Long enough for a day of one-minute points from a busy Prometheus, short enough to be over before the next slot.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// A chunk of 10,000 points is about 300 KiB of JSON; what is two hundred times that is not an answer to our query.
pub(super) const MAX_BODY_BYTES: u64 = 64 << 20;

/// Prometheus runs 20 queries at once unless told otherwise, and dashboards want some.
pub(super) const CONCURRENCY: u32 = 16;

/// One minute: fine enough for an 11:00 launch, coarse enough that a rate over it has four scrapes.
pub(super) const STEP: Step = Step::MINUTE;

/// A word that reads well after a number.
pub(super) const UNIT: &str = "load";

/// Eight weeks: each slot of the week seen eight times. Prometheus keeps 15 days unless told otherwise; what it has not is
/// simply not there.
pub(super) const HISTORY: Duration = Duration::from_secs(56 * 86_400);

/// Two years of paydays, closings and yearly sales, and two months more to compare the third with.
pub(super) const RETENTION: Duration = Duration::from_secs(800 * 86_400);

/// Scheduling, image pull, init containers and warm-up of a usual service, p95.
pub(super) const LEAD_TIME: Duration = Duration::from_secs(120);

/// Where late and idle pods cost the same at a ratio of about 40.
pub(super) const QUANTILE: Quantile = Quantile::P95;

/// The tolerance of a controller without flags (`--horizontal-pod-autoscaler-tolerance`).
pub(super) const HPA_TOLERANCE: f64 = 0.1;

/// A new target shows what it would do before it does it.
pub(super) const MODE: Mode = Mode::Shadow;

/// Four answers: a single low reading takes nothing away, and the HPA's own window does the rest.
pub(super) const SCALE_DOWN_HOLD: Duration = Duration::from_secs(60);

/// Two steps, but at least 30 s, which `VictoriaMetrics` holds back, and at most 2 min, for what is late is a matter of
/// ingestion and not of how coarsely it is read.
pub(super) fn settle_lag(step: Step) -> Duration {
    (step.duration() * 2).clamp(Duration::from_secs(30), Duration::from_secs(120))
}

/// Three steps, so that one missed scrape is not an alarm, and at least 2 min.
pub(super) fn stale_after(step: Step) -> Duration {
    (step.duration() * 3).max(Duration::from_secs(120))
}
