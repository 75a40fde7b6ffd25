//! How long a year takes: `cargo bench --bench backtest [-- DAYS]`.
//!
//! A year of generated payments by the minute, a fit a day, a sync every quarter minute, on one thread: ours and the five
//! it is compared with. The peer in the same run is the reading of every minute's load by each contender once.

use std::hint::black_box;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use chrono_tz::Tz;
use tidetable::calendar::Almanac;
use tidetable::decision::Policy;
use tidetable::forecast::forecaster;
use tidetable::guard::{self, Mode};
use tidetable::plan;
use tidetable::series::Series;
use tidetable::simulate::backtest::{Conditions, Course, Fit, Outcome, Setup, replay};
use tidetable::simulate::hpa::Behavior;
use tidetable::simulate::{FineLoad, StartUp, Traffic, Within, traffic};
use tidetable::time::{Slot, Step, Timestamp};
use tidetable::units::{Load, LoadPerReplica, Quantile, Replicas};

const ZONE: Tz = Tz::America__New_York;
const LEAD_TIME: Duration = Duration::from_secs(120);
const TRAINING_DAYS: i64 = 28;

fn main() {
    // Cargo hands its own flags on.
    let days = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(365);
    let end: Timestamp = "2026-06-27T00:00:00Z".parse().expect("an instant");
    let begin = end - TimeDelta::days(days);
    let recorded = recorded(begin - TimeDelta::days(TRAINING_DAYS), end);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("one thread");
    let (outcome, replayed, read) = pool.install(|| timed(&recorded, begin, end, days));
    println!("{days} days, {} syncs, {} contenders, one thread", outcome.syncs, outcome.contenders.len());
    println!("replayed in {:.1} s, read once in {:.2} s", replayed.as_secs_f64(), read.as_secs_f64());
    for contender in &outcome.contenders {
        let tally = contender.score.tally;
        let name = contender.who.name();
        println!("  {name:<14} late {:>9.1}, hours {:>9.1}", tally.late_pod_minutes, tally.replica_hours);
    }
}

fn recorded(from: Timestamp, until: Timestamp) -> Series {
    let traffic = Traffic::new(traffic::Options::new(7, ZONE, "2026-06-26".parse().expect("a date")));
    let step = Step::MINUTE;
    let (first, end) = (step.last_ended(from).next(), step.last_ended(until).next());
    let mut series = Series::empty(step, first);
    for slot in (first.0..end.0).map(Slot) {
        series.put(slot, Load::saturating(traffic.mean_rate(step.end(slot), 60)));
    }
    series
}

fn timed(recorded: &Series, begin: Timestamp, end: Timestamp, days: i64) -> (Outcome, Duration, Duration) {
    let conditions = conditions();
    let policy = Policy {
        plan: plan::Options {
            lead_time: LEAD_TIME,
            quantile: Quantile::P95,
            growth: plan::Growth::default(),
        },
        guard: guard::Options {
            min: conditions.min,
            max: conditions.max,
            scale_down_hold: Duration::from_secs(60),
            stale_after: Duration::from_secs(180),
            mode: Mode::Active,
            floor: guard::Floor::Reactive,
            hold: None,
        },
    };
    let step = recorded.step();
    let fit = |day: i64| {
        let origin = begin + TimeDelta::days(day - 1);
        Fit { origin: step.last_ended(origin).next(), in_force: origin + TimeDelta::minutes(3) }
    };
    let fits: Vec<Fit> = (0..=days).map(fit).filter(|fit| fit.in_force < end).collect();
    let training = (begin - TimeDelta::days(TRAINING_DAYS))..begin;
    let tested = begin..end;

    let begun = now();
    let load = FineLoad::of(recorded, Within::Wandering { seed: 7 });
    let outcome = replay(
        &Setup {
            target: &Arc::from("payments-api"),
            policy: &policy,
            tolerance: guard::Tolerance::default(),
            zone: ZONE,
            settle_lag: Duration::from_secs(120),
            memory: Duration::from_secs(3 * 86_400),
            history: Duration::from_secs(56 * 86_400),
            recorded,
            load: &load,
            conditions: &conditions,
            training: &training,
            tested: &tested,
            fits: &fits,
            forecaster: &*forecaster(&Almanac::none(ZONE), &Arc::default()),
            quantiles: &[],
            utilization: 1.0,
            utilizations: &[0.7, 0.8, 0.9],
            kappa: 39.0,
        },
        &|_| ControlFlow::Continue(()),
    );
    let replayed = now() - begun;

    let begun = now();
    let course = Course::over(tested, &load, &conditions);
    for _ in &outcome.contenders {
        black_box((0..course.syncs()).filter_map(|sync| course.needed(sync)).max());
    }
    (outcome, replayed, now() - begun)
}

fn conditions() -> Conditions {
    Conditions {
        capacity: LoadPerReplica::try_new(120.0).expect("a capacity"),
        min: Replicas(3),
        max: Replicas(200),
        start_up: StartUp::Fixed(LEAD_TIME),
        pods_per_minute: None,
        behavior: Some(Behavior::recommended()),
        tolerance: 0.1,
        queue: Duration::from_secs(5),
        load_per: Duration::from_secs(1),
        rate_window: Duration::from_secs(60),
        age: Duration::from_secs(30),
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench measures by the wall clock")]
fn now() -> Instant {
    Instant::now()
}
