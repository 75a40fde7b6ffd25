//! The minutes ahead on days that are not like others: the two on which the clock changes, and loads of every kind, by the
//! minute and with everything that decides by default.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

use std::sync::Arc;

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Timelike};
use chrono_tz::Tz;
use tidetable::calendar::Almanac;
use tidetable::config::Library;
use tidetable::forecast::{Fitted, Known, Observation, forecaster};
use tidetable::series::Series;
use tidetable::time::{Slot, Step, Timestamp};
use tidetable::units::{Load, Quantile};

const ZONE: Tz = Tz::America__New_York;
const STEP: Step = Step::MINUTE;
/// A lead of two minutes, and the sync and scrape on top.
const AHEAD: TimeDelta = TimeDelta::seconds(165);

fn midnight(date: NaiveDate) -> Timestamp {
    date.and_hms_opt(0, 0, 0).unwrap().and_local_timezone(ZONE).earliest().unwrap().to_utc()
}

/// A service that works from four in the morning to eight in the evening of its clock, every day: load by the local time.
fn by_the_clock(local: DateTime<Tz>) -> f64 {
    let minute = f64::from(local.hour() * 60 + local.minute());
    match minute {
        240.0..1_200.0 => 600.0 + 300.0 * ((minute - 240.0) / 960.0 * std::f64::consts::PI).sin(),
        _ => 6.0,
    }
}

/// So many days of `load` up to `end`, with a little noise.
fn recorded(days: i64, end: Timestamp, load: impl Fn(DateTime<Tz>) -> f64) -> Series {
    let until = STEP.last_ended(end).next();
    let mut series = Series::empty(STEP, until.plus(-days * 1_440));
    let mut mixed = 88_172_645_463_325_252_u64;
    for slot in (until.0 - days * 1_440..until.0).map(Slot) {
        mixed ^= mixed << 13;
        mixed ^= mixed >> 7;
        mixed ^= mixed << 17;
        let noise = 0.96 + 0.08 * (mixed >> 11) as f64 / (1_u64 << 53) as f64;
        let local = STEP.start(slot).with_timezone(&ZONE);
        series.put(slot, Load::saturating(load(local) * noise));
    }
    series
}

/// What is seen and said at `now`: the newest measurement, and the median and 0.99 quantile of the window to come.
fn said(model: &dyn Fitted, series: &Series, now: Timestamp) -> (f64, [f64; 2]) {
    let origin = STEP.last_ended(now - TimeDelta::seconds(120)).next();
    let newest = series.load(STEP.last_ended(now - TimeDelta::seconds(30))).unwrap();
    let known = Known {
        settled: series,
        origin,
        live: Some(Observation { at: now, load: Load::saturating(newest) }),
    };
    let mut loads = [Load::ZERO; 2];
    let levels = [Quantile::MEDIAN, Quantile::try_new(0.99).unwrap()];
    model.peak(&known, now + AHEAD, &levels, &mut loads).expect("a nowcast");
    (newest, loads.map(Load::get))
}

/// Walks a day on which the clock changes by the quarter of an hour, and its opening by the quarter of a minute.
fn check_day(date: &str, hours: i64) {
    let date: NaiveDate = date.parse().unwrap();
    let (begin, end) = (midnight(date), midnight(date.succ_opt().unwrap()));
    assert_eq!((end - begin).num_hours(), hours);
    let series = recorded(22, end, by_the_clock);
    for fitted_at in
        [begin - TimeDelta::hours(3), begin + TimeDelta::minutes(90), begin + TimeDelta::minutes(150)]
    {
        let origin = STEP.last_ended(fitted_at).next();
        let model = forecaster(&Almanac::none(ZONE), &Arc::default()).fit(&series, origin).unwrap();
        let mut now = fitted_at + TimeDelta::minutes(3);
        let opening = |now: Timestamp| {
            let local = (now + AHEAD).with_timezone(&ZONE);
            (local.hour(), local.minute()) == (4, 1)
        };
        let mut opened = 0;
        // A fit is renewed before it is a day old.
        while now < (end - AHEAD).min(fitted_at + TimeDelta::hours(24)) {
            let (newest, [median, high]) = said(model.as_ref(), &series, now);
            // It speaks of the minute that ends in the middle of what pods asked for now serve first.
            let spoken_of = now + AHEAD - TimeDelta::seconds(22);
            let seconds = (0..60).map(|back| (spoken_of - TimeDelta::seconds(back)).with_timezone(&ZONE));
            let comes = seconds.map(by_the_clock).sum::<f64>() / 60.0;
            assert!(median.is_finite() && high >= median, "{now}: {median}, {high}");
            if opening(now) {
                // What is seen is the night, what is foreseen the day.
                assert!(newest < 10.0 && high >= 0.9 * comes, "{now}: seen {newest}, said {high} of {comes}");
                opened += 1;
            } else if now.with_timezone(&ZONE).minute().rem_euclid(15) == 7 {
                assert!(high >= 0.97 * comes && high <= 1.25 * comes + 12.0, "{now}: {high} of {comes}");
            }
            now += TimeDelta::seconds(15);
        }
        assert!(opened >= 3, "{opened}");
    }
}

#[test]
fn on_the_day_of_23_hours_the_opening_is_foreseen_by_the_clock() {
    check_day("2026-03-08", 23);
}

#[test]
fn on_the_day_of_25_hours_the_opening_is_foreseen_by_the_clock() {
    check_day("2026-11-01", 25);
}

