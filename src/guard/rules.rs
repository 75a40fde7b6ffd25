//! The rules in their order, on one page.

use std::collections::VecDeque;
use std::time::Duration;

use super::calm::{self, Outlook, Still};
use super::situation::Situation;
use super::{Applied, Floor, HELD_FOR, Hold, Mode, Options, Rule, Rung, State};
use crate::plan::EventNeed;
use crate::time::Timestamp;
use crate::units::Replicas;

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
    let mut trail = Trail::default();
    propose(situation, &mut trail);
    let proposed = trail.replicas;
    surge(situation, &mut trail);
    let proposals = hold(situation, state, &mut trail);
    event_floor(situation, &mut trail);
    declared_hold(situation, &mut trail);
    let needed = floor(situation, state, &mut trail);
    let calm = calm(situation, proposed.max(needed), state, &mut trail);
    bounds(situation.options, &mut trail);
    let answers = remember(situation, state, trail.replicas);
    let ruling = Ruling { rung: situation.rung(), guarded: trail.replicas, applied: trail.applied };
    (ruling, State { proposals, answers, calm })
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

    fn raise_or_begin(&mut self, rule: Rule, to: Replicas, why: impl FnOnce() -> String) {
        if self.replicas.is_none_or(|replicas| replicas < to) {
            self.set(rule, to, why);
        }
    }

    fn raise(&mut self, rule: Rule, to: Replicas, why: impl FnOnce() -> String) {
        if self.replicas.is_some_and(|replicas| replicas < to) {
            self.set(rule, to, why);
        }
    }
}

/// Trust and the ladder choose the proposal: of each demand what its rung allows, and of those the largest.
fn propose(situation: &Situation<'_>, trail: &mut Trail) {
    use Rung::{PlanOnly, Planned, ReactiveOnly};
    trail.replicas = situation.most(&[Planned, PlanOnly], |standing| standing.planned).map(|(_, most)| most);
    if situation.options.mode == Mode::Shadow
        && let Some((standing, need)) = situation.most(&[Planned], |standing| standing.reactive_need)
    {
        trail.set(Rule::Shadow, need, || {
            situation.because(standing, "mode is shadow: the forecast is shown and not used")
        });
    }
    if let Some((standing, need)) = situation.most(&[ReactiveOnly], |standing| standing.reactive_need) {
        trail.raise_or_begin(Rule::NoPlan, need, || {
            situation.because(standing, "there is no plan for this moment")
        });
    }
    // A higher quantile of the same forecast is never less; a caller's mistake must not make it so.
    if let Some((standing, raised)) = situation.most(&[PlanOnly], |standing| standing.planned_raised) {
        trail.raise(Rule::RaisedQuantile, raised, || {
            situation.because(standing, "measurements are stale, so the plan is read at a raised quantile")
        });
    }
}

/// What rises beyond all expectation is taken to go on rising for a while. It rests on the forecast, so a shadow does
/// not do it.
fn surge(situation: &Situation<'_>, trail: &mut Trail) {
    if situation.options.mode == Mode::Active
        && let Some((standing, need)) = situation.most(&[Rung::Planned], |standing| standing.surge)
    {
        trail.raise(Rule::Surge, need, || {
            situation.because(
                standing,
                format_args!("demand surges; if it goes on, {need} are needed by the time pods are ready"),
            )
        });
    }
}

/// The entries of a memory that are younger than `window`.
fn young(
    memory: &VecDeque<(Timestamp, Replicas)>,
    now: Timestamp,
    window: Duration,
) -> VecDeque<(Timestamp, Replicas)> {
    let young = |made: Timestamp| made <= now && (now - made).to_std().is_ok_and(|age| age < window);
    memory.iter().copied().filter(|(made, _)| young(*made)).collect()
}

