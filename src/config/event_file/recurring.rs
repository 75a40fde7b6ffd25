//! Events of an iCalendar that recur: RRULE, RDATE and EXDATE expanded, moved occurrences left out.
//!
//! The crate `rrule` does the arithmetic; it is known here and nowhere else. An expansion ends after [`MOST`] occurrences:
//! a rule that ends later by itself is refused, and one without an end has by then gone on for eleven years or more.

use chrono::{NaiveDateTime, TimeDelta};
use chrono_tz::Tz;
use rrule::RRuleSet;

use super::super::complaint::Complaint;
use super::ics::{Component, Start, complain, time};

/// Eleven years of a daily event.
const MOST: u16 = 4015;

/// Every start of an event: one, unless it recurs.
pub(super) fn starts(
    component: &Component,
    start: Start,
    floating: Option<Tz>,
    all: &[Component],
) -> Result<Vec<Start>, Complaint> {
    let rules: Vec<_> = component
        .properties
        .iter()
        .filter(|property| ["RRULE", "RDATE", "EXDATE", "EXRULE"].contains(&property.name.as_str()))
        .collect();
    let Some(first) = rules.first().filter(|_| component.get("RECURRENCE-ID").is_none()) else {
        return Ok(vec![start]);
    };
    let zone = start.zone.or(floating).unwrap_or(Tz::UTC);
    let mut text = format!("DTSTART{}", written(start.local, zone));
    for rule in &rules {
        text.push('\n');
        if rule.name.ends_with("RULE") {
            text.extend([rule.name.as_str(), ":", rule.content.as_str()]);
        } else {
            let times = rule.content.split(',').map(|content| {
                let one = super::ics::Property { content: content.to_owned(), ..(*rule).clone() };
                let found = time(&one)?;
                Ok(written(found.local, found.zone.unwrap_or(zone)))
            });
            let times = times.collect::<Result<Vec<_>, Complaint>>()?;
            text += &times.iter().map(|time| format!("{}{time}", rule.name)).collect::<Vec<_>>().join("\n");
        }
    }
    let wrong = |error: rrule::RRuleError| {
        complain(
            first.line,
            format!("the recurrence is not understood: {error}; see RFC 5545, section 3.3.10"),
        )
    };
    let set: RRuleSet = text.parse().map_err(wrong)?;
    let endless = set.get_rrule().iter().any(|rule| rule.get_count().is_none() && rule.get_until().is_none());
    let expanded = set.all(MOST);
    if expanded.limited && !endless {
        return Err(complain(first.line, format!("recurs more than {MOST} times; let it end earlier")));
    }
    let moved = moved(component, zone, all)?;
    let starts = expanded.dates.into_iter().map(|at| at.naive_local()).filter(|local| !moved.contains(local));
    Ok(starts.map(|local| Start { local, zone: Some(zone) }).collect())
}

/// Local times of occurrences that other events of the same UID stand in for.
fn moved(component: &Component, zone: Tz, all: &[Component]) -> Result<Vec<NaiveDateTime>, Complaint> {
    let uid = component.get("UID").map(|uid| &uid.content);
    let same = all.iter().filter(|other| uid.is_some() && other.get("UID").map(|uid| &uid.content) == uid);
    let times = same.filter_map(|other| other.get("RECURRENCE-ID")).map(|property| {
        let found = time(property)?;
        let from = found.zone.unwrap_or(zone);
        let at = crate::calendar::instant(found.local, from, crate::calendar::Edge::Start);
        Ok(at.with_timezone(&zone).naive_local())
    });
    times.collect()
}

fn written(local: NaiveDateTime, zone: Tz) -> String {
    let local = local.format("%Y%m%dT%H%M%S");
    if zone == Tz::UTC { format!(":{local}Z") } else { format!(";TZID={}:{local}", zone.name()) }
}

/// `PT45M`, `P1DT2H`, `P2W` in seconds; a negative one is none.
pub(super) fn duration_seconds(text: &str) -> Option<i64> {
    let text = text.trim().trim_start_matches('+').strip_prefix('P')?;
    let mut number = String::new();
    let mut total = TimeDelta::zero();
    for sign in text.chars() {
        match sign {
            '0'..='9' => number.push(sign),
            'T' if number.is_empty() => {}
            _ => {
                let count: i64 = std::mem::take(&mut number).parse().ok()?;
                let unit = match sign {
                    'W' => 7 * 86_400,
                    'D' => 86_400,
                    'H' => 3600,
                    'M' => 60,
                    'S' => 1,
                    _ => return None,
                };
                total = total.checked_add(&TimeDelta::try_seconds(count.checked_mul(unit)?)?)?;
            }
        }
    }
    number.is_empty().then(|| total.num_seconds())
}
