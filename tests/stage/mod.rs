//! What the tests and the bench of the servers play on: targets, decisions, and a clock moved by hand.

#![expect(clippy::unwrap_used, reason = "what is written here is legal, or the test is wrong")]

use std::sync::Arc;
use std::time::Duration;

use tidetable::calendar::Almanac;
use tidetable::decision::{Claim, Decision, Policy};
use tidetable::engine::{Clock, Demand, LeadTime, ScaleUpFrom, ScaledObject, Target};
use tidetable::forecast::{Components, Observation};
use tidetable::guard::{self, Applied, Rule, Rung};
use tidetable::plan::{self, Plan};
use tidetable::time::{Step, Timestamp};
use tidetable::units::{Load, LoadPerReplica, Quantile, Replicas};
use tokio::sync::watch;

/// Black Friday, 09:00 in London.
pub(crate) fn nine() -> Timestamp {
    "2026-11-27T09:00:00Z".parse().unwrap()
}

pub(crate) fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A target bound to the ScaledObject of the same name in `payments`.
pub(crate) fn target(name: &str) -> Arc<Target> {
    Arc::new(Target {
        name: name.into(),
        labels: std::collections::BTreeMap::default(),
        scaled_object: ScaledObject { namespace: "payments".into(), name: name.into() },
        demands: vec![Demand {
            name: "demand".into(),
            source: "main".into(),
            query: "sum(rate(payment_transactions_total[2m]))".into(),
            label: None,
            step: Step::MINUTE,
            settle_lag: seconds(60),
            history: seconds(15 * 86_400),
            unit: "tx/s".into(),
            capacity: LoadPerReplica::try_new(120.0).unwrap(),
        }],
        timezone: chrono_tz::Europe::London,
        almanac: Almanac::none(chrono_tz::Europe::London),
        lead_time: LeadTime::Configured,
        scale_up: ScaleUpFrom::Configured,
        exclude: Arc::default(),
        policy: Policy {
            plan: plan::Options {
                lead_time: seconds(90),
                quantile: Quantile::P95,
                growth: plan::Growth::default(),
            },
            guard: guard::Options {
                scale_down_hold: seconds(300),
                ..guard::Options::active(Replicas(0), Replicas(200))
            },
        },
        tolerance: guard::Tolerance::default(),
    })
}

/// A decision in force from `at`: planned and answered `replicas`, with ten seconds old measurements that need two
/// fewer; or, without a number, one that never saw a measurement.
pub(crate) fn decision(target: &str, at: Timestamp, replicas: Option<u32>) -> Arc<Decision> {
    let load = |replicas: u32| Load::try_new(f64::from(replicas) * 120.0).unwrap();
    let rung = if replicas.is_some() { Rung::Planned } else { Rung::Unavailable };
    Arc::new(Decision {
        target: target.into(),
        at,
        effective_from: at,
        rung,
        claims: vec![Claim {
            demand: "demand".into(),
            rung,
            observed: replicas
                .map(|count| Observation { at: at - seconds(10), load: load(count.saturating_sub(2)) }),
            reactive_need: replicas.map(|count| Replicas(count.saturating_sub(2))),
            plan: replicas.map(|count| Plan {
                replicas: Replicas(count),
                quantile: Quantile::P95,
                origin: at - seconds(60),
                peak_at: at + seconds(120),
                peak: load(count),
                median: load(count.saturating_sub(1)),
                watched: None,
                components: Components::default(),
                cause: None,
                climb: None,
                absurd: None,
            }),
            event_need: None,
            surge: None,
        }],
        shortfall: None,
        prospects: Arc::default(),
        applied: replicas
            .map(|count| Applied {
                rule: Rule::ScaleDownHold,
                from: Some(Replicas(count)),
                to: Replicas(count),
                why: format!("{count} were proposed 15 s ago"),
            })
            .into_iter()
            .collect(),
        guarded: replicas.map(Replicas),
    })
}

/// A clock that stands until it is moved.
#[derive(Debug)]
pub(crate) struct HandClock(watch::Sender<Timestamp>);

impl HandClock {
    pub(crate) fn at(now: Timestamp) -> Arc<Self> {
        Arc::new(Self(watch::Sender::new(now)))
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.0.send_modify(|now| *now += by);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        *self.0.borrow()
    }

    async fn sleep_until(&self, at: Timestamp) {
        let mut now = self.0.subscribe();
        now.wait_for(|now| *now >= at).await.expect("the sender is `self`");
    }
}
