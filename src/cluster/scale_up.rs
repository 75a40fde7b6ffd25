//! How fast an HPA lets replicas climb, read as it stands in the cluster.

use std::time::Duration;

use serde_json::Value;

use crate::plan::{ScaleUp, ScaleUpPolicy, Select, Unit};

/// The rules of an HPA's spec for scaling up; `None` where they are no pace that a climb could be planned by.
///
/// Without a `behavior` the controller doubles as it did before there was one. With one, what is left out is four pods or as many as
/// there are, whichever is more, each quarter minute (`pkg/apis/autoscaling/v2/defaults.go` of Kubernetes).
pub(super) fn scale_up(hpa: &Value) -> Option<ScaleUp> {
    let behavior = &hpa["behavior"];
    if behavior.is_null() {
        return Some(ScaleUp::Doubling);
    }
    let rules = &behavior["scaleUp"];
    let select = match rules["selectPolicy"].as_str() {
        None | Some("Max") => Select::Max,
        Some("Min") => Select::Min,
        // `Disabled`, too: nothing goes up, for as long as somebody wants it so, and then there is no pace to plan by. Planned by it, the
        // peak of two days would be asked for at once, and come the moment that it is let up again.
        Some(_) => return None,
    };
    let policies = match &rules["policies"] {
        Value::Array(policies) if !policies.is_empty() => {
            policies.iter().map(policy).collect::<Option<_>>()?
        }
        _ => [(Unit::Pods, 4), (Unit::Percent, 100)]
            .map(|(unit, amount)| ScaleUpPolicy { unit, amount, period: Duration::from_secs(15) })
            .to_vec(),
    };
    Some(ScaleUp::Policies { select, policies })
}

fn policy(policy: &Value) -> Option<ScaleUpPolicy> {
    let unit = match policy["type"].as_str()? {
        "Pods" => Unit::Pods,
        "Percent" => Unit::Percent,
        _ => return None,
    };
    let amount = u32::try_from(policy["value"].as_u64()?).ok()?;
    Some(ScaleUpPolicy { unit, amount, period: Duration::from_secs(policy["periodSeconds"].as_u64()?) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rules_are_read_as_the_controller_reads_them() {
        let pods = |amount, seconds| ScaleUpPolicy {
            unit: Unit::Pods,
            amount,
            period: Duration::from_secs(seconds),
        };
        let percent = |amount, seconds| ScaleUpPolicy { unit: Unit::Percent, ..pods(amount, seconds) };
        let rules = |select, policies: &[ScaleUpPolicy]| {
            Some(ScaleUp::Policies { select, policies: policies.to_vec() })
        };
        for (behavior, expected) in [
            (json!(null), Some(ScaleUp::Doubling)),
            (
                json!({ "scaleDown": { "selectPolicy": "Min" } }),
                rules(Select::Max, &[pods(4, 15), percent(100, 15)]),
            ),
            (
                json!({ "scaleUp": { "selectPolicy": "Min", "policies": [
                    { "type": "Pods", "value": 4, "periodSeconds": 60 },
                    { "type": "Percent", "value": 50, "periodSeconds": 30 },
                ] } }),
                rules(Select::Min, &[pods(4, 60), percent(50, 30)]),
            ),
            (json!({ "scaleUp": { "selectPolicy": "Disabled" } }), None),
            (json!({ "scaleUp": { "selectPolicy": "Dice" } }), None),
            (
                json!({ "scaleUp": { "policies": [{ "type": "Nodes", "value": 1, "periodSeconds": 15 }] } }),
                None,
            ),
        ] {
            assert_eq!(scale_up(&json!({ "behavior": behavior.clone() })), expected, "{behavior}");
        }
    }
}
