//! What a worker lives with: a clock set by hand, a source with moods, and a target.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidetable::calendar::Almanac;
use tidetable::decision::{Decision, Policy};
use tidetable::engine::{
    Board, Clock, DecisionLog, Demand, FitPool, LeadTime, Measured, MetricSource, Metrics, Sample,
    ScaleUpFrom, ScaledObject, Shared, Supply, Target, Worker,
};
use tidetable::forecast::Tide;
use tidetable::guard::{self, Mode, Rule};
use tidetable::history::{Archive, Recent};
use tidetable::plan;
use tidetable::time::{Slot, Step, Timestamp, from_epoch_seconds};
use tidetable::units::{Load, LoadPerReplica, Quantile, Replicas};

/// Monday 4 May 2026, 12:00 UTC.
pub(crate) const START: i64 = 1_777_896_000;

/// A clock set by hand, which a sleeper moves on; the second part says whether somebody has set it back by an hour.
#[derive(Debug)]
pub(crate) struct Hand(pub(crate) AtomicI64, pub(crate) AtomicBool);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        let back = if self.1.load(Ordering::SeqCst) { 3_600 } else { 0 };
        from_epoch_seconds(self.0.load(Ordering::SeqCst) - back)
    }

    async fn sleep_until(&self, at: Timestamp) {
        self.0.fetch_max(at.timestamp(), Ordering::SeqCst);
        tokio::task::yield_now().await;
    }
}

/// What the fake source does when asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Mood {
    Answers,
    Refuses,
    /// Never answers.
    Hangs,
    /// Answers, but the metric is not there.
    Empty,
    /// Answers instants and short ranges; a long one never comes.
    Slow,
    /// Answers, and says that the answer may be incomplete.
    Doubts,
}

#[derive(Debug, thiserror::Error)]
#[error("the source is down")]
pub(crate) struct Down;

/// Demand that follows the hour of the day, from `since` on.
#[derive(Debug)]
pub(crate) struct Source {
    mood: Mutex<Mood>,
    pub(crate) since: AtomicI64,
    /// A query whose metric is not there from this second on.
    pub(crate) gone: Mutex<Option<(&'static str, i64)>>,
    /// How many slots each range had that was asked for.
    pub(crate) asked: Mutex<Vec<i64>>,
}

impl Source {
    pub(crate) fn new(days: i64) -> Arc<Self> {
        Arc::new(Self {
            mood: Mutex::new(Mood::Answers),
            since: AtomicI64::new(START - days * 86_400),
            gone: Mutex::new(None),
            asked: Mutex::default(),
        })
    }

    pub(crate) fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn load_of(&self, demand: &Demand, at: Timestamp) -> Option<Load> {
        let gone = *self.gone.lock().unwrap();
        let gone = gone.is_some_and(|(query, since)| demand.query == query && at >= self::at(since));
        self.load(at).filter(|_| !gone)
    }

    pub(crate) fn load(&self, at: Timestamp) -> Option<Load> {
        let second = at.timestamp();
        let hour = second.rem_euclid(86_400) as f64 / 3_600.0;
        let noise = ((second / 15 * 7919) % 101) as f64 / 101.0 - 0.5;
        let usual = 1_000.0 - 600.0 * (hour / 24.0 * std::f64::consts::TAU).cos();
        (second > self.since.load(Ordering::SeqCst)).then(|| Load::saturating(usual * (1.0 + 0.05 * noise)))
    }

    async fn answer<T>(&self, samples: impl FnOnce(Mood) -> T) -> Result<Measured<T>, Down> {
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::Refuses => Err(Down),
            Mood::Hangs => std::future::pending().await,
            Mood::Doubts => {
                Ok(Measured { measured: samples(mood), degraded: Some("store c is down".to_owned()) })
            }
            mood => Ok(samples(mood).into()),
        }
    }
}

impl MetricSource for Source {
    type Error = Down;

    async fn range(&self, demand: &Demand, from: Slot, until: Slot) -> Result<Measured<Vec<Sample>>, Down> {
        self.asked.lock().unwrap().push(until.since(from));
        if *self.mood.lock().unwrap() == Mood::Slow && until.since(from) > 6_000 {
            return std::future::pending().await;
        }
        self.answer(|mood| {
            (from.0..until.0)
                .map(|slot| demand.step.end(Slot(slot)))
                .map(|at| Sample { at, load: self.load_of(demand, at).filter(|_| mood != Mood::Empty) })
                .collect()
        })
        .await
    }

    fn instant(
        &self,
        demand: &Demand,
        at: Timestamp,
        _: Duration,
    ) -> impl Future<Output = Result<Measured<Sample>, Down>> + Send {
        self.answer(move |mood| Sample { at, load: self.load_of(demand, at).filter(|_| mood != Mood::Empty) })
    }
}

