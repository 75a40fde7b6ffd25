//! A model file's keys, checked one by one, before it is known what they extend.

use std::ops::RangeInclusive;
use std::sync::Arc;

use chrono::{NaiveDate, NaiveTime, Weekday};
use chrono_tz::Tz;

use super::super::checker::Checker;
use super::super::complaint::KeyPath;
use super::super::nearest::{listed, nearest};
use super::{raw, values};
use crate::calendar::{EarlyClose, Envelope, Holiday, Hours, Observed, Profile, Roll, Rule};

/// Which names a model may refer to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) calendars: &'a [String],
    pub(super) profiles: &'a [String],
}

/// What one definition of a calendar says.
#[derive(Debug, Clone, Default)]
pub(super) struct Parts {
    pub(super) extends: Option<String>,
    pub(super) title: Option<Arc<str>>,
    pub(super) source: Option<Arc<str>>,
    pub(super) valid_until: Option<NaiveDate>,
    pub(super) zone: Option<Tz>,
    pub(super) business_days: Option<String>,
    pub(super) weekend: Option<Vec<Weekday>>,
    pub(super) holidays: Vec<Holiday>,
    pub(super) bridges: Option<bool>,
    pub(super) closed: Vec<(NaiveDate, Arc<str>)>,
    pub(super) open: Vec<NaiveDate>,
    pub(super) hours: Vec<(NaiveDate, Hours)>,
    pub(super) early: Vec<EarlyClose>,
    pub(super) special: Vec<(NaiveDate, Hours)>,
    pub(super) recurrences: Vec<Recurrence>,
}

/// A recurrence whose calendar and profile are names still.
#[derive(Debug, Clone)]
pub(super) struct Recurrence {
    pub(super) name: Option<Arc<str>>,
    pub(super) leg: Option<Arc<str>>,
    pub(super) on: On,
    pub(super) calendar: Option<String>,
    pub(super) roll: Roll,
    pub(super) offset: i64,
    pub(super) at: At,
    pub(super) profile: String,
}

#[derive(Debug, Clone)]
pub(super) enum On {
    Rule(Rule, RangeInclusive<i32>),
    Dates(Vec<RangeInclusive<NaiveDate>>),
    Sessions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    Time(NaiveTime),
    Open,
    Close,
}

/// The profile of what says nothing of itself.
pub(super) const WHOLE_DAY: &str = "day";

impl Parts {
    /// Whether it closes or opens days of its own.
    pub(super) fn has_closures(&self) -> bool {
        let lists = self.holidays.is_empty() && self.closed.is_empty() && self.open.is_empty();
        !lists || self.weekend.is_some() || self.bridges.is_some()
    }

    /// These parts, on top of those of the calendar they extend.
    pub(super) fn on_top_of(self, base: Self) -> Self {
        fn joined<T>(mut base: Vec<T>, own: Vec<T>) -> Vec<T> {
            base.extend(own);
            base
        }
        Self {
            extends: None,
            title: self.title.or(base.title),
            source: self.source.or(base.source),
            valid_until: self.valid_until.or(base.valid_until),
            zone: self.zone.or(base.zone),
            business_days: self.business_days.or(base.business_days),
            weekend: self.weekend.or(base.weekend),
            holidays: joined(base.holidays, self.holidays),
            bridges: self.bridges.or(base.bridges),
            closed: joined(base.closed, self.closed),
            open: joined(base.open, self.open),
            hours: joined(base.hours, self.hours),
            early: joined(base.early, self.early),
            special: joined(base.special, self.special),
            recurrences: joined(base.recurrences, self.recurrences),
        }
    }
}

