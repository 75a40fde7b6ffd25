//! Decisions as they are shown: one JSON object, or one line, per target.
//!
//! The names are the decision's own, in the spelling of the configuration file. Nothing is computed here but the age of a
//! measurement at the moment of showing; what is not known is `null` or said, never 0.

use serde::Serialize;

use crate::decision::{Claim, Decision};
use crate::engine::{Published, Target};
use crate::forecast::Observation;
use crate::guard::Mode;
use crate::guard::surge::Surge;
use crate::plan::{Climb, EventNeed, Limit, Plan, Prospect, Shortfall};
use crate::time::Timestamp;
use crate::units::Load;

/// Everything, at one moment.
#[derive(Debug, Serialize)]
pub(super) struct Board<'a> {
    pub(super) at: Timestamp,
    pub(super) targets: Vec<Entry<'a>>,
}

/// A target, and what is answered for it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry<'a> {
    target: &'a str,
    scaled_object: String,
    mode: &'static str,
    decision: Option<Shown<'a>>,
    no_decision: Option<String>,
    /// Why its source gives less than it should.
    source_trouble: Option<&'a str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    at: Timestamp,
    effective_from: Timestamp,
    rung: &'static str,
    /// The demand whose newest measurement needs the most, that measurement and what it needs.
    needs_most: Option<&'a str>,
    observed: Option<Observed>,
    reactive_need_replicas: Option<u32>,
    /// The demand whose plan wants the most, and that plan.
    plans_most: Option<&'a str>,
    plan: Option<Planned<'a>>,
    demands: Vec<Claimed<'a>>,
    /// What will be missing in the next 48 h in spite of everything.
    shortfall: Option<Missing>,
    /// What each declared event of the next 48 h will need.
    events_ahead: Vec<Coming<'a>>,
    applied: Vec<Applied<'a>>,
    guarded_replicas: Option<u32>,
    active: Option<bool>,
}

/// What one demand asks for.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Claimed<'a> {
    demand: &'a str,
    /// Absent when the configuration in force does not have this demand any more.
    unit: Option<&'a str>,
    rung: &'static str,
    observed: Option<Observed>,
    reactive_need_replicas: Option<u32>,
    plan: Option<Planned<'a>>,
    event_need: Option<Declared<'a>>,
    surge: Option<Surging>,
}

#[derive(Debug, Serialize)]
struct Observed {
    at: Timestamp,
    load: f64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Planned<'a> {
    replicas: u32,
    quantile: f64,
    origin: Timestamp,
    peak_at: Timestamp,
    peak_load: f64,
    median_load: f64,
    /// Beyond it is a surge; `null` where the model does not know the next minutes.
    unlikely_load: Option<f64>,
    components: Components,
    /// The calendar or event that the effect is of.
    cause: Option<&'a str>,
    /// The later peak for whose sake more is asked for.
    climb: Option<Climbing>,
    /// What the model said, where that was beyond anything seen and was cut.
    absurd_load: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Climbing {
    at: Timestamp,
    replicas: u32,
}

/// What a declared event needs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Declared<'a> {
    event: &'a str,
    at: Timestamp,
    load: f64,
    replicas: u32,
    needed_replicas: u32,
}

/// What a declared event will need.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Coming<'a> {
    event: &'a str,
    from: Timestamp,
    until: Timestamp,
    replicas: u32,
    ready_by: Timestamp,
}

/// A rise beyond what was expected.
#[expect(clippy::struct_field_names, reason = "the names of the API, each with its unit")]
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Surging {
    observed_load: f64,
    expected_load: f64,
    reaches_load: f64,
}

#[expect(clippy::struct_field_names, reason = "the names of the API, each with its unit")]
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Missing {
    from: Timestamp,
    missing_replicas: u32,
    worst_at: Timestamp,
    needed_replicas: u32,
    limit: &'static str,
}

#[derive(Debug, Serialize)]
struct Components {
    profile: f64,
    day: f64,
    level: f64,
    effect: f64,
}

#[derive(Debug, Serialize)]
struct Applied<'a> {
    rule: &'static str,
    from: Option<u32>,
    to: u32,
    why: &'a str,
}

fn mode(target: &Target) -> &'static str {
    match target.policy.guard.mode {
        Mode::Shadow => "shadow",
        Mode::Active => "active",
    }
}

impl<'a> Entry<'a> {
    /// What is shown of a target.
    pub(super) fn new(target: &'a Target, published: &'a Published, now: Timestamp) -> Self {
        let decision = published.at(now);
        Self {
            target: &target.name,
            scaled_object: target.scaled_object.to_string(),
            mode: mode(target),
            no_decision: decision.as_ref().err().map(ToString::to_string),
            decision: decision.ok().map(|decision| Shown::new(target, decision)),
            source_trouble: published.trouble().map(|trouble| &**trouble),
        }
    }
}

/// The unit of a demand, if the target has it.
fn unit<'a>(target: &'a Target, claim: &Claim) -> Option<&'a str> {
    let demand = target.demands.iter().find(|demand| demand.name == claim.demand);
    demand.map(|demand| &*demand.unit)
}

impl From<Observation> for Observed {
    fn from(observed: Observation) -> Self {
        Self { at: observed.at, load: observed.load.get() }
    }
}

impl From<&Climb> for Climbing {
    fn from(climb: &Climb) -> Self {
        Self { at: climb.at, replicas: climb.to.0 }
    }
}

impl<'a> From<&'a EventNeed> for Declared<'a> {
    fn from(need: &'a EventNeed) -> Self {
        Self {
            event: &need.name,
            at: need.at,
            load: need.load.get(),
            replicas: need.replicas.0,
            needed_replicas: need.needed.0,
        }
    }
}

