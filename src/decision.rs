//! The whole core on one page: what is known becomes what is answered, with its reasons.
//!
//! [`decide`] is what `serve`, `demo` and `backtest` run; they differ in where measurements come from and who says what
//! time it is. The [`Decision`] is the one struct that log, RPC, pages and metrics show; nobody derives it anew.
//!
//! ```text
//! a target's demands    evidence ─▶ claim ─┐  each with its own capacity, age, model and plan
//!                       evidence ─▶ claim ─┼─▶ guard: the largest counts ─▶ decision
//! ```
//!
//! Demands do not add up. Each says how many replicas it would take alone, and a pod that settles cards is as busy with
//! requests per second as with bytes: the one that is scarce first decides.

use std::sync::Arc;
use std::time::Duration;

use crate::forecast::nowcast::AGE;
use crate::forecast::{Fitted, Known, Observation};
use crate::guard::surge::{self, Surge, Watch};
use crate::guard::{self, Applied, Freshness, Mode, Outlook, Rung, Situation, Standing};
use crate::plan::{self, Counts, EventNeed, Footing, Plan, Prospect, RENEWAL, Shortfall, Watched};
use crate::series::Series;
use crate::time::Timestamp;
use crate::units::{Load, LoadPerReplica, Quantile, Replicas};

/// Decisions are made on instants that are multiples of this since the epoch, so that every replica makes the same ones.
pub const DECIDE_EVERY: Duration = Duration::from_secs(15);

/// From the instant decided for to the instant from which the decision is the answer: time for every replica to have
/// asked, decided and published, so that they switch together.
pub const PUBLISH_DELAY: Duration = Duration::from_secs(6);

/// A look at the whole horizon costs a hundred times as much as a decision, and what it says hours ahead need not be said
/// every quarter minute.
const LOOK_AHEAD_EVERY: i64 = 300;

/// How a target is to be scaled: everything an operator decides, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Demand into replicas.
    pub plan: plan::Options,
    /// What is allowed.
    pub guard: guard::Options,
}

impl Policy {
    /// How far back a state remembers, but for the newest measurement: the hold window, or a surge from what was said before
    /// it to the calm after it, or what a flat load asked for.
    pub fn remembers(&self) -> Duration {
        let surge = 3 * (self.plan.lead_time + RENEWAL);
        let calm = match self.guard.mode {
            guard::Mode::Active => guard::LOOKS_BACK,
            guard::Mode::Shadow => Duration::ZERO,
        };
        self.guard
            .scale_down_hold
            .max(calm)
            .max(surge.clamp(Duration::from_secs(300), Duration::from_secs(1800)))
    }
}

/// One demand of a target at the moment of a decision: what it is, and what is known of it.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// What the demand is called.
    pub demand: &'a Arc<str>,
    /// What one replica bears of it, in its own unit.
    pub capacity: LoadPerReplica,
    /// Demand that will not change any more.
    pub settled: &'a Series,
    /// The newest slot that has ended but may still change. It may only raise an answer.
    pub provisional: Option<Observation>,
    /// The newest instant measurement.
    pub live: Option<Observation>,
    /// The model in force.
    pub model: Option<&'a dyn Fitted>,
}

/// What one decision hands to the next: a fold over [`Policy::remembers`], and nothing older but the newest measurements.
///
/// A replica that starts now folds that time from the source and then answers as one that has run for a month.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct State {
    /// The newest instant measurement so far of each demand: one query that fails makes nobody blind.
    newest_live: Vec<Option<Observation>>,
    /// What each demand was expected not to exceed, and whether it did.
    watches: Vec<Watch>,
    /// What was found at the last look at the horizon. It is told and moves nothing.
    shortfall: Option<Shortfall>,
    /// What declared events will need, by the same look.
    prospects: Arc<[Prospect]>,
    look: Look,
    /// What can stand by now of what was answered, at the pace of the climbs that are planned for, where anything was answered yet. It is
    /// told and moves nothing: an answer goes ahead of what can be climbed, and would hide what is missing.
    climbed: Option<f64>,
    guard: guard::State,
}

