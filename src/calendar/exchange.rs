//! When an exchange trades: sessions with breaks, early closes and special sessions, also across midnight.
//!
//! A session belongs to its trade date, which is not always the civil date: one that opens at 18:00 the evening before is
//! the next day's. Hours are local and have a first trade date from which they hold, so that a change of hours stays
//! history.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{NaiveDate, NaiveTime};
use chrono_tz::Tz;

use super::days::{BusinessDays, YEARS};
use super::roll::Roll;
use super::rule::{Rule, shifted};
use super::wall::{Edge, instant};
use crate::time::Timestamp;

/// A local time of a trade date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TradeTime {
    /// The wall clock's time.
    pub time: NaiveTime,
    /// The civil date on which the clock shows it, in days after the trade date: -1 is the evening before.
    pub day: i64,
}

/// Local trading hours of one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    /// When it opens.
    pub open: TradeTime,
    /// When it closes.
    pub close: TradeTime,
    /// The break within, on the trade date.
    pub pause: Option<(NaiveTime, NaiveTime)>,
}

/// Days on which trading ends before its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarlyClose {
    /// Their nominal dates; a closed one has no early close.
    pub on: Rule,
    /// What becomes of a closed nominal date.
    pub roll: Roll,
    /// When trading ends on the trade date.
    pub close: NaiveTime,
}

/// An exchange's sessions, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    zone: Tz,
    days: Arc<BusinessDays>,
    /// By the first trade date on which they hold.
    hours: BTreeMap<NaiveDate, Hours>,
    early: BTreeMap<NaiveDate, NaiveTime>,
    special: BTreeMap<NaiveDate, Hours>,
}

/// One session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// The trade date.
    pub date: NaiveDate,
    /// When it opens.
    pub open: Timestamp,
    /// When it closes.
    pub close: Timestamp,
    /// Whether it closes before its time.
    pub early_close: bool,
    /// The break within.
    pub pause: Option<(Timestamp, Timestamp)>,
}

impl Exchange {
    /// The sessions of an exchange that trades on `days` during the newest of `hours` that begin at or before a trade date;
    /// before the first of them it does not trade. `special` sessions take place whatever `days` says.
    pub fn new(
        zone: Tz,
        days: Arc<BusinessDays>,
        hours: impl IntoIterator<Item = (NaiveDate, Hours)>,
        early: &[EarlyClose],
        special: impl IntoIterator<Item = (NaiveDate, Hours)>,
    ) -> Self {
        let year = |year: i32| NaiveDate::from_ymd_opt(year, 1, 1).unwrap_or_default();
        let (first, last) = (year(*YEARS.start()), shifted(year(*YEARS.end() + 1), -1));
        let mut closes = BTreeMap::new();
        for early in early {
            let dates = early.on.dates(first, last).into_iter();
            let dates = dates.filter_map(|nominal| early.roll.apply(nominal, &days));
            let open: Vec<_> = dates.filter(|date| days.is_open(*date)).collect();
            // Of two early closes on one date the earlier is meant; an operator may add one to what is shipped.
            for date in open {
                let close = closes.entry(date).or_insert(early.close);
                *close = early.close.min(*close);
            }
        }
        let (hours, special) = (hours.into_iter().collect(), special.into_iter().collect());
        Self { zone, days, hours, early: closes, special }
    }

    /// Every session of the trade dates from `first` to `last`, both included, ascending.
    pub fn sessions(&self, first: NaiveDate, last: NaiveDate) -> impl Iterator<Item = Session> {
        first.iter_days().take_while(move |date| *date <= last).filter_map(|date| self.session(date))
    }

    /// The session of a trade date, if there is one.
    pub fn session(&self, date: NaiveDate) -> Option<Session> {
        if let Some(hours) = self.special.get(&date) {
            return Some(self.held(date, hours, None));
        }
        let hours = self.usual_hours(date).filter(|_| self.days.is_open(date))?;
        Some(self.held(date, hours, self.early.get(&date).copied()))
    }

    /// The local date, in `zone`, on which trading of a trade date would open, whether it does or not.
    pub(super) fn civil_date(&self, date: NaiveDate, zone: Tz) -> NaiveDate {
        let Some(hours) = self.usual_hours(date) else { return date };
        self.instant(date, hours.open, Edge::Start).with_timezone(&zone).date_naive()
    }

