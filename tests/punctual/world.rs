//! Thirteen generated months whose truth is known, and how punctual pods are at the instants that matter. The test and
//! `cargo bench --bench punctual` share it.
//!
//! Only the time around an instant is replayed, from half an hour before it, with the fit that would be in force then: the
//! newest on a cadence of six hours, made an hour before the first instant of the day at the latest.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use chrono::{NaiveDate, TimeDelta};
use chrono_tz::Tz;
use rayon::prelude::*;
use tidetable::calendar::{Almanac, Envelope, Event, Uplift};
use tidetable::config::Library;
use tidetable::decision::Policy;
use tidetable::forecast::{Fitted, forecaster};
use tidetable::guard;
use tidetable::plan;
use tidetable::series::Series;
use tidetable::simulate::backtest::{Conditions, Course, Foresight, Keep, Ours, Reactive, Run, Scaler};
use tidetable::simulate::hpa::Behavior;
use tidetable::simulate::traffic::{Fortnight, Options, Year};
use tidetable::simulate::{FineLoad, StartUp, Traffic, Within};
use tidetable::time::{Slot, Step, Timestamp};
use tidetable::units::{Load, LoadPerReplica, Quantile, Replicas};

const ZONE: Tz = Tz::America__New_York;
const LEAD_TIME: Duration = Duration::from_secs(120);
const SETTLE_LAG: Duration = Duration::from_secs(120);
const HISTORY_DAYS: i64 = 56;

/// Slots between two fits.
const CADENCE: i64 = 360;

/// What is written down of the world: the shipped calendars, and each launch, whose size was guessed at twice what it is.
const CALENDARS: [&str; 4] = ["us-fed", "nyse", "us-payroll-biweekly-a", "us-payroll-semi-monthly"];
const LAUNCH_UPLIFT: [f64; 3] = [2.0, 6.0, 12.0];

/// What happens at an instant, and for how many minutes from then on pods have to be there: its rise and some more.
const KINDS: [(&str, i64); 4] =
    [("semi-monthly pay", 15), ("biweekly pay", 15), ("market open", 8), ("launch", 9)];

/// How punctual pods were at one instant, from two minutes before it on.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) kind: &'static str,
    pub(crate) at: Timestamp,
    /// Minutes in which a needed pod was not ready.
    pub(crate) late_minutes: f64,
    /// The most that was missing, as a share of what was needed.
    pub(crate) missing: f64,
    /// The same minutes of a reactive HPA at 80 %.
    pub(crate) reactive_late_minutes: f64,
    /// Replica-syncs of ours, and of one who knows.
    pub(crate) replicas: [f64; 2],
}

