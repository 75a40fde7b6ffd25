//! What happens within a cell, where slots are finer than cells: the burst of each twentieth minute.
//!
//! By slot of the local day, the load of the last four weeks over that of the cells around it. A ratio of sums over four
//! weeks of all days: a single minute of one weekday would be mostly noise.

use super::lattice::Lattice;
use crate::series::Series;
use crate::time::Slot;

/// Days that are learned from.
const DAYS: i64 = 28;

/// A share is believed to lie within these.
const BOUNDS: (f64, f64) = (0.02, 20.0);

/// Shares of a cell by slot of the day, in seven digits; empty where a cell is a slot.
#[derive(Debug, Clone, Default)]
pub(super) struct Shape(Box<[f32]>);

impl Shape {
    pub(super) fn learn(history: &Series, origin: Slot, lattice: &Lattice) -> Self {
        let per_day = 86_400 / history.step().seconds();
        let day = usize::try_from(per_day).unwrap_or(1).max(1);
        if day <= lattice.wall.day {
            return Self::default();
        }
        let (mut own, mut around) = (vec![0.0; day], vec![0.0; day]);
        for slot in (origin.0 - DAYS * per_day..origin.0).map(Slot) {
            let Some(load) = history.load(slot) else { continue };
            if let Some(cell) = lattice.load(lattice.wall.cell(slot)) {
                let at = lattice.wall.slot_of_day(slot).min(day - 1);
                own[at] += load / lattice.scale;
                around[at] += cell;
            }
        }
        #[expect(clippy::cast_possible_truncation, reason = "four weeks do not tell a share in seven digits")]
        let share = |(own, around): (f64, f64)| {
            if around > 0.0 { (own / around).clamp(BOUNDS.0, BOUNDS.1) as f32 } else { 1.0 }
        };
        Self(own.into_iter().zip(around).map(share).collect())
    }

    /// The share of a slot of the day.
    pub(super) fn at(&self, slot_of_day: usize) -> f64 {
        self.0.get(slot_of_day).map_or(1.0, |share| f64::from(*share))
    }
}
