//! Generated payments, recorded by the minute, and a replay of them. Tests and `cargo bench --bench backtest` share it.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;
use tidetable::calendar::Almanac;
use tidetable::decision::Policy;
use tidetable::forecast::forecaster;
use tidetable::guard;
use tidetable::plan;
use tidetable::series::Series;
use tidetable::simulate::backtest::{Conditions, Fit, Outcome, Setup, replay};
use tidetable::simulate::hpa::Behavior;
use tidetable::simulate::{FineLoad, StartUp, Traffic, Within, traffic};
use tidetable::time::{Slot, Step, Timestamp};
use tidetable::units::{Load, LoadPerReplica, Quantile, Replicas};

pub(crate) const ZONE: Tz = Tz::America__New_York;
pub(crate) const LEAD_TIME: Duration = Duration::from_secs(120);

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().expect("an instant")
}

/// Payments a second, by the minute, as busy as they are on `day`.
pub(crate) fn payments(day: &str, span: Range<Timestamp>) -> Series {
    let traffic = Traffic::new(traffic::Options::new(7, ZONE, day.parse().expect("a date")));
    let step = Step::MINUTE;
    let (first, end) = (step.last_ended(span.start).next(), step.last_ended(span.end).next());
    let mut series = Series::empty(step, first);
    for slot in (first.0..end.0).map(Slot) {
        series.put(slot, Load::saturating(traffic.mean_rate(step.end(slot), 60)));
    }
    series
}

pub(crate) fn conditions() -> Conditions {
    Conditions {
        capacity: LoadPerReplica::try_new(120.0).expect("a capacity"),
        min: Replicas(3),
        max: Replicas(200),
        start_up: StartUp::Fixed(LEAD_TIME),
        pods_per_minute: None,
        behavior: Some(Behavior::recommended()),
        tolerance: 0.1,
        cpu: None,
        queue: Duration::from_secs(5),
        load_per: Duration::from_secs(1),
        rate_window: Duration::from_secs(60),
        age: Duration::from_secs(30),
    }
}

/// Replays `recorded` over `tested`, with settings chosen on `training` and models learned at `fits`.
pub(crate) fn replayed(
    recorded: &Series,
    training: &Range<Timestamp>,
    tested: &Range<Timestamp>,
    fits: &[Fit],
    watch: &(dyn Fn(Timestamp) -> ControlFlow<()> + Sync),
) -> Outcome {
    let conditions = conditions();
    let policy = Policy {
        plan: plan::Options {
            lead_time: LEAD_TIME,
            quantile: Quantile::P95,
            growth: plan::Growth::default(),
        },
        guard: guard::Options {
            stale_after: Duration::from_secs(180),
            ..guard::Options::active(conditions.min, conditions.max)
        },
    };
    replay(
        &Setup {
            target: &Arc::from("payments-api"),
            policy: &policy,
            tolerance: guard::Tolerance::default(),
            zone: ZONE,
            settle_lag: Duration::from_secs(120),
            memory: Duration::from_secs(3 * 86_400),
            history: Duration::from_secs(56 * 86_400),
            recorded,
            load: &FineLoad::of(recorded, Within::Wandering { seed: 7 }),
            conditions: &conditions,
            training,
            tested,
            fits,
            forecaster: &*forecaster(&Almanac::none(ZONE), &Arc::default()),
            quantiles: &[],
            utilization: 1.0,
            utilizations: &[0.7, 0.8, 0.9],
            kappa: 39.0,
        },
        watch,
    )
}