/// Whether what was found at the last look at the horizon can still be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Look {
    #[default]
    Holds,
    /// It is by a model that knew of other events.
    Outdated,
}

impl State {
    /// The same for a decision by a model that knows of other events than the last one's: it looks at the whole horizon, whatever
    /// the time is.
    #[must_use]
    pub fn with_other_events(self) -> Self {
        Self { look: Look::Outdated, ..self }
    }
}

/// What one demand asks for, and from what.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// Which demand.
    pub demand: Arc<str>,
    /// Where this demand alone stands on the staleness ladder.
    pub rung: Rung,
    /// The newest measurement, however old.
    pub observed: Option<Observation>,
    /// What that measurement needs.
    pub reactive_need: Option<Replicas>,
    /// The plan, also while it is not followed. While measurements are stale it is read at a raised quantile.
    pub plan: Option<Plan>,
    /// What a declared event needs within the lead time, or for the climb to it, if there is one so near.
    pub event_need: Option<EventNeed>,
    /// A rise beyond what was expected, while it lasts.
    pub surge: Option<Surge>,
}

/// What was decided, from what, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// For which target.
    pub target: Arc<str>,
    /// The instant decided for.
    pub at: Timestamp,
    /// From when on this is the answer.
    pub effective_from: Timestamp,
    /// Where on the staleness ladder: the lowest rung of a demand that can say anything.
    pub rung: Rung,
    /// What each demand asks for, in the order of the configuration.
    pub claims: Vec<Claim>,
    /// What will be missing in the next 48 h in spite of everything.
    pub shortfall: Option<Shortfall>,
    /// What each declared event of the next 48 h will need, ascending by where they begin.
    pub prospects: Arc<[Prospect]>,
    /// Each rule that changed the number, in order.
    pub applied: Vec<Applied>,
    /// What is allowed, and answered; `None` when no number is honest.
    pub guarded: Option<Replicas>,
}

