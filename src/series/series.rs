//! The [`Series`] itself: a grid, a number per slot, and a mask.

use std::ops::Range;

use crate::time::{Grid, Slot, Step};
use crate::units::Load;

/// Load per slot of a grid; a masked slot has none.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    grid: Grid,
    /// Meaningless where `measured` is false; kept at 0 so that equal series compare equal.
    loads: Vec<f64>,
    measured: Vec<bool>,
}

impl Series {
    /// A series without slots, which will begin at `first`.
    pub fn empty(step: Step, first: Slot) -> Self {
        Self { grid: Grid { step, first, len: 0 }, loads: Vec::new(), measured: Vec::new() }
    }

    /// The series of `points`, in any order; where two fall into one slot the later in the list stands.
    /// `None` when there are no points.
    pub fn from_points(step: Step, points: &[(Slot, Load)]) -> Option<Self> {
        let first = points.iter().map(|(slot, _)| *slot).min()?;
        let mut series = Self::empty(step, first);
        for (slot, load) in points {
            series.put(*slot, *load);
        }
        Some(series)
    }

    /// The grid, masked slots included.
    pub fn grid(&self) -> Grid {
        self.grid
    }

    /// The spacing.
    pub fn step(&self) -> Step {
        self.grid.step
    }

    /// The first slot.
    pub fn first(&self) -> Slot {
        self.grid.first
    }

    /// The slot after the last.
    pub fn end(&self) -> Slot {
        self.grid.end()
    }

    /// Whether it has no slots.
    pub fn is_empty(&self) -> bool {
        self.grid.len == 0
    }

    /// The load of a slot; `None` when it is masked or outside.
    pub fn get(&self, slot: Slot) -> Option<Load> {
        self.load(slot).map(Load::saturating)
    }

    /// As [`Series::get`], as the bare number the forecast computes with.
    pub fn load(&self, slot: Slot) -> Option<f64> {
        let index = self.grid.index(slot)?;
        self.measured[index].then(|| self.loads[index])
    }

    /// Writes a measured slot. Slots between the former end and this one become masked; a slot before the first moves
    /// the grid's start.
    pub fn put(&mut self, slot: Slot, load: Load) {
        self.reach(slot);
        if let Some(index) = self.grid.index(slot) {
            self.loads[index] = load.get();
            self.measured[index] = true;
        }
    }

    /// Masks a slot: it was looked for and not found.
    pub fn mask(&mut self, slot: Slot) {
        self.reach(slot);
        if let Some(index) = self.grid.index(slot) {
            self.loads[index] = 0.0;
            self.measured[index] = false;
        }
    }

    /// Forgets every slot before `first`.
    pub fn forget_before(&mut self, first: Slot) {
        let gone = usize::try_from(first.since(self.grid.first)).unwrap_or(0).min(self.grid.len);
        if gone == 0 {
            return;
        }
        self.loads.drain(..gone);
        self.measured.drain(..gone);
        self.grid = Grid { first, len: self.loads.len(), ..self.grid };
    }

    /// The part before `end`, as a series of its own.
    #[must_use]
    pub fn until(&self, end: Slot) -> Self {
        self.between(self.grid.first, end)
    }

    /// The part from `first` on and before `end`, as a series of its own.
    #[must_use]
    pub fn between(&self, first: Slot, end: Slot) -> Self {
        let place = |slot: Slot| usize::try_from(slot.since(self.grid.first)).unwrap_or(0).min(self.grid.len);
        let (from, until) = (place(first), place(end).max(place(first)));
        Self {
            grid: Grid { first: first.max(self.grid.first), len: until - from, ..self.grid },
            loads: self.loads[from..until].to_vec(),
            measured: self.measured[from..until].to_vec(),
        }
    }