/// `None` only when something was complained of.
pub(super) fn check(
    raw: &raw::Calendar,
    path: &KeyPath,
    known: Known<'_>,
    checker: &mut Checker<'_>,
) -> Option<Parts> {
    let text = |text: &Option<String>| text.as_deref().map(Arc::<str>::from);
    let extends =
        reference(raw.extends.as_deref(), known.calendars, "calendar", &path.key("extends"), checker);
    let business_days = raw.business_days.as_deref();
    let business_days =
        reference(business_days, known.calendars, "calendar", &path.key("businessDays"), checker);
    let valid_until = optional(raw.valid_until.as_deref(), &path.key("validUntil"), checker, values::date);
    let zone = optional(raw.timezone.as_deref(), &path.key("timezone"), checker, values::timezone);
    let holidays = each(raw.holidays.as_ref(), &path.key("holidays"), checker, holiday);
    let closed = each(raw.closed.as_ref(), &path.key("closed"), checker, |closed, path, checker| {
        let name = closed.name.as_deref().unwrap_or("closed");
        Some((values::date(closed.date.as_deref()?, &path.key("date"), checker)?, name.into()))
    });
    let open = each(raw.open.as_ref(), &path.key("open"), checker, |date, path, checker| {
        values::date(date, path, checker)
    });
    let hours = each(raw.hours.as_ref(), &path.key("hours"), checker, |hours, path, checker| {
        let from = optional(hours.from.as_deref(), &path.key("from"), checker, values::date);
        let pause = optional(hours.pause.as_deref(), &path.key("break"), checker, values::pause);
        let (open, close) = (hours.open.as_deref(), hours.close.as_deref());
        let hours = held(open, close, path, checker);
        Some((from.ok()?.unwrap_or(NaiveDate::MIN), Hours { pause: pause.ok()?, ..hours? }))
    });
    let early = each(raw.early_closes.as_ref(), &path.key("earlyCloses"), checker, |early, path, checker| {
        let on = early.on.as_deref().and_then(|text| checker.accept(&path.key("on"), text.parse::<Rule>()));
        let close = early.close.as_deref().and_then(|text| values::time(text, &path.key("close"), checker));
        Some(EarlyClose { on: on?, roll: roll(early.roll), close: close? })
    });
    let special = each(raw.sessions.as_ref(), &path.key("sessions"), checker, |session, path, checker| {
        let date = session.date.as_deref().and_then(|text| values::date(text, &path.key("date"), checker));
        let hours = held(session.open.as_deref(), session.close.as_deref(), path, checker);
        Some((date?, hours?))
    });
    let recurrences =
        each(raw.recurrences.as_ref(), &path.key("recurrences"), checker, |raw, path, checker| {
            recurrence(raw, path, known, checker)
        });
    let dates = each(raw.dates.as_ref(), &path.key("dates"), checker, |text, path, checker| {
        values::dates(text, path, checker)
    });
    let mut recurrences = recurrences?;
    let mut dates = dates?;
    if !dates.is_empty() {
        dates.sort_by_key(|span| *span.start());
        recurrences.push(Recurrence {
            name: None,
            leg: None,
            on: On::Dates(dates),
            calendar: None,
            roll: Roll::AsIs,
            offset: 0,
            at: At::Time(NaiveTime::MIN),
            profile: WHOLE_DAY.to_owned(),
        });
    }
    Some(Parts {
        extends: extends.ok()?,
        title: text(&raw.title),
        source: text(&raw.source),
        valid_until: valid_until.ok()?,
        zone: zone.ok()?,
        business_days: business_days.ok()?,
        weekend: raw.weekend.as_ref().map(|days| days.iter().map(|day| weekday(*day)).collect()),
        holidays: holidays?,
        bridges: raw.bridges,
        closed: closed?,
        open: open?,
        hours: hours?,
        early: early?,
        special: special?,
        recurrences,
    })
}

/// A profile; `None` only when something was complained of.
pub(super) fn profile(
    name: &str,
    raw: &raw::Profile,
    path: &KeyPath,
    checker: &mut Checker<'_>,
) -> Option<Profile> {
    let mut span = |text: &Option<String>, key| values::span(text.as_deref(), &path.key(key), checker);
    let (lead, ramp) = (span(&raw.lead, "lead"), span(&raw.ramp, "ramp"));
    let (hold, decay) = (span(&raw.hold, "hold"), span(&raw.decay, "decay"));
    let prior = match &raw.prior {
        Some(prior) => Some(values::uplift(prior, &path.key("prior"), checker)?),
        None => None,
    };
    let envelope = Envelope { lead: lead?, ramp: ramp?, hold: hold?, decay: decay? };
    if envelope.ramp + envelope.hold + envelope.decay <= chrono::TimeDelta::zero() {
        checker.complain(path, "has neither ramp nor hold nor decay; it would last no time at all");
        return None;
    }
    Some(Profile { name: name.into(), envelope, prior })
}

fn holiday(raw: &raw::Holiday, path: &KeyPath, checker: &mut Checker<'_>) -> Option<Holiday> {
    let on = checker.accept(&path.key("on"), raw.on.as_deref()?.parse::<Rule>())?;
    let observed = match raw.observed {
        None | Some(raw::Observed::AsIs) => Observed::AsIs,
        Some(raw::Observed::SundayNext) => Observed::SundayNext,
        Some(raw::Observed::Nearest) => Observed::Nearest,
        Some(raw::Observed::WeekendNext) => Observed::WeekendNext,
    };
    let years = years(raw.from, raw.until, path, checker)?;
    Some(Holiday { name: raw.name.as_deref()?.into(), on, observed, years })
}

fn recurrence(
    raw: &raw::Recurrence,
    path: &KeyPath,
    known: Known<'_>,
    checker: &mut Checker<'_>,
) -> Option<Recurrence> {
    let text = |text: &Option<String>| text.as_deref().map(Arc::<str>::from);
    let at = match raw.at.as_deref() {
        None => Some(At::Time(NaiveTime::MIN)),
        Some("open") => Some(At::Open),
        Some("close") => Some(At::Close),
        Some(text) => values::time(text, &path.key("at"), checker).map(At::Time),
    };
    let on = on(raw, at, path, checker);
    let calendar = raw.calendar.as_deref();
    let calendar = reference(calendar, known.calendars, "calendar", &path.key("calendar"), checker);
    let profile = Some(raw.profile.as_deref().unwrap_or(WHOLE_DAY));
    let profile = reference(profile, known.profiles, "profile", &path.key("profile"), checker);
    Some(Recurrence {
        name: text(&raw.name),
        leg: text(&raw.leg),
        on: on?,
        calendar: calendar.ok()?,
        roll: roll(raw.roll),
        offset: raw.offset.unwrap_or(0),
        at: at?,
        profile: profile.ok()??,
    })
}

