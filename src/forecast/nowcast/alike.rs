//! Which earlier days a day is like, and their minutes at the same time on the customers' wall clock.

use std::collections::BTreeMap;
use std::ops::Range;

use chrono::{NaiveDate, TimeDelta};

use crate::calendar::{DayKind, Outlook};
use crate::time::{LocalClock, Slot};

/// Which earlier days a day is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Likeness {
    /// The same weekday of so many weeks.
    Weekday(i64),
    /// So many days of the same kind: working days, weekends, holidays.
    Kind(usize),
    /// So many days before it.
    Recent(i64),
}

pub(super) const LIKENESSES: [Likeness; 4] =
    [Likeness::Weekday(4), Likeness::Weekday(2), Likeness::Kind(5), Likeness::Recent(7)];

/// A day like no other is like the days before it.
pub(super) const LIKE_NO_OTHER: Likeness = Likeness::Recent(7);

/// How far back a day of the same kind may lie: the holiday before the last one.
const KIND_REACH_DAYS: i64 = 120;

/// Minutes of a day.
const DAY: i64 = 1440;

/// Days begin, and clocks change, at a quarter of an hour: so many minutes.
const QUARTER: i64 = 15;

/// The days that lie behind an instant.
#[derive(Clone, Copy)]
pub(super) struct Behind<'a> {
    /// Nothing from here on is looked at.
    pub(super) origin: Slot,
    pub(super) clock: &'a LocalClock,
    pub(super) outlook: &'a Outlook,
}

/// A day that another one is like: how many days before it, and how many minutes where that is the same for all of its minutes,
/// as on every day but those on which a clock changes.
#[derive(Debug, Clone, Copy)]
struct Back {
    days: i64,
    minutes: Option<i64>,
}

impl Back {
    /// The minute at the same time by the wall clock.
    fn from(self, slot: Slot, clock: &LocalClock) -> Option<Slot> {
        if let Some(minutes) = self.minutes {
            return Some(slot.plus(-minutes));
        }
        let end = clock.seconds_days_earlier((slot.0 + 1) * 60, self.days)?;
        // The minute that an instant on a border belongs to is the one that ends there.
        Some(Slot((end + 59).div_euclid(60) - 1))
    }

    /// For the rest of the local day of `slot`.
    fn of(days: i64, slot: Slot, clock: &LocalClock) -> Self {
        let asked = Self { days, minutes: None };
        let left = DAY - clock.local_seconds_of(slot.0 * 60).rem_euclid(86_400) / 60;
        let shift = |slot: Slot| Some(slot.since(asked.from(slot, clock)?));
        let (first, last) = (shift(slot), shift(slot.plus(left - 1)));
        Self { minutes: first.filter(|_| first == last), ..asked }
    }
}

/// The days each day is like, found once a day.
pub(super) struct Days<'a> {
    behind: Behind<'a>,
    likeness: Likeness,
    kinds: BTreeMap<NaiveDate, DayKind>,
    /// The day looked at, as days since the epoch.
    day: Option<i64>,
    /// Slots that are known to be of that day.
    same: Range<Slot>,
    /// How many days before it the days lie that it is like.
    back: Vec<Back>,
}

impl<'a> Days<'a> {
    pub(super) fn new(likeness: Likeness, behind: Behind<'a>) -> Self {
        Self { behind, likeness, kinds: BTreeMap::new(), day: None, same: Slot(0)..Slot(0), back: Vec::new() }
    }

    /// The minutes at the same time by the wall clock on the days that the day of `slot` is like, nearest first; those that
    /// are known.
    pub(super) fn alike(&mut self, slot: Slot) -> impl Iterator<Item = Slot> + Clone + '_ {
        self.turn(slot);
        let Behind { origin, clock, .. } = self.behind;
        self.back.iter().filter_map(move |back| back.from(slot, clock)).filter(move |then| *then < origin)
    }

    /// Whether `slot` begins a day that is like other days than the day before it, which was asked for last.
    pub(super) fn turn(&mut self, slot: Slot) -> bool {
        if self.same.contains(&slot) {
            return false;
        }
        let Behind { clock, .. } = self.behind;
        let local = clock.local_seconds_of(slot.0 * 60);
        let day = local.div_euclid(86_400);
        self.same = slot..slot.plus(QUARTER - local.div_euclid(60).rem_euclid(QUARTER));
        if self.day == Some(day) {
            return false;
        }
        let known = self.day.replace(day);
        let date = i32::try_from(day).ok().and_then(NaiveDate::from_epoch_days).unwrap_or_default();
        let back: Vec<Back> = self.back(date).into_iter().map(|days| Back::of(days, slot, clock)).collect();
        let other = !back.iter().map(|back| back.days).eq(self.back.iter().map(|back| back.days));
        self.back = back;
        known.is_some() && other
    }

    /// For a `minute` of the day before the one that was turned to last: the minutes at the same time by the wall clock on the days
    /// before those that this day is like.
    pub(super) fn eve(&self, minute: Slot) -> impl Iterator<Item = Slot> {
        let Behind { origin, clock, .. } = self.behind;
        let then =
            self.back.iter().filter_map(move |back| Back { minutes: None, ..*back }.from(minute, clock));
        then.filter(move |then| *then < origin)
    }

    /// How many days before `date` the days lie that it is like, nearest first.
    fn back(&mut self, date: NaiveDate) -> Vec<i64> {
        let outlook = self.behind.outlook;
        let mut kind = |date: NaiveDate| *self.kinds.entry(date).or_insert_with(|| outlook.day(date).kind);
        let own = kind(date);
        let special = matches!(own, DayKind::Holiday | DayKind::HalfDay);
        let same = |back: &i64| kind(date - TimeDelta::days(*back)) == own;
        match self.likeness {
            // A holiday is not like the Mondays before it.
            _ if special => (1..=KIND_REACH_DAYS).filter(same).take(5).collect(),
            Likeness::Weekday(weeks) => (1..=2 * weeks)
                .map(|week| 7 * week)
                .filter(same)
                .take(usize::try_from(weeks).unwrap_or(1))
                .collect(),
            Likeness::Kind(count) => (1..=KIND_REACH_DAYS).filter(same).take(count).collect(),
            Likeness::Recent(count) => (1..=count).collect(),
        }
    }
}
