//! What will be missing in spite of everything: said hours ahead, while somebody can still do something about it.
//!
//! Two things cannot be planned away: a maximum that is too low, and a climb that is too long for the time left.

use std::ops::Range;
use std::time::Duration;

use super::{Options, SYNC};
use crate::forecast::{Fitted, HORIZON, Known};
use crate::time::{Slot, Timestamp};
use crate::units::{Load, LoadPerReplica, Replicas};

/// What keeps replicas from what is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    /// The configured maximum.
    Max,
    /// The growth that HPA and cluster allow.
    Time,
}

/// Replicas that will be missing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shortfall {
    /// From when on.
    pub from: Timestamp,
    /// How many at worst.
    pub missing: Replicas,
    /// When it is worst.
    pub worst_at: Timestamp,
    /// What is needed then.
    pub needed: Replicas,
    /// Why they are missing then.
    pub limit: Limit,
}

impl Shortfall {
    /// The first shortfall of the next 48 h when `standing` replicas stand at `now`, `None` when there is none or the model
    /// cannot speak. It ends where enough stand again.
    pub fn ahead(
        now: Timestamp,
        model: &dyn Fitted,
        known: &Known<'_>,
        capacity: LoadPerReplica,
        options: &Options,
        (standing, max): (Replicas, Replicas),
    ) -> Option<Self> {
        let step = known.settled.step();
        let (first, last) =
            (step.last_ended(now + options.lead_time).next(), known.origin.plus(step.slots_in(HORIZON)));
        let slots: Range<Slot> = first..last;
        if slots.is_empty() {
            return None;
        }
        let forecast = model.forecast(known, slots, &[options.quantile])?;
        let mut reached = f64::from(standing.min(max).0);
        let mut climbed_until = now;
        let mut found: Option<Self> = None;
        for row in forecast.rows() {
            // Pods that serve when the slot begins were asked for one lead time before.
            let asked_by = step.start(row.slot) - options.lead_time;
            while climbed_until + SYNC <= asked_by && reached < f64::from(max.0) {
                let next = options.growth.after(reached);
                climbed_until = if next > reached { climbed_until + SYNC } else { asked_by };
                reached = next;
            }
            let needed = Replicas::bearing(Load::saturating(row.loads[0]), capacity);
            let there = Replicas::whole_below(reached.min(f64::from(max.0)));
            let missing = Replicas(needed.0.saturating_sub(there.0));
            let at = step.end(row.slot);
            match &mut found {
                None if missing > Replicas(0) => {
                    let limit = if needed > max { Limit::Max } else { Limit::Time };
                    found = Some(Self { from: step.start(row.slot), missing, worst_at: at, needed, limit });
                }
                Some(_) if missing == Replicas(0) => break,
                Some(worst) if missing > worst.missing => {
                    let limit = if needed > max { Limit::Max } else { Limit::Time };
                    *worst = Self { from: worst.from, missing, worst_at: at, needed, limit };
                }
                _ => {}
            }
        }
        found
    }

    /// How long until it begins.
    pub fn notice(&self, now: Timestamp) -> Duration {
        (self.from - now).to_std().unwrap_or_default()
    }
}
