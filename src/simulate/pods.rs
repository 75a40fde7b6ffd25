//! A deployment's pods: created at once, ready after a start-up time, deleted in the ReplicaSet's order.
//!
//! `status.replicas` counts created pods, which is why an HPA on an `AverageValue` does not see start-up at all. A cluster
//! may start only so many pods a minute; those that wait for a place begin their start-up when they have one. There are
//! no roll-outs and no evictions: whatever else a pod waits for is part of its start-up time.

use std::time::Duration;

use rand_distr::{Distribution, LogNormal};

use super::chance::{Purpose, generator};
use super::hpa::Scale;
use crate::time::Timestamp;
use crate::units::Replicas;

/// How long a pod takes from created to ready.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum StartUp {
    /// Each the same.
    Fixed(Duration),
    /// Lognormal: most near the median, some much later, as image pulls and full nodes have it.
    Lognormal {
        /// Half of them take longer.
        median: Duration,
        /// Standard deviation of the logarithm. With 0.25 one pod in twenty takes half as long again.
        sigma: f64,
        /// The n-th pod created takes the same time under the same seed.
        seed: u64,
    },
}

impl StartUp {
    /// What the n-th pod takes. A start-up of less than no time is none.
    fn of(self, ordinal: i64) -> Duration {
        match self {
            Self::Fixed(duration) => duration,
            Self::Lognormal { median, sigma, seed } => {
                let times = LogNormal::new(0.0, sigma)
                    .map_or(1.0, |factor| factor.sample(&mut generator(seed, Purpose::StartUp, ordinal)));
                Duration::try_from_secs_f64(median.as_secs_f64() * times).unwrap_or(median)
            }
        }
    }
}

/// The pods of one deployment.
#[derive(Debug, Clone, PartialEq)]
pub struct Pods {
    start_up: StartUp,
    /// Between two pods that the cluster starts.
    spacing: Duration,
    /// When the last pod that is gone had begun.
    last_begun: Option<Timestamp>,
    standing: Vec<Pod>,
    created: i64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Pod {
    created: Timestamp,
    /// When it found its place and began to start.
    begun: Timestamp,
    ready: Timestamp,
}

impl Pods {
    /// A deployment whose first pods have been ready for long.
    pub fn new(now: Timestamp, ready: Replicas, start_up: StartUp) -> Self {
        let standing = (0..ready.0).map(|_| Pod { created: now, begun: now, ready: now }).collect();
        Self { start_up, spacing: Duration::ZERO, last_begun: None, standing, created: 0 }
    }

    /// The same in a cluster that starts at most so many pods a minute. What is not a number above zero is no limit.
    #[must_use]
    pub fn growing_by(mut self, pods_per_minute: f64) -> Self {
        self.spacing = Duration::try_from_secs_f64(60.0 / pods_per_minute).unwrap_or_default();
        self
    }

    /// `spec.replicas` was written: creates what is missing, deletes what is too many.
    ///
    /// Deleted first are pods that are not ready, the youngest of them first; then ready ones, the most recently ready
    /// first. Source: Kubernetes `pkg/controller/controller_utils.go`, `ActivePodsWithRanks`.
    pub fn scale_to(&mut self, now: Timestamp, replicas: Replicas) {
        let wanted = usize::try_from(replicas.0).unwrap_or(usize::MAX);
        if self.standing.len() > wanted {
            self.standing
                .sort_by_key(|pod| if pod.ready <= now { (false, pod.ready) } else { (true, pod.created) });
            // A pod that goes before it began gives its place back.
            let gone = self.standing.drain(wanted..).map(|pod| pod.begun).filter(|begun| *begun <= now);
            self.last_begun = gone.chain(self.last_begun).max();
        }
        while self.standing.len() < wanted {
            let begun = self.next_place(now);
            let ready = begun + self.start_up.of(self.created);
            self.standing.push(Pod { created: now, begun, ready });
            self.created += 1;
        }
    }

    /// When the cluster can start one more pod.
    fn next_place(&self, now: Timestamp) -> Timestamp {
        if self.spacing.is_zero() {
            return now;
        }
        let last = self.standing.iter().map(|pod| pod.begun).chain(self.last_begun).max();
        last.map_or(now, |last| (last + self.spacing).max(now))
    }

