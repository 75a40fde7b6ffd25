//! How good the forecast was: loss and coverage, each slot scored once, by the model that was in force when it came.

use crate::forecast::{Fitted, Known};
use crate::series::Series;
use crate::time::{Slot, Step};
use crate::units::Quantile;

/// The levels that are scored.
pub const LEVELS: [f64; 4] = [0.5, 0.9, 0.95, 0.99];

/// Sums over scored slots.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Accuracy {
    /// How many slots were scored.
    pub slots: usize,
    loads: f64,
    pinball: [f64; LEVELS.len()],
    covered: [usize; LEVELS.len()],
    /// Forecast slots with their median and 0.95 quantile.
    pub band: Vec<(Slot, f64, f64)>,
}

impl Accuracy {
    /// Weighted quantile loss: twice the pinball loss over the load, mean of the levels. `None` before anything was scored.
    pub fn wql(&self) -> Option<f64> {
        let mean = self.pinball.iter().sum::<f64>() / LEVELS.len() as f64;
        (self.loads > 0.0).then(|| 2.0 * mean / self.loads)
    }

    /// Each level with the share of slots that stayed at or below its quantile.
    pub fn coverage(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        let slots = self.slots.max(1) as f64;
        LEVELS.iter().zip(self.covered).map(move |(level, covered)| (*level, covered as f64 / slots))
    }

    /// Scores what `model` says of `targets` from what is known at `known`.
    pub(super) fn score(
        &mut self,
        model: &dyn Fitted,
        known: &Known<'_>,
        targets: std::ops::Range<Slot>,
        recorded: &Series,
    ) {
        let levels: Vec<Quantile> =
            LEVELS.iter().filter_map(|level| Quantile::try_new(*level).ok()).collect();
        let Some(forecast) = model.forecast(known, targets, &levels) else { return };
        for row in forecast.rows() {
            self.band.push((row.slot, row.loads[0], row.loads[2]));
            let Some(load) = recorded.load(row.slot) else { continue };
            self.slots += 1;
            self.loads += load.abs();
            for (index, (level, quantile)) in LEVELS.iter().zip(row.loads).enumerate() {
                let over = load - quantile;
                self.pinball[index] += if over >= 0.0 { level * over } else { (level - 1.0) * over };
                self.covered[index] += usize::from(load <= *quantile);
            }
        }
    }
}

/// The share of syncs at which the load that came while the answer's pods were the newest stayed at or below what it foresaw.
///
/// `loads` and `foreseen` have an entry per sync; the pods of an answer are the newest from `serve.start` syncs after it to
/// `serve.end`. `None` where nothing was foreseen.
pub(super) fn plan_coverage(
    loads: &[Option<f64>],
    foreseen: &[Option<f64>],
    serve: &std::ops::RangeInclusive<usize>,
) -> Option<f64> {
    let (mut covered, mut count) = (0_usize, 0_usize);
    // Indices whose loads fall towards the back: the front is the most of the time served.
    let mut highest: std::collections::VecDeque<usize> = std::collections::VecDeque::new();
    let load = |sync: usize| loads[sync].unwrap_or(f64::NEG_INFINITY);
    for first in (*serve.start()..loads.len()).rev() {
        while highest.back().is_some_and(|later| load(*later) <= load(first)) {
            highest.pop_back();
        }
        highest.push_back(first);
        let sync = first - serve.start();
        while highest.front().is_some_and(|latest| latest - sync > *serve.end()) {
            highest.pop_front();
        }
        let whole = sync + serve.end() < loads.len();
        let most = highest.front().map(|latest| load(*latest)).filter(|most| most.is_finite());
        if let (true, Some(most), Some(foreseen)) = (whole, most, foreseen.get(sync).copied().flatten()) {
            count += 1;
            covered += usize::from(most <= foreseen);
        }
    }
    (count > 0).then(|| covered as f64 / count as f64)
}

/// The slots that begin at `from` or later and before `until`.
pub(super) fn slots_between(
    step: Step,
    from: crate::time::Timestamp,
    until: crate::time::Timestamp,
) -> std::ops::Range<Slot> {
    step.last_ended(from).next()..step.last_ended(until).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_covers_when_the_most_of_its_time_does_not_exceed_it() {
        let loads = [1.0, 5.0, 2.0, 2.0, 9.0, 1.0, 1.0].map(Some);
        let foreseen = [Some(5.0), Some(4.9), Some(2.0), None, Some(9.0), Some(1.0), Some(1.0)];
        // The answer's own sync and two more: 5 ≤ 5, 5 > 4.9, 9 > 2, nothing foreseen, 9 ≤ 9; the last two are not whole.
        assert_eq!(plan_coverage(&loads, &foreseen, &(0..=2)), Some(0.5));
        // The two syncs after it: 5 ≤ 5, 2 ≤ 4.9, 9 > 2, nothing foreseen, 1 ≤ 9.
        assert_eq!(plan_coverage(&loads, &foreseen, &(1..=2)), Some(0.75));
        assert_eq!(plan_coverage(&loads, &[None; 7], &(0..=2)), None);
    }
}
