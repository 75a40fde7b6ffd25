//! `values.schema.json`: what it refuses, and that it says of `config` what tidetable itself says.

use super::*;
use crate::render::{production, refusals, smallest};

const SCHEMA: &str = "charts/tidetable/values.schema.json";

/// What the chart writes itself, from `tls` and `archive`.
const OURS: [&str; 2] = ["server", "history"];

#[test]
fn the_schema_of_config_is_the_one_of_tidetable() {
    let committed: Value = serde_json::from_str(&read(SCHEMA)).unwrap();
    let of_config = tidetable::config::schema();
    let mut fresh = committed.clone();
    fresh["$defs"] = of_config["$defs"].clone();
    let mut properties = of_config["properties"].as_object().unwrap().clone();
    properties.retain(|key, _| !OURS.contains(&key.as_str()));
    fresh["properties"]["config"]["properties"] = Value::Object(properties);
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        fs::write(here(SCHEMA), format!("{fresh:#}\n")).unwrap();
        return;
    }
    assert!(
        committed == fresh,
        "{SCHEMA} is stale; run UPDATE_SCHEMA=1 cargo nextest run schema and commit it"
    );
}

/// A value under a path, as `--set` would put it.
fn set(path: &[&str], value: Value) -> Value {
    path.iter().rev().fold(value, |value, key| json!({ (*key): value }))
}

#[test]
fn a_slip_is_refused_and_named() {
    let target = ["config", "targets", "payments-api"];
    let slips: [(&[&str], Value, &str); 14] = [
        (&["replica"], json!(3), "replica"),
        (&["archive", "sise"], json!("1Gi"), "sise"),
        (&["archive", "kind"], json!("s3"), "kind"),
        (&["image", "repository"], json!(""), "repository"),
        (&["image", "digest"], json!("sha256:short"), "digest"),
        (&["tls", "mode"], json!("certmanager"), "mode"),
        (&["replicas"], json!("2"), "replicas"),
        (&["replicas"], json!(0), "replicas"),
        (&["runAsUser"], json!(0), "runAsUser"),
        (&["bindAddress"], json!("127.0.0.1"), "bindAddress"),
        (&["config", "server"], json!({ "grpc": "0.0.0.0:1" }), "server"),
        (&["config", "history"], json!({ "archive": "file:///x" }), "history"),
        (&[target[0], target[1], target[2], "replica"], json!({ "min": 3 }), "replica"),
        (&[target[0], target[1], target[2], "capacity", "perReplica"], json!("many"), "perReplica"),
    ];
    let cases: Vec<Case> =
        slips.iter().map(|(path, value, named)| smallest(named, set(path, value.clone()))).collect();
    for ((path, _, named), refusal) in slips.iter().zip(refusals(&cases)) {
        assert!(refusal.contains(named), "{path:?}: {refusal}");
    }
}

#[test]
fn what_belongs_together_must_be_said_together() {
    let cases = [
        smallest("a Secret", json!({ "tls": { "mode": "secret" } })),
        smallest("an issuer", json!({ "tls": { "mode": "certManager" } })),
        production("names without certificates", json!({ "tls": { "clientCertificates": false } })),
        smallest("nothing to scale", json!({ "config": null })),
    ];
    for (refusal, named) in
        refusals(&cases).iter().zip(["secretName", "name", "clientCertificates", "config"])
    {
        assert!(refusal.contains(named), "{refusal}");
    }
}
