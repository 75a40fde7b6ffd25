//! How long a year takes: `cargo bench --bench backtest [-- DAYS [THREADS]]`.
//!
//! A year of generated payments by the minute, a fit a day, a sync every quarter minute, on one thread if no more are given:
//! ours and the five it is compared with. The peer in the same run is the reading of every minute's load by each contender once.

#[path = "../tests/backtest/fixture.rs"]
mod fixture;

use std::hint::black_box;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use fixture::{at, conditions, payments, replayed};
use tidetable::series::Series;
use tidetable::simulate::backtest::{Course, Fit, Outcome};
use tidetable::simulate::{FineLoad, Within};
use tidetable::time::Timestamp;

const TRAINING_DAYS: i64 = 28;

fn main() {
    // Cargo hands its own flags on.
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse().ok());
    let days = numbers.next().unwrap_or(365);
    let threads = numbers.next().map_or(1, |threads| usize::try_from(threads).unwrap_or(1).max(1));
    let end = at("2026-06-27T00:00:00Z");
    let begin = end - TimeDelta::days(days);
    let recorded = payments("2026-06-26", begin - TimeDelta::days(TRAINING_DAYS)..end);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    let (outcome, replayed, read) = pool.install(|| timed(&recorded, begin, end, days));
    println!(
        "{days} days, {} syncs, {} contenders, {threads} threads",
        outcome.syncs,
        outcome.contenders.len()
    );
    println!("replayed in {:.1} s, read once in {:.2} s", replayed.as_secs_f64(), read.as_secs_f64());
    for contender in &outcome.contenders {
        let tally = contender.score.tally;
        let name = contender.who.name();
        println!("  {name:<14} late {:>9.1}, hours {:>9.1}", tally.late_pod_minutes, tally.replica_hours);
    }
}

fn timed(recorded: &Series, begin: Timestamp, end: Timestamp, days: i64) -> (Outcome, Duration, Duration) {
    let step = recorded.step();
    let fit = |day: i64| {
        let origin = begin + TimeDelta::days(day - 1);
        Fit { origin: step.last_ended(origin).next(), in_force: origin + TimeDelta::minutes(3) }
    };
    let fits: Vec<Fit> = (0..=days).map(fit).filter(|fit| fit.in_force < end).collect();
    let training = (begin - TimeDelta::days(TRAINING_DAYS))..begin;
    let tested = begin..end;

    let begun = now();
    let outcome = replayed(recorded, &training, &tested, &fits, &|_| ControlFlow::Continue(()));
    let replayed = now() - begun;

    let load = FineLoad::of(recorded, Within::Smooth);
    let conditions = conditions();
    let begun = now();
    let course = Course::over(tested, &load, &conditions);
    for _ in &outcome.contenders {
        black_box((0..course.syncs()).filter_map(|sync| course.needed(sync)).max());
    }
    (outcome, replayed, now() - begun)
}

#[expect(clippy::disallowed_methods, reason = "a bench measures by the wall clock")]
fn now() -> Instant {
    Instant::now()
}
