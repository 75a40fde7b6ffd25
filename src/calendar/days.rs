//! On which dates business rests, and arithmetic in the dates on which it does not.
//!
//! Holidays are rules; they are resolved once, for the years from 1970 to 2099, so that a question costs a look-up.
//! Outside those years only the weekend is known. Closures that no rule can say (moons, mourning, typhoons) are dates.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use chrono::{Datelike, NaiveDate, Weekday};

use super::rule::{Rule, shifted};

/// The years for which holidays are resolved.
pub const YEARS: RangeInclusive<i32> = 1970..=2099;

/// Nobody closes for longer; what does is a mistake, and a search for the next open day must end.
const LONGEST_CLOSURE_DAYS: i64 = 31;

/// Why there is no such calendar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It never opens, or not for more than a month.
    #[error(
        "business rests from {from} for more than {LONGEST_CLOSURE_DAYS} days; \
         a business-day calendar opens every month"
    )]
    Closed {
        /// The first day of the rest.
        from: NaiveDate,
    },
}

/// Where a holiday is kept that falls on a day of rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Observed {
    /// Where it falls: nothing else is closed.
    #[default]
    AsIs,
    /// A Sunday's on the next day that is no holiday; a Saturday's where it falls (Federal Reserve, Japan).
    SundayNext,
    /// A Saturday's on Friday, a Sunday's on Monday (US government, NYSE).
    Nearest,
    /// Either's on the next working day that is no holiday (United Kingdom).
    WeekendNext,
}

/// A holiday that a rule can say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holiday {
    /// Its name.
    pub name: Arc<str>,
    /// Its nominal date.
    pub on: Rule,
    /// Where it is kept.
    pub observed: Observed,
    /// The years in which it is kept.
    pub years: RangeInclusive<i32>,
}

/// What a business-day calendar is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closures {
    /// The days of the week on which business rests.
    pub weekend: Vec<Weekday>,
    /// Holidays by rule.
    pub holidays: Vec<Holiday>,
    /// Whether a working day between two holidays is one too (Japan).
    pub bridges: bool,
    /// Further closures.
    pub closed: Vec<(NaiveDate, Arc<str>)>,
    /// Dates on which business does not rest, whatever else is said.
    pub open: Vec<NaiveDate>,
}

impl Default for Closures {
    fn default() -> Self {
        Self {
            weekend: vec![Weekday::Sat, Weekday::Sun],
            holidays: Vec::new(),
            bridges: false,
            closed: Vec::new(),
            open: Vec::new(),
        }
    }
}

/// A business-day calendar, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusinessDays {
    weekend: Vec<Weekday>,
    /// Closures on any day of the week, without those that were opened again.
    closed: BTreeMap<NaiveDate, Arc<str>>,
    /// Days of the weekend on which business does not rest.
    opened: BTreeSet<NaiveDate>,
}

impl BusinessDays {
    /// Resolves `closures`.
    ///
    /// # Errors
    /// [`Error::Closed`] when it does not open for more than a month.
    pub fn try_new(closures: &Closures) -> Result<Self, Error> {
        let mut days = Self {
            weekend: closures.weekend.clone(),
            closed: BTreeMap::new(),
            opened: closures.open.iter().copied().collect(),
        };
        // Those that stay where they fall come first, so that what is moved finds them taken.
        let mut moved = Vec::new();
        for holiday in &closures.holidays {
            for date in holiday.dates() {
                if days.stays(date, holiday.observed) {
                    days.closed.entry(date).or_insert_with(|| holiday.name.clone());
                } else {
                    moved.push((date, holiday));
                }
            }
        }
        moved.sort_by_key(|(date, _)| *date);
        for (date, holiday) in moved {
            let kept = days.kept(date, holiday.observed);
            days.closed.entry(kept).or_insert_with(|| format!("{} (observed)", holiday.name).into());
        }
        for (date, name) in &closures.closed {
            days.closed.entry(*date).or_insert_with(|| name.clone());
        }
        if closures.bridges {
            days.bridge();
        }
        days.closed.retain(|date, _| !closures.open.contains(date));
        days.check_closures()?;
        Ok(days)
    }