    /// Pods that are ready at `now`.
    pub fn ready(&self, now: Timestamp) -> Replicas {
        counted(self.standing.iter().filter(|pod| pod.ready <= now).count())
    }

    /// Pods that were created, ready or not: what is paid for.
    pub fn status(&self) -> Replicas {
        counted(self.standing.len())
    }

    /// The deployment as an HPA finds it.
    pub fn scale(&self, now: Timestamp) -> Scale {
        Scale { spec: self.status(), status: self.status(), ready: self.ready(now) }
    }
}

fn counted(pods: usize) -> Replicas {
    Replicas(u32::try_from(pods).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::from_epoch_seconds;

    /// Scales at each `(second, replicas)`, then reads `(second, ready, created)`.
    fn check(start_up: StartUp, scalings: &[(i64, u32)], readings: &[(i64, u32, u32)]) {
        let mut pods = Pods::new(from_epoch_seconds(0), Replicas(2), start_up);
        let mut readings = readings.iter().peekable();
        for (second, replicas) in scalings.iter().chain(&[(i64::MAX / 2, 0)]) {
            while let Some((read, ready, created)) = readings.next_if(|(read, ..)| read < second) {
                let found = (pods.ready(from_epoch_seconds(*read)), pods.status());
                assert_eq!(found, (Replicas(*ready), Replicas(*created)), "at {read} s");
            }
            pods.scale_to(from_epoch_seconds(*second), Replicas(*replicas));
        }
    }

    #[test]
    fn pods_are_ready_when_they_have_started_and_not_before() {
        let two_minutes = StartUp::Fixed(Duration::from_secs(120));
        check(two_minutes, &[(10, 5)], &[(0, 2, 2), (11, 2, 5), (129, 2, 5), (130, 5, 5)]);
    }

    #[test]
    fn pending_pods_go_first() {
        let two_minutes = StartUp::Fixed(Duration::from_secs(120));
        check(two_minutes, &[(10, 5), (60, 6), (70, 4)], &[(71, 2, 4), (130, 4, 4)]);
        check(two_minutes, &[(10, 5), (60, 1)], &[(61, 1, 1)]);
    }

    #[test]
    fn a_cluster_that_starts_four_a_minute_makes_the_fifth_wait() {
        let minute = StartUp::Fixed(Duration::from_secs(60));
        let mut pods = Pods::new(from_epoch_seconds(0), Replicas(2), minute).growing_by(4.0);
        pods.scale_to(from_epoch_seconds(100), Replicas(7));
        // The places are at 100, 115, … 160 s, and each takes a minute from there.
        for (second, ready) in [(159, 2), (160, 3), (175, 4), (219, 6), (220, 7)] {
            assert_eq!(pods.ready(from_epoch_seconds(second)), Replicas(ready), "at {second} s");
        }
        let mut changed = Pods::new(from_epoch_seconds(0), Replicas(2), minute).growing_by(4.0);
        changed.scale_to(from_epoch_seconds(100), Replicas(7));
        changed.scale_to(from_epoch_seconds(101), Replicas(2));
        changed.scale_to(from_epoch_seconds(102), Replicas(3));
        assert_eq!(
            changed.ready(from_epoch_seconds(174)),
            Replicas(2),
            "one place was used, four were given back"
        );
        assert_eq!(changed.ready(from_epoch_seconds(175)), Replicas(3));
    }

    #[test]
    fn start_up_times_scatter_around_their_median_and_follow_the_seed() {
        let start_up = |seed| StartUp::Lognormal { median: Duration::from_secs(120), sigma: 0.25, seed };
        let mut times: Vec<f64> = (0..2000).map(|pod| start_up(7).of(pod).as_secs_f64()).collect();
        assert_eq!(start_up(7).of(3), start_up(7).of(3));
        assert_ne!(start_up(7).of(3), start_up(8).of(3));
        times.sort_by(f64::total_cmp);
        assert!((115.0..125.0).contains(&times[1000]), "median {}", times[1000]);
        assert!((170.0..195.0).contains(&times[1900]), "0.95 quantile {}", times[1900]);
    }

    #[test]
    fn a_start_up_that_makes_no_sense_is_the_median() {
        let median = Duration::from_secs(120);
        assert_eq!(StartUp::Lognormal { median, sigma: f64::NAN, seed: 7 }.of(0), median);
    }
}
