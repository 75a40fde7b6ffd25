//! One target's life: catch up, fit, replay, then a tick every 15 seconds for ever.
//!
//! A tick asks for the newest measurement, takes in slots that have settled meanwhile, decides and publishes. Nothing in
//! it waits longer than [`PATIENCE`]: a slow source, a long back-fill or a fit goes on beside the ticks, which decide with
//! what they have.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::fitting::{Cadence, FitPool, Fitting, Progress, name_hash};
use super::{Board, Clock, DecisionLog, Demand, History, MetricSource, Metrics, Sample, Target};
use crate::decision::{DECIDE_EVERY, Decision, Evidence, State, decide};
use crate::forecast::{self, Fitted, Forecaster, Observation};
use crate::series::Series;
use crate::time::{Slot, Step, Timestamp, aligned_before};

/// How long a tick waits, for everything together. With [`ASK_DELAY`] and the spread it ends before its decision is due
/// to be in force.
const PATIENCE: Duration = Duration::from_secs(3);

/// A measurement at an instant is asked for this much later, so that the scrapes before it have been stored.
const ASK_DELAY: Duration = Duration::from_secs(1);

/// Targets ask within this long of each other, each at a place of its own, rather than all at once.
const SPREAD: Duration = Duration::from_secs(2);

/// See [`Worker::catch_up`].
const DAY: Duration = Duration::from_secs(86_400);

/// What every worker shares.
#[derive(Debug)]
pub struct Shared<C, L> {
    /// The time.
    pub clock: Arc<C>,
    /// Where decisions are published.
    pub board: Arc<Board>,
    /// Where decisions are written down.
    pub log: L,
    /// Where models are fitted.
    pub fits: FitPool,
    /// What is counted.
    pub metrics: Metrics,
}

/// The owner of one target's state.
pub struct Worker<S: MetricSource, H, C, L> {
    target: Arc<Target>,
    source: Arc<S>,
    history: H,
    forecaster: Arc<dyn Forecaster>,
    shared: Arc<Shared<C, L>>,
    cadence: Cadence,
    model: Option<Box<dyn Fitted>>,
    fitting: Option<Fitting>,
    /// The origin of the newest fit that was started, whatever came of it.
    fitted_origin: Option<Slot>,
    fetching: Option<JoinHandle<Result<Fetched, S::Error>>>,
    /// How far slots were asked for, and how far they had settled then.
    fetched: Option<(Slot, Slot)>,
    state: Option<State>,
    complaints: Complaints,
}

/// Slots that were asked for.
struct Fetched {
    samples: Vec<Sample>,
    settled_until: Slot,
    until: Slot,
}

impl<S: MetricSource, H: History, C: Clock, L: DecisionLog> Worker<S, H, C, L> {
    /// A worker that has not begun.
    pub fn new(
        target: Arc<Target>,
        source: Arc<S>,
        history: H,
        forecaster: Arc<dyn Forecaster>,
        shared: Arc<Shared<C, L>>,
    ) -> Self {
        let cadence = Cadence::of(&target.name, target.demand.step);
        Self {
            target,
            source,
            history,
            forecaster,
            shared,
            cadence,
            model: None,
            fitting: None,
            fitted_origin: None,
            fetching: None,
            fetched: None,
            state: None,
            complaints: Complaints::default(),
        }
    }

