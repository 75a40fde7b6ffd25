//! Days that are not what the calendar, or the last weeks, make one expect, on the calls of a bank: open from Monday to
//! Friday by the clock of New York, and exactly 0 when closed.
//!
//! The loss of a day is the mean pinball loss at four quantiles, seen from midnight or an hour ahead. What is bounded is its
//! ratio to the loss of an ordinary day, so that the bounds say the same for any size of the bank.

use std::sync::Arc;
use std::time::Duration;

use chrono::{Datelike, NaiveDate};
use chrono_tz::Tz;
use tidetable::calendar::{Almanac, BusinessDays, Calendar, Closures};
use tidetable::forecast::{
    Doubt, Exclusion, Explanation, Fitted, Known, Observation, Part, Shares, Unfit, forecaster,
};
use tidetable::plan;
use tidetable::series::Series;
use tidetable::time::{LocalClock, Slot, Step};
use tidetable::units::{Load, LoadPerReplica, Quantile, Replicas};

const ZONE: Tz = Tz::America__New_York;
const LEVELS: [f64; 4] = [0.5, 0.9, 0.95, 0.99];

fn date(text: &str) -> NaiveDate {
    text.parse().expect("a date")
}

fn step() -> Step {
    Step::try_new(Duration::from_secs(1_800)).expect("half an hour")
}

/// The first slot of a local date.
fn midnight(date: NaiveDate) -> Slot {
    let midnight = date.and_hms_opt(0, 0, 0).expect("midnight").and_local_timezone(ZONE).earliest();
    step().slot_of(midnight.expect("New York skips no midnight").to_utc()).next()
}

/// What came on one day.
#[derive(Clone, Copy, PartialEq)]
enum Business {
    Usual,
    Closed,
}

/// A bank.
struct Bank {
    /// How busy it is from Monday to Sunday.
    week: [f64; 7],
    /// Seconds of the local day between which it is open.
    hours: (i64, i64),
    /// Closed by the calendar.
    holidays: Vec<NaiveDate>,
    /// Days on which it was otherwise than the calendar says.
    surprises: Vec<(NaiveDate, Business)>,
}

impl Bank {
    fn new(holidays: &[&str]) -> Self {
        Self {
            week: [1.25, 1.05, 1.0, 0.95, 1.0, 0.0, 0.0],
            hours: (7 * 3_600, 21 * 3_600),
            holidays: holidays.iter().map(|day| date(day)).collect(),
            surprises: Vec::new(),
        }
    }

    fn surprised(mut self, day: &str, business: Business) -> Self {
        self.surprises.push((date(day), business));
        self
    }

    fn almanac(&self) -> Almanac {
        let closed = self.holidays.iter().map(|day| (*day, "bank holiday".into())).collect();
        let closures = Closures { closed, ..Closures::default() };
        let days = BusinessDays::try_new(&closures).expect("it opens");
        let calendar = Calendar {
            name: "bank".into(),
            title: "days on which the bank is closed".into(),
            source: "this test".into(),
            valid_until: None,
            zone: ZONE,
            days: Some(Arc::new(days)),
            exchange: None,
            recurrences: Vec::new(),
        };
        Almanac::none(ZONE).with_calendars([Arc::new(calendar)])
    }

    /// Calls from `from` until `until`, with 14 % of noise at most, which is the same in every run.
    fn calls(&self, from: &str, until: &str) -> Series {
        let (from, until) = (midnight(date(from)), midnight(date(until)));
        let clock = LocalClock::over(ZONE, step().start(from), step().end(until));
        let mut series = Series::empty(step(), from);
        let mut random = 0x9E37_79B9_7F4A_7C15_u64;
        let mut noise = move || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random % 1_000) as f64 / 500.0 - 1.0
        };
        for slot in (from.0..until.0).map(Slot) {
            let local = clock.local_seconds(step().start(slot));
            let (day, second) = (local.div_euclid(86_400), local.rem_euclid(86_400));
            let load = self.expected(day, second) * (1.0 + 0.14 * noise());
            series.put(slot, Load::saturating(load));
        }
        series
    }

    fn expected(&self, day: i64, second: i64) -> f64 {
        let date = NaiveDate::from_epoch_days(i32::try_from(day).expect("a near day")).expect("a date");
        let weekday = date.weekday().num_days_from_monday();
        let surprise = self.surprises.iter().find(|(surprised, _)| *surprised == date);
        let closed =
            surprise.map_or(self.holidays.contains(&date), |(_, business)| *business == Business::Closed);
        let (opens, closes) = self.hours;
        if closed || !(opens..closes).contains(&second) {
            return 0.0;
        }
        let share = (second - opens) as f64 / (closes - opens) as f64;
        let busy = 0.4 + (std::f64::consts::PI * share.powf(0.7)).sin();
        400.0 * busy * self.week[weekday as usize]
    }
}

