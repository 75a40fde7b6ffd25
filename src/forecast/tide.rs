//! The forecaster: the customers' days and weeks, moved by the newest points, with calibrated quantiles.
//!
//! ```text
//! history ─▶ Lattice ─▶ Usual ─▶ Day (L, N) ──replay──▶ Spread        the next two days, every six hours
//!                                   │
//!                                   └──▶ Base ─▶ Lead (S, N, last, D) ──replay──▶ Pools      the next six hours, every tick
//! ```
//!
//! A fit is a pure function of history before its origin, the origin and the almanac: it replays its own past to learn
//! whom to believe and how wide to be, and carries nothing over from the fit before. So replicas agree, and a replica that
//! starts now answers what an old one answers.

use super::day::{self, Day};
use super::fitted::{Cell, FittedTide};
use super::lattice::Lattice;
use super::near;
use super::reading::Present;
use super::recent::Replayed;
use super::replay::{base, misses, sized};
use super::rest::Rest;
use super::shape::Shape;
use super::spread::Spread;
use super::usual::{Seen, Usual};
use super::{
    Blend, Error, Explanation, Fitted, Forecaster, HORIZON, Part, REFIT_EVERY, Refusal, Shares, Unfit,
};
use crate::calendar::Almanac;
use crate::series::Series;
use crate::time::Slot;

/// Less than this has not even a night and a day in it. From there on the forecast grows with history: the same time
/// yesterday, then the day's profile, the week's, and after a few weeks everything.
const NEEDED_HOURS: i64 = 24;

/// The forecaster of this product.
#[derive(Debug, Clone)]
pub struct Tide {
    /// Whose wall clock, and which days are not like others.
    pub almanac: Almanac,
}

impl Tide {
    /// A forecaster that learns from all of history.
    pub fn new(almanac: Almanac) -> Self {
        Self { almanac }
    }
}

impl Forecaster for Tide {
    fn fit(&self, history: &Series, origin: Slot) -> Result<Box<dyn Fitted>, Error> {
        let step = history.step();
        let measured = history.measured_before(origin);
        let measured_hours = i64::try_from(measured).unwrap_or(i64::MAX) * step.seconds() / 3_600;
        if measured_hours < NEEDED_HOURS {
            return Err(Error::TooShort { measured_hours, needed_hours: NEEDED_HOURS });
        }
        let end = origin.plus(step.slots_in(HORIZON) + 2 * step.slots_in(REFIT_EVERY) + 1);
        let lattice = Lattice::of(history, origin, end, &self.almanac);
        let usual = Usual::of(&lattice, lattice.origin.saturating_sub(day::SEEN_DAYS * lattice.wall.day));
        let day = Day::learn(&usual);
        let rest = Rest::learn(&usual);
        let shape = Shape::learn(history, origin, &lattice);
        let spread = Spread::of(&misses(history, &usual, &day, &shape));

        let now = Present::of(Seen::at(&usual, lattice.origin));
        let mut cells = Vec::with_capacity(lattice.len() - lattice.origin);
        for target in lattice.origin..lattice.len() {
            let reading = now.read(target);
            let opinion = day.now.opinion(&reading);
            let mut sized = sized(&lattice, &reading, &opinion);
            sized.point = rest.drawn(&usual, target, now.seen.level, sized.point);
            let size = spread.size(&sized);
            let usual = reading.usual;
            cells.push(Cell { point: sized.point, size, usual, closed: rest.closed(&lattice, target) });
        }
        let base = base(history.first().min(origin)..end, origin, (&usual, &day), (&cells, &shape));
        let loads = base.first.0..origin.0;
        let counts = |slot: Slot| lattice.used[lattice.wall.cell(slot)];
        let load = |slot: Slot| history.load(slot).filter(|_| counts(slot)).map(|load| load / lattice.scale);
        let past = Replayed::of(&base, loads.map(|slot| load(Slot(slot))).collect());
        let time = |slot: Slot| lattice.wall.time(slot);
        let (leads, most) = near::learn(&base, &past, time);
        let explanation = explanation(origin, &lattice, &day, &rest, &leads);
        let tide =
            FittedTide::new(origin..end, &lattice, &rest, (&cells, spread), (&base, leads, most), shape);
        Ok(Box::new(tide.explained(explanation)))
    }
}

