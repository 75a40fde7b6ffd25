//! What a way of scaling cost: pods that were late, transactions that failed, pods that were paid for.

use std::time::Duration;

use crate::decision::DECIDE_EVERY;
use crate::simulate::Tally;
use crate::time::{Timestamp, aligned_before};
use crate::units::Replicas;

const HOUR_SECONDS: i64 = 3600;

/// Sums over the syncs of a run. What was not recorded was not needed: there, only pods that exist are counted.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Score {
    /// Late pod-minutes, replica-hours and the worst shortfall.
    pub tally: Tally,
    /// Minutes in which a needed pod was not ready.
    pub under_minutes: f64,
    /// Minutes for which load was recorded.
    pub measured_minutes: f64,
    /// Pod-minutes that were needed.
    pub needed_pod_minutes: f64,
    /// Transactions.
    pub transactions: f64,
    /// Those that found neither capacity nor a place in the queue.
    pub failed: f64,
    /// How often `spec.replicas` was changed.
    pub scale_changes: u32,
    /// The hour of the clock with the most late pod-minutes, if any were late.
    pub worst_hour: Option<WorstHour>,
    hour: Option<WorstHour>,
}

/// An hour of the clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WorstHour {
    /// Its begin.
    pub from: Timestamp,
    /// Pod-minutes that were late in it.
    pub late_pod_minutes: f64,
}

/// One sync as it went.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Step {
    pub(super) at: Timestamp,
    pub(super) needed: Option<Replicas>,
    pub(super) ready: Replicas,
    pub(super) created: Replicas,
    pub(super) transactions: f64,
    pub(super) failed: f64,
    pub(super) changed: bool,
}

impl Score {
    /// Share of transactions that failed.
    pub fn failed_share(&self) -> f64 {
        if self.transactions > 0.0 { self.failed / self.transactions } else { 0.0 }
    }

    /// Late pod-minutes over those that were needed.
    pub fn late_share(&self) -> f64 {
        if self.needed_pod_minutes > 0.0 {
            self.tally.late_pod_minutes / self.needed_pod_minutes
        } else {
            0.0
        }
    }

    /// What a run cost when a late pod-hour costs `kappa` hours of a pod: in hours of a pod.
    pub fn weighed(&self, kappa: f64) -> f64 {
        self.tally.replica_hours + kappa * self.tally.late_pod_minutes / 60.0
    }

    pub(super) fn add(&mut self, step: &Step) {
        let minutes = DECIDE_EVERY.as_secs_f64() / 60.0;
        let needed = step.needed.unwrap_or_default();
        let late = needed.0.saturating_sub(step.ready.0);
        self.tally.add(DECIDE_EVERY, needed, step.ready, step.created);
        self.under_minutes += if late > 0 { minutes } else { 0.0 };
        self.measured_minutes += if step.needed.is_some() { minutes } else { 0.0 };
        self.needed_pod_minutes += f64::from(needed.0) * minutes;
        self.transactions += step.transactions;
        self.failed += step.failed;
        self.scale_changes += u32::from(step.changed);
        if late > 0 {
            self.add_to_hour(step.at, f64::from(late) * minutes);
        }
    }

    fn add_to_hour(&mut self, at: Timestamp, late_pod_minutes: f64) {
        let from = aligned_before(at, HOUR_SECONDS);
        let before = self.hour.filter(|hour| hour.from == from).map_or(0.0, |hour| hour.late_pod_minutes);
        let hour = WorstHour { from, late_pod_minutes: before + late_pod_minutes };
        self.hour = Some(hour);
        if self.worst_hour.is_none_or(|worst| worst.late_pod_minutes < hour.late_pod_minutes) {
            self.worst_hour = Some(hour);
        }
    }
}

/// What is over capacity waits in a line that the ready pods could work off within a bound; the rest has failed.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Queue {
    waiting: f64,
}

impl Queue {
    /// Takes in what arrived within `length`, serves at `per_second`, and says how much failed.
    pub(super) fn pass(&mut self, length: Duration, arrived: f64, per_second: f64, bound: Duration) -> f64 {
        let left = (self.waiting + arrived - per_second * length.as_secs_f64()).max(0.0);
        self.waiting = left.min(per_second * bound.as_secs_f64());
        left - self.waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::from_epoch_seconds;

    const QUARTER: Duration = Duration::from_secs(15);
    const BOUND: Duration = Duration::from_secs(5);

    #[test]
    fn a_queue_holds_what_can_be_worked_off_in_time_and_the_rest_fails() {
        let mut queue = Queue::default();
        // 10 a second served; 200 arrive where 150 fit: 50 are left, and 5 s of service are 50.
        assert!(queue.pass(QUARTER, 200.0, 10.0, BOUND).abs() < 1e-9);
        // The 50 come first, so of 160 only 100 find room and 50 a place to wait.
        assert!((queue.pass(QUARTER, 160.0, 10.0, BOUND) - 10.0).abs() < 1e-9);
        assert!(queue.pass(QUARTER, 0.0, 10.0, BOUND).abs() < 1e-9);
        assert!((queue.pass(QUARTER, 151.0, 10.0, Duration::ZERO) - 1.0).abs() < 1e-9);
        assert!((queue.pass(QUARTER, 7.0, 0.0, BOUND) - 7.0).abs() < 1e-9, "without a pod nothing waits");
    }

    #[test]
    fn the_worst_hour_is_one_of_the_clock() {
        let mut score = Score::default();
        for (second, needed) in [(3600, 12), (7100, 12), (7200, 14), (7215, 10), (7230, 9)] {
            score.add(&Step {
                at: from_epoch_seconds(second),
                needed: Some(Replicas(needed)),
                ready: Replicas(10),
                created: Replicas(12),
                transactions: 100.0,
                failed: 1.0,
                changed: second == 7200,
            });
        }
        let worst = score.worst_hour.unwrap();
        assert_eq!(worst.from, from_epoch_seconds(3600), "two pods for half a minute, as much and earlier");
        assert!((worst.late_pod_minutes - 1.0).abs() < 1e-12);
        assert!((score.tally.late_pod_minutes - 2.0).abs() < 1e-12);
        assert!((score.under_minutes - 0.75).abs() < 1e-12);
        assert_eq!((score.scale_changes, score.failed_share()), (1, 0.01));
    }
}
