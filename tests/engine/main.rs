//! A worker through its life, over ports that are fakes of ours: no network, no real time.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]
#![expect(clippy::disallowed_methods, reason = "a test that waits for a disk waits in real time")]

mod cluster;
mod fixture;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tidetable::decision::PUBLISH_DELAY;
use tidetable::engine::{Ended, Label};
use tidetable::forecast::HORIZON;
use tidetable::guard::{Mode, Rule, Rung};
use tidetable::history::Archive;
use tidetable::time::Step;
use tidetable::units::Quantile;

use fixture::*;

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
async fn what_is_wrong_with_a_source_stands_beside_what_is_published_until_it_answers_again() {
    let source = Source::new(21);
    source.set(Mood::Refuses);
    let (mut worker, shared) = worker(&source, Mode::Active);
    let trouble = || {
        let published = shared.board.table().published("payments-api").unwrap();
        published.trouble().map(ToString::to_string)
    };
    assert_eq!(trouble(), None);
    let mut following = shared.board.table().subscribe("payments-api").unwrap();
    following.mark_unchanged();
    assert!(worker.tick(at(0)).await.is_none(), "there is nothing to decide by");
    assert_eq!(trouble().as_deref(), Some("the source is down"));
    assert!(!following.has_changed().unwrap(), "nobody is woken for it");
    source.set(Mood::Answers);
    decided(&mut worker, 15).await;
    assert_eq!(decided(&mut worker, 30).await.rung, Rung::Planned);
    assert_eq!(trouble(), None);
    source.set(Mood::Refuses);
    assert!(worker.tick(at(45)).await.is_some(), "it goes on answering");
    assert_eq!(trouble().as_deref(), Some("the source is down"));
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
async fn who_shares_a_query_fills_the_archive_day_by_day_and_fits_what_others_fit() {
    let folder = tempfile::tempdir().unwrap();
    let archive = || Archive::try_new(folder.path(), Duration::from_secs(800 * 86_400)).unwrap();
    let source = Source::new(40);
    let mut target = Arc::unwrap_or_clone(target(Mode::Active));
    target.demands[0].label = Some(Label { name: "deployment".into(), content: "payments-api".into() });
    let target = Arc::new(target);
    let longest = || std::mem::take(&mut *source.asked.lock().unwrap()).into_iter().max().unwrap();

    let (mut without, _) = worker_for(Arc::clone(&target), &source);
    let plan = decided(&mut without, 0).await;
    assert!(longest() > 20 * 1_440, "without an archive weeks are read at once");
    let (mut first, _) = worker_with(Arc::clone(&target), &source, Some(archive()));
    assert_eq!(decided(&mut first, 0).await.plan(), plan.plan());
    // What a decision looks at is three days; of the rest no more than a day is asked for at a time.
    let asked = std::mem::take(&mut *source.asked.lock().unwrap());
    assert!(asked.iter().filter(|slots| **slots == 1_440).count() >= 20, "{asked:?}");
    assert!(asked.iter().all(|slots| *slots <= 3 * 1_440), "{asked:?}");
    // Who comes later finds the days, and asks for what is not archived yet.
    let (mut second, _) = worker_with(target, &source, Some(archive()));
    assert_eq!(decided(&mut second, 0).await.plan(), plan.plan());
    assert!(longest() <= 3 * 1_440);
}

#[tokio::test]
async fn an_answer_that_the_source_doubts_is_decided_on_and_counted_as_such() {
    let source = Source::new(21);
    let (mut worker, shared) = worker(&source, Mode::Active);
    walk(&mut worker, 0..60).await;
    source.set(Mood::Doubts);
    assert_eq!(walk(&mut worker, 60..120).await.rung, Rung::Planned);
    let trouble = || {
        let published = shared.board.table().published("payments-api").unwrap();
        published.trouble().map(ToString::to_string)
    };
    assert_eq!(trouble().as_deref(), Some("store c is down"));
    let mut registry = prometheus_client::registry::Registry::default();
    shared.metrics.register(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    let counted = "fetches_total{target=\"payments-api\",call=\"instant\",outcome=\"degraded\"} 4";
    assert!(text.contains(counted), "{text}");
    source.set(Mood::Answers);
    walk(&mut worker, 120..180).await;
    assert_eq!(trouble(), None);
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
