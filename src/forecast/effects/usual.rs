//! What demand would have been without an effect, in a window that is over.
//!
//! For a slot in a window it is the median, over the same weekday of the weeks before and after, of demand at the same
//! local time, each brought to the level of the window's own day:
//!
//! ```text
//! c(j) = median over d of  y(j − d) · Σ y(k) / Σ y(k − d)       k: a day before the window to a day after it, no effect at k or k − d
//! ```
//!
//! Levels are compared over slots that no effect covers on either side, so hiding the busy hours of a day does not make the
//! day look calm. A holiday is compared with holidays alone, and no other day with one, or the half day before it would look
//! as calm as the holiday. Slots from the origin on are not looked at.

use std::ops::Range;

use chrono::{NaiveDate, TimeDelta};

use crate::calendar::{DayKind, Outlook};
use crate::forecast::median::median;
use crate::series::Series;
use crate::time::{LocalClock, Slot, Step};

/// The days whose same hour is looked at, nearest first: a pay day is compared with the same weekday before and after.
const DAYS: [i64; 12] = [7, -7, 14, -14, 21, -21, 28, -28, 35, 42, 49, 56];

/// So many of them are used.
const USED: usize = 8;

/// Levels are compared over about so many slots: a mean of 300 is exact to a few tenths of a percent.
const SAMPLES: i64 = 300;

/// History with the slots that effects cover, to be asked what would have been usual.
#[derive(Debug)]
pub(super) struct Usual<'a> {
    history: &'a Series,
    origin: Slot,
    clock: &'a LocalClock,
    /// By slot of the history.
    covered: Vec<bool>,
    /// By local day, from that of the first slot on.
    holidays: Vec<bool>,
    first_day: i64,
    /// Added to both sides before levels are divided.
    offset: f64,
}

impl<'a> Usual<'a> {
    pub(super) fn new(
        history: &'a Series,
        origin: Slot,
        clock: &'a LocalClock,
        outlook: &Outlook,
        windows: impl IntoIterator<Item = Range<Slot>>,
        offset: f64,
    ) -> Self {
        let grid = history.grid();
        let mut covered = vec![false; grid.len];
        for window in windows {
            let end = window.end.min(grid.end());
            for slot in window.start.max(grid.first).0..end.0 {
                covered[usize::try_from(slot - grid.first.0).unwrap_or(0)] = true;
            }
        }
        let day = |slot: Slot| local_day(clock, history.step(), slot);
        let first_day = day(grid.first);
        let is_holiday = |day: i64| {
            let date = NaiveDate::default().checked_add_signed(TimeDelta::days(day));
            date.is_some_and(|date| outlook.day(date).kind == DayKind::Holiday)
        };
        let holidays = (first_day..=day(grid.end())).map(is_holiday).collect();
        Self { history, origin, clock, covered, holidays, first_day, offset }
    }

    /// What would have been usual in each of `slots`; `None` where no comparable day was measured.
    pub(super) fn of(&self, slots: Range<Slot>) -> Vec<Option<f64>> {
        let levels: Vec<(i64, f64)> =
            DAYS.iter().filter_map(|days| Some((*days, self.level(&slots, *days)?))).take(USED).collect();
        let mut loads = Vec::with_capacity(USED);
        (slots.start.0..slots.end.0)
            .map(|slot| {
                loads.clear();
                loads.extend(levels.iter().filter_map(|(days, level)| {
                    Some(self.free(self.days_earlier(Slot(slot), *days)?)? * level)
                }));
                median(&mut loads)
            })
            .collect()
    }

    /// How much busier the window's surroundings are than those `days` earlier.
    fn level(&self, slots: &Range<Slot>, days: i64) -> Option<f64> {
        let day = 86_400 / self.history.step().seconds().max(1);
        let around = slots.start.0 - day..slots.end.0 + day;
        let stride = ((around.end - around.start) / SAMPLES).max(1);
        let (mut now, mut then, mut pairs, mut asked) = (0.0, 0.0, 0, 0);
        for slot in around.step_by(usize::try_from(stride).unwrap_or(1)).map(Slot) {
            asked += 1;
            let Some(earlier) = self.days_earlier(slot, days) else { continue };
            if let (Some(load), Some(earlier)) = (self.free(slot), self.free(earlier)) {
                (now, then, pairs) = (now + load + self.offset, then + earlier + self.offset, pairs + 1);
            }
        }
        (pairs * 8 >= asked && then > 0.0).then(|| now / then)
    }

    /// The load of a slot that was measured and that nothing moved.
    fn free(&self, slot: Slot) -> Option<f64> {
        let index = usize::try_from(slot.since(self.history.first())).ok()?;
        let free = slot < self.origin && !*self.covered.get(index)?;
        if free { self.history.load(slot) } else { None }
    }

    /// The slot at the same local time so many days earlier, where that is the same kind of day.
    fn days_earlier(&self, slot: Slot, days: i64) -> Option<Slot> {
        let step: Step = self.history.step();
        let then = step.slot_of(self.clock.days_earlier(step.end(slot), days)?);
        (self.is_holiday(slot) == self.is_holiday(then)).then_some(then)
    }

    fn is_holiday(&self, slot: Slot) -> bool {
        let day = local_day(self.clock, self.history.step(), slot) - self.first_day;
        usize::try_from(day).ok().and_then(|day| self.holidays.get(day)).is_some_and(|holiday| *holiday)
    }
}

/// Days since 1970-01-01 by the wall clock.
fn local_day(clock: &LocalClock, step: Step, slot: Slot) -> i64 {
    clock.local_seconds(step.start(slot)).div_euclid(86_400)
}
