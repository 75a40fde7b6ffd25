//! What becomes of a `SurgeEvent`, written back to it: where it stands, what it takes, and whether it was understood.
//!
//! ```text
//! Scheduled ──▶ Warming ──▶ Active ──▶ Decaying ──▶ Done          Cancelled: called off, at any time
//!               pods for it can be asked for now
//! ```
//!
//! A status is worked out from the object, the time and the decisions in force, and from nothing that only this replica knows,
//! so it does not matter which replica writes it.

use std::sync::Arc;

use chrono::TimeDelta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::heeded::{MOST_OF_NAMESPACE, MOST_OF_TARGET};
use super::surge::Unreadable;
use super::{SurgeEvent, SurgeEventSpec};
use crate::calendar::{Event, Window};
use crate::decision::{Claim, Decision};
use crate::engine::Target;
use crate::guard::Hold;
use crate::plan::RENEWAL;
use crate::time::Timestamp;
use crate::units::Replicas;

/// What becomes of a `SurgeEvent`. Numbers are sums over its targets.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SurgeEventStatus {
    /// Where it stands; none where it was refused.
    #[serde(default)]
    pub phase: Option<Phase>,
    /// The most replicas that are needed while it lasts, other demand included; known up to 48 h before it is there in full.
    #[serde(default)]
    pub replicas_at_peak: Option<u32>,
    /// By when they are to be ready.
    #[serde(default)]
    #[schemars(extend("format" = "date-time"))]
    pub ready_at: Option<String>,
    /// How many of them will be missing, as far as is known: for a maximum that is too low, or a climb that is too long.
    #[serde(default)]
    pub shortfall: Option<u32>,
    /// The same for each target that tidetable has.
    #[serde(default)]
    pub targets: Vec<TargetStatus>,
    /// Whether it was understood, as `Accepted`.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Of which generation of the object all this is said.
    #[serde(default)]
    pub observed_generation: Option<i64>,
}

/// Where a `SurgeEvent` stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// It is known, and nothing is done yet.
    Scheduled,
    /// Pods for it are asked for.
    Warming,
    /// Demand grows or stays, or its hold is in force.
    Active,
    /// Demand fades.
    Decaying,
    /// It is over.
    Done,
    /// It was called off.
    Cancelled,
}

/// What becomes of it for one target.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetStatus {
    /// The target, by its name in tidetable's configuration.
    pub name: String,
    /// The most replicas that it needs meanwhile.
    #[serde(default)]
    pub replicas_at_peak: Option<u32>,
    /// By when they are to be ready.
    #[serde(default)]
    #[schemars(extend("format" = "date-time"))]
    pub ready_at: Option<String>,
    /// How many of them will be missing.
    #[serde(default)]
    pub shortfall: Option<u32>,
}

/// A condition, as Kubernetes' own objects have them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// `Accepted`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True` or `False`.
    pub status: String,
    /// Why, in a word.
    pub reason: String,
    /// Why, for people.
    pub message: String,
    /// Since when.
    #[schemars(extend("format" = "date-time"))]
    pub last_transition_time: String,
    /// Of which generation of the object it is said.
    #[serde(default)]
    pub observed_generation: Option<i64>,
}

/// A target that a `SurgeEvent` is about.
#[derive(Debug, Clone)]
pub(super) struct Concerned {
    pub(super) target: Arc<Target>,
    /// From asking for a pod to the pod being ready, learned or configured.
    pub(super) lead_time: std::time::Duration,
    /// What is answered for it now, if anything is.
    pub(super) decision: Option<Arc<Decision>>,
    /// Its surge is not heeded for this target, because there are too many.
    pub(super) left_out: bool,
}

/// What is to be written of `surge` at `now`; `concerned` are those of its targets that there are.
pub(super) fn status(surge: &SurgeEvent, concerned: &[Concerned], now: Timestamp) -> SurgeEventStatus {
    let former = surge.status.clone().unwrap_or_default();
    let name = surge.metadata.name.as_deref().unwrap_or_default();
    let observed_generation = surge.metadata.generation;
    let read = surge.spec.read(name);
    let (accepted, reason, message) = verdict(&surge.spec, concerned, read.as_ref().err());
    let condition = Condition {
        kind: "Accepted".to_owned(),
        status: if accepted { "True" } else { "False" }.to_owned(),
        reason: reason.to_owned(),
        message,
        last_transition_time: said(now),
        observed_generation,
    };
    let since = former.conditions.into_iter().find(|before| before.kind == condition.kind);
    let since = since.filter(|before| before.status == condition.status);
    let last_transition_time =
        since.map_or_else(|| condition.last_transition_time.clone(), |before| before.last_transition_time);
    let conditions = vec![Condition { last_transition_time, ..condition }];
    let refused = SurgeEventStatus { conditions, observed_generation, ..SurgeEventStatus::default() };
    let (true, Ok((event, hold))) = (accepted, read) else { return refused };

    let window = event.as_ref().and_then(Event::window);
    let phase = phase(surge.spec.cancelled, window.as_ref(), hold.as_ref(), concerned, now);
    let targets: Vec<TargetStatus> = match phase {
        Phase::Cancelled | Phase::Done => Vec::new(),
        _ => concerned.iter().map(|one| of_target(one, window.as_ref(), hold.as_ref(), now)).collect(),
    };
    // What it needed at its peak stays when the peak has passed, as long as the same is declared.
    let same = former.observed_generation == observed_generation;
    let begun = window.as_ref().is_some_and(|window| window.from <= now);
    let targets = targets.into_iter().map(|target| {
        let before = former.targets.iter().find(|before| before.name == target.name);
        match before.filter(|_| same && begun) {
            Some(before) if before.replicas_at_peak >= target.replicas_at_peak => before.clone(),
            _ => target,
        }
    });
    let targets: Vec<TargetStatus> = targets.collect();
    let sum =
        |part: fn(&TargetStatus) -> Option<u32>| targets.iter().filter_map(part).reduce(u32::saturating_add);
    SurgeEventStatus {
        phase: Some(phase),
        replicas_at_peak: sum(|target| target.replicas_at_peak),
        ready_at: targets.iter().filter_map(|target| target.ready_at.clone()).min(),
        shortfall: sum(|target| target.shortfall),
        targets,
        ..refused
    }
}

