//! `SurgeEvent`: an event, or a floor for a while, declared in the cluster beside what it is about.
//!
//! The custom resource definition in the chart is generated from these types; `tests/cluster` holds the two together, and
//! `UPDATE_CRD=1` writes it anew. The API server refuses what breaks its schema or one of its rules. What they cannot say (a
//! duration of a year, say) and what was written past them is left out here, and said in the object's status.
//!
//! A `hold` is in force as soon as it is seen, which is not the same instant on every replica: for a second or two they answer
//! differently, and the HPA takes what it is given last. A `surge` is a [`calendar::Event`](crate::calendar::Event) like one
//! of the configuration; it is in force on every replica a minute after it was declared, by the API server's clock.

#![expect(unreachable_pub, reason = "KubeSchema repeats the types within functions of its own")]

use std::time::Duration;

use chrono::{DateTime, Datelike as _, TimeDelta, Utc};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SurgeEventStatus;
use crate::calendar::{Envelope, Event, Uplift, YEARS};
use crate::guard;
use crate::time::Timestamp;
use crate::units::Replicas;

/// How a duration is written: 90s, 5m, 1h30m.
const DURATION: &str = "^([0-9]+(s|m|h|d))+$";

/// What a surge takes to grow, last and fade where it does not say.
const ENVELOPE: [Duration; 3] =
    [Duration::from_secs(300), Duration::from_secs(3600), Duration::from_secs(3600)];

/// No part of a surge is longer: what lasts for months is not an event, and an instant has an end.
const LONGEST: TimeDelta = TimeDelta::days(31);

/// Something that will move demand, or a floor for a while.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "tidetable.dev",
    version = "v1alpha1",
    kind = "SurgeEvent",
    namespaced,
    shortname = "surge",
    status = "SurgeEventStatus",
    doc = "Something that will move demand of targets in its namespace, or a floor under their replicas for a while.",
    derive = "PartialEq",
    printcolumn = r#"{"name":"Targets","type":"string","jsonPath":".spec.targets"}"#,
    printcolumn = r#"{"name":"Phase","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"At","type":"string","jsonPath":".spec.surge.at"}"#,
    printcolumn = r#"{"name":"Replicas","type":"integer","jsonPath":".status.replicasAtPeak"}"#,
    printcolumn = r#"{"name":"Ready by","type":"string","jsonPath":".status.readyAt"}"#,
    printcolumn = r#"{"name":"Short","type":"integer","jsonPath":".status.shortfall"}"#,
    printcolumn = r#"{"name":"Hold","type":"integer","jsonPath":".spec.hold.replicas"}"#,
    printcolumn = r#"{"name":"Until","type":"string","jsonPath":".spec.hold.until"}"#,
    printcolumn = r#"{"name":"Accepted","type":"string","jsonPath":".status.conditions[?(@.type=='Accepted')].status","priority":1}"#,
    printcolumn = r#"{"name":"Why","type":"string","jsonPath":".status.conditions[?(@.type=='Accepted')].message","priority":1}"#
)]
#[x_kube(validation = Rule::new("has(self.surge) || has(self.hold)").message("say surge, hold, or both"))]
#[serde(rename_all = "camelCase")]
pub struct SurgeEventSpec {
    /// The targets that are meant, by their names in tidetable's configuration. Only those whose ScaledObject is in this namespace
    /// are.
    #[schemars(
        extend("minItems" = 1, "maxItems" = 50, "x-kubernetes-list-type" = "set"),
        inner(length(min = 1, max = 59))
    )]
    pub targets: Vec<String>,
    /// When demand will move, and how far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub surge: Option<Surge>,
    /// A floor for a while, in an incident say. It is in force as soon as it is seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// Called off: neither the surge nor the hold is in force.
    #[serde(default)]
    pub cancelled: bool,
}

/// When demand will move, and how far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Surge {
    /// When it begins, such as 2026-11-27T11:00:00+05:30.
    #[schemars(extend("format" = "date-time"))]
    pub at: String,
    /// How many times the usual demand is expected; what earlier events of this name did, unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uplift: Option<SurgeUplift>,
    /// How long demand grows; 5m unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20), regex(pattern = DURATION))]
    pub ramp: Option<String>,
    /// How long it stays; 1h unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20), regex(pattern = DURATION))]
    pub stay: Option<String>,
    /// How long it fades; 1h unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20), regex(pattern = DURATION))]
    pub decay: Option<String>,
    /// Who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub owner: Option<String>,
    /// The change it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub ticket: Option<String>,
}

