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
use crate::units::Replicas;

/// The metric of a target, from its configuration alone: this must be answerable before anything was decided, because
/// KEDA builds an HPA without our metric, and counts no failure, while it is not.
pub(super) fn metric_spec(target: &Target) -> MetricSpec {
    MetricSpec { metric_name: target.name.to_string(), target_size: 1, target_size_float: 1.0 }
}

/// The value that makes the HPA propose exactly `replicas`.
pub(super) fn metric_value(target: &Target, replicas: Replicas) -> MetricValue {
    let replicas = replicas.min(Replicas::MOST).0;
    MetricValue {
        metric_name: target.name.to_string(),
        metric_value: i64::from(replicas),
        metric_value_float: f64::from(replicas),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
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
            let value = metric_value(&target(), Replicas(count));
            prop_assert!(value.metric_value_float.is_finite());
            prop_assert!(value.metric_value_float >= 0.0 && value.metric_value >= 0);
            let expected = f64::from(count.min(Replicas::MOST.0));
            prop_assert!((proposed(&value) - expected).abs() < f64::EPSILON);
        }

        #[test]
        fn poison_is_refused_before_it_can_become_a_count(load in any::<f64>()) {
            prop_assert_eq!(Load::try_new(load).is_ok(), load.is_finite() && load >= 0.0);
        }
    }

    #[test]
    fn zero_is_zero_in_both_fields() {
        let value = metric_value(&target(), Replicas(0));
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
