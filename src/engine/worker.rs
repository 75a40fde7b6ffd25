//! One target's life: catch up, learn, replay, then a tick every 15 seconds for ever.
//!
//! A tick asks for the newest measurement of each demand, takes in slots that have settled meanwhile, decides and publishes. A tick as a
//! whole waits for [`PATIENCE`] at most: a slow source, a long back-fill or a fit goes on beside the ticks, which decide
//! with what they have. Only the first decision waits for its model, up to [`START_UP_GRACE`]: a replica that has just
//! started must not ask for fewer pods than the one it replaces.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::complaints::in_short;
use super::feed::{Feed, Means, Supply};
use super::fitting::{FitPool, IN_FORCE_AFTER, name_hash};
use super::record::Record;
use super::{
    Archive, Board, Clock, ClusterView, DecisionLog, Declared, History, LeadTime, MetricSource, Metrics,
    Sample, ScaleUpFrom, Target,
};
use crate::decision::{DECIDE_EVERY, Decision, Policy, State, decide};
use crate::forecast::Observation;
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

/// Declared events that change again within this time of a change are listened to after it: each change costs a fit, and
/// whoever may declare events may do so in a loop.
const LISTEN_EVERY: chrono::TimeDelta = chrono::TimeDelta::seconds(30);

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
    /// One for each demand of the target, in its order.
    feeds: Vec<Feed<S, H, A>>,
    /// One for each feed.
    records: Vec<Record>,
    shared: Arc<Shared<C, L, A>>,
    cluster: Option<Arc<dyn ClusterView>>,
    /// What is declared beside the configuration, as it was last seen; `None` until it is known whether anything is.
    declared: Option<Declared>,
    /// When the feeds were last told of other events.
    told: Option<Timestamp>,
    first_tick: Option<Timestamp>,
    /// How often models had come to listen to other events at the last decision.
    listened: u64,
    state: Option<State>,
}

impl<S: MetricSource, H: History, C: Clock, L: DecisionLog, A: Archive> Worker<S, H, C, L, A> {
    /// A worker that has not begun. `supplies` is what the world gives to the demands of the target, in their order.
    ///
    /// # Panics
    /// When there are not as many as demands.
    pub fn new(
        target: Arc<Target>,
        supplies: impl IntoIterator<Item = Supply<S, H>>,
        shared: Arc<Shared<C, L, A>>,
    ) -> Self {
        let means = || {
            let Shared { archive, fits, metrics, board, .. } = &*shared;
            let (archive, fits, metrics) = (archive.clone(), fits.clone(), metrics.clone());
            Means { archive, fits, metrics, board: Arc::clone(board) }
        };
        let feed = |(demand, supply)| Feed::new(Arc::clone(&target), demand, supply, means());
        let feeds: Vec<_> = target.demands.iter().zip(supplies).map(feed).collect();
        assert_eq!(feeds.len(), target.demands.len(), "each demand of {} has a supply", target.name);
        let declared = Some(Declared::default());
        let records = feeds.iter().map(|_| Record::default()).collect();
        Self {
            target,
            feeds,
            records,
            shared,
            cluster: None,
            declared,
            told: None,
            first_tick: None,
            listened: 0,
            state: None,
        }
    }

    /// The same, which plans with the lead time that `cluster` shows where that is to be learned, and heeds what is declared
    /// there.
    #[must_use]
    pub fn watching(self, cluster: Option<Arc<dyn ClusterView>>) -> Self {
        let declared = self.declared.filter(|_| cluster.is_none());
        Self { cluster, declared, ..self }
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
        self.heed(at);
        let advances = self.feeds.iter_mut().map(|feed| feed.advance(at, deadline, PATIENCE));
        let live = join_all(advances).await;
        self.shared.board.set_trouble(&self.target.name, self.trouble());

        let listened = self.feeds.iter().map(Feed::listened).sum();
        let state = match self.state.take() {
            Some(state) if self.listened != listened => state.with_other_events(),
            Some(state) => state,
            // What has been replayed knew them.
            None => self.begin(at, deadline).await?,
        };
        self.listened = listened;
        let evidence: Vec<_> = self.feeds.iter().zip(live).map(|(feed, live)| feed.evidence(live)).collect();
        let policy = self.policy(at);
        let (decision, state) = decide(&self.target.name, at, &evidence, &policy, &state);
        let noted = evidence.iter().zip(&decision.claims).zip(&mut self.records);
        for ((evidence, claim), record) in noted {
            let metrics = (&self.shared.metrics, &*self.target.name);
            record.note(at, evidence, claim, policy.plan.quantile, metrics);
        }
        self.state = Some(state);
        let (decision, shared) = (Arc::new(decision), &self.shared);
        shared.log.record(&decision);
        shared.board.publish(Arc::clone(&decision));
        shared.metrics.ticked((shared.clock.now() - began).to_std().unwrap_or_default());
        Some(decision)
    }

