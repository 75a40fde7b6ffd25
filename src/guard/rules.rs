//! The rules in their order, on one page.

use super::{Applied, Freshness, Mode, Options, Rule, Rung, State};
use crate::time::Timestamp;
use crate::units::Replicas;

/// All that the rules may look at.
#[derive(Debug, Clone)]
pub struct Situation<'a> {
    /// The instant decided for.
    pub now: Timestamp,
    /// Whether the newest measurement may be taken for the present.
    pub freshness: Freshness,
    /// What the newest measurement needs, however old it is; `None` when there never was one.
    pub reactive_need: Option<Replicas>,
    /// What the forecast wants at the operator's quantile, if there is a forecast.
    pub planned: Option<Replicas>,
    /// What it wants at the quantile used while measurements are stale.
    pub planned_raised: Option<Replicas>,
    /// The operator's limits.
    pub options: &'a Options,
}

impl Situation<'_> {
    /// Where on the ladder this stands. In shadow a plan is no evidence, so it cannot stand in for a measurement.
    pub fn rung(&self) -> Rung {
        let fresh = self.freshness == Freshness::Fresh && self.reactive_need.is_some();
        match (fresh, self.planned.is_some(), self.options.mode) {
            (true, true, _) => Rung::Planned,
            (true, false, _) => Rung::ReactiveOnly,
            (false, true, Mode::Active) => Rung::PlanOnly,
            (false, true, Mode::Shadow) | (false, false, _) => Rung::Unavailable,
        }
    }
}

/// What the guard allows.
#[derive(Debug, Clone, PartialEq)]
pub struct Ruling {
    /// Where on the ladder it stands.
    pub rung: Rung,
    /// The allowed number; `None` on [`Rung::Unavailable`] and only there.
    pub guarded: Option<Replicas>,
    /// Each rule that changed the number, in order.
    pub applied: Vec<Applied>,
}

/// Applies every rule in order; the second result is what to remember.
pub fn apply(situation: &Situation<'_>, state: &State) -> (Ruling, State) {
    let rung = situation.rung();
    let mut trail = Trail::default();
    propose(rung, situation, &mut trail);
    let state = hold(situation, state, &mut trail);
    floor(rung, situation, &mut trail);
    bounds(situation.options, &mut trail);
    (Ruling { rung, guarded: trail.replicas, applied: trail.applied }, state)
}

/// The number on its way through the rules.
#[derive(Default)]
struct Trail {
    replicas: Option<Replicas>,
    applied: Vec<Applied>,
}

impl Trail {
    fn set(&mut self, rule: Rule, to: Replicas, why: impl FnOnce() -> String) {
        if self.replicas != Some(to) {
            self.applied.push(Applied { rule, from: self.replicas, to, why: why() });
            self.replicas = Some(to);
        }
    }

    fn raise(&mut self, rule: Rule, to: Replicas, why: impl FnOnce() -> String) {
        if self.replicas.is_some_and(|replicas| replicas < to) {
            self.set(rule, to, why);
        }
    }
}

/// Trust and the ladder choose the proposal.
fn propose(rung: Rung, situation: &Situation<'_>, trail: &mut Trail) {
    if rung == Rung::Unavailable {
        return;
    }
    trail.replicas = situation.planned;
    match (rung, situation.reactive_need) {
        (Rung::PlanOnly, _) => {
            // A higher quantile of the same forecast is never less; a caller's mistake must not make it so.
            if let Some(raised) = situation.planned_raised {
                trail.raise(Rule::RaisedQuantile, raised, || {
                    "measurements are stale, so the plan is read at a raised quantile".into()
                });
            }
        }
        (Rung::ReactiveOnly, Some(need)) => {
            trail.set(Rule::NoPlan, need, || "there is no plan for this moment".into());
        }
        (Rung::Planned, Some(need)) if situation.options.mode == Mode::Shadow => {
            trail.set(Rule::Shadow, need, || "mode is shadow: the forecast is shown and not used".into());
        }
        _ => {}
    }
}

