//! From one metric's reading to one proposal: the tolerance, the milli-units and the int32.
//!
//! A metric travels from KEDA to the HPA as a quantity with three decimals. That is why a target of 1 and a reading of N
//! ask for exactly N, and why an unrounded target does not (contract 2.3).

use super::{Scale, Tolerance};
use crate::units::Replicas;

/// The largest replica count the HPA can hold; a proposal above it is cut there.
const INT32_MAX: u32 = i32::MAX.unsigned_abs();

/// One metric of an HPA.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metric {
    /// What the reading is compared with.
    pub target: Target,
}

/// What a reading is compared with, in milli-units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// `AverageValue`: so much per pod. What KEDA uses unless told otherwise, and what tidetable wants.
    PerPod(u64),
    /// `Value`: so much in all. Multiplies by ready pods, which makes it racy.
    InAll(u64),
    /// `Utilization` of a resource, `cpu` say: the reading is the mean use of ready pods in percent of their requests. KEDA
    /// writes a `cpu` trigger into the HPA as this, and has no part in its reading. Whole percents, and not milli-units.
    Utilization(u32),
}

/// Below this a product with 1000 is off by less than [`CLEAR_OF_HALF`].
const CLEAR_BELOW: f64 = 1_073_741_824.0;
const CLEAR_OF_HALF: f64 = 1e-6;

impl Metric {
    /// `targetSize: 1`: the reading is a number of replicas.
    pub const REPLICAS: Self = Self { target: Target::PerPod(1000) };

    /// So much load per pod.
    pub fn per_pod(load: f64) -> Self {
        Self { target: Target::PerPod(quantized(load)) }
    }
}

/// What the HPA got for one metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reading {
    /// A number.
    Value(f64),
    /// An error; KEDA answers with one when the scaler did.
    Failed,
}

/// A number in milli-units, as KEDA hands it on: rounded to three decimals, and zero for what is negative or not a
/// number. That zero is an instruction to scale to the minimum, so nothing of ours may come to rely on it.
///
/// Source: KEDA `pkg/scalers/scaler.go`, `%.3f` into a `resource.Quantity`; what exceeds an int64 becomes its largest.
pub fn quantized(number: f64) -> u64 {
    if !number.is_finite() || number <= 0.0 {
        return 0;
    }
    // Clear cases are rounded here; what lies near a half is left to the slower way, which knows the exact binary number.
    let milli = number * 1000.0;
    if milli < CLEAR_BELOW && (milli.fract() - 0.5).abs() > CLEAR_OF_HALF {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "rounded, and in 0..2^30"
        )]
        return milli.round() as u64;
    }
    // Formatting rounds the exact binary number, as Go does; multiplying by 1000 first would round twice.
    let digits: String = format!("{number:.3}").chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(u64::MAX).min(i64::MAX.unsigned_abs())
}

impl Metric {
    /// `Utilization` at `share` of the requests, in whole percents and at least one.
    pub fn utilization(share: f64) -> Self {
        let percent = ((quantized(share) + 5) / 10).max(1);
        Self { target: Target::Utilization(u32::try_from(percent).unwrap_or(u32::MAX)) }
    }

    /// Replicas proposed on a reading of `usage` milli-units.
    ///
    /// With u the usage, t the target and C the replicas: u / (t·C) inside the tolerance proposes no change,
    /// outside it ⌈u / t⌉. C is *status* replicas, also as the proposal in band.
    pub(super) fn proposal(self, usage: u64, scale: Scale, tolerance: Tolerance) -> Replicas {
        let usage = usage as f64;
        match self.target {
            Target::PerPod(target) => {
                let target = target as f64;
                if tolerance.covers(usage / (target * f64::from(scale.status.0))) {
                    scale.status
                } else {
                    whole(usage / target)
                }
            }
            Target::InAll(target) => {
                let ratio = usage / target as f64;
                match (scale.spec, tolerance.covers(ratio)) {
                    (Replicas(0), _) => whole(ratio),
                    (spec, true) => spec,
                    (_, false) => whole(ratio * f64::from(scale.ready.0)),
                }
            }
            Target::Utilization(percent) => {
                by_utilization(usage / 1000.0, f64::from(percent), scale, tolerance)
            }
        }
    }
}

