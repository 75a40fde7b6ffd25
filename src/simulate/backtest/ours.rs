//! tidetable as a contender: the same [`answer`] that is in every decision that serves, on what had been measured and settled
//! by then.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::accuracy::Foreseen;
use super::course::Past;
use super::scaler::Scaler;
use crate::decision::{Decision, Evidence, Policy, State, answer};
use crate::forecast::{Fitted, Observation};
use crate::guard::Tolerance;
use crate::series::Series;
use crate::simulate::hpa::{Metric, Reading};
use crate::simulate::tally::NEED_WINDOW_SECONDS;
use crate::time::{Slot, Timestamp};
use crate::units::{Load, LoadPerReplica};

/// Settled slots are forgotten in lumps, or moving them would cost more than deciding.
const LUMP_SLOTS: i64 = 1440;

/// A target being decided for.
#[derive(Debug)]
pub struct Ours<'a> {
    target: Arc<str>,
    policy: Policy,
    tolerance: Tolerance,
    capacity: LoadPerReplica,
    /// All that was recorded, on the target's grid. Read through [`Ours::settle`] alone, which knows what time it is.
    recorded: &'a Series,
    settle_lag: Duration,
    memory_slots: i64,
    model: Option<Arc<dyn Fitted>>,
    state: State,
    settled: Series,
    decisions: VecDeque<(usize, Decision)>,
    remember: usize,
}

impl<'a> Ours<'a> {
    /// A target with one demand, of which a replica bears `capacity`, that begins at `begin` with the last `memory` of settled load. The newest `remember` decisions are kept.
    pub fn new(
        target: Arc<str>,
        policy: Policy,
        capacity: LoadPerReplica,
        recorded: &'a Series,
        (settle_lag, memory): (Duration, Duration),
        begin: Timestamp,
        remember: usize,
    ) -> Self {
        let step = recorded.step();
        let memory_slots = step.slots_in(memory);
        let first = step.last_ended(begin).next().plus(-memory_slots).max(recorded.first());
        Self {
            target,
            policy,
            tolerance: Tolerance::default(),
            capacity,
            recorded,
            settle_lag,
            memory_slots,
            model: None,
            state: State::default(),
            settled: Series::empty(step, first),
            decisions: VecDeque::new(),
            remember,
        }
    }

    /// The same, answering as `tolerance` says.
    #[must_use]
    pub fn answering(self, tolerance: Tolerance) -> Self {
        Self { tolerance, ..self }
    }

    /// Puts a model into force.
    pub fn learned(&mut self, model: Option<Arc<dyn Fitted>>) {
        self.model = model;
    }

    /// How it is scaled.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Takes in what has settled by the moment of a decision, and gives the newest slot that has ended and may still change: as a query
    /// evaluated at its end answers it, which has not seen all of it yet.
    fn settle(&mut self, past: &Past<'_>) -> Option<Observation> {
        let at = past.decided_at;
        let step = self.recorded.step();
        let ended = step.last_ended(at).next().min(self.recorded.end());
        let settled = step.last_ended(at - self.settle_lag.max(past.age())).next().min(self.recorded.end());
        for slot in (self.settled.end().0..settled.0).map(Slot) {
            match self.recorded.get(slot) {
                Some(load) => self.settled.put(slot, load),
                None => self.settled.mask(slot),
            }
        }
        let oldest = self.settled.end().plus(-self.memory_slots);
        if oldest.since(self.settled.first()) >= LUMP_SLOTS {
            self.settled.forget_before(oldest);
        }
        let ends = (settled.0..ended.0).rev().map(|slot| step.end(Slot(slot)));
        ends.into_iter().find_map(|at| Some(Observation { at, load: Load::saturating(past.rate(at)?) }))
    }
}

impl Scaler for Ours<'_> {
    fn metric(&self) -> Metric {
        Metric::REPLICAS
    }

    fn reading(&mut self, past: &Past<'_>) -> Reading {
        let at = past.decided_at;
        let provisional = self.settle(past);
        let live = past.rate(at).map(|rate| Observation { at, load: Load::saturating(rate) });
        let evidence = Evidence {
            demand: &self.target,
            capacity: self.capacity,
            settled: &self.settled,
            provisional,
            live,
            model: self.model.as_deref(),
        };
        let (decision, state) = answer(&self.target, at, &[evidence], &self.policy, &self.state);
        self.state = state;
        let guarded = decision.guarded;
        if self.decisions.len() >= self.remember {
            self.decisions.pop_front();
        }
        self.decisions.push_back((past.sync, decision));
        let hpa = past.hpa();
        guarded.map_or(Reading::Failed, |replicas| {
            Reading::Value(self.tolerance.answer(replicas, Some(&hpa)).get())
        })
    }

    fn decision(&self, sync: usize) -> Option<&Decision> {
        let (newest, _) = self.decisions.back()?;
        let place = self.decisions.len().checked_sub(newest.checked_sub(sync)? + 1)?;
        self.decisions.get(place).map(|(_, decision)| decision)
    }

    fn foreseen(&self) -> Option<Foreseen> {
        let (_, decision) = self.decisions.back()?;
        let plan = decision.plan()?;
        let span_seconds = self.recorded.step().seconds().max(NEED_WINDOW_SECONDS);
        Some(Foreseen { at: plan.peak_at, span_seconds, load: plan.peak.get() })
    }
}
