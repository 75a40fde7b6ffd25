//! What one recording becomes: the load that everybody has to bear, history by the minute, and what is learned from it.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use chrono_tz::Tz;
use rayon::prelude::*;
use tidetable::forecast::{Fitted, forecaster};
use tidetable::series::{Resample, Series, resample};
use tidetable::simulate::backtest::Conditions;
use tidetable::simulate::hpa::Behavior;
use tidetable::simulate::{FineLoad, StartUp, Within};
use tidetable::time::{Slot, Step, Timestamp};
use tidetable::units::{Load, LoadPerReplica, Replicas};

use crate::trace::Trace;

/// The peak of the test span in replicas.
pub(crate) const PEAK_REPLICAS: f64 = 40.0;

/// Nobody here is held back by a maximum.
const MOST: Replicas = Replicas(1000);

/// The seed of the wander.
const SEED: u64 = 7;

/// The recording's bins begin so much before the collector's minutes, for no collector begins with them. The wander keeps each
/// bin's sum, so minutes that are bins are calmer than any that a decision sees between them; what is learned from would be.
const BINS_AHEAD: TimeDelta = TimeDelta::seconds(15);

/// As everywhere: a slot is settled two minutes after its end, eight weeks are learned from, and three days are looked at.
pub(crate) const SETTLE_LAG: Duration = Duration::from_secs(120);
const HISTORY_DAYS: i64 = 56;

/// From the last slot that a fit may see to its being in force.
const FITTED_AFTER: TimeDelta = TimeDelta::minutes(3);

/// A recording, ready to be scaled for.
pub(crate) struct World {
    pub(crate) name: String,
    pub(crate) zone: Tz,
    pub(crate) load: FineLoad,
    /// What a collector would have kept.
    pub(crate) minutes: Series,
    pub(crate) tested: Range<Timestamp>,
    pub(crate) capacity: LoadPerReplica,
    /// From when each model is in force, in order. Whom it is asked for, and how surely, does not matter to it.
    pub(crate) models: Vec<(Timestamp, Arc<dyn Fitted>)>,
    /// Whether a sync lies within a ramp that is judged apart.
    pub(crate) in_ramp: Vec<bool>,
}

impl World {
    pub(crate) fn of(trace: &Trace) -> Self {
        let load = FineLoad::of(&trace.recorded, Within::Wandering { seed: SEED });
        let quarters = ahead(&trace.recorded, &load);
        let load = FineLoad::of(&quarters, Within::Smooth);
        let minutes = resample(&quarters, Step::MINUTE, Resample::Mean).expect("four quarters are a minute");
        let tested = trace.test_start..trace.test_start + TimeDelta::days(trace.test_days);
        let syncs = (0..trace.test_days * 86_400 / 15).map(|k| tested.start + TimeDelta::seconds(15 * k));
        let peak = syncs.clone().filter_map(|at| load.mean_rate(at, 60)).fold(0.0, f64::max);
        let capacity =
            LoadPerReplica::try_new(peak / PEAK_REPLICAS).expect("a trace with load in its test span");
        let models = learned(&minutes, trace, &tested);
        let in_ramp = syncs.map(|at| in_ramp(at, trace)).collect();
        Self {
            name: trace.name.clone(),
            zone: trace.almanac.timezone(),
            load,
            minutes,
            tested,
            capacity,
            models,
            in_ramp,
        }
    }

    /// The cluster, whose pods are ready after `lead` and whose HPA leaves what is within `tolerance` alone.
    pub(crate) fn conditions(&self, lead: Duration, tolerance: f64) -> Conditions {
        Conditions {
            capacity: self.capacity,
            min: Replicas(1),
            max: MOST,
            start_up: StartUp::Fixed(lead),
            pods_per_minute: None,
            behavior: Some(Behavior::default()),
            tolerance,
            cpu: None,
            queue: Duration::from_secs(5),
            load_per: Duration::from_secs(1),
            rate_window: Duration::from_secs(60),
            age: Duration::from_secs(30),
        }
    }
}

/// The load by the quarter minute, so much earlier than it was recorded.
fn ahead(recorded: &Series, load: &FineLoad) -> Series {
    let step = Step::try_new(Duration::from_secs(15)).expect("it goes into a minute");
    let begin = step.slot_of(recorded.step().start(recorded.first())).next();
    let end = step.last_ended(recorded.step().start(recorded.end()) - BINS_AHEAD).next();
    let mut quarters = Series::empty(step, begin);
    for slot in (begin.0..end.0).map(Slot) {
        match load.mean_rate(step.end(slot) + BINS_AHEAD, step.seconds()) {
            Some(rate) => quarters.put(slot, Load::saturating(rate)),
            None => quarters.mask(slot),
        }
    }
    quarters
}

/// A model for each day, from what had settled by its midnight; where that is too little, the one before stays in force.
fn learned(minutes: &Series, trace: &Trace, tested: &Range<Timestamp>) -> Vec<(Timestamp, Arc<dyn Fitted>)> {
    let forecaster = forecaster(&trace.almanac, &Arc::default());
    (-1..trace.test_days)
        .into_par_iter()
        .filter_map(|day| {
            let midnight = tested.start + TimeDelta::days(day);
            let origin = Step::MINUTE.last_ended(midnight - SETTLE_LAG).next();
            let oldest = Step::MINUTE.slot_of(midnight - TimeDelta::days(HISTORY_DAYS));
            let model = forecaster.fit(&minutes.between(oldest, origin), origin).ok()?;
            Some((midnight + FITTED_AFTER, Arc::from(model)))
        })
        .collect()
}

/// Local minutes of the day in which a trace is known to rise fast, on working days: what is judged apart. Nothing but the
/// judging knows them.
fn ramps(name: &str) -> &'static [(i64, i64)] {
    match name {
        "bank_calls_5m_tune" => &[(7 * 60 - 5, 7 * 60 + 30)],
        "nyc_taxi_30m" => &[(5 * 60, 9 * 60)],
        "spy_trades_5m_tune" => &[(9 * 60 + 25, 10 * 60), (15 * 60 + 45, 16 * 60 + 10)],
        _ => &[],
    }
}

fn in_ramp(at: Timestamp, trace: &Trace) -> bool {
    use chrono::{Datelike, Timelike};
    let local = at.with_timezone(&trace.almanac.timezone());
    let minute = i64::from(local.hour() * 60 + local.minute());
    local.weekday().num_days_from_monday() < 5
        && ramps(&trace.name).iter().any(|(from, until)| (*from..*until).contains(&minute))
}