/// Whether it is heeded, why in a word, and why in a sentence.
fn verdict(
    spec: &SurgeEventSpec,
    concerned: &[Concerned],
    unreadable: Option<&Unreadable>,
) -> (bool, &'static str, String) {
    if let Some(error) = unreadable {
        return (false, "Unreadable", error.to_string());
    }
    let known = |name: &&String| concerned.iter().any(|one| *one.target.name == ***name);
    let unknown: Vec<&str> = spec.targets.iter().filter(|name| !known(name)).map(String::as_str).collect();
    let missing = || {
        format!(
            "no target of tidetable's configuration has its ScaledObject in this namespace and is called {}",
            unknown.join(" or ")
        )
    };
    let left_out: Vec<&str> =
        concerned.iter().filter(|one| one.left_out).map(|one| &*one.target.name).collect();
    if !left_out.is_empty() {
        let heeded = spec.hold.is_some() || left_out.len() < concerned.len();
        let message = format!(
            "its surge is not heeded for {}: of a target's surges the first {MOST_OF_TARGET} are, and the first {MOST_OF_NAMESPACE} of \
             a namespace; delete SurgeEvents that are over, and bound them with a ResourceQuota",
            left_out.join(" and ")
        );
        return (heeded, "TooMany", message);
    }
    match (unknown.is_empty(), concerned.is_empty()) {
        (true, _) => (true, "Declared", "it is heeded".to_owned()),
        (false, true) => (false, "NoSuchTarget", missing()),
        (false, false) => (true, "SomeTargetsUnknown", format!("it is heeded for the others; {}", missing())),
    }
}

fn phase(
    cancelled: bool,
    window: Option<&Window>,
    hold: Option<&Hold>,
    concerned: &[Concerned],
    now: Timestamp,
) -> Phase {
    if cancelled {
        return Phase::Cancelled;
    }
    let held = hold.is_some_and(|hold| now < hold.until);
    match window {
        Some(window) if now < window.from => {
            let warming = concerned.iter().any(|one| one.warms(window, now));
            if warming { Phase::Warming } else { Phase::Scheduled }
        }
        Some(window) if now < window.fade => Phase::Active,
        Some(window) if now < window.until => Phase::Decaying,
        _ if held => Phase::Active,
        _ => Phase::Done,
    }
}

impl Concerned {
    /// Whether pods that are asked for at `now` may be for what begins with `window`: it lies within the lead time, or the
    /// climb to it has begun.
    fn warms(&self, window: &Window, now: Timestamp) -> bool {
        let ahead = TimeDelta::from_std(self.lead_time + RENEWAL).unwrap_or_default();
        let mut claims = self.decision.iter().flat_map(|decision| &decision.claims);
        let within = |at: Timestamp| window.touches(at, at + RENEWAL);
        let climbed_to = |claim: &Claim| {
            let planned = claim.plan.as_ref().and_then(|plan| plan.climb);
            let declared = claim.event_need.as_ref().filter(|need| need.name == window.name);
            planned.is_some_and(|climb| within(climb.at)) || declared.is_some_and(|need| within(need.at))
        };
        window.from - ahead <= now || claims.any(climbed_to)
    }
}

/// What becomes of it for one target.
fn of_target(one: &Concerned, window: Option<&Window>, hold: Option<&Hold>, now: Timestamp) -> TargetStatus {
    let max = one.target.policy.guard.max;
    let beyond = |replicas: Replicas| replicas.0.saturating_sub(max.0);
    let decision = one.decision.as_deref();
    let prospect = window.and_then(|window| {
        let prospects = &decision?.prospects;
        prospects.iter().find(|prospect| prospect.name == window.name && prospect.from == window.from)
    });
    let hold = hold.filter(|hold| now < hold.until).map(|hold| hold.replicas);
    let needed = prospect.map(|prospect| prospect.replicas).max(hold);
    // The shortfall of a decision is the largest of all; it is of this event where it comes to its worst within it.
    let foreseen = window.and_then(|window| {
        let shortfall = decision?.shortfall?;
        window.touches(shortfall.from, shortfall.worst_at).then_some(shortfall.missing.0)
    });
    TargetStatus {
        name: one.target.name.to_string(),
        replicas_at_peak: needed.map(|needed| needed.0),
        ready_at: prospect.map(|prospect| said(prospect.ready_by)),
        shortfall: needed.map(beyond).max(foreseen).filter(|missing| *missing > 0),
    }
}

/// An instant, as Kubernetes writes them.
fn said(at: Timestamp) -> String {
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}