    /// Every measured slot with its load, in order.
    pub fn points(&self) -> impl DoubleEndedIterator<Item = (Slot, Load)> + '_ {
        self.grid.slots().filter_map(|slot| self.get(slot).map(|load| (slot, load)))
    }

    /// The measured slots of `slots` with their bare loads, in order: for sums at every tick.
    pub fn loads(&self, slots: Range<Slot>) -> impl Iterator<Item = (Slot, f64)> + '_ {
        let place = |slot: Slot| usize::try_from(slot.since(self.grid.first)).unwrap_or(0).min(self.grid.len);
        let (from, until) = (place(slots.start), place(slots.end).max(place(slots.start)));
        let loads = self.loads[from..until].iter().zip(&self.measured[from..until]);
        let measured =
            (slots.start.max(self.grid.first).0..).zip(loads).filter(|(_, (_, measured))| **measured);
        measured.map(|(slot, (load, _))| (Slot(slot), *load))
    }

    /// The newest measured slot.
    pub fn newest(&self) -> Option<(Slot, Load)> {
        self.points().next_back()
    }

    /// How many slots were measured.
    pub fn measured_count(&self) -> usize {
        self.measured_before(self.end())
    }

    /// How many of the slots before `end` were measured.
    pub fn measured_before(&self, end: Slot) -> usize {
        let until = usize::try_from(end.since(self.grid.first)).unwrap_or(0).min(self.grid.len);
        self.measured[..until].iter().filter(|measured| **measured).count()
    }

    /// Mean load of the measured slots in `from..until`; `None` when there are none.
    pub fn mean(&self, from: Slot, until: Slot) -> Option<f64> {
        let low = usize::try_from(from.since(self.grid.first)).unwrap_or(0).min(self.grid.len);
        let high = usize::try_from(until.since(self.grid.first)).unwrap_or(0).min(self.grid.len);
        let (mut sum, mut count) = (0.0, 0_usize);
        for index in low..high {
            if self.measured[index] {
                sum += self.loads[index];
                count += 1;
            }
        }
        (count > 0).then(|| sum / count as f64)
    }

    /// Makes sure the grid reaches `slot`, masking what is new.
    fn reach(&mut self, slot: Slot) {
        if self.grid.len == 0 {
            self.grid.first = slot;
        }
        let before = usize::try_from(self.grid.first.since(slot)).unwrap_or(0);
        if before > 0 {
            self.loads.splice(0..0, std::iter::repeat_n(0.0, before));
            self.measured.splice(0..0, std::iter::repeat_n(false, before));
            self.grid.first = slot;
        }
        let len = usize::try_from(slot.since(self.grid.first)).unwrap_or(0) + 1;
        if len > self.loads.len() {
            self.loads.resize(len, 0.0);
            self.measured.resize(len, false);
        }
        self.grid.len = self.loads.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture of one digit per slot; `.` is a hole.
    fn picture(text: &str) -> Series {
        let mut series = Series::empty(Step::MINUTE, Slot(100));
        for (index, sign) in text.chars().enumerate() {
            let slot = Slot(100 + i64::try_from(index).unwrap());
            match sign.to_digit(10) {
                Some(digit) => series.put(slot, Load::saturating(f64::from(digit))),
                None => series.mask(slot),
            }
        }
        series
    }

    #[test]
    fn a_hole_is_missing_and_never_zero() {
        let series = picture("12.4");
        assert_eq!(series.get(Slot(102)), None);
        assert_eq!(series.get(Slot(103)), Some(Load::saturating(4.0)));
        assert_eq!(series.mean(Slot(100), Slot(104)), Some(7.0 / 3.0));
        assert_eq!(series.mean(Slot(102), Slot(103)), None);
    }

    #[test]
    fn a_slot_written_far_ahead_leaves_masked_slots_between() {
        let mut series = picture("1");
        series.put(Slot(103), Load::saturating(4.0));
        assert_eq!(series, picture("1..4"));
        series.put(Slot(98), Load::saturating(9.0));
        assert_eq!(series.first(), Slot(98));
        assert_eq!((series.measured_count(), series.measured_before(Slot(103))), (3, 2));
        let measured: Vec<i64> = series.loads(Slot(90)..Slot(103)).map(|(slot, _)| slot.0).collect();
        assert_eq!(measured, [98, 100]);
    }

    #[test]
    fn masking_a_slot_equals_not_having_it() {
        let mut masked = picture("1234");
        masked.mask(Slot(102));
        assert_eq!(masked, picture("12.4"));
    }

    #[test]
    fn the_past_can_be_forgotten_and_the_future_cut() {
        let mut series = picture("123456");
        assert_eq!(series.until(Slot(103)), picture("123"));
        assert_eq!(series.until(Slot(90)).measured_count(), 0);
        assert_eq!(
            series.between(Slot(101), Slot(103)),
            series.until(Slot(103)).between(Slot(101), Slot(900))
        );
        assert_eq!(series.between(Slot(101), Slot(103)).points().count(), 2);
        assert!(
            series.between(Slot(103), Slot(101)).is_empty()
                && series.between(Slot(106), Slot(109)).is_empty()
        );
        series.forget_before(Slot(104));
        assert_eq!(series.points().map(|(slot, _)| slot.0).collect::<Vec<_>>(), [104, 105]);
        series.forget_before(Slot(900));
        assert!(series.is_empty());
    }
}
