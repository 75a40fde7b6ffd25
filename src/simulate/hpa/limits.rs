//! How far one sync may go: policies over periods, or the factor of two from before there were policies.

use super::scale_events::ScaleEvents;
use super::spec::{Behavior, PolicyKind, SelectPolicy, Spec};
use crate::time::Timestamp;
use crate::units::Replicas;

/// What kept the HPA from its recommendation: the reason of its `ScalingLimited` condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limited {
    /// Nothing did.
    DesiredWithinRange,
    /// `minReplicas`.
    TooFewReplicas,
    /// `maxReplicas`.
    TooManyReplicas,
    /// A policy, upward.
    ScaleUpLimit,
    /// A policy, downward.
    ScaleDownLimit,
}

/// The writes of both directions.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct History {
    pub(super) ups: ScaleEvents,
    pub(super) downs: ScaleEvents,
}

impl History {
    /// Takes down a write, if policies are there to ask for it.
    pub(super) fn record(&mut self, written: Timestamp, from: Replicas, to: Replicas, spec: &Spec) {
        let Some(behavior) = &spec.behavior else { return };
        let (events, rules) =
            if to > from { (&mut self.ups, &behavior.up) } else { (&mut self.downs, &behavior.down) };
        let longest = rules.policies.iter().map(|policy| policy.period).max().unwrap_or_default();
        events.record(written, to.0.abs_diff(from.0), longest);
    }

    /// What each policy would allow, as a replica count: the base is what stood at the start of its period.
    fn allowed<'a>(
        &'a self,
        now: Timestamp,
        current: Replicas,
        rules: &'a super::Rules,
        allowance: impl Fn(i64, PolicyKind, u32) -> i64 + 'a,
    ) -> impl Iterator<Item = i64> + 'a {
        rules.policies.iter().map(move |policy| {
            let period = policy.period;
            let base = i64::from(current.0) - self.ups.within(now, period) + self.downs.within(now, period);
            allowance(base, policy.kind, policy.amount)
        })
    }

    /// The most that may stand after this sync.
    fn most(&self, now: Timestamp, current: Replicas, behavior: &Behavior) -> Replicas {
        let rules = &behavior.up;
        let allowed = self.allowed(now, current, rules, |base, kind, amount| match kind {
            PolicyKind::Pods => base + i64::from(amount),
            // Rounded up, or a percentage of few would be nothing at all.
            PolicyKind::Percent => truncated((base as f64 * (1.0 + f64::from(amount) / 100.0)).ceil()),
        });
        let limit = match rules.select {
            SelectPolicy::Disabled => None,
            SelectPolicy::Max => allowed.max(),
            SelectPolicy::Min => allowed.min(),
        };
        limit.map_or(current, replicas).max(current)
    }

    /// The fewest that may stand after this sync.
    fn least(&self, now: Timestamp, current: Replicas, behavior: &Behavior) -> Replicas {
        let rules = &behavior.down;
        let allowed = self.allowed(now, current, rules, |base, kind, amount| match kind {
            PolicyKind::Pods => base - i64::from(amount),
            PolicyKind::Percent => truncated(base as f64 * (1.0 - f64::from(amount) / 100.0)),
        });
        let limit = match rules.select {
            SelectPolicy::Disabled => None,
            // Downward the largest change is the smallest count.
            SelectPolicy::Max => allowed.min(),
            SelectPolicy::Min => allowed.max(),
        };
        limit.map_or(current, replicas).min(current)
    }

    /// The stabilised recommendation as far as this sync may go towards it.
    pub(super) fn limit(
        &self,
        now: Timestamp,
        current: Replicas,
        wanted: Replicas,
        spec: &Spec,
    ) -> (Replicas, Limited) {
        let unlimited = (wanted, Limited::DesiredWithinRange);
        let at_most = |limit: Replicas| match wanted > limit.min(spec.max) {
            true if spec.max > limit => (limit, Limited::ScaleUpLimit),
            true => (spec.max, Limited::TooManyReplicas),
            false => unlimited,
        };
        match &spec.behavior {
            None if wanted < spec.min => (spec.min, Limited::TooFewReplicas),
            None => at_most(doubled(current)),
            Some(behavior) if wanted > current => at_most(self.most(now, current, behavior)),
            Some(behavior) if wanted < current => {
                let limit = self.least(now, current, behavior);
                match wanted < limit.max(spec.min) {
                    true if spec.min < limit => (limit, Limited::ScaleDownLimit),
                    true => (spec.min, Limited::TooFewReplicas),
                    false => unlimited,
                }
            }
            Some(_) => unlimited,
        }
    }
}

/// The limit of one sync without `behavior`: twice as many, and four at least.
fn doubled(current: Replicas) -> Replicas {
    Replicas(current.0.saturating_mul(2).max(4))
}

/// Cut towards zero, as Go converts.
fn truncated(replicas: f64) -> i64 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the cast saturates, and truncation is what is meant"
    )]
    let whole = replicas as i64;
    whole
}

/// Back into the range of the API: below zero is zero, above int32 is its largest.
fn replicas(count: i64) -> Replicas {
    Replicas(u32::try_from(count.clamp(0, i64::from(i32::MAX))).unwrap_or_default())
}
