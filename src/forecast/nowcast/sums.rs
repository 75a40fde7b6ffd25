//! Running sums over minutes, so that the mean of any window costs two lookups.

use std::ops::Range;

use crate::series::Series;
use crate::time::Slot;

/// The loads, and sum and number of the measured ones before each slot.
#[derive(Debug)]
pub(super) struct Sums {
    first: Slot,
    before: Vec<(f64, u32)>,
    /// NaN stands for what was not measured.
    loads: Vec<f64>,
}

impl Sums {
    /// Those of the slots of `minutes` before `until`.
    pub(super) fn of(minutes: &Series, until: Slot) -> Self {
        let end = until.min(minutes.end());
        let mut before = Vec::with_capacity(minutes.grid().len + 1);
        let mut loads = Vec::with_capacity(minutes.grid().len);
        let (mut sum, mut count) = (0.0, 0);
        before.push((sum, count));
        for slot in (minutes.first().0..end.0).map(Slot) {
            let load = minutes.load(slot);
            if let Some(load) = load {
                sum += load;
                count += 1;
            }
            before.push((sum, count));
            loads.push(load.unwrap_or(f64::NAN));
        }
        Self { first: minutes.first(), before, loads }
    }

    /// Sum and count of the measured slots in `slots`; what lies outside is not measured.
    pub(super) fn over(&self, slots: Range<Slot>) -> (f64, f64) {
        let (low, high) = (self.at(slots.start), self.at(slots.end));
        (high.0 - low.0, f64::from(high.1.saturating_sub(low.1)))
    }

    /// The load of one slot, if it was measured.
    pub(super) fn load(&self, slot: Slot) -> Option<f64> {
        measured(&self.loads, slot.since(self.first))
    }

    /// The mean of the measured slots in `slots`, if there are any.
    pub(super) fn mean(&self, slots: Range<Slot>) -> Option<f64> {
        let (sum, count) = self.over(slots);
        // The difference of two sums may fall a hair below zero.
        (count > 0.0).then(|| (sum / count).max(0.0))
    }

    /// The mean over `width` minutes around each, and around those beyond both ends that see one of them: whether a series ends, or
    /// goes on with nothing measured, must come to the same.
    pub(super) fn around(&self, width: usize) -> Around {
        let (half, last) = (width / 2, self.before.len() - 1);
        let mean = |minute: usize| {
            let (sum, count) = self.before[minute.saturating_sub(2 * half).min(last)];
            let (until, counted) = self.before[(minute + 1).min(last)];
            // The difference of two sums may fall a hair below zero; of none at all it is not a number.
            let mean = (until - sum) / f64::from(counted - count);
            if mean < 0.0 { 0.0 } else { mean }
        };
        let first = self.first.plus(-i64::try_from(half).unwrap_or(0));
        Around { first, means: (0..last + 2 * half).map(mean).collect() }
    }

    fn at(&self, slot: Slot) -> (f64, u32) {
        let last = self.before.len() - 1;
        let index = usize::try_from(slot.since(self.first)).unwrap_or(0).min(last);
        self.before[index]
    }
}

/// The mean around each minute, for who asks for most of them; NaN stands for what was not measured, in half the space of an
/// `Option`.
#[derive(Debug)]
pub(super) struct Around {
    first: Slot,
    means: Vec<f64>,
}

impl Around {
    /// That of one minute; `None` where nothing around it was measured.
    pub(super) fn at(&self, slot: Slot) -> Option<f64> {
        measured(&self.means, slot.since(self.first))
    }
}

fn measured(loads: &[f64], index: i64) -> Option<f64> {
    loads.get(usize::try_from(index).ok()?).copied().filter(|load| !load.is_nan())
}