#[derive(Debug, Default)]
pub(crate) struct Log(pub(crate) Mutex<Vec<Decision>>);

impl DecisionLog for Log {
    fn record(&self, decision: &Decision) {
        self.0.lock().unwrap().push(decision.clone());
    }
}

pub(crate) fn target(mode: Mode) -> Arc<Target> {
    Arc::new(Target {
        name: "payments-api".into(),
        labels: std::collections::BTreeMap::default(),
        scaled_object: ScaledObject { namespace: "payments".into(), name: "payments-api".into() },
        demands: vec![Demand {
            name: "demand".into(),
            source: "main".into(),
            query: "sum(rate(payment_transactions_total[2m]))".into(),
            label: None,
            step: Step::MINUTE,
            settle_lag: Duration::from_secs(120),
            history: Duration::from_secs(21 * 86_400),
            unit: "tx/s".into(),
            capacity: LoadPerReplica::try_new(20.0).unwrap(),
        }],
        timezone: chrono_tz::UTC,
        almanac: Almanac::none(chrono_tz::UTC),
        lead_time: LeadTime::Configured,
        scale_up: ScaleUpFrom::Configured,
        exclude: Arc::default(),
        policy: Policy {
            plan: plan::Options {
                lead_time: Duration::from_secs(120),
                quantile: Quantile::P95,
                growth: plan::Growth::default(),
            },
            guard: guard::Options { mode, ..guard::Options::active(Replicas(2), Replicas(500)) },
        },
        tolerance: guard::Tolerance::default(),
    })
}

/// The same with a second demand, of which a replica bears so much.
pub(crate) fn target_with_queue(per_replica: f64) -> Arc<Target> {
    let mut target = Arc::unwrap_or_clone(target(Mode::Active));
    let queue = Demand {
        name: "queue".into(),
        query: QUEUE.into(),
        step: Step::try_new(Duration::from_secs(300)).unwrap(),
        unit: "jobs".into(),
        capacity: LoadPerReplica::try_new(per_replica).unwrap(),
        ..target.demands[0].clone()
    };
    target.demands.push(queue);
    Arc::new(target)
}

pub(crate) const QUEUE: &str = "sum(queued_jobs)";

pub(crate) type TestWorker = Worker<Source, Recent, Hand, Log, Archive>;
pub(crate) type TestShared = Arc<Shared<Hand, Log, Archive>>;

pub(crate) fn worker(source: &Arc<Source>, mode: Mode) -> (TestWorker, TestShared) {
    worker_for(target(mode), source)
}

pub(crate) fn worker_for(target: Arc<Target>, source: &Arc<Source>) -> (TestWorker, TestShared) {
    worker_with(target, source, None)
}

pub(crate) fn worker_with(
    target: Arc<Target>,
    source: &Arc<Source>,
    archive: Option<Archive>,
) -> (TestWorker, TestShared) {
    let shared = Arc::new(Shared {
        clock: Arc::new(Hand(AtomicI64::new(START), AtomicBool::new(false))),
        board: Arc::new(Board::new([Arc::clone(&target)])),
        log: Log::default(),
        archive: archive.map(Arc::new),
        fits: FitPool::try_new().unwrap(),
        metrics: Metrics::default(),
    });
    let supply = |demand: &Demand| Supply {
        source: Arc::clone(source),
        history: Recent::new(demand.step, demand.recent_span()),
        forecasters: Arc::new(|almanac| Arc::new(Tide::new(almanac.clone()))),
    };
    let supplies: Vec<_> = target.demands.iter().map(supply).collect();
    (Worker::new(target, supplies, Arc::clone(&shared)), shared)
}

pub(crate) fn at(seconds: i64) -> Timestamp {
    from_epoch_seconds(START + seconds)
}

/// The decision at `second`. The first one waits for a model, and a busy machine may need more than one tick for that.
pub(crate) async fn decided(worker: &mut TestWorker, second: i64) -> Arc<Decision> {
    for _ in 0..20 {
        if let Some(decision) = worker.tick(at(second)).await {
            return decision;
        }
    }
    panic!("no decision after twenty ticks")
}

/// Ticks at each multiple of 15 s from `seconds.start` on; the last decision.
pub(crate) async fn walk(worker: &mut TestWorker, seconds: std::ops::Range<i64>) -> Arc<Decision> {
    let mut last = None;
    for second in seconds.step_by(15) {
        last = Some(decided(worker, second).await);
    }
    last.expect("at least one tick")
}

pub(crate) fn rules(decision: &Decision) -> Vec<Rule> {
    decision.applied.iter().map(|applied| applied.rule).collect()
}
