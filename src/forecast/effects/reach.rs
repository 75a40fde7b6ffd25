//! How many times the usual demand, and how sure: a lift in the logarithm, with a spread to either side; and what comes on top
//! of it where a demand was declared and not a multiple.

use crate::calendar::Uplift;
use crate::time::Timestamp;
use crate::units::Quantile;

/// The 0.95 quantile of the standard normal: what lies between `expected` and `upper` of a declared uplift.
const Z_UPPER: f64 = 1.644_853_626_951_472_2;

/// How a minute of an occurrence lies beside the rest of it is half forgotten after this long.
const SHAPE_HALF_LIFE_SECONDS: f64 = 900.0;

/// A lift whose logarithm is normal on either side of its median, with a spread of its own on each.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Reach {
    /// The logarithm of the median multiple; 0 changes nothing.
    pub(super) log: f64,
    /// One standard deviation upward, in the logarithm.
    pub(super) up: f64,
    /// One standard deviation downward.
    pub(super) down: f64,
    /// How far the minutes of one occurrence lie from the rest of it, beside that.
    pub(super) shape: f64,
    /// What is added after that, in the unit of the series. It has no spread, and is there where the usual is 0.
    pub(super) plus: f64,
}

impl Reach {
    /// What `share` of it brings where the usual is `usual`, when demand was declared to grow to `peak`.
    pub(super) fn up_to(peak: f64, usual: f64, share: f64) -> Self {
        Self { plus: (peak - usual).max(0.0) * share, ..Self::default() }
    }

    /// What was declared, where `share` of it is in force: `expected` is the median, `lower` and `upper` the 0.05 and
    /// 0.95 quantiles.
    pub(super) fn declared(uplift: &Uplift, share: f64) -> Self {
        let in_force = |multiple: f64| (1.0 + (multiple - 1.0) * share).ln();
        let log = in_force(uplift.expected);
        Self {
            log,
            up: (in_force(uplift.upper) - log) / Z_UPPER,
            down: (log - in_force(uplift.lower)) / Z_UPPER,
            ..Self::default()
        }
    }

    /// `base` with it, at the median.
    pub(super) fn lifted(&self, base: f64) -> f64 {
        base * self.log.exp() + self.plus
    }

    /// `load` without it, where `usual` is what would be usual. What was added is divided out as well, for a surprise that is a
    /// tenth of a launch is a large part of what comes without it.
    pub(super) fn divide_out(&self, load: f64, usual: Option<f64>) -> f64 {
        match usual {
            Some(usual) if self.plus > 0.0 => load * (usual / self.lifted(usual)),
            _ => load * (-self.log).exp(),
        }
    }

    /// Its logarithm `z` standard deviations from the median.
    pub(super) fn log_at(&self, z: f64) -> f64 {
        let spread = if z < 0.0 { self.down } else { self.up };
        self.log + z * spread.hypot(self.shape)
    }

    /// Two at once, neither of which knows of the other; the other one comes on top.
    pub(super) fn and(&self, other: &Self) -> Self {
        Self {
            log: self.log + other.log,
            up: self.up.hypot(other.up),
            down: self.down.hypot(other.down),
            shape: self.shape.hypot(other.shape),
            plus: self.plus * other.log.exp() + other.plus,
        }
    }

    /// What is left to be unsure of at `at`, when an occurrence has shown itself to stand where `standing` says.
    pub(super) fn seen(&self, standing: Standing, at: Timestamp) -> Self {
        let spread = if standing.z < 0.0 { self.down } else { self.up };
        let drifted = standing.newest.map_or(1.0, |newest| {
            let lead_seconds = (at - newest).as_seconds_f64().max(0.0);
            (1.0 - 0.5_f64.powf(lead_seconds / SHAPE_HALF_LIFE_SECONDS)).sqrt()
        });
        Self {
            log: self.log + standing.z * spread,
            up: self.up * standing.left,
            down: self.down * standing.left,
            shape: self.shape * drifted,
            plus: self.plus,
        }
    }

    /// The quantile of `base × lift` when both are known by their quantiles: `median` and `quantile` of the base, at `z`.
    ///
    /// Two independent normals add their variances; we add them to either side of the median, in the unit of the series,
    /// where a base of zero has no logarithm. With a certain base it is the lift's own quantile times the base, with a
    /// certain lift the base's own quantile times the lift, and it never decreases with `z`.
    pub(super) fn over(&self, median: f64, quantile: f64, z: f64) -> f64 {
        let lifted = self.lifted(median);
        let of_base = (quantile - median) * self.log.exp();
        let of_lift = median * (self.log_at(z).exp() - self.log.exp());
        let away = of_base.hypot(of_lift);
        if z < 0.0 { lifted - away } else { lifted + away }
    }
}

