//! Chance that can be asked in any order.
//!
//! Every draw has a place of its own, `(seed, purpose, index)`, and begins a generator of its own there. So the count of
//! one quarter minute does not depend on who asked for which before, and a range query agrees with the instant queries
//! it covers.

use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg32;

/// What a draw is for. Two purposes never share a generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// How many payments fall into a quarter minute.
    Count = 1,
    /// Wander within minutes.
    Minutes,
    /// Wander within hours.
    Hours,
    /// Good and bad days.
    Days,
    /// How long a pod takes to start.
    StartUp,
    /// What recorded load did within its bins.
    Within,
}

/// The generator at one place.
pub(super) fn generator(seed: u64, purpose: Purpose, index: i64) -> Pcg32 {
    let purpose = purpose as u64;
    Pcg32::new(mixed(seed ^ mixed(purpose ^ mixed(index.cast_unsigned()))), purpose)
}

/// One draw of the standard normal distribution.
pub(super) fn normal(seed: u64, purpose: Purpose, index: i64) -> f64 {
    StandardNormal.sample(&mut generator(seed, purpose, index))
}

/// A curve through standard normal draws at every multiple of `spacing`: neighbours in time are alike, and any instant
/// can be asked for alone, which a recurrence such as AR(1) would not allow.
pub(super) fn wander(seed: u64, purpose: Purpose, spacing: i64, seconds: i64) -> f64 {
    let knot = seconds.div_euclid(spacing);
    let between = seconds.rem_euclid(spacing) as f64 / spacing as f64;
    let (left, right) = (normal(seed, purpose, knot), normal(seed, purpose, knot + 1));
    // On a quarter circle the variance is the same everywhere; on a straight line it would halve between the knots.
    let (to_right, to_left) = (between * std::f64::consts::FRAC_PI_2).sin_cos();
    left * to_left + right * to_right
}

/// The finalizer of `SplitMix64` (Steele, Lea & Flood, OOPSLA 2014): neighbours in, strangers out.
fn mixed(bits: u64) -> u64 {
    let bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_places_draw_like_strangers() {
        let draws = |purpose| (0..20_000).map(move |index| normal(7, purpose, index));
        let mean = draws(Purpose::Count).sum::<f64>() / 20_000.0;
        let variance = draws(Purpose::Count).map(|draw| draw * draw).sum::<f64>() / 20_000.0;
        let product = |lag| {
            draws(Purpose::Count).zip(draws(Purpose::Count).skip(lag)).map(|(a, b)| a * b).sum::<f64>()
                / 20_000.0
        };
        let across =
            draws(Purpose::Count).zip(draws(Purpose::Hours)).map(|(a, b)| a * b).sum::<f64>() / 20_000.0;
        // Four standard errors of a mean of 20,000.
        let bound = 4.0 / 20_000_f64.sqrt();
        assert!(mean.abs() < bound, "mean {mean}");
        assert!((variance - 1.0).abs() < 1.5 * bound, "variance {variance}");
        assert!(product(1).abs() < bound && product(2).abs() < bound && across.abs() < bound);
    }

    #[test]
    fn a_wander_is_continuous_and_has_the_same_spread_everywhere() {
        let at = |seconds| wander(7, Purpose::Hours, 3600, seconds);
        assert!((at(3599) - at(3600)).abs() < 0.01);
        assert!((at(-1) - at(0)).abs() < 0.01);
        let spread =
            |offset| (0..4000_i64).map(|knot| at(knot * 3600 + offset).powi(2)).sum::<f64>() / 4000.0;
        assert!((spread(0) - spread(1800)).abs() < 0.2, "{} and {}", spread(0), spread(1800));
    }
}
