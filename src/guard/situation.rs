//! All that the rules may look at: how each demand of a target stands, and what the operator allows.

use super::calm::Outlook;
use super::{Freshness, Mode, Options, Rung};
use crate::plan::EventNeed;
use crate::time::Timestamp;
use crate::units::Replicas;

/// All that the rules may look at.
#[derive(Debug, Clone)]
pub struct Situation<'a> {
    /// The instant decided for.
    pub now: Timestamp,
    /// How each demand of the target stands.
    pub demands: &'a [Standing<'a>],
    /// The operator's limits.
    pub options: &'a Options,
}

/// How one demand of a target stands.
#[derive(Debug, Clone)]
pub struct Standing<'a> {
    /// What it is called.
    pub demand: &'a str,
    /// Whether its newest measurement may be taken for the present.
    pub freshness: Freshness,
    /// What the newest measurement needs, however old it is; `None` when there never was one.
    pub reactive_need: Option<Replicas>,
    /// What the forecast wants at the operator's quantile, if there is a forecast.
    pub planned: Option<Replicas>,
    /// What it wants at the quantile used while measurements are stale.
    pub planned_raised: Option<Replicas>,
    /// What the forecast comes to there, where it knows the next minutes: whether it moves tells a flat load.
    pub outlook: Option<Outlook>,
    /// What a declared event needs within the lead time, or for the climb to it, if there is one so near.
    pub event_need: Option<EventNeed>,
    /// What a surge beyond all expectation will need, while there is one.
    pub surge: Option<Replicas>,
    /// Whether such a surge forbids to scale down.
    pub frozen: bool,
}

impl Standing<'_> {
    /// Where on the ladder this demand stands. In shadow a plan is no evidence, so it cannot stand in for a measurement.
    pub fn rung(&self, mode: Mode) -> Rung {
        let fresh = self.freshness == Freshness::Fresh && self.reactive_need.is_some();
        match (fresh, self.planned.is_some(), mode) {
            (true, true, _) => Rung::Planned,
            (true, false, _) => Rung::ReactiveOnly,
            (false, true, Mode::Active) => Rung::PlanOnly,
            (false, true, Mode::Shadow) | (false, false, _) => Rung::Unavailable,
        }
    }
}

impl<'a> Situation<'a> {
    /// Where the target stands: on the lowest rung of a demand that has something to say. One demand that has nothing to
    /// say leaves the others their answer.
    pub fn rung(&self) -> Rung {
        let rungs = self.demands.iter().map(|standing| standing.rung(self.options.mode));
        rungs.filter(|rung| *rung != Rung::Unavailable).max().unwrap_or(Rung::Unavailable)
    }

    /// The most that `replicas` says of any demand on one of `rungs`, and which demand that is: the first of several.
    pub(super) fn most(
        &self,
        rungs: &[Rung],
        replicas: impl Fn(&Standing<'_>) -> Option<Replicas>,
    ) -> Option<(&'a Standing<'a>, Replicas)> {
        let on_them =
            self.demands.iter().filter(|standing| rungs.contains(&standing.rung(self.options.mode)));
        let said = on_them.filter_map(|standing| Some((standing, replicas(standing)?)));
        // `max_by_key` takes the last of equals.
        said.rev().max_by_key(|(_, replicas)| *replicas)
    }

    /// A reason, with the name of the demand where there are several.
    pub(super) fn because(&self, standing: &Standing<'_>, why: impl std::fmt::Display) -> String {
        if self.demands.len() > 1 { format!("{}: {why}", standing.demand) } else { why.to_string() }
    }
}
