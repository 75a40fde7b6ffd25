//! Recorded load on quarter minutes, made honest between the bins of the recording.
//!
//! A bin of half an hour says how much came and not when. Spread evenly, every border would be a cliff and every bin a
//! plateau: a scaler that looks at the newest value would seem better than it is, and so would one that knows the borders.
//! Here the load moves as a monotone cubic through the cumulative count (Fritsch & Butland, SIAM J. Sci. Stat. Comput. 5,
//! 1984), so that bin sums are exact and no rate is negative, and wanders around that as real traffic does.
//!
//! What happens within a bin is invented all the same, and a report has to say so.

use rand_distr::{Distribution, StandardNormal};

use super::chance::{Purpose, generator};
use crate::series::Series;
use crate::time::{Slot, Timestamp, epoch_seconds};

/// The spacing of the result, where it divides the bins.
pub const FINE_SECONDS: i64 = 15;

/// Correlation of the wander from one quarter minute to the next.
const CORRELATION: f64 = 0.6;

/// Coefficient of variation of a quarter minute at peak level, and how it grows as the level falls. The peak is that of the
/// recording so far: a busier day to come does not make this one wander more.
///
/// Measured on HTTP requests recorded by the minute: 3.5 % between minutes at high level and 10 % at a tenth of it, where
/// Poisson would give 0.6 and 2 %.
pub const VARIATION_AT_PEAK: f64 = 0.05;
const VARIATION_GROWS: f64 = -0.25;
/// The most that it grows to.
pub const MOST_VARIATION: f64 = 0.15;

/// What load does within its bins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Within {
    /// It moves smoothly.
    Smooth,
    /// It wanders around that, lognormal and correlated; each bin keeps its sum.
    Wandering {
        /// The same seed gives the same load.
        seed: u64,
    },
}

/// Load on a grid of at most a quarter minute, with the holes of its recording.
#[derive(Debug, Clone, PartialEq)]
pub struct FineLoad {
    step: i64,
    /// Where it begins, in seconds since the epoch.
    first: i64,
    /// Load × seconds, and seconds not measured, before each step; the last entry is the end.
    before: Vec<(f64, i64)>,
}

impl FineLoad {
    /// The load whose bins are the slots of `recorded`, each the mean load of its time.
    ///
    /// The spacing is the largest divisor of the recording's step up to 15 s; a finer recording stays as it is.
    pub fn of(recorded: &Series, within: Within) -> Self {
        let bin = recorded.step().seconds();
        let step = (1..=FINE_SECONDS.min(bin)).rev().find(|step| bin % step == 0).unwrap_or(1);
        let per_bin = usize::try_from(bin / step).unwrap_or(1);
        let mut wander = match within {
            Within::Wandering { seed } => Some(Wander::new(seed)),
            Within::Smooth => None,
        };

        let mut before = Vec::with_capacity(recorded.grid().len * per_bin + 1);
        let (mut sum, mut missing) = (0.0, 0);
        before.push((sum, missing));
        let mut parts = vec![0.0; per_bin];
        for slot in recorded.grid().slots() {
            let Some(load) = recorded.load(slot) else {
                for _ in 0..per_bin {
                    missing += step;
                    before.push((sum, missing));
                    // A hole must not have all that follows wander otherwise.
                    if let Some(wander) = &mut wander {
                        wander.next();
                    }
                }
                continue;
            };
            smooth(recorded, slot, load, &mut parts);
            if let Some(wander) = &mut wander {
                wander.over(&mut parts, load);
            }
            let bin_begins = sum;
            for part in &parts {
                sum += part * step as f64;
                before.push((sum, missing));
            }
            // The border is set, not summed up: what rounding left over does not pile up.
            sum = bin_begins + load * bin as f64;
            if let Some(last) = before.last_mut() {
                last.0 = sum;
            }
        }
        let first = epoch_seconds(recorded.step().start(recorded.first()));
        Self { step, first, before }
    }

    /// Its spacing in seconds.
    pub fn step_seconds(&self) -> i64 {
        self.step
    }

    /// Mean load over the `window_seconds` before `at`; `None` where the recording does not cover all of it.
    pub fn mean_rate(&self, at: Timestamp, window_seconds: i64) -> Option<f64> {
        let until = epoch_seconds(at);
        let (low, high) = (self.before(until - window_seconds)?, self.before(until)?);
        let covered = window_seconds > 0 && high.1 <= low.1;
        covered.then(|| ((high.0 - low.0) / window_seconds as f64).max(0.0))
    }

