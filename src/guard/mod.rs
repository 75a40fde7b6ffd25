//! From what is wanted to what is allowed: an ordered list of named rules, each saying from, to and why.
//!
//! Trust and the staleness ladder choose the proposal; then the scale-down hold, the event floor, a declared hold, the reactive
//! floor and the calm of a flat load may raise it, and the bounds come last. Floors only raise. The law that everything here
//! serves, for any input:
//!
//! ```text
//! guarded >= min(max, max(min, known reactive need of each demand, event floor, hold))
//! ```
//!
//! Shadow suppresses the statistical forecast and nothing else: what was declared counts in it too. No rule reads the
//! forecast, but for the calm, which looks whether it moves; no rule can be skipped by an earlier one.

mod calm;
mod rules;
mod situation;
mod staleness;
pub mod surge;
pub mod tolerance;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::time::Timestamp;
use crate::units::Replicas;

pub use calm::Outlook;
pub use rules::{Ruling, apply};
pub use situation::{Situation, Standing};
pub use staleness::{Freshness, Rung};
pub use tolerance::Tolerance;

/// Whether the statistical forecast may move replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is computed and shown, and the answer is the reactive need.
    Shadow,
    /// It moves replicas.
    Active,
}

/// The operator's limits.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Never fewer.
    pub min: Replicas,
    /// Never more.
    pub max: Replicas,
    /// A proposal counts for this long, so that one low reading does not take pods away.
    pub scale_down_hold: Duration,
    /// A measurement older than this is stale.
    pub stale_after: Duration,
    /// Shadow or active.
    pub mode: Mode,
    /// What the present load may do.
    pub floor: Floor,
    /// A floor for a while; no configuration has one, somebody declares it.
    pub hold: Option<Hold>,
}

impl Options {
    /// Active between these, everything else as most have it: the present load is a floor, a need counts for a minute, and a
    /// measurement is stale after two.
    pub fn active(min: Replicas, max: Replicas) -> Self {
        Self {
            min,
            max,
            scale_down_hold: Duration::from_secs(60),
            stale_after: Duration::from_secs(120),
            mode: Mode::Active,
            floor: Floor::default(),
            hold: None,
        }
    }
}

/// A floor that somebody has put under the replicas for a while, in an incident say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Never fewer; the maximum still holds.
    pub replicas: Replicas,
    /// From then on it is none.
    pub until: Timestamp,
    /// Why, in the words of whoever declared it.
    pub reason: Arc<str>,
}

/// What the load that is there may do to replicas while there is a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Floor {
    /// It is a floor: never fewer than it needs. The law of this module.
    #[default]
    Reactive,
    /// It may stop a scale-down and never causes a scale-up, for pods asked for a spike come when it is over. Cheaper, and
    /// outside the law; without a plan the floor is whole all the same. It looks at what was answered, so a replica that began later may
    /// answer otherwise while measurements lie above the plan: at low quantiles, mostly.
    Hold,
}

/// With [`Floor::Hold`], what was answered within this time stands for the replicas there are: an HPA keeps them as long.
const HELD_FOR: Duration = Duration::from_secs(300);

/// A rule that can change the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// The forecast is in shadow: the reactive need is proposed instead.
    Shadow,
    /// A demand has no plan: its reactive need is proposed.
    NoPlan,
    /// A demand's measurements are stale: its plan is read at a raised quantile.
    RaisedQuantile,
    /// A demand surges beyond what was expected: what it reaches until pods are ready is proposed.
    Surge,
    /// A surge is not over for long: nothing is scaled down.
    SurgeFreeze,
    /// A recent, larger proposal still counts.
    ScaleDownHold,
    /// Not fewer than what a declared event may need.
    EventFloor,
    /// Not fewer than what somebody has declared for a while.
    Hold,
    /// Not fewer than what the newest measurement needs.
    ReactiveFloor,
    /// A demand's measurements are stale: not fewer than what the last one needed.
    FrozenFloor,
    /// The load stands still: what was asked for in that time stays.
    Calm,
    /// Not fewer than the configured minimum.
    Min,
    /// Not more than the configured maximum.
    Max,
}

