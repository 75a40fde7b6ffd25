//! History on the customers' wall clock: a row per local day, a cell per slot of the day.
//!
//! ```text
//! slots (UTC, native step)  ──mean──▶  cells (local time, ≥ 5 min)      lag of a week = exactly `week` cells
//! ```
//!
//! Looking a week back is then a subtraction, right across both DST days: the hour that spring skips has empty cells, and
//! the two passes of the autumn hour share theirs. Cells are no finer than [`CELL_SECONDS`]: what is finer is the shape
//! within a cell, learned apart.

use std::ops::Range;

use chrono::NaiveDate;
use chrono_tz::Tz;

use super::recent::Time;
use crate::calendar::{Almanac, DayKind, Outlook};
use crate::series::Series;
use crate::time::{LocalClock, Slot, Step};

/// A profile finer than this is mostly noise, and four times as dear.
pub(super) const CELL_SECONDS: i64 = 300;

/// An outage has less than this share of what was expected, where more than that was expected (in means).
const OUTAGE_SHARE: f64 = 0.05;
const OUTAGE_EXPECTED: f64 = 0.25;

/// What has lasted for longer than this is how it is now, and no outage: traffic that moved away, but for some probes. From Friday
/// evening to Tuesday morning, a long weekend that no calendar knows, are 84 hours.
const LASTING_HOURS: usize = 96;

/// Where nobody says otherwise business rests on Saturday and Sunday; so, too, for a calendar without any day of rest, for
/// customers have them.
const USUAL_WEEKEND: [bool; 7] = [false, false, false, false, false, true, true];

/// Where slots lie on the wall clock.
#[derive(Debug, Clone)]
pub(super) struct Wall {
    pub(super) step: Step,
    clock: LocalClock,
    /// Local day number (days since the epoch) of the first row.
    first_day: i64,
    /// Cells in a day.
    pub(super) day: usize,
    /// Whether business rests, from Monday to Sunday.
    weekend: [bool; 7],
}

impl Wall {
    /// The wall clock of `timezone` over `slots`, with rows from the first local day of it.
    pub(super) fn over(timezone: Tz, step: Step, slots: Range<Slot>) -> Self {
        let clock = LocalClock::over(timezone, step.start(slots.start), step.end(slots.end));
        let first_day = clock.local_seconds(step.start(slots.start)).div_euclid(86_400);
        let day = usize::try_from(86_400 / step.seconds().max(CELL_SECONDS)).unwrap_or(1).max(1);
        Self { step, clock, first_day, day, weekend: USUAL_WEEKEND }
    }

    /// The same with the weekend of an outlook, if it has one.
    fn resting(mut self, outlook: &Outlook) -> Self {
        let mut weekend = [false; 7];
        for row in 0..7 {
            weekend[self.weekday(row)] = outlook.day(self.date(row)).kind == DayKind::Weekend;
        }
        if weekend.contains(&true) {
            self.weekend = weekend;
        }
        self
    }

    /// Whether the day of a row rests by the day of the week.
    pub(super) fn rests(&self, row: usize) -> bool {
        self.weekend[self.weekday(row)]
    }

    /// Cells in a week.
    pub(super) fn week(&self) -> usize {
        7 * self.day
    }

    /// Cells in `hours`, at least one.
    pub(super) fn hours(&self, hours: usize) -> usize {
        (hours * self.day).div_ceil(24).max(1)
    }

    /// Hours from an origin to the middle of the cell that is `cells` after it.
    pub(super) fn lead_hours(&self, cells: usize) -> f64 {
        24.0 * (cells as f64 + 0.5) / self.day as f64
    }

    /// The cell that `slot` begins in; the first one for slots before the lattice.
    pub(super) fn cell(&self, slot: Slot) -> usize {
        let local = self.local_seconds(slot);
        let row = usize::try_from(local.div_euclid(86_400) - self.first_day).unwrap_or(0);
        row * self.day + self.cell_of_day(local)
    }

    /// The cells of some slots; `None` where a clock changes among them.
    pub(super) fn cells(&self, slots: &Range<Slot>) -> Option<Range<usize>> {
        let last = slots.end.plus(-1);
        let passed = last.since(slots.start) * self.step.seconds();
        let changed = self.local_seconds(last) - self.local_seconds(slots.start) != passed;
        (!changed).then(|| self.cell(slots.start)..self.cell(last) + 1)
    }

    /// When a slot begins, as the hours see it.
    pub(super) fn time(&self, slot: Slot) -> Time {
        let cell = self.cell(slot);
        let (row, of_day) = (cell / self.day, (cell % self.day) as f64 / self.day as f64);
        Time { of_day, weekday: self.weekday(row), weekend: self.rests(row) }
    }

