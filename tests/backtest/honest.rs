//! Nobody but perfect foresight sees past a moment, and the same input gives the same outcome.

use std::ops::ControlFlow;
use std::time::Duration;

use chrono::TimeDelta;
use tidetable::decision::Policy;
use tidetable::series::Series;
use tidetable::simulate::backtest::{Conditions, Course, Foresight, Keep, Ours, Reactive, Run, Who};
use tidetable::simulate::{FineLoad, Within};
use tidetable::time::Step;
use tidetable::units::{Load, Quantile};
use tidetable::{guard, plan};

use super::fixture::{self, at};
use super::fortnight::{recorded, replayed, to_the_end};

const DAY: (&str, &str) = ("2026-05-15T04:00:00Z", "2026-05-16T04:00:00Z");

#[test]
fn points_after_a_moment_never_change_a_decision_at_it() {
    let moment = at("2026-05-15T16:00:00Z");
    let known = recorded(15);
    let mut otherwise = known.clone();
    let step = known.step();
    for (slot, load) in known.points().filter(|(slot, _)| step.start(*slot) >= moment) {
        otherwise.put(slot, Load::saturating(load.get() * 3.0));
    }
    let tested = at(DAY.0)..at(DAY.1);
    let (one, other) =
        (replayed(&known, tested.clone(), &to_the_end), replayed(&otherwise, tested, &to_the_end));
    // Load is smooth across the border of two bins, so the minute before the moment already leans towards what comes.
    let syncs = 12 * 240 - 4;
    for (one, other) in one.contenders.iter().zip(&other.contenders) {
        if one.who != Who::Foresight {
            assert_eq!(one.setting, other.setting, "{:?}", one.who);
            let differs = (0..syncs).find(|sync| one.replicas[*sync] != other.replicas[*sync]);
            assert_eq!(differs, None, "{:?}", one.who);
        }
    }
    let ours = |outcome: &tidetable::simulate::backtest::Outcome| {
        outcome.contenders[0].replicas[syncs + 40..].to_vec()
    };
    assert_ne!(ours(&one), ours(&other), "what comes later is another load, and is borne");
}

/// Twenty replicas are needed, and from the middle on fifty.
#[test]
fn what_no_query_has_seen_yet_asks_for_nothing() {
    let first = Step::MINUTE.slot_of(at("2026-05-15T04:01:00Z"));
    let mut recorded = Series::empty(Step::MINUTE, first);
    for slot in 0..240 {
        recorded.put(first.plus(slot), Load::saturating(if slot < 120 { 2_400.0 } else { 6_000.0 }));
    }
    let load = FineLoad::of(&recorded, Within::Smooth);
    for age in [30, 300] {
        let conditions = Conditions { age: Duration::from_secs(age), ..fixture::conditions() };
        let policy = Policy {
            plan: plan::Options {
                lead_time: Duration::from_secs(120),
                quantile: Quantile::P95,
                growth: conditions.growth(),
            },
            guard: guard::Options::active(conditions.min, conditions.max),
        };
        let rises = Step::MINUTE.start(first.plus(120));
        let course =
            Course::over(rises - TimeDelta::hours(1)..rises + TimeDelta::hours(1), &load, &conditions);
        let lags = (Duration::from_secs(120), Duration::from_secs(86_400));
        let ours =
            Ours::new("load".into(), policy, conditions.capacity, &recorded, lags, course.synced_at(0), 1);
        let run = Run::new(ours, &course, Keep::EachSync, Duration::from_secs(120)).to_the_end(&course);
        let first_hour =
            Course::over(rises - TimeDelta::hours(1)..rises - TimeDelta::minutes(5), &load, &conditions);
        let foresight = Foresight::of(&first_hour, lags.0, &conditions.growth());
        let foreseen = Run::new(foresight, &first_hour, Keep::Score, lags.0).to_the_end(&first_hour);
        assert!(foreseen.score.failed.abs() < 1e-9, "who stands from the first has served from the first");
        let asked: Vec<u32> = run.replicas.iter().map(|(asked, _)| *asked).collect();
        // The minute before already leans towards what comes.
        let seen = 240 - 4 + usize::try_from(age / 15).unwrap();
        assert!(asked[40..seen].iter().all(|asked| *asked == 20), "{age}: {:?}", &asked[40..seen]);
        assert!(asked[seen + 12] >= 50, "{age}: {}", asked[seen + 12]);
    }
}

#[test]
fn a_replay_that_begins_in_a_hole_begins_with_what_the_load_after_it_needs() {
    let first = Step::MINUTE.slot_of(at("2026-05-15T04:01:00Z"));
    let mut recorded = Series::empty(Step::MINUTE, first);
    for slot in (0..30).chain(60..120) {
        recorded.put(first.plus(slot), Load::saturating(2_400.0));
    }
    let (load, conditions) = (FineLoad::of(&recorded, Within::Smooth), fixture::conditions());
    let hole = Step::MINUTE.start(first.plus(40));
    let course = Course::over(hole..hole + TimeDelta::hours(1), &load, &conditions);
    let reactive = Reactive { capacity: conditions.capacity, utilization: 0.8 };
    let run = Run::new(reactive, &course, Keep::EachSync, fixture::LEAD_TIME).to_the_end(&course);
    // Twenty bear it, and at four fifths it is twenty-five.
    assert!(run.replicas.iter().all(|(asked, ready)| (*asked, *ready) == (25, 25)), "{:?}", run.replicas);
    assert!(run.score.failed.abs() < 1e-9);
}

#[test]
fn the_same_input_gives_the_same_outcome_on_one_thread_and_on_many() {
    let known = recorded(15);
    let tested = at("2026-05-15T12:00:00Z")..at("2026-05-15T18:00:00Z");
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| replayed(&known, tested.clone(), &to_the_end))
    };
    assert_eq!(with(1), with(3));
}

#[test]
fn who_ends_it_keeps_what_is_done_and_all_of_them_stop_there() {
    let known = recorded(15);
    let tested = at(DAY.0)..at(DAY.1);
    let whole = replayed(&known, tested.clone(), &to_the_end);
    let ended = replayed(&known, tested, &|done| {
        if done >= at("2026-05-15T09:00:00Z") { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(ended.syncs > 0 && ended.syncs < whole.syncs, "{} of {}", ended.syncs, whole.syncs);
    for (ended_one, whole_one) in ended.contenders.iter().zip(&whole.contenders) {
        assert_eq!(ended_one.replicas.len(), ended.syncs, "{:?}", ended_one.who);
        if ended_one.who != Who::Foresight {
            assert_eq!(ended_one.replicas[..], whole_one.replicas[..ended.syncs], "{:?}", ended_one.who);
        }
    }
}