/// Who is asked of the days and of the hours, and who is not.
fn explanation(origin: Slot, lattice: &Lattice, day: &Day, rest: &Rest, leads: &[near::Lead]) -> Explanation {
    let wall = &lattice.wall;
    let step = wall.step;
    let begun = lattice.slot(lattice.begun(), 0).unwrap_or(origin);
    let learned_from = |days: i64| {
        let first = origin.plus(-days * 86_400 / step.seconds()).max(begun);
        step.start(first)..step.start(origin)
    };
    let measured_hours = (lattice.origin - lattice.begun()) * 24 / wall.day;
    let day_shares = [day.now.share, 1.0 - day.now.share].to_vec();
    let days = Blend {
        part: Part::Days,
        learned_from: learned_from(day::L_DAYS.into()),
        judged: day.replayed_from().is_some(),
        candidates: &day::NAMES,
        shares: vec![Shares { lead: HORIZON, shares: day_shares }],
    };
    let at = |lead: &near::Lead| Shares {
        lead: step.duration() * u32::try_from(lead.slots).unwrap_or(u32::MAX),
        shares: lead.shares.to_vec(),
    };
    let hours = Blend {
        part: Part::Hours,
        learned_from: learned_from(near::SEEN_DAYS),
        judged: leads.iter().all(|lead| lead.judged),
        candidates: &near::NAMES,
        shares: leads.iter().map(at).collect(),
    };
    let mut refusals = Vec::new();
    let needed_hours = 7 * 24;
    if measured_hours < needed_hours {
        let why = Unfit::TooShort { measured_hours, needed_hours };
        refusals.push(Refusal { candidate: "week_profile", why });
    }
    let seen = leads.iter().map(|lead| lead.lessons).min().unwrap_or(0);
    if seen < near::ENOUGH {
        let why = Unfit::TooFew { seen, needed: near::ENOUGH };
        refusals.extend([near::NAMES[0], near::NAMES[1]].map(|candidate| Refusal { candidate, why }));
    }
    refusals.extend(rest.unseen(lattice).map(|candidate| Refusal { candidate, why: Unfit::NeverSeen }));
    Explanation { blends: vec![days, hours], refusals, slumped: lattice.slumped, ..Explanation::default() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use chrono::Weekday;
    use chrono_tz::Tz;
    use proptest::prelude::*;

    use super::*;
    use crate::calendar::{BusinessDays, Calendar, Closures};
    use crate::forecast::{Forecast, Known, Observation};
    use crate::time::{LocalClock, Step};
    use crate::units::{Load, Quantile};

    const ZONE: Tz = Tz::America__New_York;
    const DAY: i64 = 48;

    fn half_hour() -> Step {
        Step::try_new(Duration::from_secs(1_800)).unwrap()
    }

    fn levels() -> Vec<Quantile> {
        [0.5, 0.9, 0.95, 0.99].map(|level| Quantile::try_new(level).unwrap()).to_vec()
    }

    fn tide() -> Tide {
        Tide::new(Almanac::none(ZONE))
    }

    /// `days` of a week by the wall clock of New York, from 1 October 2026, a month before the clocks change.
    fn history(days: i64, load: impl Fn(i64, i64) -> f64) -> Series {
        history_from(half_hour().slot_of("2026-10-01T04:30:00Z".parse().unwrap()), days, load)
    }

    fn history_from(first: Slot, days: i64, load: impl Fn(i64, i64) -> f64) -> Series {
        let step = half_hour();
        let clock = LocalClock::over(ZONE, step.start(first), step.end(first.plus(DAY * days)));
        let mut series = Series::empty(step, first);
        for slot in (first.0..first.0 + DAY * days).map(Slot) {
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

    fn rough(day: i64, second: i64) -> f64 {
        office(day, second) * (1.0 + 0.1 * ((day * 31 + second / 1_800 * 17) % 7) as f64)
    }

    fn forecast(series: &Series, origin: Slot, count: i64) -> Forecast {
        let fitted = tide().fit(series, origin).unwrap();
        let known = Known { settled: series, origin, live: None };
        fitted.forecast(&known, origin..origin.plus(count), &levels()).unwrap()
    }

    fn medians(series: &Series, origin: Slot, count: i64) -> Vec<f64> {
        forecast(series, origin, count).rows().map(|row| row.loads[0]).collect()
    }

    #[test]
    fn a_regular_week_is_repeated_on_the_wall_clock_across_the_change_to_winter_time() {
        let series = history(45, office);
        // Saturday 31 October 2026, noon: the night has 25 hours, and nine o'clock comes an hour later in UTC.
        let origin = series.step().slot_of("2026-10-31T16:30:00Z".parse().unwrap());
        for (ahead, median) in medians(&series, origin, 90).into_iter().enumerate() {
            let slot = origin.plus(i64::try_from(ahead).unwrap());
            let truth = series.load(slot).unwrap();
            assert!((median - truth).abs() < 0.02 * truth + 1.0, "{slot:?}: {median} for {truth}");
        }
    }

    #[test]
    fn fits_and_forecasts_are_made_from_every_slot_of_the_nights_on_which_the_clocks_change() {
        let step = half_hour();
        for (night, days) in [("2026-03-08", 30), ("2026-11-01", 30), ("2026-11-01", 2)] {
            let dusk = step.slot_of(format!("{night}T02:00:00Z").parse().unwrap());
            let begun = dusk.plus(-DAY * days);
            let series = history_from(begun, days + 6, office);
            // The night itself, and the fits whose last slots lie in it.
            for fitted_at in (3..15).chain(-115..-109) {
                let origin = dusk.plus(fitted_at);
                let Ok(fitted) = tide().fit(&series, origin) else { continue };
                for later in [0, 1, 2, 5, 25] {
                    let origin = origin.plus(later);
                    let known = Known { settled: &series, origin, live: None };
                    let forecast = fitted.forecast(&known, origin..origin.plus(96), &levels());
                    let forecast = forecast.unwrap_or_else(|| panic!("{night} {fitted_at} {later}"));
                    if days < 8 {
                        continue;
                    }
                    for row in forecast.rows() {
                        let truth = series.load(row.slot).unwrap();
                        assert!(
                            (row.loads[0] - truth).abs() < 0.02 * truth + 1.0,
                            "{fitted_at} {row:?}: {truth}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn points_after_the_origin_never_change_its_forecast() {
        let series = history(40, rough);
        let origin = series.first().plus(DAY * 30 + 17);
        assert_eq!(forecast(&series, origin, 96), forecast(&series.until(origin), origin, 96));
    }

    #[test]
    fn the_parts_add_up_to_the_median() {
        let series = history(40, rough);
        for row in forecast(&series, series.end(), 96).rows() {
            let parts = row.components.profile + row.components.day + row.components.level;
            assert!(
                (parts - row.loads[0]).abs() < 1e-6 * row.loads[0] + 1e-9,
                "{parts} for {}",
                row.loads[0]
            );
        }
    }

    #[test]
    fn ten_hours_after_a_fit_the_newest_hours_still_count() {
        let usual = history(40, rough);
        let origin = usual.first().plus(DAY * 30);
        let fitted = tide().fit(&usual, origin).unwrap();
        let (from, next) = (origin.plus(20), origin.plus(28));
        let mut busy = usual.clone();
        for (slot, load) in usual.loads(from..next) {
            busy.put(slot, Load::saturating(1.5 * load));
        }
        let median = |settled: &Series| {
            let known = Known { settled, origin: next, live: None };
            fitted.forecast(&known, next..next.next(), &levels()).unwrap().rows().next().unwrap().loads[0]
        };
        assert!(median(&busy) > 1.1 * median(&usual), "{} after {}", median(&busy), median(&usual));
    }

    #[test]
    fn a_hole_before_the_origin_is_the_same_as_a_history_that_ends_there() {
        let whole = history(20, rough);
        let origin = whole.end().plus(-12);
        let mut holed = whole.clone();
        (1..=7).for_each(|back| holed.mask(origin.plus(-back)));
        let ended = holed.until(origin.plus(-7));
        assert_eq!(forecast(&holed, origin, 24), forecast(&ended, origin, 24));
    }

    #[test]
    fn beyond_the_horizon_and_before_the_origin_there_is_no_forecast() {
        let series = history(20, office);
        let origin = series.end();
        let fitted = tide().fit(&series, origin).unwrap();
        let known = Known { settled: &series, origin, live: None };
        assert!(fitted.forecast(&known, origin..origin.plus(96), &levels()).is_some());
        assert!(fitted.forecast(&known, origin..origin.plus(97), &levels()).is_none());
        assert!(fitted.forecast(&known, origin.plus(-1)..origin.plus(5), &levels()).is_none());
    }

    #[test]
    fn some_days_after_traffic_moved_away_it_is_not_expected_back() {
        let moved = |day: i64| {
            history(45, move |at, second| rough(at, second) * if at >= 20_727 + day { 0.02 } else { 1.0 })
        };
        // What is forecast of two days as a share of what was usual; 1 October 2026 is day 20,727 of the epoch.
        let expected = |series: &Series, days: i64| {
            let origin = series.first().plus(DAY * days);
            let said: f64 = medians(series, origin, 96).iter().sum();
            said / (0..96).filter_map(|ahead| history(45, rough).load(origin.plus(ahead))).sum::<f64>()
        };
        let away = moved(28);
        for days in [33, 34, 38, 43] {
            let share = expected(&away, days);
            assert!(share < 0.2, "{share} of the usual {} days later", days - 28);
        }
        for days in [29, 31] {
            assert!(expected(&away, days) > 0.7, "a long weekend that nobody wrote down ends again");
        }
    }

    /// Nobody works on Friday and Saturday.
    fn friday_and_saturday() -> Almanac {
        let weekend = vec![Weekday::Fri, Weekday::Sat];
        let days = BusinessDays::try_new(&Closures { weekend, ..Closures::default() }).unwrap();
        let calendar = Calendar {
            name: "weekend".into(),
            title: "Friday and Saturday".into(),
            source: "this test".into(),
            valid_until: None,
            zone: ZONE,
            days: Some(Arc::new(days)),
            exchange: None,
            recurrences: Vec::new(),
        };
        Almanac::none(ZONE).with_calendars([Arc::new(calendar)])
    }

    #[test]
    fn a_weekend_of_friday_and_saturday_is_learned_as_one() {
        let load = |day: i64, second: i64| {
            let rests = [1, 2].contains(&day.rem_euclid(7));
            if rests { 20.0 } else { rough(day, second) }
        };
        let series = history(20, load);
        // The first weeks of a service, where the days of a class tell more than the one same weekday.
        let missed = |almanac: Almanac| -> f64 {
            let origins = (8..18).map(|days| series.first().plus(DAY * days));
            let tide = Tide::new(almanac);
            let miss = origins.map(|origin| {
                let known = Known { settled: &series, origin, live: None };
                let fitted = tide.fit(&series, origin).unwrap();
                let forecast = fitted.forecast(&known, origin..origin.plus(DAY), &levels()).unwrap();
                let rows = forecast.rows();
                rows.map(|row| (row.loads[0] - series.load(row.slot).unwrap()).abs()).sum::<f64>()
            });
            miss.sum()
        };
        let (own, usual) = (missed(friday_and_saturday()), missed(Almanac::none(ZONE)));
        assert!(own < 0.8 * usual, "{own} with its own weekend, {usual} with the usual one");
    }

    #[test]
    fn less_than_a_day_is_an_answer_of_its_own() {
        let series = history(1, office).until(half_hour().slot_of("2026-10-02T02:30:00Z".parse().unwrap()));
        let error = tide().fit(&series, series.end()).unwrap_err();
        assert_eq!(error, Error::TooShort { measured_hours: 22, needed_hours: 24 });
    }

    #[test]
    fn a_service_one_two_or_eight_days_old_has_a_forecast_that_is_less_sure() {
        let width = |days: i64| {
            let series = history(days, rough);
            let rows = forecast(&series, series.end(), 48);
            rows.rows().map(|row| row.loads[2] - row.loads[0]).sum::<f64>()
        };
        let widths = [1, 2, 8, 40].map(width);
        assert!(widths.iter().all(|width| *width > 0.0), "{widths:?}");
        assert!(widths[0] > 1.5 * widths[3], "{widths:?}");
        // The same time yesterday is what a day-old service is forecast by.
        let series = history(2, office);
        let day: f64 = medians(&series, series.end(), 48).iter().sum();
        assert!((day / 3_520.0 - 1.0).abs() < 0.35, "{day}");
    }

    #[test]
    fn a_live_surge_raises_the_next_slots() {
        let series = history(40, rough);
        let origin = series.end();
        let fitted = tide().fit(&series, origin).unwrap();
        let at = |load: f64| {
            let live = Observation { at: half_hour().end(origin), load: Load::saturating(load) };
            let known = Known { settled: &series, origin, live: Some(live) };
            let next = origin.plus(1)..origin.plus(2);
            fitted.forecast(&known, next, &levels()).unwrap().rows().next().unwrap().loads[2]
        };
        assert!(at(1_000.0) >= at(10.0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
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
            let origin = series.first().plus(DAY * 2 + i64::try_from(seed % 900).unwrap());
            if let Ok(fitted) = tide().fit(&series, origin) {
                let known = Known { settled: &series, origin, live: None };
                let forecast = fitted.forecast(&known, origin..origin.plus(96), &levels()).unwrap();
                for row in forecast.rows() {
                    prop_assert!(row.loads.iter().all(|load| load.is_finite() && *load >= 0.0));
                    prop_assert!(row.loads.is_sorted());
                }
            }
        }
    }
}
