//! Two clusters under one traffic: one scaled by our answers, one by the rate it sees.
//!
//! Both have the same pods, the same bounds and the same HPA behavior, so that what differs is what they are told. The
//! world is pure: the caller says what time it is and what the scaler answered.

use std::sync::Arc;
use std::time::Duration;

use crate::simulate::hpa::{Behavior, Metric, Outcome, Reading, Spec};
use crate::simulate::tally::needed;
use crate::simulate::{Hpa, Pods, Reactive, StartUp, Tally, Traffic};
use crate::time::Timestamp;
use crate::units::{LoadPerReplica, Replicas};

/// What both clusters are made of.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Options {
    /// What one replica bears.
    pub(super) capacity: LoadPerReplica,
    /// Never fewer.
    pub(super) min: Replicas,
    /// Never more.
    pub(super) max: Replicas,
    /// From created to ready.
    pub(super) start_up: StartUp,
    /// The behavior of both HPAs.
    pub(super) behavior: Option<Behavior>,
    /// How full the reactive HPA runs its pods.
    pub(super) utilization: f64,
}

/// One cluster.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cluster {
    /// Its autoscaler.
    pub(super) hpa: Hpa,
    /// Its pods.
    pub(super) pods: Pods,
    /// What it has cost so far.
    pub(super) tally: Tally,
}

/// How one cluster stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    /// Pods it has now been told to run.
    pub(super) asked: Replicas,
    /// Pods that are ready.
    pub(super) ready: Replicas,
    /// Pods that are needed and not ready.
    pub(super) late: Replicas,
}

/// Both clusters at one instant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Moment {
    /// The instant.
    pub(super) at: Timestamp,
    /// Payments per second, as a two-minute rate sees them; `None` while nothing is scraped.
    pub(super) observed: Option<f64>,
    /// Pods that the last minute's payments really needed.
    pub(super) needed: Replicas,
    /// What the scaler answered; `None` when that was an error.
    pub(super) answered: Option<f64>,
    /// Ours.
    pub(super) ours: Standing,
    /// The reactive one.
    pub(super) reactive: Standing,
}

/// Two clusters and what they bear.
#[derive(Debug, Clone)]
pub(super) struct World {
    /// What they bear.
    pub(super) traffic: Arc<Traffic>,
    /// Scaled by our answers.
    pub(super) ours: Cluster,
    /// Scaled by the rate it sees.
    pub(super) reactive: Cluster,
    trigger: Reactive,
    capacity: LoadPerReplica,
    until: Timestamp,
}

impl World {
    /// Both clusters at `begin`, with as many pods as a reactive HPA would have come to.
    pub(super) fn new(traffic: Arc<Traffic>, begin: Timestamp, options: &Options) -> Self {
        // It reads the newest scrape, as ours does: what differs is not how old the news are.
        let trigger =
            Reactive { age: Duration::ZERO, ..Reactive::new(options.capacity, options.utilization) };
        let settled =
            LoadPerReplica::try_new(options.capacity.get() * options.utilization).unwrap_or(options.capacity);
        let pods = needed(&traffic, begin, settled).clamp(options.min, options.max);
        let cluster = |metric| Cluster {
            hpa: Hpa::new(Spec::new(options.min, options.max, metric, options.behavior.clone())),
            pods: Pods::new(begin, pods, options.start_up),
            tally: Tally::default(),
        };
        Self {
            ours: cluster(Metric::REPLICAS),
            reactive: cluster(trigger.metric()),
            trigger,
            capacity: options.capacity,
            until: begin,
            traffic,
        }
    }

    /// One sync of both HPAs at `now`, which must not be before the last. `answer` is what the scaler said to KEDA.
    ///
    /// The time since the last sync is tallied first, with the pods that are ready at its end.
    pub(super) fn advance(&mut self, now: Timestamp, answer: Reading) -> Moment {
        let length = (now - self.until).to_std().unwrap_or_default();
        self.until = self.until.max(now);
        let needed = needed(&self.traffic, now, self.capacity);
        let seen = self.trigger.reading(&self.traffic, now);
        Moment {
            at: now,
            observed: self.traffic.observed(now, 120),
            needed,
            answered: match answer {
                Reading::Value(replicas) => Some(replicas),
                Reading::Failed => None,
            },
            ours: self.ours.advance(now, length, needed, answer),
            reactive: self.reactive.advance(now, length, needed, seen),
        }
    }
}