impl Rule {
    /// Every rule, in the order in which they are applied.
    pub const ALL: [Self; 13] = [
        Self::Shadow,
        Self::NoPlan,
        Self::RaisedQuantile,
        Self::Surge,
        Self::SurgeFreeze,
        Self::ScaleDownHold,
        Self::EventFloor,
        Self::Hold,
        Self::ReactiveFloor,
        Self::FrozenFloor,
        Self::Calm,
        Self::Min,
        Self::Max,
    ];

    /// Its name in logs, metrics and pages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::NoPlan => "no_plan",
            Self::RaisedQuantile => "raised_quantile",
            Self::Surge => "surge",
            Self::SurgeFreeze => "surge_freeze",
            Self::ScaleDownHold => "scale_down_hold",
            Self::EventFloor => "event_floor",
            Self::Hold => "hold",
            Self::ReactiveFloor => "reactive_floor",
            Self::FrozenFloor => "frozen_floor",
            Self::Calm => "calm",
            Self::Min => "min",
            Self::Max => "max",
        }
    }
}

/// One rule that changed the number.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// Which.
    pub rule: Rule,
    /// The number before; `None` when there was no number.
    pub from: Option<Replicas>,
    /// The number after.
    pub to: Replicas,
    /// Why, as a sentence fragment for a human.
    pub why: String,
}

/// How far back the guard looks, beside the hold window.
pub(crate) const LOOKS_BACK: Duration = calm::REMEMBERS;

/// What the guard remembers: the proposals of the last hold window, and nothing older but what a surge keeps or the calm and
/// [`Floor::Hold`] look back at.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct State {
    proposals: VecDeque<(Timestamp, Replicas)>,
    /// With [`Floor::Hold`] only.
    answers: VecDeque<(Timestamp, Replicas)>,
    /// In [`Mode::Active`] only.
    calm: calm::Memory,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::from_epoch_seconds;

    /// The answers where 20 are planned at first and `planned` 15 s later, with `need` measured then.
    fn answer(floor: Floor, planned: Option<u32>, need: u32) -> Option<Replicas> {
        let options = Options {
            min: Replicas(1),
            max: Replicas(100),
            scale_down_hold: Duration::ZERO,
            stale_after: Duration::from_secs(120),
            mode: Mode::Active,
            floor,
            hold: None,
        };
        let decide = |seconds: i64, planned: Option<u32>, need, state: &State| {
            let standing = Standing {
                demand: "tx",
                freshness: Freshness::Fresh,
                reactive_need: Some(Replicas(need)),
                planned: planned.map(Replicas),
                planned_raised: None,
                outlook: None,
                event_need: None,
                surge: None,
                frozen: false,
            };
            let now = from_epoch_seconds(1_000_000_000 + seconds);
            apply(&Situation { now, demands: &[standing], options: &options }, state)
        };
        let (_, state) = decide(0, Some(20), 15, &State::default());
        decide(15, planned, need, &state).0.guarded
    }

    #[test]
    fn a_floor_that_only_holds_stops_a_scale_down_and_causes_no_scale_up() {
        assert_eq!(answer(Floor::Hold, Some(10), 18), Some(Replicas(18)), "held on the way down");
        assert_eq!(answer(Floor::Hold, Some(10), 30), Some(Replicas(20)), "no further than what stands");
        assert_eq!(answer(Floor::Hold, Some(25), 30), Some(Replicas(25)), "the plan alone scales up");
        assert_eq!(answer(Floor::Hold, None, 30), Some(Replicas(30)), "without a plan it is whole");
        assert_eq!(answer(Floor::Reactive, Some(10), 30), Some(Replicas(30)));
    }
}
