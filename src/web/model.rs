//! What stands behind the models of a target, as it is shown.
//!
//! The names are the explanation's own, in the spelling of the configuration file; what is not known is `null`.

use serde::Serialize;

use crate::engine::{Learned, Table, Target};
use crate::forecast::{Blend, Doubt, Effect, Explanation, Hygiene, Refusal, Shares, Shift, Weight};
use crate::time::Timestamp;

/// A target.
#[derive(Debug, Serialize)]
pub(super) struct Models<'a> {
    at: Timestamp,
    target: &'a str,
    demands: Vec<Model<'a>>,
}

/// The model of one demand, or why there is none.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Model<'a> {
    demand: &'a str,
    /// The end of what the newest fit learned from.
    data_until: Option<Timestamp>,
    #[serde(rename = "noModel")]
    why_none: Option<String>,
    explanation: Option<Explained>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Explained {
    history: Option<History>,
    blends: Vec<Blended>,
    not_asked: Vec<NotAsked>,
    effects: Vec<Effective>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct History {
    from: Timestamp,
    to: Timestamp,
    measured_slots: usize,
    /// By reason; each is there, even where it is 0.
    left_out_slots: serde_json::Map<String, serde_json::Value>,
    level_shifts: Vec<Shifted>,
}

#[derive(Debug, Serialize)]
struct Shifted {
    at: Timestamp,
    times: f64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Blended {
    part: &'static str,
    from: Timestamp,
    to: Timestamp,
    /// Whether the shares follow from past errors.
    judged: bool,
    leads: Vec<Believed>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Believed {
    lead_seconds: u64,
    /// By candidate.
    shares: serde_json::Map<String, serde_json::Value>,
}

#[derive(Debug, Serialize)]
struct NotAsked {
    candidate: &'static str,
    why: String,
}

#[derive(Debug, Serialize)]
struct Effective {
    name: String,
    /// `routine`, `seen` or `unseen`.
    known: &'static str,
    occurrences: Option<u32>,
    times: Option<f64>,
}

impl<'a> Models<'a> {
    /// What is shown of a target of `table`.
    pub(super) fn new(at: Timestamp, target: &'a Target, table: &Table) -> Self {
        let model = |demand: &'a str| Model::new(demand, table.learned(&target.name, demand).as_deref());
        let demands = target.demands.iter().map(|demand| model(&demand.name)).collect();
        Self { at, target: &target.name, demands }
    }
}

impl<'a> Model<'a> {
    fn new(demand: &'a str, learned: Option<&Learned>) -> Self {
        let outcome = learned.map(|learned| learned.outcome.as_ref());
        let why_none = match &outcome {
            None => Some("no fit has come to an end yet; the history is being read".to_owned()),
            Some(Err(error)) => Some(error.to_string()),
            Some(Ok(_)) => None,
        };
        let explanation = outcome.and_then(Result::ok).map(Explained::from);
        Self { demand, data_until: learned.map(|learned| learned.until), why_none, explanation }
    }
}

impl From<&Explanation> for Explained {
    fn from(explanation: &Explanation) -> Self {
        let not_asked = |Refusal { candidate, why }: &Refusal| NotAsked { candidate, why: why.to_string() };
        Self {
            history: explanation.hygiene.as_ref().map(History::from),
            blends: explanation.blends.iter().map(Blended::from).collect(),
            not_asked: explanation.refusals.iter().map(not_asked).collect(),
            effects: explanation.effects.iter().map(Effective::from).collect(),
        }
    }
}

impl From<&Hygiene> for History {
    fn from(hygiene: &Hygiene) -> Self {
        let left_out = |doubt: Doubt| (doubt.name().to_owned(), hygiene.masked(doubt).into());
        Self {
            from: hygiene.span.start,
            to: hygiene.span.end,
            measured_slots: hygiene.measured,
            left_out_slots: Doubt::ALL.into_iter().map(left_out).collect(),
            level_shifts: hygiene
                .shifts
                .iter()
                .map(|Shift { at, times }| Shifted { at: *at, times: *times })
                .collect(),
        }
    }
}

impl From<&Blend> for Blended {
    fn from(blend: &Blend) -> Self {
        let believed = |shares: &Shares| Believed {
            lead_seconds: shares.lead.as_secs(),
            shares: blend
                .candidates
                .iter()
                .zip(&shares.shares)
                .map(|(candidate, share)| ((*candidate).to_owned(), (*share).into()))
                .collect(),
        };
        Self {
            part: blend.part.name(),
            from: blend.learned_from.start,
            to: blend.learned_from.end,
            judged: blend.judged,
            leads: blend.shares.iter().map(believed).collect(),
        }
    }
}

impl From<&Effect> for Effective {
    fn from(effect: &Effect) -> Self {
        let (known, occurrences, times) = match effect.weight {
            Weight::Routine => ("routine", None, None),
            Weight::Seen { occurrences, times } => ("seen", Some(occurrences), Some(times)),
            Weight::Unseen => ("unseen", None, None),
        };
        Self { name: effect.cause.name.to_string(), known, occurrences, times }
    }
}
