//! Decisions as events: a change is told at `info`, a repetition at `debug`.
//!
//! An error rung is a `warn`: somebody will ask why nothing moved. The event has the same fields as the [`Decision`], so
//! that a number in KEDA's log can be followed to its reasons.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::decision::Decision;
use crate::engine;
use crate::guard::Rung;
use crate::units::Replicas;

/// Writes decisions to the log of the process.
#[derive(Debug, Default)]
pub struct DecisionLog {
    last: Mutex<HashMap<Arc<str>, Shown>>,
}

/// What is told when it changes.
type Shown = (Rung, Option<Replicas>);

impl DecisionLog {
    /// Whether this is another answer, or another rung, than the last one of its target.
    fn changed(&self, decision: &Decision) -> bool {
        let shown = (decision.rung, decision.guarded);
        // A poisoned lock holds what the last writer wrote, which is all that is needed here.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.insert(Arc::clone(&decision.target), shown) != Some(shown)
    }
}

impl engine::DecisionLog for DecisionLog {
    fn record(&self, decision: &Decision) {
        let planned = decision.plan.as_ref().map(|plan| plan.replicas.0);
        let guarded = decision.guarded.map(|replicas| replicas.0);
        let reactive_need = decision.reactive_need.map(|replicas| replicas.0);
        let observed = decision.observed_load().map(crate::units::Load::get);
        let rules: Vec<&str> = decision.applied.iter().map(|applied| applied.rule.name()).collect();
        let (target, at, rung) = (&*decision.target, decision.at, decision.rung.name());
        match (self.changed(decision), decision.rung) {
            (true, Rung::Unavailable) => {
                tracing::warn!(target, %at, rung, observed, "there is neither a fresh measurement nor a plan");
            }
            (true, _) => {
                tracing::info!(target, %at, rung, observed, reactive_need, planned, guarded, ?rules, "the answer changed");
            }
            (false, _) => {
                tracing::debug!(target, %at, rung, observed, reactive_need, planned, guarded, ?rules, "decided");
            }
        }
    }
}