/// The largest proposal of the hold window counts. What is remembered are the proposals as they were made, not as they
/// were held, or a hold would renew itself for ever.
fn hold(situation: &Situation<'_>, state: &State, trail: &mut Trail) -> State {
    let window = situation.options.scale_down_hold;
    let young = |made: Timestamp| {
        made <= situation.now && (situation.now - made).to_std().is_ok_and(|age| age < window)
    };
    let mut proposals: std::collections::VecDeque<_> =
        state.proposals.iter().copied().filter(|(made, _)| young(*made)).collect();
    let held = proposals.iter().copied().max_by_key(|(_, replicas)| *replicas);
    if let Some(proposed) = trail.replicas {
        proposals.push_back((situation.now, proposed));
    }
    if let Some((made, replicas)) = held {
        trail.raise(Rule::ScaleDownHold, replicas, || {
            format!("{replicas} were proposed {} s ago", (situation.now - made).num_seconds())
        });
    }
    State { proposals }
}

/// Never fewer than what is known to be needed now.
fn floor(rung: Rung, situation: &Situation<'_>, trail: &mut Trail) {
    let Some(need) = situation.reactive_need else { return };
    match rung {
        Rung::Planned | Rung::ReactiveOnly => {
            trail.raise(Rule::ReactiveFloor, need, || format!("the newest measurement already needs {need}"))
        }
        Rung::PlanOnly => {
            trail.raise(Rule::FrozenFloor, need, || format!("the last measurement, now stale, needed {need}"))
        }
        Rung::Unavailable => {}
    }
}

