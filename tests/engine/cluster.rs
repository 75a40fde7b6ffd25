//! What a cluster shows and what is declared in it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidetable::calendar::{Almanac, Envelope, Event, Uplift};
use tidetable::decision::Decision;
use tidetable::engine::{
    ClusterView, Declared, Demand, LeadTime, ScaleUpFrom, ScaledObject, Supply, Target, Worker,
};
use tidetable::forecast::forecaster;
use tidetable::guard::{self, Mode, Rule};
use tidetable::history::Recent;
use tidetable::plan::{ScaleUp, ScaleUpPolicy, Select, Unit};
use tidetable::time::Timestamp;
use tidetable::units::Replicas;

use crate::fixture::*;

/// A cluster in which pods take as many seconds as the number says, 0 where nobody knows, in which that is declared, and whose HPA
/// climbs so.
#[derive(Debug, Default)]
struct Cluster(AtomicI64, Mutex<Option<Declared>>, Mutex<Option<ScaleUp>>);

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

    fn scale_up(&self, _: &ScaledObject) -> Option<ScaleUp> {
        self.2.lock().unwrap().clone()
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
    listening_for(target(Mode::Shadow), source, cluster)
}

fn listening_for(target: Arc<Target>, source: &Arc<Source>, cluster: &Arc<Cluster>) -> TestWorker {
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
        // What it will need is said with the first decision that knows it, and not with the next look at the whole horizon.
        assert_eq!(knows(&decision), !decision.prospects.is_empty(), "at {second}: {decision:?}");
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

#[tokio::test]
async fn a_climb_begins_as_early_as_the_rules_that_the_hpa_shows_make_it() {
    let source = Source::new(21);
    let four_a_minute = ScaleUp::Policies {
        select: Select::Max,
        policies: vec![ScaleUpPolicy { unit: Unit::Pods, amount: 4, period: Duration::from_secs(60) }],
    };
    // What stands for a launch a quarter of an hour before it begins.
    let ahead_of_it = async |from: ScaleUpFrom, shown: Option<&ScaleUp>| {
        let cluster = Arc::new(Cluster::default());
        cluster.declare(launch(1200, 0));
        *cluster.2.lock().unwrap() = shown.cloned();
        let target = Target { scale_up: from, ..Target::clone(&target(Mode::Shadow)) };
        let mut worker = listening_for(Arc::new(target), &source, &cluster);
        let decision = walk(&mut worker, 0..300).await;
        (decision.guarded.unwrap().0, decision.reactive_need().unwrap().0)
    };
    let (usual, need) = ahead_of_it(ScaleUpFrom::Hpa, None).await;
    let (slow, _) = ahead_of_it(ScaleUpFrom::Hpa, Some(&four_a_minute)).await;
    let (said, _) = ahead_of_it(ScaleUpFrom::Configured, Some(&four_a_minute)).await;
    assert_eq!((usual, said), (need, need), "tenfold in a sync, by default or as configured: not yet");
    // 4.5 times the need at 4 a minute, lead time and all: some 60 of them are still to come.
    assert!(slow > need, "{slow} for {need}");
}
