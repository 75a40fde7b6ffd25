//! What every set of values must give, whatever it says.

use super::*;
use crate::render::{cases, complaints_of, outcomes, rendered};

/// Kinds of other projects, whose fields are asserted in `objects.rs`.
const OTHERS: [&str; 3] = ["Certificate", "ServiceMonitor", "PrometheusRule"];

#[test]
fn kubernetes_knows_every_field_of_every_object() {
    let cases = cases();
    for (case, outcome) in cases.iter().zip(outcomes(&cases, true)) {
        assert!(outcome.get("refused").is_none(), "{}: {}", case.name, outcome["refused"]);
        assert_eq!(outcome["complaints"], json!([]), "{}", case.name);
        for kind in outcome["unknown"].as_array().unwrap() {
            assert!(OTHERS.contains(&kind.as_str().unwrap()), "{}: {kind}", case.name);
        }
    }
}

#[test]
fn everything_has_its_namespace_and_labels() {
    for (case, objects) in cases().iter().zip(rendered(&cases())) {
        for object in &objects.0 {
            let metadata = &object["metadata"];
            let everywhere = ["ClusterRole", "ClusterRoleBinding"].map(Value::from).contains(&object["kind"]);
            assert_eq!(metadata.get("namespace").is_none(), everywhere, "{}: {object}", case.name);
            assert_eq!(metadata["labels"]["app.kubernetes.io/name"], "tidetable", "{}: {object}", case.name);
            assert_eq!(metadata["labels"]["app.kubernetes.io/instance"], "tidetable");
        }
    }
}

#[test]
fn whatever_selects_pods_selects_ours() {
    for (case, objects) in cases().iter().zip(rendered(&cases())) {
        let labels = objects.pod()["metadata"]["labels"].as_object().unwrap();
        let selects = |selector: &Value| {
            let selector = selector.as_object().unwrap();
            assert!(!selector.is_empty());
            for (name, wanted) in selector {
                assert_eq!(labels.get(name), Some(wanted), "{}: {name}", case.name);
            }
        };
        selects(&objects.one("Service")["spec"]["selector"]);
        selects(&objects.one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"]);
        selects(&objects.workload()["spec"]["selector"]["matchLabels"]);
        for policy in objects.all("NetworkPolicy") {
            selects(&policy["spec"]["podSelector"]["matchLabels"]);
        }
        let spec = &objects.pod()["spec"];
        let apart =
            "/affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution/0/podAffinityTerm";
        selects(spec.pointer(&format!("{apart}/labelSelector/matchLabels")).unwrap());
        selects(&spec["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"]);
    }
}

#[test]
fn what_is_mounted_is_a_volume_and_what_is_a_volume_is_mounted() {
    for (case, objects) in cases().iter().zip(rendered(&cases())) {
        let names = |list: &Value, key: &str| {
            let list = list.as_array().cloned().unwrap_or_default();
            let mut names: Vec<_> =
                list.iter().map(|each| each.pointer(key).unwrap().as_str().unwrap().to_owned()).collect();
            names.sort();
            names
        };
        let mounted = names(&objects.pod()["spec"]["containers"][0]["volumeMounts"], "/name");
        let mut volumes = names(&objects.pod()["spec"]["volumes"], "/name");
        volumes.extend(names(&objects.workload()["spec"]["volumeClaimTemplates"], "/metadata/name"));
        volumes.sort();
        assert_eq!(mounted, volumes, "{}", case.name);
    }
}

#[test]
fn tidetable_takes_the_configuration_that_the_chart_writes() {
    for (case, objects) in cases().iter().zip(rendered(&cases())) {
        if case.name == "a configuration of one's own" {
            assert!(objects.all("ConfigMap").is_empty());
            assert_eq!(objects.pod()["spec"]["volumes"][0]["configMap"]["name"], "scaling");
            continue;
        }
        let config = tidetable::config::parse("tidetable.yaml", objects.config());
        assert!(config.is_ok(), "{}: {:?}", case.name, config.err());
    }
}

#[test]
fn kubernetes_knows_every_field_of_the_definition() {
    let said = complaints_of("charts/tidetable/crds/surgeevent.yaml");
    assert_eq!(said, json!({ "complaints": [], "unknown": [] }));
}