/// The largest proposal of the hold window counts. What is remembered are the proposals as they were made, not as they
/// were held, or a hold would renew itself for ever.
fn hold(situation: &Situation<'_>, state: &State, trail: &mut Trail) -> VecDeque<(Timestamp, Replicas)> {
    let mut proposals = young(&state.proposals, situation.now, situation.options.scale_down_hold);
    let held = proposals.iter().copied().max_by_key(|(_, replicas)| *replicas);
    let frozen =
        situation.options.mode == Mode::Active && situation.demands.iter().any(|standing| standing.frozen);
    if frozen && let (Some(replicas), Some((_, most))) = (trail.replicas, last_most(&state.proposals)) {
        trail.raise(Rule::SurgeFreeze, most, || {
            format!("demand has surged; {replicas} would do, and {most} stay until it has been calm for a lead time")
        });
    }
    if let Some(proposed) = trail.replicas {
        proposals.push_back((situation.now, proposed));
    }
    if let Some((made, replicas)) = held {
        trail.raise(Rule::ScaleDownHold, replicas, || {
            format!("{replicas} were proposed {} s ago", (situation.now - made).num_seconds())
        });
    }
    proposals
}

/// The largest of the remembered proposals, the newest of several.
fn last_most(proposals: &VecDeque<(Timestamp, Replicas)>) -> Option<(Timestamp, Replicas)> {
    proposals.iter().copied().max_by_key(|(_, replicas)| *replicas)
}

/// The answers that [`Floor::Hold`] looks back at.
fn remember(
    situation: &Situation<'_>,
    state: &State,
    answered: Option<Replicas>,
) -> VecDeque<(Timestamp, Replicas)> {
    match situation.options.floor {
        Floor::Reactive => VecDeque::new(),
        Floor::Hold => {
            let mut answers = young(&state.answers, situation.now, HELD_FOR);
            answers.extend(answered.map(|replicas| (situation.now, replicas)));
            answers
        }
    }
}

/// Never fewer than what somebody has declared to be needed: in shadow too, and however little else is known of that demand.
fn event_floor(situation: &Situation<'_>, trail: &mut Trail) {
    let events =
        situation.demands.iter().filter_map(|standing| Some((standing, standing.event_need.as_ref()?)));
    let Some((standing, event)) = events.max_by_key(|(_, event)| event.replicas) else { return };
    trail.raise(Rule::EventFloor, event.replicas, || {
        let EventNeed { name, load, at, needed, replicas } = event;
        let at = at.format("%H:%M:%SZ");
        let climb =
            if needed > replicas { format!(", and the climb to {needed} has begun") } else { String::new() };
        situation.because(standing, format_args!("{name} may bring {load} at {at}{climb}"))
    });
}

/// Never fewer than what somebody has declared for a while: in shadow too.
fn declared_hold(situation: &Situation<'_>, trail: &mut Trail) {
    let hold = situation.options.hold.as_ref().filter(|hold| situation.now < hold.until);
    let Some(Hold { replicas, until, reason }) = hold else { return };
    trail.raise(Rule::Hold, *replicas, || {
        format!("{replicas} are held until {}: {reason}", until.format("%Y-%m-%d %H:%M:%SZ"))
    });
}

/// Never fewer than what is known to be needed now. What a demand needed last counts for as long as any number is
/// answered, also when nothing else is known of that demand any more.
///
/// Gives what fresh measurements need, where there are any: what the calm may keep. A frozen floor is no scatter.
fn floor(situation: &Situation<'_>, state: &State, trail: &mut Trail) -> Option<Replicas> {
    use Rung::{PlanOnly, Planned, ReactiveOnly, Unavailable};
    let mut needed = None;
    if let Some((standing, need)) =
        situation.most(&[Planned, ReactiveOnly], |standing| standing.reactive_need)
    {
        let standing_now = match (situation.options.floor, situation.rung()) {
            (Floor::Hold, Planned) => last_most(&young(&state.answers, situation.now, HELD_FOR)),
            _ => None,
        };
        let need = standing_now.map_or(need, |(_, replicas)| need.min(replicas));
        needed = Some(need);
        trail.raise(Rule::ReactiveFloor, need, || {
            situation.because(standing, format_args!("the newest measurement already needs {need}"))
        });
    }
    if let Some((standing, need)) =
        situation.most(&[PlanOnly, Unavailable], |standing| standing.reactive_need)
    {
        trail.raise(Rule::FrozenFloor, need, || {
            situation.because(standing, format_args!("the last measurement, now stale, needed {need}"))
        });
    }
    needed
}

