//! KEDA between a scaler and the HPA: it polls, wakes from zero and sends back to it, and may stand in for a metric that
//! fails.
//!
//! After KEDA 2.20 as recorded with the genuine operator. Not here: pauses, scaling modifiers, push triggers, jobs.
//!
//! ```text
//! poll loop, every pollingInterval:  any trigger active? → 0 or idle ↔ min(1..)       (KEDA writes spec.replicas)
//! HPA sync, every 15 s:              reading of one metric → fallback, if it failed    (the HPA writes)
//! ```
//!
//! What is easily got wrong, and so has a test each: polls *and* reads count failures, and only more than the threshold
//! brings the fallback; a scaler that cannot even say its metrics counts none, so its fallback never comes; `lastActive`
//! is kept in whole seconds; and who was never active does not wait for any cooldown.

use std::time::Duration;

use super::hpa::{Reading, Target};
use crate::time::{Timestamp, epoch_seconds, from_epoch_seconds};
use crate::units::Replicas;

/// What a ScaledObject says, as far as replicas depend on it.
#[derive(Debug, Clone, PartialEq)]
pub struct ScaledObject {
    /// `minReplicaCount`; 0 lets KEDA scale to zero.
    pub min: Replicas,
    /// `idleReplicaCount`.
    pub idle: Option<Replicas>,
    /// `cooldownPeriod`: from the last activity to zero or idle.
    pub cooldown: Duration,
    /// `fallback`.
    pub fallback: Option<Fallback>,
    /// `triggers`, in order.
    pub triggers: Vec<Trigger>,
}

impl ScaledObject {
    /// How often a poll happens where `pollingInterval` is not said.
    pub const POLL_EVERY: Duration = Duration::from_secs(30);
    /// `cooldownPeriod` where it is not said.
    pub const COOLDOWN: Duration = Duration::from_secs(300);

    /// One trigger, never at zero, without a fallback: what most of them say.
    pub fn new(min: Replicas, target: Target) -> Self {
        let triggers = vec![Trigger { target, caching: Caching::AskEachTime }];
        Self { min, idle: None, cooldown: Self::COOLDOWN, fallback: None, triggers }
    }
}

/// One trigger with one metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trigger {
    /// What its metric is compared with.
    pub target: Target,
    /// `useCachedMetrics`.
    pub caching: Caching,
}

/// Where an HPA's read is answered from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caching {
    /// From the scaler.
    AskEachTime,
    /// From what the last poll heard, errors included.
    FromLastPoll,
}

/// `fallback`: what stands in for a metric that keeps failing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fallback {
    /// Failures that are borne; the next one brings the fallback.
    pub failure_threshold: u32,
    /// `replicas`.
    pub replicas: Replicas,
    /// `behavior`.
    pub behavior: FallbackBehavior,
}

/// How `fallback.replicas` and the present replicas go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FallbackBehavior {
    /// `fallback.replicas`.
    Static,
    /// The present ones.
    CurrentReplicas,
    /// The larger of both.
    CurrentReplicasIfHigher,
    /// The smaller of both.
    CurrentReplicasIfLower,
}

/// What one scaler says when it is asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Answer {
    /// A metric, and whether the workload should run at all.
    Said {
        /// `GetMetrics`.
        reading: f64,
        /// `IsActive`.
        active: bool,
    },
    /// `GetMetrics` or `IsActive` failed: the whole read fails, and counts as a failure.
    Failed,
    /// `GetMetricSpec` failed, as it does when nobody listens: every metric of the ScaledObject fails, and none counts.
    Unreachable,
}

/// A ScaledObject and what the operator remembers of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Keda {
    /// What it was told.
    pub scaled_object: ScaledObject,
    failures: Vec<u32>,
    last_poll: Vec<Answer>,
    last_active: Option<Timestamp>,
}

impl Keda {
    /// A ScaledObject that was just created.
    pub fn new(scaled_object: ScaledObject) -> Self {
        let triggers = scaled_object.triggers.len();
        Self { scaled_object, failures: vec![0; triggers], last_poll: Vec::new(), last_active: None }
    }

