//! A worker through its life, over ports that are fakes of ours: no network, no real time.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]
#![expect(clippy::disallowed_methods, reason = "a test that waits for a disk waits in real time")]

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidetable::calendar::{Almanac, Envelope, Event, Uplift};
use tidetable::decision::{Decision, PUBLISH_DELAY, Policy};
use tidetable::engine::{
    Board, Clock, ClusterView, DecisionLog, Declared, Demand, Ended, FitPool, LeadTime, Measured,
    MetricSource, Metrics, Sample, ScaledObject, Shared, Supply, Target, Worker,
};
use tidetable::forecast::{HORIZON, Tide, forecaster};
use tidetable::guard::{self, Mode, Rule, Rung};
use tidetable::history::{Archive, Recent};
use tidetable::plan;
use tidetable::time::{Slot, Step, Timestamp, from_epoch_seconds};
use tidetable::units::{Load, LoadPerReplica, Quantile, Replicas};

/// Monday 4 May 2026, 12:00 UTC.
const START: i64 = 1_777_896_000;

/// A clock set by hand, which a sleeper moves on; the second part says whether somebody has set it back by an hour.
#[derive(Debug)]
struct Hand(AtomicI64, AtomicBool);

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
enum Mood {
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
struct Down;

/// Demand that follows the hour of the day, from `since` on.
#[derive(Debug)]
struct Source {
    mood: Mutex<Mood>,
    since: AtomicI64,
    /// A query whose metric is not there from this second on.
    gone: Mutex<Option<(&'static str, i64)>>,
}

impl Source {
    fn new(days: i64) -> Arc<Self> {
        Arc::new(Self {
            mood: Mutex::new(Mood::Answers),
            since: AtomicI64::new(START - days * 86_400),
            gone: Mutex::new(None),
        })
    }

    fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn load_of(&self, demand: &Demand, at: Timestamp) -> Option<Load> {
        let gone = *self.gone.lock().unwrap();
        let gone = gone.is_some_and(|(query, since)| demand.query == query && at >= self::at(since));
        self.load(at).filter(|_| !gone)
    }

