//! The newest points against the day's forecast, and one row of the near regressions.
//!
//! ```text
//! u = ln (ȳ + c)/(D̄ + c)         over a window; D: the day's forecast that was newest at each slot, both as means
//! ```
//!
//! D is renewed every six hours and has then taken the newest hours into account, while u of the hours before is relative to
//! the D before it. So what the renewal changed at the target is taken off the part of each window that lies before it;
//! without that the first half hour after each fit counted the same news twice, and lost twice the usual.

use std::ops::Range;
use std::time::Duration;

use super::usual::OFFSET;
use crate::series::{BLOCK, Blocks, Run, Series};
use crate::time::{Slot, Step};

/// Minutes before the origin over which u is taken.
const WINDOW_MINUTES: [i64; WINDOWS] = [1, 2, 3, 5, 10, 15, 30, 60, 120, 240, 480, 1_440];
pub(super) const WINDOWS: usize = 12;
/// Which of them the experts and the size of the error ask for by name.
pub(super) const NEWEST: usize = 2;
pub(super) const QUARTER: usize = 5;
pub(super) const HALF_HOUR: usize = 6;
pub(super) const HOUR: usize = 7;
pub(super) const HOURS: usize = 9;
pub(super) const DAY: usize = 11;

const LAST_AT: usize = WINDOWS;
const YESTERDAY_AT: usize = LAST_AT + 2;
const WEEKDAY_AT: usize = YESTERDAY_AT + 2;
/// Columns of the log ridge.
pub(super) const FEATURES: usize = WEEKDAY_AT + 8;
/// Columns of the non-negative regression.
pub(super) const CANDIDATES: usize = 10;

/// Bound of u: ten-fold misses happen, and clipped tighter a burst is believed too late.
pub(super) const CLIP: f64 = 5.0;

/// How far back anything here looks: a day, and half an hour around the same time then.
pub(super) const REACH_SECONDS: i64 = 86_400 + 3_600;

/// u.
pub(super) fn deviation(load: f64, base: f64) -> f64 {
    ((load + OFFSET) / (base + OFFSET)).ln().clamp(-CLIP, CLIP)
}

/// D moved by u.
pub(super) fn moved(base: f64, u: f64) -> f64 {
    ((base + OFFSET) * u.exp() - OFFSET).max(0.0)
}

/// The day's forecast at the native step, in means, as it was newest at each slot. In seven digits: a fit looks at a
/// hundred thousand of them, and what is kept of it would be mostly these.
#[derive(Debug, Clone)]
pub(super) struct Base {
    pub(super) step: Step,
    pub(super) first: Slot,
    points: Vec<f32>,
    /// The same from the day forecast before that, and where it begins.
    former: (Slot, Vec<f32>),
    /// Where each day forecast begins to be the newest, ascending.
    pub(super) made: Vec<Slot>,
    windows: [i64; WINDOWS],
    /// Sums of the points, for what is kept of a fit.
    blocks: Blocks,
}

/// What two day forecasts say of a slot: the newest, and the one before it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said {
    pub(super) newest: f64,
    pub(super) former: f64,
}

/// From here on after the newest day forecast was made there is none before it that says anything else: they are made
/// every six hours, and a cell may be cut in two.
const FORMER: Duration = Duration::from_secs(8 * 3_600);

/// The newest points are held against slots that end no later than this after a fit, for as long as fits are made once a day;
/// a later one asks the cells of the fit before it, which takes longer.
const HELD_AGAINST: Duration = Duration::from_secs(26 * 3_600);

impl Base {
    /// A base that begins at `first` and holds nothing yet.
    pub(super) fn empty(step: Step, first: Slot) -> Self {
        let seconds = step.seconds();
        let windows = WINDOW_MINUTES.map(|minutes| ((minutes * 60 + seconds - 1) / seconds).max(1));
        let (former, blocks) = ((first, Vec::new()), Blocks::default());
        Self { step, first, points: Vec::new(), former, made: Vec::new(), windows, blocks }
    }

    /// Adds the next slot.
    #[expect(clippy::cast_possible_truncation, reason = "no forecast is right to seven digits")]
    pub(super) fn push(&mut self, said: Said) {
        self.points.push(said.newest as f32);
        self.former.1.push(said.former as f32);
    }

    pub(super) fn at(&self, slot: Slot) -> Option<f64> {
        let index = usize::try_from(slot.since(self.first)).ok()?;
        self.points.get(index).copied().map(f64::from)
    }

