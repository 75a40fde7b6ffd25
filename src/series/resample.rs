//! From a fine grid to a coarser one, without inventing demand.
//!
//! A coarse slot with any fine slot missing is missing: half a minute of traffic is not a quiet minute.

use super::Series;
use crate::time::Step;
use crate::units::Load;

/// How fine slots become a coarse one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resample {
    /// Counts add up: requests per minute to requests per hour.
    Sum,
    /// Rates average: tx/s at 15 s to tx/s at 1 min.
    Mean,
    /// The worst moment stands for the slot.
    Max,
}

/// `series` on a grid of `step`, which must be a whole multiple of its own; `None` otherwise.
///
/// Slots are aligned to the epoch; a coarse slot of which any fine slot is missing is masked.
pub fn resample(series: &Series, step: Step, how: Resample) -> Option<Series> {
    let fine = series.step();
    if step == fine {
        return Some(series.clone());
    }
    if step.seconds() % fine.seconds() != 0 {
        return None;
    }
    let per_slot = step.seconds() / fine.seconds();
    let first = step.slot_of(fine.end(series.first()));
    let last = step.slot_of(fine.end(series.end().plus(-1)));
    let mut coarse = Series::empty(step, first);
    for slot in (first.0..=last.0).map(crate::time::Slot) {
        let begin = fine.slot_of(step.start(slot)).next();
        let parts = (0..per_slot).map(|offset| series.load(begin.plus(offset)));
        let folded = parts.clone().try_fold(0.0_f64, |folded, part| {
            part.map(|load| if how == Resample::Max { folded.max(load) } else { folded + load })
        });
        match folded {
            Some(total) if how == Resample::Mean => {
                coarse.put(slot, Load::saturating(total / per_slot as f64))
            }
            Some(total) => coarse.put(slot, Load::saturating(total)),
            None => coarse.mask(slot),
        }
    }
    Some(coarse)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Slot;
    use std::time::Duration;

    fn check(how: Resample, expected: &[Option<f64>]) {
        let mut series = Series::empty(Step::MINUTE, Slot(10));
        for (slot, load) in [(10, 1.0), (11, 2.0), (12, 3.0), (13, 4.0), (15, 6.0)] {
            series.put(Slot(slot), Load::saturating(load));
        }
        let two = Step::try_new(Duration::from_secs(120)).unwrap();
        let coarse = resample(&series, two, how).unwrap();
        assert_eq!(coarse.first(), Slot(5));
        assert_eq!(coarse.grid().slots().map(|slot| coarse.load(slot)).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_coarse_slot_with_a_hole_is_a_hole() {
        check(Resample::Sum, &[Some(3.0), Some(7.0), None]);
        check(Resample::Mean, &[Some(1.5), Some(3.5), None]);
        check(Resample::Max, &[Some(2.0), Some(4.0), None]);
    }

    #[test]
    fn only_whole_multiples_are_possible() {
        let series = Series::empty(Step::MINUTE, Slot(0));
        assert!(resample(&series, Step::try_new(Duration::from_secs(90)).unwrap(), Resample::Sum).is_none());
    }
}
