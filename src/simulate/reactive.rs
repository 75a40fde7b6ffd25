//! What most people run today: an HPA on the present rate, with headroom.
//!
//! Its trigger is KEDA's own `prometheus`: an `AverageValue` target of capacity × utilisation and the newest rate that
//! has been scraped and ingested. It is the peer beside which every claim of ours is measured, so it gets what a careful
//! operator would give it: a short window and a target that leaves room.

use std::time::Duration;

use super::Traffic;
use super::hpa::{Metric, Reading};
use crate::time::Timestamp;
use crate::units::LoadPerReplica;

/// A reactive scaler.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reactive {
    /// What one replica bears.
    pub capacity: LoadPerReplica,
    /// The part of it that is to be used: 0.8 keeps a fifth free.
    pub utilization: f64,
    /// Range of the rate, in seconds.
    pub window_seconds: i64,
    /// From a payment to its being in a query's answer: scrape interval, ingestion, evaluation.
    pub age: Duration,
}

impl Reactive {
    /// A one-minute rate, 30 s old. A longer window would cost it 6 to 40 % more late pods.
    pub fn new(capacity: LoadPerReplica, utilization: f64) -> Self {
        Self { capacity, utilization, window_seconds: 60, age: Duration::from_secs(30) }
    }

    /// The metric for its HPA.
    pub fn metric(&self) -> Metric {
        Metric::per_pod(self.capacity.get() * self.utilization)
    }

    /// What its trigger reads at `now`. During an outage that is an error, and the HPA holds.
    pub fn reading(&self, traffic: &Traffic, now: Timestamp) -> Reading {
        traffic.observed(now - self.age, self.window_seconds).map_or(Reading::Failed, Reading::Value)
    }
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;
    use chrono_tz::Tz;

    use super::*;
    use crate::simulate::hpa::{Hpa, Scale, Spec};
    use crate::simulate::traffic::Options;
    use crate::units::Replicas;

    /// Replicas that a reactive HPA wants at `hour`:`minute`, starting from 20.
    fn check(hour: u32, minute: u32, desired: Option<u32>) {
        let day: NaiveDate = "2026-11-25".parse().unwrap();
        let traffic = Traffic::new(Options::new(7, Tz::America__New_York, day));
        let now = traffic.options().instant(hour, minute);
        let reactive = Reactive::new(LoadPerReplica::try_new(120.0).unwrap(), 0.8);
        let mut hpa = Hpa::new(Spec::new(Replicas(3), Replicas(200), reactive.metric(), None));
        let scale = Scale { spec: Replicas(20), status: Replicas(20), ready: Replicas(20) };
        let outcome = hpa.sync(now, scale, &[reactive.reading(&traffic, now)]);
        assert_eq!(outcome.desired(), desired.map(Replicas), "{hour}:{minute}");
    }

    #[test]
    fn it_follows_what_it_sees() {
        // 4,700 payments a second when the market has opened, at 96 a pod; a sync may double.
        check(9, 34, Some(40));
        // 1,900 in the afternoon are 19.7 pods, within the dead band of 20.
        check(15, 0, Some(20));
    }

    #[test]
    fn it_holds_while_nothing_is_scraped() {
        check(14, 45, None);
    }
}
