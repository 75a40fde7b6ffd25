//! Replicas as KEDA wants to read them: a target of 1 for each replica, and the count as the value.
//!
//! With a target of 1 the HPA computes `ceil(1000·N / 1000)`, which is N without rounding, and the target never has to
//! change; KEDA would not notice before the ScaledObject's next reconcile if it did. Both number fields are filled: the
//! float counts when it is above zero, the integer otherwise and for KEDA before 2.17.
//!
//! Poison cannot be written down here. What is encoded is a [`Replicas`], so NaN, infinities and negative numbers, each
//! of which KEDA reads as 0, have no way in; a count that is not known is an error of the RPC.

use super::pb::{MetricSpec, MetricValue};
use crate::engine::Target;
use crate::guard::tolerance::Seen;
use crate::units::Replicas;

/// The metric of a target, from its configuration alone: this must be answerable before anything was decided, because
/// KEDA builds an HPA without our metric, and counts no failure, while it is not.
pub(super) fn metric_spec(target: &Target) -> MetricSpec {
    MetricSpec { metric_name: target.name.to_string(), target_size: 1, target_size_float: 1.0 }
}

/// The value that makes the HPA propose `replicas`, by what is seen of it: exactly these where it has no tolerance, and never
/// fewer on the way up where it has one.
pub(super) fn metric_value(target: &Target, replicas: Replicas, hpa: Option<&Seen>) -> MetricValue {
    let value = target.tolerance.answer(replicas, hpa);
    MetricValue {
        metric_name: target.name.to_string(),
        // For a KEDA that knows whole numbers only.
        metric_value: i64::try_from(value.milli.div_ceil(1000)).unwrap_or(i64::MAX),
        metric_value_float: value.get(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::guard::Tolerance;
    use crate::guard::tolerance::Mode;
    use crate::units::Load;

    fn target() -> Target {
        crate::keda::metadata::tests::target("payments-api", "payments/payments-api")
    }

    /// What KEDA makes of a value and the HPA of that: float if above zero, else the integer; milli-units; ceil.
    fn proposed(value: &MetricValue) -> f64 {
        let read = if value.metric_value_float > 0.0 {
            value.metric_value_float
        } else {
            f64::from(i32::try_from(value.metric_value).unwrap())
        };
        ((read * 1000.0).round() / 1000.0).ceil()
    }

    proptest! {
        #[test]
        fn no_count_becomes_poison_and_every_count_is_proposed_exactly(count in any::<u32>()) {
            let value = metric_value(&target(), Replicas(count), None);
            prop_assert!(value.metric_value_float.is_finite());
            prop_assert!(value.metric_value_float >= 0.0 && value.metric_value >= 0);
            let expected = f64::from(count.min(Replicas::MOST.0));
            prop_assert!((proposed(&value) - expected).abs() < f64::EPSILON);
        }

        #[test]
        fn with_headroom_an_hpa_with_a_tolerance_never_stays_below(count in 0_u32..=1_000, current in 1_u32..=1_000) {
            let headroom = Tolerance { mode: Mode::Headroom, ..Tolerance::default() };
            let value = metric_value(&Target { tolerance: headroom, ..target() }, Replicas(count), None);
            prop_assert!(value.metric_value as f64 >= value.metric_value_float);
            let ratio = value.metric_value_float / f64::from(current);
            let after = if (ratio - 1.0).abs() <= 0.1 { f64::from(current) } else { proposed(&value) };
            prop_assert!(after >= f64::from(count), "{current} to {after} for {count}");
        }

        #[test]
        fn poison_is_refused_before_it_can_become_a_count(load in any::<f64>()) {
            prop_assert_eq!(Load::try_new(load).is_ok(), load.is_finite() && load >= 0.0);
        }
    }

    /// Where an HPA with a dead band of a tenth goes from `current`.
    fn after(value: &MetricValue, current: u32) -> f64 {
        let ratio = value.metric_value_float / f64::from(current);
        if (ratio - 1.0).abs() <= 0.1 { f64::from(current) } else { proposed(value) }
    }

    #[test]
    fn by_what_is_counted_the_band_is_stepped_over_for_every_pair_up_to_a_thousand() {
        let auto = Target { tolerance: Tolerance { mode: Mode::Auto, up: 0.1, down: 0.1 }, ..target() };
        for current in 1..=1_000_u32 {
            let seen = Seen { current: Some(Replicas(current)), ..Seen::default() };
            for wanted in 1..=1_000_u32 {
                let value = metric_value(&auto, Replicas(wanted), Some(&seen));
                let (after, wanted) = (after(&value, current), f64::from(wanted));
                // On the way down as much as the band covers may stay.
                let least = wanted.min(f64::from(current));
                let most = (1.1 * wanted + 1.0).max(wanted / 0.9 + 1.0);
                assert!(after >= least && after <= most, "{current} to {after} for {wanted}");
                assert!(f64::from(current) >= wanted || after >= wanted, "{current} to {after} for {wanted}");
                assert!(value.metric_value as f64 >= value.metric_value_float, "{value:?}");
            }
        }
    }

    #[test]
    fn what_is_seen_of_the_hpa_chooses_how_it_is_answered() {
        let auto = Target { tolerance: Tolerance { mode: Mode::Auto, up: 0.1, down: 0.1 }, ..target() };
        let check = |seen: Option<Seen>, expected: f64| {
            let said = metric_value(&auto, Replicas(21), seen.as_ref()).metric_value_float;
            assert!((said - expected).abs() < 1e-9, "{said} for {seen:?}");
        };
        let counted = Seen { current: Some(Replicas(20)), ..Seen::default() };
        check(None, 21.0);
        check(Some(Seen { up: Some(0.0), down: Some(0.0), ..Seen::default() }), 21.0);
        check(Some(counted), 22.001);
        check(Some(Seen { up: Some(0.2), ..counted }), 24.001);
        check(Some(Seen { up: Some(0.0), down: Some(0.1), ..counted }), 21.0);
        check(Some(Seen::default()), 23.1);
    }

    #[test]
    fn zero_is_zero_in_both_fields() {
        let value = metric_value(&target(), Replicas(0), None);
        assert_eq!(value.metric_value, 0);
        assert!(value.metric_value_float.abs() < f64::EPSILON);
    }

    #[test]
    fn the_target_is_one_in_both_fields() {
        let spec = metric_spec(&target());
        assert_eq!((spec.metric_name.as_str(), spec.target_size), ("payments-api", 1));
        assert!((spec.target_size_float - 1.0).abs() < f64::EPSILON);
    }
}