    /// Load × seconds and seconds missing before an instant.
    fn before(&self, seconds: i64) -> Option<(f64, i64)> {
        let into = seconds.checked_sub(self.first).filter(|into| *into >= 0)?;
        let (index, over) = (usize::try_from(into / self.step).ok()?, into % self.step);
        let here = *self.before.get(index)?;
        if over == 0 {
            return Some(here);
        }
        let next = self.before.get(index + 1)?;
        let share = over as f64 / self.step as f64;
        let missing = if next.1 > here.1 { over } else { 0 };
        Some((here.0 + (next.0 - here.0) * share, here.1 + missing))
    }
}

/// The bin's load part by part, without wander: differences of the cubic through the cumulative count.
///
/// With a and d the rates at the bin's borders and m its mean, the count after a share u of the bin is, as a share of the
/// bin's length, u·m + u·(1−u)·((1−u)·(a−m) − u·(d−m)).
fn smooth(recorded: &Series, slot: Slot, mean: f64, parts: &mut [f64]) {
    // The harmonic mean of two neighbours is the slope that never overshoots; beside a hole a bin knows only itself.
    let border = |neighbour: Option<f64>| {
        let other = neighbour.unwrap_or(mean);
        let both = mean + other;
        if both > 0.0 { 2.0 * mean * (other / both) } else { 0.0 }
    };
    let (a, d) = (border(recorded.load(slot.plus(-1))), border(recorded.load(slot.plus(1))));
    let count = parts.len() as f64;
    let counted = |u: f64| u * mean + u * (1.0 - u) * ((1.0 - u) * (a - mean) - u * (d - mean));
    let mut begun = 0.0;
    for (index, part) in parts.iter_mut().enumerate() {
        let ended = counted((index + 1) as f64 / count);
        *part = ((ended - begun) * count).max(0.0);
        begun = ended;
    }
}

/// A stationary first-order process of standard normal draws, turned into factors.
struct Wander {
    random: rand_pcg::Pcg32,
    last: f64,
    /// What the bin before had, and the most that two in a row had so far: a single row that cannot be must not have all that follows
    /// wander more.
    before: f64,
    peak: f64,
}

impl Wander {
    fn new(seed: u64) -> Self {
        let mut random = generator(seed, Purpose::Within, 0);
        let last = StandardNormal.sample(&mut random);
        Self { random, last, before: f64::INFINITY, peak: 0.0 }
    }

    /// How far, in standard deviations, in the next quarter minute.
    fn next(&mut self) -> f64 {
        let draw: f64 = StandardNormal.sample(&mut self.random);
        self.last = CORRELATION * self.last + (1.0 - CORRELATION * CORRELATION).sqrt() * draw;
        self.last
    }

