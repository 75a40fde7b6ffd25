//! What one target listens to, and what that says about a span of time.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use chrono::{Datelike, NaiveDate, Weekday};
use chrono_tz::Tz;

use super::event::Event;
use super::window::Window;
use crate::time::Timestamp;

/// What kind of day a local date is for business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum DayKind {
    /// Open as usual.
    #[default]
    Working,
    /// A day of the week on which business rests.
    Weekend,
    /// A day of the working week on which one of the target's calendars is closed.
    Holiday,
    /// A day on which an exchange closes early.
    HalfDay,
}

/// One local date.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Day {
    /// Its kind.
    pub kind: DayKind,
    /// What makes it so, for a holiday or a half day.
    pub name: Option<Arc<str>>,
}

/// The calendars and events of one target, as rules. Cheap to clone.
#[derive(Debug, Clone, PartialEq)]
pub struct Almanac {
    timezone: Tz,
    events: Arc<[Event]>,
}

impl Almanac {
    /// An almanac that knows the days of the week and nothing else.
    pub fn none(timezone: Tz) -> Self {
        Self { timezone, events: Arc::default() }
    }

    /// The same with `events`, which replace those it had.
    #[must_use]
    pub fn with_events(self, events: impl IntoIterator<Item = Event>) -> Self {
        Self { events: events.into_iter().collect(), ..self }
    }

    /// The zone in which its dates are meant.
    pub fn timezone(&self) -> Tz {
        self.timezone
    }

    /// What it says about `span`: every window that touches it, and its local dates.
    pub fn over(&self, span: Range<Timestamp>) -> Outlook {
        let events = self.events.iter().filter_map(Event::window);
        let mut windows: Vec<_> = events.filter(|window| window.touches(span.start, span.end)).collect();
        windows.sort_by(|a, b| (a.from, &a.name).cmp(&(b.from, &b.name)));
        Outlook { special: BTreeMap::new(), windows: windows.into() }
    }
}

/// What an almanac says about a span, resolved to dates and instants.
#[derive(Debug, Clone, PartialEq)]
pub struct Outlook {
    /// Holidays and half days; all other dates follow from the day of the week.
    special: BTreeMap<NaiveDate, Day>,
    windows: Arc<[Window]>,
}

impl Outlook {
    /// The kind of a local date in the target's zone. Dates outside the span are told by the day of the week alone.
    pub fn day(&self, date: NaiveDate) -> Day {
        let by_weekday = || match date.weekday() {
            Weekday::Sat | Weekday::Sun => Day { kind: DayKind::Weekend, name: None },
            _ => Day::default(),
        };
        self.special.get(&date).cloned().unwrap_or_else(by_weekday)
    }

    /// Every window that touches the span, ascending by `from`.
    pub fn windows(&self) -> &[Window] {
        &self.windows
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::calendar::Envelope;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn launch(hour: u32) -> Event {
        Event {
            name: "launch".into(),
            at: at(&format!("2026-11-27T{hour:02}:00:00Z")),
            envelope: Envelope { hold: TimeDelta::minutes(30), ..Envelope::default() },
            uplift: None,
            peak: None,
            owner: None,
            ticket: None,
            cancelled: false,
            cut_short: None,
        }
    }

    fn starts(events: Vec<Event>) -> Vec<Timestamp> {
        let almanac = Almanac::none(Tz::UTC).with_events(events);
        let outlook = almanac.over(at("2026-11-27T10:00:00Z")..at("2026-11-27T15:00:00Z"));
        outlook.windows().iter().map(|window| window.from).collect()
    }

    #[test]
    fn windows_ascend_and_touch_the_span() {
        let found = starts(vec![launch(14), launch(11), launch(15), launch(9)]);
        assert_eq!(found, [at("2026-11-27T11:00:00Z"), at("2026-11-27T14:00:00Z")]);
    }

    #[test]
    fn a_cancelled_event_opens_no_window_and_one_cut_short_closes_it() {
        let cancelled = Event { cancelled: true, ..launch(11) };
        let before_it_began = Event { cut_short: Some(at("2026-11-27T10:50:00Z")), ..launch(11) };
        assert!(starts(vec![cancelled, before_it_began]).is_empty());
        let window =
            Event { cut_short: Some(at("2026-11-27T11:10:00Z")), ..launch(11) }.window().expect("it ran");
        assert_eq!(window.until, at("2026-11-27T11:10:00Z"));
        assert!(window.share(at("2026-11-27T11:09:59Z")) > 0.99);
    }

    #[test]
    fn without_calendars_a_day_is_told_by_the_day_of_the_week() {
        let outlook = Almanac::none(Tz::UTC).over(at("2026-11-27T10:00:00Z")..at("2026-11-30T15:00:00Z"));
        let kind = |day| outlook.day(NaiveDate::from_ymd_opt(2026, 11, day).unwrap()).kind;
        assert_eq!(
            [27, 28, 29, 30].map(kind),
            [DayKind::Working, DayKind::Weekend, DayKind::Weekend, DayKind::Working]
        );
    }
}