/// Replicas proposed where ready pods use `used` percent of their requests on the mean.
///
/// Upward, pods that are not ready yet count as idle ones, so that those under way are not asked for again; what that turns
/// round or takes into the dead band is left alone. Here the replicas that stay are *spec* replicas. Source: Kubernetes
/// `pkg/controller/podautoscaler/replica_calculator.go`, `GetResourceReplicas`; without missing pods, for here each ready pod
/// has a reading.
fn by_utilization(used: f64, percent: f64, scale: Scale, tolerance: Tolerance) -> Replicas {
    let (ready, all) = (f64::from(scale.ready.0), f64::from(scale.status.0));
    // The controller divides whole numbers.
    let ratio = |used: f64| used.trunc() / percent;
    let alone = ratio(used);
    let starting = all > ready && alone > 1.0;
    if !starting {
        return if tolerance.covers(alone) { scale.spec } else { whole(alone * ready) };
    }
    let among_all = ratio(used * ready / all);
    let wanted = whole(among_all * all);
    if tolerance.covers(among_all) || among_all < 1.0 || wanted < scale.spec { scale.spec } else { wanted }
}

/// Rounded up into 0..=int32's largest; 0 / 0 is 0.
fn whole(replicas: f64) -> Replicas {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to int32; NaN becomes 0"
    )]
    Replicas(replicas.ceil().clamp(0.0, f64::from(INT32_MAX)) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_decimals_survive_the_way_from_keda_to_the_hpa() {
        for (number, milli) in [
            (0.0004, 0),
            (0.0005, 1),
            (1.5, 1500),
            (12.345_678_9, 12_346),
            (29.9999, 30_000),
            (22.001, 22_001),
            (1e6, 1_000_000_000),
            (1e300, i64::MAX.unsigned_abs()),
        ] {
            assert_eq!(quantized(number), milli, "{number}");
        }
    }

    proptest::proptest! {
        #[test]
        fn the_fast_way_rounds_as_the_exact_one(number in 0.0..2e6_f64, milli in 0_u64..2_000_000_000) {
            for number in [number, milli as f64 / 1000.0, milli as f64 / 2000.0] {
                let digits: String = format!("{number:.3}").chars().filter(char::is_ascii_digit).collect();
                proptest::prop_assert_eq!(quantized(number), digits.parse::<u64>().unwrap());
            }
        }
    }

    #[test]
    fn poison_reads_as_zero_and_never_as_a_crowd() {
        for poison in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -3.0, -0.0] {
            assert_eq!(quantized(poison), 0, "{poison}");
        }
    }

    fn check(metric: Metric, reading: f64, status: u32, proposed: u32) {
        let scale = Scale { spec: Replicas(status), status: Replicas(status), ready: Replicas(status) };
        let found = metric.proposal(quantized(reading), scale, Tolerance { up: 0.1, down: 0.1 });
        assert_eq!(found, Replicas(proposed), "{reading} at {status}");
    }

    #[test]
    fn proposals_stay_inside_an_int32() {
        check(Metric::REPLICAS, 3e9, 30, INT32_MAX);
        check(Metric::REPLICAS, f64::MAX, 1, INT32_MAX);
        check(Metric { target: Target::PerPod(1) }, 9e14, 12, INT32_MAX);
        check(Metric { target: Target::PerPod(0) }, 0.0, 12, 0);
    }

    #[test]
    fn from_zero_every_number_is_reached_exactly() {
        check(Metric::REPLICAS, 7.0, 0, 7);
        check(Metric::REPLICAS, 0.0, 0, 0);
    }

    #[test]
    fn utilization_counts_pods_under_way_as_idle_on_the_way_up_and_not_at_all_on_the_way_down() {
        // (spec, status, ready), used percent of a target of 70, proposed.
        for ((spec, status, ready), used, proposed) in [
            ((10, 10, 10), 70.0, 10),
            ((10, 10, 10), 76.9, 10),
            ((10, 10, 10), 78.0, 12),
            ((10, 10, 10), 62.9, 9),
            ((10, 10, 10), 35.0, 5),
            // 95 % on ten of which four more start: 67 % on fourteen, which turns it round.
            ((14, 14, 10), 95.0, 14),
            // 140 % is 100 % on fourteen: twenty are wanted, not the twenty that ten alone would ask for and four on top.
            ((14, 14, 10), 140.0, 20),
            ((14, 14, 10), 35.0, 5),
        ] {
            let scale = Scale { spec: Replicas(spec), status: Replicas(status), ready: Replicas(ready) };
            let tolerance = Tolerance { up: 0.1, down: 0.1 };
            let found = Metric::utilization(0.7).proposal(quantized(used), scale, tolerance);
            assert_eq!(found, Replicas(proposed), "{used} % at {scale:?}");
        }
        assert_eq!(Metric::utilization(0.7).target, Target::Utilization(70));
    }

    #[test]
    fn a_target_that_is_not_rounded_first_asks_for_one_too_many() {
        check(Metric::per_pod(33.3333), 21.0 * 33.3333, 5, 22);
        check(Metric::per_pod(33.3333), 21.0 * 33.333, 5, 21);
    }
}
