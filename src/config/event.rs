//! An announced event's keys, checked.

use chrono::{DateTime, Datelike, NaiveDateTime};
use chrono_tz::Tz;

use super::checker::Checker;
use super::complaint::KeyPath;
use super::meant::Roster;
use super::models::{Complained, Library, reference, values};
use super::raw;
use crate::calendar::{Edge, Envelope, Event, YEARS, instant};
use crate::time::Timestamp;
use crate::units::Load;

/// The profile that lends its shape to events that name none.
const SHAPE: &str = "flash-sale";

/// An event and the targets it moves.
#[derive(Debug, Clone, PartialEq)]
pub struct Announced {
    /// The event.
    pub event: Event,
    /// The names of the targets; every target when `None`.
    pub targets: Option<Vec<String>>,
}

impl Announced {
    /// Whether it moves the demand of a target.
    pub fn moves(&self, target: &str) -> bool {
        self.targets.as_ref().is_none_or(|targets| targets.iter().any(|name| name == target))
    }
}

/// What an event may refer to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    /// The configuration's targets; every event is meant for all there are when `None`.
    pub(super) targets: Option<&'a Roster>,
    /// Profiles.
    pub(super) library: &'a Library,
}

/// `None` only when something was complained of.
pub(super) fn check(
    raw: &raw::Event,
    path: &KeyPath,
    context: Context<'_>,
    checker: &mut Checker<'_>,
) -> Option<Announced> {
    let name = raw.name.as_deref().map(str::trim);
    if name == Some("") {
        checker.complain(&path.key("name"), "is empty; events of one name are learned together");
    }
    let targets = match context.targets {
        Some(roster) => roster.meant(raw.targets.as_ref(), raw.labels.as_ref(), path, checker),
        None => Ok(raw.targets.clone()),
    };
    let zone = match raw.timezone.as_deref() {
        Some(text) => values::timezone(text, &path.key("timezone"), checker).map(Some),
        None => Some(None),
    };
    let mut instant_of = |text: &Option<String>, key: &str, edge| match (text, zone) {
        (Some(text), Some(zone)) => at(text, zone, edge, &path.key(key), checker).map(Some),
        (None, _) => Ok(None),
        (_, None) => Err(Complained),
    };
    let at = instant_of(&raw.at, "at", Edge::Start);
    let cut_short = instant_of(&raw.cut_short, "cutShort", Edge::End);
    let envelope = envelope(raw, path, context.library, checker);
    let profiles: Vec<String> = context.library.profiles().map(str::to_owned).collect();
    let profile = reference(raw.profile.as_deref(), &profiles, "profile", &path.key("profile"), checker);
    let prior = || {
        let profile = context.library.profile(profile.ok().flatten().as_deref()?)?;
        profile.prior
    };
    let uplift = match &raw.uplift {
        Some(uplift) => Some(values::uplift(uplift, &path.key("uplift"), checker)?),
        None if raw.peak.is_some() => None,
        None => prior(),
    };
    if raw.uplift.is_some() && raw.peak.is_some() {
        checker.complain(&path.key("peak"), "says it twice; give uplift or peak, not both");
    }
    let peak = match raw.peak {
        Some(peak) => Some(checker.accept(&path.key("peak"), Load::try_new(peak))?),
        None => None,
    };
    let shared = |text: &Option<String>| text.as_deref().map(Into::into);
    Some(Announced {
        event: Event {
            name: name.filter(|name| !name.is_empty())?.into(),
            at: at.ok()??,
            envelope: envelope?,
            uplift,
            peak,
            owner: shared(&raw.owner),
            ticket: shared(&raw.ticket),
            cancelled: raw.cancelled.unwrap_or(false),
            cut_short: cut_short.ok()?,
        },
        targets: targets.ok()?,
    })
}

/// A local time of `zone`, or an instant with its offset.
fn at(
    text: &str,
    zone: Option<Tz>,
    edge: Edge,
    path: &KeyPath,
    checker: &mut Checker<'_>,
) -> Result<Timestamp, Complained> {
    let text = text.trim();
    let local = ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    let found = match (DateTime::parse_from_rfc3339(text), local, zone) {
        (Ok(at), _, _) => Ok(at.to_utc()),
        (_, Some(local), Some(zone)) => Ok(instant(local, zone, edge)),
        (_, Some(_), None) => {
            Err(format!("{text} is a local time and no zone is given; add timezone, or write {text}Z"))
        }
        (_, None, _) => Err(format!("{text:?} is not a time; write it like 2026-11-27T11:00:00")),
    };
    match found {
        Ok(at) if YEARS.contains(&at.year()) => Ok(at),
        Ok(at) => {
            let (from, until) = (YEARS.start(), YEARS.end());
            checker.complain(path, format!("{} is not between {from} and {until}", at.year()));
            Err(Complained)
        }
        Err(message) => {
            checker.complain(path, message);
            Err(Complained)
        }
    }
}

fn envelope(
    raw: &raw::Event,
    path: &KeyPath,
    library: &Library,
    checker: &mut Checker<'_>,
) -> Option<Envelope> {
    let profile = library.profile(raw.profile.as_deref().unwrap_or(SHAPE));
    let usual = profile.map(|profile| profile.envelope).unwrap_or_default();
    let mut span = |text: &Option<String>, key, usual| match text {
        Some(text) => values::span(Some(text), &path.key(key), checker),
        None => Some(usual),
    };
    let (lead, ramp) = (span(&raw.lead, "lead", usual.lead), span(&raw.ramp, "ramp", usual.ramp));
    let (hold, decay) = (span(&raw.hold, "hold", usual.hold), span(&raw.decay, "decay", usual.decay));
    let envelope = Envelope { lead: lead?, ramp: ramp?, hold: hold?, decay: decay? };
    if envelope.ramp + envelope.hold + envelope.decay <= chrono::TimeDelta::zero() {
        checker.complain(path, "has neither ramp nor hold nor decay; it would last no time at all");
        return None;
    }
    Some(envelope)
}