fn levels() -> Vec<Quantile> {
    LEVELS.map(|level| Quantile::try_new(level).expect("a level")).to_vec()
}

fn fit(bank: &Bank, calls: &Series, origin: Slot) -> Box<dyn Fitted> {
    forecaster(&bank.almanac(), &Arc::default()).fit(calls, origin).expect("months of history")
}

/// The mean pinball loss of `slots`, forecast from `origin` by `model`.
fn loss(model: &dyn Fitted, calls: &Series, origin: Slot, slots: std::ops::Range<Slot>) -> f64 {
    let known = Known { settled: calls, origin, live: None };
    let forecast = model.forecast(&known, slots, &levels()).expect("within the horizon");
    let (mut sum, mut count) = (0.0, 0.0);
    for row in forecast.rows() {
        let load = calls.load(row.slot).expect("measured");
        for (level, forecast) in LEVELS.iter().zip(row.loads) {
            sum += (level * (load - forecast)).max((level - 1.0) * (load - forecast));
            count += 1.0;
        }
    }
    sum / count
}

/// The loss of a local day, seen from its first midnight.
fn seen_from_midnight(bank: &Bank, calls: &Series, day: &str) -> f64 {
    let (origin, end) = (midnight(date(day)), midnight(date(day).succ_opt().expect("a day after")));
    loss(&*fit(bank, calls, origin), calls, origin, origin..end)
}

/// The loss of a local day, always seen an hour ahead, with a new model every six hours: as when serving.
fn seen_an_hour_ahead(bank: &Bank, calls: &Series, day: &str) -> f64 {
    let (from, until) = (midnight(date(day)).0, midnight(date(day).succ_opt().expect("a day after")).0);
    let mut losses = Vec::new();
    for fitted in (from..until).step_by(12) {
        let model = fit(bank, calls, Slot(fitted - HOUR));
        for target in (fitted..until.min(fitted + 6 * HOUR)).map(Slot) {
            losses.push(loss(&*model, calls, target.plus(-HOUR), target..target.next()));
        }
    }
    losses.iter().sum::<f64>() / losses.len() as f64
}

const HOLIDAYS: [&str; 12] = [
    "2026-01-19",
    "2026-02-16",
    "2026-05-25",
    "2026-06-19",
    "2026-07-03",
    "2026-09-07",
    "2026-10-12",
    "2026-11-11",
    "2026-11-26",
    "2026-12-25",
    "2027-01-01",
    "2027-01-18",
];

/// Slots in an hour.
const HOUR: i64 = 2;

const LABOR_DAY: &str = "2026-09-07";
const THE_MONDAY_BEFORE: &str = "2026-08-31";

#[test]
fn a_holiday_that_is_worked_is_lost_for_its_first_hour_and_no_longer() {
    let bank = Bank::new(&HOLIDAYS).surprised(LABOR_DAY, Business::Usual);
    let calls = bank.calls("2026-04-06", "2026-09-19");
    let ordinary = seen_an_hour_ahead(&bank, &calls, THE_MONDAY_BEFORE);
    // Nobody could know at seven that it opens: what was forecast by then costs what it costs, and the rest is ordinary.
    let opening = midnight(date(LABOR_DAY)).plus(7 * HOUR);
    let morning = fit(&bank, &calls, opening.plus(-HOUR));
    let unforeseen = (0..=HOUR).map(|ahead| opening.plus(ahead));
    let unforeseen: f64 =
        unforeseen.map(|slot| loss(&*morning, &calls, slot.plus(-HOUR), slot..slot.next())).sum();
    let rest = seen_an_hour_ahead(&bank, &calls, LABOR_DAY) - unforeseen / 48.0;
    assert!(rest < 1.3 * ordinary, "{rest} for {ordinary}");
    for (day, before) in [("2026-09-08", "2026-09-01"), ("2026-09-14", THE_MONDAY_BEFORE)] {
        let [after, before] = [day, before].map(|day| seen_from_midnight(&bank, &calls, day));
        assert!(after < 1.3 * before, "{day}: {after} for {before}");
    }
}