    /// One round of the poll loop, with an answer per trigger. `ready` matters to a fallback of a `Value` metric only.
    ///
    /// The result is what KEDA writes into `spec.replicas`; `None` where it leaves that to the HPA.
    pub fn poll(
        &mut self,
        now: Timestamp,
        current: Replicas,
        ready: Replicas,
        answers: &[Answer],
    ) -> Option<Replicas> {
        self.last_poll = answers.to_vec();
        let mut active = false;
        let mut failed = false;
        for (trigger, answer) in answers.iter().enumerate() {
            match answer {
                Answer::Said { active: said, .. } => {
                    self.answered(trigger);
                    active |= said;
                }
                // A fallback counts as activity, and so can wake a workload from zero.
                Answer::Failed => match self.stand_in(trigger, current, ready) {
                    Some(_) => active = true,
                    None => failed = true,
                },
                Answer::Unreachable => failed = true,
            }
        }
        let idle = self.scaled_object.idle;
        let min = self.scaled_object.min;
        if active {
            let asleep = current == Replicas(0) || (idle.is_some() && current < min);
            if asleep || !failed {
                self.last_active = Some(from_epoch_seconds(epoch_seconds(now)));
            }
            return asleep.then(|| min.max(Replicas(1)));
        }
        let rest = idle.unwrap_or(Replicas(0));
        let may_rest = current > rest && (idle.is_some() || min == Replicas(0));
        match failed {
            true => None,
            false if may_rest => self.cooled_down(now).then_some(rest),
            false => (current < min && idle.is_none()).then_some(min),
        }
    }

    /// What the HPA gets for the metric of one trigger, with an answer per trigger.
    pub fn read(
        &mut self,
        trigger: usize,
        current: Replicas,
        ready: Replicas,
        answers: &[Answer],
    ) -> Reading {
        let cached = self.scaled_object.triggers.get(trigger).map(|it| it.caching);
        let heard = match cached {
            Some(Caching::FromLastPoll) => self.last_poll.get(trigger).or(answers.get(trigger)),
            _ => answers.get(trigger),
        };
        match heard.copied() {
            Some(Answer::Said { reading, .. }) => {
                self.answered(trigger);
                let all_known = !answers.contains(&Answer::Unreachable);
                if all_known { Reading::Value(reading) } else { Reading::Failed }
            }
            Some(Answer::Failed) => self.stand_in(trigger, current, ready).unwrap_or(Reading::Failed),
            Some(Answer::Unreachable) | None => Reading::Failed,
        }
    }

    fn answered(&mut self, trigger: usize) {
        if let Some(failures) = self.failures.get_mut(trigger) {
            *failures = 0;
        }
    }

    /// Counts a failure; the fallback's reading once there are more than are borne.
    fn stand_in(&mut self, trigger: usize, current: Replicas, ready: Replicas) -> Option<Reading> {
        let failures = self.failures.get_mut(trigger)?;
        *failures = failures.saturating_add(1);
        let fallback = self.scaled_object.fallback.filter(|it| *failures > it.failure_threshold)?;
        let replicas = match fallback.behavior {
            FallbackBehavior::Static => fallback.replicas,
            FallbackBehavior::CurrentReplicas => current,
            FallbackBehavior::CurrentReplicasIfHigher => current.max(fallback.replicas),
            FallbackBehavior::CurrentReplicasIfLower => current.min(fallback.replicas),
        };
        let wanted = f64::from(replicas.0);
        match self.scaled_object.triggers.get(trigger)?.target {
            Target::PerPod(milli) => Some(Reading::Value(milli as f64 * wanted / 1000.0)),
            // Divided by ready pods, with which the HPA multiplies; with none there is nothing to divide by.
            Target::InAll(_) if ready == Replicas(0) => None,
            // A `cpu` trigger is between the HPA and the metrics server.
            Target::Utilization(_) => None,
            Target::InAll(milli) => Some(Reading::Value(milli as f64 * wanted / f64::from(ready.0) / 1000.0)),
        }
    }

