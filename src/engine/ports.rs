//! What the engine needs of the world, as traits that adapters implement.

use std::future::Future;
use std::time::Duration;

use super::{Demand, ScaledObject, Target};
use crate::calendar::Event;
use crate::decision::Decision;
use crate::forecast::Observation;
use crate::guard::Hold;
use crate::guard::tolerance::Seen;
use crate::plan::ScaleUp;
use crate::plan::lead_time::Start;
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

/// What was measured, and how far that can be relied on.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured<T> {
    /// What was measured.
    pub measured: T,
    /// Why it may be incomplete, in the source's words; `None` when nothing speaks against it.
    pub degraded: Option<String>,
}

impl<T> Measured<T> {
    /// The same reliance on what is made of it.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> Measured<U> {
        Measured { measured: make(self.measured), degraded: self.degraded }
    }
}

impl<T> From<T> for Measured<T> {
    fn from(measured: T) -> Self {
        Self { measured, degraded: None }
    }
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
    ) -> impl Future<Output = Result<Measured<Vec<Sample>>, Self::Error>> + Send;

    /// The query evaluated at `at`, to be answered within `patience`.
    fn instant(
        &self,
        demand: &Demand,
        at: Timestamp,
        patience: Duration,
    ) -> impl Future<Output = Result<Measured<Sample>, Self::Error>> + Send;
}

/// Where a demand's measurements are kept.
pub trait History: Send + 'static {
    /// Takes in samples; what lies before `settled_until` is settled and does not change any more.
    fn append(&mut self, samples: &[Sample], settled_until: Slot);

    /// Settled demand.
    fn settled(&self) -> &Series;

    /// The newest slot that has ended and may still change.
    fn provisional(&self) -> Option<Observation>;
}

/// What has been recalled from an archive.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Recalled {
    /// A sample for each slot of each day that was found, holes included, in order. A day that was not found has none.
    pub samples: Vec<Sample>,
    /// How many days were found.
    pub days: usize,
    /// What could not be read, each with its name, the cause and what was done: a corrupt object is set aside, one of a
    /// newer format is left alone. None of it is lost.
    pub passed_over: Vec<String>,
}

/// What has become of a day that was to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It is in the archive now, and on the disk.
    Written,
    /// It was there: the first complete writer wins.
    AlreadyThere,
    /// No slot of it was measured; nothing is written, for what is missing may yet be found.
    Unmeasured,
}

/// What was tidied up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tidied {
    /// Months whose days are one object now.
    pub rolled_up: usize,
    /// Days and months older than the retention, which are gone.
    pub expired: usize,
    /// As [`Recalled::passed_over`].
    pub passed_over: Vec<String>,
}

/// Where settled load is kept for longer than a metrics source keeps it.
///
/// Implementations keep whole UTC days (see [`Day`](super::Day)), never change one, and bound every call in time and size.
/// They block no thread of the runtime.
pub trait Archive: Send + Sync + 'static {
    /// What can go wrong, in words for an operator.
    type Error: std::error::Error + Send + Sync + 'static;

    /// What is kept of `from..until` on the grid of that demand of the target, and of no other query or step.
    fn recall(
        &self,
        target: &Target,
        demand: &Demand,
        from: Slot,
        until: Slot,
    ) -> impl Future<Output = Result<Recalled, Self::Error>> + Send;

    /// Keeps a day, which [`Day::cut`](super::Day::cut) has cut out of settled load. When this says that the day is kept,
    /// it stays so whatever happens to the process.
    fn keep(
        &self,
        target: &Target,
        demand: &Demand,
        day: &Series,
    ) -> impl Future<Output = Result<Kept, Self::Error>> + Send;

    /// Rolls finished months up and removes what is older than the retention; to be called about once a day.
    fn tidy(
        &self,
        target: &Target,
        demand: &Demand,
        now: Timestamp,
    ) -> impl Future<Output = Result<Tidied, Self::Error>> + Send;
}

/// Where decisions are written down.
pub trait DecisionLog: Send + Sync + 'static {
    /// Writes one down. Must not block.
    fn record(&self, decision: &Decision);
}

/// What is seen of the cluster that targets run in. Answers from memory; nothing here waits.
pub trait ClusterView: std::fmt::Debug + Send + Sync + 'static {
    /// From asking for a pod of what `owner` scales to the pod being ready; `None` while nobody knows.
    fn lead_time(&self, owner: &ScaledObject) -> Option<Duration>;

    /// The rules by which the HPA of `owner` lets replicas climb; `None` while nobody knows.
    fn scale_up(&self, owner: &ScaledObject) -> Option<ScaleUp>;

    /// What somebody has declared for `target` beside its configuration; `None` until it is known whether anybody has.
    fn declared(&self, target: &Target) -> Option<Declared>;

    /// What is seen at `at` of the HPA behind `owner`; `None` where there is no cluster to look at.
    fn hpa(&self, owner: &ScaledObject, at: Timestamp) -> Option<Seen>;
}

/// What has been declared for a target beside its configuration.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Declared {
    /// Events, in an order that every replica sees.
    pub events: Vec<Event>,
    /// When the newest of these events was declared or changed, by a clock that every replica reads; `None` when nobody knows.
    pub since: Option<Timestamp>,
    /// Floors for a while, past ones included.
    pub holds: Vec<Hold>,
}

impl Declared {
    /// The highest floor that is in force at `at`.
    pub fn hold(&self, at: Timestamp) -> Option<&Hold> {
        self.holds.iter().filter(|hold| at < hold.until).max_by_key(|hold| hold.replicas)
    }
}

/// Where what was seen of pods outlives the process, so that a replica that starts plans as those that run.
pub trait Memory: Send + Sync + 'static {
    /// What can go wrong, in words for an operator.
    type Error: std::error::Error + Send + Sync + 'static;

    /// The starts that were kept last; none when there are none.
    fn recall(&self, owner: &ScaledObject) -> impl Future<Output = Result<Vec<Start>, Self::Error>> + Send;

    /// Keeps these in place of what was kept before.
    fn keep(
        &self,
        owner: &ScaledObject,
        starts: &[Start],
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;
}
