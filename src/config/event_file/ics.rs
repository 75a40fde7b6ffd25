//! Events of an iCalendar (RFC 5545).
//!
//! Of each VEVENT its SUMMARY becomes the name, DTSTART the time, DTEND or DURATION how long it holds, CATEGORIES the profile,
//! STATUS:CANCELLED calls it off, ORGANIZER is its owner and UID its ticket. `X-TIDETABLE-EXPECTED`, `-LOWER`, `-UPPER`, `-PEAK`
//! and `-TARGETS` say what iCalendar has no word for. What recurs is expanded ([`super::recurring`]). Zones are IANA names; the
//! VTIMEZONE definitions of a file are not read, for the binary's own tz database says the same.

use chrono::{NaiveDate, NaiveDateTime};
use chrono_tz::Tz;

use super::super::complaint::{Complaint, KeyPath, Place};
use super::super::models::Library;
use super::super::node::{Entry, Kind, Node};
use super::super::raw;
use super::{labels, recurring};

/// One property of an event, unfolded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Property {
    /// The line on which it begins.
    pub(super) line: u64,
    /// Its name, in upper case.
    pub(super) name: String,
    /// `(NAME, content)` of each parameter.
    pub(super) parameters: Vec<(String, String)>,
    /// What stands after the colon.
    pub(super) content: String,
}

/// A local time, or an instant when its zone is UTC; a date is its midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) local: NaiveDateTime,
    /// `None` floats: it is that of the file's defaults.
    pub(super) zone: Option<Tz>,
}

/// One VEVENT.
#[derive(Debug, Default)]
pub(super) struct Component {
    pub(super) line: u64,
    pub(super) properties: Vec<Property>,
}

impl Component {
    pub(super) fn get(&self, name: &str) -> Option<&Property> {
        self.properties.iter().find(|property| property.name == name)
    }
}

/// The tree of an iCalendar's events, what recurs expanded.
///
/// # Errors
/// Everything that cannot be read.
pub(super) fn tree(text: &str, defaults: &raw::EventFile, library: &Library) -> Result<Node, Vec<Complaint>> {
    let components = components(text).map_err(|complaint| vec![complaint])?;
    let floating = defaults.timezone.as_deref().and_then(|zone| zone.parse::<Tz>().ok());
    let mut complaints = Vec::new();
    let mut items = Vec::new();
    for component in &components {
        let starts = start(component, "DTSTART")
            .and_then(|start| recurring::starts(component, start, floating, &components));
        match starts.and_then(|starts| Ok((starts, common(component, defaults, library)?))) {
            Ok((starts, common)) => {
                items.extend(starts.into_iter().map(|start| event(component, start, &common)));
            }
            Err(complaint) => complaints.push(complaint),
        }
    }
    if complaints.is_empty() {
        Ok(Node { place: Some(Place { line: 1, column: 1 }), kind: Kind::List(items) })
    } else {
        Err(complaints)
    }
}

pub(super) fn complain(line: u64, message: impl Into<String>) -> Complaint {
    Complaint { place: Some(Place { line, column: 1 }), path: KeyPath::root(), message: message.into() }
}

/// Every VEVENT, alarms and the like within it left out.
fn components(text: &str) -> Result<Vec<Component>, Complaint> {
    let mut components = Vec::new();
    let mut open: Vec<String> = Vec::new();
    let mut current = None;
    let properties = properties(text)?;
    if !properties.first().is_some_and(|first| first.name == "BEGIN" && first.content == "VCALENDAR") {
        return Err(complain(1, "is no iCalendar; one begins with BEGIN:VCALENDAR"));
    }
    for property in properties {
        match property.name.as_str() {
            "BEGIN" => {
                if property.content == "VEVENT" {
                    current = Some(Component { line: property.line, properties: Vec::new() });
                }
                open.push(property.content);
            }
            "END" => {
                if open.pop().as_deref() != Some(property.content.as_str()) {
                    return Err(complain(
                        property.line,
                        format!("END:{} ends what did not begin", property.content),
                    ));
                }
                if property.content == "VEVENT" {
                    components.extend(current.take());
                }
            }
            _ if open.last().is_some_and(|inner| inner == "VEVENT") => {
                if let Some(component) = &mut current {
                    component.properties.push(property);
                }
            }
            _ => {}
        }
    }
    match open.last() {
        Some(inner) => Err(complain(1, format!("BEGIN:{inner} has no END:{inner}; the file is cut off"))),
        None => Ok(components),
    }
}

