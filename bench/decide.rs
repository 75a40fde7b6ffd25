//! What a target costs in time: one fit, one tick, one forecast of 48 hours.
//!
//! Each group has a peer that is measured in the same run, so that a noisy machine shows up in both: reading every slot
//! of the same history once.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;
use criterion::{Criterion, criterion_group, criterion_main};
use tidetable::calendar::Almanac;
use tidetable::config::Library;
use tidetable::decision::{Evidence, Policy, State, decide};
use tidetable::forecast::{Forecaster, Known, Observation, forecaster};
use tidetable::guard;
use tidetable::plan;
use tidetable::series::Series;
use tidetable::time::{LocalClock, Slot, Step, Timestamp};
use tidetable::units::{Load, LoadPerReplica, Quantile, Replicas};

/// A payments-like week with noise, ending at a fixed instant.
fn history(step_seconds: u64, days: i64) -> Series {
    let step = Step::try_new(Duration::from_secs(step_seconds)).expect("a legal step");
    let end: Timestamp = "2026-11-20T12:00:00Z".parse().expect("an instant");
    let last = step.last_ended(end).next();
    let first = last.plus(-(days * 86_400 / step.seconds()));
    let clock = LocalClock::over(Tz::America__New_York, step.start(first), end);
    let mut series = Series::empty(step, first);
    let mut mixed = 88_172_645_463_325_252_u64;
    for slot in (first.0..last.0).map(Slot) {
        mixed ^= mixed << 13;
        mixed ^= mixed >> 7;
        mixed ^= mixed << 17;
        let noise = 0.95 + 0.1 * (mixed >> 11) as f64 / (1_u64 << 53) as f64;
        let local = clock.local_seconds(step.start(slot));
        let hour = local.rem_euclid(86_400) as f64 / 3_600.0;
        let weekend = (local.div_euclid(86_400) + 3).rem_euclid(7) >= 5;
        let wave = 1.0 + ((hour - 9.0) * std::f64::consts::PI / 12.0).sin();
        series.put(slot, Load::saturating((200.0 + if weekend { 300.0 } else { 900.0 } * wave) * noise));
    }
    series
}

/// All that `serve` learns with: the day, the minutes, hygiene; no calendars.
fn whole() -> Arc<dyn Forecaster> {
    forecaster(&Almanac::none(Tz::America__New_York), &Arc::default())
}

/// The same with two pay days, of which one is the day that history ends on.
fn paid() -> Arc<dyn Forecaster> {
    let library = Library::shipped();
    let calendars = ["us-payroll-biweekly-a", "us-payroll-semi-monthly"]
        .map(|name| Arc::clone(library.calendar(name).expect("a shipped calendar")));
    forecaster(&Almanac::none(Tz::America__New_York).with_calendars(calendars), &Arc::default())
}

fn policy(growth: plan::Growth) -> Policy {
    Policy {
        plan: plan::Options { lead_time: Duration::from_secs(120), quantile: Quantile::P95, growth },
        guard: guard::Options::active(Replicas(3), Replicas(200)),
    }
}

fn fit(criterion: &mut Criterion) {
    let whole = whole();
    for (name, series) in [("8 weeks at 1 min", history(60, 56)), ("13 months at 5 min", history(300, 395))] {
        let mut group = criterion.benchmark_group(format!("fit, {name}"));
        group.sample_size(20);
        group.bench_function("fit", |bench| bench.iter(|| whole.fit(black_box(&series), series.end())));
        group.bench_function("peer: one pass over the history", |bench| {
            bench.iter(|| black_box(&series).points().map(|(_, load)| load.get()).sum::<f64>())
        });
        group.finish();
    }
}

fn tick(criterion: &mut Criterion) {
    let series = history(60, 56);
    let [model, paid] =
        [whole(), paid()].map(|whole| whole.fit(&series, series.end()).expect("enough history"));
    // What serve keeps between fits.
    let series = series.between(series.end().plus(-3 * 1_440), series.end());
    let now = series.step().start(series.end()) + Duration::from_secs(120);
    let live = Observation { at: now, load: Load::saturating(1_234.0) };
    let (target, demand) = (Arc::from("payments-api"), Arc::from("tx"));
    let mut group = criterion.benchmark_group("tick");
    let four_a_minute = plan::Growth { pods_per_minute: Some(4.0), ..plan::Growth::default() };
    for (name, model, growth) in [
        ("decide", &model, plan::Growth::default()),
        ("decide, four pods a minute", &model, four_a_minute),
        ("decide on a pay day", &paid, plan::Growth::default()),
    ] {
        let evidence = [Evidence {
            demand: &demand,
            capacity: LoadPerReplica::try_new(60.0).expect("a capacity"),
            settled: &series,
            provisional: None,
            live: Some(live),
            model: Some(model.as_ref()),
        }];
        let policy = policy(growth);
        group.bench_function(name, |bench| {
            bench.iter(|| decide(&target, now, black_box(&evidence), &policy, &State::default()))
        });
    }
    group.bench_function("forecast of 48 h, 4 quantiles", |bench| {
        let levels = [0.5, 0.9, 0.95, 0.99].map(|level| Quantile::try_new(level).expect("a level"));
        let origin = series.end();
        let known = Known { settled: &series, origin, live: Some(live) };
        bench.iter(|| model.forecast(black_box(&known), origin..origin.plus(2_880), &levels))
    });
    group.bench_function("peer: one pass over a day of history", |bench| {
        let end = series.end();
        bench.iter(|| black_box(&series).mean(end.plus(-1_440), end))
    });
    group.finish();
}

criterion_group!(benches, fit, tick);
criterion_main!(benches);
