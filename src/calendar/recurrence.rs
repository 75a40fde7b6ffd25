//! Something that happens again and again: nominal dates, moved to business days, at a local time.

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use chrono::{Datelike, NaiveDate, NaiveTime, TimeDelta};
use chrono_tz::Tz;

use super::days::BusinessDays;
use super::exchange::Exchange;
use super::roll::Roll;
use super::rule::{Rule, shifted};
use super::wall::{Edge, instant};
use super::window::{Envelope, Uplift, Window, WindowSource};
use crate::time::Timestamp;

/// How demand moves around an occurrence, and what is believed of it before any was seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// What it is called.
    pub name: Arc<str>,
    /// How the effect comes and goes.
    pub envelope: Envelope,
    /// The effect's size until history has told; `None` when only history can tell.
    pub prior: Option<Uplift>,
}

/// Which dates something falls on nominally.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Nominal {
    /// Those of a rule, in some years.
    Rule(Rule, RangeInclusive<i32>),
    /// Those of a table: each from its first day to its last.
    Dates(Vec<RangeInclusive<NaiveDate>>),
    /// The trade dates of an exchange.
    Sessions(Arc<Exchange>),
}

/// At which instant of its date something happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moment {
    /// At a local time.
    Time(NaiveTime),
    /// When the exchange opens; not at all when it does not.
    Open(Arc<Exchange>),
    /// When the exchange closes; not at all when it does not.
    Close(Arc<Exchange>),
}

/// A recurrence of one calendar.
#[derive(Debug, Clone, PartialEq)]
pub struct Recurrence {
    /// What its windows are called; they are learned together.
    pub name: Arc<str>,
    /// Which of several like it this is, for people: `mid`, `end`.
    pub leg: Option<Arc<str>>,
    /// Its nominal dates.
    pub on: Nominal,
    /// The business days that it moves to.
    pub days: Arc<BusinessDays>,
    /// How it moves to them.
    pub roll: Roll,
    /// Business days after that; before, when negative.
    pub offset: i64,
    /// The instant of the day.
    pub at: Moment,
    /// The zone of its dates and times.
    pub zone: Tz,
    /// How demand moves around it.
    pub profile: Arc<Profile>,
}

/// Once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occurrence {
    /// The date it falls on nominally.
    pub nominal: NaiveDate,
    /// The date on which it takes place.
    pub date: NaiveDate,
    /// The last date of it; the same, for what takes a day.
    pub last: NaiveDate,
    /// Its instant on `date`.
    pub at: Timestamp,
    /// The same time of day on `last`.
    pub at_last: Timestamp,
}

/// A date is moved by this much at most before its offset: a longest closure to each side.
const LONGEST_ROLL_DAYS: i64 = 62;

impl Recurrence {
    /// Every occurrence that takes place on the dates from `first` to `last`, both included, ascending by date.
    pub fn occurrences(&self, first: NaiveDate, last: NaiveDate) -> Vec<Occurrence> {
        let nominal = self.nominal(first, last).into_iter();
        let dated = nominal.filter_map(|span| {
            let rolled = self.roll.apply(*span.start(), &self.days)?;
            let date = self.days.plus(rolled, self.offset);
            let last = date + (*span.end() - *span.start());
            Some((*span.start(), date, last))
        });
        let dated = dated.filter(|(_, date, _)| (first..=last).contains(date));
        let timed = dated.filter_map(|(nominal, date, last)| {
            let at = self.instant(date)?;
            let at_last = if last == date { at } else { self.instant(last).unwrap_or(at) };
            Some(Occurrence { nominal, date, last, at, at_last })
        });
        timed.collect()
    }

    /// Every window that touches `span`, ascending, each instant once.
    pub fn windows(&self, span: &Range<Timestamp>) -> Vec<Window> {
        let envelope = &self.profile.envelope;
        let after = envelope.ramp + envelope.hold + envelope.decay - envelope.lead;
        // A session may lie on the civil date before or after its trade date, and a date has two ends in each zone.
        let local = |at: Timestamp| at.with_timezone(&self.zone).date_naive();
        let longest = match &self.on {
            Nominal::Dates(dates) => dates.iter().map(|span| *span.end() - *span.start()).max(),
            _ => None,
        };
        let first = shifted(local(span.start - after - longest.unwrap_or_default()), -3);
        let last = shifted(local(span.end + envelope.lead), 3);
        let mut occurrences = self.occurrences(first, last);
        occurrences.dedup_by_key(|occurrence| occurrence.at);
        let windows = occurrences.into_iter().map(|occurrence| self.window(&occurrence));
        windows.filter(|window| window.touches(span.start, span.end)).collect()
    }

    fn window(&self, occurrence: &Occurrence) -> Window {
        let mut envelope = self.profile.envelope;
        envelope.hold += (occurrence.at_last - occurrence.at).max(TimeDelta::zero());
        let window = Window::around(self.name.clone(), WindowSource::Calendar, occurrence.at, &envelope);
        Window { uplift: self.profile.prior, ..window }
    }

    /// Nominal dates, and a few more, from which occurrences on `first..=last` can come.
    fn nominal(&self, first: NaiveDate, last: NaiveDate) -> Vec<RangeInclusive<NaiveDate>> {
        // Rolling and offsets never decrease, so what lands between the two ends starts between where those came from.
        let (mut from, mut until) = (first, last);
        if self.offset != 0 {
            from = self.days.plus(self.days.following(first), -self.offset);
            until = self.days.plus(self.days.previous(last), -self.offset);
        }
        let (from, until) = (shifted(from, -LONGEST_ROLL_DAYS), shifted(until, LONGEST_ROLL_DAYS));
        let single = |date: NaiveDate| date..=date;
        match &self.on {
            Nominal::Rule(rule, years) => {
                let dates = rule.dates(from, until).into_iter();
                dates.filter(|date| years.contains(&date.year())).map(single).collect()
            }
            Nominal::Dates(dates) => {
                let within = |span: &&RangeInclusive<NaiveDate>| (from..=until).contains(span.start());
                dates.iter().filter(within).cloned().collect()
            }
            Nominal::Sessions(exchange) => {
                exchange.sessions(from, until).map(|session| single(session.date)).collect()
            }
        }
    }

    fn instant(&self, date: NaiveDate) -> Option<Timestamp> {
        match &self.at {
            Moment::Time(time) => Some(instant(date.and_time(*time), self.zone, Edge::Start)),
            Moment::Open(exchange) => exchange.session(date).map(|session| session.open),
            Moment::Close(exchange) => exchange.session(date).map(|session| session.close),
        }
    }
}