/// Content lines, unfolded: a line that begins with a blank goes on where the one before it ended.
fn properties(text: &str) -> Result<Vec<Property>, Complaint> {
    let mut lines: Vec<(u64, String)> = Vec::new();
    for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let line = line.trim_end_matches('\r');
        match (line.strip_prefix([' ', '\t']), lines.last_mut()) {
            (Some(rest), Some((_, folded))) => folded.push_str(rest),
            _ if line.trim().is_empty() => {}
            _ => lines.push((number, line.to_owned())),
        }
    }
    lines.into_iter().map(|(line, text)| property(line, &text)).collect()
}

/// `NAME;PARAMETER=content;…:content`, where a quoted parameter may hold colons.
fn property(line: u64, text: &str) -> Result<Property, Complaint> {
    let wrong = || complain(line, "is no property of an iCalendar; one is written NAME:content");
    let mut quoted = false;
    let colon = text.char_indices().find(|(_, sign)| {
        quoted ^= *sign == '"';
        *sign == ':' && !quoted
    });
    let (head, content) = colon.map(|(at, _)| (&text[..at], &text[at + 1..])).ok_or_else(wrong)?;
    let mut parts = head.split(';');
    let name = parts.next().filter(|name| !name.is_empty()).ok_or_else(wrong)?.to_uppercase();
    let parameters = parts.map(|part| {
        let (name, content) = part.split_once('=').ok_or_else(wrong)?;
        Ok((name.to_uppercase(), content.trim_matches('"').to_owned()))
    });
    Ok(Property {
        line,
        name,
        parameters: parameters.collect::<Result<_, _>>()?,
        content: content.to_owned(),
    })
}

/// Text as it was before it was written: `\n`, `\,`, `\;` and `\\` stand for what cannot stand there.
fn plain(content: &str) -> String {
    let mut text = String::new();
    let mut signs = content.chars();
    while let Some(sign) = signs.next() {
        match (sign, sign == '\\') {
            (_, true) => match signs.next() {
                Some('n' | 'N') => text.push(' '),
                Some(other) => text.push(other),
                None => {}
            },
            (sign, false) => text.push(sign),
        }
    }
    text.trim().to_owned()
}

/// The time of a property that every event has.
fn start(component: &Component, name: &str) -> Result<Start, Complaint> {
    match component.get(name) {
        Some(property) => time(property),
        None => Err(complain(component.line, format!("the event has no {name}; give one"))),
    }
}

/// `20261127T110000`, with Z or TZID, or `20261127`.
pub(super) fn time(property: &Property) -> Result<Start, Complaint> {
    let content = property.content.trim();
    let (digits, utc) = content.strip_suffix('Z').map_or((content, false), |digits| (digits, true));
    let date = NaiveDate::parse_from_str(digits, "%Y%m%d").map(|date| date.and_time(chrono::NaiveTime::MIN));
    let local = NaiveDateTime::parse_from_str(digits, "%Y%m%dT%H%M%S").or(date).map_err(|_| {
        let message = format!("{} {content:?} is not a time; one is written 20261127T110000", property.name);
        complain(property.line, message)
    })?;
    let named = property.parameters.iter().find(|(name, _)| name == "TZID").map(|(_, zone)| zone);
    let zone = match named {
        _ if utc => Some(Tz::UTC),
        Some(zone) => Some(zone.parse::<Tz>().map_err(|_| {
            let message =
                format!("there is no time zone {zone:?}; TZID must be an IANA zone such as Europe/London");
            complain(property.line, message)
        })?),
        None => None,
    };
    Ok(Start { local, zone })
}

