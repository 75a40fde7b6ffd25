//! Sums over blocks of slots, so that the mean of a day costs two dozen look-ups at each tick and not a thousand.
//!
//! ```text
//!        ├──────── 60 ────────┤├──────── 60 ────────┤
//!    · · 7 9 8 . 8 7 …          9 9 8 7 …                 slots; the first block has a hole
//!          none                 the sum
//! ```
//!
//! Blocks lie on multiples of their length since the epoch and are summed from their first slot on. Running sums from the
//! first slot of a series would be cheaper still, but they round otherwise where a series begins elsewhere, and replicas have to
//! agree to the last bit.

use std::ops::Range;

use super::lengthen;
use crate::time::Slot;

/// Slots in a block: as many make whole minutes of any step that divides one.
pub const BLOCK: i64 = 60;

/// A stretch of slots.
#[derive(Debug, Clone, PartialEq)]
pub enum Run {
    /// Some of which no sum is known; there may be holes among them.
    Slots(Range<Slot>),
    /// All slots of a block and the sum of their loads.
    Block(Range<Slot>, f64),
}

/// Sums of the blocks without a hole.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Blocks {
    /// The number of the first block.
    first: i64,
    sums: Vec<Option<f64>>,
}

impl Blocks {
    /// Of numbers that begin at `first`; blocks that they do not cover are not among them.
    pub fn of(first: Slot, numbers: impl Iterator<Item = f64>) -> Self {
        let mut blocks = Self { first: first.0.div_euclid(BLOCK), sums: Vec::new() };
        let (mut sum, mut count) = (0.0, 0);
        for (slot, number) in (first.0..).zip(numbers) {
            if slot.rem_euclid(BLOCK) == 0 {
                (sum, count) = (0.0, 0);
            }
            (sum, count) = (sum + number, count + 1);
            if slot.rem_euclid(BLOCK) == BLOCK - 1 {
                blocks.sums.push((count == BLOCK).then_some(sum));
            }
        }
        blocks.sums.shrink_to_fit();
        blocks
    }

    /// The block that begins at `slot`, if it is one and its sum is known.
    pub fn at(&self, slot: Slot) -> Option<f64> {
        if slot.0.rem_euclid(BLOCK) != 0 {
            return None;
        }
        *self.sums.get(usize::try_from(slot.0.div_euclid(BLOCK) - self.first).ok()?)?
    }

    /// Sets the sum of the block that `slot` lies in.
    pub(super) fn set(&mut self, slot: Slot, sum: Option<f64>) {
        let block = slot.0.div_euclid(BLOCK);
        if self.sums.is_empty() {
            self.first = block;
        }
        let before = usize::try_from(self.first - block).unwrap_or(0);
        if before > 0 {
            self.sums.splice(0..0, std::iter::repeat_n(None, before));
            self.first = block;
        }
        let place = usize::try_from(block - self.first).unwrap_or(0);
        if place >= self.sums.len() {
            // A hole at the end needs no place.
            if sum.is_none() {
                return;
            }
            lengthen(&mut self.sums, place + 1, None);
        }
        self.sums[place] = sum;
    }

    /// Forgets the sum of every block that has one of `slots`.
    pub(super) fn forget(&mut self, slots: &Range<Slot>) {
        let place = |slot: i64| {
            usize::try_from(slot.div_euclid(BLOCK) - self.first).unwrap_or(0).min(self.sums.len())
        };
        let from = place(slots.start.0);
        let until = place(slots.end.0 + BLOCK - 1);
        self.sums[from..until.max(from)].fill(None);
    }

    /// Those that lie in `slots` as a whole.
    pub(super) fn within(&self, slots: &Range<Slot>) -> Self {
        let first = slots.start.0.div_euclid(BLOCK) + i64::from(slots.start.0.rem_euclid(BLOCK) > 0);
        let first = first.max(self.first);
        let place = |block: i64| usize::try_from(block - self.first).unwrap_or(0).min(self.sums.len());
        let (from, until) = (place(first), place(slots.end.0.div_euclid(BLOCK)));
        let mut sums = self.sums[from..until.max(from)].to_vec();
        sums.truncate(sums.iter().rposition(Option::is_some).map_or(0, |last| last + 1));
        Self { first, sums }
    }
}
