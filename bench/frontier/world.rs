//! What one recording becomes: load by the quarter minute, what is needed and seen at each sync, and history by the minute.

use chrono::TimeDelta;
use tidetable::calendar::Almanac;
use tidetable::series::Series;
use tidetable::simulate::{FineLoad, Within};
use tidetable::time::{Step, Timestamp};
use tidetable::units::{Load, LoadPerReplica, Replicas};

use crate::trace::Trace;

/// The peak of the test span in replicas.
pub(crate) const PEAK_REPLICAS: f64 = 40.0;

/// The seed of the wander.
const SEED: u64 = 7;

/// The recording's bins begin so much before the collector's minutes, for no collector begins with them. The wander keeps each
/// bin's sum, so minutes that are bins are calmer than any that a decision sees between them; what is learned from would be.
const BINS_AHEAD_SECONDS: i64 = 15;

/// From a payment to its being in an answer, and the range of the rate.
const AGE_SECONDS: i64 = 30;
const WINDOW_SECONDS: i64 = 60;

/// One sync of the HPA, as the world is then.
#[derive(Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) at: Timestamp,
    /// Replicas that the last minute needed; `None` in a hole.
    pub(crate) needed: Option<Replicas>,
    /// The rate that a metrics source shows.
    pub(crate) seen: Option<Load>,
    /// Whether it lies within a ramp that is judged apart.
    pub(crate) in_ramp: bool,
}

/// A recording, ready to be scaled for.
pub(crate) struct World {
    pub(crate) name: String,
    load: FineLoad,
    pub(crate) minutes: Series,
    pub(crate) moments: Vec<Moment>,
    pub(crate) capacity: LoadPerReplica,
    pub(crate) almanac: Almanac,
}

impl World {
    pub(crate) fn of(trace: &Trace) -> Self {
        let load = FineLoad::of(&trace.recorded, Within::Wandering { seed: SEED });
        let rate = |until, seconds| rate(&load, until, seconds);
        let until = trace.test_start + TimeDelta::days(trace.test_days);
        let syncs = trace.test_days * 86_400 / 15;
        let instants = (0..syncs).map(|k| trace.test_start + TimeDelta::seconds(15 * k));
        let peak = instants.clone().filter_map(|at| rate(at, 60)).fold(0.0, f64::max);
        let capacity =
            LoadPerReplica::try_new(peak / PEAK_REPLICAS).expect("a trace with load in its test span");

        let first = Step::MINUTE.slot_of(trace.recorded.step().start(trace.recorded.first())).next();
        let mut minutes = Series::empty(Step::MINUTE, first);
        for slot in (first.0..Step::MINUTE.slot_of(until).0).map(tidetable::time::Slot) {
            match rate(Step::MINUTE.end(slot), 60) {
                Some(rate) => minutes.put(slot, Load::saturating(rate)),
                None => minutes.mask(slot),
            }
        }
        let ramps = ramps(&trace.name);
        let moments = instants
            .map(|at| Moment {
                at,
                needed: rate(at, 60).map(|rate| Replicas::bearing(Load::saturating(rate), capacity)),
                seen: rate(at - TimeDelta::seconds(AGE_SECONDS), WINDOW_SECONDS).map(Load::saturating),
                in_ramp: in_ramp(at, trace, ramps),
            })
            .collect();
        let almanac = Almanac::none(trace.zone);
        Self { name: trace.name.clone(), load, minutes, moments, capacity, almanac }
    }

    /// The mean rate of the so many seconds until an instant; `None` in a hole.
    pub(crate) fn rate(&self, until: Timestamp, seconds: i64) -> Option<f64> {
        rate(&self.load, until, seconds)
    }
}

fn rate(load: &FineLoad, until: Timestamp, seconds: i64) -> Option<f64> {
    load.mean_rate(until + TimeDelta::seconds(BINS_AHEAD_SECONDS), seconds)
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

fn in_ramp(at: Timestamp, trace: &Trace, ramps: &[(i64, i64)]) -> bool {
    use chrono::{Datelike, Timelike};
    let local = at.with_timezone(&trace.zone);
    let minute = i64::from(local.hour() * 60 + local.minute());
    local.weekday().num_days_from_monday() < 5
        && ramps.iter().any(|(from, until)| (*from..*until).contains(&minute))
}
