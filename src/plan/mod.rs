//! Demand becomes replicas: how many pods the coming lead-time window needs.
//!
//! A pod asked for now is ready one lead time from now. What must stand is therefore the most that any slot between now
//! and then needs, read at the quantile that the operator's costs choose. This module refuses to know what is running:
//! that a need may not be met in time, or must not fall yet, is [`crate::guard`]'s to say.

mod growth;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::forecast::{Cause, Components, EventFloor, Fitted, Known};
use crate::time::{Slot, Step, Timestamp};
use crate::units::{Load, LoadPerReplica, Quantile, Replicas};

pub use growth::{Growth, SYNC, ScaleUp, ScaleUpPolicy, Select, Unit};

/// What turns demand into replicas.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// From asking for a pod to the pod being ready.
    pub lead_time: Duration,
    /// How sure to be.
    pub quantile: Quantile,
}

/// Between two decisions that reach pods lies at most: one answer interval, one HPA sync and the time an answer waits
/// to be in force on every replica. The window is longer than the lead time by this, or the last seconds of a ramp
/// would belong to nobody.
pub const RENEWAL: Duration = Duration::from_secs(45);

/// The replicas needed over the coming lead-time window, and the moment that decides it.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The need.
    pub replicas: Replicas,
    /// The quantile it was read at.
    pub quantile: Quantile,
    /// The last instant of known demand that the forecast rests on.
    pub origin: Timestamp,
    /// The end of the slot with the largest demand in the window.
    pub peak_at: Timestamp,
    /// Demand there, at `quantile`.
    pub peak: Load,
    /// Demand there, at the median.
    pub median: Load,
    /// What the forecast there is made of.
    pub components: Components,
    /// The calendar or event among them, if one is in force there.
    pub cause: Option<Cause>,
}

/// What stands ready for a declared event, whether or not the forecast is trusted.
#[derive(Debug, Clone, PartialEq)]
pub struct EventNeed {
    /// The need.
    pub replicas: Replicas,
    /// The event.
    pub name: Arc<str>,
    /// The most that it may bring within the window.
    pub load: Load,
    /// When: the end of the slot.
    pub at: Timestamp,
}

/// The plan at `now` for the window `(now, now + lead time + RENEWAL]`, read at `quantile`, with replicas that bear
/// `capacity` each, in the unit of what is known.
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
) -> Option<Plan> {
    let step = known.settled.step();
    let forecast = model.forecast(known, window(now, step, options), &[Quantile::MEDIAN, quantile])?;
    let row = forecast.rows().max_by(|a, b| a.loads[1].total_cmp(&b.loads[1]).then(b.slot.cmp(&a.slot)))?;
    let peak = Load::saturating(row.loads[1]);
    Some(Plan {
        replicas: Replicas::bearing(peak, capacity),
        quantile,
        origin: forecast.origin,
        peak_at: step.end(row.slot),
        peak,
        median: Load::saturating(row.loads[0]),
        components: row.components,
        cause: forecast.cause(&row.components).cloned(),
    })
}

/// What the events of the same window need at `now`; `None` when there is none, or nothing is known to multiply.
pub fn for_events(
    now: Timestamp,
    model: &dyn Fitted,
    known: &Known<'_>,
    capacity: LoadPerReplica,
    options: &Options,
) -> Option<EventNeed> {
    let EventFloor { load, at, name } =
        model.event_floor(known, window(now, known.settled.step(), options))?;
    Some(EventNeed { replicas: Replicas::bearing(load, capacity), name, load, at })
}

/// The slots between now and the moment at which a pod asked for after the next decision is ready.
fn window(now: Timestamp, step: Step, options: &Options) -> Range<Slot> {
    let until = now + options.lead_time + RENEWAL;
    step.last_ended(now).next()..step.slot_of(until).next()
}
