//! Steps that stayed: a new market goes live, half of the traffic moves elsewhere, a client batches from now on.
//!
//! ```text
//! x(d) = ln (mean load of day d)      u(d) = median x of the same weekday in the four weeks before the step
//! after  the step   x − u = s, give or take a quarter of s, on at least five ordinary days, all that there are of a fortnight
//! before the step   x − u = 0, give or take a third of s, in the fortnight before it
//! ```
//!
//! and |s| is at least a factor of [`LEAST_TIMES`]. What came before such a step is multiplied by `exp s` to learn from, so that
//! the shape of the day and the week goes on being known. Without that the median of four weeks looks back over the step for
//! half a month: Mondays were missed by five times the usual.
//!
//! Five days are long. A burst of three days must not make the fourth look tiny, and the newest hours carry a forecast over
//! the first days by themselves. Two steps within a fortnight of each other are not told apart. Days of rest, days with an
//! event and days that were hardly measured are not asked.

use std::ops::Range;

use super::past::Past;
use crate::calendar::{DayKind, WindowSource};
use crate::forecast::median::median;
use crate::time::{Slot, from_epoch_seconds};

/// A smaller step is left to the level of the last week, which every look-up is relative to.
const LEAST_TIMES: f64 = 1.5;

/// So many ordinary days must have come since, and so many at most are asked.
const FEWEST_DAYS: usize = 5;
const MOST_DAYS: usize = 14;

/// Days before a step that tell what was usual.
const USUAL_DAYS: usize = 28;

/// Fewer of one weekday tell nothing.
const FEWEST_OF_WEEKDAY: usize = 2;

/// How far a day may lie from where the step says, as a part of the step and beside it.
const APART_AFTER: f64 = 0.25;
const APART_BEFORE: f64 = 0.35;
const NOISE: f64 = 0.05;

/// One day in so many may lie anywhere.
const ODD_ONE_IN: usize = 7;

/// A day with less than this share of its slots measured, or with less than this share of the usual day's load, tells nothing.
const MEASURED_SHARE: f64 = 0.9;
const IDLE_SHARE: f64 = 0.05;

/// More steps than this are how the service is.
const MOST_SHIFTS: usize = 6;

/// One local day.
struct Day {
    slots: Range<Slot>,
    /// x; `None` where the day is not asked.
    log: Option<f64>,
}

/// The first slot of each step and how many times larger load has been since; in no order.
pub(super) fn shifts(past: &Past) -> Vec<(Slot, f64)> {
    let mut days = days(past);
    let mut found = Vec::new();
    while found.len() < MOST_SHIFTS
        && let Some((day, log)) = newest(&days)
    {
        let at = first_slot(past, &days[day].slots, log.exp());
        found.push((at, log.exp()));
        // An older step is looked for in what would have come without this one.
        days[day].log = None;
        for earlier in &mut days[..day] {
            earlier.log = earlier.log.map(|own| own + log);
        }
    }
    found
}

fn days(past: &Past) -> Vec<Day> {
    let mut days: Vec<Day> = Vec::new();
    let mut sums: Vec<(f64, f64)> = Vec::new();
    let first = past.local_day(past.first);
    for (slot, load) in (past.first.0..).map(Slot).zip(&past.loads) {
        let day = usize::try_from(past.local_day(slot) - first).unwrap_or(0);
        while days.len() <= day {
            days.push(Day { slots: slot..slot, log: None });
            sums.push((0.0, 0.0));
        }
        days[day].slots.end = slot.next();
        if let Some(load) = load {
            sums[day] = (sums[day].0 + load, sums[day].1 + 1.0);
        }
    }
    let whole = MEASURED_SHARE * 86_400.0 / past.step.seconds() as f64;
    let means: Vec<f64> = sums.iter().map(|(sum, count)| sum / count.max(1.0)).collect();
    let mut busy: Vec<f64> = means.iter().copied().filter(|mean| *mean > 0.0).collect();
    let Some(idle) = median(&mut busy).map(|usual| IDLE_SHARE * usual) else { return days };
    for ((day, mean), (_, count)) in days.iter_mut().zip(means).zip(&sums) {
        let asked = *count >= whole && mean > idle && past.is_ordinary(&day.slots);
        day.log = asked.then(|| mean.ln());
    }
    days
}