#[test]
fn at_midnight_demand_does_not_fall_because_the_two_days_look_back_on_different_weeks() {
    // Christmas and New Year were Fridays and the days around them quiet. Four weeks on, a Friday is like the Fridays that were no
    // holidays, all of them busy, and the Saturday after it like two busy ones and two quiet ones.
    let quiet = |date: NaiveDate| {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        (day("2026-12-24")..=day("2027-01-03")).contains(&date)
    };
    // By day it comes in batches, on each weekday at other hours, so what its own weeks had is worth more than the newest minutes.
    let around_the_clock = |local: DateTime<Tz>| {
        let own = local.hour() % 7 == local.weekday().num_days_from_monday();
        let batch = (4..20).contains(&local.hour()) && own && local.minute() % 30 < 20;
        let load = if batch { 1_500.0 } else { 1_000.0 };
        if quiet(local.date_naive()) { 0.5 * load } else { load }
    };
    let begin = midnight("2027-01-23".parse().unwrap());
    let series = recorded(56, begin + TimeDelta::hours(4), around_the_clock);
    let almanac = Almanac::none(ZONE).with_calendars(Library::shipped().calendar("us-fed").cloned());
    let origin = STEP.last_ended(begin - TimeDelta::hours(12)).next();
    let model = forecaster(&almanac, &Arc::default()).fit(&series, origin).unwrap();
    for minute in -30..200 {
        let now = begin + TimeDelta::minutes(minute);
        let (_, [median, high]) = said(model.as_ref(), &series, now);
        assert!((940.0..1_060.0).contains(&median) && high > 1_000.0, "{now}: {median}, {high}");
    }
}

#[test]
fn a_batch_at_midnight_comes_at_its_own_size() {
    // Working days are alike and weekends are not, so each night two days look back on different ones; and each night a batch that is
    // ten times the evening runs for a quarter of an hour.
    let nightly = |local: DateTime<Tz>| {
        let works = local.weekday().num_days_from_monday() < 5 && (8..20).contains(&local.hour());
        match (local.hour(), local.minute()) {
            (0, 0..15) => 3_000.0,
            _ if works => 900.0,
            _ => 300.0,
        }
    };
    for date in ["2026-06-10", "2026-06-13", "2026-06-15"] {
        let begin = midnight(date.parse().unwrap());
        let series = recorded(40, begin + TimeDelta::hours(4), nightly);
        let origin = STEP.last_ended(begin - TimeDelta::hours(12)).next();
        let model = forecaster(&Almanac::none(ZONE), &Arc::default()).fit(&series, origin).unwrap();
        for minute in -1..11 {
            let now = begin + TimeDelta::minutes(minute);
            let (_, [median, high]) = said(model.as_ref(), &series, now);
            assert!((2_750.0..3_250.0).contains(&median) && high >= 2_950.0, "{now}: {median}, {high}");
        }
    }
}

#[test]
fn strange_loads_have_quantiles_that_are_finite_and_in_order() {
    let end = midnight("2026-06-10".parse().unwrap()) + TimeDelta::hours(13);
    let whole = recorded(10, end, by_the_clock);
    for name in ["constant", "nothing", "young", "counts", "giant", "dwarf", "wrapped", "dead"] {
        let mut series = Series::empty(STEP, whole.first());
        for (slot, load) in whole.points() {
            let index = slot.since(whole.first());
            let load = match name {
                "constant" => 42.0,
                "nothing" => 0.0,
                "counts" => (index * 2_654_435_761 % 101 * (index % 3) / 90) as f64,
                "giant" => 1e9 * load.get(),
                "dwarf" => 1e-9 * load.get(),
                "wrapped" if index % 900 == 0 => 1.8e19,
                "dead" if index > 12_000 => 0.0,
                _ => load.get(),
            };
            if name != "young" || index > 10 * 1_440 - 3 * 1_440 - 30 {
                series.put(slot, Load::saturating(load));
            }
        }
        let origin = series.end();
        let model = forecaster(&Almanac::none(ZONE), &Arc::default()).fit(&series, origin).unwrap();
        let expected = match name {
            "constant" => 41.0..44.0,
            "nothing" => 0.0..1e-6,
            // What is usual has not been forgotten yet.
            "dead" => 0.0..5.0,
            "giant" => 6e11..1.3e12,
            "dwarf" => 6e-7..1.3e-6,
            "young" | "wrapped" => 600.0..1_300.0,
            _ => 0.0..10.0,
        };
        for live in [None, Some(0.0), Some(1e12)] {
            let live = live.map(|load| Observation { at: STEP.end(origin), load: Load::saturating(load) });
            let known = Known { settled: &series, origin, live };
            let levels = [0.5, 0.9, 0.95, 0.99, 0.9999].map(|level| Quantile::try_new(level).unwrap());
            let mut loads = [Load::ZERO; 5];
            let peak = model.peak(&known, STEP.end(origin.plus(2)), &levels, &mut loads);
            let peak = peak.unwrap_or_else(|| panic!("{name}: a nowcast"));
            assert!(loads.is_sorted_by(|a, b| a.get() <= b.get()), "{name}: {loads:?}");
            assert!(loads.iter().all(|load| load.get().is_finite()), "{name}: {loads:?}");
            if live.is_none() {
                assert!(expected.contains(&loads[2].get()), "{name}: {loads:?}");
                assert!(peak.point.get() <= loads[3].get() + 1e-9, "{name}: {peak:?} {loads:?}");
            }
        }
    }
}