impl<'a> From<&'a Prospect> for Coming<'a> {
    fn from(prospect: &'a Prospect) -> Self {
        Self {
            event: &prospect.name,
            from: prospect.from,
            until: prospect.until,
            replicas: prospect.replicas.0,
            ready_by: prospect.ready_by,
        }
    }
}

impl From<&Surge> for Surging {
    fn from(surge: &Surge) -> Self {
        Self {
            observed_load: surge.observed.get(),
            expected_load: surge.expected.get(),
            reaches_load: surge.reaches.get(),
        }
    }
}

impl From<&Shortfall> for Missing {
    fn from(shortfall: &Shortfall) -> Self {
        Self {
            from: shortfall.from,
            missing_replicas: shortfall.missing.0,
            worst_at: shortfall.worst_at,
            needed_replicas: shortfall.needed.0,
            limit: shortfall.limit.name(),
        }
    }
}

impl<'a> From<&'a Plan> for Planned<'a> {
    fn from(plan: &'a Plan) -> Self {
        Self {
            replicas: plan.replicas.0,
            quantile: plan.quantile.get(),
            origin: plan.origin,
            peak_at: plan.peak_at,
            peak_load: plan.peak.get(),
            median_load: plan.median.get(),
            unlikely_load: plan.watched.map(|watched| watched.unlikely.get()),
            components: Components {
                profile: plan.components.profile,
                day: plan.components.day,
                level: plan.components.level,
                effect: plan.components.effect,
            },
            cause: plan.cause.as_ref().map(|cause| &*cause.name),
            climb: plan.climb.as_ref().map(Climbing::from),
            absurd_load: plan.absurd.map(Load::get),
        }
    }
}

impl<'a> Claimed<'a> {
    fn new(target: &'a Target, claim: &'a Claim) -> Self {
        Self {
            demand: &claim.demand,
            unit: unit(target, claim),
            rung: claim.rung.name(),
            observed: claim.observed.map(Observed::from),
            reactive_need_replicas: claim.reactive_need.map(|replicas| replicas.0),
            plan: claim.plan.as_ref().map(Planned::from),
            event_need: claim.event_need.as_ref().map(Declared::from),
            surge: claim.surge.as_ref().map(Surging::from),
        }
    }
}

impl<'a> Shown<'a> {
    fn new(target: &'a Target, decision: &'a Decision) -> Self {
        let name = |claim: Option<&'a Claim>| claim.map(|claim| &*claim.demand);
        Self {
            at: decision.at,
            effective_from: decision.effective_from,
            rung: decision.rung.name(),
            needs_most: name(decision.needs_most()),
            observed: decision.observed().map(Observed::from),
            reactive_need_replicas: decision.reactive_need().map(|replicas| replicas.0),
            plans_most: name(decision.plans_most()),
            plan: decision.plan().map(Planned::from),
            demands: decision.claims.iter().map(|claim| Claimed::new(target, claim)).collect(),
            shortfall: decision.shortfall.as_ref().map(Missing::from),
            events_ahead: decision.prospects.iter().map(Coming::from).collect(),
            applied: decision
                .applied
                .iter()
                .map(|applied| Applied {
                    rule: applied.rule.name(),
                    from: applied.from.map(|replicas| replicas.0),
                    to: applied.to.0,
                    why: &applied.why,
                })
                .collect(),
            guarded_replicas: decision.guarded.map(|replicas| replicas.0),
            active: decision.active(),
        }
    }
}

/// What is wrong with a target's source, as the rest of a line about the target.
pub(super) fn trouble(published: &Published) -> String {
    published.trouble().map(|trouble| format!("; its source: {trouble}")).unwrap_or_default()
}

/// One line for a person.
pub(super) fn line(target: &Target, published: &Published, now: Timestamp) -> String {
    let trouble = trouble(published);
    let decision = match published.at(now) {
        Ok(decision) => decision,
        Err(why) => return format!("{}: no answer, {why}{trouble}", target.name),
    };
    let answer = match decision.guarded {
        Some(replicas) => format!("{replicas} replicas"),
        None => "no answer".into(),
    };
    let mut parts = vec![answer, format!("{} ({})", decision.rung.name(), mode(target))];
    for claim in &decision.claims {
        let unit = unit(target, claim).unwrap_or_default();
        // Where there is only one demand, everything is said of it.
        let of = if decision.claims.len() > 1 { format!("{} ", claim.demand) } else { String::new() };
        if let Some(plan) = &claim.plan {
            let peak_at = plan.peak_at.format("%H:%M:%SZ");
            parts.push(format!(
                "{of}planned {} for {} {unit} at {peak_at} (quantile {})",
                plan.replicas, plan.peak, plan.quantile
            ));
        }
        if let Some(observed) = claim.observed {
            let age = (now - observed.at).num_seconds().max(0);
            let need = claim.reactive_need.map(|need| format!(", which need {need}")).unwrap_or_default();
            parts.push(format!("{of}observed {} {unit} {age} s ago{need}", observed.load));
        }
    }
    if let Some(Shortfall { from, missing, limit, .. }) = decision.shortfall {
        let why = match limit {
            Limit::Max => "max is too low",
            Limit::Time => "the climb is too long",
        };
        parts.push(format!(
            "{missing} will be missing from {} on, because {why}",
            from.format("%Y-%m-%d %H:%MZ")
        ));
    }
    let rules: Vec<_> = decision.applied.iter().map(|applied| applied.rule.name()).collect();
    if !rules.is_empty() {
        parts.push(format!("by {}", rules.join(", ")));
    }
    format!("{}: {}{trouble}", target.name, parts.join("; "))
}