impl Cluster {
    fn advance(&mut self, now: Timestamp, length: Duration, needed: Replicas, reading: Reading) -> Standing {
        let ready = self.pods.ready(now);
        self.tally.add(length, needed, ready, self.pods.status());
        let outcome: Outcome = self.hpa.sync(now, self.pods.scale(now), &[reading]);
        if let Some(desired) = outcome.desired() {
            self.pods.scale_to(now, desired);
        }
        Standing {
            asked: self.pods.status(),
            ready: self.pods.ready(now),
            late: Replicas(needed.0.saturating_sub(ready.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{NaiveDate, TimeDelta};
    use chrono_tz::Tz;

    use super::*;
    use crate::simulate::traffic;

    const SYNC: TimeDelta = TimeDelta::seconds(15);

    fn world(hour: u32, minute: u32) -> (World, Timestamp) {
        let day: NaiveDate = "2026-11-25".parse().unwrap();
        let traffic = Traffic::new(traffic::Options::new(7, Tz::America__New_York, day));
        let begin = traffic.options().instant(hour, minute);
        let options = Options {
            capacity: LoadPerReplica::try_new(120.0).unwrap(),
            min: Replicas(3),
            max: Replicas(200),
            start_up: StartUp::Fixed(Duration::from_secs(120)),
            behavior: Some(Behavior::recommended()),
            utilization: 0.8,
        };
        (World::new(Arc::new(traffic), begin, &options), begin)
    }

    #[test]
    fn who_knows_the_opening_is_ready_for_it_and_who_only_sees_it_is_late() {
        let (mut world, begin) = world(9, 15);
        for sync in 1..=120 {
            let now = begin + SYNC * sync;
            // An oracle: what is needed at any time within the next three minutes.
            let ahead = (0..=12).map(|step| needed(&world.traffic, now + SYNC * step, world.capacity).0);
            let answer = Reading::Value(f64::from(ahead.max().unwrap()));
            world.advance(now, answer);
        }
        let (ours, reactive) = (world.ours.tally, world.reactive.tally);
        assert!(ours.late_pod_minutes < 0.5, "{ours:?}");
        assert!(reactive.late_pod_minutes > 20.0, "{reactive:?}");
        assert!(reactive.worst_shortfall > Replicas(8), "{reactive:?}");
        assert!(ours.replica_hours < 1.15 * reactive.replica_hours, "{ours:?} {reactive:?}");
    }

    #[test]
    fn an_answer_walks_through_hpa_and_start_up_before_it_bears_load() {
        let (mut world, begin) = world(3, 0);
        let before = world.advance(begin + SYNC, Reading::Value(7.0)).ours;
        let stood: Vec<Standing> =
            (2..=12).map(|sync| world.advance(begin + SYNC * sync, Reading::Value(30.0)).ours).collect();
        assert_eq!(stood[0].asked, Replicas(30));
        // The seven were asked for at 15 s and are ready at 135 s; the thirty follow 15 s later.
        let ready: Vec<u32> = stood.iter().map(|standing| standing.ready.0).collect();
        let at_first = before.ready.0;
        assert_eq!(ready, [[at_first; 7].as_slice(), &[7, 30, 30, 30]].concat());
    }

    #[test]
    fn without_an_answer_and_without_a_rate_both_hold() {
        let (mut world, begin) = world(14, 44);
        let asked = world.ours.pods.status();
        for sync in 1..=12 {
            let moment = world.advance(begin + SYNC * sync, Reading::Failed);
            assert_eq!(moment.answered, None);
            assert_eq!(moment.observed, None);
            assert_eq!((moment.ours.asked, moment.reactive.asked), (asked, asked));
        }
    }

    #[test]
    fn the_same_day_twice_is_the_same_day() {
        let day = || {
            let (mut world, begin) = world(9, 25);
            for sync in 1..=60 {
                world.advance(begin + SYNC * sync, Reading::Value(f64::from(20 + sync % 7)));
            }
            (world.ours, world.reactive)
        };
        assert_eq!(day(), day());
    }
}