    /// Whether business is open on `date`.
    pub fn is_open(&self, date: NaiveDate) -> bool {
        if self.rests(date.weekday()) {
            self.opened.contains(&date)
        } else {
            !self.closed.contains_key(&date)
        }
    }

    /// What is kept on a closed working day; `None` on weekends and open days.
    pub fn holiday(&self, date: NaiveDate) -> Option<&Arc<str>> {
        self.closed.get(&date).filter(|_| !self.rests(date.weekday()))
    }

    /// Every closure that has a name, weekends included, ascending.
    pub fn closures(
        &self,
        first: NaiveDate,
        last: NaiveDate,
    ) -> impl Iterator<Item = (NaiveDate, &Arc<str>)> {
        self.closed.range(first..=last).map(|(date, name)| (*date, name))
    }

    /// Whether this day of the week is one of rest.
    pub fn rests(&self, weekday: Weekday) -> bool {
        self.weekend.contains(&weekday)
    }

    /// The first open day at or after `date`.
    pub fn following(&self, date: NaiveDate) -> NaiveDate {
        self.search(date, 1)
    }

    /// The last open day at or before `date`.
    pub fn previous(&self, date: NaiveDate) -> NaiveDate {
        self.search(date, -1)
    }

    /// The date `count` business days after `date` (before, when negative). A closed date counts as the open day that
    /// is before it going forward, and as the one after it going back; zero moves nothing.
    ///
    /// From an open day, going `count` forward and `count` back ends where it began.
    pub fn plus(&self, date: NaiveDate, count: i64) -> NaiveDate {
        let step = count.signum();
        (0..count.abs()).fold(date, |date, _| self.search(shifted(date, step), step))
    }

    fn search(&self, mut date: NaiveDate, step: i64) -> NaiveDate {
        for _ in 0..=LONGEST_CLOSURE_DAYS {
            if self.is_open(date) {
                return date;
            }
            date = shifted(date, step);
        }
        date
    }

    fn stays(&self, date: NaiveDate, observed: Observed) -> bool {
        let rests = self.rests(date.weekday());
        match observed {
            Observed::AsIs => true,
            Observed::SundayNext => date.weekday() != Weekday::Sun,
            Observed::Nearest | Observed::WeekendNext => !rests,
        }
    }

    fn kept(&self, date: NaiveDate, observed: Observed) -> NaiveDate {
        match observed {
            Observed::Nearest if date.weekday() == Weekday::Sat => shifted(date, -1),
            Observed::AsIs => date,
            _ => {
                let taken = |date: NaiveDate| self.rests(date.weekday()) || self.closed.contains_key(&date);
                let later = (1..=LONGEST_CLOSURE_DAYS).map(|days| shifted(date, days));
                later.into_iter().find(|date| !taken(*date)).unwrap_or(date)
            }
        }
    }

    fn bridge(&mut self) {
        let between: Vec<NaiveDate> = self
            .closed
            .keys()
            .map(|date| shifted(*date, 1))
            .filter(|date| {
                let next = shifted(*date, 1);
                let closed = |date: &NaiveDate| self.closed.contains_key(date);
                !closed(date) && !self.rests(date.weekday()) && closed(&next)
            })
            .collect();
        self.closed.extend(between.into_iter().map(|date| (date, Arc::from("day between holidays"))));
    }

    /// From each closure's first day the next open one must be found.
    fn check_closures(&self) -> Result<(), Error> {
        let year = |year: i32| NaiveDate::from_ymd_opt(year, 1, 1).unwrap_or_default();
        let somewhere = [year(*YEARS.start()), year(*YEARS.end())];
        let endless = |date: &NaiveDate| !self.is_open(self.following(*date));
        match self.closed.keys().copied().chain(somewhere).find(endless) {
            Some(from) => Err(Error::Closed { from }),
            None => Ok(()),
        }
    }
}

impl Holiday {
    fn dates(&self) -> Vec<NaiveDate> {
        let (from, until) = (*self.years.start().max(YEARS.start()), *self.years.end().min(YEARS.end()));
        let day = |year, month, day| NaiveDate::from_ymd_opt(year, month, day).unwrap_or_default();
        if from > until { Vec::new() } else { self.on.dates(day(from, 1, 1), day(until, 12, 31)) }
    }
}
