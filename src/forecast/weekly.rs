//! The first honest forecaster: a week on the wall clock, moved by the newest points, with conformal quantiles.
//!
//! ```text
//! f(o, k) = (S(k)·L + c) · exp( Σ aᵢ(k−o)·uᵢ(o) ) − c          q_τ = f + s_τ(k−o, f)·√((f + c)·m)
//! ```
//!
//! S is the shape of the week ([`super::profile`]), L the level at the fit, u how unusual the present is and a how much of
//! that is believed at this lead ([`super::level`]), s the score quantile ([`super::conformal`]), m the mean, c = 3 % of it.
//! a and s are learned at leads of 1, 2, 4, … slots and read on the line between those, in the logarithm of the lead.
//!
//! It knows no calendar and no event; a holiday is a bad day for it. It refuses to forecast from less than
//! [`NEEDED_HOURS`] of measurements.

use std::ops::Range;

use chrono_tz::Tz;

use super::conformal::{Miss, Scale, Spread};
use super::level::{Base, Lesson, Sum, Unusual, Windows, learn, moved};
use super::profile::{self, Sums};
use super::{Components, Error, Fitted, Forecast, Forecaster, HORIZON, Known, REFIT_EVERY};
use crate::series::Series;
use crate::time::{LocalClock, Slot, Step};
use crate::units::Quantile;

/// A week to repeat and three days on which to find out how well it repeats.
const NEEDED_HOURS: i64 = 240;

/// How much of the past errors are learned from: long enough for four of each weekday, short enough to follow drift.
const LEARN_DAYS: i64 = 28;

/// Past forecasts to learn from at each lead. More did not change the third digit of the loss.
const LESSONS: i64 = 2_000;

/// Share of the mean level that is added before ratios are taken.
const OFFSET_SHARE: f64 = 0.03;

/// The forecaster of the customers' week.
#[derive(Debug, Clone, Copy)]
pub struct Weekly {
    /// Whose wall clock the week follows.
    pub timezone: Tz,
}

/// A fitted week.
#[derive(Debug)]
struct FittedWeek {
    step: Step,
    base: Base,
    windows: Windows,
    offset: f64,
    /// By lead, ascending.
    leads: Vec<Lead>,
}

/// What was learned at one lead.
#[derive(Debug)]
struct Lead {
    slots: i64,
    weights: [f64; 3],
    spread: Spread,
}

impl Forecaster for Weekly {
    fn fit(&self, history: &Series, origin: Slot) -> Result<Box<dyn Fitted>, Error> {
        let step = history.step();
        let sums = Sums::of(history, origin);
        let measured = history.until(origin).measured_count();
        let measured_hours = i64::try_from(measured).unwrap_or(i64::MAX) * step.seconds() / 3_600;
        let level = profile::level(&sums, origin, step);
        let (Some(level), true) = (level, measured_hours >= NEEDED_HOURS) else {
            return Err(Error::TooShort { measured_hours, needed_hours: NEEDED_HOURS });
        };

        let day = slots(step, 86_400);
        let horizon = step.slots_in(HORIZON);
        let learn_from = origin.plus(-LEARN_DAYS * day).max(history.first().plus(profile::week(step)));
        let base_from = learn_from.plus(-day);
        let base_until = origin.plus(horizon + 2 * step.slots_in(REFIT_EVERY) + 1);
        let clock = LocalClock::over(
            self.timezone,
            step.start(base_from) - chrono::TimeDelta::days(80),
            step.end(base_until),
        );
        let shape = profile::shape(history, &sums, origin, base_from..base_until, &clock);

        let mean = sums.mean(learn_from..origin).unwrap_or(level).max(f64::MIN_POSITIVE);
        let scale = Scale { mean, offset: OFFSET_SHARE * mean };
        let windows = Windows::of(step);
        let past = Past::new(history, &sums, &shape, base_from..origin, windows, scale);
        let leads = lead_slots(horizon).map(|lead| past.learn(lead, learn_from..origin)).collect();

        let keep = usize::try_from(origin.since(base_from) - day).unwrap_or(0);
        let loads = shape[keep..].iter().map(|shape| shape * level).collect();
        let base = Base { first: origin.plus(-day), loads };
        Ok(Box::new(FittedWeek { step, base, windows, offset: scale.offset, leads }))
    }
}

