//! From a pod's conditions to the stages of its start.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::DateTime;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::plan::lead_time::{Sight, Start};
use crate::time::Timestamp;

/// Labels that tell what a pod was made from: of a Deployment's, a StatefulSet's or DaemonSet's, and an Argo Rollout's pod.
const TEMPLATE_LABELS: [&str; 3] =
    ["pod-template-hash", "controller-revision-hash", "rollouts-pod-template-hash"];

/// The pods of one workload, as a watch shows them.
#[derive(Debug, Default)]
pub(super) struct Pods {
    /// Seen, and not ready then.
    starting: BTreeSet<String>,
}

impl Pods {
    /// A pod as it is now: its start, when it has started.
    pub(super) fn see(&mut self, pod: &Pod) -> Option<Start> {
        let uid = pod.metadata.uid.as_ref()?;
        let Some(ready) = since(pod, "Ready") else {
            if pod.metadata.deletion_timestamp.is_none() {
                self.starting.insert(uid.clone());
            }
            return None;
        };
        let sight = if self.starting.remove(uid) { Sight::Watched } else { Sight::Found };
        // Ready again after a crash, perhaps: when it became ready first is not written anywhere.
        if sight == Sight::Found && restarted(pod) {
            return None;
        }
        Some(Start {
            pod: uid.as_str().into(),
            template: template(pod),
            created: instant(pod.metadata.creation_timestamp.as_ref()?)?,
            scheduled: since(pod, "PodScheduled")?,
            initialized: since(pod, "Initialized")?,
            ready,
            sight,
        })
    }

    /// A pod that is gone.
    pub(super) fn forget(&mut self, pod: &Pod) {
        if let Some(uid) = &pod.metadata.uid {
            self.starting.remove(uid);
        }
    }
}

/// Since when a condition holds; `None` while it does not.
fn since(pod: &Pod, condition: &str) -> Option<Timestamp> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let holds = conditions.iter().find(|each| each.type_ == condition && each.status == "True")?;
    instant(holds.last_transition_time.as_ref()?)
}

fn instant(time: &Time) -> Option<Timestamp> {
    DateTime::from_timestamp(time.0.as_second(), 0)
}

fn restarted(pod: &Pod) -> bool {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    statuses.is_some_and(|statuses| statuses.iter().any(|status| status.restart_count > 0))
}

fn template(pod: &Pod) -> Arc<str> {
    let labels = pod.metadata.labels.as_ref();
    let label = |name: &&str| labels.and_then(|labels| labels.get(*name));
    TEMPLATE_LABELS.iter().find_map(label).map_or("", String::as_str).into()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A pod of 09:00:00 with the conditions that hold, each with its second.
    fn pod(uid: &str, holding: &[(&str, u32)], restarts: u32) -> Pod {
        let conditions: Vec<Value> = holding
            .iter()
            .map(|(condition, second)| {
                let at = format!("2026-11-27T09:{:02}:{:02}Z", second / 60, second % 60);
                json!({ "type": condition, "status": "True", "lastTransitionTime": at })
            })
            .chain([json!({ "type": "ContainersReady", "status": "False" })])
            .collect();
        let containers = json!([{ "name": "api", "image": "api", "imageID": "", "ready": true, "restartCount": restarts }]);
        serde_json::from_value(json!({
            "metadata": {
                "uid": uid, "name": uid, "labels": { "pod-template-hash": "5d4f" },
                "creationTimestamp": "2026-11-27T09:00:00Z",
            },
            "status": { "conditions": conditions, "containerStatuses": containers },
        }))
        .unwrap()
    }

    const READY: [(&str, u32); 3] = [("PodScheduled", 1), ("Initialized", 21), ("Ready", 51)];

    #[test]
    fn a_pod_that_is_seen_to_become_ready_has_been_watched() {
        let mut pods = Pods::default();
        assert_eq!(pods.see(&pod("a", &READY[..1], 0)), None);
        assert_eq!(pods.see(&pod("a", &READY[..2], 0)), None);
        let start = pods.see(&pod("a", &READY, 0)).unwrap();
        assert_eq!(
            (start.took().unwrap().as_secs(), start.sight, &*start.template),
            (51, Sight::Watched, "5d4f")
        );
        assert_eq!((start.initialized - start.scheduled).num_seconds(), 20);
    }

    #[test]
    fn a_pod_that_is_found_ready_counts_unless_it_crashed() {
        assert_eq!(Pods::default().see(&pod("a", &READY, 0)).unwrap().sight, Sight::Found);
        assert_eq!(Pods::default().see(&pod("a", &READY, 1)), None);
        let mut pods = Pods::default();
        assert_eq!(pods.see(&pod("a", &READY[..2], 1)), None);
        assert!(pods.see(&pod("a", &READY, 1)).is_some(), "a crash on the way is part of the way");
    }

    #[test]
    fn who_goes_before_being_ready_leaves_nothing() {
        let mut pods = Pods::default();
        pods.see(&pod("a", &READY[..1], 0));
        pods.forget(&pod("a", &READY[..1], 0));
        assert!(pods.starting.is_empty());
    }
}
