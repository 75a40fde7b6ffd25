//! Bursts that nobody announced, and the days without any: what the surge rule buys and what it costs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use rayon::prelude::*;
use tidetable::calendar::Almanac;
use tidetable::decision::{Evidence, Policy, State, decide};
use tidetable::forecast::{Fitted, Forecast, Forecaster, Known, Nowcasting, Observation, Peak, Tide};
use tidetable::guard::{self, Floor};
use tidetable::plan;
use tidetable::series::Series;
use tidetable::simulate::hpa::{Behavior, Hpa, Metric, Reading, Spec};
use tidetable::simulate::{FineLoad, Pods, StartUp, Tally, Within};
use tidetable::time::{Slot, Step, Timestamp};
use tidetable::units::{Load, LoadPerReplica, Quantile, Replicas};

const CAPACITY: f64 = 10.0;
const TWO_MINUTES: Duration = Duration::from_secs(120);

/// Midnight after the days that are learned from.
fn midnight() -> Timestamp {
    "2026-11-25T00:00:00Z".parse().unwrap()
}

/// Fifteen days by the minute: a day wave between 60 and 140 with as much noise as real minutes have, times what `burst` makes of the last day's seconds.
fn recorded(burst: impl Fn(f64) -> f64) -> Series {
    let first = Step::MINUTE.slot_of(midnight() - TimeDelta::days(14)).next();
    let mut series = Series::empty(Step::MINUTE, first);
    let mut mixed = 88_172_645_463_325_252_u64;
    for slot in (first.0..first.0 + 15 * 1440).map(Slot) {
        let noise: f64 = (0..12)
            .map(|_| {
                mixed ^= mixed << 13;
                mixed ^= mixed >> 7;
                mixed ^= mixed << 17;
                (mixed >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
            })
            .sum();
        let second = (Step::MINUTE.end(slot) - midnight()).as_seconds_f64();
        let wave = 100.0 - 40.0 * (second / 86_400.0 * std::f64::consts::TAU).cos();
        let times = if second > 0.0 { burst(second) } else { 1.0 };
        series.put(slot, Load::saturating(wave * times * (1.0 + 0.05 * noise)));
    }
    series
}

/// A model that is never surprised, and otherwise says what the one within says.
#[derive(Debug)]
struct NeverSurprised<'a>(&'a dyn Fitted);

