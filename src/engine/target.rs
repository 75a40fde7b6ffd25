//! What a worker works for: a target with its demand, its owner and its policy.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;

use crate::calendar::Almanac;
use crate::decision::Policy;
use crate::forecast::{Exclusion, HORIZON};
use crate::guard::Tolerance;
use crate::time::Step;
use crate::units::LoadPerReplica;

/// The one ScaledObject that may ask for a target.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScaledObject {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl std::fmt::Display for ScaledObject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What is measured, where and how finely, and what a replica bears of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Demand {
    /// What it is called, in reasons and metrics; no other of its target has the name.
    pub name: Arc<str>,
    /// The name of the metrics source in the configuration.
    pub source: String,
    /// The query, in the source's language.
    pub query: String,
    /// Which of its series is meant, when the query is shared and gives one for each target.
    pub label: Option<Label>,
    /// Spacing of the grid.
    pub step: Step,
    /// How long after its end a slot may still change.
    pub settle_lag: Duration,
    /// How much history a model is learned from.
    pub history: Duration,
    /// The unit of the load, for people.
    pub unit: String,
    /// What one replica bears, in that unit.
    pub capacity: LoadPerReplica,
}

impl Demand {
    /// The query and, where it is shared, the series that is meant: two demands that measure something else differ here.
    pub fn measured(&self) -> String {
        match &self.label {
            None => self.query.clone(),
            Some(Label { name, content }) => format!("{} of {name}={content:?}", self.query),
        }
    }

    /// How much of the newest past a decision looks at, and so has to be in memory: the two days that a plan may rest on
    /// without a measurement, and the day with which the present is compared.
    pub fn recent_span(&self) -> Duration {
        const COARSE_SLOTS: u32 = 16;
        (HORIZON + DAY).max(self.step.duration() * COARSE_SLOTS)
    }
}

const DAY: Duration = Duration::from_secs(86_400);

/// A label and what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Its name, such as `deployment`.
    pub name: String,
    /// What it holds, such as `payments-api`.
    pub content: String,
}

/// A target of the configuration, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Its name, which trigger metadata carry.
    pub name: Arc<str>,
    /// What it is called by beside its name.
    pub labels: BTreeMap<String, String>,
    /// Who may ask for it.
    pub scaled_object: ScaledObject,
    /// What is measured: at least one demand. The one that needs the most replicas decides.
    pub demands: Vec<Demand>,
    /// The customers' wall clock.
    pub timezone: Tz,
    /// The calendars and events it listens to, in that zone.
    pub almanac: Almanac,
    /// Where the lead time of the policy comes from.
    pub lead_time: LeadTime,
    /// Where the HPA's rules for scaling up come from.
    pub scale_up: ScaleUpFrom,
    /// Spans of its history that are not to be learned from.
    pub exclude: Arc<[Exclusion]>,
    /// How it is scaled.
    pub policy: Policy,
    /// How an answer is written for its HPA: the last step, of which no decision knows.
    pub tolerance: Tolerance,
}

/// Where a lead time comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeadTime {
    /// The configuration says it.
    Configured,
    /// The cluster shows it; until it has, the policy's counts.
    Learned,
}

/// Where the HPA's rules for scaling up come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScaleUpFrom {
    /// The configuration says them.
    Configured,
    /// The HPA shows them; until it has, the policy's count.
    Hpa,
}