fn slots(step: Step, seconds: i64) -> i64 {
    (seconds + step.seconds() - 1) / step.seconds()
}

/// 1, 2, 4, … and the horizon itself.
fn lead_slots(horizon: i64) -> impl Iterator<Item = i64> {
    std::iter::successors(Some(1), |lead| Some(lead * 2))
        .take_while(move |lead| *lead < horizon)
        .chain([horizon])
}

/// The distance between lessons: about [`LESSONS`] of them in `span`, and without a common divisor with the slots of a
/// day, so that every minute of the hour and of the day is among them. At a stride of 20 minutes three minutes of each
/// hour would be all that is ever learned from, and a burst at another one would be missed.
fn stride(span: i64, day: i64) -> i64 {
    let divides = |divisor: i64, number: i64| number % divisor == 0;
    let coprime =
        |stride: &i64| (2..=*stride).all(|divisor| !(divides(divisor, *stride) && divides(divisor, day)));
    let least = (span / LESSONS).max(1);
    (least..2 * least + 2).find(coprime).unwrap_or(least)
}

/// What past forecasts are replayed from.
struct Past<'a> {
    history: &'a Series,
    sums: &'a Sums,
    shape: &'a [f64],
    first: Slot,
    /// Load, shape and count of the measured slots before each slot from `first` on.
    before: Vec<[f64; 3]>,
    windows: Windows,
    scale: Scale,
    refit: i64,
}

impl<'a> Past<'a> {
    fn new(
        history: &'a Series,
        sums: &'a Sums,
        shape: &'a [f64],
        slots: Range<Slot>,
        windows: Windows,
        scale: Scale,
    ) -> Self {
        let mut before = vec![[0.0; 3]];
        let mut last = [0.0; 3];
        for (slot, shape) in (slots.start.0..slots.end.0).map(Slot).zip(shape) {
            if let Some(load) = history.load(slot) {
                last = [last[0] + load, last[1] + shape, last[2] + 1.0];
            }
            before.push(last);
        }
        let refit = history.step().slots_in(REFIT_EVERY);
        Self { history, sums, shape, first: slots.start, before, windows, scale, refit }
    }

    /// Learns at `lead` from targets in `targets`, evenly spread.
    fn learn(&self, lead: i64, targets: Range<Slot>) -> Lead {
        let stride = stride(targets.end.since(targets.start), slots(self.history.step(), 86_400));
        let lessons: Vec<Lesson> = (targets.start.0..targets.end.0)
            .step_by(usize::try_from(stride).unwrap_or(1))
            .filter_map(|target| self.lesson(Slot(target), lead))
            .collect();
        let weights = learn(&lessons, self.scale.offset);
        let misses: Vec<Miss> = lessons
            .iter()
            .map(|lesson| Miss {
                point: moved(lesson.usual, lesson.unusual.believed(&weights), self.scale.offset),
                load: lesson.load,
            })
            .collect();
        Lead { slots: lead, weights, spread: Spread::of(&misses, self.scale) }
    }

    /// What was forecast for `target` when it was `lead` slots ahead, but for the weights; `None` when it or its level
    /// was not measured.
    fn lesson(&self, target: Slot, lead: i64) -> Option<Lesson> {
        let load = self.history.load(target)?;
        let origin = target.plus(1 - lead);
        let fitted = Slot(origin.0.div_euclid(self.refit) * self.refit);
        let level = profile::level(self.sums, fitted, self.history.step())?;
        let shape = self.shape.get(usize::try_from(target.since(self.first)).ok()?)?;
        let sum = |window: i64| {
            let (low, high) = (self.before(origin.plus(-window)), self.before(origin));
            Sum { load: high[0] - low[0], usual: (high[1] - low[1]) * level, slots: high[2] - low[2] }
        };
        let Windows { fast, hour, day } = self.windows;
        let unusual = Unusual::from_sums([sum(day), sum(hour), sum(fast)], self.scale.offset);
        Some(Lesson { unusual, usual: shape * level, load })
    }