/// While the forecast stands still, what plan and floor asked for in that time stays. It rests on the forecast, so a shadow
/// does not do it; and what a surge or an event asked for is theirs to keep.
fn calm(
    situation: &Situation<'_>,
    asked: Option<Replicas>,
    state: &State,
    trail: &mut Trail,
) -> calm::Memory {
    let demands = situation.demands.iter();
    let outlook = demands
        .filter_map(|standing| standing.outlook)
        .reduce(|a, b| Outlook { middle: a.middle.max(b.middle), unlikely: a.unlikely.max(b.unlikely) });
    let planned = situation.options.mode == Mode::Active && situation.rung() == Rung::Planned;
    let (Some(asked), Some(outlook), true) = (asked, outlook, planned) else {
        return state.calm.without_the_old(situation.now);
    };
    let (still, memory) = state.calm.look(situation.now, asked, outlook);
    if let Some(Still { span, most }) = still {
        trail.raise(Rule::Calm, most, || {
            let minutes = span.as_secs() / 60;
            format!("the forecast has stood still for {minutes} min, and {most} were asked for in that time")
        });
    }
    memory
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

    use super::super::{Freshness, Standing};
    use super::*;
    use crate::time::from_epoch_seconds;
    use crate::units::Load;

    fn options(mode: Mode) -> Options {
        Options {
            min: Replicas(3),
            max: Replicas(40),
            scale_down_hold: Duration::from_secs(60),
            stale_after: Duration::from_secs(120),
            mode,
            floor: Floor::Reactive,
            hold: None,
        }
    }

    /// `(planned, raised, reactive need, freshness)` of one demand.
    type Known = (Option<u32>, Option<u32>, Option<u32>, Freshness);

    fn standing((planned, raised, need, freshness): Known) -> Standing<'static> {
        Standing {
            demand: "tx",
            freshness,
            reactive_need: need.map(Replicas),
            planned: planned.map(Replicas),
            planned_raised: raised.map(Replicas),
            outlook: None,
            event_need: None,
            surge: None,
            frozen: false,
        }
    }

    fn needing(replicas: u32) -> EventNeed {
        let (load, at) = (Load::saturating(f64::from(replicas)), from_epoch_seconds(1_000_060));
        EventNeed {
            replicas: Replicas(replicas),
            name: "launch".into(),
            load,
            at,
            needed: Replicas(replicas),
        }
    }

    /// What the rules make of one moment of one demand.
    fn check(mode: Mode, known: Known, rung: Rung, guarded: Option<u32>, rules: &[Rule]) {
        check_all(mode, &[known], rung, guarded, rules);
    }

    /// What the rules make of one moment of several demands.
    fn check_all(mode: Mode, known: &[Known], rung: Rung, guarded: Option<u32>, rules: &[Rule]) {
        let options = options(mode);
        let demands: Vec<_> = known.iter().copied().map(standing).collect();
        let situation =
            Situation { now: from_epoch_seconds(1_000_000), demands: &demands, options: &options };
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
    fn the_demand_that_needs_the_most_decides() {
        let (small, large) = ((Some(8), None, Some(6), Fresh), (Some(20), None, Some(10), Fresh));
        check_all(Mode::Active, &[small, large], Rung::Planned, Some(20), &[]);
        check_all(Mode::Shadow, &[small, large], Rung::Planned, Some(10), &[Rule::Shadow]);
        // One grows beyond its plan while the other is planned for.
        let grown = (Some(8), None, Some(30), Fresh);
        check_all(Mode::Active, &[grown, large], Rung::Planned, Some(30), &[Rule::ReactiveFloor]);
        let young = (None, None, Some(25), Fresh);
        check_all(Mode::Active, &[large, young], Rung::ReactiveOnly, Some(25), &[Rule::NoPlan]);
        check_all(Mode::Shadow, &[large, young], Rung::ReactiveOnly, Some(25), &[Rule::Shadow, Rule::NoPlan]);
    }

    #[test]
    fn a_stale_demand_among_fresh_ones_still_counts() {
        let fresh = (Some(20), None, Some(10), Fresh);
        let planned = (Some(24), Some(28), Some(5), Stale);
        check_all(Mode::Active, &[fresh, planned], Rung::PlanOnly, Some(28), &[Rule::RaisedQuantile]);
        let needed = (Some(4), Some(5), Some(30), Stale);
        check_all(Mode::Active, &[fresh, needed], Rung::PlanOnly, Some(30), &[Rule::FrozenFloor]);
        // Without a plan it has no number of its own; what it needed last is a floor all the same.
        let blind = (None, None, Some(30), Stale);
        check_all(Mode::Active, &[fresh, blind], Rung::Planned, Some(30), &[Rule::FrozenFloor]);
        check_all(
            Mode::Shadow,
            &[fresh, needed],
            Rung::Planned,
            Some(30),
            &[Rule::Shadow, Rule::FrozenFloor],
        );
        let never = (None, None, None, Stale);
        check_all(Mode::Active, &[never, fresh], Rung::Planned, Some(20), &[]);
        check_all(Mode::Active, &[never, blind], Rung::Unavailable, None, &[]);
    }

    #[test]
    fn a_declared_event_counts_in_shadow_too() {
        let known = (Some(20), None, Some(10), Fresh);
        let demands = [Standing { event_need: Some(needing(30)), ..standing(known) }];
        let options = options(Mode::Shadow);
        let situation =
            Situation { now: from_epoch_seconds(1_000_000), demands: &demands, options: &options };
        let (ruling, _) = apply(&situation, &State::default());
        assert_eq!(ruling.guarded, Some(Replicas(30)));
        let rules: Vec<Rule> = ruling.applied.iter().map(|applied| applied.rule).collect();
        assert_eq!(rules, [Rule::Shadow, Rule::EventFloor]);
        assert_eq!(ruling.applied[1].why, "launch may bring 30.00 at 13:47:40Z");
        let climbing = EventNeed { needed: Replicas(90), ..needing(30) };
        let demands = [Standing { event_need: Some(climbing), ..standing(known) }];
        let (ruling, _) = apply(&Situation { demands: &demands, ..situation }, &State::default());
        let why = "launch may bring 30.00 at 13:47:40Z, and the climb to 90 has begun";
        assert_eq!(ruling.applied[1].why, why);
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
                demands: &[standing((Some(planned), None, Some(5), Fresh))],
                options: &options,
            };
            let (ruling, next) = apply(&situation, &state);
            answers.push(ruling.guarded.unwrap().0);
            state = next;
        }
        assert_eq!(answers, [20, 20, 20, 20, 10, 12, 12]);
    }

    fn any_known() -> impl Strategy<Value = Known> {
        let freshness = any::<bool>().prop_map(|fresh| if fresh { Fresh } else { Stale });
        (any::<Option<u32>>(), any::<Option<u32>>(), any::<Option<u32>>(), freshness)
    }

    proptest! {
        #[test]
        fn the_floor_law_holds_for_any_sequence(
            moments in prop::collection::vec(
                (0_i64..200, prop::collection::vec((any_known(), any::<Option<u32>>()), 1..4)), 1..40),
            min in 0_u32..50, span in 0_u32..2_000_000, hold in 0_u64..900, shadow in any::<bool>(),
        ) {
            let options = Options {
                min: Replicas(min),
                max: Replicas(min.saturating_add(span)),
                scale_down_hold: Duration::from_secs(hold),
                stale_after: Duration::from_secs(120),
                mode: if shadow { Mode::Shadow } else { Mode::Active },
                floor: Floor::Reactive,
                hold: None,
            };
            let mut state = State::default();
            let mut now = 1_000_000;
            for (pause, known) in moments {
                now += pause;
                let declared = |(known, event): &(Known, Option<u32>)| {
                    Standing { event_need: event.map(needing), ..standing(*known) }
                };
                let demands: Vec<_> = known.iter().map(declared).collect();
                let situation =
                    Situation { now: from_epoch_seconds(now), demands: &demands, options: &options };
                let (ruling, next) = apply(&situation, &state);
                state = next;
                prop_assert_eq!(ruling.guarded.is_none(), ruling.rung == Rung::Unavailable);
                if let Some(Replicas(guarded)) = ruling.guarded {
                    let need = known.iter().filter_map(|((_, _, need, _), event)| (*need).max(*event)).max();
                    let floor = min.max(need.unwrap_or(0));
                    prop_assert!(guarded >= floor.min(options.max.0));
                    prop_assert!(guarded <= options.max.0);
                    let last = ruling.applied.last().map(|applied| applied.to);
                    prop_assert!(last.is_none() || last == ruling.guarded);
                    let chained = ruling.applied.windows(2).all(|pair| pair[1].from == Some(pair[0].to));
                    prop_assert!(chained, "{:?}", ruling.applied);
                }
            }
        }
    }
}
