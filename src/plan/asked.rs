//! What is asked of a model about a moment to come, beside the quantile of a plan: what is in the middle, and what is not expected.

use crate::time::Timestamp;
use crate::units::{Load, Quantile};

/// What is said of a moment to come for the rules that look at minutes: what it is measured by when it has come, and whether the
/// load stands still.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Watched {
    /// The end of the minute that is spoken of. Not a plan's `peak_at`, which at an edge is the end of a slot, and with long lead
    /// times lies beyond what is said of minutes.
    pub at: Timestamp,
    /// At the median.
    pub middle: Load,
    /// At [`Quantile::P99`]: a look beyond it happens, a minute beyond it does not.
    pub for_long: Load,
    /// At [`Quantile::UNLIKELY`]: two looks beyond it do not happen either.
    pub unlikely: Load,
}

/// The median, the quantile of a plan, and the two of [`Watched`]: in ascending order, for only then are quantiles promised not to
/// cross, and taken by their places.
pub(super) struct Asked {
    pub(super) levels: [Quantile; 4],
    /// Where the plan's own is.
    own: usize,
}

impl Asked {
    pub(super) fn with(quantile: Quantile) -> Self {
        let mut levels = [quantile, Quantile::MEDIAN, Quantile::P99, Quantile::UNLIKELY];
        levels.sort_by(|a, b| a.get().total_cmp(&b.get()));
        let own = levels.iter().position(|level| *level == quantile).unwrap_or_default();
        Self { levels, own }
    }

    /// What was said at each level: of the median, the plan's own, and the two of [`Watched`].
    pub(super) fn told<T: Copy>(&self, said: [T; 4]) -> [T; 4] {
        let other = |place: usize| said[place + usize::from(place >= self.own)];
        [other(0), said[self.own], other(1), other(2)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_plan_asks_for_levels_ascend_and_each_is_told_by_its_name() {
        for own in [0.01, 0.5, 0.9, 0.99, 0.998, 0.999, 0.9999] {
            let own = Quantile::try_new(own).unwrap();
            let asked = Asked::with(own);
            assert!(asked.levels.is_sorted_by(|a, b| a.get() <= b.get()), "{own:?}");
            let named = [Quantile::MEDIAN, own, Quantile::P99, Quantile::UNLIKELY];
            assert_eq!(asked.told(asked.levels), named, "{own:?}");
        }
    }
}