/// Multiples of the demand there would be without it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    // The minimum alone lets 0 pass: an API server holds a whole number against what is whole of it.
    validation = Rule::new("self.expected > 0.0").message("expected is more than 0"),
    validation = Rule::new("self.expected <= self.upper").message("upper is at least expected")
)]
pub struct SurgeUplift {
    /// The median.
    #[schemars(range(min = 0.01, max = 1000.0))]
    pub expected: f64,
    /// What is hardly ever exceeded: the 0.95 quantile.
    #[schemars(range(min = 0.01, max = 1000.0))]
    pub upper: f64,
}

/// A floor for a while.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Hold {
    /// Never fewer; the target's own maximum still holds.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub replicas: u32,
    /// Until when, such as 2026-11-27T18:00:00Z.
    #[schemars(extend("format" = "date-time"))]
    pub until: String,
    /// Why, for who comes after.
    #[schemars(length(min = 1, max = 500))]
    pub reason: String,
}

/// Why a `SurgeEvent` is left out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// An instant.
    #[error("{field} {found:?} is not an instant; write it like 2026-11-27T11:00:00Z")]
    Instant {
        /// Which.
        field: &'static str,
        /// What it is.
        found: String,
    },
    /// A duration.
    #[error("{field} {found:?} is not a duration of at most 31d; write it like 90s, 5m or 1h30m")]
    Duration {
        /// Which.
        field: &'static str,
        /// What it is.
        found: String,
    },
    /// No duration at all.
    #[error("surge has neither ramp nor stay nor decay; it would last no time at all")]
    Momentary,
    /// The multiples.
    #[error("uplift {expected} to {upper} does not ascend from above 0")]
    Uplift {
        /// The median.
        expected: String,
        /// The 0.95 quantile.
        upper: String,
    },
}

impl SurgeEventSpec {
    /// What it declares under `name`: all of it, or nothing where a part cannot be read.
    ///
    /// # Errors
    /// [`Unreadable`], with the first such part.
    pub fn read(&self, name: &str) -> Result<(Option<Event>, Option<guard::Hold>), Unreadable> {
        Ok((self.event(name)?, self.floor()?))
    }

    /// The floor that it puts under its targets, where it does.
    ///
    /// # Errors
    /// [`Unreadable`] when nobody can tell until when.
    pub fn floor(&self) -> Result<Option<guard::Hold>, Unreadable> {
        let Some(hold) = self.hold.as_ref().filter(|_| !self.cancelled) else { return Ok(None) };
        let until = instant("hold.until", &hold.until)?;
        let reason = hold.reason.as_str().into();
        Ok(Some(guard::Hold { replicas: Replicas(hold.replicas), until, reason }))
    }

    /// The event that it declares under `name`, where it does.
    ///
    /// # Errors
    /// [`Unreadable`] when it does not say it so that it can be read.
    pub fn event(&self, name: &str) -> Result<Option<Event>, Unreadable> {
        let Some(surge) = &self.surge else { return Ok(None) };
        let span = |field, text: &Option<String>, usual: Duration| match text {
            None => Ok(TimeDelta::from_std(usual).unwrap_or_default()),
            Some(text) => duration(field, text),
        };
        let [ramp, stay, decay] = ENVELOPE;
        let uplift = surge.uplift.map(|SurgeUplift { expected, upper }| {
            // As far below the median as the 0.95 quantile is above it, in the logarithm.
            Uplift::try_new(expected * expected / upper, expected, upper)
                .map_err(|_| Unreadable::Uplift { expected: expected.to_string(), upper: upper.to_string() })
        });
        let envelope = Envelope {
            lead: TimeDelta::zero(),
            ramp: span("surge.ramp", &surge.ramp, ramp)?,
            hold: span("surge.stay", &surge.stay, stay)?,
            decay: span("surge.decay", &surge.decay, decay)?,
        };
        if envelope == Envelope::default() {
            return Err(Unreadable::Momentary);
        }
        Ok(Some(Event {
            name: name.into(),
            at: instant("surge.at", &surge.at)?,
            envelope,
            uplift: uplift.transpose()?,
            peak: None,
            owner: surge.owner.as_deref().map(Into::into),
            ticket: surge.ticket.as_deref().map(Into::into),
            cancelled: self.cancelled,
            cut_short: None,
        }))
    }
}