    /// Multiplies each part, and the whole so that the bin keeps its mean.
    fn over(&mut self, parts: &mut [f64], mean: f64) {
        self.peak = self.peak.max(mean.min(std::mem::replace(&mut self.before, mean)));
        for part in parts.iter_mut() {
            let wanders = self.next();
            if self.peak > 0.0 {
                let variation =
                    (VARIATION_AT_PEAK * (*part / self.peak).powf(VARIATION_GROWS)).min(MOST_VARIATION);
                let sigma = variation.powi(2).ln_1p().sqrt();
                *part *= (sigma * wanders - sigma * sigma / 2.0).exp();
            }
        }
        let wandered = parts.iter().sum::<f64>() / parts.len() as f64;
        if wandered > 0.0 {
            for part in parts {
                *part *= mean / wandered;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::time::{Step, from_epoch_seconds};
    use crate::units::Load;

    const WANDERING: Within = Within::Wandering { seed: 7 };

    fn recorded(step_seconds: u64, loads: &[Option<f64>]) -> Series {
        let step = Step::try_new(Duration::from_secs(step_seconds)).unwrap();
        let mut series = Series::empty(step, Slot(1000));
        for (slot, load) in (1000..).map(Slot).zip(loads) {
            match load {
                Some(load) => series.put(slot, Load::saturating(*load)),
                None => series.mask(slot),
            }
        }
        series
    }

    proptest! {
        #[test]
        fn bin_sums_are_exact_no_rate_is_negative_and_holes_stay_holes(
            loads in prop::collection::vec(
                prop::option::weighted(0.9, prop_oneof![Just(0.0), 0.0..1e4_f64, Just(1e-9), Just(1e12)]), 1..30),
            step in prop::sample::select(vec![1, 10, 15, 20, 60, 300, 1800]),
            wanders in any::<bool>(),
        ) {
            let recorded = recorded(step, &loads);
            let fine = FineLoad::of(&recorded, if wanders { WANDERING } else { Within::Smooth });
            let span = recorded.step().seconds();
            for slot in recorded.grid().slots() {
                let end = recorded.step().end(slot);
                let (found, load) = (fine.mean_rate(end, span), recorded.load(slot));
                prop_assert_eq!(found.is_some(), load.is_some());
                let largest = loads.iter().flatten().copied().fold(0.0, f64::max);
                prop_assert!((found.unwrap_or(0.0) - load.unwrap_or(0.0)).abs() <= 1e-9 * largest);
            }
            let steps = fine.before.windows(2);
            prop_assert!(steps.clone().all(|two| two[1].0 >= two[0].0 * (1.0 - 1e-12)));
            prop_assert_eq!(&fine, &FineLoad::of(&recorded, if wanders { WANDERING } else { Within::Smooth }));
        }
    }

    #[test]
    fn what_follows_a_hole_or_a_row_that_cannot_be_wanders_as_it_would_without() {
        let loads: Vec<Option<f64>> = (0..40).map(|bin| Some(500.0 + 100.0 * f64::from(bin % 7))).collect();
        let with = |odd: Option<f64>| {
            let mut loads = loads.clone();
            loads[9] = odd;
            FineLoad::of(&recorded(60, &loads), WANDERING)
        };
        let at = |fine: &FineLoad, part: i64| {
            fine.mean_rate(from_epoch_seconds(fine.first + part * 15), 15).unwrap()
        };
        let plain = with(loads[9]);
        for odd in [None, Some(1e6), Some(0.0)] {
            let odd = with(odd);
            for part in 4 * 12..4 * 40 {
                assert!((at(&odd, part) - at(&plain, part)).abs() < 1e-6, "{part}");
            }
        }
    }

    #[test]
    fn a_rise_is_a_ramp_and_not_a_staircase() {
        let fine =
            FineLoad::of(&recorded(300, &[100.0, 100.0, 200.0, 300.0, 300.0].map(Some)), Within::Smooth);
        let rates: Vec<f64> =
            (1..=100).map(|k| fine.mean_rate(from_epoch_seconds(300_000 + 15 * k), 15).unwrap()).collect();
        assert!((rates[0] - 100.0).abs() < 1.0 && (rates[99] - 300.0).abs() < 1.0);
        assert!(rates.windows(2).all(|two| (two[1] - two[0]).abs() < 15.0), "{rates:?}");
    }

    #[test]
    fn an_opening_begins_at_nothing() {
        let fine = FineLoad::of(&recorded(300, &[0.0, 400.0, 400.0].map(Some)), Within::Smooth);
        assert_eq!(fine.mean_rate(from_epoch_seconds(300_300), 300), Some(0.0));
        assert!(fine.mean_rate(from_epoch_seconds(300_315), 15).unwrap() < 100.0);
    }

    #[test]
    fn what_comes_later_does_not_change_how_load_wandered_before() {
        let calm = vec![Some(100.0); 30];
        let busy = [&calm[..29], &[Some(100.0), Some(1e6)]].concat();
        let (calm, busy) = (recorded(60, &calm), recorded(60, &busy));
        let [calm, busy] = [calm, busy].map(|load| FineLoad::of(&load, WANDERING));
        // The last bin of the one already leans towards what comes.
        assert_eq!(calm.before[..29 * 4], busy.before[..29 * 4]);
    }

    #[test]
    fn the_wander_is_as_large_as_it_was_measured_and_follows_its_seed() {
        let flat = recorded(1800, &vec![Some(500.0); 400]);
        let fine = FineLoad::of(&flat, WANDERING);
        let rates: Vec<f64> = (1..400 * 120)
            .map(|k| fine.mean_rate(from_epoch_seconds(1_800_000 + 15 * k), 15).unwrap() / 500.0)
            .collect();
        let variance = rates.iter().map(|rate| (rate - 1.0).powi(2)).sum::<f64>() / rates.len() as f64;
        let together = rates.windows(2).map(|two| (two[0] - 1.0) * (two[1] - 1.0)).sum::<f64>();
        assert!((variance.sqrt() - 0.05).abs() < 0.002, "{}", variance.sqrt());
        assert!((together / rates.len() as f64 / variance - 0.6).abs() < 0.03);
        assert_ne!(fine, FineLoad::of(&flat, Within::Wandering { seed: 8 }));
    }

    #[test]
    fn nothing_is_known_outside_the_recording_or_across_a_hole() {
        let fine = FineLoad::of(&recorded(60, &[Some(5.0), None, Some(7.0)]), Within::Smooth);
        let rate = |second: i64, window: i64| fine.mean_rate(from_epoch_seconds(60_000 + second), window);
        assert_eq!(rate(60, 60), Some(5.0));
        assert_eq!(rate(67, 30), None);
        assert_eq!(rate(180, 60), Some(7.0));
        assert_eq!(rate(187, 10), None);
        assert_eq!(rate(5, 10), None);
    }
}
