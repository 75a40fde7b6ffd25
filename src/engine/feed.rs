//! One demand of a target through its life: its newest measurement, its settled slots, its model.
//!
//! A feed fetches and remembers; it does not decide. Its target's worker takes what every feed knows at a tick and decides
//! once. Nothing here waits beyond the deadline of the tick: what takes longer goes on beside it.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::complaints::{Call, Complaints, Trouble, TroubleOf};
use super::fitting::FitPool;
use super::learning::Learning;
use super::{Archive, Board, Demand, History, Measured, MetricSource, Metrics, Sample, Target};
use crate::calendar::{Almanac, Event};
use crate::decision::Evidence;
use crate::forecast::{Forecaster, Observation};
use crate::series::Series;
use crate::time::{Slot, Step, Timestamp};

/// What the world gives to one demand.
pub struct Supply<S, H> {
    /// Where it is measured.
    pub source: Arc<S>,
    /// Where the newest part is kept: what a decision looks at.
    pub history: H,
    /// What learns from it.
    pub forecasters: Forecasters,
}

/// What learns from a demand of which that is written down.
pub type Forecasters = Arc<dyn Fn(&Almanac) -> Arc<dyn Forecaster> + Send + Sync>;

/// What all demands of a target learn with.
pub(super) struct Means<A> {
    pub(super) archive: Option<Arc<A>>,
    pub(super) fits: FitPool,
    pub(super) metrics: Metrics,
    pub(super) board: Arc<Board>,
}

/// The owner of what is known of one demand.
pub(super) struct Feed<S: MetricSource, H, A> {
    target: Arc<Target>,
    demand: Arc<Demand>,
    source: Arc<S>,
    history: H,
    learning: Learning<S, A>,
    means: Means<A>,
    fetching: Option<AbortOnDropHandle<Result<Measured<Fetched>, S::Error>>>,
    /// How far slots were asked for, and how far they had settled then.
    fetched: Option<(Slot, Slot)>,
    complaints: Complaints,
}

/// Slots that were asked for.
struct Fetched {
    samples: Vec<Sample>,
    settled_until: Slot,
    until: Slot,
}

impl<S: MetricSource, H: History, A: Archive> Feed<S, H, A> {
    pub(super) fn new(target: Arc<Target>, demand: &Demand, supply: Supply<S, H>, means: Means<A>) -> Self {
        let Supply { source, history, forecasters } = supply;
        let demand = Arc::new(demand.clone());
        let (source_too, archive) = (Arc::clone(&source), means.archive.clone());
        let learning =
            Learning::new(Arc::clone(&target), Arc::clone(&demand), source_too, archive, forecasters);
        Self {
            target,
            demand,
            source,
            history,
            learning,
            means,
            fetching: None,
            fetched: None,
            complaints: Complaints::default(),
        }
    }

    /// Brings everything up to `at`, as far as `deadline` allows; the newest measurement, if the source has one and says so
    /// in `patience`.
    pub(super) async fn advance(
        &mut self,
        at: Timestamp,
        deadline: Instant,
        patience: Duration,
    ) -> Option<Observation> {
        let (source, demand) = (Arc::clone(&self.source), Arc::clone(&self.demand));
        let (asked, ()) =
            tokio::join!(Self::ask(&source, &demand, at, patience), self.catch_up(at, deadline));
        self.note(Call::Instant, at, &asked);
        self.learning.advance(at, deadline, &self.means).await;
        asked.ok().and_then(|asked| asked.measured)
    }

    /// Listens to `events` beside those of the configuration; see [`Learning::listen`].
    pub(super) fn listen(&mut self, events: &[Event], in_force_from: Timestamp) {
        self.learning.listen(events, in_force_from);
    }

    /// Whether the history that a decision looks at has been read, and it is known if there is a model.
    pub(super) fn is_there(&self) -> bool {
        self.fetched.is_some() && self.learning.has_come_to_an_end()
    }

    /// How often a model has come into force that listens to other events than the former.
    pub(super) fn listened(&self) -> u64 {
        self.learning.listened()
    }

