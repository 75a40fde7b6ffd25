//! The small texts of which models and events are written: dates, times, spans, zones.

use std::ops::RangeInclusive;
use std::time::Duration;

use chrono::{NaiveDate, NaiveTime, TimeDelta};
use chrono_tz::{TZ_VARIANTS, Tz};

use super::super::checker::Checker;
use super::super::complaint::KeyPath;
use super::super::nearest::nearest;
use super::raw;
use crate::calendar::{TradeTime, Uplift};

/// What grows, lasts or fades for longer is a season and no event.
const ENVELOPE: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(31 * 86_400);

/// A date.
pub(in crate::config) fn date(text: &str, path: &KeyPath, checker: &mut Checker<'_>) -> Option<NaiveDate> {
    let date = text.parse();
    if date.is_err() {
        checker.complain(path, format!("{text:?} is not a date; write it like 2026-11-27"));
    }
    date.ok()
}

/// `DATE` or `FIRST/LAST`.
pub(in crate::config) fn dates(
    text: &str,
    path: &KeyPath,
    checker: &mut Checker<'_>,
) -> Option<RangeInclusive<NaiveDate>> {
    let (first, last) = text.split_once('/').unwrap_or((text, text));
    match (first.trim().parse(), last.trim().parse()) {
        (Ok(first), Ok(last)) if first <= last => Some(first..=last),
        (Ok(_), Ok(_)) => {
            checker.complain(path, format!("{text:?} ends before it begins; write FIRST/LAST"));
            None
        }
        _ => {
            let message =
                format!("{text:?} is not a date; write it like 2026-11-27, or 2026-11-27/2026-11-30");
            checker.complain(path, message);
            None
        }
    }
}

/// `09:30` or `09:30:15`.
pub(in crate::config) fn time(text: &str, path: &KeyPath, checker: &mut Checker<'_>) -> Option<NaiveTime> {
    let time = read_time(text);
    if time.is_none() {
        checker.complain(path, format!("{text:?} is not a time of day; write it like 09:30"));
    }
    time
}

fn read_time(text: &str) -> Option<NaiveTime> {
    let text = text.trim();
    NaiveTime::parse_from_str(text, "%H:%M").or_else(|_| NaiveTime::parse_from_str(text, "%H:%M:%S")).ok()
}

/// `09:30`, `18:00 the day before` or `04:00 the day after`.
pub(super) fn trade_time(text: &str, path: &KeyPath, checker: &mut Checker<'_>) -> Option<TradeTime> {
    let (time, day) = match text.split_once(" the day ") {
        Some((time, "before")) => (time, -1),
        Some((time, "after")) => (time, 1),
        Some(_) => ("", 0),
        None => (text, 0),
    };
    let time = read_time(time);
    if time.is_none() {
        let message =
            format!("{text:?} is not a time of a trade date; write it like 09:30 or 18:00 the day before");
        checker.complain(path, message);
    }
    time.map(|time| TradeTime { time, day })
}

/// `11:30-12:30`.
pub(super) fn pause(text: &str, path: &KeyPath, checker: &mut Checker<'_>) -> Option<(NaiveTime, NaiveTime)> {
    let pause = text.split_once('-').and_then(|(start, end)| Some((read_time(start)?, read_time(end)?)));
    let pause = pause.filter(|(start, end)| start < end);
    if pause.is_none() {
        checker.complain(path, format!("{text:?} is not a break; write it like 11:30-12:30"));
    }
    pause
}

/// How long something grows, lasts or fades; nothing unless given.
pub(in crate::config) fn span(
    text: Option<&str>,
    path: &KeyPath,
    checker: &mut Checker<'_>,
) -> Option<TimeDelta> {
    let span = checker.duration(path, text, Duration::ZERO, &ENVELOPE)?;
    TimeDelta::from_std(span).ok()
}

/// Multiples of the usual demand.
pub(in crate::config) fn uplift(
    raw: &raw::Uplift,
    path: &KeyPath,
    checker: &mut Checker<'_>,
) -> Option<Uplift> {
    let (expected, upper) = (raw.expected?, raw.upper?);
    let lower = raw.lower.unwrap_or_else(|| expected.min(1.0));
    checker.accept(path, Uplift::try_new(lower, expected, upper))
}

/// An IANA zone.
pub(in crate::config) fn timezone(text: &str, path: &KeyPath, checker: &mut Checker<'_>) -> Option<Tz> {
    let zone = text.parse::<Tz>();
    if zone.is_err() {
        let names = || TZ_VARIANTS.iter().map(|zone| zone.name());
        let of_city = |city: &str| names().find(|name| name.rsplit('/').next() == Some(city));
        let city = |name: &'static str| name.rsplit('/').next().unwrap_or(name);
        let meant = nearest(text, names()).or_else(|| nearest(text, names().map(city)).and_then(of_city));
        let remedy = match meant {
            Some(meant) => format!("did you mean {meant:?}?"),
            None => "give an IANA zone such as America/New_York".to_owned(),
        };
        checker.complain(path, format!("there is no time zone {text:?}; {remedy}"));
    }
    zone.ok()
}
