//! The [`Series`] itself: a grid, a number per slot, and a mask.

use std::ops::Range;

use super::blocks::{BLOCK, Blocks, Run};
use super::lengthen;
use super::mask::Mask;
use crate::time::{Grid, Slot, Step};
use crate::units::Load;

/// Load per slot of a grid; a masked slot has none.
#[derive(Debug, Clone)]
pub struct Series {
    grid: Grid,
    /// Meaningless where `measured` is false; kept at 0 so that equal series compare equal.
    loads: Vec<f64>,
    measured: Mask,
    /// Follows from the others.
    blocks: Blocks,
}

impl PartialEq for Series {
    fn eq(&self, other: &Self) -> bool {
        let same = |slot: Slot| self.measured.has(slot) == other.measured.has(slot);
        self.grid == other.grid && self.loads == other.loads && self.grid.slots().all(same)
    }
}

impl Series {
    /// A series without slots, which will begin at `first`.
    pub fn empty(step: Step, first: Slot) -> Self {
        let grid = Grid { step, first, len: 0 };
        Self { grid, loads: Vec::new(), measured: Mask::default(), blocks: Blocks::default() }
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
        self.grid.index(slot).filter(|_| self.measured.has(slot)).map(|index| self.loads[index])
    }

    /// Writes a measured slot. Slots between the former end and this one become masked; a slot before the first moves
    /// the grid's start.
    pub fn put(&mut self, slot: Slot, load: Load) {
        self.reach(slot);
        if let Some(index) = self.grid.index(slot) {
            self.loads[index] = load.get();
            self.measured.add(slot);
            // A block is summed up when its last slot is there, and again when one of it is written anew.
            if slot.0.rem_euclid(BLOCK) == BLOCK - 1 || index + 1 < self.grid.len {
                self.blocks.set(slot, self.block(slot));
            }
        }
    }

    /// Changes the measured ones of `slots`. What lies in a block is summed up once, and not for each of them.
    pub fn change(&mut self, slots: &Range<Slot>, mut change: impl FnMut(Slot, f64) -> Load) {
        let slots = slots.start.max(self.first())..slots.end.min(self.end());
        for slot in (slots.start.0..slots.end.0).map(Slot).filter(|slot| self.measured.has(*slot)) {
            let place = self.place(slot);
            self.loads[place] = change(slot, self.loads[place]).get();
        }
        let mut block = slots.start.plus(-slots.start.0.rem_euclid(BLOCK));
        while block < slots.end {
            // A block is summed up when its last slot is there.
            if block.plus(BLOCK) <= self.end() {
                self.blocks.set(block, self.block(block));
            }
            block = block.plus(BLOCK);
        }
    }

    /// Masks a slot: it was looked for and not found.
    pub fn mask(&mut self, slot: Slot) {
        self.reach(slot);
        if let Some(index) = self.grid.index(slot) {
            self.loads[index] = 0.0;
            self.measured.remove(&(slot..slot.next()));
            self.blocks.set(slot, None);
        }
    }

    /// Masks those of `slots` that it has.
    pub fn mask_all(&mut self, slots: &Range<Slot>) {
        let places = self.places(slots);
        self.loads[places].fill(0.0);
        self.measured.remove(slots);
        self.blocks.forget(&(slots.start.max(self.first())..slots.end.min(self.end())));
    }

    /// Forgets every slot before `first`.
    pub fn forget_before(&mut self, first: Slot) {
        let gone = self.place(first);
        if gone == 0 {
            return;
        }
        self.loads.drain(..gone);
        self.grid = Grid { first, len: self.loads.len(), ..self.grid };
        let left = first..self.end();
        self.measured = self.measured.within(&left);
        self.blocks = self.blocks.within(&left);
    }

    /// The part before `end`, as a series of its own.
    #[must_use]
    pub fn until(&self, end: Slot) -> Self {
        self.between(self.grid.first, end)
    }

