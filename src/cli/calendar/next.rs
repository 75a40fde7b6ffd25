//! `tidetable calendar next`: what is coming for a target, with the effect that is declared of it.
//!
//! The effect is the declared one or the profile's prior: what a model has learned is known to the process that serves.

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta};
use chrono_tz::Tz;

use super::super::clock::WallClock;
use super::sheet::{Format, Sheet};
use super::{Printed, Refusal, load, unknown};
use crate::calendar::{DayKind, Window, WindowSource};
use crate::engine::{Clock, Target};
use crate::time::Timestamp;

/// Arguments of `tidetable calendar next`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The target, by its name in the configuration
    target: String,
    /// The configuration
    #[arg(long, value_name = "FILE", env = "TIDETABLE_CONFIG")]
    config: PathBuf,
    /// From when on; now when left out
    #[arg(long, value_name = "INSTANT")]
    from: Option<DateTime<chrono::Utc>>,
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
        format!("times in {}; effects as declared, in multiples of the usual demand", target.timezone.name())
    } else {
        format!("not looked up as far as this: {}; see tidetable calendar list", expired.join(", "))
    };
    let sheet = Sheet {
        columns: vec!["at", "from", "until", "kind", "name", "expected", "lower", "upper", "peak"],
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
    ]
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
        row.resize(9, String::new());
        Some((start, row))
    });
    named.collect()
}
