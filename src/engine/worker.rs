//! One target's life: catch up, learn, replay, then a tick every 15 seconds for ever.
//!
//! A tick asks for the newest measurement, takes in slots that have settled meanwhile, decides and publishes. A tick as a
//! whole waits for [`PATIENCE`] at most: a slow source, a long back-fill or a fit goes on beside the ticks, which decide
//! with what they have. Only the first decision waits for its model, up to [`START_UP_GRACE`]: a replica that has just
//! started must not ask for fewer pods than the one it replaces.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::complaints::{Call, Complaints, Trouble, TroubleOf};
use super::fitting::{FitPool, name_hash};
use super::learning::Learning;
use super::{
    Archive, Board, Clock, DecisionLog, Demand, History, Measured, MetricSource, Metrics, Sample, Target,
};
use crate::decision::{DECIDE_EVERY, Decision, Evidence, State, decide};
use crate::forecast::{Forecaster, Observation};
use crate::time::{Slot, Step, Timestamp, aligned_before};

/// How long a tick waits, for everything together. With [`ASK_DELAY`] and the spread it ends before its decision is due
/// to be in force.
const PATIENCE: Duration = Duration::from_secs(3);

/// A measurement at an instant is asked for this much later, so that the scrapes before it have been stored.
const ASK_DELAY: Duration = Duration::from_secs(1);

/// Targets ask within this long of each other, each at a place of its own, rather than all at once.
const SPREAD: Duration = Duration::from_secs(2);

/// How long the first decision waits for history and model, and a replica counts as not ready. A process whose source is
/// down answers after this: with an error, so that KEDA's fallback acts. It must be short, for a pod that is not ready
/// leaves the Service, and without `GetMetricSpec` no fallback fires.
pub const START_UP_GRACE: Duration = Duration::from_secs(60);

/// A wall clock that went back by more than this is not the one that the present state was made by.
const CLOCK_MAY_STEP_BACK: chrono::TimeDelta = chrono::TimeDelta::minutes(1);

/// What every worker shares.
#[derive(Debug)]
pub struct Shared<C, L, A> {
    /// The time.
    pub clock: Arc<C>,
    /// Where decisions are published.
    pub board: Arc<Board>,
    /// Where decisions are written down.
    pub log: L,
    /// Where settled days outlive the source's retention, if anywhere.
    pub archive: Option<Arc<A>>,
    /// Where models are fitted.
    pub fits: FitPool,
    /// What is counted.
    pub metrics: Metrics,
}

/// Why a worker ended by itself.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Ended {
    /// What it remembers lies in the future, and what it published, too.
    #[error("the wall clock went back by {} s; start anew", by.as_secs())]
    ClockWentBack {
        /// How far.
        by: Duration,
    },
}

/// The owner of one target's state.
pub struct Worker<S: MetricSource, H, C, L, A> {
    target: Arc<Target>,
    source: Arc<S>,
    /// The newest part only: what a decision looks at.
    history: H,
    learning: Learning<S, A>,
    shared: Arc<Shared<C, L, A>>,
    fetching: Option<AbortOnDropHandle<Result<Measured<Fetched>, S::Error>>>,
    /// How far slots were asked for, and how far they had settled then.
    fetched: Option<(Slot, Slot)>,
    first_tick: Option<Timestamp>,
    state: Option<State>,
    complaints: Complaints,
}

/// Slots that were asked for.
struct Fetched {
    samples: Vec<Sample>,
    settled_until: Slot,
    until: Slot,
}

impl<S: MetricSource, H: History, C: Clock, L: DecisionLog, A: Archive> Worker<S, H, C, L, A> {
    /// A worker that has not begun.
    pub fn new(
        target: Arc<Target>,
        source: Arc<S>,
        history: H,
        forecaster: Arc<dyn Forecaster>,
        shared: Arc<Shared<C, L, A>>,
    ) -> Self {
        let learning =
            Learning::new(Arc::clone(&target), Arc::clone(&source), shared.archive.clone(), forecaster);
        Self {
            target,
            source,
            history,
            learning,
            shared,
            fetching: None,
            fetched: None,
            first_tick: None,
            state: None,
            complaints: Complaints::default(),
        }
    }

