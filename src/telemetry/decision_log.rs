//! Decisions as events: a change is told at `info`, a repetition at `debug`.
//!
//! An error rung is a `warn`: somebody will ask why nothing moved. The event has the same fields as the [`Decision`], so
//! that a number in KEDA's log can be followed to its reasons.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::decision::{Claim, Decision};
use crate::engine;
use crate::guard::Rung;
use crate::units::{Load, Replicas};

/// Writes decisions to the log of the process.
#[derive(Debug, Default)]
pub struct DecisionLog {
    last: Mutex<HashMap<Arc<str>, Shown>>,
}

/// What is told when it changes: the rung of the whole and of each demand, and the answer.
type Shown = (Rung, Vec<Rung>, Option<Replicas>);

impl DecisionLog {
    /// Whether this is another answer, or another rung, than the last one of its target.
    fn changed(&self, decision: &Decision) -> bool {
        let rungs = decision.claims.iter().map(|claim| claim.rung).collect();
        let shown = (decision.rung, rungs, decision.guarded);
        // A poisoned lock holds what the last writer wrote, which is all that is needed here.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = last.get(&decision.target) != Some(&shown);
        if changed {
            last.insert(Arc::clone(&decision.target), shown);
        }
        changed
    }
}

impl engine::DecisionLog for DecisionLog {
    fn record(&self, decision: &Decision) {
        let planned = decision.plan().map(|plan| plan.replicas.0);
        let guarded = decision.guarded.map(|replicas| replicas.0);
        let reactive_need = decision.reactive_need().map(|replicas| replicas.0);
        let observed = decision.observed().map(|observation| observation.load.get());
        // Which demand these are of goes without saying where there is only one.
        let name = |claim: Option<&Claim>| {
            claim.filter(|_| decision.claims.len() > 1).map(|claim| claim.demand.to_string())
        };
        let (needs_most, plans_most) = (name(decision.needs_most()), name(decision.plans_most()));
        let blind = decision.claims.iter().find(|claim| claim.rung == Rung::Unavailable);
        let shortfall = decision.shortfall.map(|shortfall| shortfall.missing.0);
        let plan = decision.plan();
        let climb = plan.and_then(|plan| plan.climb).map(|climb| climb.to.0);
        let absurd = plan.and_then(|plan| plan.absurd).map(Load::get);
        let declared = decision.claims.iter().filter_map(|claim| claim.event_need.as_ref());
        let event_need = declared.map(|event| event.replicas.0).max();
        let (cause, surging) = (
            plan.and_then(|plan| plan.cause.as_ref()).map(|cause| cause.name.to_string()),
            decision.claims.iter().find(|claim| claim.surge.is_some()).map(|claim| claim.demand.to_string()),
        );
        let rules: Vec<&str> = decision.applied.iter().map(|applied| applied.rule.name()).collect();
        let (target, at, rung) = (&*decision.target, decision.at, decision.rung.name());
        match (self.changed(decision), decision.rung) {
            (true, Rung::Unavailable) => {
                tracing::warn!(target, %at, rung, observed, "there is neither a fresh measurement nor a plan");
            }
            (true, _) => {
                tracing::info!(
                    target, %at, rung, observed, needs_most, reactive_need, plans_most, planned, cause, climb, event_need, absurd,
                    surging, shortfall, guarded,
                    ?rules, "the answer changed"
                );
                if let Some(Claim { demand, .. }) = blind {
                    tracing::warn!(target, %demand, "a demand has neither a fresh measurement nor a plan");
                }
            }
            (false, _) => {
                tracing::debug!(
                    target, %at, rung, observed, needs_most, reactive_need, plans_most, planned, cause, climb, event_need, absurd,
                    surging, shortfall, guarded,
                    ?rules, "decided"
                );
            }
        }
    }
}
