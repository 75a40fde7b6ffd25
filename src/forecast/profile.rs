//! The usual demand of a slot of the week, by the customers' wall clock.
//!
//! For slot k it is the median, over the last weeks, of demand at the same local time of the same weekday, each divided
//! by the mean level of its own week, times the level of the week before the fit. Dividing by the level is what lets a
//! growing service use eight weeks of memory.
//!
//! Every number that enters slot k is older than k by more than [`super::HORIZON`], so the profile of a past slot is what
//! would have been forecast then, and errors measured against it are honest.

use std::ops::Range;

use super::HORIZON;
use crate::series::Series;
use crate::time::{LocalClock, Slot, Step};

/// How many weeks are looked at, and how many of those that are measured are used.
const WEEKS_SEEN: i64 = 10;
const WEEKS_USED: usize = 8;

/// Where no week has the slot: the same time of day on these days back, all beyond the horizon.
const OTHER_DAYS: Range<i64> = 3..7;

/// The span of the level: a week, so that its own shape does not enter.
const LEVEL_DAYS: i64 = 7;

/// Running sums of a series, so that the mean of any span costs two lookups.
#[derive(Debug)]
pub(super) struct Sums {
    first: Slot,
    /// `(sum of loads, number of measured slots)` before each slot.
    before: Vec<(f64, u32)>,
}

impl Sums {
    pub(super) fn of(history: &Series, until: Slot) -> Self {
        let mut before = Vec::with_capacity(history.grid().len + 1);
        let (mut sum, mut count) = (0.0, 0);
        before.push((sum, count));
        for slot in (history.first().0..until.0.min(history.end().0)).map(Slot) {
            if let Some(load) = history.load(slot) {
                sum += load;
                count += 1;
            }
            before.push((sum, count));
        }
        Self { first: history.first(), before }
    }

    /// The mean of the measured slots in `range`, if at least a tenth of it is measured.
    pub(super) fn mean(&self, range: Range<Slot>) -> Option<f64> {
        let (low, high) = (self.at(range.start), self.at(range.end));
        let count = high.1 - low.1;
        let enough = i64::from(count) * 10 >= range.end.since(range.start);
        (count > 0 && enough).then(|| (high.0 - low.0) / f64::from(count))
    }

    fn at(&self, slot: Slot) -> (f64, u32) {
        let last = self.before.len() - 1;
        let index = slot.since(self.first).clamp(0, i64::try_from(last).unwrap_or(i64::MAX));
        self.before[usize::try_from(index).unwrap_or(0)]
    }
}

/// Slots in a week of this step, rounded up.
pub(super) fn week(step: Step) -> i64 {
    (LEVEL_DAYS * 86_400 + step.seconds() - 1) / step.seconds()
}

/// The mean of the week before `origin`.
pub(super) fn level(sums: &Sums, origin: Slot, step: Step) -> Option<f64> {
    sums.mean(origin.plus(-week(step))..origin)
}

/// Demand of each slot of `slots` relative to the level of its week: 1 where a slot is like the mean of the week.
///
/// Only slots of `history` before `origin` are looked at.
pub(super) fn shape(
    history: &Series,
    sums: &Sums,
    origin: Slot,
    slots: Range<Slot>,
    clock: &LocalClock,
) -> Vec<f64> {
    let mut used = Vec::with_capacity(WEEKS_USED);
    (slots.start.0..slots.end.0)
        .map(Slot)
        .map(|slot| {
            used.clear();
            let weeks = (1..=WEEKS_SEEN).map(|week| 7 * week);
            used.extend(
                weeks.filter_map(|days| relative(history, sums, origin, slot, days, clock)).take(WEEKS_USED),
            );
            if used.is_empty() {
                used.extend(OTHER_DAYS.filter_map(|days| relative(history, sums, origin, slot, days, clock)));
            }
            median(&mut used).unwrap_or(1.0)
        })
        .collect()
}

/// Demand at the same wall-clock time `days` ago, relative to the level of the week around it.
fn relative(
    history: &Series,
    sums: &Sums,
    origin: Slot,
    slot: Slot,
    days: i64,
    clock: &LocalClock,
) -> Option<f64> {
    let step = history.step();
    let then = step.slot_of(clock.days_earlier(step.end(slot), days)?);
    if then >= origin {
        return None;
    }
    let load = history.load(then)?;
    let half = week(step) / 2;
    // What was known two days before the slot, and no more: else a past slot would have a part in its own forecast.
    let known = origin.min(slot.plus(-step.slots_in(HORIZON)));
    let level = sums.mean(then.plus(-half)..then.plus(half + 1).min(known))?;
    Some(if level > 0.0 { load / level } else { 1.0 })
}

/// The middle of the list, or the mean of the two in the middle; `None` when it is empty. Sorts the list.
fn median(list: &mut [f64]) -> Option<f64> {
    list.sort_unstable_by(f64::total_cmp);
    let middle = list.len() / 2;
    match list.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(list[middle]),
        _ => Some(f64::midpoint(list[middle - 1], list[middle])),
    }
}
