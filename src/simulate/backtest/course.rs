//! What every contender has to bear, and under which conditions: the same load, HPA, pods and queue for all.
//!
//! ```text
//!   decided for 09:30:00 ─ in force 09:30:06 ─┐
//!                                             ▼
//!   …────────┬──────────────────────────┬──────────── sync 09:30:13: KEDA asks, the HPA writes, pods begin to start
//!        a rate over the last minute, `age` old
//! ```
//!
//! An HPA's syncs lie anywhere between two answers: what a sync reads was decided 6 to 21 s before, 13 s on the mean. The
//! simulated syncs lie there. A reactive scaler reads its metric at the sync itself.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::decision::DECIDE_EVERY;
use crate::guard::tolerance::Seen;
use crate::plan::{Growth, ScaleUp, ScaleUpPolicy, Select, Unit};
use crate::simulate::hpa::{Behavior, Hpa, Metric, PolicyKind, Reading, SelectPolicy, Spec};
use crate::simulate::tally::NEED_WINDOW_SECONDS;
use crate::simulate::{FineLoad, StartUp};
use crate::time::Timestamp;
use crate::units::{Load, LoadPerReplica, Replicas};

/// From the instant decided for to the sync that reads the answer: 6 s until it is in force, and half a sync.
pub const READ_AFTER: Duration = Duration::from_secs(13);

/// The cluster, the same for each contender.
#[derive(Debug, Clone, PartialEq)]
pub struct Conditions {
    /// What one replica bears.
    pub capacity: LoadPerReplica,
    /// Never fewer replicas.
    pub min: Replicas,
    /// Never more.
    pub max: Replicas,
    /// From a pod's place to its readiness.
    pub start_up: StartUp,
    /// What the cluster can start; `None` where that is no limit.
    pub pods_per_minute: Option<f64>,
    /// The HPA's rules.
    pub behavior: Option<Behavior>,
    /// The controller's tolerance, for a direction whose rules say nothing.
    pub tolerance: f64,
    /// A `cpu` trigger beside each contender's own metric: how much of what a replica bears is to be used. The HPA takes the
    /// larger proposal.
    pub cpu: Option<f64>,
    /// What is over capacity waits this long at most, and then has failed.
    pub queue: Duration,
    /// A load of 1 is one transaction in so long.
    pub load_per: Duration,
    /// The range of the rate that scalers see.
    pub rate_window: Duration,
    /// From a transaction to its being in an answer: scrape interval, ingestion, evaluation.
    pub age: Duration,
}

impl Conditions {
    /// An HPA on `metric`.
    pub(super) fn hpa(&self, metric: Metric) -> Hpa {
        let min = self.min.max(Replicas(1));
        let mut spec = Spec::new(min, self.max.max(min), metric, self.behavior.clone());
        spec.metrics.extend(self.cpu.map(Metric::utilization));
        Hpa::new(Spec { tolerance: self.tolerance, ..spec })
    }

    /// The HPA's rules where only its `scaleUp` was said: the rest is what we recommend, as `tidetable render` writes it.
    pub fn behavior_of(scale_up: &ScaleUp) -> Option<Behavior> {
        let ScaleUp::Policies { select, policies } = scale_up else { return None };
        let policy = |policy: &ScaleUpPolicy| crate::simulate::hpa::Policy {
            kind: match policy.unit {
                Unit::Pods => PolicyKind::Pods,
                Unit::Percent => PolicyKind::Percent,
            },
            amount: policy.amount,
            period: policy.period,
        };
        let mut behavior = Behavior::recommended();
        behavior.up.select = match select {
            Select::Max => SelectPolicy::Max,
            Select::Min => SelectPolicy::Min,
        };
        behavior.up.policies = policies.iter().map(policy).collect();
        Some(behavior)
    }