    /// Why its sources give less than they should.
    fn trouble(&self) -> Option<Arc<str>> {
        let (demand, trouble) = self
            .target
            .demands
            .iter()
            .zip(&self.feeds)
            .find_map(|(demand, feed)| Some((demand, feed.trouble()?)))?;
        let of = if self.feeds.len() > 1 { format!("{}: ", demand.name) } else { String::new() };
        Some(in_short(&format!("{of}{trouble}")).into())
    }

    /// Takes in what is declared at `at`: a hold at once, events as soon as they have been learned with.
    fn heed(&mut self, at: Timestamp) {
        let Some(cluster) = &self.cluster else { return };
        let Some(mut declared) = cluster.declared(&self.target) else { return };
        let listened = self.declared.take().unwrap_or_default();
        if declared.events != listened.events {
            if self.told.is_some_and(|told| at - told < LISTEN_EVERY) {
                declared = Declared { holds: declared.holds, ..listened };
            } else {
                let events = declared.events.len();
                tracing::info!(target = %self.target.name, events, "other events are declared; a model is learned with them");
                // By the instant of the declaration, which replicas share, and not by that at which each of them sees it.
                let in_force_from = declared.since.unwrap_or(at) + IN_FORCE_AFTER;
                self.feeds.iter_mut().for_each(|feed| feed.listen(&declared.events, in_force_from));
                self.told = Some(at);
            }
        }
        self.declared = Some(declared);
    }

    /// The target's policy at `at`: with the lead time that was learned, the climbs that its HPA lets up, and a hold that somebody
    /// declared.
    fn policy(&self, at: Timestamp) -> Policy {
        let Target { lead_time, scale_up, policy, scaled_object, .. } = &*self.target;
        let mut policy = policy.clone();
        let Some(cluster) = &self.cluster else { return policy };
        if *lead_time == LeadTime::Learned
            && let Some(learned) = cluster.lead_time(scaled_object)
        {
            policy.plan.lead_time = learned;
        }
        if *scale_up == ScaleUpFrom::Hpa
            && let Some(seen) = cluster.scale_up(scaled_object)
        {
            policy.plan.growth.scale_up = seen;
        }
        policy.guard.hold = self.declared.as_ref().and_then(|declared| declared.hold(at)).cloned();
        policy
    }

    /// The state before the first decision; `None` while there is something left to wait for: what is declared, too, or the
    /// first answer would be without it.
    async fn begin(&mut self, at: Timestamp, deadline: Instant) -> Option<State> {
        let first_tick = *self.first_tick.get_or_insert(at);
        let grace_is_over =
            at - first_tick >= chrono::TimeDelta::from_std(START_UP_GRACE).unwrap_or_default();
        if self.declared.is_none() || !self.feeds.iter().all(Feed::is_there) {
            return grace_is_over.then(State::default);
        }
        let replayed = self.replay(at, deadline).await;
        replayed.or_else(|| grace_is_over.then(State::default))
    }

    /// The decisions of all that a state remembers ([`Policy::remembers`]) made anew, without being published; `None` when its
    /// load cannot be read.
    ///
    /// What comes of it is the state of a worker that has been running all along, but for a provisional slot that was
    /// held, or a model that came into force within the window: what calm then keeps of two hours was asked for by the one before it, and may
    /// be a replica more or fewer until they are over.
    async fn replay(&mut self, at: Timestamp, deadline: Instant) -> Option<State> {
        let step = Step::try_new(DECIDE_EVERY).unwrap_or(Step::MINUTE);
        let until = step.last_ended(at);
        let from = until.plus(-step.slots_in(self.target.policy.remembers()));
        let replays = self.feeds.iter_mut().map(|feed| feed.replay(at, step, from..until, deadline));
        let read: Option<Vec<Vec<Sample>>> = join_all(replays).await.into_iter().collect();
        let mut reads: Vec<_> = read?.into_iter().map(Vec::into_iter).collect();

        let instants = (from.0..until.0).map(|slot| step.end(Slot(slot)));
        Some(instants.fold(State::default(), |state, then| {
            let known: Vec<_> = self.feeds.iter().map(|feed| feed.settled_at(then)).collect();
            let feeds = self.feeds.iter().zip(&known).zip(&mut reads);
            let evidence: Vec<_> = feeds
                .map(|((feed, settled), read)| {
                    let load = read.next().and_then(|sample| sample.load);
                    feed.evidence_then(settled, load.map(|load| Observation { at: then, load }))
                })
                .collect();
            decide(&self.target.name, then, &evidence, &self.policy(then), &state).1
        }))
    }
}

fn every_seconds() -> i64 {
    i64::try_from(DECIDE_EVERY.as_secs()).unwrap_or(15)
}