#[test]
fn the_surest_quantile_of_a_holiday_stands_ready_for_one_that_is_worked() {
    let bank = Bank::new(&HOLIDAYS);
    let calls = bank.calls("2026-04-06", "2026-09-19");
    let origin = midnight(date(LABOR_DAY));
    let noon = origin.plus(12 * HOUR);
    let known = Known { settled: &calls, origin, live: None };
    let model = fit(&bank, &calls, origin);
    let forecast = model.forecast(&known, noon..noon.next(), &levels()).expect("within the horizon");
    let loads: Vec<f64> = forecast.rows().flat_map(|row| row.loads.to_vec()).collect();
    let worked = Bank::new(&[]).expected(date(LABOR_DAY).to_epoch_days().into(), 12 * 3_600);
    assert!(loads[0] < 0.05 * worked && loads[3] > 0.9 * worked, "{loads:?} for {worked}");
}

#[test]
fn a_day_closed_without_a_word_does_not_spoil_the_days_after_it() {
    let usual = Bank::new(&HOLIDAYS);
    let usual_calls = usual.calls("2026-06-15", "2026-09-12");
    let bank = Bank::new(&HOLIDAYS).surprised("2026-08-19", Business::Closed);
    let calls = bank.calls("2026-06-15", "2026-09-12");
    for day in ["2026-08-20", "2026-08-24", "2026-08-26"] {
        let spoiled = seen_from_midnight(&bank, &calls, day);
        let unspoiled = seen_from_midnight(&usual, &usual_calls, day);
        assert!(spoiled < 1.1 * unspoiled, "{day}: {spoiled} for {unspoiled}");
    }
    let day = "2026-08-20";
    let spoiled = seen_an_hour_ahead(&bank, &calls, day);
    let unspoiled = seen_an_hour_ahead(&usual, &usual_calls, day);
    assert!(spoiled < 1.1 * unspoiled, "{day}: {spoiled} for {unspoiled}");
}

#[test]
fn zeros_of_a_day_closed_without_a_word_do_not_stand_ready_for_many_times_the_usual_day() {
    let day = "2026-08-19";
    let usual = Bank::new(&HOLIDAYS);
    let closed = Bank::new(&HOLIDAYS).surprised(day, Business::Closed);
    let [usual_calls, closed_calls] = [&usual, &closed].map(|bank| bank.calls("2026-06-15", "2026-08-22"));
    let midnight = midnight(date(day));
    for hours in [8, 9, 12, 16, 20, 26, 32] {
        let (fitted, origin) = (midnight.plus(hours / 6 * 6 * HOUR), midnight.plus(hours * HOUR));
        let high = |bank: &Bank, calls: &Series| -> Vec<f64> {
            let known = Known { settled: calls, origin, live: None };
            let model = fit(bank, calls, fitted);
            let forecast = model.forecast(&known, origin..origin.plus(24 * HOUR), &levels());
            forecast.expect("within the horizon").rows().map(|row| row.loads[2]).collect()
        };
        let (usual, closed) = (high(&usual, &usual_calls), high(&closed, &closed_calls));
        let peak = usual.iter().copied().fold(0.0, f64::max);
        for (ahead, (usual, closed)) in usual.into_iter().zip(closed).enumerate() {
            // At night next to nothing is usual, and a little more than that is no harm.
            let most = 1.5 * usual.max(0.02 * peak);
            assert!(closed <= most, "at {hours} h, {ahead} slots ahead: {closed} for {usual}");
        }
    }
}

#[test]
fn around_new_year_a_closed_first_of_january_is_the_only_odd_day() {
    let bank = Bank::new(&HOLIDAYS);
    let calls = bank.calls("2026-08-03", "2027-01-16");
    let ordinary = seen_from_midnight(&bank, &calls, "2026-12-14");
    for day in ["2026-12-31", "2027-01-01", "2027-01-02", "2027-01-04"] {
        let loss = seen_from_midnight(&bank, &calls, day);
        assert!(loss < 1.5 * ordinary, "{day}: {loss} for {ordinary}");
    }
}

