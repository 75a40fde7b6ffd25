//! Calendars and events in the forecast, against traffic whose truth is known: what was declared is used until something
//! was seen, what was seen is recovered, and a launch that runs corrects itself.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use chrono::{Days, NaiveDateTime, TimeDelta};
use chrono_tz::Tz;
use proptest::prelude::*;
use rayon::prelude::*;
use tidetable::calendar::{self, Almanac, Calendar, Edge, Envelope, Event, Uplift};
use tidetable::config::Library;
use tidetable::decision::{Decision, Evidence, Policy, State, decide};
use tidetable::forecast::{
    Fitted, Forecast, Forecaster, Known, Observation, Tide, Weight, WithEffects, forecaster,
};
use tidetable::guard::{self, Mode, Rule};
use tidetable::plan;
use tidetable::series::Series;
use tidetable::simulate::Traffic;
use tidetable::simulate::traffic::{Fortnight, Options, Year};
use tidetable::time::{Slot, Step, Timestamp};
use tidetable::units::{Load, LoadPerReplica, Quantile, Replicas};

const ZONE: Tz = Tz::America__New_York;

fn minutes(step: u64) -> Step {
    Step::try_new(Duration::from_secs(60 * step)).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn level(level: f64) -> Quantile {
    Quantile::try_new(level).unwrap()
}

/// An event with an effect that grows, lasts and fades for so many minutes.
fn event(name: &str, at: Timestamp, [ramp, hold, decay]: [i64; 3], uplift: Option<[f64; 3]>) -> Event {
    let [ramp, hold, decay] = [ramp, hold, decay].map(TimeDelta::minutes);
    Event {
        name: name.into(),
        at,
        envelope: Envelope { lead: TimeDelta::zero(), ramp, hold, decay },
        uplift: uplift.map(|[lower, expected, upper]| Uplift::try_new(lower, expected, upper).unwrap()),
        peak: None,
        owner: None,
        ticket: None,
        cancelled: false,
        cut_short: None,
    }
}

fn fit(almanac: Almanac, history: &Series, origin: Slot) -> Box<dyn Fitted> {
    WithEffects { base: Tide::new(almanac.clone()), almanac }.fit(history, origin).unwrap()
}

fn forecast(model: &dyn Fitted, history: &Series, targets: Range<Slot>) -> Forecast {
    let known = Known { settled: history, origin: targets.start, live: None };
    model.forecast(&known, targets, &[0.05, 0.5, 0.9, 0.95, 0.99].map(level)).unwrap()
}

/// What each effect of the year is declared to be: its minutes, and a guess of its size that is wrong on purpose.
const DECLARED: [(&str, [i64; 3], [f64; 3]); 6] = [
    ("semi-monthly pay", [120, 30, 480], [1.1, 2.0, 3.5]),
    ("biweekly pay", [120, 60, 360], [1.0, 1.2, 1.6]),
    ("market open", [5, 5, 60], [1.1, 2.0, 4.0]),
    ("month end", [30, 240, 120], [1.0, 1.4, 3.0]),
    ("half day", [30, 300, 120], [0.3, 0.85, 1.0]),
    ("launch", [5, 30, 120], [2.0, 6.0, 12.0]),
];

/// Thirteen months of one generated world, with what its operator has written down: when banks and markets rest, as shipped,
/// and each effect, declared.
fn thirteen_months(seed: u64, fortnight: Fortnight) -> (Traffic, Year, Almanac) {
    let year = Year::thirteen_months(ZONE, fortnight);
    let events = DECLARED.iter().flat_map(|(name, envelope, uplift)| {
        let instants = year.effect(name).unwrap().at.clone();
        instants.into_iter().map(|at| event(name, at, *envelope, Some(*uplift)))
    });
    let almanac = Almanac::none(ZONE).with_calendars(shipped(&["us-fed", "nyse"])).with_events(events);
    let traffic = Traffic::new(Options::new(seed, ZONE, "2026-06-15".parse().unwrap()).in_year(year.clone()));
    (traffic, year, almanac)
}

fn shipped(names: &[&str]) -> Vec<Arc<Calendar>> {
    let library = Library::shipped();
    names.iter().map(|name| Arc::clone(library.calendar(name).unwrap())).collect()
}

fn recorded(traffic: &Traffic, step: Step, span: Range<Timestamp>) -> Series {
    let slots = step.slot_of(span.start).0..step.slot_of(span.end).0;
    let points: Vec<(Slot, Load)> = slots
        .map(|slot| (Slot(slot), Load::saturating(traffic.mean_rate(step.end(Slot(slot)), 60))))
        .collect();
    Series::from_points(step, &points).unwrap()
}

/// What the forecast says of one window beside the truth: the mean uplift of both, and the largest multiple of both.
#[derive(Debug)]
struct Recovered {
    uplift: [f64; 2],
    peak: [f64; 2],
}

impl Recovered {
    /// The window from `begin` on, in the slots in which the truth is more than a tenth of its most.
    fn of(name: &str, begin: Timestamp, year: &Year, forecast: &Forecast) -> Self {
        let effect = year.effect(name).unwrap();
        let open = year.effect("market open").unwrap();
        let (mut uplift, mut peak) = ([0.0; 2], [0.0_f64; 2]);
        for row in forecast.rows() {
            let middle = forecast.step().end(row.slot) - TimeDelta::seconds(30);
            if middle < begin || effect.uplift_at(middle).abs() < 0.1 * effect.surge.uplift.abs() {
                continue;
            }
            // The week holds the opening bell, so the forecast's effect is what comes on top of it.
            let truth = year.multiple(middle) / (1.0 + open.uplift_at(middle));
            let found = row.loads[1] / (row.loads[1] - row.components.effect);
            for (index, multiple) in [found, truth].into_iter().enumerate() {
                uplift[index] += multiple - 1.0;
                peak[index] = peak[index].max((multiple - 1.0).abs());
            }
        }
        Self { uplift, peak }
    }

    /// How far the worse of the two is off, as a part of the truth.
    fn off(&self) -> f64 {
        let off = |[found, truth]: [f64; 2]| (found / truth - 1.0).abs();
        off(self.uplift).max(off(self.peak))
    }
}

/// What is off by more than this is missed.
const NEAR: f64 = 0.15;

#[test]
fn after_six_occurrences_effects_are_recovered_within_15_percent_whichever_fridays_are_pay_days() {
    let step = minutes(5);
    let worlds = [7, 8, 9].into_iter().flat_map(|seed| [(seed, Fortnight::Even), (seed, Fortnight::Odd)]);
    let worlds: Vec<_> = worlds.collect();
    let found = worlds.par_iter().flat_map_iter(|(seed, fortnight)| {
        let (traffic, year, almanac) = thirteen_months(*seed, *fortnight);
        let history = recorded(&traffic, step, at("2025-12-01T05:00:00Z")..at("2026-12-10T05:00:00Z"));
        let learned = DECLARED.iter().filter(|(name, ..)| *name != "market open");
        let asked: Vec<_> = learned.flat_map(|(name, ..)| [(*name, 6), (*name, 8)]).collect();
        asked.into_iter().map(move |(name, occurrence)| {
            let begin = year.effect(name).unwrap().at[occurrence];
            let origin = step.slot_of(begin - TimeDelta::hours(2));
            let model = fit(almanac.clone(), &history, origin);
            let forecast = forecast(model.as_ref(), &history, origin..origin.plus(150));
            let recovered = Recovered::of(name, begin, &year, &forecast);
            (
                recovered.off(),
                format!("seed {seed}, {fortnight:?}: {name}, {occurrence} seen: {recovered:.3?}"),
            )
        })
    });
    let found: Vec<(f64, String)> = found.collect();
    let missed: Vec<_> = found.iter().filter(|(off, _)| *off >= NEAR).collect();
    assert_eq!(found.len(), 60);
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn what_every_working_day_brings_is_held_by_the_week() {
    let (traffic, _, almanac) = thirteen_months(7, Fortnight::Even);
    let step = minutes(5);
    let tuesday = at("2026-03-10T13:30:00Z");
    let history = recorded(&traffic, step, tuesday - TimeDelta::weeks(10)..tuesday);
    let origin = step.slot_of(tuesday - TimeDelta::hours(2));
    let model = fit(almanac, &history, origin);
    for row in forecast(model.as_ref(), &history, origin..origin.plus(40)).rows() {
        let truth = traffic.rate(step.end(row.slot) - TimeDelta::seconds(30));
        assert!((row.loads[1] / truth - 1.0).abs() < 0.15, "{:?}: {} for {truth}", row.slot, row.loads[1]);
        assert_eq!(row.components.cause, None);
    }
}

#[test]
fn a_shipped_pay_day_that_is_brought_forward_is_expected_on_the_day_before() {
    let (traffic, year, _) = thirteen_months(7, Fortnight::Even);
    let names = ["us-fed", "nyse", "us-payroll-biweekly-a", "us-payroll-semi-monthly"];
    let almanac = Almanac::none(ZONE).with_calendars(shipped(&names));
    let step = minutes(5);
    // Juneteenth of 2026 is a Friday on which banks rest.
    let thursday = at("2026-06-18T04:00:00Z");
    let history = recorded(&traffic, step, at("2025-12-01T05:00:00Z")..thursday);
    let origin = history.end();
    let model = forecaster(&almanac, &Arc::default()).fit(&history, origin).unwrap();
    let forecast = forecast(model.as_ref(), &history, origin..origin.plus(2 * 288));
    let at_eight = |day: &str| {
        let slot = step.slot_of(at(&format!("{day}T12:30:00Z")));
        let row = forecast.rows().find(|row| row.slot == slot).unwrap();
        let cause = forecast.cause(&row.components).map(|cause| cause.name.to_string());
        (row.loads[1] / (row.loads[1] - row.components.effect), cause, year.multiple(step.end(slot)))
    };
    let (paid, cause, truth) = at_eight("2026-06-18");
    assert_eq!(cause.as_deref(), Some("us-payroll-biweekly-a"));
    assert!(((paid - 1.0) / (truth - 1.0) - 1.0).abs() < NEAR, "{paid} for {truth}");
    let (rest, _, truth) = at_eight("2026-06-19");
    assert!((rest - truth).abs() < 0.1, "{rest} for {truth}");

    let effects = model.explanation().effects;
    let weight =
        |name: &str| effects.iter().find(|effect| effect.cause.name.starts_with(name)).unwrap().weight;
    assert_eq!(weight("nyse"), Weight::Routine);
    let paid = weight("us-payroll-biweekly-a");
    assert!(matches!(paid, Weight::Seen { occurrences: 6.., times: 1.1.. }), "{paid:?}");
}

/// Twelve weeks of a level load at five minutes, until Thursday, 26 November 2026, midnight in New York: 100, and 400 for half an
/// hour from each of `instants` on.
fn twelve_weeks(instants: &[Timestamp]) -> (Series, Slot) {
    let step = minutes(5);
    let origin = step.slot_of(at("2026-11-26T05:00:00Z")).next();
    let load = |slot: Slot| {
        let lifted = |from: &Timestamp| (*from..*from + TimeDelta::minutes(30)).contains(&step.start(slot));
        if instants.iter().any(lifted) { 400.0 } else { 100.0 }
    };
    let slots = (origin.plus(-84 * 288).0..origin.0).map(Slot);
    let points: Vec<(Slot, Load)> = slots.map(|slot| (slot, Load::saturating(load(slot)))).collect();
    (Series::from_points(step, &points).unwrap(), origin)
}

/// `count` instants at one wall-clock time, so many days apart.
fn instants(first: &str, days_apart: u64, count: u64) -> impl Iterator<Item = Timestamp> {
    let first: NaiveDateTime = first.parse().unwrap();
    (0..count).map(move |index| calendar::instant(first + Days::new(index * days_apart), ZONE, Edge::Start))
}

/// The median and the event floor ten minutes after an instant.
fn ten_minutes_into(instant: Timestamp, model: &dyn Fitted, history: &Series, origin: Slot) -> [f64; 2] {
    let slot = history.step().slot_of(instant).plus(2);
    let known = Known { settled: history, origin, live: None };
    let targets = slot..slot.next();
    let median = model.forecast(&known, targets.clone(), &[Quantile::MEDIAN]).unwrap();
    let floor = model.event_floor(&known, targets).unwrap();
    [median.rows().next().unwrap().loads[0], floor.load.get()]
}

fn near(found: [f64; 2], expected: [f64; 2]) -> bool {
    found.iter().zip(expected).all(|(found, expected)| (found / expected - 1.0).abs() < 0.1)
}

#[test]
fn one_sale_on_another_day_than_every_week_is_lifted_and_stood_ready_for() {
    let fridays: Vec<Timestamp> = instants("2026-09-11T11:00:00", 7, 12).collect();
    let (history, origin) = twelve_weeks(&fridays[..11]);
    let sale = |at: Timestamp, uplift| event("flash sale", at, [0, 30, 0], Some(uplift));
    let thursday = at("2026-11-26T20:00:00Z");
    let weekly = fridays.iter().map(|at| sale(*at, [2.0, 4.0, 8.0]));
    let odd = sale(thursday, [2.0, 6.0, 12.0]);
    let model = fit(Almanac::none(ZONE).with_events(weekly.chain([odd])), &history, origin);
    let found = ten_minutes_into(thursday, model.as_ref(), &history, origin);
    assert!(near(found, [600.0, 1_200.0]), "the week holds nothing of it: {found:?}");
    let found = ten_minutes_into(fridays[11], model.as_ref(), &history, origin);
    assert!(near(found, [400.0, 800.0]), "the week holds the median of this one: {found:?}");
    let weights: Vec<Weight> = model.explanation().effects.into_iter().map(|effect| effect.weight).collect();
    assert_eq!(weights, [Weight::Unseen]);
}

#[test]
fn a_settlement_that_moved_by_an_hour_is_lifted_where_it_is_now() {
    let late: Vec<Timestamp> = instants("2026-09-03T23:00:00", 1, 83).collect();
    let early: Vec<Timestamp> = instants("2026-11-25T22:00:00", 1, 3).collect();
    let (history, origin) = twelve_weeks(&[&late[..], &early[..1]].concat());
    let nights = late.iter().chain(&early);
    let nights = nights.map(|at| event("settlement", *at, [0, 30, 0], Some([2.0, 4.0, 8.0])));
    let model = fit(Almanac::none(ZONE).with_events(nights), &history, origin);
    let found = ten_minutes_into(early[1], model.as_ref(), &history, origin);
    assert!(found[0] > 300.0 && found[1] > 600.0, "{found:?}");
}

/// Six plain weeks of traffic at five minutes, until Thursday, 26 November 2026, noon UTC.
fn six_weeks() -> (Series, Slot) {
    let traffic = Traffic::new(Options::new(7, ZONE, "2026-11-25".parse().unwrap()));
    let until = at("2026-11-26T12:00:00Z");
    let history = recorded(&traffic, minutes(5), until - TimeDelta::weeks(6)..until);
    let origin = history.end();
    (history, origin)
}

#[test]
fn with_no_occurrence_seen_the_forecast_is_what_was_declared() {
    let (history, origin) = six_weeks();
    let launch = event("launch", at("2026-11-26T14:00:00Z"), [5, 45, 120], Some([2.0, 6.0, 12.0]));
    let plain = fit(Almanac::none(ZONE), &history, origin);
    let eventful = fit(Almanac::none(ZONE).with_events([launch]), &history, origin);
    let targets = origin..origin.plus(60);
    let (plain, with) = (
        forecast(plain.as_ref(), &history, targets.clone()),
        forecast(eventful.as_ref(), &history, targets.clone()),
    );
    let step = history.step();
    for (plain, row) in plain.rows().zip(with.rows()) {
        let in_full = step.start(row.slot) >= at("2026-11-26T14:05:00Z")
            && step.end(row.slot) <= at("2026-11-26T14:50:00Z");
        if in_full {
            assert!((row.loads[1] - 6.0 * plain.loads[1]).abs() < 1e-6 * row.loads[1]);
            assert!(row.loads[3] > 12.0 * plain.loads[1], "upper is the 0.95 quantile of the multiple alone");
            assert_eq!(&*with.cause(&row.components).unwrap().name, "launch");
        } else if step.end(row.slot) <= at("2026-11-26T14:00:00Z") {
            assert_eq!(row, plain);
        }
    }
    let weights: Vec<Weight> =
        eventful.explanation().effects.into_iter().map(|effect| effect.weight).collect();
    assert_eq!(weights, [Weight::Unseen]);
    let known = Known { settled: &history, origin, live: None };
    let floor = eventful.event_floor(&known, targets).unwrap();
    let most = plain
        .rows()
        .filter(|row| step.start(row.slot) >= at("2026-11-26T14:05:00Z"))
        .filter(|row| step.end(row.slot) <= at("2026-11-26T14:50:00Z"))
        .map(|row| 12.0 * row.loads[1])
        .fold(0.0, f64::max);
    assert!((floor.load.get() - most).abs() < 1e-6 * most, "{floor:?} for {most}");
}

#[test]
fn on_the_days_that_the_clocks_change_a_launch_comes_at_its_wall_clock_time_and_once() {
    // In the hour that is left out: its first instant after. In the hour that comes twice: the earlier of the two.
    let launches =
        [("2026-03-08T02:30:00", "2026-03-08T07:00:00Z"), ("2026-11-01T01:30:00", "2026-11-01T05:30:00Z")];
    let step = minutes(5);
    for (local, instant) in launches {
        let begins = calendar::instant(local.parse().unwrap(), ZONE, Edge::Start);
        assert_eq!(begins, at(instant));
        let traffic = Traffic::new(Options::new(7, ZONE, begins.date_naive()));
        // The forecast is made the evening before and reaches over the change.
        let origin = step.slot_of(begins - TimeDelta::hours(8));
        let history = recorded(&traffic, step, begins - TimeDelta::weeks(6)..step.start(origin));
        let launch = event("launch", begins, [5, 45, 120], Some([2.0, 6.0, 12.0]));
        let targets = origin..origin.plus(24 * 12);
        let said = |almanac: Almanac| {
            let model = fit(almanac, &history, origin);
            forecast(model.as_ref(), &history, targets.clone())
        };
        let (plain, with) = (said(Almanac::none(ZONE)), said(Almanac::none(ZONE).with_events([launch])));
        let (mut lifted, mut in_full) = (Vec::new(), 0);
        for (plain, row) in plain.rows().zip(with.rows()) {
            let times = row.loads[1] / plain.loads[1];
            if times > 1.0 + 1e-9 {
                lifted.push(step.start(row.slot));
            }
            in_full += u32::from((times - 6.0).abs() < 1e-6);
        }
        assert_eq!(lifted.first(), Some(&begins), "{local}");
        assert!(*lifted.last().unwrap() < begins + TimeDelta::minutes(170), "{local}: {lifted:?}");
        assert!(lifted.windows(2).all(|two| two[1] - two[0] == TimeDelta::minutes(5)), "once: {lifted:?}");
        assert_eq!(in_full, 9, "{local}: 45 minutes in full");
    }
}

#[test]
fn a_name_that_was_neither_declared_nor_seen_changes_nothing() {
    let (history, origin) = six_weeks();
    let launch = event("launch", at("2026-11-26T14:00:00Z"), [5, 45, 120], None);
    let targets = origin..origin.plus(60);
    let plain = fit(Almanac::none(ZONE), &history, origin);
    let with = fit(Almanac::none(ZONE).with_events([launch]), &history, origin);
    let (plain, with) =
        (forecast(plain.as_ref(), &history, targets.clone()), forecast(with.as_ref(), &history, targets));
    for (plain, row) in plain.rows().zip(with.rows()) {
        assert!(row.loads.iter().zip(plain.loads).all(|(a, b)| (a - b).abs() <= 1e-9 * b), "{row:?}");
    }
}

#[test]
fn a_declared_peak_is_what_demand_grows_to() {
    let (history, origin) = six_weeks();
    let peak = Some(Load::try_new(20_000.0).unwrap());
    let launch = Event { peak, ..event("launch", at("2026-11-26T14:00:00Z"), [5, 45, 120], None) };
    let model = fit(Almanac::none(ZONE).with_events([launch]), &history, origin);
    let forecast = forecast(model.as_ref(), &history, origin..origin.plus(60));
    let most = forecast.rows().map(|row| row.loads[1]).fold(0.0, f64::max);
    assert!((most - 20_000.0).abs() < 1.0, "{most}");
}

#[test]
fn a_declared_peak_is_added_to_next_to_nothing_and_to_nothing() {
    let peak = Some(Load::try_new(20_000.0).unwrap());
    let launch = Event { peak, ..event("launch", at("2026-11-26T14:00:00Z"), [5, 45, 120], None) };
    let step = minutes(5);
    let origin = step.slot_of(at("2026-11-26T12:00:00Z")).next();
    // Nothing at all, and a service with one request in six slots, by chance.
    for rate in [0_i64, 1] {
        let load = |slot: i64| (slot * 2_654_435_761).rem_euclid(1_000_003) % 6 == 0;
        let slots = origin.plus(-42 * 288).0..origin.0;
        let points: Vec<(Slot, Load)> = slots
            .map(|slot| (Slot(slot), Load::saturating(if load(slot) { 12.0 * rate as f64 } else { 0.0 })))
            .collect();
        let history = Series::from_points(step, &points).unwrap();
        let model = fit(Almanac::none(ZONE).with_events([launch.clone()]), &history, origin);
        let targets = origin..origin.plus(60);
        for row in forecast(model.as_ref(), &history, targets.clone()).rows() {
            let in_full = step.start(row.slot) >= at("2026-11-26T14:05:00Z")
                && step.end(row.slot) <= at("2026-11-26T14:50:00Z");
            if in_full {
                assert!((row.loads[1] - 20_000.0).abs() < 1e-3, "{row:?}");
                assert!(row.loads[4] < 20_200.0, "only what comes without it is unsure: {row:?}");
            }
        }
        let known = Known { settled: &history, origin, live: None };
        let floor = model.event_floor(&known, targets).unwrap();
        assert!((floor.load.get() - 20_000.0).abs() < 1e-3, "{floor:?}");
    }
}

#[test]
fn a_declared_peak_is_stood_ready_for_by_a_service_that_has_become_smaller() {
    let step = minutes(5);
    let origin = step.slot_of(at("2026-11-26T12:00:00Z")).next();
    let level = |begin: i64, load: f64| {
        let points: Vec<_> =
            (begin..origin.0).map(|slot| (Slot(slot), Load::try_new(load).unwrap())).collect();
        Series::from_points(step, &points).unwrap()
    };
    let peak = Some(Load::try_new(1_200.0).unwrap());
    let launch = Event { peak, ..event("launch", at("2026-11-26T14:00:00Z"), [5, 45, 120], None) };
    let model = fit(Almanac::none(ZONE).with_events([launch]), &level(origin.0 - 42 * 288, 1_000.0), origin);
    // Since the fit demand has halved.
    let halved = level(origin.0 - 288, 500.0);
    let known = Known { settled: &halved, origin, live: None };
    let floor = model.event_floor(&known, origin..origin.plus(60)).unwrap();
    assert!((floor.load.get() - 1_200.0).abs() < 1.0, "{floor:?}");
}

#[test]
fn of_overlapping_events_the_larger_counts() {
    let (history, origin) = six_weeks();
    let small = event("mail", at("2026-11-26T14:00:00Z"), [5, 45, 120], Some([1.2, 1.5, 2.0]));
    let large = event("launch", at("2026-11-26T14:00:00Z"), [5, 45, 120], Some([2.0, 6.0, 12.0]));
    let targets = origin..origin.plus(60);
    let medians = |events: Vec<Event>| -> Vec<f64> {
        let model = fit(Almanac::none(ZONE).with_events(events), &history, origin);
        forecast(model.as_ref(), &history, targets.clone()).rows().map(|row| row.loads[1]).collect()
    };
    assert_eq!(medians(vec![small.clone(), large.clone()]), medians(vec![large]));
}

#[test]
fn points_after_the_origin_change_nothing_in_a_window_either() {
    let (history, origin) = six_weeks();
    let fortnightly = (0..3).map(|weeks| {
        event(
            "mail",
            at("2026-11-26T10:00:00Z") - TimeDelta::weeks(2 * weeks + 1),
            [5, 90, 60],
            Some([1.5, 2.0, 3.0]),
        )
    });
    let running = event("mail", at("2026-11-25T10:00:00Z"), [5, 90, 60], None);
    let almanac = Almanac::none(ZONE).with_events(fortnightly.chain([running]));
    let cut = origin.plus(-284);
    let seen = |history: &Series| {
        let model = fit(almanac.clone(), history, cut);
        forecast(model.as_ref(), history, cut..cut.plus(100))
    };
    assert_eq!(seen(&history), seen(&history.until(cut)));
}

#[test]
fn the_parts_of_a_forecast_add_up_to_its_median() {
    let (history, origin) = six_weeks();
    let past = event("launch", at("2026-11-19T14:00:00Z"), [5, 45, 120], Some([0.8, 1.1, 2.0]));
    let coming = event("launch", at("2026-11-26T14:00:00Z"), [5, 45, 120], Some([2.0, 3.0, 5.0]));
    let model = fit(Almanac::none(ZONE).with_events([past, coming]), &history, origin);
    for row in forecast(model.as_ref(), &history, origin..origin.plus(60)).rows() {
        let parts = row.components;
        let sum = parts.profile + parts.level + parts.effect;
        // The base is calibrated after its parts were added, so its median may stand a little beside them.
        assert!((sum / row.loads[1] - 1.0).abs() < 0.1, "{row:?}");
        assert_eq!(parts.cause.is_some(), parts.effect.abs() > 0.0);
    }
}

/// A launch at 14:00 that was declared, and brought `multiple` times the usual instead, seen until `minutes` after it.
struct Launch {
    history: Series,
    origin: Slot,
    now: Timestamp,
    usual: f64,
    model: Box<dyn Fitted>,
}

fn launch(multiple: f64, seen_minutes: i64, mode: Mode) -> (Launch, Policy) {
    launch_grown_in(2.0, multiple, seen_minutes, mode)
}

/// The same, grown in so many minutes where five were declared.
fn launch_grown_in(grown_minutes: f64, multiple: f64, seen_minutes: i64, mode: Mode) -> (Launch, Policy) {
    let traffic = Traffic::new(Options::new(7, ZONE, "2026-11-25".parse().unwrap()));
    let begin = at("2026-11-25T14:00:00Z");
    let now = begin + TimeDelta::minutes(seen_minutes);
    let step = Step::MINUTE;
    let mut history = recorded(&traffic, step, begin - TimeDelta::weeks(4)..now + TimeDelta::minutes(1));
    let declared = event("launch", begin, [5, 45, 120], Some([2.0, 6.0, 12.0]));
    let model =
        fit(Almanac::none(ZONE).with_events([declared]), &history, step.slot_of(begin - TimeDelta::hours(3)));
    for slot in (step.slot_of(begin).next().0..history.end().0).map(Slot) {
        let grown = ((step.end(slot) - begin).num_minutes() as f64 / grown_minutes).min(1.0);
        let load = history.load(slot).unwrap() * (1.0 + (multiple - 1.0) * grown);
        history.put(slot, Load::saturating(load));
    }
    let policy = Policy {
        plan: plan::Options {
            lead_time: Duration::from_secs(120),
            quantile: Quantile::P95,
            growth: plan::Growth::default(),
        },
        guard: guard::Options {
            scale_down_hold: Duration::from_secs(300),
            mode,
            ..guard::Options::active(Replicas(1), Replicas(10_000))
        },
    };
    let usual = traffic.rate(now);
    (Launch { origin: history.end(), history, now, usual, model }, policy)
}

impl Launch {
    /// The decision at this moment; `live` is what an instant query says now.
    fn decide(&self, policy: &Policy, live: Option<f64>) -> Decision {
        let demand: Arc<str> = "tx".into();
        let live = live.map(|load| Observation { at: self.now, load: Load::saturating(load) });
        let evidence = Evidence {
            demand: &demand,
            capacity: LoadPerReplica::try_new(100.0).unwrap(),
            settled: &self.history,
            provisional: None,
            live,
            model: Some(self.model.as_ref()),
        };
        decide(&"payments-api".into(), self.now, &[evidence], policy, &State::default()).0
    }

    /// Median and 0.95 quantile over the next ten minutes, as multiples of what is usual.
    fn ahead(&self) -> [f64; 2] {
        let forecast = forecast(self.model.as_ref(), &self.history, self.origin..self.origin.plus(10));
        let row = forecast.rows().next_back().unwrap();
        [row.loads[1] / self.usual, row.loads[3] / self.usual]
    }
}

#[test]
fn before_a_launch_pods_for_its_upper_bound_are_asked_for_in_shadow_too() {
    for mode in [Mode::Shadow, Mode::Active] {
        let (launch, policy) = launch(6.0, -1, mode);
        let decision = launch.decide(&policy, None);
        let need = decision.claims[0].event_need.as_ref().unwrap();
        assert_eq!(&*need.name, "launch");
        assert!(decision.guarded.unwrap() >= need.replicas);
        // The window ends 2 min 45 s from now, 1 min 45 s into a ramp of five.
        let share = 0.3;
        let expected = launch.usual * (1.0 + 11.0 * share) / 100.0;
        assert!((f64::from(need.replicas.0) / expected - 1.0).abs() < 0.2, "{need:?} for {expected}");
        if mode == Mode::Shadow {
            assert!(decision.applied.iter().any(|applied| applied.rule == Rule::EventFloor), "{decision:?}");
        }
    }
}

#[test]
fn where_replicas_climb_slowly_a_launch_is_climbed_to_long_before_it_in_shadow_too() {
    for mode in [Mode::Shadow, Mode::Active] {
        let (launch, mut policy) = launch(6.0, -20, mode);
        policy.plan.growth.pods_per_minute = Some(4.0);
        let decision = launch.decide(&policy, None);
        let need = decision.claims[0].event_need.as_ref().unwrap();
        // From where its pods must stand at four a minute: the window ends 2 min 45 s from now.
        let minutes = (need.at - launch.now).as_seconds_f64() / 60.0 - 2.75;
        let climbed = f64::from(need.needed.0) - 4.0 * minutes;
        assert!((f64::from(need.replicas.0) - climbed).abs() <= 5.0, "{need:?}, {climbed} must stand");
        assert!(need.replicas > decision.reactive_need().unwrap(), "{decision:?}");
        assert!(decision.guarded.unwrap() >= need.replicas);
        let floor = decision.applied.iter().find(|applied| applied.rule == Rule::EventFloor);
        if mode == Mode::Shadow {
            assert!(floor.unwrap().why.ends_with("has begun"), "{decision:?}");
        }
    }
}

#[test]
fn what_a_launch_will_need_is_said_an_hour_before_and_counts_the_forecast_where_that_counts() {
    for mode in [Mode::Shadow, Mode::Active] {
        let (launch, policy) = launch(6.0, -60, mode);
        let decision = launch.decide(&policy, None);
        let [prospect] = &*decision.prospects else { panic!("one launch: {:?}", decision.prospects) };
        assert_eq!((&*prospect.name, prospect.from), ("launch", at("2026-11-25T14:00:00Z")));
        // Grown after five minutes, for three quarters of an hour, at twelve times of what is usual then.
        let grown = at("2026-11-25T14:04:00Z")..at("2026-11-25T14:50:00Z");
        assert!(grown.contains(&prospect.ready_by), "{prospect:?}");
        // At half past two New York opens, in the midst of it.
        let usual =
            Traffic::new(Options::new(7, ZONE, "2026-11-25".parse().unwrap())).rate(prospect.ready_by);
        let expected = 12.0 * usual / 100.0;
        assert!(
            (0.7..1.4).contains(&(f64::from(prospect.replicas.0) / expected)),
            "{prospect:?} for {expected}"
        );
        assert!(decision.claims[0].event_need.is_none(), "nothing is asked for yet");
    }
}

#[test]
fn a_launch_that_is_larger_than_declared_raises_the_rest_of_itself_within_two_minutes() {
    let [median, upper] = launch(20.0, 2, Mode::Active).0.ahead();
    assert!(upper > 20.0, "two minutes in, still in the ramp that was declared: {upper}");
    assert!(median < 20.0 && upper < 1.5 * 20.0, "it is not larger for having come early: {median}, {upper}");
    // Once it should be there in full it is what it is.
    let [median, upper] = launch(20.0, 8, Mode::Active).0.ahead();
    assert!((16.0..25.0).contains(&median), "{median}");
    assert!(upper > 18.0 && upper < 1.6 * median, "{upper} over {median}");
}

#[test]
fn a_launch_that_comes_faster_than_declared_is_not_taken_for_a_larger_one() {
    for seen in 1..=10 {
        let [median, upper] = launch(6.0, seen, Mode::Active).0.ahead();
        assert!((5.5..8.5).contains(&median) && upper < 18.0, "{median}, {upper} after {seen} minutes");
    }
}

#[test]
fn the_upper_bound_of_a_launch_that_grows_to_more_than_declared_stays_two_minutes_ahead_of_it() {
    for seen in 2..=5_i64 {
        let [_, upper] = launch_grown_in(5.0, 20.0, seen, Mode::Active).0.ahead();
        let in_two_minutes = 1.0 + 19.0 * ((seen + 2).min(5) as f64 / 5.0);
        assert!(upper > 0.97 * in_two_minutes, "{upper} for {in_two_minutes} after {seen} minutes");
    }
}

#[test]
fn a_launch_that_is_smaller_than_declared_gives_its_pods_back_once_it_should_be_there() {
    let late = launch(1.0, 4, Mode::Shadow);
    let floor = |(launch, policy): &(Launch, Policy)| {
        let need = launch.decide(policy, None).claims[0].event_need.clone().unwrap();
        need.load.get() / launch.usual
    };
    assert!(floor(&late) > 9.0, "one that is late has not failed: {}", floor(&late));
    let small = launch(3.0, 12, Mode::Shadow);
    assert!((2.5..6.0).contains(&floor(&small)), "{}", floor(&small));
    let [median, _] = small.0.ahead();
    assert!((2.4..3.8).contains(&median), "{median}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]
    #[test]
    fn a_larger_newest_point_never_answers_fewer_while_an_event_runs(
        seen in 1_i64..60, multiple in 0.5_f64..25.0, shadow in any::<bool>(),
    ) {
        let (launch, policy) = launch(multiple, seen, if shadow { Mode::Shadow } else { Mode::Active });
        let mut last = None;
        for k in 0..60 {
            let load = 1.25_f64.powi(k) - 1.0;
            let next = launch.decide(&policy, Some(load)).guarded;
            prop_assert!(next >= last, "{next:?} after {last:?} at {load}");
            last = next;
        }
    }

    #[test]
    fn a_larger_newest_point_never_answers_fewer_while_a_declared_peak_runs(
        seen in -5_i64..60, multiple in 0.5_f64..25.0, peak in 1.0_f64..30.0,
    ) {
        let (mut launch, policy) = launch(multiple, seen, Mode::Active);
        let begin = at("2026-11-25T14:00:00Z");
        let peak = Some(Load::saturating(peak * launch.usual));
        let declared = Event { peak, ..event("launch", begin, [5, 45, 120], None) };
        let fitted_at = Step::MINUTE.slot_of(begin - TimeDelta::hours(3));
        let model = forecaster(&Almanac::none(ZONE).with_events([declared]), &Arc::default());
        launch.model = model.fit(&launch.history, fitted_at).unwrap();
        let mut last = None;
        for k in 0..60 {
            let load = 1.25_f64.powi(k) - 1.0;
            let next = launch.decide(&policy, Some(load)).guarded;
            prop_assert!(next >= last, "{next:?} after {last:?} at {load}");
            last = next;
        }
    }

    #[test]
    fn quantiles_never_cross_whatever_was_declared(
        expected in 0.1_f64..40.0, below in 0.05_f64..1.0, above in 1.0_f64..20.0, seen in any::<bool>(),
    ) {
        let (history, origin) = six_weeks();
        let declared = Some([expected * below, expected, expected * above]);
        let coming = event("launch", at("2026-11-26T14:00:00Z"), [5, 45, 120], declared);
        let before = event("launch", at("2026-11-16T14:00:00Z"), [5, 45, 120], declared);
        let almanac = Almanac::none(ZONE).with_events([coming].into_iter().chain(seen.then_some(before)));
        let model = fit(almanac, &history, origin);
        for row in forecast(model.as_ref(), &history, origin..origin.plus(100)).rows() {
            prop_assert!(row.loads.is_sorted() && row.loads.iter().all(|load| load.is_finite() && *load >= 0.0));
        }
    }
}