impl SurgeEvent {
    /// When it was declared or last changed, by the API server's clock; what is written of its status is no change.
    pub(super) fn changed_at(&self) -> Option<Timestamp> {
        let written = self.metadata.managed_fields.iter().flatten();
        let written = written.filter(|fields| fields.subresource.as_deref().unwrap_or_default().is_empty());
        let instants =
            written.filter_map(|fields| fields.time.as_ref()).chain(&self.metadata.creation_timestamp);
        instants.filter_map(|time| DateTime::from_timestamp(time.0.as_second(), 0)).max()
    }
}

fn instant(field: &'static str, text: &str) -> Result<Timestamp, Unreadable> {
    let parsed = DateTime::parse_from_rfc3339(text).ok().map(|at| at.with_timezone(&Utc));
    let parsed = parsed.filter(|at| YEARS.contains(&at.year()));
    parsed.ok_or_else(|| Unreadable::Instant { field, found: text.to_owned() })
}

fn duration(field: &'static str, text: &str) -> Result<TimeDelta, Unreadable> {
    let parsed = humantime::parse_duration(text).ok().and_then(|parsed| TimeDelta::from_std(parsed).ok());
    let parsed = parsed.filter(|parsed| *parsed <= LONGEST);
    parsed.ok_or_else(|| Unreadable::Duration { field, found: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(value: serde_json::Value) -> SurgeEventSpec {
        serde_json::from_value(value).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_hold_is_a_floor_until_it_ends_or_is_called_off() {
        let hold = json!({ "replicas": 40, "until": "2026-11-27T18:00:00+01:00", "reason": "INC-7" });
        let mut held = spec(json!({ "targets": ["api"], "hold": hold }));
        let floor = held.floor().unwrap().unwrap();
        assert_eq!((floor.replicas, floor.until), (Replicas(40), at("2026-11-27T17:00:00Z")));
        assert_eq!(&*floor.reason, "INC-7");
        held.cancelled = true;
        assert_eq!(held.floor(), Ok(None));
    }

    #[test]
    fn a_surge_is_an_event_of_the_calendar() {
        let surge = json!({ "at": "2026-11-27T11:00:00+05:30", "uplift": { "expected": 6, "upper": 12 },
                            "ramp": "5m", "stay": "45m", "decay": "2h", "owner": "growth", "ticket": "CHG-1432" });
        let event =
            spec(json!({ "targets": ["api"], "surge": surge })).event("phone-launch").unwrap().unwrap();
        let window = event.window().unwrap();
        let span = [window.from, window.full, window.fade, window.until];
        let expected = ["05:30", "05:35", "06:20", "08:20"].map(|time| at(&format!("2026-11-27T{time}:00Z")));
        assert_eq!(span, expected);
        assert_eq!(event.uplift, Some(Uplift { lower: 3.0, expected: 6.0, upper: 12.0 }));
        assert_eq!((event.owner.as_deref(), event.ticket.as_deref()), (Some("growth"), Some("CHG-1432")));
    }

    #[test]
    fn what_cannot_be_read_says_which_field() {
        let of = |surge: serde_json::Value| {
            spec(json!({ "targets": ["api"], "surge": surge })).event("x").unwrap_err()
        };
        assert!(of(json!({ "at": "noon" })).to_string().starts_with("surge.at \"noon\""));
        assert!(of(json!({ "at": "9026-11-27T11:00:00Z" })).to_string().starts_with("surge.at"), "a slip");
        // Longer than time itself: an instant that far off cannot be worked out.
        let stay = of(json!({ "at": "2026-11-27T11:00:00Z", "stay": "100000000d" }));
        assert!(stay.to_string().starts_with("surge.stay"), "{stay}");
        let never = json!({ "at": "2026-11-27T11:00:00Z", "ramp": "0s", "stay": "0s", "decay": "0s" });
        assert_eq!(of(never), Unreadable::Momentary);
        let ramp = of(json!({ "at": "2026-11-27T11:00:00Z", "ramp": "soon" }));
        assert!(ramp.to_string().starts_with("surge.ramp \"soon\""));
        let uplift = json!({ "expected": 2, "upper": 1 });
        assert!(matches!(
            of(json!({ "at": "2026-11-27T11:00:00Z", "uplift": uplift })),
            Unreadable::Uplift { .. }
        ));
    }
}
