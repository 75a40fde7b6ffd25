//! The files beside the chart that are applied by hand.

use std::process::Command;

use super::*;

/// The documents of an example.
fn documents(name: &str) -> Vec<Value> {
    let text = read(&format!("charts/tidetable/examples/{name}"));
    text.split("\n---\n").map(|document| serde_saphyr::from_str(document).unwrap()).collect()
}

#[test]
fn the_scaled_object_is_what_render_prints_and_the_authentication_beside() {
    let folder = tempfile::tempdir().unwrap();
    let values: Value =
        serde_saphyr::from_str(&read("charts/tidetable/examples/values-smallest.yaml")).unwrap();
    let mut config = values["config"].clone();
    config["server"] = json!({ "tls": { "cert": "/tls.crt", "key": "/tls.key", "clientCa": "/ca.crt" } });
    fs::write(folder.path().join("tidetable.yaml"), config.to_string()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidetable"));
    command.env_clear().current_dir(folder.path());
    let output = command.args(["render", "--config", "tidetable.yaml", "payments-api"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut rendered: Value = serde_saphyr::from_str(&String::from_utf8(output.stdout).unwrap()).unwrap();
    rendered["spec"]["triggers"][0]["authenticationRef"] = json!({ "name": "tidetable" });
    assert_eq!(documents("scaled-object.yaml"), [rendered]);
}

#[test]
fn the_authentication_gives_keda_what_it_reads() {
    // KEDA reads these three and no others: pkg/scalers/external_scaler.go, externalScalerMetadata.
    let [certificate, authentication] = documents("trigger-authentication.yaml").try_into().unwrap();
    let parameters = authentication["spec"]["secretTargetRef"].as_array().unwrap();
    let names: Vec<_> = parameters.iter().map(|each| each["parameter"].clone()).collect();
    assert_eq!(names, ["caCert", "tlsClientCert", "tlsClientKey"]);
    assert!(parameters.iter().all(|each| each["name"] == certificate["spec"]["secretName"]));
    assert_eq!(certificate["metadata"]["namespace"], authentication["metadata"]["namespace"]);
    let values: Value =
        serde_saphyr::from_str(&read("charts/tidetable/examples/values-production.yaml")).unwrap();
    assert_eq!(certificate["spec"]["dnsNames"], values["tls"]["allowedNames"]);
    assert_eq!(certificate["spec"]["issuerRef"]["name"], values["tls"]["issuer"]["name"]);
    let scaled = documents("scaled-object.yaml");
    let reference = &scaled[0]["spec"]["triggers"][0]["authenticationRef"];
    assert_eq!(reference["name"], authentication["metadata"]["name"]);
}
