//! What the engine needs of the world, as traits that adapters implement.

use std::future::Future;
use std::time::Duration;

use super::Demand;
use crate::decision::Decision;
use crate::forecast::Observation;
use crate::series::Series;
use crate::time::{Slot, Timestamp};
use crate::units::Load;

/// Who says what time it is. The wall clock in `serve`, a simulated one in `demo` and tests.
pub trait Clock: Send + Sync + 'static {
    /// The present.
    fn now(&self) -> Timestamp;

    /// Waits until `at`; returns at once when that has passed. A clock that is set back meanwhile does not prolong the wait:
    /// it returns before `at` then.
    fn sleep_until(&self, at: Timestamp) -> impl Future<Output = ()> + Send;
}

/// One evaluated instant of a query: the load, or `None` where the source has no finite number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// The instant it was evaluated at.
    pub at: Timestamp,
    /// The load; a hole is `None`, never zero.
    pub load: Option<Load>,
}

/// Where measurements come from.
///
/// Implementations bound every call in time and size, retry what is worth retrying, and say in the error what the
/// operator can do.
pub trait MetricSource: Send + Sync + 'static {
    /// What can go wrong, in words for an operator.
    type Error: std::error::Error + Send + Sync + 'static;

    /// A sample for each slot of `from..until` on the grid of `demand`, evaluated at its end, in order.
    fn range(
        &self,
        demand: &Demand,
        from: Slot,
        until: Slot,
    ) -> impl Future<Output = Result<Vec<Sample>, Self::Error>> + Send;

    /// The query evaluated at `at`, to be answered within `patience`.
    fn instant(
        &self,
        demand: &Demand,
        at: Timestamp,
        patience: Duration,
    ) -> impl Future<Output = Result<Sample, Self::Error>> + Send;
}

/// Where a target's measurements are kept.
pub trait History: Send + 'static {
    /// Takes in samples; what lies before `settled_until` is settled and does not change any more.
    fn append(&mut self, samples: &[Sample], settled_until: Slot);

    /// Settled demand.
    fn settled(&self) -> &Series;

    /// The newest slot that has ended and may still change.
    fn provisional(&self) -> Option<Observation>;
}

/// Where decisions are written down.
pub trait DecisionLog: Send + Sync + 'static {
    /// Writes one down. Must not block.
    fn record(&self, decision: &Decision);
}