    /// What was said of a slot by the day forecast before the one that was newest there; `None` where it is not known, or
    /// said the same.
    pub(super) fn former(&self, slot: Slot) -> Option<f64> {
        let index = usize::try_from(slot.since(self.former.0)).ok()?;
        self.former.1.get(index).copied().map(f64::from)
    }

    /// Whether next to nothing is expected of a slot.
    pub(super) fn shut(&self, slot: Slot) -> bool {
        self.at(slot).is_some_and(|expected| expected < OFFSET)
    }

    /// What is said of a slot within it.
    pub(super) fn said(&self, slot: Slot) -> Option<Said> {
        Some(Said { newest: self.at(slot)?, former: self.former(slot)? })
    }

    /// Where the day forecast that is the newest at `slot` begins.
    fn made(&self, slot: Slot) -> Slot {
        let after = self.made.partition_point(|made| *made <= slot);
        self.made.get(after.saturating_sub(1)).copied().unwrap_or(self.first)
    }

    /// The part that a forecast at or after `origin` looks at until the next fit, without what is in the cells of that fit:
    /// the slots before `origin` and those that the newest points will be held against.
    pub(super) fn around(&self, origin: Slot) -> Self {
        let slots_in = |span: Duration| self.step.slots_in(span);
        let first = origin.plus(-slots_in(Duration::from_secs(REACH_SECONDS.unsigned_abs())));
        let first = first.max(self.first);
        let part = |begins: Slot, points: &[f32], slots: Range<Slot>| {
            let index = |slot: Slot| usize::try_from(slot.since(begins)).unwrap_or(0).min(points.len());
            points[index(slots.start)..index(slots.end).max(index(slots.start))].to_vec()
        };
        let points = part(self.first, &self.points, first..origin.plus(slots_in(HELD_AGAINST)));
        let former = part(self.former.0, &self.former.1, origin..origin.plus(slots_in(FORMER)));
        Self {
            step: self.step,
            first,
            blocks: Blocks::of(first, points.iter().copied().map(f64::from)),
            points,
            former: (origin, former),
            made: vec![self.made(origin)],
            windows: self.windows,
        }
    }

    fn day(&self) -> i64 {
        86_400 / self.step.seconds()
    }

    /// What is seen from `origin`; `None` when nothing was measured in the day before it.
    pub(super) fn present(&self, past: &impl Past, origin: Slot) -> Option<Present> {
        let windows = &self.windows;
        let made = self.made(origin);
        let sums = past.sums(self, origin, made, windows);
        let mut present = Present {
            origin,
            means: [0.0; WINDOWS],
            before_made: [0.0; WINDOWS],
            last: 0.0,
            last_base: 0.0,
            half_hour: 0.0,
        };
        let (mut mean, mut share) = (0.0, 0.0);
        let mut any = false;
        for (window, sum) in sums.iter().enumerate().rev() {
            if sum.count > 0.5 {
                mean = sum.deviation();
                share = sum.before_made / sum.count;
                any = true;
                if window >= HALF_HOUR {
                    present.half_hour = sum.load / sum.count;
                }
            }
            (present.means[window], present.before_made[window]) = (mean, share);
        }
        if !any {
            return None;
        }
        let last = (origin.0 - windows[DAY]..origin.0).rev().map(Slot);
        let (slot, load) = last.into_iter().find_map(|slot| Some((slot, past.load(slot)?)))?;
        (present.last, present.last_base) = (load, past.expected(self, slot)?);
        Some(present)
    }

    /// u within `reach` slots of the same time a day before `target`.
    fn yesterday(&self, past: &impl Past, target: Slot, reach: i64, origin: Slot) -> f64 {
        let then = target.plus(-self.day());
        past.mean(self, then.plus(-reach)..then.plus(reach + 1).min(origin))
    }