impl Fitted for NeverSurprised<'_> {
    fn inner(&self) -> Option<&dyn Fitted> {
        Some(self.0)
    }

    fn forecast(&self, known: &Known<'_>, targets: Range<Slot>, levels: &[Quantile]) -> Option<Forecast> {
        self.0.forecast(known, targets, levels)
    }

    fn peak(
        &self,
        known: &Known<'_>,
        until: Timestamp,
        levels: &[Quantile],
        loads: &mut [Load],
    ) -> Option<Peak> {
        let peak = self.0.peak(known, until, levels, loads);
        if let [_, _, unlikely @ ..] = loads {
            unlikely.fill(Load::saturating(f64::MAX));
        }
        peak
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Brain {
    /// The reactive floor alone.
    Reactive,
    /// The nowcast without the surge rule.
    NeverSurprised,
    /// Everything.
    Whole,
}

fn policy(lead_time: Duration) -> Policy {
    Policy {
        plan: plan::Options { lead_time, quantile: Quantile::P95, growth: plan::Growth::default() },
        guard: guard::Options {
            floor: Floor::Reactive,
            ..guard::Options::active(Replicas(1), Replicas(1000))
        },
    }
}

/// Walks the seconds of `span` after midnight, with pods that take so long to a second.
fn walk(recorded: &Series, span: Range<i64>, brain: Brain, lead_time: Duration) -> Tally {
    let load = FineLoad::of(recorded, Within::Wandering { seed: 7 });
    let capacity = LoadPerReplica::try_new(CAPACITY).unwrap();
    let origin = Step::MINUTE.last_ended(midnight() - TimeDelta::seconds(120)).next();
    let forecaster = Nowcasting {
        base: Arc::new(Tide::new(Almanac::none(chrono_tz::UTC))),
        almanac: Almanac::none(chrono_tz::UTC),
    };
    let whole = forecaster.fit(recorded, origin).unwrap();
    let never = NeverSurprised(whole.as_ref());
    let model: Option<&dyn Fitted> = match brain {
        Brain::Reactive => None,
        Brain::NeverSurprised => Some(&never),
        Brain::Whole => Some(whole.as_ref()),
    };
    // Up as fast as asked, as is recommended; down without a limit but the window, which makes lateness dearer to avoid.
    let behavior = Behavior { up: Behavior::recommended().up, down: Behavior::default().down };
    let mut hpa = Hpa::new(Spec {
        tolerance: 0.0,
        ..Spec::new(Replicas(1), Replicas(1000), Metric::REPLICAS, Some(behavior))
    });
    let name: Arc<str> = Arc::from("burst");
    let policy = policy(lead_time);
    let (mut pods, mut state, mut tally) = (None, State::default(), Tally::default());
    for second in span.step_by(15) {
        let now = midnight() + TimeDelta::seconds(second);
        let settled = recorded.until(Step::MINUTE.last_ended(now - TimeDelta::seconds(120)).next());
        let seen = load.mean_rate(now - TimeDelta::seconds(30), 60).map(Load::saturating);
        let evidence = [Evidence {
            demand: &name,
            capacity,
            settled: &settled,
            provisional: None,
            live: seen.map(|load| Observation { at: now, load }),
            model,
        }];
        let (decision, next) = decide(&name, now, &evidence, &policy, &state);
        state = next;
        let asked = decision.guarded.unwrap();
        let pods = pods.get_or_insert_with(|| Pods::new(now, asked, StartUp::Fixed(lead_time)));
        let scale = pods.scale(now);
        let outcome = hpa.sync(now, scale, &[Reading::Value(f64::from(asked.0))]);
        if let Some(desired) = outcome.desired().filter(|desired| *desired != scale.spec) {
            pods.scale_to(now, desired);
        }
        let needed = Replicas::bearing(Load::saturating(load.mean_rate(now, 60).unwrap()), capacity);
        tally.add(Duration::from_secs(15), needed, pods.ready(now), pods.status());
    }
    tally
}

/// A burst a little after ten o'clock: `times` within `rise` seconds, ten minutes of it, and as long down again as four times up.
fn burst(times: f64, rise: f64, after_ten: f64) -> impl Fn(f64) -> f64 {
    move |second| {
        let into = second - 36_000.0 - after_ten;
        let share = if into < rise { into / rise } else { 1.0 - (into - rise - 600.0) / (4.0 * rise) };
        1.0 + (times - 1.0) * if into < rise + 600.0 { share.clamp(0.0, 1.0) } else { share.max(0.0) }
    }
}

/// Late pod-minutes under each of the three, of one burst that begins at four moments between two looks.
fn late(times: f64, rise: f64) -> [f64; 3] {
    let brains = [Brain::Reactive, Brain::NeverSurprised, Brain::Whole];
    let mut late = [0.0; 3];
    for after_ten in [0.0, 4.0, 8.0, 12.0] {
        let recorded = recorded(burst(times, rise, after_ten));
        for (late, brain) in late.iter_mut().zip(brains) {
            *late += walk(&recorded, 35_000..39_600, brain, TWO_MINUTES).late_pod_minutes / 4.0;
        }
    }
    late
}

#[test]
fn unannounced_bursts_are_met_with_two_fifths_less_lateness_than_by_the_reactive_floor() {
    let sizes = [3.0, 5.0, 10.0, 20.0];
    let rises = [120.0, 180.0, 240.0, 300.0];
    let kinds: Vec<_> = sizes.iter().flat_map(|times| rises.map(|rise| (*times, rise))).collect();
    let left: Vec<_> = kinds
        .par_iter()
        .map(|(times, rise)| {
            let [alone, never, whole] = late(*times, *rise);
            println!(
                "x{times} in {rise} s: reactive {alone:.0}, nowcast {never:.0}, with the surge rule {whole:.0}"
            );
            // A burst that is over its rise before a pod can start leaves little to win: what is needed was needed already.
            assert!(whole <= 0.75 * alone, "x{times} in {rise} s: {whole} against {alone}");
            (whole, alone)
        })
        .collect();
    let mean = left.iter().map(|(whole, alone)| whole / alone).sum::<f64>() / left.len() as f64;
    let sum = |of: fn(&(f64, f64)) -> f64| left.iter().map(of).sum::<f64>();
    let in_sum = sum(|(whole, _)| *whole) / sum(|(_, alone)| *alone);
    println!("{mean:.2} of the reactive lateness in the mean, {in_sum:.2} in sum");
    assert!(mean <= 0.6 && in_sum <= 0.6, "{left:?}");
    // The steeper it is the larger, as they are mostly named; the steepest is more than half of them, of which the least can be won.
    let named = [(3.0, 300.0), (5.0, 240.0), (10.0, 180.0), (20.0, 120.0)];
    let named: Vec<_> = kinds.iter().zip(&left).filter(|(kind, _)| named.contains(kind)).collect();
    let sum = |of: fn(&(f64, f64)) -> f64| named.iter().map(|(_, left)| of(left)).sum::<f64>();
    let in_sum = sum(|(whole, _)| *whole) / sum(|(_, alone)| *alone);
    println!("of those named {in_sum:.2} in sum");
    assert!(named.len() == 4 && in_sum <= 0.65, "{named:?}");
}

#[test]
fn on_a_clean_day_the_surge_rule_costs_less_than_one_per_cent() {
    let recorded = recorded(|_| 1.0);
    let [never, whole] = [Brain::NeverSurprised, Brain::Whole]
        .map(|brain| walk(&recorded, 600..86_400, brain, TWO_MINUTES).replica_hours);
    println!("{never:.1} hours without, {whole:.1} with");
    assert!(whole <= 1.01 * never, "{whole} against {never}");
}

#[test]
fn pods_that_take_longer_than_minutes_are_foretold_follow_a_rise_as_well() {
    let recorded = recorded(burst(4.0, 1800.0, 0.0));
    let [alone, never, whole] = [Brain::Reactive, Brain::NeverSurprised, Brain::Whole]
        .map(|brain| walk(&recorded, 35_000..43_200, brain, Duration::from_secs(20 * 60)).late_pod_minutes);
    println!("reactive {alone:.0}, nowcast {never:.0}, with the surge rule {whole:.0}");
    assert!(whole <= 0.9 * never && whole <= 0.9 * alone, "{whole} against {never} and {alone}");
}
