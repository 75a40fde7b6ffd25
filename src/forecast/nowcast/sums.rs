//! Running sums over minutes, so that the mean of any window costs two lookups.

use std::ops::Range;

use crate::series::Series;
use crate::time::Slot;

/// Sum of the loads and number of the measured minutes before each slot.
#[derive(Debug)]
pub(super) struct Sums {
    first: Slot,
    before: Vec<(f64, u32)>,
}

impl Sums {
    /// Those of the slots of `minutes` before `until`.
    pub(super) fn of(minutes: &Series, until: Slot) -> Self {
        let end = until.min(minutes.end());
        let mut before = Vec::with_capacity(minutes.grid().len + 1);
        let (mut sum, mut count) = (0.0, 0);
        before.push((sum, count));
        for slot in (minutes.first().0..end.0).map(Slot) {
            if let Some(load) = minutes.load(slot) {
                sum += load;
                count += 1;
            }
            before.push((sum, count));
        }
        Self { first: minutes.first(), before }
    }

    /// Sum and count of the measured slots in `slots`; what lies outside is not measured.
    pub(super) fn over(&self, slots: Range<Slot>) -> (f64, f64) {
        let (low, high) = (self.at(slots.start), self.at(slots.end));
        (high.0 - low.0, f64::from(high.1.saturating_sub(low.1)))
    }

    /// The load of one slot, if it was measured.
    pub(super) fn load(&self, slot: Slot) -> Option<f64> {
        self.mean(slot..slot.next())
    }

    /// The mean of the measured slots in `slots`, if there are any.
    pub(super) fn mean(&self, slots: Range<Slot>) -> Option<f64> {
        let (sum, count) = self.over(slots);
        // The difference of two sums may fall a hair below zero.
        (count > 0.0).then(|| (sum / count).max(0.0))
    }

    fn at(&self, slot: Slot) -> (f64, u32) {
        let last = self.before.len() - 1;
        let index = usize::try_from(slot.since(self.first)).unwrap_or(0).min(last);
        self.before[index]
    }
}