    /// Which slot of the local day `slot` is.
    pub(super) fn slot_of_day(&self, slot: Slot) -> usize {
        usize::try_from(self.local_seconds(slot).rem_euclid(86_400) / self.step.seconds()).unwrap_or(0)
    }

    /// When `slot` begins, in seconds by the wall clock.
    fn local_seconds(&self, slot: Slot) -> i64 {
        self.clock.local_seconds_of(slot.0.saturating_mul(self.step.seconds()))
    }

    fn cell_of_day(&self, local: i64) -> usize {
        usize::try_from(local.rem_euclid(86_400)).unwrap_or(0) * self.day / 86_400
    }

    /// The local date of a row.
    pub(super) fn date(&self, row: usize) -> NaiveDate {
        let days = self.first_day + i64::try_from(row).unwrap_or(0);
        i32::try_from(days).ok().and_then(NaiveDate::from_epoch_days).unwrap_or_default()
    }

    /// Monday is 0.
    pub(super) fn weekday(&self, row: usize) -> usize {
        usize::try_from((self.first_day + 3).rem_euclid(7)).unwrap_or(0).wrapping_add(row) % 7
    }
}

/// The measured past, and the calendar's word on each day of it and of the horizon.
#[derive(Debug)]
pub(super) struct Lattice {
    pub(super) wall: Wall,
    /// The first cell that is not wholly known.
    pub(super) origin: usize,
    /// What a load of 1 stands for: the mean of the last four weeks, so that no number here depends on the unit.
    pub(super) scale: f64,
    /// Mean load of a cell, in `scale`s; 0 where `known` is not set.
    pub(super) loads: Vec<f64>,
    /// Whether a cell was measured at all.
    pub(super) known: Vec<bool>,
    /// Whether a cell enters statistics: measured, on an ordinary day, no outage.
    pub(super) used: Vec<bool>,
    /// Measured slots of outages that are kept out of statistics.
    pub(super) slumped: usize,
    /// The kind of each row, up to the end of the horizon.
    pub(super) kinds: Vec<DayKind>,
    /// The first slot of each measured cell and how many there are.
    slots: Vec<(Slot, u32)>,
}

impl Lattice {
    /// The slots of `history` before `origin`, and the days until `end`.
    pub(super) fn of(history: &Series, origin: Slot, end: Slot, almanac: &Almanac) -> Self {
        let step = history.step();
        let first = history.first().min(origin);
        let outlook = almanac.over(step.start(first)..step.end(end));
        let wall = Wall::over(almanac.timezone(), step, first..end.next()).resting(&outlook);
        let cells = (wall.cell(end) / wall.day + 1) * wall.day;
        let mut loads = vec![0.0; cells];
        let mut slots = vec![(origin, 0_u32); cells];
        let origin_cell = wall.cell(origin);
        for slot in (first.0..origin.0.min(history.end().0)).map(Slot) {
            if let Some(load) = history.load(slot) {
                let cell = wall.cell(slot);
                if cell < origin_cell {
                    loads[cell] += load;
                    slots[cell] = (slots[cell].0.min(slot), slots[cell].1 + 1);
                }
            }
        }
        for (load, (_, count)) in loads.iter_mut().zip(&slots) {
            *load /= f64::from((*count).max(1));
        }
        let known: Vec<bool> = slots.iter().map(|(_, count)| *count > 0).collect();
        let kinds: Vec<DayKind> = (0..cells / wall.day).map(|row| outlook.day(wall.date(row)).kind).collect();
        let used = known
            .iter()
            .enumerate()
            .map(|(cell, known)| {
                *known && !matches!(kinds[cell / wall.day], DayKind::Holiday | DayKind::HalfDay)
            })
            .collect();
        let mut lattice =
            Self { wall, origin: origin_cell, scale: 1.0, loads, known, used, slumped: 0, kinds, slots };
        lattice.rescale();
        lattice.mask_outages();
        lattice
    }

    /// Divides by the mean of the cells used in the last 28 days before the origin, or of all when those are 0.
    fn rescale(&mut self) {
        let recent = self.origin.saturating_sub(4 * self.wall.week())..self.origin;
        let largest = self.loads.iter().copied().fold(0.0, f64::max);
        // In parts of the largest, for a sum of the largest numbers there are would be infinite.
        let mean = |cells: Range<usize>| {
            let (sum, count) = cells
                .filter_map(|cell| self.load(cell))
                .fold((0.0, 0.0), |(sum, count), load| (sum + load / largest, count + 1.0));
            largest * (sum / f64::max(count, 1.0))
        };
        let scale = [mean(recent), mean(0..self.origin), largest];
        self.scale = scale.into_iter().find(|scale| scale.is_normal()).unwrap_or(1.0);
        for load in &mut self.loads {
            *load /= self.scale;
        }
    }