    /// Ticks until `shutdown`.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let spread = SPREAD.as_secs_f64() * (name_hash(&self.target.name) % 1_000) as f64 / 1e3;
        let delay = ASK_DELAY + Duration::from_secs_f64(spread);
        let mut at = aligned_before(self.shared.clock.now(), every_seconds());
        loop {
            let clock = Arc::clone(&self.shared.clock);
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = clock.sleep_until(at + delay) => {}
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = self.tick(at) => {}
            }
            // A tick that came late is made up for by the newest one, not by all that were missed.
            let newest = aligned_before(self.shared.clock.now() - ASK_DELAY, every_seconds());
            at = newest.max(at + DECIDE_EVERY);
        }
    }

    /// One tick: what is decided at `at`, which is a multiple of [`DECIDE_EVERY`].
    #[tracing::instrument(name = "tick", level = "debug", skip_all, fields(target = %self.target.name, at = %at))]
    pub async fn tick(&mut self, at: Timestamp) -> Arc<Decision> {
        let began = self.shared.clock.now();
        let deadline = Instant::now() + PATIENCE;
        let (source, target) = (Arc::clone(&self.source), Arc::clone(&self.target));
        let asked = Self::ask(&source, &target, at);
        let (asked, ()) = tokio::join!(asked, self.catch_up(at, deadline));
        self.shared.metrics.fetched(&self.target.name, Call::Instant.name(), asked.is_ok());
        self.complaints.note(&target.name, Call::Instant, at, asked.as_ref().err());
        let live = asked.unwrap_or_default();
        self.refit(at, deadline).await;
        let state = match self.state.take() {
            Some(state) => state,
            None => self.replay(at).await,
        };
        let (decision, state) = self.decide(at, live, &state);
        self.state = Some(state);
        let decision = Arc::new(decision);
        self.shared.log.record(&decision);
        self.shared.board.publish(Arc::clone(&decision));
        self.shared.metrics.ticked((self.shared.clock.now() - began).to_std().unwrap_or_default());
        decision
    }

    fn decide(&self, at: Timestamp, live: Option<Observation>, state: &State) -> (Decision, State) {
        let evidence = Evidence {
            settled: self.history.settled(),
            provisional: self.history.provisional(),
            live,
            model: self.model.as_deref(),
        };
        decide(&self.target.name, at, &evidence, &self.target.policy, state)
    }

    /// The newest measurement, if the source has one and says so in time.
    async fn ask(
        source: &S,
        target: &Target,
        at: Timestamp,
    ) -> Result<Option<Observation>, Trouble<S::Error>> {
        let asked = tokio::time::timeout(PATIENCE, source.instant(&target.demand, at, PATIENCE)).await;
        let sample = asked.map_err(|_| Trouble::Late)?.map_err(Trouble::Source)?;
        Ok(sample.load.map(|load| Observation { at: sample.at, load }))
    }

    /// Takes in every slot that has ended or settled since the last time; the first time, the whole history.
    ///
    /// A slot may settle at any tick, not only where another ends, and on every replica at the same one.
    async fn catch_up(&mut self, at: Timestamp, deadline: Instant) {
        let step = self.target.demand.step;
        let until = step.last_ended(at).next();
        let settled_until = step.last_ended(at - self.target.demand.settle_lag).next();
        let news = self.fetched.is_none_or(|(ended, settled)| ended < until || settled < settled_until);
        if self.fetching.is_none() && news {
            let demand = self.target.demand.clone();
            // A day more than is asked for: history is kept in whole days, the same ones on every replica.
            let oldest = until.plus(-step.slots_in(demand.history + DAY));
            let settled = self.history.settled();
            let from = if settled.is_empty() { oldest } else { settled.end().max(oldest) };
            let source = Arc::clone(&self.source);
            self.fetching = Some(tokio::spawn(async move {
                let samples = source.range(&demand, from, until).await?;
                Ok(Fetched { samples, settled_until, until })
            }));
        }
        let Some(fetching) = self.fetching.as_mut() else { return };
        let Ok(fetched) = tokio::time::timeout_at(deadline, fetching).await else { return };
        self.fetching = None;
        let fetched = match fetched {
            Ok(outcome) => outcome.map_err(Trouble::Source),
            Err(died) => Err(Trouble::Died(died)),
        };
        self.shared.metrics.fetched(&self.target.name, Call::Range.name(), fetched.is_ok());
        self.complaints.note(&self.target.name, Call::Range, at, fetched.as_ref().err());
        if let Ok(fetched) = fetched {
            self.history.append(&fetched.samples, fetched.settled_until);
            self.fetched = Some((fetched.until, fetched.settled_until));
        }
    }

    /// Starts the fit that is due, and puts one into force whose time has come.
    async fn refit(&mut self, at: Timestamp, deadline: Instant) {
        let settled = self.history.settled();
        if settled.is_empty() {
            return;
        }
        let lag = self.target.demand.settle_lag;
        let mut origin = self.cadence.origin(settled.end());
        if self.fitted_origin.is_none() && at < self.cadence.in_force_at(origin, lag) {
            // Others still answer from the former one; the newest follows when its time has come.
            origin = self.cadence.former(origin);
        }
        if self.fitting.is_none() && self.fitted_origin.is_none_or(|fitted| fitted < origin) {
            self.fitted_origin = Some(origin);
            self.fitting =
                Some(self.shared.fits.start(Arc::clone(&self.forecaster), settled.until(origin), origin));
        }
        let Some(fitting) = self.fitting.take() else { return };
        let in_force_at = self.cadence.in_force_at(fitting.origin, lag);
        if at < in_force_at && self.model.is_some() {
            self.fitting = Some(fitting);
            return;
        }
        match fitting.wait(deadline).await {
            Progress::Running(fitting) => self.fitting = Some(fitting),
            Progress::Done(origin, outcome) => self.put_into_force(origin, outcome),
            Progress::Died => {
                self.shared.metrics.fitted(&self.target.name, "died");
                tracing::error!(target = %self.target.name, "a fit died; the former model stays in force");
            }
        }
    }

    fn put_into_force(&mut self, origin: Slot, outcome: Result<Box<dyn Fitted>, forecast::Error>) {
        match outcome {
            Ok(model) => {
                self.model = Some(model);
                self.shared.metrics.fitted(&self.target.name, "ok");
                let data_until = self.target.demand.step.start(origin);
                tracing::info!(target = %self.target.name, %data_until, "a new model is in force");
            }
            Err(error @ forecast::Error::TooShort { .. }) => {
                self.shared.metrics.fitted(&self.target.name, "too_short");
                tracing::info!(target = %self.target.name, reason = %error, "there is no model yet");
            }
        }
    }

    /// The state that a worker which had been running all along would have at `at`: the decisions of the hold window
    /// made anew, without being published.
    async fn replay(&self, at: Timestamp) -> State {
        let target = &self.target;
        let step = Step::try_new(DECIDE_EVERY).unwrap_or(Step::MINUTE);
        let until = step.last_ended(at);
        let from = until.plus(-step.slots_in(target.policy.guard.scale_down_hold));
        let demand = Demand { step, ..target.demand.clone() };
        let asked = tokio::time::timeout(PATIENCE, self.source.range(&demand, from, until)).await;
        let samples = match asked {
            Ok(Ok(samples)) => samples,
            Ok(Err(error)) => {
                tracing::warn!(target = %target.name, %error, "the hold window could not be replayed");
                return State::default();
            }
            Err(_) => {
                tracing::warn!(target = %target.name, "the hold window could not be replayed in time");
                return State::default();
            }
        };
        let settled = self.history.settled();
        samples.iter().fold(State::default(), |state, sample| {
            let then = sample.at;
            let settled_then = as_of(settled, then, target.demand.settle_lag);
            let evidence = Evidence {
                settled: &settled_then,
                provisional: None,
                live: sample.load.map(|load| Observation { at: then, load }),
                model: self.model.as_deref(),
            };
            decide(&target.name, then, &evidence, &target.policy, &state).1
        })
    }
}