impl Past {
    fn local_day(&self, slot: Slot) -> i64 {
        self.clock.local_seconds_of(slot.0 * self.step.seconds()).div_euclid(86_400)
    }

    /// Whether the almanac has neither a day of rest nor an event on the day of these slots.
    fn is_ordinary(&self, slots: &Range<Slot>) -> bool {
        let (start, end) = (self.step.start(slots.start), self.step.start(slots.end));
        let local = from_epoch_seconds(self.clock.local_seconds(start)).date_naive();
        let mut events = self.outlook.windows().iter().filter(|window| window.source == WindowSource::Event);
        matches!(self.outlook.day(local).kind, DayKind::Working | DayKind::Weekend)
            && !events.any(|window| window.touches(start, end))
    }
}

/// The day within which the newest step lies, and s.
///
/// One odd day is allowed on either side, so the days around a step look like steps, too: of neighbours the best is taken.
fn newest(days: &[Day]) -> Option<(usize, f64)> {
    let days_before = FEWEST_OF_WEEKDAY * 7;
    let last = days.len().checked_sub(FEWEST_DAYS + 1)?;
    let candidates = (days_before..=last).rev().map(|day| Some((day, shift_at(days, day)?)));
    let run = candidates.skip_while(Option::is_none).map_while(|candidate| candidate);
    let best = run.min_by(|(_, one), (_, other)| one.apart.total_cmp(&other.apart));
    best.map(|(day, shift)| (day, shift.log))
}

/// A step as it would be.
struct Candidate {
    /// s.
    log: f64,
    /// How far the days before and after it lie from where it says, on average.
    apart: f64,
}

/// The step within the day `at` or at its beginning, if there can be one.
fn shift_at(days: &[Day], at: usize) -> Option<Candidate> {
    let before = at.saturating_sub(USUAL_DAYS)..at;
    let beyond = |day: usize| {
        let alike = before.clone().filter(|other| other % 7 == day % 7 && *other != day);
        let mut alike: Vec<f64> = alike.filter_map(|other| days[other].log).collect();
        let known = alike.len() >= if day < at { 1 } else { FEWEST_OF_WEEKDAY };
        Some(days[day].log? - median(&mut alike).filter(|_| known)?)
    };
    let after: Vec<f64> = (at + 1..days.len()).take(MOST_DAYS).filter_map(beyond).collect();
    let shift = median(&mut after.clone()).filter(|_| after.len() >= FEWEST_DAYS)?;
    if shift.abs() < LEAST_TIMES.ln() {
        return None;
    }
    let all_within = |days: &[f64], from: f64, share: f64| {
        let odd = days.iter().filter(|day| (*day - from).abs() > share * shift.abs() + NOISE).count();
        odd <= days.len() / ODD_ONE_IN
    };
    let lately: Vec<f64> = (at.saturating_sub(MOST_DAYS)..at).filter_map(beyond).collect();
    let known = lately.len() >= FEWEST_DAYS;
    let steps = known && all_within(&after, shift, APART_AFTER) && all_within(&lately, 0.0, APART_BEFORE);
    let apart: f64 =
        after.iter().map(|day| (day - shift).abs()).chain(lately.iter().map(|day| day.abs())).sum();
    steps.then(|| Candidate { log: shift, apart: apart / (after.len() + lately.len()) as f64 })
}

/// Where within a day the step fits what came best: what is usual before it, and `times` as much from it on.
fn first_slot(past: &Past, slots: &Range<Slot>, times: f64) -> Slot {
    let missed = |slot: Slot| {
        let load = past.load(slot)?;
        let weeks = (1..=USUAL_DAYS / 7)
            .filter_map(|weeks| past.load(past.weeks_later(slot, -i64::try_from(weeks).unwrap_or(0))?));
        let usual = median(&mut weeks.collect::<Vec<f64>>())?;
        // What it costs to say that the step came before this slot, less what it costs to say that it came after.
        Some((load - times * usual).abs() - (load - usual).abs())
    };
    let (mut cost, mut least, mut first) = (0.0, 0.0, slots.start);
    for slot in (slots.start.0..slots.end.0).map(Slot) {
        cost -= missed(slot).unwrap_or(0.0);
        if cost < least {
            (least, first) = (cost, slot.next());
        }
    }
    first
}
