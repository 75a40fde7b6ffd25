//! An edge: a bell, a launch or a batch, at which the day's forecast rises within minutes.
//!
//! What is said of the next minutes is learned from four weeks of them. That makes twenty bells of one kind, of which a rare
//! quantile cannot be read; and the days that a bell is like may be days without one, as a half day's are. The day's forecast
//! has seen more days and knows their calendars, so at an edge it is heard as well, and what needs more counts.

use std::ops::Range;

use chrono::TimeDelta;

use super::Plan;
use super::asked::{Asked, Unlikely};
use crate::forecast::{Fitted, Known};
use crate::time::{Slot, Step, Timestamp};
use crate::units::{Load, Quantile};

/// What counts as an edge: what was some minutes before, so many times as large. A tenth within one minute is what scatter looks
/// like to the shape of the day, and a bell may take five to rise.
const RISES: f64 = 1.2;
const WITHIN: TimeDelta = TimeDelta::minutes(3);

/// `plan`, which speaks of one moment, or what the day says of the slot in which that lies, if it rises to more.
pub(super) fn over(plan: Plan, model: &dyn Fitted, known: &Known<'_>, quantile: Quantile) -> Plan {
    at_an_edge(&plan, model, known, quantile).unwrap_or(plan)
}

/// What the day says of the slot, where it rises to more than is planned.
fn at_an_edge(plan: &Plan, model: &dyn Fitted, known: &Known<'_>, quantile: Quantile) -> Option<Plan> {
    let step = known.settled.step();
    let slot = step.slot_of(plan.peak_at);
    if !rises(model, step, plan.peak_at, slot..slot.next())? {
        return None;
    }
    let asked = Asked::with(quantile);
    let day = model.forecast(known, slot..slot.next(), &asked.levels)?;
    let row = day.rows().next()?;
    let [median, own, for_long, unlikely] = asked.told(row.loads.try_into().ok()?);
    if own <= plan.peak.get() {
        return None;
    }
    let larger = |load: Load, day: f64| Load::saturating(load.get().max(day));
    let unlikely = plan.unlikely.map(|said| Unlikely {
        at: said.at,
        for_long: larger(said.for_long, for_long),
        load: larger(said.load, unlikely),
    });
    Some(Plan { unlikely, ..Plan::of_slot(&day, &row, [median, own], quantile) })
}

/// Whether the day is an edge above what it was shortly before `at` in any of `slots`; `None` where it does not say.
pub(super) fn rises(model: &dyn Fitted, step: Step, at: Timestamp, slots: Range<Slot>) -> Option<bool> {
    let before = model.outline(step.slot_of(at - WITHIN))?;
    for slot in (slots.start.0..slots.end.0).map(Slot) {
        if model.outline(slot)? > RISES * before {
            return Some(true);
        }
    }
    Some(false)
}
