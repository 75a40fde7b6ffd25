//! `tidetable check --online` against the scripted API server and a real Prometheus.

use std::fmt::Write as _;
use std::process::Command;

use serde_json::json;

use super::*;
use crate::prometheus::Prometheus;

/// Twelve days of a counter that grows by 2,300 each second, scraped each minute until now.
fn scrapes() -> String {
    let now = chrono::Utc::now().timestamp();
    let mut text = String::from("# TYPE tx counter\n");
    for minute in 0..=12 * 1440 {
        let at = now - 60 * (12 * 1440 - minute);
        writeln!(text, "tx_total {} {at}", 2300 * 60 * minute).unwrap();
    }
    text + "# EOF\n"
}

/// What `check --online` says, with its exit code.
fn checked(api: &Api, prometheus: &str) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "\
sources: {{ main: {{ prometheus: {{ url: '{prometheus}' }} }} }}
targets:
  api:
    scaledObject: payments/api
    demand: {{ source: main, query: 'sum(rate(tx_total[2m]))', unit: tx/s }}
    capacity: {{ perReplica: 120 }}
    replicas: {{ min: 3, max: 200 }}
    timezone: UTC
    tolerance: exact
"
    );
    std::fs::write(folder.path().join("tidetable.yaml"), config).unwrap();
    let kubeconfig = crate::binary::kubeconfig(api);
    std::fs::write(folder.path().join("kubeconfig"), kubeconfig).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidetable"));
    command.env_clear().env("KUBECONFIG", folder.path().join("kubeconfig")).current_dir(folder.path());
    let output = command.args(["check", "--config", "tidetable.yaml", "--online"]).output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (output.status.code().unwrap(), said)
}

#[test]
fn what_would_keep_a_forecast_from_the_pods_is_named() {
    let api = Api::start();
    let prometheus = Prometheus::start(&scrapes(), &[]);
    let metadata = json!({ "target": "api", "scalerAddress": "tidetable.scaling.svc:50051" });
    let up = json!({ "tolerance": "0", "stabilizationWindowSeconds": 30 });
    let scaled = json!({
        "scaleTargetRef": { "name": "api-server" }, "minReplicaCount": 3, "maxReplicaCount": 200,
        "advanced": { "horizontalPodAutoscalerConfig": { "behavior": { "scaleUp": up } } },
        "triggers": [{ "type": "external", "metadata": metadata }],
    });
    let hpa = json!({ "minReplicas": 3, "maxReplicas": 200, "behavior": { "scaleUp": { "stabilizationWindowSeconds": 30 } } });
    api.set_scaling(scaled.clone(), hpa);
    let (code, said) = checked(&api, &prometheus.url());
    assert_eq!(code, 1, "{said}");
    let mut lines = said.lines();
    let sanity = lines.next().unwrap();
    assert!(sanity.starts_with("api: observed 2,300 tx/s ÷ 120 = 20 replicas; running 18"), "{said}");
    let history = lines.next().unwrap();
    assert!(
        history.starts_with("  history since ") && history.ends_with("; a weekly forecast is possible"),
        "{said}"
    );
    let expected = [
        "there is no cpu trigger",
        "there is no fallback",
        "1 of tidetable's replicas is ready",
        "the API server dropped behavior.scaleUp.tolerance",
        "behavior.scaleDown.tolerance of the ScaledObject is not 0",
        "the HPA takes the smallest answer of the last 30 s",
        "the query takes a rate over 120 s of scrapes 60 s apart",
    ];
    let found: Vec<&str> = lines.filter_map(|line| line.strip_prefix("  ! ")).collect();
    assert_eq!(found.len(), expected.len(), "{said}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected) && found.contains("; "), "{found}");
    }

    // The same, but the HPA may not be read, and the source is away.
    api.set_scaling(scaled, serde_json::Value::Null);
    let (code, said) = checked(&api, "http://127.0.0.1:9");
    assert_eq!(code, 1, "{said}");
    assert!(said.starts_with("api: nothing observed; running 18\n"), "{said}");
    assert!(said.contains("  ! may not get HorizontalPodAutoscaler payments/keda-hpa-api ("), "{said}");
    assert!(said.contains("give tidetable's service account that right"), "{said}");
    assert!(said.contains("http://127.0.0.1:9 cannot be reached"), "{said}");
}

#[test]
fn rights_that_the_service_account_lacks_are_named_and_so_is_what_is_declared_and_not_heeded() {
    let api = Api::start();
    let prometheus = Prometheus::start(&scrapes(), &[]);
    let metadata = json!({ "target": "api", "scalerAddress": "tidetable.scaling.svc:50051" });
    let scaled = json!({
        "scaleTargetRef": { "name": "api-server" }, "minReplicaCount": 3, "maxReplicaCount": 200,
        "triggers": [{ "type": "external", "metadata": metadata }],
    });
    let findings = |denied: &[&'static str], reviews_forbidden: bool| {
        api.set_scaling(scaled.clone(), json!({ "minReplicas": 3, "maxReplicas": 200 }));
        api.deny(denied, reviews_forbidden);
        let (code, said) = checked(&api, &prometheus.url());
        assert_eq!(code, 1, "{said}");
        let lines = said.lines().filter_map(|line| line.strip_prefix("  ! "));
        let about = |line: &&str| line.contains(" may not ") || line.contains("SurgeEvents that name");
        lines.filter(about).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(findings(&[], false), Vec::<String>::new());
    // Without the definition nobody declares anything, and its rights are not missed.
    let denied = ["surgeevents/status", "events", "leases"];
    let lacking = "may not create events.k8s.io/events in payments, patch events.k8s.io/events in payments, \
                   create coordination.k8s.io/leases in scaling, get coordination.k8s.io/leases scaling/tidetable, \
                   update coordination.k8s.io/leases scaling/tidetable";
    let found = findings(&denied, false);
    assert_eq!(found.len(), 1, "{found:?}");
    let account = format!("tidetable's service account scaling/tide {lacking}; give it that, as the chart's");
    assert!(found[0].starts_with(&account), "{found:?}");

    let surge = json!({ "targets": ["api"], "surge": { "at": "2026-11-27T11:00:00Z" } });
    for number in 0..202 {
        api.declare(&format!("surge-{number:03}"), Some(&surge));
    }
    let found = findings(&["surgeevents/status"], true);
    assert_eq!(found.len(), 2, "{found:?}");
    let own =
        "whoever runs this may not patch tidetable.dev/surgeevents/status in payments, and whose rights";
    assert!(found[0].starts_with(own), "{found:?}");
    assert!(
        found[1]
            .starts_with("2 SurgeEvents that name api are not heeded, because there are too many; delete")
    );
}
