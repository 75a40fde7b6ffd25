//! Where decisions are published: one snapshot per target, written by its worker, read by RPCs and pages without a wait. What
//! stands behind the models of its demands hangs beside it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;

use super::{ClusterView, ScaledObject, Target};
use crate::decision::Decision;
use crate::forecast::{self, Explanation};
use crate::guard::tolerance::Seen;
use crate::time::Timestamp;

/// A decision that was not renewed for this long is no answer any more: its worker is stuck, and an error lets KEDA's
/// fallback act. Missing measurements do not bring this about; a worker decides without them.
pub(crate) const DECISION_EXPIRES: Duration = Duration::from_secs(300);

/// What a worker has published: the answer in force, and those that follow.
///
/// A decision says from when on it is the answer, so that two replicas that computed it at different moments switch
/// together.
#[derive(Debug, Clone, Default)]
pub struct Published {
    /// Ascending by the instant from which they are in force.
    recent: VecDeque<Arc<Decision>>,
    trouble: Option<Arc<str>>,
}

/// Decisions that are kept: the one in force, and as many ahead as a publish delay of several ticks could bring.
const KEPT: usize = 8;

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
        let in_force = self.recent.iter().rev().find(|decision| decision.effective_from <= now);
        let decision = in_force.ok_or(NoDecision::Never)?;
        match (now - decision.effective_from).to_std() {
            Ok(age) if age > DECISION_EXPIRES => Err(NoDecision::Expired { age }),
            _ => Ok(decision),
        }
    }

    /// When the answer will next change by itself.
    pub fn changes_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.recent.iter().map(|decision| decision.effective_from).find(|at| *at > now)
    }

    /// Why its source gives less than it should, in the source's own words and short; `None` while it gives all that is asked.
    ///
    /// No part of a decision, and for people alone: it names addresses and queries, which are the operator's and not KEDA's.
    pub fn trouble(&self) -> Option<&Arc<str>> {
        self.trouble.as_ref()
    }

    /// Takes a decision that is in force from later on than those before; one from the same instant is replaced, an
    /// earlier one is too late.
    fn push(&mut self, decision: Arc<Decision>) {
        while self.recent.back().is_some_and(|last| last.effective_from == decision.effective_from) {
            self.recent.pop_back();
        }
        if self.recent.back().is_none_or(|last| last.effective_from < decision.effective_from) {
            self.recent.push_back(decision);
        }
        while self.recent.len() > KEPT {
            self.recent.pop_front();
        }
    }
}

/// What came of the newest fit of one demand.
#[derive(Debug, Clone, PartialEq)]
pub struct Learned {
    /// The instant at which what it learned from ends.
    pub until: Timestamp,
    /// What stands behind the model, or why there is none.
    pub outcome: Result<Explanation, forecast::Error>,
}

/// By demand.
type Models = BTreeMap<Arc<str>, Arc<Learned>>;

/// The targets and what is published for each, as they are between two changes of the configuration.
#[derive(Debug, Clone, Default)]
pub struct Table {
    entries: BTreeMap<Arc<str>, Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    target: Arc<Target>,
    /// Shared by every table that has this target, so that a change of others does not touch who follows it.
    published: Arc<watch::Sender<Published>>,
    /// Shared as well.
    models: Arc<RwLock<Models>>,
}

impl Table {
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

    /// What came of the newest fit of a demand; `None` when there is no such target, or nothing has come of any fit of it.
    pub fn learned(&self, target: &str, demand: &str) -> Option<Arc<Learned>> {
        // A poisoned lock holds whole models all the same: each is put in as a whole.
        let models = self.entries.get(target)?.models.read().unwrap_or_else(PoisonError::into_inner);
        models.get(demand).cloned()
    }

    /// Follows what is published for a target, until it is taken off the board; `None` when there is no such target.
    pub fn subscribe(&self, name: &str) -> Option<watch::Receiver<Published>> {
        self.entries.get(name).map(|entry| entry.published.subscribe())
    }
}

/// Where decisions are published. Readers take the present [`Table`] and are never waited for.
#[derive(Debug, Default)]
pub struct Board {
    table: RwLock<Arc<Table>>,
    cluster: OnceLock<Arc<dyn ClusterView>>,
    notice: RwLock<Option<Arc<str>>>,
}

impl Board {
    /// A board for `targets`, with nothing published.
    pub fn new(targets: impl IntoIterator<Item = Arc<Target>>) -> Self {
        let board = Self::default();
        board.replace(targets);
        board
    }

    /// The targets at this moment.
    pub fn table(&self) -> Arc<Table> {
        // A poisoned lock holds a whole table all the same: it is only ever replaced as a whole.
        Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts other targets on the board. What is published for a name that stays is kept, so that a target whose policy
    /// changed goes on answering until its new worker has decided.
    pub fn replace(&self, targets: impl IntoIterator<Item = Arc<Target>>) {
        let before = self.table();
        let entries = targets
            .into_iter()
            .map(|target| {
                let name = Arc::clone(&target.name);
                let entry = match before.entries.get(&name) {
                    Some(kept) => Entry { target, ..kept.clone() },
                    None => Entry { target, published: Arc::default(), models: Arc::default() },
                };
                (name, entry)
            })
            .collect();
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Table { entries });
    }

    /// Publishes a decision for its target. Decisions for unknown targets are dropped.
    pub fn publish(&self, decision: Arc<Decision>) {
        if let Some(entry) = self.table().entries.get(&decision.target) {
            entry.published.send_modify(|published| published.push(decision));
        }
    }

    /// Says beside what is published for a target why its source gives less than it should, or that it does not. Whoever follows
    /// what is published is not woken.
    pub fn set_trouble(&self, target: &str, trouble: Option<Arc<str>>) {
        if let Some(entry) = self.table().entries.get(target) {
            entry.published.send_if_modified(|published| {
                if published.trouble != trouble {
                    published.trouble = trouble;
                }
                false
            });
        }
    }

    /// Hangs out what came of a fit. Those of unknown targets are dropped.
    pub fn explain(&self, target: &str, demand: &Arc<str>, learned: Learned) {
        if let Some(entry) = self.table().entries.get(target) {
            let mut models = entry.models.write().unwrap_or_else(PoisonError::into_inner);
            models.insert(Arc::clone(demand), Arc::new(learned));
        }
    }

    /// Answers are written for what `cluster` shows from now on; the first that is given stays.
    pub fn watch(&self, cluster: Arc<dyn ClusterView>) {
        let _ = self.cluster.set(cluster);
    }

    /// What is seen at `at` of the HPA behind `owner`: the last thing that an answer depends on, and no decision.
    pub fn hpa(&self, owner: &ScaledObject, at: Timestamp) -> Option<Seen> {
        self.cluster.get()?.hpa(owner, at)
    }

    /// What a person who looks at this replica should know, beside its decisions.
    pub fn notice(&self) -> Option<Arc<str>> {
        self.notice.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets, or takes away, the [`Board::notice`].
    pub fn set_notice(&self, notice: Option<Arc<str>>) {
        *self.notice.write().unwrap_or_else(PoisonError::into_inner) = notice;
    }
}
