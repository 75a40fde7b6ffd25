//! What a way of scaling cost: pods that were late, and pods that were paid for.

use std::time::Duration;

use super::Traffic;
use crate::time::Timestamp;
use crate::units::{Load, LoadPerReplica, Replicas};

/// The need of a moment is what the mean demand of the last minute needs; shorter spikes queue.
pub const NEED_WINDOW_SECONDS: i64 = 60;

/// Sums over the steps of a run.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Tally {
    /// Minutes for which one needed pod was not ready, summed over pods.
    pub late_pod_minutes: f64,
    /// Hours for which one pod existed, ready or not, summed over pods.
    pub replica_hours: f64,
    /// The most pods that were missing at once.
    pub worst_shortfall: Replicas,
}

impl Tally {
    /// Adds a step of `length` during which `needed` pods were needed, `ready` were ready and `created` existed.
    pub fn add(&mut self, length: Duration, needed: Replicas, ready: Replicas, created: Replicas) {
        let shortfall = Replicas(needed.0.saturating_sub(ready.0));
        self.late_pod_minutes += f64::from(shortfall.0) * length.as_secs_f64() / 60.0;
        self.replica_hours += f64::from(created.0) * length.as_secs_f64() / 3600.0;
        self.worst_shortfall = self.worst_shortfall.max(shortfall);
    }
}

/// Replicas that the payments of the minute before `at` needed, seen or not.
pub fn needed(traffic: &Traffic, at: Timestamp, capacity: LoadPerReplica) -> Replicas {
    Replicas::bearing(Load::saturating(traffic.mean_rate(at, NEED_WINDOW_SECONDS)), capacity)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_pods_count_by_the_minute_and_created_ones_by_the_hour() {
        let mut tally = Tally::default();
        for (needed, ready, created) in [(10, 4, 10), (10, 10, 12), (8, 10, 12), (3, 2, 2)] {
            tally.add(Duration::from_secs(15), Replicas(needed), Replicas(ready), Replicas(created));
        }
        assert!((tally.late_pod_minutes - 7.0 * 0.25).abs() < 1e-12);
        assert!((tally.replica_hours - 36.0 / 240.0).abs() < 1e-12);
        assert_eq!(tally.worst_shortfall, Replicas(6));
    }
}
