//! What has been seen, for whoever asks: the engine for lead times, people for what is lacking.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::ResourceExt as _;
use kube::runtime::reflector::Store;

use super::{Error, Metrics, SurgeEvent};
use crate::calendar::Event;
use crate::engine::{ClusterView, ScaledObject, Target};
use crate::plan::lead_time::{Learned, Start, Starts};
use crate::time::Timestamp;
use crate::units::Replicas;

/// What is seen of the cluster: of pods by ScaledObject, and what was declared by namespace.
#[derive(Debug, Default)]
pub struct Sight {
    seen: Mutex<BTreeMap<ScaledObject, Seen>>,
    declared: Mutex<BTreeMap<String, Store<SurgeEvent>>>,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct Seen {
    starts: Starts,
    learned: Option<Learned>,
    lacking: Option<String>,
}

impl Sight {
    /// Nothing seen yet; what will be is counted in `metrics`.
    pub fn new(metrics: Metrics) -> Self {
        Self { metrics, ..Self::default() }
    }

    /// What has been learned of the pods of `owner`.
    pub fn learned(&self, owner: &ScaledObject) -> Option<Learned> {
        self.seen().get(owner)?.learned.clone()
    }

    /// What is lacking to see `owner`, in words for an operator; `None` when nothing is.
    pub fn lacking(&self, owner: &ScaledObject) -> Option<String> {
        self.seen().get(owner)?.lacking.clone()
    }

    /// Takes in starts, and says whether there was a new one among them: all that are known then.
    pub(super) fn note(
        &self,
        owner: &ScaledObject,
        starts: impl IntoIterator<Item = Start>,
    ) -> Option<Vec<Start>> {
        let mut seen = self.seen();
        let entry = seen.entry(owner.clone()).or_default();
        let new = starts.into_iter().filter(|start| entry.starts.note(start.clone())).count();
        if new == 0 {
            return None;
        }
        let learned = entry.starts.learned();
        if let Some(learned) = &learned {
            self.metrics.learned(owner, learned);
            let seconds = learned.lead_time.as_secs();
            if entry.learned.as_ref().is_none_or(|before| before.lead_time != learned.lead_time) {
                tracing::info!(scaled_object = %owner, seconds, template = %learned.template, "a lead time was learned");
            }
        }
        entry.learned = learned;
        Some(entry.starts.iter().cloned().collect())
    }

    /// Notes that `owner` cannot be seen, and says so when that is new.
    pub(super) fn lack(&self, owner: &ScaledObject, error: &Error) {
        self.metrics.failed(owner, error.name());
        let why = format!("{:#}", WithCauses(error));
        let mut seen = self.seen();
        let entry = seen.entry(owner.clone()).or_default();
        if entry.lacking.as_ref() != Some(&why) {
            tracing::warn!(scaled_object = %owner, why, "the cluster is not seen; going by what is configured or was learned");
            entry.lacking = Some(why);
        }
    }

    /// Notes that `owner` is seen.
    pub(super) fn see(&self, owner: &ScaledObject) {
        let mut seen = self.seen();
        if seen.get_mut(owner).is_some_and(|entry| entry.lacking.take().is_some()) {
            tracing::info!(scaled_object = %owner, "the cluster is seen again");
        }
    }

    /// The events that are declared for `target`, by the names of their objects. What cannot be read is left out: the API
    /// server refuses it, so it was written past its schema.
    pub fn events(&self, target: &Target) -> Vec<Event> {
        let about = self.about(target);
        about.iter().filter_map(|surge| surge.spec.event(&surge.name_any()).ok().flatten()).collect()
    }

    /// Takes `surges` for what is declared in `namespace`.
    pub(super) fn declare(&self, namespace: &str, surges: Store<SurgeEvent>) {
        self.declared().insert(namespace.to_owned(), surges);
    }

    fn about(&self, target: &Target) -> Vec<Arc<SurgeEvent>> {
        let declared = self.declared();
        let surges = declared.get(&target.scaled_object.namespace).map(Store::state).unwrap_or_default();
        surges.into_iter().filter(|surge| surge.spec.is_about(&target.name)).collect()
    }

    fn declared(&self) -> MutexGuard<'_, BTreeMap<String, Store<SurgeEvent>>> {
        self.declared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> MutexGuard<'_, BTreeMap<ScaledObject, Seen>> {
        // Nothing in here panics half-way through a change.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClusterView for Sight {
    fn lead_time(&self, owner: &ScaledObject) -> Option<Duration> {
        self.learned(owner).map(|learned| learned.lead_time)
    }

    fn floor(&self, target: &Target, at: Timestamp) -> Option<Replicas> {
        self.about(target).iter().filter_map(|surge| surge.spec.floor(at).ok().flatten()).max()
    }
}

/// An error and what caused it, in a line.
struct WithCauses<'a>(&'a Error);

impl std::fmt::Display for WithCauses<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // kube's errors repeat their causes; nobody wants to read a missing file three times.
        let mut said = self.0.to_string();
        let mut cause = std::error::Error::source(self.0);
        while let Some(because) = cause {
            let words = because.to_string();
            if !said.contains(&words) {
                said = format!("{said}: {words}");
            }
            cause = because.source();
        }
        f.write_str(&said)
    }
}
