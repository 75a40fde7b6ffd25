//! Cases for `render.py`, and what came of them.

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::*;

/// Values on top of one of the chart's examples.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// What the case is about.
    pub(crate) name: &'static str,
    example: &'static str,
    values: Value,
}

/// The least that can be installed, with `values` on top.
pub(crate) fn smallest(name: &'static str, values: Value) -> Case {
    Case { name, example: "values-smallest.yaml", values }
}

/// Everything there is, with `values` on top.
pub(crate) fn production(name: &'static str, values: Value) -> Case {
    Case { name, example: "values-production.yaml", values }
}

/// The cases that every law about rendered objects is tried on.
pub(crate) fn cases() -> Vec<Case> {
    vec![
        smallest("the smallest", json!({})),
        production("production", json!({})),
        smallest(
            "one replica, at once",
            json!({ "replicas": 1, "preStopSeconds": 0, "log": { "format": "text" } }),
        ),
        smallest("a shared volume", json!({ "archive": { "kind": "shared", "storageClass": "efs" } })),
        smallest(
            "a claim of one's own",
            json!({ "archive": { "kind": "shared", "existingClaim": "history" } }),
        ),
        smallest("a Secret of one's own", json!({ "tls": { "mode": "secret", "secretName": "scaler-tls" } })),
        smallest(
            "no client certificates",
            json!({ "tls": { "mode": "secret", "secretName": "s", "clientCertificates": false } }),
        ),
        smallest("the whole cluster", json!({ "cluster": { "enabled": true } })),
        smallest(
            "an account of one's own, as OpenShift likes it",
            json!({ "serviceAccount": { "create": false, "name": "scaler" }, "runAsUser": null,
                    "networkPolicy": { "enabled": false }, "bindAddress": "[::]" }),
        ),
        smallest(
            "a configuration of one's own",
            json!({ "existingConfig": "scaling", "image": { "tag": "1.2.3" },
                    "imagePullSecrets": [{ "name": "registry" }], "nodeSelector": { "pool": "system" },
                    "tolerations": [{ "key": "system", "operator": "Exists" }], "podAnnotations": { "a": "b" } }),
        ),
    ]
}

/// What a case became.
#[derive(Debug, Clone)]
pub(crate) struct Objects(pub(crate) Vec<Value>);

impl Objects {
    /// The only object of `kind`.
    pub(crate) fn one(&self, kind: &str) -> &Value {
        let found = self.all(kind);
        assert_eq!(found.len(), 1, "{kind}");
        found[0]
    }

    /// All of `kind`.
    pub(crate) fn all(&self, kind: &str) -> Vec<&Value> {
        self.0.iter().filter(|object| object["kind"] == kind).collect()
    }

    /// The Deployment or StatefulSet.
    pub(crate) fn workload(&self) -> &Value {
        let kind = if self.all("Deployment").is_empty() { "StatefulSet" } else { "Deployment" };
        self.one(kind)
    }

    /// The pod of the workload.
    pub(crate) fn pod(&self) -> &Value {
        &self.workload()["spec"]["template"]
    }

    /// The configuration as tidetable reads it.
    pub(crate) fn config(&self) -> &str {
        let maps = self.all("ConfigMap");
        maps.iter().find_map(|map| map["data"]["tidetable.yaml"].as_str()).expect("the configuration")
    }
}

/// Renders cases that are to succeed.
pub(crate) fn rendered(cases: &[Case]) -> Vec<Objects> {
    let outcomes = outcomes(cases, false);
    let objects = cases.iter().zip(outcomes).map(|(case, mut outcome)| {
        assert!(outcome.get("refused").is_none(), "{}: {}", case.name, outcome["refused"]);
        match outcome["objects"].take() {
            Value::Array(objects) => Objects(objects),
            other => panic!("{}: {other}", case.name),
        }
    });
    objects.collect()
}

/// Why a case is refused.
pub(crate) fn refusals(cases: &[Case]) -> Vec<String> {
    let outcomes = outcomes(cases, false).into_iter().zip(cases);
    let refusals = outcomes.map(|(outcome, case)| match outcome["refused"].as_str() {
        Some(why) => why.to_owned(),
        None => panic!("{} is not refused", case.name),
    });
    refusals.collect()
}

/// What `render.py` says of each case, its objects held against Kubernetes' schemas where `validate` says so.
pub(crate) fn outcomes(cases: &[Case], validate: bool) -> Vec<Value> {
    let cases: Vec<Value> = cases
        .iter()
        .map(|case| {
            let file = here("charts/tidetable/examples").join(case.example);
            json!({ "file": file, "values": case.values })
        })
        .collect();
    let asked = json!({ "chart": here("charts/tidetable"), "validate": validate, "cases": cases });
    ask(&asked)
}

/// What Kubernetes' schemas say of a file of the chart.
pub(crate) fn complaints_of(file: &str) -> Value {
    let asked = json!({ "chart": here("charts/tidetable"), "validate": true, "cases": [], "manifests": [here(file)] });
    ask(&asked).remove(0)
}

fn ask(asked: &Value) -> Vec<Value> {
    let mut python = python();
    python.arg(here("tests/chart/render.py")).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut python = python.spawn().expect("python3; run tests/run.sh, which installs it");
    python.stdin.take().unwrap().write_all(asked.to_string().as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "render.py failed; what it said is above");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Python with Helm's engine and Kubernetes' schemas.
fn python() -> Command {
    let packages = here("target/tools/python");
    for package in ["helm_python", "kubernetes_validate"] {
        let there = packages.join(package).is_dir();
        assert!(there, "{package} is not in {}; run tests/run.sh, which fetches it", packages.display());
    }
    let mut python = Command::new("python3");
    python.env("PYTHONPATH", &packages);
    python
}