/// The operator's limits, last.
fn bounds(options: &Options, trail: &mut Trail) {
    trail.raise(Rule::Min, options.min, || format!("the configured minimum is {}", options.min));
    if trail.replicas.is_some_and(|replicas| replicas > options.max) {
        let wanted = trail.replicas.unwrap_or_default();
        trail.set(Rule::Max, options.max, || {
            format!("the configured maximum is {}; {wanted} are needed", options.max)
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::time::from_epoch_seconds;

    fn options(mode: Mode) -> Options {
        Options {
            min: Replicas(3),
            max: Replicas(40),
            scale_down_hold: Duration::from_secs(60),
            stale_after: Duration::from_secs(120),
            mode,
        }
    }

    /// What the rules make of one moment: `(planned, raised, reactive need, freshness)`.
    fn check(
        mode: Mode,
        (planned, raised, need, freshness): (Option<u32>, Option<u32>, Option<u32>, Freshness),
        rung: Rung,
        guarded: Option<u32>,
        rules: &[Rule],
    ) {
        let options = options(mode);
        let situation = Situation {
            now: from_epoch_seconds(1_000_000),
            freshness,
            reactive_need: need.map(Replicas),
            planned: planned.map(Replicas),
            planned_raised: raised.map(Replicas),
            options: &options,
        };
        let (ruling, _) = apply(&situation, &State::default());
        assert_eq!(ruling.rung, rung);
        assert_eq!(ruling.guarded, guarded.map(Replicas));
        assert_eq!(ruling.applied.iter().map(|applied| applied.rule).collect::<Vec<_>>(), rules);
    }

    use Freshness::{Fresh, Stale};

    #[test]
    fn a_plan_can_only_add_to_the_reactive_need() {
        check(Mode::Active, (Some(20), Some(24), Some(10), Fresh), Rung::Planned, Some(20), &[]);
        check(
            Mode::Active,
            (Some(8), Some(9), Some(10), Fresh),
            Rung::Planned,
            Some(10),
            &[Rule::ReactiveFloor],
        );
    }

    #[test]
    fn without_a_plan_the_target_scales_reactively() {
        check(Mode::Active, (None, None, Some(10), Fresh), Rung::ReactiveOnly, Some(10), &[Rule::NoPlan]);
    }

    #[test]
    fn with_stale_measurements_the_plan_is_raised_and_the_last_floor_frozen() {
        check(
            Mode::Active,
            (Some(20), Some(24), Some(10), Stale),
            Rung::PlanOnly,
            Some(24),
            &[Rule::RaisedQuantile],
        );
        check(
            Mode::Active,
            (Some(20), Some(24), Some(30), Stale),
            Rung::PlanOnly,
            Some(30),
            &[Rule::RaisedQuantile, Rule::FrozenFloor],
        );
    }

    #[test]
    fn with_neither_there_is_no_number() {
        check(Mode::Active, (None, None, Some(10), Stale), Rung::Unavailable, None, &[]);
        check(Mode::Active, (None, None, None, Fresh), Rung::Unavailable, None, &[]);
    }

    #[test]
    fn shadow_answers_the_reactive_need_and_never_stands_in_for_a_measurement() {
        check(Mode::Shadow, (Some(20), Some(24), Some(10), Fresh), Rung::Planned, Some(10), &[Rule::Shadow]);
        check(Mode::Shadow, (Some(20), Some(24), Some(10), Stale), Rung::Unavailable, None, &[]);
    }

    #[test]
    fn bounds_come_last() {
        check(Mode::Active, (Some(1), Some(1), Some(0), Fresh), Rung::Planned, Some(3), &[Rule::Min]);
        check(
            Mode::Active,
            (Some(41), Some(50), Some(60), Fresh),
            Rung::Planned,
            Some(40),
            &[Rule::ReactiveFloor, Rule::Max],
        );
    }

    #[test]
    fn a_larger_proposal_is_held_for_the_window_and_not_a_second_longer() {
        let options = options(Mode::Active);
        let mut state = State::default();
        let mut answers = Vec::new();
        for (second, planned) in [(0, 20), (15, 10), (45, 10), (59, 10), (60, 10), (75, 12), (90, 11)] {
            let situation = Situation {
                now: from_epoch_seconds(1_000_000 + second),
                freshness: Fresh,
                reactive_need: Some(Replicas(5)),
                planned: Some(Replicas(planned)),
                planned_raised: None,
                options: &options,
            };
            let (ruling, next) = apply(&situation, &state);
            answers.push(ruling.guarded.unwrap().0);
            state = next;
        }
        assert_eq!(answers, [20, 20, 20, 20, 10, 12, 12]);
    }

    proptest! {
        #[test]
        fn the_floor_law_holds_for_any_sequence(
            moments in prop::collection::vec(
                (0_i64..200, any::<Option<u32>>(), any::<Option<u32>>(), any::<Option<u32>>(), any::<bool>()), 1..40),
            min in 0_u32..50, span in 0_u32..2_000_000, hold in 0_u64..900, shadow in any::<bool>(),
        ) {
            let options = Options {
                min: Replicas(min),
                max: Replicas(min.saturating_add(span)),
                scale_down_hold: Duration::from_secs(hold),
                stale_after: Duration::from_secs(120),
                mode: if shadow { Mode::Shadow } else { Mode::Active },
            };
            let mut state = State::default();
            let mut now = 1_000_000;
            for (pause, planned, raised, need, fresh) in moments {
                now += pause;
                let situation = Situation {
                    now: from_epoch_seconds(now),
                    freshness: if fresh { Fresh } else { Stale },
                    reactive_need: need.map(Replicas),
                    planned: planned.map(Replicas),
                    planned_raised: raised.map(Replicas),
                    options: &options,
                };
                let (ruling, next) = apply(&situation, &state);
                state = next;
                prop_assert_eq!(ruling.guarded.is_none(), ruling.rung == Rung::Unavailable);
                if let Some(Replicas(guarded)) = ruling.guarded {
                    let floor = min.max(need.unwrap_or(0));
                    prop_assert!(guarded >= floor.min(options.max.0));
                    prop_assert!(guarded <= options.max.0);
                    let last = ruling.applied.last().map_or(planned.map(Replicas), |applied| Some(applied.to));
                    prop_assert_eq!(last, ruling.guarded);
                }
            }
        }
    }
}