    fn before(&self, slot: Slot) -> [f64; 3] {
        let last = self.before.len() - 1;
        let index = usize::try_from(slot.since(self.first)).unwrap_or(0).min(last);
        self.before[index]
    }
}

impl Fitted for FittedWeek {
    fn forecast(&self, known: &Known<'_>, targets: Range<Slot>, levels: &[Quantile]) -> Option<Forecast> {
        let horizon = self.leads.last()?.slots;
        let live = known.live.filter(|live| self.step.slot_of(live.at) >= known.origin);
        let (newest, newest_at) = match live {
            // A slot that has only begun is not known yet: the one it lies in is still one step ahead.
            Some(live) => (self.step.last_ended(live.at), live.at),
            None => newest_measured(known.settled, known.origin, horizon)
                .map(|slot| (slot, self.step.end(slot)))?,
        };
        let reachable = targets.start >= known.origin
            && targets.end.since(known.origin) <= horizon
            && targets.start.since(newest) <= horizon
            && known.origin >= self.base.first
            && targets.end <= self.base.end();
        if !reachable {
            return None;
        }
        let unusual = Unusual::at(known.settled, &self.base, known.origin, live, self.offset, self.windows);
        let mut forecast = Forecast::new(newest_at, self.step, targets.start, levels.len());
        for target in (targets.start.0..targets.end.0).map(Slot) {
            let usual = self.base.at(target)?;
            let (near, far, share) = self.around(target.since(newest));
            let mix = |near: f64, far: f64| near + (far - near) * share;
            let weights = [0, 1, 2].map(|part| mix(near.weights[part], far.weights[part]));
            let point = moved(usual, unusual.believed(&weights), self.offset);
            let quantiles = levels
                .iter()
                .map(|level| mix(near.spread.reach(point, *level), far.spread.reach(point, *level)));
            forecast.push(
                quantiles,
                Components { profile: usual, level: point - usual, ..Components::default() },
            );
        }
        Some(forecast)
    }
}

/// The newest measured slot before `origin`, at most `reach` slots back: a lead counts from what was really seen.
fn newest_measured(settled: &Series, origin: Slot, reach: i64) -> Option<Slot> {
    (origin.0 - reach..origin.0).rev().map(Slot).find(|slot| settled.load(*slot).is_some())
}