#[test]
fn days_of_23_and_25_hours_open_at_half_past_nine_by_the_clock() {
    let bank = Bank {
        week: [1.25, 1.05, 1.0, 0.95, 1.0, 0.7, 0.6],
        hours: (9 * 3_600 + 1_800, 16 * 3_600),
        ..Bank::new(&[])
    };
    // The day of 23 hours, that of 25, and the Mondays after them, each beside the same day a week before.
    let spring = bank.calls("2026-01-05", "2026-03-12");
    let autumn = bank.calls("2026-08-31", "2026-11-05");
    for (calls, day, ordinary) in [
        (&spring, "2026-03-08", "2026-03-01"),
        (&spring, "2026-03-09", "2026-03-02"),
        (&autumn, "2026-11-01", "2026-10-25"),
        (&autumn, "2026-11-02", "2026-10-26"),
    ] {
        let (loss, ordinary) =
            (seen_from_midnight(&bank, calls, day), seen_from_midnight(&bank, calls, ordinary));
        assert!(loss < 1.5 * ordinary, "{day}: {loss} for {ordinary}");
    }
}

/// The median and the 0.95 of an hour, forecast by a model that does not learn from `exclude`.
fn hour(calls: &Series, exclude: &[Exclusion], origin: Slot, hour: Slot) -> [f64; 2] {
    let model =
        forecaster(&Bank::new(&[]).almanac(), &exclude.into()).fit(calls, origin).expect("weeks of history");
    let known = Known { settled: calls, origin, live: None };
    let rows = model.forecast(&known, hour..hour.next(), &levels()).expect("within the horizon");
    let row = rows.rows().next().expect("a row");
    [row.loads[0], row.loads[2]]
}

#[test]
fn an_excluded_load_test_comes_again_neither_next_week_nor_this_afternoon() {
    let usual = Bank::new(&[]).calls("2026-06-01", "2026-07-20");
    let mut calls = usual.clone();
    let ten = midnight(date("2026-07-08")).plus(10 * HOUR);
    for slot in (0..2 * HOUR).map(|ahead| ten.plus(ahead)) {
        calls.put(slot, Load::saturating(9_000.0));
    }
    let exclude = [Exclusion {
        from: step().start(ten),
        to: step().start(ten.plus(2 * HOUR)),
        why: "load test".into(),
    }];
    let next_week = midnight(date("2026-07-15"));
    // While it runs, just after it, the day after, and a week later at the same time.
    for (origin, ahead) in [
        (ten.plus(HOUR), 2),
        (ten.plus(2 * HOUR), 0),
        (ten.plus(12 * HOUR), 24 * HOUR),
        (next_week, 10 * HOUR),
    ] {
        let [median, high] = hour(&calls, &exclude, origin, origin.plus(ahead));
        let [usual_median, usual_high] = hour(&usual, &exclude, origin, origin.plus(ahead));
        assert_eq!((median, high), (usual_median, usual_high), "{origin:?}");
    }
    let [_, remembered] = hour(&calls, &[], ten.plus(2 * HOUR), ten.plus(2 * HOUR));
    let [_, forgotten] = hour(&calls, &exclude, ten.plus(2 * HOUR), ten.plus(2 * HOUR));
    assert!(remembered > 1.5 * forgotten, "{remembered} {forgotten}: the test was never noticed");
    let model = forecaster(&Bank::new(&[]).almanac(), &exclude.as_slice().into());
    let model = model.fit(&calls, next_week).expect("weeks of history");
    let hygiene = model.hygiene().expect("a report");
    assert_eq!(Doubt::ALL.map(|doubt| hygiene.masked(doubt)), [4, 0, 0, 0, 0, 0, 0]);
    assert_eq!(hygiene.span, step().start(calls.first())..step().start(next_week));
}

#[test]
fn a_level_that_made_a_step_and_stays_is_forecast_as_if_it_had_always_been_there() {
    let bank = Bank::new(&HOLIDAYS);
    let calls = bank.calls("2026-06-15", "2026-09-12");
    let noon = midnight(date("2026-08-18")).plus(12 * HOUR);
    for times in [0.4, 2.5] {
        let mut stepped = calls.clone();
        for (slot, load) in calls.points().take_while(|(slot, _)| *slot < noon) {
            stepped.put(slot, Load::saturating(load.get() / times));
        }
        for day in ["2026-08-26", "2026-08-31", "2026-09-01", "2026-09-11"] {
            let [before, after] = [&calls, &stepped].map(|calls| seen_from_midnight(&bank, calls, day));
            assert!(after < 1.3 * before, "{times} times, {day}: {after} for {before}");
        }
        let model = fit(&bank, &stepped, midnight(date("2026-09-01")));
        let shifts = &model.hygiene().expect("a report").shifts;
        let [shift] = shifts[..] else { panic!("{shifts:?}") };
        assert!((shift.times / times - 1.0).abs() < 0.1, "{shift:?}");
        let off = (shift.at - step().start(noon)).num_hours().abs();
        assert!(off <= 1, "{shift:?} is {off} h off");
    }
    // Without a step nothing is made out to be one, whatever a summer of holidays does to the days.
    let model = fit(&bank, &calls, calls.end());
    assert_eq!(model.hygiene().expect("a report").shifts, []);
}

