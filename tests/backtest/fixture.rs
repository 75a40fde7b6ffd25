//! Generated payments, recorded by the minute, and a replay of them.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use chrono_tz::Tz;
use tidetable::calendar::Almanac;
use tidetable::decision::Policy;
use tidetable::forecast::forecaster;
use tidetable::guard::{self, Mode};
use tidetable::plan;
use tidetable::series::Series;
use tidetable::simulate::backtest::{Conditions, Fit, Outcome, Setup, replay};
use tidetable::simulate::hpa::Behavior;
use tidetable::simulate::{FineLoad, StartUp, Traffic, Within, traffic};
use tidetable::time::{Slot, Step, Timestamp};
use tidetable::units::{Load, LoadPerReplica, Quantile, Replicas};

pub(crate) const ZONE: Tz = Tz::America__New_York;
pub(crate) const LEAD_TIME: Duration = Duration::from_secs(120);

/// A fortnight before pay day and the days after.
pub(crate) const BEGIN: &str = "2026-05-01T04:00:00Z";

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Payments a second, by the minute, from [`BEGIN`] on.
pub(crate) fn recorded(days: i64) -> Series {
    let traffic = Traffic::new(traffic::Options::new(7, ZONE, "2026-05-15".parse().unwrap()));
    let step = Step::MINUTE;
    let first = step.last_ended(at(BEGIN)).next();
    let mut series = Series::empty(step, first);
    for slot in (first.0..first.0 + days * 1440).map(Slot) {
        series.put(slot, Load::saturating(traffic.mean_rate(step.end(slot), 60)));
    }
    series
}

pub(crate) fn conditions() -> Conditions {
    Conditions {
        capacity: LoadPerReplica::try_new(120.0).unwrap(),
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

/// Replays `recorded` over `tested`, with a fit every six hours.
pub(crate) fn replayed(
    recorded: &Series,
    tested: Range<Timestamp>,
    watch: &(dyn Fn(Timestamp) -> ControlFlow<()> + Sync),
) -> Outcome {
    let step = recorded.step();
    let conditions = conditions();
    let policy = Policy {
        plan: plan::Options {
            lead_time: LEAD_TIME,
            quantile: Quantile::P95,
            growth: plan::Growth::default(),
        },
        guard: guard::Options {
            min: conditions.min,
            max: conditions.max,
            scale_down_hold: Duration::from_secs(60),
            stale_after: Duration::from_secs(180),
            mode: Mode::Active,
            floor: guard::Floor::Reactive,
            hold: None,
        },
    };
    let settle_lag = Duration::from_secs(120);
    let fit = |back: i64| {
        let in_force = tested.start - TimeDelta::hours(1) + TimeDelta::hours(6 * back);
        Fit { origin: step.last_ended(in_force - TimeDelta::minutes(3)).next(), in_force }
    };
    let days = (tested.end - tested.start).num_days() + 1;
    let fits: Vec<Fit> = (0..=4 * days).map(fit).filter(|fit| fit.in_force < tested.end).collect();
    let training = (tested.start - TimeDelta::days(7))..tested.start;
    replay(
        &Setup {
            target: &Arc::from("payments-api"),
            policy: &policy,
            tolerance: guard::Tolerance::default(),
            zone: ZONE,
            settle_lag,
            memory: Duration::from_secs(3 * 86_400),
            history: Duration::from_secs(56 * 86_400),
            recorded,
            load: &FineLoad::of(recorded, Within::Wandering { seed: 7 }),
            conditions: &conditions,
            training: &training,
            tested: &tested,
            fits: &fits,
            forecaster: &*forecaster(&Almanac::none(ZONE), &Arc::default()),
            quantiles: &[],
            utilization: 1.0,
            utilizations: &[0.7, 0.8, 0.9],
            kappa: 39.0,
        },
        watch,
    )
}

pub(crate) fn to_the_end(_: Timestamp) -> ControlFlow<()> {
    ControlFlow::Continue(())
}