impl FittedWeek {
    /// The leads learned on both sides of `lead`, and how far it lies between them in the logarithm.
    fn around(&self, lead: i64) -> (&Lead, &Lead, f64) {
        let last = self.leads.len() - 1;
        let after = self.leads.partition_point(|learned| learned.slots < lead).min(last);
        let (near, far) = (&self.leads[after.saturating_sub(1)], &self.leads[after]);
        if far.slots <= lead || near.slots >= lead {
            let exact = if far.slots <= lead { far } else { near };
            return (exact, exact, 0.0);
        }
        let share = (lead as f64 / near.slots as f64).ln() / (far.slots as f64 / near.slots as f64).ln();
        (near, far, share)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::units::Load;

    const LEVELS: [f64; 4] = [0.5, 0.9, 0.95, 0.99];

    fn levels() -> Vec<Quantile> {
        LEVELS.map(|level| Quantile::try_new(level).unwrap()).to_vec()
    }

    fn quarter_hour() -> Step {
        Step::try_new(Duration::from_secs(900)).unwrap()
    }

    /// `days` of a week with a nine o'clock wave in New York, from 1 October 2026, a month before the clocks change.
    fn history(days: i64, load: impl Fn(i64, i64) -> f64) -> Series {
        let step = quarter_hour();
        let first = step.slot_of("2026-10-01T04:15:00Z".parse().unwrap());
        let clock =
            LocalClock::over(Tz::America__New_York, step.start(first), step.end(first.plus(96 * days)));
        let mut series = Series::empty(step, first);
        for slot in (first.0..first.0 + 96 * days).map(Slot) {
            let local = clock.local_seconds(step.start(slot));
            series.put(slot, Load::saturating(load(local.div_euclid(86_400), local.rem_euclid(86_400))));
        }
        series
    }

    /// A quiet night, and from nine to five a day that is busier on Mondays (day 4 of the epoch was one).
    fn office(day: i64, second: i64) -> f64 {
        let busy = (9 * 3_600..17 * 3_600).contains(&second);
        let monday = (day - 4).rem_euclid(7) == 0;
        if busy { if monday { 300.0 } else { 200.0 } } else { 10.0 }
    }

    fn medians(series: &Series, origin: Slot, count: i64) -> Vec<f64> {
        let fitted = Weekly { timezone: Tz::America__New_York }.fit(series, origin).unwrap();
        let known = Known { settled: series, origin, live: None };
        let forecast = fitted.forecast(&known, origin..origin.plus(count), &levels()).unwrap();
        forecast.rows().map(|row| row.loads[0]).collect()
    }

    #[test]
    fn a_regular_week_is_repeated_on_the_wall_clock_across_the_change_to_winter_time() {
        let series = history(45, office);
        // Saturday 31 October 2026, noon: the night has 25 hours, and nine o'clock comes an hour later in UTC.
        let origin = series.step().slot_of("2026-10-31T16:15:00Z".parse().unwrap());
        for (ahead, median) in medians(&series, origin, 180).into_iter().enumerate() {
            let slot = origin.plus(i64::try_from(ahead).unwrap());
            let truth = series.load(slot).unwrap();
            assert!((median - truth).abs() < 0.02 * truth + 1.0, "{slot:?}: {median} for {truth}");
        }
    }

    #[test]
    fn points_after_the_origin_never_change_its_forecast() {
        let series =
            history(40, |day, second| office(day, second) * (1.0 + 0.1 * ((day * 31 + second) % 7) as f64));
        let origin = series.first().plus(96 * 30 + 37);
        assert_eq!(medians(&series, origin, 192), medians(&series.until(origin), origin, 192));
    }

    #[test]
    fn a_busier_hour_raises_the_near_future_more_than_the_far() {
        let mut series = history(40, office);
        let origin = series.step().slot_of("2026-11-05T16:15:00Z".parse().unwrap());
        let calm = medians(&series, origin, 192);
        for slot in (origin.0 - 8..origin.0).map(Slot) {
            series.put(slot, Load::saturating(400.0));
        }
        // In this history deviations never lasted, but for those that the noise below makes last.
        for (slot, load) in series.clone().points().filter(|(slot, _)| *slot < origin.plus(-8)) {
            let drift = 1.0 + 0.4 * ((slot.0 as f64) / 40.0).sin();
            series.put(slot, Load::saturating(load.get() * drift));
        }
        let raised = medians(&series, origin, 192);
        assert!(raised[0] > calm[0] * 1.4, "{} from {}", raised[0], calm[0]);
        assert!(raised[96] < calm[96] * 1.4, "{} from {}", raised[96], calm[96]);
    }

    #[test]
    fn too_short_a_history_is_an_answer_of_its_own() {
        let series = history(9, office);
        let error = Weekly { timezone: Tz::UTC }.fit(&series, series.end()).unwrap_err();
        assert_eq!(error, Error::TooShort { measured_hours: 216, needed_hours: 240 });
    }

    #[test]
    fn a_hole_before_the_origin_is_the_same_as_a_history_that_ends_there() {
        let whole = history(20, office);
        let origin = whole.end().plus(-12);
        let mut holed = whole.clone();
        (1..=7).for_each(|back| holed.mask(origin.plus(-back)));
        let ended = holed.until(origin.plus(-7));
        let rows = |series: &Series| {
            let fitted = Weekly { timezone: Tz::UTC }.fit(series, origin).unwrap();
            let known = Known { settled: series, origin, live: None };
            fitted.forecast(&known, origin..origin.plus(24), &[Quantile::MEDIAN, Quantile::P99]).unwrap()
        };
        assert_eq!(rows(&holed), rows(&ended));
    }

    #[test]
    fn beyond_the_horizon_and_before_the_origin_there_is_no_forecast() {
        let series = history(20, office);
        let origin = series.end();
        let fitted = Weekly { timezone: Tz::UTC }.fit(&series, origin).unwrap();
        let known = Known { settled: &series, origin, live: None };
        assert!(fitted.forecast(&known, origin..origin.plus(192), &levels()).is_some());
        assert!(fitted.forecast(&known, origin..origin.plus(193), &levels()).is_none());
        assert!(fitted.forecast(&known, origin.plus(-1)..origin.plus(5), &levels()).is_none());
    }

    #[test]
    fn every_minute_of_the_day_is_learned_from() {
        for (span, day) in [(40_320, 1_440), (8_064, 288), (1_344, 48), (672, 24), (28, 1)] {
            let stride = stride(span, day);
            let met: std::collections::BTreeSet<i64> =
                (0..span).step_by(usize::try_from(stride).unwrap()).map(|slot| slot % day).collect();
            assert_eq!(i64::try_from(met.len()).unwrap(), day.min(span / stride + 1), "{span}: {stride}");
        }
    }

    #[test]
    fn the_peak_of_a_recurring_minute_is_covered_wherever_the_fit_begins() {
        // A burst every twentieth minute of the office hours, large in one hour and small in the next.
        let step = Step::MINUTE;
        let first = Slot(29_500_000 / 1_440 * 1_440);
        let mut series = Series::empty(step, first);
        let mut mixed = 88_172_645_463_325_252_u64;
        for slot in (first.0..first.0 + 40 * 1_440).map(Slot) {
            mixed ^= mixed << 13;
            mixed ^= mixed >> 7;
            mixed ^= mixed << 17;
            let chance = (mixed >> 11) as f64 / (1_u64 << 53) as f64;
            let burst = if slot.0 % 20 == 7 { 300.0 * chance } else { 0.0 };
            series.put(slot, Load::saturating(100.0 + 5.0 * chance + burst));
        }
        for phase in [0, 7] {
            let origin = first.plus(38 * 1_440 + phase);
            let fitted = Weekly { timezone: Tz::UTC }.fit(&series, origin).unwrap();
            let known = Known { settled: &series, origin, live: None };
            let forecast = fitted.forecast(&known, origin..origin.plus(2_000), &[Quantile::P95]).unwrap();
            let covered =
                forecast.rows().filter(|row| series.load(row.slot).unwrap() <= row.loads[0]).count();
            let share = covered as f64 / 2_000.0;
            assert!((0.93..0.985).contains(&share), "phase {phase}: {share}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn quantiles_never_cross_and_are_never_poison(
            scale in prop::sample::select(vec![0.0, 1e-9, 1.0, 1e9, 1e300]),
            holes in 0_u64..4,
            seed in any::<u64>(),
        ) {
            let mut mixed = seed | 1;
            let mut random = move || { mixed ^= mixed << 13; mixed ^= mixed >> 7; mixed ^= mixed << 17; mixed };
            let mut series = history(24, |day, second| scale * office(day, second));
            for slot in series.grid().slots() {
                match random() % 20 {
                    roll if roll < holes => series.mask(slot),
                    19 => series.put(slot, Load::saturating(scale * (random() % 5_000) as f64)),
                    _ => {}
                }
            }
            let origin = series.first().plus(96 * 16 + i64::try_from(seed % 500).unwrap());
            if let Ok(fitted) = (Weekly { timezone: Tz::Europe__London }).fit(&series, origin) {
                let known = Known { settled: &series, origin, live: None };
                let forecast = fitted.forecast(&known, origin..origin.plus(192), &levels()).unwrap();
                for row in forecast.rows() {
                    prop_assert!(row.loads.iter().all(|load| load.is_finite() && *load >= 0.0));
                    prop_assert!(row.loads.is_sorted());
                }
            }
        }
    }
}
