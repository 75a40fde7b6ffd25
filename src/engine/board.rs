//! Where decisions are published: one snapshot per target, written by its worker, read by RPCs and pages without a wait.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::Target;
use crate::decision::Decision;
use crate::time::Timestamp;

/// A decision that was not renewed for this long is no answer any more: its worker is stuck, and an error lets KEDA's
/// fallback act. Missing measurements do not bring this about; a worker decides without them.
pub(crate) const DECISION_EXPIRES: Duration = Duration::from_secs(300);

/// What a worker has published: the answer in force, and the one that follows.
///
/// A decision says from when on it is the answer, so that two replicas that computed it at different moments switch
/// together.
#[derive(Debug, Clone, Default)]
pub struct Published {
    current: Option<Arc<Decision>>,
    next: Option<Arc<Decision>>,
}

/// Why there is no decision to answer with.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NoDecision {
    /// The first has not been made.
    #[error("no decision has been made yet; the target's history is being fetched")]
    Never,
    /// The last is too old.
    #[error("the last decision is {} s old; its worker is stuck, see the log of this process", age.as_secs())]
    Expired {
        /// Its age.
        age: Duration,
    },
}

impl Published {
    /// The decision in force at `now`.
    ///
    /// # Errors
    /// [`NoDecision`] when there is none, or none that is recent.
    pub fn at(&self, now: Timestamp) -> Result<&Arc<Decision>, NoDecision> {
        let in_force = |decision: &&Arc<Decision>| decision.effective_from <= now;
        let newest = self.next.as_ref().filter(in_force).or(self.current.as_ref().filter(in_force));
        let decision = newest.ok_or(NoDecision::Never)?;
        match (now - decision.effective_from).to_std() {
            Ok(age) if age > DECISION_EXPIRES => Err(NoDecision::Expired { age }),
            _ => Ok(decision),
        }
    }

    /// When the answer will next change by itself.
    pub fn changes_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.next.as_ref().map(|decision| decision.effective_from).filter(|at| *at > now)
    }

    fn push(&mut self, decision: Arc<Decision>) {
        if self.next.as_ref().is_none_or(|next| next.effective_from <= decision.effective_from) {
            self.current = self.next.take().or(self.current.take());
            self.next = Some(decision);
        }
    }
}

/// The published snapshots of every target.
#[derive(Debug, Default)]
pub struct Board {
    entries: BTreeMap<Arc<str>, Entry>,
}

#[derive(Debug)]
struct Entry {
    target: Arc<Target>,
    published: watch::Sender<Published>,
}

impl Board {
    /// A board for `targets`, with nothing published.
    pub fn new(targets: impl IntoIterator<Item = Arc<Target>>) -> Self {
        let entries = targets
            .into_iter()
            .map(|target| (Arc::clone(&target.name), Entry { target, published: watch::Sender::default() }))
            .collect();
        Self { entries }
    }

    /// Every target, by name.
    pub fn targets(&self) -> impl Iterator<Item = &Arc<Target>> {
        self.entries.values().map(|entry| &entry.target)
    }

    /// One target.
    pub fn target(&self, name: &str) -> Option<&Arc<Target>> {
        self.entries.get(name).map(|entry| &entry.target)
    }

    /// What has been published for a target; `None` when there is no such target.
    pub fn published(&self, name: &str) -> Option<Published> {
        self.entries.get(name).map(|entry| entry.published.borrow().clone())
    }

    /// Follows what is published for a target; `None` when there is no such target.
    pub fn subscribe(&self, name: &str) -> Option<watch::Receiver<Published>> {
        self.entries.get(name).map(|entry| entry.published.subscribe())
    }

    /// Publishes a decision for its target. Decisions for unknown targets are dropped.
    pub fn publish(&self, decision: Arc<Decision>) {
        if let Some(entry) = self.entries.get(&decision.target) {
            entry.published.send_modify(|published| published.push(decision));
        }
    }
}
