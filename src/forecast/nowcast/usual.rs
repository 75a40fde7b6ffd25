//! The usual demand of each minute: what comparable days had at the same time on the customers' wall clock.
//!
//! Which days are comparable, and how far neighbouring minutes speak for each other, is chosen by the error of the last
//! three weeks. Two days that are compared with days of different levels are joined at midnight. Every number that enters a minute is
//! a day older than it, less half an hour at most, so what past minutes are compared with is what would have been known then.

use std::ops::Range;

use super::alike::{Behind, Days, LIKE_NO_OTHER, LIKENESSES, Likeness};
use super::sums::{Around, Sums};
use crate::series::{BLOCK, Blocks};
use crate::time::{Slot, Step};

/// Widths over which neighbouring minutes are averaged, in minutes. One alone keeps the edge of a batch sharp.
const WIDTHS: [usize; 4] = [5, 15, 31, 61];

/// What a minute has of its own must stand out from scatter by so many standard errors: by chance one in a thousand does.
const DOUBT: f64 = 3.3;

/// The scatter of the minutes before speaks for that of a few days, like so many more days, and this many minutes of it.
const SCATTER_DAYS: f64 = 20.0;
const SCATTER_MINUTES: f64 = 60.0;

/// So many times the scatter is the most that the square of one day's own counts for.
const ONE_DAY_AT_MOST: f64 = 4.0;

/// The span whose error chooses, and the distance between the minutes that are looked at: with 60 minutes and 24 hours it
/// has no divisor in common.
const CHOOSE_DAYS: i64 = 21;
const CHOOSE_EVERY: usize = 11;

/// A rise is that from the minutes around the one so long before.
const RISE_OVER: i64 = 4;

/// The minutes before a midnight over which the levels of its two days are compared.
const EVE: i64 = 30;
const EVE_MINUTES: usize = 30;

/// The minutes after a midnight in which they part. On recorded traffic an hour and a half to six hours came to the same.
const SEAM_FADES: f64 = 120.0;

/// The later day begins at so many times its own level at most, and at no less than the inverse of that.
const SEAM_AT_MOST: f64 = 2.0;

/// A share of a day's mean that counts as closed.
const CLOSED_SHARE: f64 = 0.05;

/// Minutes of a day.
const DAY: i64 = 1440;
const DAY_MINUTES: usize = 1440;

/// The usual demand over a run of minutes, as running sums: for a fit, which asks for the means of whole days.
#[derive(Debug, Clone)]
pub(super) struct Usual {
    first: Slot,
    before: Vec<f64>,
}

impl Usual {
    /// Mean usual demand of some slots; `None` outside the run.
    pub(super) fn over(&self, slots: Range<Slot>) -> Option<f64> {
        let index = |slot: Slot| usize::try_from(slot.since(self.first)).ok();
        let (low, high) = (*self.before.get(index(slots.start)?)?, *self.before.get(index(slots.end)?)?);
        let count = slots.end.since(slots.start);
        (count > 0).then(|| ((high - low) / count as f64).max(0.0))
    }

    /// What is kept of it between fits: the minutes from `first` on.
    pub(super) fn from(&self, first: Slot) -> Minutes {
        let skipped = usize::try_from(first.since(self.first)).unwrap_or(0).min(self.before.len() - 1);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "seven digits of what is usual are more than enough"
        )]
        let minutes = self.before[skipped..].windows(2).map(|sums| (sums[1] - sums[0]).max(0.0) as f32);
        let first = self.first.plus(i64::try_from(skipped).unwrap_or(0));
        let loads: Box<[f32]> = minutes.collect();
        Minutes { first, hours: Blocks::of(first, loads.iter().copied().map(f64::from)), loads }
    }
}

/// The usual demand of each minute of a run, in half the space: of what is kept of a fit this was a tenth.
#[derive(Debug, Clone)]
pub(super) struct Minutes {
    first: Slot,
    loads: Box<[f32]>,
    hours: Blocks,
}

impl Minutes {
    /// Mean usual demand between two instants, in seconds since the epoch; `None` outside the run, or when they are in
    /// no order. Costs a look at each minute that they touch.
    pub(super) fn mean(&self, from: i64, until: i64) -> Option<f64> {
        let begin = self.first.0 * 60;
        let (from, until) = (from - begin, until - begin);
        if from < 0 || until <= from {
            return None;
        }
        let index = |seconds: i64| usize::try_from(seconds).ok();
        let (first, last) = (index(from / 60)?, index((until - 1) / 60)?);
        if first == last {
            return self.loads.get(first).copied().map(f64::from);
        }
        let minutes = self.loads.get(first..=last)?;
        let seconds = |place: usize| i64::try_from(place).unwrap_or(0) * 60;
        let sum: f64 = (first..)
            .zip(minutes)
            .map(|(minute, load)| {
                let within = until.min(seconds(minute + 1)) - from.max(seconds(minute));
                f64::from(*load) * within as f64
            })
            .sum();
        Some(sum / (until - from) as f64)
    }

