//! Pod Security's profile "restricted", as its standard lists it, for every pod that the chart makes.

use super::*;
use crate::render::{cases, rendered};

/// The types of volume that the profile lets in.
const VOLUMES: [&str; 8] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// Whatever the profile's standard would refuse in a pod.
fn offences(pod: &Value) -> Vec<String> {
    let spec = &pod["spec"];
    let mut offences = Vec::new();
    let mut demand = |holds: bool, what: &str| {
        if !holds {
            offences.push(what.to_owned());
        }
    };
    for shared in ["hostNetwork", "hostPID", "hostIPC"] {
        demand(spec[shared].is_null() || spec[shared] == false, shared);
    }
    let of_pod = &spec["securityContext"];
    let empty = Vec::new();
    for volume in spec["volumes"].as_array().unwrap_or(&empty) {
        let types = volume.as_object().unwrap().keys().filter(|key| *key != "name");
        types.for_each(|kind| demand(VOLUMES.contains(&kind.as_str()), &format!("volume {kind}")));
    }
    for container in ["containers", "initContainers", "ephemeralContainers"]
        .iter()
        .flat_map(|kind| spec[*kind].as_array().unwrap_or(&empty))
    {
        let own = &container["securityContext"];
        let said = |key: &str| if own[key].is_null() { &of_pod[key] } else { &own[key] };
        demand(said("runAsNonRoot") == true, "runAsNonRoot");
        demand(said("runAsUser") != 0, "runAsUser 0");
        let profile = &said("seccompProfile")["type"];
        demand(profile == "RuntimeDefault" || profile == "Localhost", "seccompProfile");
        demand(own["allowPrivilegeEscalation"] == false, "allowPrivilegeEscalation");
        demand(own["privileged"].is_null() || own["privileged"] == false, "privileged");
        demand(own["capabilities"]["drop"] == json!(["ALL"]), "capabilities.drop");
        let added = own["capabilities"]["add"].as_array().unwrap_or(&empty);
        demand(added.iter().all(|added| added == "NET_BIND_SERVICE"), "capabilities.add");
        let ports = container["ports"].as_array().unwrap_or(&empty);
        demand(ports.iter().all(|port| port["hostPort"].is_null()), "hostPort");
    }
    offences
}

#[test]
fn every_pod_is_restricted() {
    for (case, objects) in cases().iter().zip(rendered(&cases())) {
        assert_eq!(offences(objects.pod()), Vec::<String>::new(), "{}", case.name);
        let container = &objects.pod()["spec"]["containers"][0];
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true, "beyond the profile");
    }
}

#[test]
fn the_profile_refuses_what_it_should() {
    let pod = |container: Value| json!({ "spec": { "containers": [container] } });
    let good = json!({ "allowPrivilegeEscalation": false, "runAsNonRoot": true, "runAsUser": 1,
                       "seccompProfile": { "type": "RuntimeDefault" }, "capabilities": { "drop": ["ALL"] } });
    assert!(offences(&pod(json!({ "securityContext": good }))).is_empty());
    assert_eq!(offences(&pod(json!({}))).len(), 4);
    let mut root = good.clone();
    root["runAsUser"] = json!(0);
    assert_eq!(offences(&pod(json!({ "securityContext": root }))), ["runAsUser 0"]);
    let mut mounted = pod(json!({ "securityContext": good }));
    mounted["spec"]["volumes"] = json!([{ "name": "host", "hostPath": { "path": "/" } }]);
    assert_eq!(offences(&mounted), ["volume hostPath"]);
}
