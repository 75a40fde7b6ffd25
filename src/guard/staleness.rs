//! The staleness ladder: what may still be trusted when measurements, or the plan, are missing.
//!
//! Two axes, because they fail apart: Prometheus can be down while a plan still reaches a day ahead, and a young target
//! has measurements long before it has a plan.

use std::time::Duration;

use crate::forecast::Observation;
use crate::time::Timestamp;

/// Whether the newest measurement may be taken for the present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Young enough.
    Fresh,
    /// Too old, or there never was one.
    Stale,
}

impl Freshness {
    /// That of `newest` at `now`. A measurement from the future (a clock that runs ahead) is fresh.
    pub fn of(newest: Option<Observation>, now: Timestamp, stale_after: Duration) -> Self {
        match newest.map(|observation| (now - observation.at).to_std()) {
            Some(Ok(age)) if age > stale_after => Self::Stale,
            Some(_) => Self::Fresh,
            None => Self::Stale,
        }
    }
}

/// Where on the ladder a demand, or a decision, stands. The lower rung is the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rung {
    /// Fresh measurements and a plan: the normal case.
    Planned,
    /// Fresh measurements, no plan: scale on what is there.
    ReactiveOnly,
    /// Stale measurements, a plan: the plan at a raised quantile, the last floor frozen.
    PlanOnly,
    /// Neither: no number is honest, so none is given.
    Unavailable,
}

impl Rung {
    /// Every rung, from the best to the worst.
    pub const ALL: [Self; 4] = [Self::Planned, Self::ReactiveOnly, Self::PlanOnly, Self::Unavailable];

    /// Its name in logs, metrics and pages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::ReactiveOnly => "reactive_only",
            Self::PlanOnly => "plan_only",
            Self::Unavailable => "unavailable",
        }
    }
}