    /// How such an HPA lets replicas climb, the other way round.
    pub fn scale_up_of(behavior: Option<&Behavior>) -> ScaleUp {
        let policies = |behavior: &Behavior| {
            let policy = |policy: &crate::simulate::hpa::Policy| ScaleUpPolicy {
                unit: match policy.kind {
                    PolicyKind::Pods => Unit::Pods,
                    PolicyKind::Percent => Unit::Percent,
                },
                amount: policy.amount,
                period: policy.period,
            };
            let select = if behavior.up.select == SelectPolicy::Min { Select::Min } else { Select::Max };
            ScaleUp::Policies { select, policies: behavior.up.policies.iter().map(policy).collect() }
        };
        behavior.map_or(ScaleUp::Doubling, policies)
    }

    /// How fast replicas can climb here.
    pub fn growth(&self) -> Growth {
        let scale_up = Self::scale_up_of(self.behavior.as_ref());
        Growth { scale_up, pods_per_minute: self.pods_per_minute }
    }
}

/// A span of recorded load, sync by sync.
#[derive(Debug, Clone)]
pub struct Course<'a> {
    load: &'a FineLoad,
    conditions: &'a Conditions,
    first: Timestamp,
    syncs: usize,
    /// What has to be borne at each sync: worked out once for all contenders.
    borne: Arc<[Borne]>,
}

/// What has to be borne at a sync; `None` where it was not recorded.
#[derive(Debug, Clone, Copy)]
struct Borne {
    /// Mean load over the minute before.
    load: Option<f64>,
    /// Mean load since the sync before.
    since_last: Option<f64>,
}

impl<'a> Course<'a> {
    /// The syncs whose answers are decided for `span`, from its first multiple of a quarter minute on.
    pub fn over(span: Range<Timestamp>, load: &'a FineLoad, conditions: &'a Conditions) -> Self {
        let first = crate::time::aligned_before(span.start, every());
        let first = if first < span.start { first + DECIDE_EVERY } else { first };
        let syncs = (span.end - first).num_seconds().max(0) / every();
        let borne = (0..syncs).map(|sync| {
            let at = first + READ_AFTER + chrono::TimeDelta::seconds(sync * every());
            let mean = |seconds| load.mean_rate(at, seconds);
            Borne { load: mean(NEED_WINDOW_SECONDS), since_last: mean(every()) }
        });
        let borne: Arc<[Borne]> = borne.collect();
        Self { load, conditions, first, syncs: borne.len(), borne }
    }

    /// The same, but no longer than so many syncs.
    pub(super) fn cut(self, syncs: usize) -> Self {
        Self { syncs: self.syncs.min(syncs), ..self }
    }

    /// The cluster.
    pub fn conditions(&self) -> &'a Conditions {
        self.conditions
    }

    /// How many syncs.
    pub fn syncs(&self) -> usize {
        self.syncs
    }

    /// The instant for which the answer of a sync is decided.
    pub fn decided_at(&self, sync: usize) -> Timestamp {
        self.first + chrono::TimeDelta::seconds(every().saturating_mul(i64::try_from(sync).unwrap_or(0)))
    }

    /// The sync.
    pub fn synced_at(&self, sync: usize) -> Timestamp {
        self.decided_at(sync) + READ_AFTER
    }

    /// How many syncs come before the first one that reads what is decided for `at` or later.
    pub fn syncs_until(&self, at: Timestamp) -> usize {
        let seconds = (at - self.first).num_seconds().max(0);
        usize::try_from((seconds + every() - 1) / every()).unwrap_or(0).min(self.syncs)
    }

    /// Mean load over the minute before a sync; `None` where it was not recorded.
    pub fn load(&self, sync: usize) -> Option<f64> {
        self.borne.get(sync)?.load
    }

    /// What that needs.
    pub fn needed(&self, sync: usize) -> Option<Replicas> {
        self.load(sync).map(|load| Replicas::bearing(Load::saturating(load), self.conditions.capacity))
    }

    /// Mean load over the `seconds` before `at`, which may lie after the last sync; `None` where it was not recorded.
    pub(super) fn mean_load(&self, at: Timestamp, seconds: i64) -> Option<f64> {
        self.load.mean_rate(at, seconds)
    }

    /// Transactions since the sync before.
    pub(super) fn arrived(&self, sync: usize) -> Option<f64> {
        let rate = self.borne.get(sync)?.since_last?;
        Some(rate * every() as f64 / self.conditions.load_per.as_secs_f64())
    }

    /// What a scaler may know at a sync, when so many replicas are counted.
    pub(super) fn past(&self, sync: usize, counted: Replicas) -> Past<'a> {
        let decided_at = self.decided_at(sync);
        Past {
            load: self.load,
            conditions: self.conditions,
            counted,
            sync,
            decided_at,
            now: decided_at + READ_AFTER,
        }
    }
}