    /// The usual demand of the minute in which a slot ends, in seconds since the epoch; a slot lies within one.
    pub(super) fn minute(&self, end: i64) -> Option<f64> {
        let index = usize::try_from((end - 1).div_euclid(60) - self.first.0).ok()?;
        self.loads.get(index).copied().map(f64::from)
    }

    /// The usual demand of the slots of a [`BLOCK`] of them that begins with `first`, summed up; `None` outside the run.
    pub(super) fn block(&self, first: Slot, step: Step) -> Option<f64> {
        if step == Step::MINUTE {
            return self.hours.at(first);
        }
        let begin = usize::try_from((first.0 * step.seconds()).div_euclid(60) - self.first.0).ok()?;
        let minutes = usize::try_from(step.seconds()).ok()?;
        let sum: f64 = self.loads.get(begin..begin + minutes)?.iter().copied().map(f64::from).sum();
        Some(sum * BLOCK as f64 / minutes as f64)
    }

    /// Bytes on the heap.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.loads)
    }
}

/// What earlier days had to say.
pub(super) struct Memory<'a> {
    sums: &'a Sums,
    /// By each of the widths.
    around: [Around; WIDTHS.len()],
    behind: Behind<'a>,
}

impl<'a> Memory<'a> {
    pub(super) fn new(sums: &'a Sums, behind: Behind<'a>) -> Self {
        Self { sums, around: WIDTHS.map(|width| sums.around(width)), behind }
    }

    /// The usual demand of `slots`, by the likeness and the width that would have been right lately, and the first of them
    /// that has a day it is like: what came before had to make do with days that it is less like.
    pub(super) fn usual(&self, slots: Range<Slot>) -> (Usual, Slot) {
        let (likeness, around) = self.choose();
        let (mut days, mut stand_ins) = (self.days(likeness), self.days(LIKE_NO_OTHER));
        let mut before = Vec::with_capacity(usize::try_from(slots.end.since(slots.start)).unwrap_or(0) + 1);
        before.push(0.0);
        let (mut sum, mut last) = (0.0, 0.0);
        let mut own_from = None;
        let mut scatter = Scatter::default();
        let mut seam = Seam::NONE;
        for slot in (slots.start.0..slots.end.0).map(Slot) {
            if days.turn(slot) {
                stand_ins.turn(slot);
                let own = self.minute(days.alike(slot), around).is_some();
                seam = self.seam(if own { &days } else { &stand_ins }, slot, &before, scatter, around);
            }
            let found = self.minute(days.alike(slot), around);
            own_from = own_from.or_else(|| found.map(|_| slot));
            // A minute that no day has is like the one before it.
            last = found
                .or_else(|| self.minute(stand_ins.alike(slot), around))
                .map_or(last, |minute| scatter.usual(&minute));
            sum += seam.carried(slot, last);
            before.push(sum);
        }
        (Usual { first: slots.start, before }, own_from.unwrap_or(slots.end))
    }

    /// Where the day that begins with `first` and is like these `days` meets the day before, whose running sums of what is usual are
    /// `before`.
    fn seam(
        &self,
        days: &Days<'_>,
        first: Slot,
        before: &[f64],
        mut scatter: Scatter,
        around: &Around,
    ) -> Seam {
        let last = before.len() - 1;
        let mean =
            |minutes: usize| Some((before[last] - before[last.checked_sub(minutes)?]) / minutes as f64);
        let (Some(there), Some(day)) = (mean(EVE_MINUTES), mean(DAY_MINUTES)) else { return Seam::NONE };
        let ever = before[last] / last as f64;
        let (mut own, mut count) = (0.0, 0.0);
        for minute in (first.0 - EVE..first.0).map(Slot) {
            if let Some(minute) = self.minute(days.eve(minute), around) {
                own += scatter.usual(&minute);
                count += 1.0;
            }
        }
        if count > 0.0 { Seam::between(first, there, own / count, day.max(ever)) } else { Seam::NONE }
    }