/// The keys that all occurrences share.
fn common(
    component: &Component,
    defaults: &raw::EventFile,
    library: &Library,
) -> Result<Vec<Entry>, Complaint> {
    let text = |content: &str| Kind::Text(content.to_owned());
    let mut entries = Vec::new();
    let mut uplift = Vec::new();
    for property in &component.properties {
        let number = || property.content.trim().parse().map_or_else(|_| text(&property.content), Kind::Float);
        match property.name.as_str() {
            "SUMMARY" => entries.push(entry(property.line, "name", text(&plain(&property.content)))),
            "UID" => entries.push(entry(property.line, "ticket", text(&plain(&property.content)))),
            "STATUS" if property.content.trim() == "CANCELLED" => {
                entries.push(entry(property.line, "cancelled", Kind::Bool(true)));
            }
            "ORGANIZER" => {
                let named = property.parameters.iter().find(|(name, _)| name == "CN").map(|(_, name)| name);
                let owner = named.map_or(property.content.trim_start_matches("mailto:"), String::as_str);
                entries.push(entry(property.line, "owner", text(owner)));
            }
            "CATEGORIES" => {
                let mut named = property.content.split(',').map(plain);
                let profile = named.find_map(|category| profile(&category, defaults, library));
                entries.extend(profile.map(|profile| entry(property.line, "profile", text(&profile))));
            }
            "X-TIDETABLE-PEAK" => entries.push(entry(property.line, "peak", number())),
            "X-TIDETABLE-EXPECTED" => uplift.push(entry(property.line, "expected", number())),
            "X-TIDETABLE-LOWER" => uplift.push(entry(property.line, "lower", number())),
            "X-TIDETABLE-UPPER" => uplift.push(entry(property.line, "upper", number())),
            "X-TIDETABLE-TARGETS" => {
                let names = property.content.split(',').map(|name| node(property.line, text(name.trim())));
                entries.push(entry(property.line, "targets", Kind::List(names.collect())));
            }
            "X-TIDETABLE-LABELS" => {
                let place = Place { line: property.line, column: 1 };
                entries.push(entry(property.line, "labels", labels(property.content.split(','), place)));
            }
            _ => {}
        }
    }
    entries.extend(hold(component)?);
    if let Some(first) = uplift.first().and_then(|entry| entry.key_place) {
        entries.push(entry(first.line, "uplift", Kind::Mapping(uplift)));
    }
    // What is written twice, such as two CATEGORIES, is meant once.
    let mut seen = std::collections::BTreeSet::new();
    entries.retain(|entry| seen.insert(entry.key.clone()));
    Ok(entries)
}

/// How long the event lasts, when it says so.
fn hold(component: &Component) -> Result<Option<Entry>, Complaint> {
    let (line, seconds) = match (component.get("DTEND"), component.get("DURATION")) {
        (Some(end), _) => {
            let (start, end_time) = (start(component, "DTSTART")?, time(end)?);
            (end.line, (instant(end_time) - instant(start)).num_seconds())
        }
        (None, Some(duration)) => {
            let seconds = recurring::duration_seconds(&duration.content).ok_or_else(|| {
                let message = format!("{:?} is not a duration; one is written PT45M", duration.content);
                complain(duration.line, message)
            })?;
            (duration.line, seconds)
        }
        (None, None) => return Ok(None),
    };
    if seconds <= 0 {
        return Err(complain(line, "the event ends before it begins; correct DTSTART or DTEND"));
    }
    Ok(Some(entry(line, "hold", Kind::Text(format!("{seconds}s")))))
}

fn instant(start: Start) -> crate::time::Timestamp {
    let zone = start.zone.unwrap_or(Tz::UTC);
    crate::calendar::instant(start.local, zone, crate::calendar::Edge::Start)
}

/// The profile of a category: the one it is mapped to, or the one it is called like.
fn profile(category: &str, defaults: &raw::EventFile, library: &Library) -> Option<String> {
    let mapped = defaults.categories.as_ref().and_then(|categories| categories.get(category));
    let like = || library.profiles().find(|name| name.eq_ignore_ascii_case(category)).map(str::to_owned);
    mapped.cloned().or_else(like)
}

fn event(component: &Component, start: Start, common: &[Entry]) -> Node {
    let line = component.get("DTSTART").map_or(component.line, |property| property.line);
    let local = start.local.format("%Y-%m-%dT%H:%M:%S").to_string();
    let mut entries = vec![entry(line, "at", Kind::Text(local))];
    if let Some(zone) = start.zone {
        entries.push(entry(line, "timezone", Kind::Text(zone.name().to_owned())));
    }
    entries.extend_from_slice(common);
    node(component.line, Kind::Mapping(entries))
}

fn node(line: u64, kind: Kind) -> Node {
    Node { place: Some(Place { line, column: 1 }), kind }
}

fn entry(line: u64, key: &str, kind: Kind) -> Entry {
    Entry { key: key.to_owned(), key_place: Some(Place { line, column: 1 }), node: node(line, kind) }
}
