//! What is declared in the cluster: the definition, and what becomes of an object.

use kube::CustomResourceExt as _;
use serde_json::json;
use tidetable::cluster::SurgeEvent;
use tidetable::engine::Declared;
use tidetable::time::Timestamp;
use tidetable::units::Replicas;

use super::*;

#[test]
fn the_committed_definition_is_fresh() {
    const COMMITTED: &str = "charts/tidetable/crds/surgeevent.yaml";
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(COMMITTED);
    let text = serde_saphyr::to_string(&serde_json::to_value(SurgeEvent::crd()).unwrap()).unwrap();
    let fresh = format!(
        "# Generated from src/cluster/surge.rs by UPDATE_CRD=1 cargo nextest run definition.\n{text}"
    );
    if std::env::var_os("UPDATE_CRD").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &fresh).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == fresh,
        "{COMMITTED} is stale; run UPDATE_CRD=1 cargo nextest run definition and commit it"
    );
}

#[test]
fn the_definition_refuses_what_nobody_could_follow() {
    let definition = serde_json::to_value(SurgeEvent::crd()).unwrap();
    let version = &definition["spec"]["versions"][0];
    let spec = &version["schema"]["openAPIV3Schema"]["properties"]["spec"];
    assert_eq!(spec["required"], json!(["targets"]));
    assert_eq!(spec["properties"]["targets"]["minItems"], 1);
    assert_eq!(spec["properties"]["targets"]["x-kubernetes-list-type"], "set", "none is named twice");
    let rules = |at: &serde_json::Value| {
        let rules = at["x-kubernetes-validations"].as_array().unwrap();
        rules.iter().map(|rule| rule["rule"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(rules(spec), ["has(self.surge) || has(self.hold)"]);
    let uplift = &spec["properties"]["surge"]["properties"]["uplift"];
    // An API server lets a whole 0 pass a minimum of 0.01: it compares whole numbers with what is whole of the bound.
    assert_eq!(rules(uplift), ["self.expected > 0.0", "self.expected <= self.upper"]);
    let hold = &spec["properties"]["hold"];
    assert_eq!(hold["properties"]["until"]["format"], "date-time");
    let required = hold["required"].as_array().unwrap();
    assert_eq!(required.len(), 3, "a floor has an end and a reason: {required:?}");
    assert_eq!(version["subresources"], json!({ "status": {} }), "a status is written apart from the spec");
    let columns: Vec<_> = version["additionalPrinterColumns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|column| &column["name"])
        .collect();
    assert_eq!(
        columns,
        ["Targets", "Phase", "At", "Replicas", "Ready by", "Short", "Hold", "Until", "Accepted", "Why"]
    );
}

#[tokio::test]
async fn a_hold_is_in_force_when_it_is_seen_and_gone_when_it_is_taken_back() {
    let api = Api::start();
    let hold =
        |replicas: u32| json!({ "replicas": replicas, "until": "2026-11-27T10:00:00Z", "reason": "INC-7" });
    api.declare("early", Some(&json!({ "targets": ["api"], "hold": hold(30) })));
    let following = Following::of(&api, &Arc::default());
    let at = |at: Timestamp| {
        let declared = following.sight.declared(&target())?;
        declared.hold(at).map(|hold| hold.replicas)
    };
    let floor = || at(nine());
    until("the hold that was there", || floor() == Some(Replicas(30))).await;
    api.declare("incident", Some(&json!({ "targets": ["ledger", "api"], "hold": hold(40) })));
    until("the higher hold", || floor() == Some(Replicas(40))).await;
    assert_eq!(at(nine() + chrono::TimeDelta::hours(1)), None, "it has ended");
    let elsewhere = Target { name: "other".into(), ..Target::clone(&target()) };
    assert_eq!(following.sight.declared(&elsewhere), Some(Declared::default()));
    api.declare("incident", None);
    until("the first hold alone", || floor() == Some(Replicas(30))).await;
    api.declare("early", Some(&json!({ "targets": ["api"], "hold": hold(30), "cancelled": true })));
    until("no hold", || floor().is_none()).await;
}

#[tokio::test]
async fn a_surge_is_known_by_its_name_and_a_cluster_without_the_definition_has_none() {
    let api = Api::start();
    let following = Following::of(&api, &Arc::default());
    until("a watch of pods", || api.watches() == 1).await;
    until("that there is none", || following.sight.declared(&target()) == Some(Declared::default())).await;
    let surge = json!({ "at": "2026-11-27T11:00:00+05:30", "uplift": { "expected": 6.0, "upper": 12.0 } });
    // The definition is installed, and the next try finds it.
    api.declare("phone-launch", Some(&json!({ "targets": ["api"], "surge": surge })));
    let events = || following.sight.declared(&target()).unwrap().events;
    until("the surge", || events().len() == 1).await;
    let event = events().remove(0);
    assert_eq!((&*event.name, event.uplift.unwrap().upper), ("phone-launch", 12.0));
}

#[tokio::test]
async fn one_that_cannot_be_read_is_left_out_and_the_rest_counts_by_when_it_was_declared() {
    let api = Api::start();
    let surge =
        |stay: &str| json!({ "targets": ["api"], "surge": { "at": "2026-11-27T11:00:00Z", "stay": stay } });
    api.declare("good", Some(&surge("45m")));
    api.declare("endless", Some(&surge("100000000d")));
    let following = Following::of(&api, &Arc::default());
    until("what is declared", || following.sight.declared(&target()).is_some()).await;
    let declared = following.sight.declared(&target()).unwrap();
    let names: Vec<_> = declared.events.iter().map(|event| &*event.name).collect();
    assert_eq!(names, ["good"]);
    assert_eq!(declared.since, Some(nine()), "by the API server's clock");
}