    /// Why something of it is not known that should be.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.complaints.trouble().or_else(|| self.learning.trouble())
    }

    /// All that is known now.
    pub(super) fn evidence(&self, live: Option<Observation>) -> Evidence<'_> {
        self.evidence_of(self.history.settled(), self.history.provisional(), live)
    }

    /// What was settled at `then`, and so known to whoever decided then.
    pub(super) fn settled_at(&self, then: Timestamp) -> Series {
        let settled = self.history.settled();
        settled.until(settled.step().last_ended(then - self.demand.settle_lag).next())
    }

    /// What was known when `settled` was all that had settled. What was provisional then is not known any more.
    pub(super) fn evidence_then<'a>(
        &'a self,
        settled: &'a Series,
        live: Option<Observation>,
    ) -> Evidence<'a> {
        self.evidence_of(settled, None, live)
    }

    fn evidence_of<'a>(
        &'a self,
        settled: &'a Series,
        provisional: Option<Observation>,
        live: Option<Observation>,
    ) -> Evidence<'a> {
        let Demand { name: demand, capacity, .. } = &*self.demand;
        Evidence { demand, capacity: *capacity, settled, provisional, live, model: self.learning.model() }
    }

    /// What was measured at the ends of `slots` of `step`; `None` when that is not to be had before `deadline`.
    pub(super) async fn replay(
        &mut self,
        at: Timestamp,
        step: Step,
        slots: Range<Slot>,
        deadline: Instant,
    ) -> Option<Vec<Sample>> {
        let demand = Demand { step, ..Demand::clone(&self.demand) };
        let asked =
            tokio::time::timeout_at(deadline, self.source.range(&demand, slots.start, slots.end)).await;
        let read = asked.map_err(|_| Trouble::Late).and_then(|read| read.map_err(Trouble::Source));
        self.note(Call::Replay, at, &read);
        read.ok().map(|read| read.measured)
    }

    async fn ask(
        source: &S,
        demand: &Demand,
        at: Timestamp,
        patience: Duration,
    ) -> Result<Measured<Option<Observation>>, TroubleOf<S>> {
        let asked = tokio::time::timeout(patience, source.instant(demand, at, patience)).await;
        let asked = asked.map_err(|_| Trouble::Late)?.map_err(Trouble::Source)?;
        Ok(asked.map(|sample| sample.load.map(|load| Observation { at: sample.at, load })))
    }

    /// Takes in every slot that has ended or settled since the last time; the first time, as much as a decision looks at.
    ///
    /// A slot may settle at any tick, not only where another ends, and on every replica at the same one.
    async fn catch_up(&mut self, at: Timestamp, deadline: Instant) {
        let step = self.demand.step;
        let until = step.last_ended(at).next();
        let settled_until = step.last_ended(at - self.demand.settle_lag).next();
        let news = self.fetched.is_none_or(|(ended, settled)| ended < until || settled < settled_until);
        if self.fetching.is_none() && news {
            let demand = Arc::clone(&self.demand);
            let oldest = until.plus(-step.slots_in(demand.recent_span()));
            let settled = self.history.settled();
            let from = if settled.is_empty() { oldest } else { settled.end().max(oldest) };
            let source = Arc::clone(&self.source);
            self.fetching = Some(AbortOnDropHandle::new(tokio::spawn(async move {
                let read = source.range(&demand, from, until).await?;
                Ok(read.map(|samples| Fetched { samples, settled_until, until }))
            })));
        }
        let Some(fetching) = self.fetching.as_mut() else { return };
        let Ok(fetched) = tokio::time::timeout_at(deadline, fetching).await else { return };
        self.fetching = None;
        let fetched = match fetched {
            Ok(outcome) => outcome.map_err(Trouble::Source),
            Err(died) => Err(Trouble::Died(died)),
        };
        self.note(Call::Range, at, &fetched);
        if let Ok(Measured { measured: fetched, .. }) = fetched {
            self.history.append(&fetched.samples, fetched.settled_until);
            self.fetched = Some((fetched.until, fetched.settled_until));
        }
    }

    /// Counts a call, and complains of it where it failed or is doubtful.
    fn note<T>(&mut self, call: Call, at: Timestamp, outcome: &Result<Measured<T>, TroubleOf<S>>) {
        let (target, demand) = (&*self.target.name, &*self.demand.name);
        let degraded = outcome.as_ref().ok().and_then(|measured| measured.degraded.as_deref());
        let counted = match (outcome, degraded) {
            (Ok(_), None) => "ok",
            (Ok(_), Some(_)) => "degraded",
            (Err(_), _) => "error",
        };
        self.means.metrics.fetched(target, call.name(), counted);
        self.complaints.note(target, demand, call, at, outcome.as_ref().err());
        self.complaints.doubt(target, demand, call, at, degraded);
    }
}