fn refused(explanation: &Explanation) -> Vec<&'static str> {
    explanation.refusals.iter().map(|refusal| refusal.candidate).collect()
}

#[test]
fn who_is_asked_grows_with_history_and_who_is_not_is_told_with_the_reason() {
    let bank = Bank::new(&HOLIDAYS);
    let calls = bank.calls("2026-08-03", "2026-10-03");
    let explained = |day: &str| fit(&bank, &calls, midnight(date(day))).explanation();

    let two_days = explained("2026-08-05");
    let all = ["week_profile", "log_ridge", "nonnegative", "nowcast", "surge_search", "shift_search"];
    assert_eq!(refused(&two_days), all);
    let why = two_days.refusals[0].why;
    assert_eq!(why, Unfit::TooShort { measured_hours: 48, needed_hours: 168 });
    assert!(two_days.blends.iter().all(|blend| !blend.judged), "{:?}", two_days.blends);

    let two_weeks = explained("2026-08-17");
    assert_eq!(refused(&two_weeks), ["nowcast", "surge_search", "shift_search"]);
    assert_eq!(two_weeks.refusals[1].why, Unfit::TooShort { measured_hours: 336, needed_hours: 504 });

    // On Labor Day's eve a holiday is coming, and none was seen.
    let five_weeks = explained("2026-09-06");
    assert_eq!(refused(&five_weeks), ["holiday", "nowcast"]);
    assert_eq!(five_weeks.refusals[0].why, Unfit::NeverSeen);
    let coarse = Unfit::TooCoarse { step: step(), coarsest: tidetable::time::Step::MINUTE };
    assert_eq!(five_weeks.refusals[1].why, coarse);

    let two_months = explained("2026-10-02");
    assert_eq!(refused(&two_months), ["nowcast"]);
    let [days, hours] = &two_months.blends[..] else { panic!("{:?}", two_months.blends) };
    assert_eq!((days.part, hours.part), (Part::Days, Part::Hours));
    let end = step().start(midnight(date("2026-10-02")));
    for blend in [days, hours] {
        assert!(blend.judged && blend.learned_from.end == end, "{blend:?}");
        for Shares { shares, .. } in &blend.shares {
            assert_eq!(shares.len(), blend.candidates.len());
            assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{shares:?}");
        }
    }
    assert!(hours.shares.is_sorted_by(|near, far| near.lead < far.lead), "{hours:?}");
    assert_ne!(hours.shares.first().map(|at| &at.shares), hours.shares.last().map(|at| &at.shares));
}

#[test]
fn what_is_left_out_of_history_is_told_by_its_reason() {
    let calls = Bank::new(&[]).calls("2026-06-01", "2026-07-20");
    let ten = midnight(date("2026-07-08")).plus(10 * HOUR);
    let mut odd = calls.clone();
    // A counter that was reset, one that wrapped, a lonely spike, an outage, and an afternoon of next to nothing.
    odd.put(ten, Load::ZERO);
    odd.put(ten.plus(3), Load::saturating(1.8e19));
    let outage = midnight(date("2026-07-09")).plus(10 * HOUR);
    (0..8).for_each(|ahead| odd.put(outage.plus(ahead), Load::ZERO));
    let slump = midnight(date("2026-07-10")).plus(10 * HOUR);
    (0..10).for_each(|ahead| odd.put(slump.plus(ahead), Load::saturating(4.0)));
    let model = fit(&Bank::new(&[]), &odd, midnight(date("2026-07-20")));
    let explanation = model.explanation();
    let hygiene = explanation.hygiene.as_ref().expect("a report");
    let told = Doubt::ALL.map(|doubt| (doubt.name(), hygiene.masked(doubt)));
    let expected = [
        ("excluded", 0),
        ("absurd", 1),
        ("reset", 1),
        ("spike", 0),
        ("outage", 8),
        ("surge", 0),
        ("slump", 10),
    ];
    assert_eq!(told, expected);
    let text = explanation.to_string();
    for said in ["1 left out (reset)", "8 left out (outage)", "10 left out (slump)", "not asked: nowcast"] {
        assert!(text.contains(said), "{said} in {text}");
    }
}