    /// The part from `first` on and before `end`, as a series of its own.
    #[must_use]
    pub fn between(&self, first: Slot, end: Slot) -> Self {
        let places = self.places(&(first..end));
        let grid = Grid { first: first.max(self.grid.first), len: places.len(), ..self.grid };
        let slots = grid.first..grid.end();
        Self {
            grid,
            loads: self.loads[places].to_vec(),
            measured: self.measured.within(&slots),
            blocks: self.blocks.within(&slots),
        }
    }

    /// Every measured slot with its load, in order.
    pub fn points(&self) -> impl DoubleEndedIterator<Item = (Slot, Load)> + '_ {
        self.grid.slots().filter_map(|slot| self.get(slot).map(|load| (slot, load)))
    }

    /// The measured slots of `slots` with their bare loads, in order: for sums at every tick.
    pub fn loads(&self, slots: Range<Slot>) -> impl Iterator<Item = (Slot, f64)> + '_ {
        let loads = &self.loads[self.places(&slots)];
        let first = slots.start.max(self.grid.first);
        let measured = (first.0..).map(Slot).zip(loads).filter(|(slot, _)| self.measured.has(*slot));
        measured.map(|(slot, load)| (slot, *load))
    }

    /// Those of `slots` that it has, in order: blocks without a hole with their sums, and what lies between them.
    pub fn runs(&self, slots: Range<Slot>) -> impl Iterator<Item = Run> + '_ {
        let (mut next, end) = (slots.start.max(self.grid.first), slots.end.min(self.end()));
        std::iter::from_fn(move || {
            let from = next;
            next = from.plus(BLOCK - from.0.rem_euclid(BLOCK)).min(end);
            let slots = from..next;
            (from < end).then(|| match self.blocks.at(from).filter(|_| next.since(from) == BLOCK) {
                Some(sum) => Run::Block(slots, sum),
                None => Run::Slots(slots),
            })
        })
    }

    /// The sum of the block that `slot` lies in, where it has no hole.
    fn block(&self, slot: Slot) -> Option<f64> {
        let first = slot.plus(-slot.0.rem_euclid(BLOCK));
        let slots = first..first.plus(BLOCK);
        self.measured.has_all(&slots).then(|| self.loads[self.places(&slots)].iter().sum())
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
        self.measured.count(&(self.first()..end))
    }

    /// Mean load of the measured slots in `from..until`; `None` when there are none.
    pub fn mean(&self, from: Slot, until: Slot) -> Option<f64> {
        let slots = from..until;
        let count = self.measured.count(&slots);
        // What was not measured is 0 there.
        let sum = self.loads[self.places(&slots)].iter().fold(0.0, |sum, load| sum + load);
        (count > 0).then(|| sum / count as f64)
    }

    /// Where a slot lies, or the nearest that there is.
    fn place(&self, slot: Slot) -> usize {
        usize::try_from(slot.since(self.grid.first)).unwrap_or(0).min(self.grid.len)
    }

    /// Where those of `slots` lie that it has.
    fn places(&self, slots: &Range<Slot>) -> Range<usize> {
        let from = self.place(slots.start);
        from..self.place(slots.end).max(from)
    }

    /// Makes sure the grid reaches `slot`, masking what is new.
    fn reach(&mut self, slot: Slot) {
        if self.grid.len == 0 {
            self.grid.first = slot;
        }
        let before = usize::try_from(self.grid.first.since(slot)).unwrap_or(0);
        if before > 0 {
            self.loads.splice(0..0, std::iter::repeat_n(0.0, before));
            self.grid.first = slot;
        }
        let len = usize::try_from(slot.since(self.grid.first)).unwrap_or(0) + 1;
        if len > self.loads.len() {
            lengthen(&mut self.loads, len, 0.0);
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
    fn masking_a_span_equals_masking_each_slot_of_it_that_there_is() {
        let mut whole = Series::empty(Step::MINUTE, Slot(50));
        (50..400_u32)
            .for_each(|slot| whole.put(Slot(i64::from(slot)), Load::saturating(f64::from(slot % 7))));
        for (from, until) in [(0, 55), (59, 61), (60, 120), (70, 250), (399, 900), (400, 500), (300, 300)] {
            let (mut at_once, mut one_by_one) = (whole.clone(), whole.clone());
            at_once.mask_all(&(Slot(from)..Slot(until)));
            (from.max(50)..until.min(400)).for_each(|slot| one_by_one.mask(Slot(slot)));
            assert_eq!(at_once, one_by_one);
            let runs = |series: &Series| series.runs(Slot(0)..Slot(999)).collect::<Vec<Run>>();
            assert_eq!(runs(&at_once), runs(&one_by_one), "{from}..{until}");
        }
    }

    #[test]
    fn a_block_without_a_hole_is_one_sum_and_what_is_written_anew_is_summed_anew() {
        let load = |slot: i64| Load::saturating((slot % 7) as f64);
        let mut series = Series::empty(Step::MINUTE, Slot(50));
        (50..200).for_each(|slot| series.put(Slot(slot), load(slot)));
        let blocks = |series: &Series, slots: Range<i64>| {
            let runs = series.runs(Slot(slots.start)..Slot(slots.end));
            let blocks: Vec<i64> = runs
                .filter_map(|run| match run {
                    Run::Block(slots, _) => Some(slots.start.0),
                    Run::Slots(_) => None,
                })
                .collect();
            blocks
        };
        let sum = |series: &Series, slots: Range<i64>| -> f64 {
            let runs = series.runs(Slot(slots.start)..Slot(slots.end));
            runs.map(|run| match run {
                Run::Block(_, load) => load,
                Run::Slots(slots) => series.loads(slots).map(|(_, load)| load).sum(),
            })
            .sum()
        };
        let bare = |series: &Series, slots: Range<i64>| -> f64 {
            series.loads(Slot(slots.start)..Slot(slots.end)).map(|(_, load)| load).sum()
        };
        assert_eq!(blocks(&series, 0..999), [60, 120]);
        assert_eq!(blocks(&series, 61..180), [120]);
        assert_eq!(blocks(&series, 61..179), [0; 0]);
        series.mask(Slot(130));
        assert_eq!(blocks(&series, 0..999), [60]);
        series.put(Slot(130), Load::saturating(1e3));
        series.put(Slot(70), Load::saturating(2e3));
        assert_eq!(blocks(&series, 0..999), [60, 120]);
        let cut = series.between(Slot(65), Slot(185));
        assert_eq!(blocks(&cut, 0..999), [120]);
        let mut forgetful = series.clone();
        forgetful.forget_before(Slot(61));
        assert_eq!(blocks(&forgetful, 0..999), [120]);
        series.put(Slot(3), load(3));
        for series in [&series, &cut, &forgetful] {
            for slots in [0..999, 55..170, 60..121, 119..180] {
                assert!((sum(series, slots.clone()) - bare(series, slots)).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn what_is_changed_together_is_what_is_written_slot_by_slot() {
        let mut series = Series::empty(Step::MINUTE, Slot(50));
        (50..=200).for_each(|slot| series.put(Slot(slot), Load::saturating((slot % 7) as f64)));
        series.mask(Slot(75));
        for slots in [0..90, 61..119, 60..120, 110..999, 70..70] {
            let slots = Slot(slots.start)..Slot(slots.end);
            let (mut together, mut one_by_one) = (series.clone(), series.clone());
            together.change(&slots, |slot, load| Load::saturating(load + slot.0 as f64));
            for (slot, load) in series.loads(slots.clone()) {
                one_by_one.put(slot, Load::saturating(load + slot.0 as f64));
            }
            assert_eq!(together, one_by_one);
            let all = Slot(0)..Slot(999);
            let runs = |series: &Series| -> Vec<Run> { series.runs(all.clone()).collect() };
            assert_eq!(runs(&together), runs(&one_by_one), "{slots:?}");
        }
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