fn on(raw: &raw::Recurrence, at: Option<At>, path: &KeyPath, checker: &mut Checker<'_>) -> Option<On> {
    match (&raw.on, &raw.dates) {
        (Some(text), None) => {
            let rule = checker.accept(&path.key("on"), text.parse::<Rule>());
            Some(On::Rule(rule?, years(raw.from, raw.until, path, checker)?))
        }
        (None, Some(_)) => {
            let dates = each(raw.dates.as_ref(), &path.key("dates"), checker, |text, path, checker| {
                values::dates(text, path, checker)
            });
            let mut dates = dates?;
            dates.sort_by_key(|span| *span.start());
            Some(On::Dates(dates))
        }
        (None, None) if matches!(at, Some(At::Open | At::Close)) => Some(On::Sessions),
        (None, None) => {
            checker.complain_of_absence(path, "says no date; give on, dates, or at: open");
            None
        }
        (Some(_), Some(_)) => {
            checker.complain(path, "says its dates twice; give on or dates, not both");
            None
        }
    }
}

fn held(open: Option<&str>, close: Option<&str>, path: &KeyPath, checker: &mut Checker<'_>) -> Option<Hours> {
    let opens = open.and_then(|text| values::trade_time(text, &path.key("open"), checker));
    let closes = close.and_then(|text| values::trade_time(text, &path.key("close"), checker));
    let (opens, closes) = (opens?, closes?);
    if (opens.day, opens.time) >= (closes.day, closes.time) {
        let message = "is not after open; a session over midnight opens at a time the day before";
        checker.complain(&path.key("close"), message);
        return None;
    }
    Some(Hours { open: opens, close: closes, pause: None })
}

fn years(
    from: Option<i32>,
    until: Option<i32>,
    path: &KeyPath,
    checker: &mut Checker<'_>,
) -> Option<RangeInclusive<i32>> {
    let years = from.unwrap_or(i32::MIN)..=until.unwrap_or(i32::MAX);
    if years.is_empty() {
        checker.complain(&path.key("until"), "is a year before from; no year is left");
        return None;
    }
    Some(years)
}

/// Something was wrong, and it has been said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) struct Complained;

/// A name that must be one of `known`, if it is given.
pub(in crate::config) fn reference(
    name: Option<&str>,
    known: &[String],
    kind: &str,
    path: &KeyPath,
    checker: &mut Checker<'_>,
) -> Result<Option<String>, Complained> {
    let Some(name) = name else { return Ok(None) };
    if known.iter().any(|known| known == name) {
        return Ok(Some(name.to_owned()));
    }
    let names = || known.iter().map(String::as_str);
    let meant = nearest(name, names());
    let meant = meant.map_or_else(String::new, |meant| format!(" did you mean {meant:?}?"));
    checker.complain(path, format!("there is no {kind} {name:?};{meant} {kind}s are: {}", listed(names())));
    Err(Complained)
}

fn optional<T>(
    text: Option<&str>,
    path: &KeyPath,
    checker: &mut Checker<'_>,
    read: fn(&str, &KeyPath, &mut Checker<'_>) -> Option<T>,
) -> Result<Option<T>, Complained> {
    match text {
        Some(text) => read(text, path, checker).map(Some).ok_or(Complained),
        None => Ok(None),
    }
}

/// Every item checked, also after one that was complained of.
pub(in crate::config) fn each<R, T>(
    items: Option<&Vec<R>>,
    path: &KeyPath,
    checker: &mut Checker<'_>,
    mut check: impl FnMut(&R, &KeyPath, &mut Checker<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    let items = items.into_iter().flatten().enumerate();
    let checked: Vec<_> = items.map(|(index, item)| check(item, &path.item(index), checker)).collect();
    checked.into_iter().collect()
}

fn roll(raw: Option<raw::Roll>) -> Roll {
    match raw {
        None | Some(raw::Roll::None) => Roll::AsIs,
        Some(raw::Roll::Skip) => Roll::Skip,
        Some(raw::Roll::Previous) => Roll::Previous,
        Some(raw::Roll::Following) => Roll::Following,
        Some(raw::Roll::ModifiedFollowing) => Roll::ModifiedFollowing,
    }
}

fn weekday(raw: raw::Weekday) -> Weekday {
    match raw {
        raw::Weekday::Monday => Weekday::Mon,
        raw::Weekday::Tuesday => Weekday::Tue,
        raw::Weekday::Wednesday => Weekday::Wed,
        raw::Weekday::Thursday => Weekday::Thu,
        raw::Weekday::Friday => Weekday::Fri,
        raw::Weekday::Saturday => Weekday::Sat,
        raw::Weekday::Sunday => Weekday::Sun,
    }
}