/// What a worker asks its source for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Instant,
    Range,
}

impl Call {
    fn name(self) -> &'static str {
        match self {
            Self::Instant => "instant",
            Self::Range => "range",
        }
    }
}

/// Why a measurement is not there.
#[derive(Debug, thiserror::Error)]
enum Trouble<E> {
    #[error(transparent)]
    Source(E),
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Late,
    #[error("reading died: {0}")]
    Died(tokio::task::JoinError),
}

/// A source that is down is complained of at once and then once a minute, not with every tick.
#[derive(Debug, Default)]
struct Complaints {
    last: [Option<Timestamp>; 2],
}

impl Complaints {
    /// Takes down how a call went.
    fn note<E: std::error::Error>(
        &mut self,
        target: &str,
        call: Call,
        at: Timestamp,
        trouble: Option<&Trouble<E>>,
    ) {
        let last = &mut self.last[call as usize];
        match (trouble, *last) {
            (None, Some(_)) => {
                *last = None;
                tracing::info!(target, call = call.name(), "the metrics source answers again");
            }
            (Some(error), complained) if complained.is_none_or(|then| at - then >= COMPLAIN_EVERY) => {
                *last = Some(at);
                tracing::warn!(target, call = call.name(), %error, "the metrics source gives nothing; deciding without");
            }
            _ => {}
        }
    }
}

/// How often a trouble that lasts is told again.
const COMPLAIN_EVERY: chrono::TimeDelta = chrono::TimeDelta::minutes(1);

/// The part of `settled` that was settled at `then`.
fn as_of(settled: &Series, then: Timestamp, settle_lag: Duration) -> Series {
    let end = settled.step().last_ended(then - settle_lag).next();
    settled.until(end)
}

fn every_seconds() -> i64 {
    i64::try_from(DECIDE_EVERY.as_secs()).unwrap_or(15)
}