/// Decides at `now` for a target with the demands of `evidence`, always the same ones in the same order. The second result
/// is the state for the next decision.
///
/// It also looks at the whole horizon every five minutes, and when the model knows of other events ([`State::with_other_events`]):
/// who has just declared one wants to know what it will need. For a refit it does not, or who starts later would tell otherwise.
pub fn decide(
    target: &Arc<str>,
    now: Timestamp,
    evidence: &[Evidence<'_>],
    policy: &Policy,
    state: &State,
) -> (Decision, State) {
    let (mut decision, mut next) = answer(target, now, evidence, policy, state);
    if state.look == Look::Outdated || now.timestamp().rem_euclid(LOOK_AHEAD_EVERY) == 0 {
        let standing = state.climbed.map(Replicas::whole_below).or(decision.guarded);
        (next.shortfall, next.prospects) = look_ahead(now, evidence, &next.newest_live, policy, standing);
    }
    decision.shortfall = next.shortfall;
    decision.prospects = Arc::clone(&next.prospects);
    (decision, next)
}

/// The same without the look at the whole horizon, whose shortfall is told and moves nothing: for replays, in which nobody
/// is told anything. It would take as long as the rest.
pub fn answer(
    target: &Arc<str>,
    now: Timestamp,
    evidence: &[Evidence<'_>],
    policy: &Policy,
    state: &State,
) -> (Decision, State) {
    let remembered = state.newest_live.iter().copied().chain(std::iter::repeat(None));
    let newest_live: Vec<_> =
        evidence.iter().zip(remembered).map(|(evidence, before)| newer(evidence.live, before)).collect();
    let watched = state.watches.iter().cloned().chain(std::iter::repeat_with(Watch::default));
    let (mut claims, mut standings, mut watches) = (Vec::new(), Vec::new(), Vec::new());
    for ((evidence, live), watch) in evidence.iter().zip(&newest_live).zip(watched) {
        let (claim, standing, watch) = claim(now, evidence, *live, policy, &watch);
        claims.push(claim);
        standings.push(standing);
        watches.push(watch);
    }

    let situation = Situation { now, demands: &standings, options: &policy.guard };
    let (ruling, guard) = guard::apply(&situation, &state.guard);
    let decision = Decision {
        target: Arc::clone(target),
        at: now,
        effective_from: now + PUBLISH_DELAY,
        rung: ruling.rung,
        claims,
        shortfall: None,
        prospects: Arc::default(),
        applied: ruling.applied,
        guarded: ruling.guarded,
    };
    let climbed = climbed(state.climbed, decision.guarded, &policy.plan.growth);
    let (shortfall, prospects) = (state.shortfall, Arc::clone(&state.prospects));
    (decision, State { newest_live, watches, shortfall, prospects, look: Look::Holds, climbed, guard })
}

/// What can stand at the end of a tick for which so many were answered: down at once, up as fast as can be climbed.
fn climbed(before: Option<f64>, answered: Option<Replicas>, growth: &plan::Growth) -> Option<f64> {
    let Some(answered) = answered.map(|replicas| f64::from(replicas.0)) else { return before };
    Some(before.map_or(answered, |before| growth.after(before).min(answered)))
}

/// What will be missing of any demand, the largest shortfall, and what declared events will need.
fn look_ahead(
    now: Timestamp,
    evidence: &[Evidence<'_>],
    newest_live: &[Option<Observation>],
    policy: &Policy,
    standing: Option<Replicas>,
) -> (Option<Shortfall>, Arc<[Prospect]>) {
    let counts = match policy.guard.mode {
        Mode::Shadow => Counts::DeclaredOnly,
        Mode::Active => Counts::ForecastToo,
    };
    let (mut shortfall, mut prospects) = (None, Vec::new());
    for (evidence, live) in evidence.iter().zip(newest_live) {
        let Some(model) = evidence.model else { continue };
        let known = Known { settled: evidence.settled, origin: evidence.settled.end(), live: *live };
        let (capacity, options) = (evidence.capacity, &policy.plan);
        let missing = standing.and_then(|standing| {
            let footing = Footing { standing, max: policy.guard.max, counts };
            Shortfall::ahead(now, model, &known, capacity, options, footing)
        });
        shortfall = shortfall.into_iter().chain(missing).max_by_key(|shortfall| shortfall.missing);
        prospects.extend(Prospect::ahead(now, model, &known, capacity, options, counts));
    }
    (shortfall, Prospect::most_of_each(prospects).into())
}

/// What one demand asks for, how the guard sees it, and what to remember of it.
fn claim<'a>(
    now: Timestamp,
    evidence: &Evidence<'a>,
    live: Option<Observation>,
    policy: &Policy,
    watch: &Watch,
) -> (Claim, Standing<'a>, Watch) {
    let capacity = evidence.capacity;
    let observed = newest(evidence, live);
    let freshness = Freshness::of(observed, now, policy.guard.stale_after);
    let reactive_need = observed.map(|observation| Replicas::bearing(observation.load, capacity));

    let known = Known { settled: evidence.settled, origin: evidence.settled.end(), live };
    let plan_at = |quantile| {
        evidence.model.and_then(|model| {
            plan::for_lead_time(now, model, &known, capacity, &policy.plan, quantile, policy.guard.max)
        })
    };
    let raised = Quantile::P99.get().max(policy.plan.quantile.get());
    let plan = plan_at(policy.plan.quantile);
    let plan_raised = match freshness {
        Freshness::Fresh => None,
        Freshness::Stale => Quantile::try_new(raised).ok().and_then(plan_at),
    };

    let event_need = evidence
        .model
        .and_then(|model| plan::for_events(now, model, &known, capacity, &policy.plan, policy.guard.max));

    let said = plan.as_ref().and_then(|plan| plan.watched);
    let ahead = surge::Ahead { ready_in: policy.plan.lead_time + RENEWAL, quantile: policy.plan.quantile };
    let (surge, watch) = watch.look(now, live, AGE, ahead, said);
    let standing = Standing {
        demand: evidence.demand,
        freshness,
        reactive_need,
        planned: plan.as_ref().map(|plan| plan.replicas),
        planned_raised: plan_raised.as_ref().map(|plan| plan.replicas),
        outlook: said.map(|watched| outlook(watched, capacity)),
        event_need: event_need.clone(),
        surge: surge.map(|surge| Replicas::bearing(surge.reaches, capacity)),
        frozen: watch.freezes(now),
    };
    let rung = standing.rung(policy.guard.mode);
    let plan = plan_raised.or(plan);
    let demand = Arc::clone(evidence.demand);
    (Claim { demand, rung, observed, reactive_need, plan, event_need, surge }, standing, watch)
}

/// What the next minutes come to in replicas.
fn outlook(watched: Watched, capacity: LoadPerReplica) -> Outlook {
    let replicas = |load: Load| load.get() / capacity.get();
    Outlook { middle: replicas(watched.middle), unlikely: replicas(watched.unlikely) }
}

/// The later of two measurements.
fn newer(one: Option<Observation>, other: Option<Observation>) -> Option<Observation> {
    one.into_iter().chain(other).max_by_key(|observation| observation.at)
}

/// The newest measurement; a provisional one counts only where it is the larger, for it may only raise an answer.
fn newest(evidence: &Evidence<'_>, live: Option<Observation>) -> Option<Observation> {
    let step = evidence.settled.step();
    let settled = evidence.settled.newest().map(|(slot, load)| Observation { at: step.end(slot), load });
    let sure = newer(settled, live);
    let raise = evidence.provisional.filter(|observation| {
        sure.is_none_or(|sure| observation.at + step.duration() > sure.at && observation.load > sure.load)
    });
    match (sure, raise) {
        (Some(sure), Some(raise)) => Some(Observation { at: sure.at.max(raise.at), load: raise.load }),
        (sure, raise) => sure.or(raise),
    }
}

impl Decision {
    /// Whether the target should be running at all; `None` when that is not known.
    pub fn active(&self) -> Option<bool> {
        self.guarded.map(|replicas| replicas > Replicas(0))
    }

    /// The claim whose newest measurement needs the most; the first of several that need as much. `None` when nothing was
    /// ever measured.
    pub fn needs_most(&self) -> Option<&Claim> {
        self.largest(|claim| claim.reactive_need)
    }

    /// The claim whose plan wants the most; the first of several that want as much. `None` when there is no plan.
    pub fn plans_most(&self) -> Option<&Claim> {
        self.largest(|claim| claim.plan.as_ref().map(|plan| plan.replicas))
    }

    /// What the newest measurements need.
    pub fn reactive_need(&self) -> Option<Replicas> {
        self.needs_most().and_then(|claim| claim.reactive_need)
    }

    /// The plan that wants the most, also while it is not followed.
    pub fn plan(&self) -> Option<&Plan> {
        self.plans_most().and_then(|claim| claim.plan.as_ref())
    }

    /// The newest measurement of the demand that needs the most, however old.
    pub fn observed(&self) -> Option<Observation> {
        self.needs_most().and_then(|claim| claim.observed)
    }

    fn largest(&self, replicas: impl Fn(&Claim) -> Option<Replicas>) -> Option<&Claim> {
        // `max_by_key` takes the last of equals.
        self.claims.iter().rev().filter(|claim| replicas(claim).is_some()).max_by_key(|claim| replicas(claim))
    }
}

impl Claim {
    /// Age of the newest measurement at `now`.
    pub fn observed_age(&self, now: Timestamp) -> Option<Duration> {
        self.observed.map(|observation| (now - observation.at).to_std().unwrap_or_default())
    }

    /// The newest measured load.
    pub fn observed_load(&self) -> Option<Load> {
        self.observed.map(|observation| observation.load)
    }
}