    /// Ticks until `shutdown`.
    ///
    /// # Errors
    /// [`Ended`] when it cannot go on.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), Ended> {
        let spread = SPREAD.as_secs_f64() * (name_hash(&self.target.name) % 1_000) as f64 / 1e3;
        let delay = ASK_DELAY + Duration::from_secs_f64(spread);
        let mut at = aligned_before(self.shared.clock.now(), every_seconds());
        loop {
            let clock = Arc::clone(&self.shared.clock);
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = clock.sleep_until(at + delay) => {}
            }
            let early = at + delay - clock.now();
            if early > CLOCK_MAY_STEP_BACK {
                return Err(Ended::ClockWentBack { by: early.to_std().unwrap_or_default() });
            }
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                _ = self.tick(at) => {}
            }
            // A tick that came late is made up for by the newest one, not by all that were missed.
            let newest = aligned_before(self.shared.clock.now() - ASK_DELAY, every_seconds());
            at = newest.max(at + DECIDE_EVERY);
        }
    }

    /// One tick: what is decided at `at`, which is a multiple of [`DECIDE_EVERY`]. `None` while the first decision waits
    /// for history and model.
    #[tracing::instrument(name = "tick", level = "debug", skip_all, fields(target = %self.target.name, at = %at))]
    pub async fn tick(&mut self, at: Timestamp) -> Option<Arc<Decision>> {
        let began = self.shared.clock.now();
        let deadline = Instant::now() + PATIENCE;
        let (source, target, shared) =
            (Arc::clone(&self.source), Arc::clone(&self.target), Arc::clone(&self.shared));
        let asked = Self::ask(&source, &target, at);
        let (asked, ()) = tokio::join!(asked, self.catch_up(at, deadline));
        self.note(Call::Instant, at, &asked);
        self.learning.advance(at, deadline, &shared.fits, &shared.metrics).await;

        let state = match self.state.take() {
            Some(state) => state,
            None => self.begin(at, deadline).await?,
        };
        let live = asked.ok().and_then(|asked| asked.measured);
        let (decision, state) = self.decide(at, live, &state);
        self.state = Some(state);
        let decision = Arc::new(decision);
        shared.log.record(&decision);
        shared.board.publish(Arc::clone(&decision));
        shared.metrics.ticked((shared.clock.now() - began).to_std().unwrap_or_default());
        Some(decision)
    }

    fn decide(&self, at: Timestamp, live: Option<Observation>, state: &State) -> (Decision, State) {
        let evidence = Evidence {
            settled: self.history.settled(),
            provisional: self.history.provisional(),
            live,
            model: self.learning.model(),
        };
        decide(&self.target.name, at, &evidence, &self.target.policy, state)
    }

    /// The newest measurement, if the source has one and says so in time.
    async fn ask(
        source: &S,
        target: &Target,
        at: Timestamp,
    ) -> Result<Measured<Option<Observation>>, TroubleOf<S>> {
        let asked = tokio::time::timeout(PATIENCE, source.instant(&target.demand, at, PATIENCE)).await;
        let asked = asked.map_err(|_| Trouble::Late)?.map_err(Trouble::Source)?;
        Ok(asked.map(|sample| sample.load.map(|load| Observation { at: sample.at, load })))
    }

    /// Takes in every slot that has ended or settled since the last time; the first time, as much as a decision looks at.
    ///
    /// A slot may settle at any tick, not only where another ends, and on every replica at the same one.
    async fn catch_up(&mut self, at: Timestamp, deadline: Instant) {
        let step = self.target.demand.step;
        let until = step.last_ended(at).next();
        let settled_until = step.last_ended(at - self.target.demand.settle_lag).next();
        let news = self.fetched.is_none_or(|(ended, settled)| ended < until || settled < settled_until);
        if self.fetching.is_none() && news {
            let demand = self.target.demand.clone();
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

    /// The state before the first decision; `None` while there is something left to wait for.
    async fn begin(&mut self, at: Timestamp, deadline: Instant) -> Option<State> {
        let first_tick = *self.first_tick.get_or_insert(at);
        let grace_is_over =
            at - first_tick >= chrono::TimeDelta::from_std(START_UP_GRACE).unwrap_or_default();
        let everything_is_there = self.fetched.is_some() && self.learning.has_come_to_an_end();
        if !everything_is_there {
            return grace_is_over.then(State::default);
        }
        let replayed = self.replay(at, deadline).await;
        self.note(Call::Replay, at, &replayed);
        replayed.ok().map(|replayed| replayed.measured).or_else(|| grace_is_over.then(State::default))
    }

    /// The decisions of the hold window made anew, without being published.
    ///
    /// What comes of it is the state of a worker that has been running all along, but for a provisional slot that was
    /// held, or a model that came into force within the window.
    async fn replay(&self, at: Timestamp, deadline: Instant) -> Result<Measured<State>, TroubleOf<S>> {
        let target = &self.target;
        let step = Step::try_new(DECIDE_EVERY).unwrap_or(Step::MINUTE);
        let until = step.last_ended(at);
        let from = until.plus(-step.slots_in(target.policy.guard.scale_down_hold));
        let demand = Demand { step, ..target.demand.clone() };
        let asked = tokio::time::timeout_at(deadline, self.source.range(&demand, from, until)).await;
        let read = asked.map_err(|_| Trouble::Late)?.map_err(Trouble::Source)?;
        let settled = self.history.settled();
        let replayed = |samples: Vec<Sample>| {
            samples.iter().fold(State::default(), |state, sample| {
                let then = sample.at;
                let settled_then =
                    settled.until(settled.step().last_ended(then - target.demand.settle_lag).next());
                let evidence = Evidence {
                    settled: &settled_then,
                    provisional: None,
                    live: sample.load.map(|load| Observation { at: then, load }),
                    model: self.learning.model(),
                };
                decide(&target.name, then, &evidence, &target.policy, &state).1
            })
        };
        Ok(read.map(replayed))
    }

    /// Counts a call, and complains of it where it failed or is doubtful.
    fn note<T>(&mut self, call: Call, at: Timestamp, outcome: &Result<Measured<T>, TroubleOf<S>>) {
        self.shared.metrics.fetched(&self.target.name, call.name(), outcome.is_ok());
        self.complaints.note(&self.target.name, call, at, outcome.as_ref().err());
        let degraded = outcome.as_ref().ok().and_then(|measured| measured.degraded.as_deref());
        self.complaints.doubt(&self.target.name, call, at, degraded);
    }
}

fn every_seconds() -> i64 {
    i64::try_from(DECIDE_EVERY.as_secs()).unwrap_or(15)
}
