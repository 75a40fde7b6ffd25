//! What each declared event will need at its worst, said as soon as the forecast reaches it: for people, who have declared it
//! and want to know what becomes of it. It moves no replica; the event floor and the plan do, when its time comes.

use std::sync::Arc;

use super::Options;
use super::believable::Believable;
use crate::calendar::Window;
use crate::forecast::{Fitted, HORIZON, Known};
use crate::time::{Slot, Step, Timestamp};
use crate::units::{LoadPerReplica, Replicas};

/// What an event will need.
#[derive(Debug, Clone, PartialEq)]
pub struct Prospect {
    /// The event.
    pub name: Arc<str>,
    /// Where it begins.
    pub from: Timestamp,
    /// Where it is over.
    pub until: Timestamp,
    /// The most that is needed in what is left of it, other demand included and whatever the maximum is.
    pub replicas: Replicas,
    /// By when they are to be ready: the start of the slot that needs them.
    pub ready_by: Timestamp,
}

/// Whether the forecast counts beside what was declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    /// The floor that stands on the declared `upper` alone, as in shadow.
    DeclaredOnly,
    /// The forecast at the operator's quantile too.
    ForecastToo,
}

impl Prospect {
    /// Those of the events that are under way at `now` or will be there in full within 48 h, ascending by `from`.
    pub fn ahead(
        now: Timestamp,
        model: &dyn Fitted,
        known: &Known<'_>,
        capacity: LoadPerReplica,
        options: &Options,
        counts: Counts,
    ) -> Vec<Self> {
        let step = known.settled.step();
        let believable = Believable::of(model, known);
        let horizon = known.origin.plus(step.slots_in(HORIZON));
        let events = model.events(now, step.start(horizon));
        let reached = events.into_iter().filter(|event| event.full < step.start(horizon));
        let prospects = reached.filter_map(|event| {
            let slots = slots(step, &event, now)..step.slot_of(event.until).next().min(horizon);
            let declared =
                model.event_floor(known, slots.clone()).map(|floor| (floor.load, step.slot_of(floor.at)));
            let forecast = || {
                let forecast = model.forecast(known, slots.clone(), &[options.quantile])?;
                let most = forecast
                    .rows()
                    .max_by(|a, b| a.loads[0].total_cmp(&b.loads[0]).then(b.slot.cmp(&a.slot)))?;
                Some((believable.load(most.loads[0], &most.components), most.slot))
            };
            let forecast = (counts == Counts::ForecastToo).then(forecast).flatten();
            let most = declared.into_iter().chain(forecast).max_by(|a, b| a.0.get().total_cmp(&b.0.get()));
            let (load, slot) = most?;
            Some(Self {
                replicas: Replicas::bearing(load, capacity),
                ready_by: step.start(slot),
                name: event.name,
                from: event.from,
                until: event.until,
            })
        });
        prospects.collect()
    }

    /// Those of several demands together: of each event the most.
    pub fn most_of_each(prospects: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let mut most: Vec<Self> = Vec::new();
        for prospect in prospects {
            match most.iter_mut().find(|known| (&known.name, known.from) == (&prospect.name, prospect.from)) {
                Some(known) if known.replicas < prospect.replicas => *known = prospect,
                Some(_) => {}
                None => most.push(prospect),
            }
        }
        most.sort_by(|a, b| (a.from, &a.name).cmp(&(b.from, &b.name)));
        most
    }
}

/// The first slot of an event that is not over at `now`.
fn slots(step: Step, event: &Window, now: Timestamp) -> Slot {
    step.last_ended(event.from.max(now)).next()
}
