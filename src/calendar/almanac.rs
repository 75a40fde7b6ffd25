//! What one target listens to, and what that says about a span of time.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use chrono::{Datelike, NaiveDate, Weekday};
use chrono_tz::Tz;

use super::agenda::Calendar;
use super::event::Event;
use super::rule::shifted;
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
    calendars: Arc<[Arc<Calendar>]>,
    events: Arc<[Event]>,
}

impl Almanac {
    /// An almanac that knows the days of the week and nothing else.
    pub fn none(timezone: Tz) -> Self {
        Self { timezone, calendars: Arc::default(), events: Arc::default() }
    }

    /// The same with `calendars`, which replace those it had. Of two that name one day the earlier one names it.
    #[must_use]
    pub fn with_calendars(self, calendars: impl IntoIterator<Item = Arc<Calendar>>) -> Self {
        Self { calendars: calendars.into_iter().collect(), ..self }
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

    /// The calendars it listens to.
    pub fn calendars(&self) -> &[Arc<Calendar>] {
        &self.calendars
    }

    /// The events it listens to, those called off included.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// What it says about `span`: every window that touches it, and its local dates.
    pub fn over(&self, span: Range<Timestamp>) -> Outlook {
        let events = self.events.iter().filter_map(Event::window);
        let events = events.filter(|window| window.touches(span.start, span.end));
        let recurring = self.calendars.iter().flat_map(|calendar| calendar.windows(&span));
        let mut windows: Vec<_> = events.chain(recurring).collect();
        windows.sort_by(|a, b| (a.from, &a.name).cmp(&(b.from, &b.name)));
        Outlook { weekend: self.weekend(), special: self.special(&span), windows: windows.into() }
    }

    /// The days of rest are those of the first calendar that has some.
    fn weekend(&self) -> Vec<Weekday> {
        const USUAL: [Weekday; 2] = [Weekday::Sat, Weekday::Sun];
        let days = self.calendars.iter().find_map(|calendar| calendar.days.as_ref());
        days.map_or_else(
            || USUAL.to_vec(),
            |days| {
                let week = Weekday::Mon.num_days_from_monday()..7;
                let week = week.filter_map(|day| Weekday::try_from(u8::try_from(day).ok()?).ok());
                week.filter(|weekday| days.rests(*weekday)).collect()
            },
        )
    }

    /// Holidays and half days by local date.
    fn special(&self, span: &Range<Timestamp>) -> BTreeMap<NaiveDate, Day> {
        let local = |at: Timestamp| at.with_timezone(&self.timezone).date_naive();
        // A trade date may be the day before or after, on this side of the world.
        let (first, last) = (shifted(local(span.start), -2), shifted(local(span.end), 2));
        let mut special: BTreeMap<NaiveDate, Day> = BTreeMap::new();
        for calendar in self.calendars.iter() {
            let Some(days) = &calendar.days else { continue };
            let exchange = calendar.exchange.as_ref();
            for date in first.iter_days().take_while(|date| *date <= last) {
                let day = if let Some(name) = days.holiday(date) {
                    Day { kind: DayKind::Holiday, name: Some(name.clone()) }
                } else if exchange.is_some_and(|exchange| exchange.closes_early(date)) {
                    Day { kind: DayKind::HalfDay, name: Some(calendar.name.clone()) }
                } else {
                    continue;
                };
                let civil = exchange.map_or(date, |exchange| exchange.civil_date(date, self.timezone));
                let known = special.entry(civil).or_default();
                // A holiday outdoes a half day; of two of a kind the calendar that was listed first names it.
                if known.kind == DayKind::Working
                    || known.kind == DayKind::HalfDay && day.kind == DayKind::Holiday
                {
                    *known = day;
                }
            }
        }
        special
    }
}

/// What an almanac says about a span, resolved to dates and instants.
#[derive(Debug, Clone, PartialEq)]
pub struct Outlook {
    weekend: Vec<Weekday>,
    /// Holidays and half days; all other dates follow from the day of the week.
    special: BTreeMap<NaiveDate, Day>,
    windows: Arc<[Window]>,
}

impl Outlook {
    /// The kind of a local date in the target's zone. Dates outside the span are told by the day of the week alone.
    pub fn day(&self, date: NaiveDate) -> Day {
        if self.weekend.contains(&date.weekday()) {
            return Day { kind: DayKind::Weekend, name: None };
        }
        self.special.get(&date).cloned().unwrap_or_default()
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
