//! What has been seen, for whoever asks: the engine for lead times, people for what is lacking.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::runtime::reflector::Store;

use super::heeded::{Heeded, MOST_OF_NAMESPACE, MOST_OF_TARGET};
use super::hpa::Counted;
use super::{Error, Metrics, SurgeEvent};
use crate::engine::{ClusterView, Declared, ScaledObject, Target};
use crate::guard::tolerance;
use crate::plan::ScaleUp;
use crate::plan::lead_time::{Learned, Start, Starts};
use crate::time::Timestamp;

/// What is seen of the cluster: of pods by ScaledObject, and what was declared by namespace.
#[derive(Debug, Default)]
pub struct Sight {
    seen: Mutex<BTreeMap<ScaledObject, Seen>>,
    declared: Mutex<BTreeMap<String, Namespace>>,
    /// Nobody looks, and until somebody does nothing is declared.
    unlooked: AtomicBool,
    /// By ScaledObject, once there is a cluster that is looked at.
    counted: Mutex<Option<BTreeMap<ScaledObject, Counted>>>,
    metrics: Metrics,
}

/// What is declared in a namespace.
#[derive(Debug)]
struct Namespace {
    surges: Store<SurgeEvent>,
    /// They have been listed, or could not be: what is not there now is not declared.
    listed: bool,
    /// The targets that somebody asked for: there are those, and what names others takes no place among what is heeded.
    asked_for: BTreeSet<Arc<str>>,
    /// What is heeded of them; `None` while that is to be worked out anew.
    heeded: Option<Arc<Heeded>>,
    /// How many were left out when that was last said.
    said_left_out: usize,
}

#[derive(Debug, Default)]
struct Seen {
    starts: Starts,
    learned: Option<Learned>,
    scale_up: Option<ScaleUp>,
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
        let why = error.with_causes();
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

    /// Takes `surges` for what is declared in `namespace`, as soon as it has been listed.
    pub(super) fn declare(&self, namespace: &str, surges: Store<SurgeEvent>) {
        let known =
            Namespace { surges, listed: false, asked_for: BTreeSet::new(), heeded: None, said_left_out: 0 };
        self.namespaces().insert(namespace.to_owned(), known);
    }

    /// Notes that what is declared in `namespace` is known now, or cannot be.
    pub(super) fn listed(&self, namespace: &str) {
        if let Some(known) = self.namespaces().get_mut(namespace) {
            (known.listed, known.heeded) = (true, None);
        }
    }

    /// Notes that something else is declared in `namespace`.
    pub(super) fn changed(&self, namespace: &str) {
        if let Some(known) = self.namespaces().get_mut(namespace) {
            known.heeded = None;
        }
    }

    /// What is heeded in the namespace of `target`; `None` until it is known what is declared there. It is worked out once for
    /// each change, and not for each target at each decision.
    pub(super) fn heeded(&self, target: &Target) -> Option<Arc<Heeded>> {
        let namespace = target.scaled_object.namespace.as_str();
        let mut namespaces = self.namespaces();
        let known = namespaces.get_mut(namespace).filter(|known| known.listed)?;
        if !known.asked_for.contains(&target.name) {
            known.asked_for.insert(Arc::clone(&target.name));
            known.heeded.take_if(|heeded| heeded.would_differ_with(&target.name));
        }
        if let Some(heeded) = &known.heeded {
            return Some(Arc::clone(heeded));
        }
        let heeded = Arc::new(Heeded::of(known.surges.state(), &known.asked_for));
        let left_out = heeded.left_out();
        self.metrics.heeded(namespace, heeded.surges(), left_out);
        // Said when it begins and each time that it has doubled: whoever declares in a loop does not fill the log, too.
        if left_out > 2 * known.said_left_out {
            tracing::warn!(
                namespace,
                left_out,
                most_of_target = MOST_OF_TARGET,
                most_of_namespace = MOST_OF_NAMESPACE,
                "there are more SurgeEvents than are heeded; delete those that are over"
            );
            known.said_left_out = left_out;
        } else if left_out == 0 && known.said_left_out > 0 {
            tracing::info!(namespace, "all SurgeEvents are heeded again");
            known.said_left_out = 0;
        }
        known.heeded = Some(Arc::clone(&heeded));
        Some(heeded)
    }

    /// Notes that there is a cluster, and that it is looked at.
    pub(super) fn begin(&self) {
        self.counted().get_or_insert_default();
    }

    /// Takes in what is seen of the HPA behind `owner`.
    pub(super) fn count(&self, owner: &ScaledObject, counted: Counted) {
        self.counted().get_or_insert_default().insert(owner.clone(), counted);
    }

    /// Notes how fast the HPA behind `owner` lets replicas climb; `None` where that could not be made out.
    pub(super) fn climbs(&self, owner: &ScaledObject, scale_up: Option<ScaleUp>) {
        let mut seen = self.seen();
        let entry = seen.entry(owner.clone()).or_default();
        if entry.scale_up != scale_up {
            tracing::info!(scaled_object = %owner, scale_up = ?scale_up, "the HPA's rules for scaling up were read");
            entry.scale_up = scale_up;
        }
    }

    /// Counts that something of `owner` could not be read.
    pub(super) fn failed(&self, owner: &ScaledObject, error: &Error) {
        self.metrics.failed(owner, error.name());
    }

    fn counted(&self) -> MutexGuard<'_, Option<BTreeMap<ScaledObject, Counted>>> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes whether this replica is the one that writes.
    pub(super) fn holds_lease(&self, holds: bool) {
        self.metrics.holds_lease(holds);
    }

    /// Notes that nobody looks: outside a cluster nothing is waited for.
    pub(super) fn look_away(&self) {
        self.unlooked.store(true, Ordering::Relaxed);
    }

    /// What is declared, whatever it is about, in every namespace that is looked at.
    pub(super) fn surges(&self) -> Vec<Arc<SurgeEvent>> {
        self.namespaces().values().flat_map(|namespace| namespace.surges.state()).collect()
    }

    fn namespaces(&self) -> MutexGuard<'_, BTreeMap<String, Namespace>> {
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

    fn scale_up(&self, owner: &ScaledObject) -> Option<ScaleUp> {
        self.seen().get(owner)?.scale_up.clone()
    }

    /// By the names of the objects.
    fn declared(&self, target: &Target) -> Option<Declared> {
        match self.heeded(target) {
            Some(heeded) => Some(heeded.declared(&target.name)),
            None => self.unlooked.load(Ordering::Relaxed).then(Declared::default),
        }
    }

    fn hpa(&self, owner: &ScaledObject, at: Timestamp) -> Option<tolerance::Seen> {
        let counted = self.counted();
        Some(counted.as_ref()?.get(owner).map(|counted| counted.at(at)).unwrap_or_default())
    }
}
