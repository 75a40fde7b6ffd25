//! Demand becomes replicas: how many pods the coming lead-time window needs, and what must stand already for the climb
//! to a later peak.
//!
//! A pod asked for now is ready one lead time from now. What must be asked for is therefore what is needed then, read at
//! the quantile that the operator's costs choose. Where the model knows the next minutes ([`Fitted::peak`]) they decide,
//! for what comes before has been asked for already and the floor holds what is there; otherwise the most that any slot of
//! the window needs, at the quantile of that most ([`Fitted::level_of_most`]). At an edge both do (`edge.rs`). A later peak
//! counts as far as the way up to it must begin now ([`Growth`]).
//!
//! This module refuses to know what is running: that a need may not be met in time, or must not fall yet, is
//! [`crate::guard`]'s to say.

mod asked;
mod believable;
mod climb;
mod edge;
mod event;
mod growth;
pub mod lead_time;
mod prospect;
mod shortfall;

use std::time::Duration;

use self::asked::Asked;
use self::believable::Believable;
use self::climb::Way;
use crate::forecast::{Cause, Components, Fitted, Forecast, Known, Row};
use crate::time::Timestamp;
use crate::units::{Load, LoadPerReplica, Quantile, Replicas};

pub use asked::Watched;
pub use believable::ABSURD;
pub use climb::Climb;
pub use event::{EventNeed, for_events};
pub use growth::{Growth, SYNC, ScaleUp, ScaleUpPolicy, Select, Unit};
pub use prospect::{Counts, Prospect};
pub use shortfall::{Footing, Limit, Shortfall};

/// What turns demand into replicas.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// From asking for a pod to the pod being ready.
    pub lead_time: Duration,
    /// How sure to be.
    pub quantile: Quantile,
    /// How fast replicas can climb.
    pub growth: Growth,
}

/// Between two decisions that reach pods lies at most: one answer interval, one HPA sync and the time an answer waits
/// to be in force on every replica. The window is longer than the lead time by this, or the last seconds of a ramp
/// would belong to nobody.
pub const RENEWAL: Duration = Duration::from_secs(45);

/// Where pods take longer than this, surge and calm look at the minutes before they are ready: the last of which something is said
/// also while the newest measurement is a minute late.
const WATCHED: Duration = Duration::from_secs(13 * 60);

/// The replicas needed over the coming lead-time window, and the moment that decides it.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The need.
    pub replicas: Replicas,
    /// The quantile it was read at.
    pub quantile: Quantile,
    /// The last instant of known demand that the forecast rests on.
    pub origin: Timestamp,
    /// The moment with the largest demand in the window.
    pub peak_at: Timestamp,
    /// Demand there, at `quantile`.
    pub peak: Load,
    /// Demand there, at the median.
    pub median: Load,
    /// What is said for surge and calm, where the model knows the next minutes.
    pub watched: Option<Watched>,
    /// What the forecast there is made of.
    pub components: Components,
    /// The calendar or event among them, if one is in force there.
    pub cause: Option<Cause>,
    /// The later peak for whose sake more is asked for than the moment spoken of needs.
    pub climb: Option<Climb>,
    /// What the model said of the moment spoken of or of the later peak, where that was beyond [`ABSURD`] times anything seen and was
    /// cut.
    pub absurd: Option<Load>,
}

impl Plan {
    /// What `forecast` says in one of its rows, and there of the median and of `quantile`; nothing is made of it yet.
    fn of_slot(forecast: &Forecast, row: &Row<'_>, [median, own]: [f64; 2], quantile: Quantile) -> Self {
        Self {
            replicas: Replicas(0),
            quantile,
            origin: forecast.origin,
            peak_at: forecast.step().end(row.slot),
            peak: Load::saturating(own),
            median: Load::saturating(median),
            watched: None,
            components: row.components,
            cause: forecast.cause(&row.components).cloned(),
            climb: None,
            absurd: None,
        }
    }
}

/// The plan at `now` for the window `(now, now + lead time + RENEWAL]`, read at `quantile`, with replicas that bear
/// `capacity` each, in the unit of what is known. No climb leads above `max`.
///
/// `None` when the model cannot speak of the whole window: it was never fitted this far ahead, or what is known has
/// become too old.
pub fn for_lead_time(
    now: Timestamp,
    model: &dyn Fitted,
    known: &Known<'_>,
    capacity: LoadPerReplica,
    options: &Options,
    quantile: Quantile,
    max: Replicas,
) -> Option<Plan> {
    let until = now + options.lead_time + RENEWAL;
    // A plan of the next minutes speaks of a moment, one of the day of all that comes until the window ends.
    let (spoken_of, mut plan) = match next_minutes(until, model, known, quantile) {
        Some(plan) => (plan.peak_at, edge::over(plan, model, known, quantile)),
        None => (until, whole_window(now, until, model, known, quantile)?),
    };
    let believable = Believable::of(model, known);
    plan.absurd = believable.absurd(plan.peak.get(), &plan.components);
    plan.peak = believable.load(plan.peak.get(), &plan.components);
    plan.median = believable.load(plan.median.get(), &plan.components);
    plan.replicas = Replicas::bearing(plan.peak, capacity);
    let way = Way { spoken_of, growth: &options.growth, max };
    if let Some(begun) = way.begin(plan.replicas, model, known, believable, capacity, quantile) {
        plan.replicas = begun.replicas;
        plan.climb = Some(begun.climb);
        plan.absurd = plan.absurd.or(begun.absurd);
    }
    Some(plan)
}

/// What the model knows of the minutes in which the pods asked for now first serve.
fn next_minutes(until: Timestamp, model: &dyn Fitted, known: &Known<'_>, quantile: Quantile) -> Option<Plan> {
    let asked = Asked::with(quantile);
    let mut loads = [Load::ZERO; 4];
    let peak = model.peak(known, until, &asked.levels, &mut loads)?;
    let [median, own, for_long, unlikely] = asked.told(loads);
    Some(Plan {
        replicas: Replicas(0),
        quantile,
        origin: peak.origin,
        peak_at: peak.at,
        peak: own,
        median,
        watched: Some(Watched { at: peak.at, middle: median, for_long, unlikely }),
        components: Components {
            profile: peak.usual.get(),
            level: peak.point.get() - peak.effect - peak.usual.get(),
            effect: peak.effect,
            ..Components::default()
        },
        cause: peak.cause,
        climb: None,
        absurd: None,
    })
}

/// The slot of the window that needs the most, read so that `quantile` is the most's.
fn whole_window(
    now: Timestamp,
    until: Timestamp,
    model: &dyn Fitted,
    known: &Known<'_>,
    quantile: Quantile,
) -> Option<Plan> {
    let step = known.settled.step();
    let (first, last) = (step.last_ended(now).next(), step.slot_of(until));
    let of_each = model.level_of_most(last.next().since(first), quantile);
    let forecast = model.forecast(known, first..last.next(), &[Quantile::MEDIAN, of_each])?;
    let row = forecast.rows().max_by(|a, b| a.loads[1].total_cmp(&b.loads[1]).then(b.slot.cmp(&a.slot)))?;
    let watched =
        next_minutes(until.min(now + WATCHED), model, known, quantile).and_then(|plan| plan.watched);
    Some(Plan { watched, ..Plan::of_slot(&forecast, &row, [row.loads[0], row.loads[1]], quantile) })
}
