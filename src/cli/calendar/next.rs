//! `tidetable calendar next`: what is coming for a target, with the effect that is declared of it.
//!
//! The effect is the declared one or the profile's prior: what a model has learned is known to the process that serves.
//!
//! What will be missing is told as far as it can be without a forecast: a declared `peak` is a load, so what it needs is known, and
//! how far that is above the maximum. Of a multiple nobody can say before what it multiplies is forecast, and nor whether the
//! time is enough to climb there before what then stands is: that is in the decisions (`shortfall`, `eventsAhead`) of a running server.

use std::path::PathBuf;
use std::time::Duration;

use chrono::{SecondsFormat, TimeDelta};
use chrono_tz::Tz;

use super::super::clock::WallClock;
use super::super::flag::instant;
use super::sheet::{Format, Sheet};
use super::{Printed, Refusal, load, unknown};
use crate::calendar::{DayKind, Window, WindowSource};
use crate::engine::{Clock, Target};
use crate::time::Timestamp;
use crate::units::{Load, Replicas};

const COLUMNS: [&str; 11] =
    ["at", "from", "until", "kind", "name", "expected", "lower", "upper", "peak", "replicas", "missing"];

/// Arguments of `tidetable calendar next`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The target, by its name in the configuration
    target: String,
    /// The configuration
    #[arg(long, value_name = "FILE", env = "TIDETABLE_CONFIG")]
    config: PathBuf,
    /// From when on; now when left out
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    from: Option<Timestamp>,
    /// How far ahead, at most 400d
    #[arg(long, value_name = "DURATION", default_value = "14d", value_parser = span)]
    within: Duration,
    /// How rows are printed
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

fn span(text: &str) -> Result<Duration, String> {
    const MOST: Duration = Duration::from_secs(400 * 86_400);
    let span =
        humantime::parse_duration(text).map_err(|_| "write a duration such as 36h or 14d".to_owned())?;
    if span > MOST { Err("at most 400d; 14d is the usual choice".to_owned()) } else { Ok(span) }
}

pub(super) fn run(args: &Args) -> Printed {
    let config = load(&args.config)?;
    let Some(target) = config.targets.iter().find(|target| *target.name == *args.target) else {
        let names = config.targets.iter().map(|target| &*target.name);
        return Err(Refusal::Usage(unknown("target", &args.target, names)));
    };
    let from = args.from.unwrap_or_else(|| WallClock.now());
    let within = TimeDelta::from_std(args.within).unwrap_or(TimeDelta::MAX);
    let until = from.checked_add_signed(within).unwrap_or(Timestamp::MAX_UTC);
    let mut rows = days(target, from, until);
    let outlook = target.almanac.over(from..until);
    rows.extend(outlook.windows().iter().map(|window| (window.from, row(window, target))));
    rows.sort_by_key(|(at, _)| *at);
    let calendars = target.almanac.calendars().iter();
    let expired: Vec<_> =
        calendars.filter(|calendar| calendar.expired(until)).map(|one| &*one.name).collect();
    let note = if expired.is_empty() {
        format!(
            "times in {}; effects as declared, in multiples of the usual demand; replicas and missing by a declared peak alone",
            target.timezone.name()
        )
    } else {
        format!("not looked up as far as this: {}; see tidetable calendar list", expired.join(", "))
    };
    let sheet = Sheet {
        columns: COLUMNS.to_vec(),
        rows: rows.into_iter().map(|(_, row)| row).collect(),
        note: Some(note),
    };
    Ok((sheet, args.format))
}

fn local(at: Timestamp, zone: Tz) -> String {
    at.with_timezone(&zone).to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn row(window: &Window, target: &Target) -> Vec<String> {
    let zone = target.timezone;
    let kind = match window.source {
        WindowSource::Calendar => "calendar",
        WindowSource::Event => "event",
    };
    let uplift = |side: fn(crate::calendar::Uplift) -> f64| {
        window.uplift.map_or_else(String::new, |uplift| side(uplift).to_string())
    };
    let (needed, max) = (window.peak.and_then(|peak| needed(peak, target)), target.policy.guard.max);
    vec![
        local(window.at, zone),
        local(window.from, zone),
        local(window.until, zone),
        kind.to_owned(),
        window.name.to_string(),
        uplift(|uplift| uplift.expected),
        uplift(|uplift| uplift.lower),
        uplift(|uplift| uplift.upper),
        window.peak.map_or_else(String::new, |peak| peak.get().to_string()),
        needed.map_or_else(String::new, |needed| needed.to_string()),
        needed.map_or_else(String::new, |needed| needed.0.saturating_sub(max.0).to_string()),
    ]
}

/// What a load needs: the most of what it would need of each demand, as a decision has it.
fn needed(peak: Load, target: &Target) -> Option<Replicas> {
    target.demands.iter().map(|demand| Replicas::bearing(peak, demand.capacity)).max()
}

/// Holidays and half days, each as its whole local day.
fn days(target: &Target, from: Timestamp, until: Timestamp) -> Vec<(Timestamp, Vec<String>)> {
    let zone = target.timezone;
    let outlook = target.almanac.over(from..until);
    let date = |at: Timestamp| at.with_timezone(&zone).date_naive();
    let last = date(until);
    let dates = date(from).iter_days().take_while(|date| *date <= last);
    let named = dates.filter_map(|date| {
        let day = outlook.day(date);
        let kind = match day.kind {
            DayKind::Holiday => "holiday",
            DayKind::HalfDay => "half day",
            DayKind::Working | DayKind::Weekend => return None,
        };
        let start = crate::calendar::instant(
            date.and_time(chrono::NaiveTime::MIN),
            zone,
            crate::calendar::Edge::Start,
        );
        let name = day.name.as_deref().unwrap_or_default().to_owned();
        let mut row = vec![date.to_string(), String::new(), String::new(), kind.to_owned(), name];
        row.resize(COLUMNS.len(), String::new());
        Some((start, row))
    });
    named.collect()
}