    /// Takes outages out of the statistics: three hours that together had less than a twentieth of what the weeks before let
    /// expect, where that is no quiet time. Otherwise next week would be forecast to fail again. What lasts for four days is
    /// learned from all the same, or the old level would be forecast for three weeks, until the weeks before have forgotten it.
    fn mask_outages(&mut self) {
        let (week, span) = (self.wall.week(), self.wall.hours(3));
        let expected = |lattice: &Self, cell: usize| {
            let mut weeks = [0.0; 4];
            let mut count = 0;
            for before in (1..=4).filter_map(|weeks| cell.checked_sub(weeks * week)) {
                if lattice.known[before] {
                    weeks[count] = lattice.loads[before];
                    count += 1;
                }
            }
            let weeks = &mut weeks[..count];
            weeks.sort_unstable_by(f64::total_cmp);
            weeks.get(count / 2).copied()
        };
        let usual: Vec<Option<f64>> =
            (0..self.origin).map(|cell| expected(self, cell).filter(|_| self.used[cell])).collect();
        let expected = Prefix::of(usual.iter().copied());
        let observed = Prefix::of((0..self.origin).map(|cell| usual[cell].map(|_| self.loads[cell])));
        // Windows of the slump under way by where they end. It goes on through quiet times, until demand is back.
        let mut slump: Vec<usize> = Vec::new();
        for until in span..=self.origin {
            let ([usual, count], [load, _]) =
                (expected.over(until - span, until), observed.over(until - span, until));
            if count <= 0.0 || usual <= OUTAGE_EXPECTED * count {
                continue;
            }
            if load < OUTAGE_SHARE * usual {
                slump.push(until);
            } else {
                self.mask_slump(&slump, span);
                slump.clear();
            }
        }
        self.mask_slump(&slump, span);
    }

    /// Takes the windows of `span` cells that end at `slump` out of the statistics, unless they are what is usual by now.
    fn mask_slump(&mut self, slump: &[usize], span: usize) {
        let (Some(first), Some(last)) = (slump.first(), slump.last()) else { return };
        if last + span - first > self.wall.hours(LASTING_HOURS) {
            return;
        }
        let mut until_masked = 0;
        for until in slump {
            for cell in (until - span).max(until_masked)..*until {
                if std::mem::take(&mut self.used[cell]) {
                    self.slumped += self.slots[cell].1 as usize;
                }
            }
            until_masked = *until;
        }
    }

    /// The first measured cell; the origin where there is none.
    pub(super) fn begun(&self) -> usize {
        self.known.iter().position(|known| *known).unwrap_or(self.origin).min(self.origin)
    }

    pub(super) fn len(&self) -> usize {
        self.loads.len()
    }

    /// The load of a cell that enters statistics.
    pub(super) fn load(&self, cell: usize) -> Option<f64> {
        (*self.used.get(cell)?).then(|| self.loads[cell])
    }

    /// One of the measured slots of a cell: another one for each `turn`.
    pub(super) fn slot(&self, cell: usize, turn: usize) -> Option<Slot> {
        let (first, count) = *self.slots.get(cell)?;
        (count > 0).then(|| first.plus(i64::try_from(turn).unwrap_or(0) % i64::from(count)))
    }

    pub(super) fn kind(&self, cell: usize) -> DayKind {
        self.kinds[cell / self.wall.day]
    }

    /// Whether the day of a cell rests by the day of the week.
    pub(super) fn weekend(&self, cell: usize) -> bool {
        self.wall.rests(cell / self.wall.day)
    }
}

/// Sums before each cell, so that the sum of any run costs two look-ups.
#[derive(Debug)]
pub(super) struct Prefix(Vec<[f64; 2]>);

impl Prefix {
    /// Of the numbers that are there, and of how many they are.
    pub(super) fn of(numbers: impl Iterator<Item = Option<f64>>) -> Self {
        let mut last = [0.0; 2];
        let mut before = vec![last];
        for number in numbers {
            if let Some(number) = number {
                last = [last[0] + number, last[1] + 1.0];
            }
            before.push(last);
        }
        Self(before)
    }

    /// The sum and the count over `from..until`.
    pub(super) fn over(&self, from: usize, until: usize) -> [f64; 2] {
        let last = self.0.len() - 1;
        let (low, high) = (self.0[from.min(last)], self.0[until.clamp(from, last.max(from)).min(last)]);
        [high[0] - low[0], high[1] - low[1]]
    }

    /// The mean over `from..until`, when anything is there.
    pub(super) fn mean(&self, from: usize, until: usize) -> Option<f64> {
        let [sum, count] = self.over(from, until);
        (count > 0.5).then(|| sum / count)
    }
}