/// Where one occurrence stands among those of its name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Standing {
    /// In standard deviations from the median, as far as it is believed of what is still to come.
    pub(super) z: f64,
    /// The part of the spread that is left, from 1 (nothing was seen of it) to 0.
    pub(super) left: f64,
    /// The newest instant that was seen of it, while it runs.
    pub(super) newest: Option<Timestamp>,
    /// It has begun and need not be there in full yet.
    pub(super) rising: bool,
}

impl Standing {
    /// That of an occurrence of which nothing was seen yet.
    pub(super) const UNSEEN: Self = Self { z: 0.0, left: 1.0, newest: None, rising: false };
}

/// The standard normal quantile of a level, after P. J. Acklam's rational approximation (2003); relative error < 1.2e-9.
pub(super) fn normal_quantile(level: Quantile) -> f64 {
    const A: [f64; 6] = [
        -3.969_683_028_665_376e1,
        2.209_460_984_245_205e2,
        -2.759_285_104_469_687e2,
        1.383_577_518_672_69e2,
        -3.066_479_806_614_716e1,
        2.506_628_277_459_239,
    ];
    const B: [f64; 6] = [
        -5.447_609_879_822_406e1,
        1.615_858_368_580_409e2,
        -1.556_989_798_598_866e2,
        6.680_131_188_771_972e1,
        -1.328_068_155_288_572e1,
        1.0,
    ];
    const C: [f64; 6] = [
        -7.784_894_002_430_293e-3,
        -3.223_964_580_411_365e-1,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 5] = [
        7.784_695_709_041_462e-3,
        3.224_671_290_700_398e-1,
        2.445_134_137_142_996,
        3.754_408_661_907_416,
        1.0,
    ];
    const TAIL: f64 = 0.024_25;
    let horner = |factors: &[f64], x: f64| factors.iter().fold(0.0, |sum, factor| sum * x + factor);
    let tail = |probability: f64| {
        let q = (-2.0 * probability.ln()).sqrt();
        horner(&C, q) / horner(&D, q)
    };
    let level = level.get();
    if level < TAIL {
        tail(level)
    } else if level > 1.0 - TAIL {
        -tail(1.0 - level)
    } else {
        let q = level - 0.5;
        let r = q * q;
        horner(&A, r) * q / horner(&B, r)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(level: f64) -> Quantile {
        Quantile::try_new(level).unwrap()
    }

    #[test]
    fn the_normal_quantile_is_that_of_the_tables() {
        let known = [
            (0.5, 0.0),
            (0.9, 1.281_551_565_5),
            (0.95, Z_UPPER),
            (0.99, 2.326_347_874),
            (0.001, -3.090_232_306),
        ];
        for (probability, expected) in known {
            assert!((normal_quantile(level(probability)) - expected).abs() < 1e-8, "{probability}");
        }
    }

    #[test]
    fn a_declared_uplift_is_its_own_quantiles() {
        let uplift = Uplift::try_new(2.0, 6.0, 12.0).unwrap();
        let whole = Reach::declared(&uplift, 1.0);
        let multiple = |probability: f64| whole.over(1.0, 1.0, normal_quantile(level(probability)));
        for (probability, expected) in [(0.05, 2.0), (0.5, 6.0), (0.95, 12.0)] {
            assert!(
                (multiple(probability) - expected).abs() < 1e-7,
                "{probability}: {}",
                multiple(probability)
            );
        }
        assert_eq!(Reach::declared(&uplift, 0.0), Reach::default());
    }

    #[test]
    fn quantiles_of_the_product_never_cross_and_a_certain_lift_only_multiplies() {
        let certain = Reach { log: 2.0_f64.ln(), ..Reach::default() };
        assert!((certain.over(10.0, 14.0, 1.3) - 28.0).abs() < 1e-12);
        let unsure = Reach { log: 0.7, up: 0.4, down: 0.2, shape: 0.1, ..Reach::default() };
        let mut last = f64::NEG_INFINITY;
        for percent in 1..100 {
            let z = normal_quantile(level(f64::from(percent) / 100.0));
            let next = unsure.over(10.0, 10.0 + 2.0 * z, z);
            assert!(next >= last, "{next} after {last} at {percent} %");
            last = next;
        }
    }
}
