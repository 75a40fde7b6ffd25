//! What the HPA would do to an answer: tolerance, stabilisation, policies and bounds (contract, sections 2.1 to 2.4).

use std::time::Duration;

use serde_json::Value;

use super::facts::InCluster;
use super::lint::Finding;
use crate::engine::Target;
use crate::guard::tolerance::Mode;

/// Direction, and what a need that is not followed is.
const DIRECTIONS: [(&str, &str); 2] = [("scaleUp", "above"), ("scaleDown", "below")];

pub(super) fn lint(target: &Target, cluster: &InCluster, findings: &mut Vec<Finding>) {
    let hpa = match &cluster.hpa {
        Ok(hpa) => Some(hpa),
        Err(why) => {
            findings.push(Finding::unread(why));
            None
        }
    };
    let asked = &cluster.scaled["advanced"]["horizontalPodAutoscalerConfig"]["behavior"];
    for (direction, side) in DIRECTIONS {
        if target.tolerance.mode == Mode::Exact {
            findings.extend(tolerance(asked, hpa, direction, side));
        }
    }
    let up = hpa.map_or(&asked["scaleUp"], |hpa| &hpa["behavior"]["scaleUp"]);
    if let Some(seconds) = up["stabilizationWindowSeconds"].as_i64().filter(|seconds| *seconds > 0) {
        findings.push(Finding::new(
            format!("the HPA takes the smallest answer of the last {seconds} s on its way up, so a warm-up comes that much later"),
            "set behavior.scaleUp.stabilizationWindowSeconds: 0",
        ));
    }
    findings.extend(bounds(target, cluster, hpa));
}

fn tolerance(asked: &Value, hpa: Option<&Value>, direction: &str, side: &str) -> Option<Finding> {
    let swallowed = format!("a need of up to a tenth {side} what runs never reaches the pods");
    if !is_zero(&asked[direction]["tolerance"]) {
        let what = format!("behavior.{direction}.tolerance of the ScaledObject is not 0: {swallowed}");
        return Some(Finding::new(what, format!("set behavior.{direction}.tolerance: \"0\"")));
    }
    let in_force = &hpa?["behavior"][direction]["tolerance"];
    (!is_zero(in_force)).then(|| {
        let what = format!("the API server dropped behavior.{direction}.tolerance: {swallowed}");
        Finding::new(
            what,
            "use Kubernetes 1.35 or newer and KEDA 2.18 or newer, or the gate HPAConfigurableTolerance; or set tolerance: auto",
        )
    })
}

/// Whether a quantity is given and 0, such as `"0"`, `0` or `"0m"`.
fn is_zero(quantity: &Value) -> bool {
    match quantity {
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => {
            let digits = text.trim_end_matches(char::is_alphabetic);
            digits.parse::<f64>().is_ok_and(|number| number.to_bits() == 0)
        }
        _ => false,
    }
}

fn bounds(target: &Target, cluster: &InCluster, hpa: Option<&Value>) -> Vec<Finding> {
    let guard = &target.policy.guard;
    // KEDA's own defaults, where nothing is said.
    let asked = |key: &str, default: u64| cluster.scaled[key].as_u64().unwrap_or(default);
    let mut findings = Vec::new();
    for (key, asked, ours, name) in [
        ("maxReplicaCount", asked("maxReplicaCount", 100), guard.max.0, "max"),
        ("minReplicaCount", asked("minReplicaCount", 0), guard.min.0, "min"),
    ] {
        if asked != u64::from(ours) {
            findings.push(Finding::new(
                format!("{key} of the ScaledObject is {asked} and replicas.{name} is {ours}; the HPA clamps without a word"),
                format!("make them alike: {key}: {ours}"),
            ));
        }
    }
    if let Some(policy) = hpa.map(|hpa| &hpa["behavior"]["scaleUp"]["selectPolicy"])
        && policy == "Disabled"
    {
        findings.push(Finding::new(
            "the HPA may not scale up (selectPolicy: Disabled)",
            "set behavior.scaleUp.selectPolicy: Max, or end the pause (autoscaling.keda.sh/paused-scale-out)",
        ));
    }
    findings
}

/// The most pods that an HPA adds to `running` within `span`, by its scale-up policies.
pub(super) fn may_add(hpa: &Value, running: u32, span: Duration) -> u64 {
    let up = &hpa["behavior"]["scaleUp"];
    let Some(policies) = up["policies"].as_array().filter(|policies| !policies.is_empty()) else {
        // Without a behavior it is twice as many at each sync, and four at least; with one, policies are filled in.
        let syncs = span.as_secs().div_ceil(15).clamp(1, 30);
        let grown = (0..syncs).fold(u64::from(running), |count, _| (count * 2).max(4));
        return grown - u64::from(running);
    };
    let added = policies.iter().map(|policy| {
        let (value, period) =
            (policy["value"].as_u64().unwrap_or(0), policy["periodSeconds"].as_u64().unwrap_or(15).max(1));
        // Within each period as much as the policy says, counted from what ran when the period began.
        let periods = (span.as_secs() / period).clamp(1, 64);
        let grown = (0..periods).fold(u64::from(running), |count, _| {
            let add = if policy["type"] == "Percent" { (count * value).div_ceil(100) } else { value };
            count.saturating_add(add).min(1_000_000)
        });
        grown - u64::from(running)
    });
    let added: Vec<u64> = added.collect();
    let least = up["selectPolicy"] == "Min";
    let chosen = if least { added.iter().min() } else { added.iter().max() };
    chosen.copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn zero_is_zero_however_it_is_written_and_nothing_is_not() {
        for zero in [json!(0), json!("0"), json!("0m"), json!("0.0")] {
            assert!(is_zero(&zero), "{zero}");
        }
        for other in [json!(null), json!("100m"), json!("0.1"), json!(""), json!("m")] {
            assert!(!is_zero(&other), "{other}");
        }
    }

    #[test]
    fn policies_add_up_by_their_periods() {
        let hpa = |policies: Value, select: &str| json!({ "behavior": { "scaleUp": { "policies": policies, "selectPolicy": select } } });
        let minute = Duration::from_secs(60);
        let pods = json!({ "type": "Pods", "value": 4, "periodSeconds": 60 });
        let percent = json!({ "type": "Percent", "value": 100, "periodSeconds": 15 });
        assert_eq!(may_add(&hpa(json!([pods]), "Max"), 20, minute), 4);
        assert_eq!(may_add(&hpa(json!([percent]), "Max"), 2, minute), 30, "2, 4, 8, 16, 32");
        assert_eq!(may_add(&hpa(json!([pods, percent]), "Min"), 20, minute), 4);
        assert_eq!(may_add(&json!({}), 1, minute), 31, "1, 4, 8, 16, 32");
    }
}