/// What a scaler may know at a sync, and nothing later.
#[derive(Debug, Clone, Copy)]
pub struct Past<'a> {
    load: &'a FineLoad,
    conditions: &'a Conditions,
    counted: Replicas,
    /// The number of the sync.
    pub sync: usize,
    /// The instant for which its answer is decided.
    pub decided_at: Timestamp,
    /// The sync itself.
    pub now: Timestamp,
}

impl Past<'_> {
    /// The rate as a query evaluated at `at` answers it; `None` in a hole, and for any time that is not past.
    pub fn rate(&self, at: Timestamp) -> Option<f64> {
        let window = i64::try_from(self.conditions.rate_window.as_secs()).unwrap_or(i64::MAX);
        (at <= self.now).then(|| self.load.mean_rate(at - self.conditions.age, window)).flatten()
    }

    /// How old what a query answers is.
    pub fn age(&self) -> Duration {
        self.conditions.age
    }

    /// What is seen of the HPA. The controller's own tolerance is not: a cluster does not show it.
    pub fn hpa(&self) -> Seen {
        let behavior = self.conditions.behavior.as_ref();
        Seen {
            current: Some(self.counted),
            up: behavior.and_then(|behavior| behavior.up.tolerance),
            down: behavior.and_then(|behavior| behavior.down.tolerance),
        }
    }

    /// What the metrics server says of `ready` pods: their use in percent of what they bear. None bears more than that. Nobody is asked
    /// where there is no such trigger.
    pub(super) fn cpu(&self, ready: Replicas) -> Reading {
        if self.conditions.cpu.is_none() {
            return Reading::Failed;
        }
        let borne = f64::from(ready.0) * self.conditions.capacity.get();
        match self.rate(self.now) {
            Some(rate) if borne > 0.0 => Reading::Value(100.0 * (rate / borne).min(1.0)),
            _ => Reading::Failed,
        }
    }
}

pub(super) fn every() -> i64 {
    i64::try_from(DECIDE_EVERY.as_secs()).unwrap_or(15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hpa_whose_scale_up_was_said_climbs_as_was_said_and_comes_down_as_recommended() {
        let policy =
            |unit, amount, seconds| ScaleUpPolicy { unit, amount, period: Duration::from_secs(seconds) };
        let both = vec![policy(Unit::Pods, 4, 60), policy(Unit::Percent, 100, 15)];
        for scale_up in [
            ScaleUp::default(),
            ScaleUp::Policies { select: Select::Min, policies: both.clone() },
            ScaleUp::Policies { select: Select::Max, policies: both },
            ScaleUp::Doubling,
        ] {
            let behavior = Conditions::behavior_of(&scale_up);
            assert_eq!(Conditions::scale_up_of(behavior.as_ref()), scale_up);
            let down = behavior.map_or_else(|| Behavior::recommended().down, |behavior| behavior.down);
            assert_eq!(down, Behavior::recommended().down);
        }
        assert_eq!(Conditions::behavior_of(&ScaleUp::default()), Some(Behavior::recommended()));
    }
}