    fn load(&self, at: Timestamp) -> Option<Load> {
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
struct Log(Mutex<Vec<Decision>>);

impl DecisionLog for Log {
    fn record(&self, decision: &Decision) {
        self.0.lock().unwrap().push(decision.clone());
    }
}

fn target(mode: Mode) -> Arc<Target> {
    Arc::new(Target {
        name: "payments-api".into(),
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
        exclude: Arc::default(),
        policy: Policy {
            plan: plan::Options {
                lead_time: Duration::from_secs(120),
                quantile: Quantile::P95,
                growth: plan::Growth::default(),
            },
            guard: guard::Options {
                min: Replicas(2),
                max: Replicas(500),
                scale_down_hold: Duration::from_secs(60),
                stale_after: Duration::from_secs(120),
                mode,
                floor: guard::Floor::default(),
                hold: None,
            },
        },
        tolerance: guard::Tolerance::default(),
    })
}

/// The same with a second demand, of which a replica bears so much.
fn target_with_queue(per_replica: f64) -> Arc<Target> {
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

const QUEUE: &str = "sum(queued_jobs)";

type TestWorker = Worker<Source, Recent, Hand, Log, Archive>;
type TestShared = Arc<Shared<Hand, Log, Archive>>;

fn worker(source: &Arc<Source>, mode: Mode) -> (TestWorker, TestShared) {
    worker_for(target(mode), source)
}

fn worker_for(target: Arc<Target>, source: &Arc<Source>) -> (TestWorker, TestShared) {
    worker_with(target, source, None)
}

fn worker_with(
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

fn at(seconds: i64) -> Timestamp {
    from_epoch_seconds(START + seconds)
}

/// The decision at `second`. The first one waits for a model, and a busy machine may need more than one tick for that.
async fn decided(worker: &mut TestWorker, second: i64) -> Arc<Decision> {
    for _ in 0..20 {
        if let Some(decision) = worker.tick(at(second)).await {
            return decision;
        }
    }
    panic!("no decision after twenty ticks")
}

/// Ticks at each multiple of 15 s from `seconds.start` on; the last decision.
async fn walk(worker: &mut TestWorker, seconds: std::ops::Range<i64>) -> Arc<Decision> {
    let mut last = None;
    for second in seconds.step_by(15) {
        last = Some(decided(worker, second).await);
    }
    last.expect("at least one tick")
}

fn rules(decision: &Decision) -> Vec<Rule> {
    decision.applied.iter().map(|applied| applied.rule).collect()
}

#[tokio::test]
async fn the_first_tick_reads_history_fits_and_plans() {
    let (mut worker, shared) = worker(&Source::new(21), Mode::Active);
    let decision = decided(&mut worker, 0).await;
    assert_eq!(decision.rung, Rung::Planned);
    let plan = decision.plan().unwrap();
    // Noon is the peak: 1600 tx/s within 2.5 %, at 20 per replica and the 0.95 quantile.
    assert!((79..=86).contains(&plan.replicas.0), "{plan:?}");
    // The hold window was replayed, so a larger need of the last minute may stand.
    assert!(decision.guarded >= Some(plan.replicas.max(decision.reactive_need().unwrap())));
    assert!(rules(&decision).iter().all(|rule| *rule == Rule::ScaleDownHold), "{decision:?}");
    assert_eq!(shared.log.0.lock().unwrap().len(), 1);

    let published = shared.board.table().published("payments-api").unwrap();
    assert!(published.at(at(0)).is_err(), "not before every replica has decided");
    assert_eq!(published.at(at(0) + PUBLISH_DELAY).unwrap().guarded, decision.guarded);

    let demand = &decision.claims[0].demand;
    let learned = shared.board.table().learned("payments-api", demand).unwrap();
    let explanation = learned.outcome.as_ref().unwrap();
    assert!(!explanation.blends.is_empty(), "{explanation:?}");
}

#[tokio::test]
async fn each_rung_of_the_ladder_is_reached_and_left() {
    let source = Source::new(21);
    let (mut worker, _) = worker(&source, Mode::Active);
    assert_eq!(walk(&mut worker, 0..60).await.rung, Rung::Planned);

    source.set(Mood::Refuses);
    // For as long as the last measurement is fresh, nothing changes; then the plan is read at a raised quantile.
    let planned = walk(&mut worker, 60..150).await;
    assert_eq!(planned.rung, Rung::Planned);
    let stale = walk(&mut worker, 300..315).await;
    assert_eq!(stale.rung, Rung::PlanOnly);
    assert_eq!(stale.plan().unwrap().quantile, Quantile::P99);
    assert!(stale.guarded >= planned.reactive_need(), "{stale:?} after {planned:?}");

    // The night comes, and the plan follows it down to what the last measurement needed and no lower.
    let night = walk(&mut worker, 43_200..43_215).await;
    assert_eq!(night.rung, Rung::PlanOnly);
    assert_eq!(night.guarded, night.reactive_need());
    assert_eq!(rules(&night).last(), Some(&Rule::FrozenFloor));

    // The plan has an end, and then there is no honest number.
    let too_late = i64::try_from(HORIZON.as_secs()).unwrap() + 600;
    let gone = walk(&mut worker, too_late..too_late + 15).await;
    assert_eq!((gone.rung, gone.guarded), (Rung::Unavailable, None));

    source.set(Mood::Answers);
    let back = walk(&mut worker, too_late + 15..too_late + 90).await;
    assert_eq!(back.rung, Rung::Planned);
}

#[tokio::test]
async fn a_young_target_scales_reactively() {
    let source = Source::new(1);
    source.since.store(START - 12 * 3_600, Ordering::SeqCst);
    let (mut worker, shared) = worker(&source, Mode::Active);
    let decision = walk(&mut worker, 0..60).await;
    assert_eq!(decision.rung, Rung::ReactiveOnly);
    let learned = shared.board.table().learned("payments-api", &decision.claims[0].demand).unwrap();
    assert!(learned.outcome.is_err(), "{learned:?}");
    assert_eq!(rules(&decision)[0], Rule::NoPlan);
    assert!(decision.guarded >= decision.reactive_need());
    assert!(decision.plan().is_none());
}

#[tokio::test]
async fn in_shadow_the_plan_is_shown_and_not_used() {
    let (mut worker, _) = worker(&Source::new(21), Mode::Shadow);
    let decision = walk(&mut worker, 0..15).await;
    let plan = decision.plan().unwrap();
    assert!(decision.guarded < Some(plan.replicas), "{decision:?}");
    assert!(decision.guarded >= decision.reactive_need());
    assert_eq!(rules(&decision)[0], Rule::Shadow);
}

#[tokio::test]
async fn a_metric_that_vanishes_is_no_demand_of_zero() {
    let source = Source::new(21);
    let (mut worker, _) = worker(&source, Mode::Active);
    let before = walk(&mut worker, 0..60).await;
    source.set(Mood::Empty);
    let after = walk(&mut worker, 60..600).await;
    assert_eq!(after.rung, Rung::PlanOnly);
    assert!(after.guarded >= before.reactive_need(), "{after:?}");
}

#[tokio::test]
async fn of_several_demands_the_one_that_needs_the_most_decides() {
    let source = Source::new(21);
    let (mut alone, _) = worker(&source, Mode::Active);
    let alone = walk(&mut alone, 0..60).await;
    for (per_replica, decides) in [(40.0, "demand"), (10.0, "queue")] {
        let (mut worker, _) = worker_for(target_with_queue(per_replica), &source);
        let decision = walk(&mut worker, 0..60).await;
        assert_eq!(decision.rung, Rung::Planned);
        assert_eq!(
            decision.claims.iter().map(|claim| &*claim.demand).collect::<Vec<_>>(),
            ["demand", "queue"]
        );
        assert_eq!(&*decision.plans_most().unwrap().demand, decides);
        assert_eq!(&*decision.needs_most().unwrap().demand, decides);
        assert_eq!(decision.claims[0], alone.claims[0], "the one knows nothing of the other");
        let least = decision.claims.iter().map(|claim| claim.plan.as_ref().unwrap().replicas).max();
        assert!(decision.guarded >= least, "{decision:?}");
    }
}

#[tokio::test]
async fn a_demand_that_vanishes_among_others_keeps_its_plan_and_its_floor() {
    let source = Source::new(21);
    let (mut worker, _) = worker_for(target_with_queue(10.0), &source);
    let before = walk(&mut worker, 0..60).await;
    *source.gone.lock().unwrap() = Some((QUEUE, 60));
    let after = walk(&mut worker, 60..1_200).await;
    assert_eq!(after.rung, Rung::PlanOnly, "of the target, for one of its demands is there");
    let rungs: Vec<_> = after.claims.iter().map(|claim| claim.rung).collect();
    assert_eq!(rungs, [Rung::Planned, Rung::PlanOnly]);
    assert!(after.guarded >= before.reactive_need(), "{after:?}");
    assert_eq!(after.claims[1].plan.as_ref().unwrap().quantile, Quantile::P99);
    let raised = after.applied.iter().find(|applied| applied.rule == Rule::RaisedQuantile).unwrap();
    assert!(raised.why.starts_with("queue: "), "{raised:?}");
}

#[tokio::test]
async fn a_demand_that_was_never_measured_leaves_the_others_their_answer() {
    let source = Source::new(21);
    *source.gone.lock().unwrap() = Some((QUEUE, -40 * 86_400));
    let (mut alone, _) = worker(&source, Mode::Active);
    let (mut worker, _) = worker_for(target_with_queue(10.0), &source);
    let (alone, decision) = (walk(&mut alone, 0..60).await, walk(&mut worker, 0..60).await);
    assert_eq!((decision.rung, decision.guarded), (Rung::Planned, alone.guarded));
    assert_eq!(decision.claims[1].rung, Rung::Unavailable);
}

#[tokio::test]
async fn who_starts_late_answers_alike_with_several_demands_too() {
    let source = Source::new(21);
    let (mut old, _) = worker_for(target_with_queue(15.0), &source);
    walk(&mut old, 0..3_600).await;
    for start in [3_600, 3_675, 3_720] {
        let (mut young, _) = worker_for(target_with_queue(15.0), &source);
        let expected = walk(&mut old, start..start + 60).await;
        let answered = walk(&mut young, start..start + 60).await;
        assert_eq!(answered, expected, "started at {start}");
    }
}

#[tokio::test]
async fn each_demand_has_a_history_of_its_own_in_the_archive() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::try_new(folder.path(), Duration::from_secs(800 * 86_400)).unwrap();
    let target = target_with_queue(10.0);
    let (mut worker, shared) = worker_with(Arc::clone(&target), &Source::new(21), Some(archive));
    decided(&mut worker, 0).await;
    let archive = shared.archive.clone().unwrap();
    for demand in &target.demands {
        let whole = demand.step.slot_of(at(-15 * 86_400))..demand.step.slot_of(at(0));
        let ten_days = async {
            while archive.days(&target, demand, whole.clone()).await.unwrap().len() < 10 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), ten_days).await.expect("its days are archived");
    }
}

#[tokio::test]
async fn a_source_that_hangs_does_not_hold_up_a_tick() {
    let source = Source::new(21);
    let (mut worker, _) = worker(&source, Mode::Active);
    walk(&mut worker, 0..60).await;
    source.set(Mood::Hangs);
    // No fit is due in these ten minutes, so nothing but timers is waited for.
    tokio::time::pause();
    for second in (60..600).step_by(15) {
        let began = tokio::time::Instant::now();
        worker.tick(at(second)).await;
        let took = began.elapsed();
        assert!(took <= Duration::from_secs(4), "a tick took {took:?}");
    }
}

#[tokio::test]
async fn a_worker_that_starts_late_answers_as_one_that_has_run_all_along() {
    let source = Source::new(21);
    let (mut old, _) = worker(&source, Mode::Active);
    walk(&mut old, 0..3_600).await;
    for start in [3_600, 3_675, 3_720] {
        let (mut young, _) = worker(&source, Mode::Active);
        let expected = walk(&mut old, start..start + 60).await;
        let answered = walk(&mut young, start..start + 60).await;
        assert_eq!(answered, expected, "started at {start}");
    }
}

#[tokio::test]
async fn a_slot_settles_at_the_same_instant_whoever_started_when() {
    let source = Source::new(21);
    let mut target = Arc::unwrap_or_clone(target(Mode::Active));
    // A slot of five minutes settles two minutes into the next one.
    target.demands[0].step = Step::try_new(Duration::from_secs(300)).unwrap();
    let target = Arc::new(target);
    let (mut old, _) = worker_for(Arc::clone(&target), &source);
    walk(&mut old, 0..3_600).await;
    for start in [3_600, 3_735, 3_900] {
        let (mut young, _) = worker_for(Arc::clone(&target), &source);
        for second in (start..start + 135).step_by(15) {
            let (expected, answered) = (decided(&mut old, second).await, decided(&mut young, second).await);
            assert_eq!(answered.plan(), expected.plan(), "started at {start}, at {second}");
        }
    }
}

#[tokio::test]
async fn who_starts_between_a_refit_and_its_coming_into_force_begins_with_the_former_one() {
    // As the engine derives it: FNV-1a of the name says at which minute of six hours a target's data ends.
    let hash = b"payments-api".iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let phase = i64::try_from(hash % 360).unwrap();
    let until_refit = (phase - START / 60).rem_euclid(360) * 60;
    let settled = until_refit + 120;

    let source = Source::new(21);
    let (mut old, _) = worker(&source, Mode::Active);
    for second in (0..settled).step_by(60) {
        old.tick(at(second)).await;
    }
    let (mut young, _) = worker(&source, Mode::Active);
    for second in (settled..settled + 90).step_by(15) {
        let (expected, answered) = (decided(&mut old, second).await, decided(&mut young, second).await);
        assert_eq!(answered.plan(), expected.plan(), "{} s after the data had settled", second - settled);
    }
}

#[tokio::test]
async fn a_refit_comes_into_force_at_the_same_instant_whoever_started_when() {
    let source = Source::new(21);
    let (mut one, _) = worker(&source, Mode::Active);
    let (mut other, _) = worker(&source, Mode::Active);
    walk(&mut one, 0..60).await;
    let mut last = None;
    for second in (60..7 * 3_600).step_by(60) {
        let decision = decided(&mut one, second).await;
        if second >= 3_600 {
            let second_opinion = decided(&mut other, second).await;
            // The first ticks of the other one differ in what they remember of the hold window, at most.
            if second > 3_720 {
                assert_eq!(second_opinion.plan(), decision.plan(), "at {second}");
            }
        }
        last = Some(decision);
    }
    assert_eq!(last.unwrap().rung, Rung::Planned);
}

#[tokio::test]
async fn who_has_run_for_weeks_answers_as_who_finds_only_what_is_retained() {
    let source = Source::new(40);
    let (mut old, _) = worker(&source, Mode::Active);
    walk(&mut old, 0..60).await;
    // Since then the source has forgotten all but fifteen days, and midnight has passed twice.
    let (day, later) = (86_400, 45 * 3_600);
    source.since.store(START + later - 15 * day, Ordering::SeqCst);
    for second in (60..later).step_by(600) {
        old.tick(at(second / 15 * 15)).await;
    }
    // The next regular fit, at the latest six hours on, is the first that both make.
    source.since.store(START + later + 5 * 3_600 - 15 * day, Ordering::SeqCst);
    for second in (later..later + 7 * 3_600).step_by(60) {
        old.tick(at(second)).await;
    }
    source.since.store(START + later + 7 * 3_600 - 15 * day, Ordering::SeqCst);
    let start = later + 7 * 3_600;
    let (mut young, _) = worker(&source, Mode::Active);
    for second in (start..start + 120).step_by(15) {
        let (expected, answered) = (decided(&mut old, second).await, decided(&mut young, second).await);
        assert_eq!(answered.plan(), expected.plan(), "at {second}");
    }
}

#[tokio::test]
async fn the_first_decision_waits_for_its_model_and_not_for_ever() {
    let source = Source::new(21);
    source.set(Mood::Slow);
    let (mut worker, shared) = worker(&source, Mode::Active);
    tokio::time::pause();
    for second in (0..60).step_by(15) {
        assert!(worker.tick(at(second)).await.is_none(), "at {second}");
        assert!(shared.board.table().published("payments-api").unwrap().at(at(second + 10)).is_err());
    }
    let decision = worker.tick(at(60)).await.unwrap();
    assert_eq!(decision.rung, Rung::ReactiveOnly, "without a model the newest measurement still counts");
    tokio::time::resume();
    source.set(Mood::Answers);
    // The task that hangs is still asking; a new worker is what a restarted process would have.
    let (mut worker, _) = self::worker(&source, Mode::Active);
    assert_eq!(decided(&mut worker, 75).await.rung, Rung::Planned);
}

#[tokio::test]
async fn a_clock_that_goes_back_ends_the_worker() {
    let (worker, shared) = worker(&Source::new(21), Mode::Active);
    let clock = Arc::clone(&shared.clock);
    let running = tokio::spawn(worker.run(tokio_util::sync::CancellationToken::new()));
    while clock.0.load(Ordering::SeqCst) < START + 60 {
        tokio::task::yield_now().await;
    }
    clock.1.store(true, Ordering::SeqCst);
    let ended = tokio::time::timeout(Duration::from_secs(20), running).await.unwrap().unwrap();
    assert!(
        matches!(ended, Err(Ended::ClockWentBack { by }) if by > Duration::from_secs(3_000)),
        "{ended:?}"
    );
}

#[tokio::test]
async fn what_the_source_forgets_the_archive_knows() {
    let folder = tempfile::tempdir().unwrap();
    let archive = || Archive::try_new(folder.path(), Duration::from_secs(800 * 86_400)).unwrap();
    let source = Source::new(40);
    let mut target = Arc::unwrap_or_clone(target(Mode::Active));
    target.demands[0].history = Duration::from_secs(35 * 86_400);
    let target = Arc::new(target);

    let (mut first, shared) = worker_with(Arc::clone(&target), &source, Some(archive()));
    let before = decided(&mut first, 0).await;
    let kept = shared.archive.clone().unwrap();
    let whole =
        target.demands[0].step.slot_of(at(-35 * 86_400 - 12 * 3_600))..target.demands[0].step.slot_of(at(0));
    let every_day = async {
        while kept.days(&target, &target.demands[0], whole.clone()).await.unwrap().len() < 34 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), every_day).await.expect("every settled day is archived");

    // Five days teach another model, and with the archive nothing is missing.
    source.since.store(START - 5 * 86_400, Ordering::SeqCst);
    let (mut alone, _) = worker_for(Arc::clone(&target), &source);
    assert_ne!(decided(&mut alone, 0).await.plan(), before.plan());
    let (mut second, _) = worker_with(target, &source, Some(archive()));
    assert_eq!(decided(&mut second, 0).await.plan(), before.plan());
}

#[tokio::test]
async fn an_answer_that_the_source_doubts_is_decided_on_and_counted_as_such() {
    let source = Source::new(21);
    let (mut worker, shared) = worker(&source, Mode::Active);
    walk(&mut worker, 0..60).await;
    source.set(Mood::Doubts);
    assert_eq!(walk(&mut worker, 60..120).await.rung, Rung::Planned);
    let mut registry = prometheus_client::registry::Registry::default();
    shared.metrics.register(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    let counted = "fetches_total{target=\"payments-api\",call=\"instant\",outcome=\"degraded\"} 4";
    assert!(text.contains(counted), "{text}");
}

#[tokio::test]
async fn forecasts_are_held_against_what_came_once_that_has_settled() {
    let (mut worker, shared) = worker(&Source::new(21), Mode::Active);
    let mut registry = prometheus_client::registry::Registry::default();
    shared.metrics.register(&mut registry);
    // By the name of the counter and how far ahead.
    let count = |name: &str, lead: &str| {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let series = format!("{name}_total{{target=\"payments-api\",demand=\"demand\",lead=\"{lead}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&series)?.parse::<f64>().ok())
    };
    decided(&mut worker, 0).await;
    assert_eq!(count("forecasts_matured", "plan"), None, "who has just started has nothing to show");
    for second in (60..7_200).step_by(60) {
        decided(&mut worker, second).await;
    }
    for (lead, least) in [("plan", 40.0), ("60m", 50.0)] {
        let of = |name: &str| count(name, lead).unwrap_or_else(|| panic!("{name} {lead}"));
        let matured = of("forecasts_matured");
        assert!((least..120.0).contains(&matured), "{lead}: {matured}");
        let coverage = of("forecasts_covered") / matured;
        assert!((0.85..=1.0).contains(&coverage), "{lead}: {coverage}");
        let (over, under, observed) =
            (of("forecast_over_load"), of("forecast_under_load"), of("forecast_observed_load"));
        // Noon: some 1,590 tx/s, with 2.5 % of noise to either side.
        assert!((1_500.0..1_650.0).contains(&(observed / matured)), "{lead}: {observed}");
        assert!((over - under).abs() / observed < 0.02, "{lead}: {over} over, {under} under {observed}");
        assert!(
            (0.002..0.03).contains(&((over + under) / observed)),
            "{lead}: {over} and {under} of {observed}"
        );
        let pinball = of("forecast_pinball_load") / observed;
        assert!((0.0002..0.01).contains(&pinball), "{lead}: {pinball}");
    }
}

#[tokio::test]
async fn an_archive_that_fails_costs_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive");
    let archive = Archive::try_new(&path, Duration::from_secs(800 * 86_400)).unwrap();
    // The volume is gone, and a file stands in its place.
    std::fs::remove_dir_all(&path).unwrap();
    std::fs::write(&path, "not a folder").unwrap();
    let (mut worker, shared) = worker_with(target(Mode::Active), &Source::new(21), Some(archive));
    assert_eq!(decided(&mut worker, 0).await.rung, Rung::Planned);
    let mut registry = prometheus_client::registry::Registry::default();
    shared.metrics.register(&mut registry);
    let told = async {
        loop {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
            if text.contains("archive_errors_total{target=\"payments-api\",call=\"keep\"") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), told).await.expect("an error metric rises");
}

/// A cluster in which pods take as many seconds as the number says, 0 where nobody knows, and in which that is declared.
#[derive(Debug, Default)]
struct Cluster(AtomicI64, Mutex<Option<Declared>>);

impl Cluster {
    fn declare(&self, declared: Declared) {
        *self.1.lock().unwrap() = Some(declared);
    }

    fn hold(&self, replicas: u32, until: i64) {
        let hold = guard::Hold { replicas: Replicas(replicas), until: at(until), reason: "INC-7".into() };
        self.declare(Declared { holds: vec![hold], ..Declared::default() });
    }
}

impl ClusterView for Cluster {
    fn lead_time(&self, owner: &ScaledObject) -> Option<Duration> {
        assert_eq!(owner.to_string(), "payments/payments-api");
        let seconds = u64::try_from(self.0.load(Ordering::SeqCst)).unwrap();
        (seconds > 0).then(|| Duration::from_secs(seconds))
    }

    fn declared(&self, target: &Target) -> Option<Declared> {
        assert_eq!(&*target.name, "payments-api");
        self.1.lock().unwrap().clone()
    }

    fn hpa(&self, _: &ScaledObject, _: Timestamp) -> Option<guard::tolerance::Seen> {
        None
    }
}

#[tokio::test]
async fn a_warm_up_moves_with_the_lead_time_that_the_cluster_shows() {
    const SIX_IN_THE_MORNING: i64 = 18 * 3600;
    let cluster = Arc::new(Cluster::default());
    cluster.declare(Declared::default());
    let learned = Target { lead_time: LeadTime::Learned, ..Target::clone(&target(Mode::Active)) };
    for (target, moves) in [(Arc::new(learned), true), (target(Mode::Active), false)] {
        let (worker, _) = worker_for(target, &Source::new(21));
        let mut worker = worker.watching(Some(Arc::<Cluster>::clone(&cluster)));
        let mut minute = 0;
        let mut ahead = async |seconds| {
            cluster.0.store(seconds, Ordering::SeqCst);
            minute += 1;
            let now = SIX_IN_THE_MORNING + 60 * minute;
            let decision = decided(&mut worker, now).await;
            // Demand rises all morning, so the largest of the window is near its end.
            (decision.plan().unwrap().peak_at - at(now)).num_seconds()
        };
        let (unknown, two_hours, five_minutes) = (ahead(0).await, ahead(7200).await, ahead(300).await);
        assert!((60..=240).contains(&unknown), "as configured: {unknown}");
        assert_eq!(two_hours > 6000, moves, "{two_hours}");
        assert!(five_minutes <= 420, "{five_minutes}");
    }
}

#[tokio::test]
async fn a_hold_is_a_rule_of_its_own_in_shadow_too_until_it_ends_and_never_above_the_maximum() {
    let cluster = Arc::new(Cluster::default());
    let (worker, _) = worker(&Source::new(1), Mode::Shadow);
    let mut worker = worker.watching(Some(Arc::<Cluster>::clone(&cluster)));
    let mut second = 0;
    let mut answer = async |held, until| {
        cluster.hold(held, until);
        second += 120;
        decided(&mut worker, second).await
    };
    let usual = answer(1, 9_000).await;
    assert!(!rules(&usual).contains(&Rule::Hold), "a hold below the need changes nothing: {usual:?}");
    let held = answer(300, 9_000).await;
    assert_eq!(held.guarded, Some(Replicas(300)));
    let hold = held.applied.iter().find(|applied| applied.rule == Rule::Hold).unwrap();
    assert_eq!(hold.why, "300 are held until 2026-05-04 14:30:00Z: INC-7");
    let too_many = answer(9_999, 9_000).await;
    assert_eq!((too_many.guarded, rules(&too_many).last()), (Some(Replicas(500)), Some(&Rule::Max)));
    let over = answer(300, 480).await;
    assert!(over.guarded <= usual.guarded.map(|usual| Replicas(usual.0 + 5)), "{over:?}");
}

/// A worker whose model listens to calendars and events.
fn listening(source: &Arc<Source>, cluster: &Arc<Cluster>) -> TestWorker {
    let target = target(Mode::Shadow);
    let (_, shared) = worker(source, Mode::Shadow);
    let supply = |demand: &Demand| Supply {
        source: Arc::clone(source),
        history: Recent::new(demand.step, demand.recent_span()),
        forecasters: Arc::new(|almanac: &Almanac| forecaster(almanac, &Arc::default())),
    };
    let supplies: Vec<_> = target.demands.iter().map(supply).collect();
    Worker::new(target, supplies, shared).watching(Some(Arc::<Cluster>::clone(cluster)))
}

/// A launch that begins at once in full at `second`, declared at `since`.
fn launch(second: i64, since: i64) -> Declared {
    let event = Event {
        name: "launch".into(),
        at: at(second),
        envelope: Envelope { hold: chrono::TimeDelta::minutes(30), ..Envelope::default() },
        uplift: Some(Uplift::try_new(2.0, 3.0, 4.5).unwrap()),
        peak: None,
        owner: None,
        ticket: None,
        cancelled: false,
        cut_short: None,
    };
    Declared { events: vec![event], since: Some(at(since)), holds: Vec::new() }
}

#[tokio::test]
async fn an_event_that_is_declared_reaches_the_model_in_force_on_every_replica_from_the_same_instant() {
    let source = Source::new(21);
    let cluster = Arc::new(Cluster::default());
    cluster.declare(Declared::default());
    let (mut one, mut other) = (listening(&source, &cluster), listening(&source, &cluster));
    let before = walk(&mut one, 0..60).await;
    walk(&mut other, 0..60).await;
    // Declared five seconds before; the one sees it at once and the other half a minute later.
    let (mut seen, mut answers) = (Vec::new(), Vec::new());
    let nothing = Declared::default;
    for second in (60..300).step_by(15) {
        cluster.declare(launch(240, 55));
        let decision = decided(&mut one, second).await;
        cluster.declare(if second < 90 { nothing() } else { launch(240, 55) });
        let opinion = decided(&mut other, second).await;
        // A busy machine may need longer than a tick for a fit, and then the next tick has it.
        let knows = |decision: &Decision| decision.claims[0].event_need.is_some();
        if second < 115 {
            assert!(!knows(&decision) && !knows(&opinion), "not before a minute after it was declared");
        }
        assert!(decision.guarded >= before.reactive_need(), "it goes on answering: {decision:?}");
        seen.push((knows(&decision), knows(&opinion)));
        answers.push((decision.guarded, opinion.guarded));
    }
    assert_eq!(seen.last(), Some(&(true, true)), "{seen:?}");
    let (guarded, opinion) = *answers.last().unwrap();
    assert_eq!(guarded, opinion, "{answers:?}");
    // At 4.5 times of what is usual, in shadow too.
    assert!(guarded.unwrap().0 > 4 * before.reactive_need().unwrap().0, "{answers:?}");

    cluster.declare(Declared::default());
    let after = walk(&mut one, 300..420).await;
    assert_eq!(after.claims[0].event_need, None, "taken back");
    assert!(after.guarded.unwrap().0 < 2 * before.reactive_need().unwrap().0, "{after:?}");
}

#[tokio::test]
async fn a_first_decision_waits_until_it_is_known_what_is_declared_and_not_for_ever() {
    let (source, cluster) = (Source::new(21), Arc::new(Cluster::default()));
    let mut worker = listening(&source, &cluster);
    for second in (0..45).step_by(15) {
        assert!(worker.tick(at(second)).await.is_none(), "at {second}");
    }
    cluster.declare(launch(60, -600));
    let decision = decided(&mut worker, 45).await;
    assert!(decision.claims[0].event_need.is_some(), "{decision:?}");
    let mut blind = listening(&source, &Arc::new(Cluster::default()));
    for second in (0..60).step_by(15) {
        assert!(blind.tick(at(second)).await.is_none(), "at {second}");
    }
    assert!(blind.tick(at(60)).await.is_some(), "the start-up grace is over");
}