    fn days(&self, likeness: Likeness) -> Days<'_> {
        Days::new(likeness, self.behind)
    }

    /// The likeness and width with the least absolute error, of the level when each day's was set right and of the rise over some
    /// minutes: it is asked for both, and by the level alone the sharpest width won, whose scatter counts twice in a rise.
    fn choose(&self) -> (Likeness, &Around) {
        let first = self.behind.origin.0 - CHOOSE_DAYS * DAY;
        let mut best = (f64::INFINITY, (LIKENESSES[0], &self.around[0]));
        for likeness in LIKENESSES {
            let (mut days, mut stand_ins) = (self.days(likeness), self.days(LIKE_NO_OTHER));
            let mut trials = [Trial::default(); WIDTHS.len()];
            for slot in (first..self.behind.origin.0).step_by(CHOOSE_EVERY).map(Slot) {
                let before = slot.plus(-RISE_OVER - 1)..slot.plus(-RISE_OVER + 2);
                let Some((load, before)) = self.sums.load(slot).zip(self.sums.mean(before)) else { continue };
                // Which days it is like is the same for each width.
                let alike = days.alike(slot);
                for (trial, around) in trials.iter_mut().zip(&self.around) {
                    // What stands in for a likeness that has no day yet is judged with it, as it will be used.
                    let usual = rise(alike.clone(), around)
                        .or_else(|| rise(stand_ins.alike(slot), around))
                        .unwrap_or_default();
                    trial.add([before, load], usual);
                }
            }
            for (trial, around) in trials.iter().zip(&self.around) {
                if trial.errors < best.0 {
                    best = (trial.errors, (likeness, around));
                }
            }
        }
        best.1
    }

    /// What some minutes had, smooth and in that minute alone.
    fn minute(&self, alike: impl Iterator<Item = Slot>, around: &Around) -> Option<Minute> {
        let (mut sum, mut count) = (0.0, 0.0);
        let mut minute = Minute::default();
        for then in alike {
            if let Some(mean) = around.at(then) {
                sum += mean;
                count += 1.0;
                if let Some(load) = self.sums.load(then) {
                    minute.add(load - mean);
                }
            }
        }
        (count > 0.0).then(|| Minute { smooth: sum / count, ..minute })
    }
}

/// What is smooth some minutes before each of some minutes, and there; `None` where nothing was measured.
fn rise(alike: impl Iterator<Item = Slot> + Clone, around: &Around) -> Option<[f64; 2]> {
    let before = alike.clone().map(|slot| slot.plus(-RISE_OVER));
    Some([smooth(before, around)?, smooth(alike, around)?])
}

/// The mean of what is `around` each of some minutes; `None` where nothing was measured.
fn smooth(alike: impl Iterator<Item = Slot>, around: &Around) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0.0);
    for mean in alike.filter_map(|then| around.at(then)) {
        sum += mean;
        count += 1.0;
    }
    (count > 0.0).then(|| sum / count)
}

/// Where two days meet that are compared with days of different levels, which demand knows nothing of: the later one begins at
/// the level of the earlier one, and comes to its own within two hours.
///
/// Weeks after Christmas a Friday looks back on holidays' weeks where the Thursday before it, which was a holiday then, looks past
/// them on December: at midnight what is usual fell by a fifth, and the forecast with it.
#[derive(Debug, Clone, Copy)]
struct Seam {
    first: Slot,
    ratio: f64,
    /// The level of the evening before in the eyes of the later day.
    evening: f64,
}

impl Seam {
    const NONE: Self = Self { first: Slot(0), ratio: 1.0, evening: 0.0 };

    /// From the level `there` of the evening, in the eyes of its own day, to the level `own` that it has in the eyes of the later one.
    /// What is next to nothing beside a day's `mean` is closed: two closed evenings say nothing.
    fn between(first: Slot, there: f64, own: f64, mean: f64) -> Self {
        let closed = CLOSED_SHARE * mean;
        if !(closed > 0.0 && closed.is_finite()) {
            return Self::NONE;
        }
        let ratio = (there + closed) / (own + closed);
        Self { first, ratio: ratio.clamp(1.0 / SEAM_AT_MOST, SEAM_AT_MOST), evening: own }
    }

    /// What is `usual` in the eyes of the later day, as it is said. A batch after midnight comes at its own size: only as much of it
    /// as the evening has is moved.
    fn carried(self, slot: Slot, usual: f64) -> f64 {
        let left = 1.0 - slot.since(self.first) as f64 / SEAM_FADES;
        usual + (self.ratio - 1.0) * left.clamp(0.0, 1.0) * usual.min(self.evening)
    }
}

/// How far off a likeness and a width would have been.
#[derive(Debug, Clone, Copy, Default)]
struct Trial {
    errors: f64,
    loads: f64,
    usuals: f64,
}