/// Loads that a forecast must survive, by their name.
fn strange(name: &str) -> Series {
    let whole = Bank::new(&[]).calls("2026-05-04", "2026-06-02");
    let first = whole.first();
    let mut series = Series::empty(step(), first);
    for (slot, load) in whole.points() {
        let index = slot.since(first);
        let load = match name {
            "constant" => 42.0,
            "nothing" => 0.0,
            "counts" => (index * 2_654_435_761 % 101 * (index % 3) / 90) as f64,
            "giant" => 1e9 * load.get(),
            "dwarf" => 1e-9 * load.get(),
            "wrapped" if index % 300 == 0 => 1.8e19,
            "dead" if index > 900 => 0.0,
            _ => load.get(),
        };
        if name != "young" || index < 50 {
            series.put(slot, Load::saturating(load));
        }
    }
    series
}

#[test]
fn strange_loads_have_forecasts_that_are_finite_and_in_order() {
    for name in ["constant", "nothing", "young", "counts", "giant", "dwarf", "wrapped", "dead"] {
        let series = strange(name);
        let origin = series.end();
        let model =
            forecaster(&Almanac::none(ZONE), &Arc::default()).fit(&series, origin).expect("a day or more");
        for live in [None, Some(0.0), Some(1e12)] {
            let live = live.map(|load| Observation { at: step().end(origin), load: Load::saturating(load) });
            let known = Known { settled: &series, origin, live };
            let forecast = model.forecast(&known, origin..origin.plus(96), &levels()).expect("48 hours");
            let mut most = 0.0_f64;
            for row in forecast.rows() {
                assert!(row.loads.iter().all(|load| load.is_finite() && *load >= 0.0), "{name}: {row:?}");
                assert!(row.loads.is_sorted(), "{name}: {row:?}");
                most = most.max(row.loads[0]);
            }
            // What was settled says what is expected; beside it a live measurement may raise a few slots.
            let expected = match name {
                "constant" => 41.0..43.0,
                "nothing" => 0.0..1e-9,
                "giant" => 4e11..1e12,
                "dwarf" => 4e-7..1e-6,
                "wrapped" => 400.0..1_000.0,
                _ => 0.0..1_000.0,
            };
            if live.is_none() {
                assert!(expected.contains(&most), "{name}: {most}");
            }
            let mut loads = [Load::ZERO; 4];
            if model.peak(&known, step().end(origin.plus(1)), &levels(), &mut loads).is_some() {
                assert!(loads.iter().all(|load| load.get().is_finite()), "{name}: {loads:?}");
                assert!(loads.is_sorted_by(|a, b| a.get() <= b.get()), "{name}: {loads:?}");
            }
        }
    }
}

#[test]
fn a_wrapped_value_that_settles_after_the_fit_does_not_ask_for_all_there_is() {
    let bank = Bank::new(&[]);
    let mut calls = bank.calls("2026-01-05", "2026-03-04");
    let origin = midnight(date("2026-03-03")).plus(24);
    let model = fit(&bank, &calls, origin);
    let most = calls.until(origin).points().map(|(_, load)| load.get()).fold(0.0, f64::max);
    let seen = model.most_seen().expect("it has learned").get();
    assert!((seen / most - 1.0).abs() < 1e-9, "{seen} for {most}");
    calls.put(origin, Load::saturating(1e19));
    let known = Known { settled: &calls, origin: origin.next(), live: None };
    let (one, max) = (LoadPerReplica::try_new(1.0).expect("above 0"), Replicas(1_000_000));
    let options = plan::Options {
        lead_time: Duration::from_secs(300),
        quantile: Quantile::P95,
        growth: plan::Growth::default(),
    };
    let now = step().start(origin.next());
    let plan = plan::for_lead_time(now, model.as_ref(), &known, one, &options, Quantile::P95, max);
    let plan = plan.expect("a plan");
    assert!(plan.absurd.is_some() && plan.peak.get() <= 20.0 * most, "{plan:?}");
}