/// Every instant of the days in `days`, by the local date.
pub(crate) fn found(days: impl Fn(NaiveDate) -> bool, quantile: f64) -> Vec<Found> {
    let year = Year::thirteen_months(ZONE, Fortnight::Even);
    let local = |at: &Timestamp| at.with_timezone(&ZONE).date_naive();
    let mut instants: Vec<(NaiveDate, Timestamp, &'static str, i64)> = Vec::new();
    for (kind, minutes) in KINDS {
        let at = &year.effect(kind).expect("an effect of the year").at;
        instants.extend(at.iter().map(|at| (local(at), *at, kind, minutes)));
    }
    instants.retain(|(date, ..)| days(*date));
    instants.sort_unstable();
    let traffic =
        Traffic::new(Options::new(7, ZONE, "2026-06-15".parse().expect("a date")).in_year(year.clone()));
    let almanac = almanac(&year);
    let days: Vec<_> = instants.chunk_by(|a, b| a.0 == b.0).collect();
    days.par_iter().flat_map_iter(|day| at_one_day(&traffic, &almanac, day, quantile)).collect()
}

fn almanac(year: &Year) -> Almanac {
    let library = Library::shipped();
    let calendars = CALENDARS.map(|name| Arc::clone(library.calendar(name).expect("a shipped calendar")));
    let [lower, expected, upper] = LAUNCH_UPLIFT;
    let launch = |at: &Timestamp| Event {
        name: "launch".into(),
        at: *at,
        envelope: Envelope {
            lead: TimeDelta::zero(),
            ramp: TimeDelta::minutes(5),
            hold: TimeDelta::minutes(30),
            decay: TimeDelta::minutes(120),
        },
        uplift: Uplift::try_new(lower, expected, upper).ok(),
        peak: None,
        owner: None,
        ticket: None,
        cancelled: false,
        cut_short: None,
    };
    let launches = year.effect("launch").expect("launches").at.iter().map(launch);
    Almanac::none(ZONE).with_calendars(calendars).with_events(launches)
}

fn at_one_day(
    traffic: &Traffic,
    almanac: &Almanac,
    day: &[(NaiveDate, Timestamp, &'static str, i64)],
    quantile: f64,
) -> Vec<Found> {
    let step = Step::MINUTE;
    let (first, last) = (day[0].1, day[day.len() - 1].1);
    let fit_by = step.slot_of(first - TimeDelta::hours(1)).0.div_euclid(CADENCE) * CADENCE;
    let slots = fit_by - HISTORY_DAYS * 1440..step.slot_of(last + TimeDelta::minutes(30)).0;
    let recorded = recorded(traffic, step, slots);
    // The same payments by the quarter minute, which is how they come.
    let quarter = Step::try_new(Duration::from_secs(15)).expect("a step");
    let quarters =
        quarter.slot_of(first - TimeDelta::hours(1)).0..quarter.slot_of(last + TimeDelta::minutes(30)).0;
    let fine = FineLoad::of(&self::recorded(traffic, quarter, quarters), Within::Smooth);
    let fit = forecaster(almanac, &Arc::default()).fit(&recorded.until(Slot(fit_by)), Slot(fit_by));
    let model: Arc<dyn Fitted> = Arc::from(fit.expect("eight weeks are enough"));
    let at_one = |(_, at, kind, minutes): &(NaiveDate, Timestamp, &'static str, i64)| {
        let span = *at - TimeDelta::minutes(30)..*at + TimeDelta::minutes(*minutes);
        at_one_instant((&recorded, &fine), &model, quantile, (kind, *at), span)
    };
    day.iter().map(at_one).collect()
}

fn recorded(traffic: &Traffic, step: Step, slots: Range<i64>) -> Series {
    let load = |slot: Slot| Load::saturating(traffic.mean_rate(step.end(slot), step.seconds()));
    let points: Vec<(Slot, Load)> = slots.map(Slot).map(|slot| (slot, load(slot))).collect();
    Series::from_points(step, &points).expect("a grid")
}

fn at_one_instant(
    (recorded, fine): (&Series, &FineLoad),
    model: &Arc<dyn Fitted>,
    quantile: f64,
    (kind, at): (&'static str, Timestamp),
    span: Range<Timestamp>,
) -> Found {
    let conditions = conditions();
    let course = Course::over(span, fine, &conditions);
    let policy = policy(&conditions, quantile);
    let spans = (SETTLE_LAG, Duration::from_secs(3 * 86_400));
    let mut ours = Ours::new(
        Arc::from("payments-api"),
        policy,
        conditions.capacity,
        recorded,
        spans,
        course.decided_at(0),
        1,
    );
    ours.learned(Some(Arc::clone(model)));
    let counted = |sync: &usize| course.synced_at(*sync) >= at - TimeDelta::minutes(2);
    let needed = |sync: usize| course.needed(sync).map_or(0, |needed| needed.0);
    let late_minutes = |stood: &[(u32, u32)]| {
        let late = (0..course.syncs()).filter(counted).filter(|sync| needed(*sync) > stood[*sync].1);
        late.count() as f64 / 4.0
    };
    let asked = |stood: &[(u32, u32)]| -> f64 {
        (0..course.syncs()).filter(counted).map(|sync| f64::from(stood[sync].0)).sum()
    };
    let ours = stood(ours, &course);
    let reactive = stood(Reactive { capacity: conditions.capacity, utilization: 0.8 }, &course);
    let foresight = stood(Foresight::of(&course, LEAD_TIME, &conditions.growth()), &course);
    let missing = |sync: usize| {
        let needed = needed(sync);
        f64::from(needed.saturating_sub(ours[sync].1)) / f64::from(needed.max(1))
    };
    Found {
        kind,
        at,
        late_minutes: late_minutes(&ours),
        missing: (0..course.syncs()).filter(counted).map(missing).fold(0.0, f64::max),
        reactive_late_minutes: late_minutes(&reactive),
        replicas: [asked(&ours), asked(&foresight)],
    }
}

/// What was asked for and ready at each sync.
fn stood(scaler: impl Scaler, course: &Course<'_>) -> Vec<(u32, u32)> {
    Run::new(scaler, course, Keep::EachSync, LEAD_TIME).to_the_end(course).replicas
}

fn conditions() -> Conditions {
    Conditions {
        capacity: LoadPerReplica::try_new(120.0).expect("a capacity"),
        min: Replicas(3),
        max: Replicas(400),
        start_up: StartUp::Fixed(LEAD_TIME),
        pods_per_minute: None,
        behavior: Some(Behavior::recommended()),
        tolerance: 0.1,
        cpu: None,
        queue: Duration::from_secs(5),
        load_per: Duration::from_secs(1),
        rate_window: Duration::from_secs(60),
        age: Duration::from_secs(30),
    }
}

fn policy(conditions: &Conditions, quantile: f64) -> Policy {
    Policy {
        plan: plan::Options {
            lead_time: LEAD_TIME,
            quantile: Quantile::try_new(quantile).expect("a level"),
            growth: conditions.growth(),
        },
        guard: guard::Options {
            stale_after: Duration::from_secs(180),
            ..guard::Options::active(conditions.min, conditions.max)
        },
    }
}