impl Trial {
    /// Takes in what came of the next minute that is looked at: the load and the usual demand some minutes before it, and of it.
    fn add(&mut self, [before, load]: [f64; 2], [usual_before, usual]: [f64; 2]) {
        let level = if self.usuals > 0.0 { (self.loads / self.usuals).clamp(0.5, 2.0) } else { 1.0 };
        self.errors += (load - level * usual).abs();
        self.errors += (load - before - level * (usual - usual_before)).abs();
        // Levels are those of about a day.
        let keep = 1.0 - CHOOSE_EVERY as f64 / DAY as f64;
        self.loads = self.loads * keep + load;
        self.usuals = self.usuals * keep + usual;
    }
}

/// One minute of the days that it is like: their mean when smoothed, and what each had beside that in this minute alone.
#[derive(Debug, Clone, Copy, Default)]
struct Minute {
    smooth: f64,
    days: f64,
    sum: f64,
    squares: f64,
}

impl Minute {
    fn add(&mut self, own: f64) {
        self.days += 1.0;
        self.sum += own;
        self.squares += own * own;
    }
}

/// How much the days of the last minutes differed among each other, as a share of their mean: its square.
#[derive(Debug, Clone, Copy, Default)]
struct Scatter {
    square: f64,
    minutes: f64,
}

impl Scatter {
    /// What is usual in `minute`: what is smooth there, and what it has of its own.
    fn usual(&mut self, minute: &Minute) -> f64 {
        (minute.smooth + self.agreed(minute)).max(0.0)
    }

    /// What the days agree that `minute` has of its own, as the edge of a batch has: `m·(1 − t²·σ²/n/m²)₊`, a positive-part
    /// shrinkage (James & Stein, 1961), where σ² is that of its days and of the minutes before it together. Takes in its scatter.
    fn agreed(&mut self, minute: &Minute) -> f64 {
        let Minute { smooth, days, sum, squares } = *minute;
        if days < 1.0 || smooth <= 0.0 {
            return 0.0;
        }
        let mean = sum / days;
        let level = smooth * smooth;
        // One day cannot tell its own from its scatter, so the minutes before say all; and it moves them by little.
        let apart = if days > 1.0 { (squares - sum * mean).max(0.0) } else { 0.0 };
        let before = if self.minutes > 0.0 { SCATTER_DAYS } else { 0.0 };
        let known = before + days - 1.0;
        let variance =
            if known > 0.0 { (before * self.square * level + apart) / known } else { f64::INFINITY };
        let share = match days {
            days if days > 1.0 => apart / (days - 1.0) / level,
            _ if self.minutes > 0.0 => (squares / level).min(ONE_DAY_AT_MOST * self.square),
            _ => squares / level,
        };
        self.minutes = (self.minutes + 1.0).min(SCATTER_MINUTES);
        self.square += (share - self.square) / self.minutes;
        let (chance, square) = (DOUBT * DOUBT * variance / days, mean * mean);
        if square > chance { mean * (1.0 - chance / square) } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What minutes of 1,000 have of their own, the last of them, when their days have `own` beside it.
    fn agreed(minutes: &[&[f64]]) -> f64 {
        let mut scatter = Scatter::default();
        let mut last = 0.0;
        for days in minutes {
            let mut minute = Minute { smooth: 1_000.0, ..Minute::default() };
            for own in *days {
                minute.add(*own);
            }
            last = scatter.agreed(&minute);
        }
        last
    }

    #[test]
    fn what_the_days_agree_on_stays_and_what_they_do_not_is_smoothed_away() {
        let calm: &[f64] = &[10.0, -12.0];
        assert!((agreed(&[calm, calm, &[400.0, 410.0]]) - 405.0).abs() < 5.0);
        assert!(agreed(&[calm, calm, &[12.0, 13.0]]).abs() < 1e-9, "two days agree by chance");
        assert!(agreed(&[calm, calm, &[400.0, -30.0, 10.0, -15.0]]).abs() < 1e-9, "one day is odd");
        let (rise, fall): (&[f64], &[f64]) = (&[9.0], &[-11.0]);
        assert!(
            (agreed(&[rise, fall, rise, fall, &[400.0]]) - 400.0).abs() < 10.0,
            "one day beside its quiet minutes"
        );
        assert!(agreed(&[rise, fall, rise, fall, &[25.0]]).abs() < 1e-9, "one day scatters");
        assert!(agreed(&[&[400.0]]).abs() < 1e-9, "nothing is known of its scatter");
    }
}