    /// Reads the row of `target`, of which `said` is said.
    pub(super) fn read(
        &self,
        past: &impl Past,
        present: &Present,
        (target, Said { newest, former }): (Slot, Said),
        time: Time,
    ) -> Reading {
        let later = self.made(target) > self.made(present.origin);
        let base = if later { former } else { newest };
        let renewed = if later { 0.0 } else { deviation(base, former) };
        let mut means = present.means;
        for (mean, share) in means.iter_mut().zip(present.before_made) {
            *mean -= share * renewed;
        }
        let open = base / (base + 3.0 * OFFSET);
        let mut features = [0.0; FEATURES];
        let windows = &self.windows;
        for window in 0..WINDOWS {
            // Windows of the same length are one feature.
            if window == 0 || windows[window] != windows[window - 1] {
                features[window] = means[window] * open;
            }
        }
        features[LAST_AT] = deviation(present.last, base) * open;
        features[LAST_AT + 1] = deviation(present.half_hour, base) * open;
        let half_hour = (1_800 / self.step.seconds()).max(1);
        let exact = self.yesterday(past, target, 0, present.origin);
        let around = self.yesterday(past, target, half_hour, present.origin);
        features[YESTERDAY_AT] = exact * open;
        features[YESTERDAY_AT + 1] = around * open;
        features[WEEKDAY_AT + time.weekday] = 1.0;
        features[FEATURES - 1] = 1.0;
        let change = if present.before_made[0] > 0.5 && !later { former } else { base } - present.last_base;
        let candidates = [
            base,
            moved(base, means[0]),
            moved(base, means[1]),
            moved(base, means[HALF_HOUR]),
            moved(base, means[HOUR]),
            moved(base, means[DAY]),
            present.last,
            (present.last + change).max(0.0),
            present.half_hour,
            moved(base, 0.5 * means[HALF_HOUR] + 0.5 * around),
        ];
        Reading { base, features, candidates, last: present.last, means, yesterday: around, time }
    }
}

/// What is seen from an origin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Present {
    pub(super) origin: Slot,
    means: [f64; WINDOWS],
    /// Share of each window that lies before the newest day forecast was made.
    before_made: [f64; WINDOWS],
    last: f64,
    last_base: f64,
    half_hour: f64,
}

impl Present {
    /// Whether next to nothing came lately. The first minutes after closing are not quiet: there it is learned that the newest
    /// load does not go on.
    pub(super) fn quiet(&self) -> bool {
        self.last < OFFSET && self.half_hour < OFFSET
    }
}

/// A slot on the wall clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Time {
    /// Share of the local day that is over.
    pub(super) of_day: f64,
    /// Monday is 0.
    pub(super) weekday: usize,
    /// Whether business rests on that day of the week.
    pub(super) weekend: bool,
}

/// One row.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    pub(super) base: f64,
    pub(super) features: [f64; FEATURES],
    pub(super) candidates: [f64; CANDIDATES],
    pub(super) last: f64,
    pub(super) means: [f64; WINDOWS],
    pub(super) yesterday: f64,
    pub(super) time: Time,
}

/// Sums over a window.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sum {
    load: f64,
    base: f64,
    count: f64,
    /// How many of them lie before the newest day forecast.
    before_made: f64,
}

impl Sum {
    /// Takes in more slots.
    fn add<F, A, G>(&mut self, past: &Newest<'_, F, A, G>, base: &Base, slots: Range<Slot>, made: Slot)
    where
        F: Fn(Slot) -> bool,
        A: Fn(&Range<Slot>) -> Option<bool>,
        G: Fn(Slot) -> Option<f64>,
    {
        for run in past.settled.runs(slots) {
            let slots = match run {
                Run::Slots(slots) => slots,
                Run::Block(slots, load) => match (base.blocks.at(slots.start), (past.all_count)(&slots)) {
                    (_, Some(false)) => continue,
                    (Some(expected), Some(true)) => {
                        let before_made = made.since(slots.start).clamp(0, BLOCK);
                        self.take(load / past.scale, expected, BLOCK, before_made);
                        continue;
                    }
                    _ => slots,
                },
            };
            for (slot, load) in past.settled.loads(slots).filter(|(slot, _)| (past.counts)(*slot)) {
                if let Some(expected) = past.expected(base, slot) {
                    self.take(load / past.scale, expected, 1, i64::from(slot < made));
                }
            }
        }
    }

    /// Takes in `count` slots.
    fn take(&mut self, load: f64, base: f64, count: i64, before_made: i64) {
        self.load += load;
        self.base += base;
        self.count += count as f64;
        self.before_made += before_made as f64;
    }

    /// u; 0 where nothing was measured.
    fn deviation(&self) -> f64 {
        if self.count > 0.5 { deviation(self.load / self.count, self.base / self.count) } else { 0.0 }
    }
}

/// Measured loads, in means, where they count as ordinary.
pub(super) trait Past {
    /// The load of a slot.
    fn load(&self, slot: Slot) -> Option<f64>;
    /// The day's forecast of a slot.
    fn expected(&self, base: &Base, slot: Slot) -> Option<f64>;
    /// Sums over `windows` slots before `origin`, for ascending windows.
    fn sums(&self, base: &Base, origin: Slot, made: Slot, windows: &[i64; WINDOWS]) -> [Sum; WINDOWS];
    /// u of `slots`, 0 where nothing was measured.
    fn mean(&self, base: &Base, slots: Range<Slot>) -> f64;
}

/// The past as the ticks have it: a look at each slot of a day.
pub(super) struct Newest<'a, F, A, G> {
    pub(super) settled: &'a Series,
    pub(super) scale: f64,
    /// Whether a slot is ordinary.
    pub(super) counts: F,
    /// Whether all of some slots are, or none; `None` where some are, or where that takes a look at each.
    pub(super) all_count: A,
    /// The day's forecast of a slot that is beyond the base: a late fit leaves many of them behind.
    pub(super) beyond: G,
}

