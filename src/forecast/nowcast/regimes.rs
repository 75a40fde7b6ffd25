//! How steep the coming minutes are, which tells the misses that speak of them: level minutes, rising and steep ones.
//!
//! A bell is steep whatever the load. What counts as rising depends on the load: where it is smooth, three per cent until pods are
//! ready is the beginning of something, and misses of such minutes must not drown among those of level ones; where it is noisy, it
//! is nothing. So minutes rise that are as steep as the steepest tenth of the busy ones, and in any case those that rise by a tenth.

use super::busy::quantile;
use super::moment::Steepness;

/// Level, rising and steep.
pub(super) const REGIMES: usize = 3;

/// The last of them.
pub(super) const STEEPEST: usize = REGIMES - 1;

/// From this steepness on a minute rises, whatever the others do, and is steep.
const RISING: f64 = 0.10;
const STEEP: f64 = 0.50;

/// Steeper than this share of the busy minutes is rising, too. 0.95 and 0.97 did as well on the traffic they were chosen on, and less
/// on the weeks before it.
const UNLIKE_MOST: f64 = 0.90;

/// Every so many busy minutes one is asked: a share is told well enough by it.
const APART: usize = 7;

/// Where the regimes begin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Regimes {
    begin: [f64; REGIMES - 1],
}

impl Regimes {
    /// Those of busy minutes so steep.
    pub(super) fn of(minutes: impl Iterator<Item = Steepness>) -> Self {
        let mut steepness: Vec<f64> = minutes.step_by(APART).map(Steepness::larger).collect();
        let unlike_most = quantile(&mut steepness, UNLIKE_MOST).unwrap_or(RISING);
        Self { begin: [RISING.min(unlike_most), STEEP] }
    }

    /// The regime of a minute. Of a steeper one it is never a calmer regime.
    pub(super) fn regime(self, steepness: Steepness) -> usize {
        self.begin.iter().filter(|begin| steepness.larger() >= **begin).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(seen: impl Iterator<Item = f64>) -> Regimes {
        Regimes::of(seen.map(|seen| Steepness { usual: -1.0, seen }))
    }

    fn regime(regimes: Regimes, seen: f64) -> usize {
        regimes.regime(Steepness { usual: -1.0, seen })
    }

    #[test]
    fn on_a_smooth_load_what_is_steeper_than_nine_in_ten_rises_and_on_a_noisy_one_a_tenth_does() {
        // Between -0.02 and 0.02, and between -0.4 and 0.4.
        let smooth = minutes((0..7_000).map(|k| 0.04 * f64::from(k % 1000) / 1000.0 - 0.02));
        assert_eq!([0.0, 0.015, 0.017, 0.4, 0.5].map(|seen| regime(smooth, seen)), [0, 0, 1, 1, 2]);
        let noisy = minutes((0..7_000).map(|k| 0.8 * f64::from(k % 1000) / 1000.0 - 0.4));
        assert_eq!([0.0, 0.017, 0.099, 0.1, 0.5].map(|seen| regime(noisy, seen)), [0, 0, 0, 1, 2]);
    }

    #[test]
    fn where_nothing_is_known_or_nothing_moves_there_is_an_answer() {
        let unknown = minutes(std::iter::empty());
        assert_eq!([0.0, 0.1, 0.5].map(|seen| regime(unknown, seen)), [0, 1, 2]);
        let still = minutes(std::iter::repeat_n(0.0, 100));
        assert_eq!([-0.1, 0.0, 0.4, 0.9].map(|seen| regime(still, seen)), [0, 1, 1, 2]);
    }
}