    /// Whether trading ends early on a trade date.
    pub(super) fn closes_early(&self, date: NaiveDate) -> bool {
        self.early.contains_key(&date) && self.days.is_open(date)
    }

    fn usual_hours(&self, date: NaiveDate) -> Option<&Hours> {
        self.hours.range(..=date).next_back().map(|(_, hours)| hours)
    }

    fn held(&self, date: NaiveDate, hours: &Hours, early: Option<NaiveTime>) -> Session {
        let close = early.map_or(hours.close, |time| TradeTime { time, day: 0 });
        let pause = hours.pause.filter(|(start, _)| close.day > 0 || *start < close.time);
        let civil = |time| TradeTime { time, day: 0 };
        Session {
            date,
            open: self.instant(date, hours.open, Edge::Start),
            close: self.instant(date, close, Edge::End),
            early_close: early.is_some(),
            pause: pause.map(|(start, end)| {
                // A break ends where trading starts again.
                let (start, end) = (civil(start), civil(end));
                (self.instant(date, start, Edge::End), self.instant(date, end, Edge::Start))
            }),
        }
    }

    fn instant(&self, date: NaiveDate, at: TradeTime, edge: Edge) -> Timestamp {
        instant(shifted(date, at.day).and_time(at.time), self.zone, edge)
    }
}

#[cfg(test)]
mod tests {
    use chrono::{Datelike, Weekday};

    use super::super::days::Closures;
    use super::*;

    fn time(text: &str) -> NaiveTime {
        text.parse().unwrap()
    }

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn hours(open: (&str, i64), close: (&str, i64)) -> Hours {
        let trade = |(text, day)| TradeTime { time: time(text), day };
        Hours { open: trade(open), close: trade(close), pause: None }
    }

    fn exchange(first: Hours, early: &[EarlyClose]) -> Exchange {
        let days = Arc::new(BusinessDays::try_new(&Closures::default()).unwrap());
        Exchange::new(Tz::America__New_York, days, [(date("2020-01-01"), first)], early, [])
    }

    #[test]
    fn a_night_session_belongs_to_the_next_day() {
        let night = exchange(hours(("20:00:00", -1), ("16:00:00", 0)), &[]);
        let sessions: Vec<_> = night.sessions(date("2026-11-27"), date("2026-11-30")).collect();
        let opens: Vec<_> = sessions.iter().map(|session| (session.date.weekday(), session.open)).collect();
        // Monday's session opens on Sunday evening.
        assert_eq!(
            opens,
            [
                (Weekday::Fri, "2026-11-27T01:00:00Z".parse().unwrap()),
                (Weekday::Mon, "2026-11-30T01:00:00Z".parse().unwrap()),
            ]
        );
    }

    #[test]
    fn a_session_over_the_autumn_night_is_an_hour_longer() {
        // Sunday 1 November 2026: the clock goes back at 02:00 local.
        let night = exchange(hours(("18:00:00", -1), ("17:00:00", 0)), &[]);
        let length = |text: &str| {
            let session = night.session(date(text)).unwrap();
            (session.close - session.open).num_hours()
        };
        assert_eq!(length("2026-10-30"), 23);
        let weekend = exchange(hours(("18:00:00", -3), ("17:00:00", 0)), &[]);
        let session = weekend.session(date("2026-11-02")).unwrap();
        assert_eq!((session.close - session.open).num_hours(), 72);
    }

    #[test]
    fn a_break_after_an_early_close_does_not_take_place() {
        let usual = Hours {
            pause: Some((time("12:00:00"), time("13:00:00"))),
            ..hours(("09:30:00", 0), ("16:00:00", 0))
        };
        let early =
            EarlyClose { on: "24 December".parse().unwrap(), roll: Roll::AsIs, close: time("12:00:00") };
        let exchange = exchange(usual, &[early]);
        let half = exchange.session(date("2026-12-24")).unwrap();
        assert!(half.early_close && half.pause.is_none());
        let whole = exchange.session(date("2026-12-23")).unwrap();
        assert!(!whole.early_close && whole.pause.is_some());
        assert!(exchange.session(date("2019-12-31")).is_none(), "before its first hours");
    }
}