impl<F, A, G> Past for Newest<'_, F, A, G>
where
    F: Fn(Slot) -> bool,
    A: Fn(&Range<Slot>) -> Option<bool>,
    G: Fn(Slot) -> Option<f64>,
{
    fn load(&self, slot: Slot) -> Option<f64> {
        self.settled.load(slot).filter(|_| (self.counts)(slot)).map(|load| load / self.scale)
    }

    fn expected(&self, base: &Base, slot: Slot) -> Option<f64> {
        base.at(slot).or_else(|| (self.beyond)(slot))
    }

    fn sums(&self, base: &Base, origin: Slot, made: Slot, windows: &[i64; WINDOWS]) -> [Sum; WINDOWS] {
        let mut sum = Sum::default();
        let mut until = origin;
        windows.map(|window| {
            let from = origin.plus(-window);
            sum.add(self, base, from..until, made);
            until = from;
            sum
        })
    }

    fn mean(&self, base: &Base, slots: Range<Slot>) -> f64 {
        let mut sum = Sum::default();
        sum.add(self, base, slots, Slot(i64::MIN));
        sum.deviation()
    }
}

/// The past as a fit has it: running sums, so that a window costs two look-ups.
#[derive(Debug)]
pub(super) struct Replayed {
    first: Slot,
    loads: Vec<Option<f64>>,
    /// `[y, D, count]` before each slot.
    before: Vec<[f64; 3]>,
}

impl Replayed {
    /// Of the slots from the first of `base` to the end of `loads`.
    pub(super) fn of(base: &Base, loads: Vec<Option<f64>>) -> Self {
        let mut last = [0.0; 3];
        let mut before = Vec::with_capacity(loads.len() + 1);
        before.push(last);
        for (load, expected) in loads.iter().zip(&base.points) {
            if let Some(load) = load {
                last = [last[0] + load, last[1] + f64::from(*expected), last[2] + 1.0];
            }
            before.push(last);
        }
        Self { first: base.first, loads, before }
    }

    /// The first slot and the one after the last.
    pub(super) fn slots(&self) -> Range<Slot> {
        self.first..self.first.plus(i64::try_from(self.loads.len()).unwrap_or(i64::MAX))
    }

    fn over(&self, slots: Range<Slot>) -> [f64; 3] {
        let last = self.before.len() - 1;
        let index = |slot: Slot| usize::try_from(slot.since(self.first)).unwrap_or(0).min(last);
        let (low, high) = (index(slots.start), index(slots.end).max(index(slots.start)));
        std::array::from_fn(|part| self.before[high][part] - self.before[low][part])
    }
}

impl Past for Replayed {
    fn load(&self, slot: Slot) -> Option<f64> {
        *self.loads.get(usize::try_from(slot.since(self.first)).ok()?)?
    }

    fn expected(&self, base: &Base, slot: Slot) -> Option<f64> {
        base.at(slot)
    }

    fn sums(&self, _: &Base, origin: Slot, made: Slot, windows: &[i64; WINDOWS]) -> [Sum; WINDOWS] {
        let last = self.before.len() - 1;
        let before =
            |slot: Slot| &self.before[usize::try_from(slot.since(self.first)).unwrap_or(0).min(last)];
        let (high, made) = (before(origin), before(made));
        windows.map(|window| {
            let low = before(origin.plus(-window));
            let [load, base, count] = std::array::from_fn(|part| high[part] - low[part]);
            Sum { load, base, count, before_made: (made[2] - low[2]).max(0.0) }
        })
    }

    fn mean(&self, _: &Base, slots: Range<Slot>) -> f64 {
        let [load, base, count] = self.over(slots);
        Sum { load, base, count, before_made: 0.0 }.deviation()
    }
}