    /// Whether the last activity is long enough ago; one who was never active need not wait.
    fn cooled_down(&self, now: Timestamp) -> bool {
        self.last_active.is_none_or(|last| last + self.scaled_object.cooldown <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Target = Target::PerPod(2000);

    fn at(second: i64) -> Timestamp {
        from_epoch_seconds(1_000_000 + second)
    }

    fn keda(min: u32, idle: Option<u32>, fallback: Option<(u32, u32, FallbackBehavior)>) -> Keda {
        let fallback = fallback.map(|(failure_threshold, replicas, behavior)| Fallback {
            failure_threshold,
            replicas: Replicas(replicas),
            behavior,
        });
        let scaled_object = ScaledObject {
            idle: idle.map(Replicas),
            cooldown: Duration::from_secs(60),
            fallback,
            ..ScaledObject::new(Replicas(min), TARGET)
        };
        Keda::new(scaled_object)
    }

    fn said(active: bool) -> Answer {
        Answer::Said { reading: 4.0, active }
    }

    /// Polls `(second, answer)`, each from the replicas that the one before left, and compares where they stand then.
    fn check(mut keda: Keda, from: u32, polls: &[(i64, Answer, u32)]) {
        let mut current = Replicas(from);
        for (second, answer, stands) in polls {
            current = keda.poll(at(*second), current, current, &[*answer]).unwrap_or(current);
            assert_eq!(current, Replicas(*stands), "at {second} s");
        }
    }

    #[test]
    fn activity_wakes_from_zero_and_a_cooldown_passes_before_sleep() {
        check(
            keda(0, None, None),
            0,
            &[
                (0, said(false), 0),
                (30, said(true), 1),
                (60, said(false), 1),
                (89, said(false), 1),
                (90, said(false), 0),
            ],
        );
        check(keda(3, Some(0), None), 0, &[(0, said(true), 3), (30, said(false), 3), (60, said(false), 0)]);
    }

    #[test]
    fn who_was_never_active_does_not_wait() {
        check(keda(0, None, None), 5, &[(0, said(false), 0)]);
    }

    #[test]
    fn an_error_neither_wakes_nor_sends_to_sleep() {
        check(keda(0, None, None), 5, &[(0, Answer::Failed, 5), (500, Answer::Unreachable, 5)]);
        check(keda(0, None, None), 0, &[(0, Answer::Failed, 0)]);
    }

    #[test]
    fn polls_and_reads_count_failures_together_and_the_fallback_comes_after_the_threshold() {
        let mut keda = keda(1, None, Some((3, 9, FallbackBehavior::CurrentReplicasIfHigher)));
        let five = Replicas(5);
        let read = |keda: &mut Keda, answer| keda.read(0, five, five, &[answer]);
        assert_eq!(read(&mut keda, Answer::Failed), Reading::Failed);
        keda.poll(at(0), five, five, &[Answer::Failed]);
        assert_eq!(read(&mut keda, Answer::Failed), Reading::Failed);
        assert_eq!(read(&mut keda, Answer::Failed), Reading::Value(18.0), "2 per pod, 9 pods");
        assert_eq!(read(&mut keda, said(true)), Reading::Value(4.0));
        assert_eq!(read(&mut keda, Answer::Failed), Reading::Failed, "one answer and counting begins anew");
    }

    #[test]
    fn a_scaler_that_nobody_reaches_never_brings_the_fallback() {
        let mut keda = keda(1, None, Some((0, 9, FallbackBehavior::Static)));
        for second in 0..100 {
            assert_eq!(keda.poll(at(second), Replicas(2), Replicas(2), &[Answer::Unreachable]), None);
            assert_eq!(keda.read(0, Replicas(2), Replicas(2), &[Answer::Unreachable]), Reading::Failed);
        }
    }

    #[test]
    fn a_fallback_wakes_from_zero() {
        let polls =
            [(0, 0), (5, 0), (10, 0), (15, 1)].map(|(second, stands)| (second, Answer::Failed, stands));
        check(keda(0, None, Some((3, 4, FallbackBehavior::Static))), 0, &polls);
    }

    #[test]
    fn one_scaler_that_nobody_reaches_fails_the_metrics_of_the_others() {
        let mut keda = keda(1, None, None);
        keda.scaled_object.triggers.push(Trigger { target: TARGET, caching: Caching::AskEachTime });
        let read = keda.read(0, Replicas(2), Replicas(2), &[said(true), Answer::Unreachable]);
        assert_eq!(read, Reading::Failed);
        assert_eq!(
            keda.read(0, Replicas(2), Replicas(2), &[said(true), Answer::Failed]),
            Reading::Value(4.0)
        );
    }

    #[test]
    fn a_cached_metric_is_what_the_last_poll_heard() {
        let mut keda = keda(1, None, None);
        keda.scaled_object.triggers[0].caching = Caching::FromLastPoll;
        keda.poll(at(0), Replicas(2), Replicas(2), &[said(true)]);
        let later = Answer::Said { reading: 8.0, active: true };
        assert_eq!(keda.read(0, Replicas(2), Replicas(2), &[later]), Reading::Value(4.0));
        keda.poll(at(30), Replicas(2), Replicas(2), &[later]);
        assert_eq!(keda.read(0, Replicas(2), Replicas(2), &[Answer::Failed]), Reading::Value(8.0));
    }
}
