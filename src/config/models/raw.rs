//! A calendar and a profile as they are written, in a model file or in the configuration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A calendar: closures, sessions, recurrences. Every part may be left out.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(title = "tidetable calendar")]
pub(in crate::config) struct Calendar {
    /// What it is, for people.
    pub(super) title: Option<String>,
    /// Where its rules and tables come from.
    pub(super) source: Option<String>,
    /// The last date for which they were looked up; without one nothing ever warns that it is out of date.
    #[schemars(example = &"2027-12-31")]
    pub(super) valid_until: Option<String>,
    /// The IANA zone of its dates and times; that of the calendar it extends, or UTC, unless given.
    #[schemars(example = &"America/New_York")]
    pub(super) timezone: Option<String>,
    /// A calendar whose parts it has before its own; the one that bears its own name, to change what is shipped.
    #[schemars(example = &"nyse")]
    pub(super) extends: Option<String>,
    /// A calendar whose closures it shares.
    #[schemars(example = &"us-fed")]
    pub(super) business_days: Option<String>,
    /// The days of the week on which business rests; Saturday and Sunday unless given.
    pub(super) weekend: Option<Vec<Weekday>>,
    /// Holidays that a rule can say.
    pub(super) holidays: Option<Vec<Holiday>>,
    /// Whether a working day between two holidays is a holiday; no unless given.
    pub(super) bridges: Option<bool>,
    /// Closures that no rule can say.
    pub(super) closed: Option<Vec<Closed>>,
    /// Dates on which business does not rest, whatever else is said.
    pub(super) open: Option<Vec<String>>,
    /// Trading hours; the last that begin at or before a date hold.
    pub(super) hours: Option<Vec<Hours>>,
    /// Days on which trading ends early.
    pub(super) early_closes: Option<Vec<EarlyClose>>,
    /// Sessions that take place whatever the closures say.
    pub(super) sessions: Option<Vec<Session>>,
    /// What recurs, and moves demand.
    pub(super) recurrences: Option<Vec<Recurrence>>,
    /// Whole local dates on which demand moves, in short; DATE or FIRST/LAST.
    pub(super) dates: Option<Vec<String>>,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(super) enum Weekday {
    /// Monday.
    Monday,
    /// Tuesday.
    Tuesday,
    /// Wednesday.
    Wednesday,
    /// Thursday.
    Thursday,
    /// Friday.
    Friday,
    /// Saturday.
    Saturday,
    /// Sunday.
    Sunday,
}

/// A holiday that a rule can say.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Holiday {
    /// What is kept.
    #[schemars(required, example = &"Labor Day")]
    pub(super) name: Option<String>,
    /// Its rule, or a date.
    #[schemars(required, example = &"1st Monday of September")]
    pub(super) on: Option<String>,
    /// Where it is kept when it falls on a day of rest; where it falls unless given.
    pub(super) observed: Option<Observed>,
    /// The first year in which it is kept.
    pub(super) from: Option<i32>,
    /// The last year in which it is kept.
    pub(super) until: Option<i32>,
}

/// Where a holiday is kept that falls on a day of rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Observed {
    /// Where it falls.
    AsIs,
    /// A Sunday's on the next day that is no holiday.
    SundayNext,
    /// A Saturday's on Friday, a Sunday's on Monday.
    Nearest,
    /// On the next working day that is no holiday.
    WeekendNext,
}

/// A closure that no rule can say.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Closed {
    /// The date.
    #[schemars(required, example = &"2018-12-05")]
    pub(super) date: Option<String>,
    /// Why it is closed.
    #[schemars(example = &"day of mourning")]
    pub(super) name: Option<String>,
}

/// Trading hours from a trade date on.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Hours {
    /// The first trade date on which they hold; from the beginning unless given.
    #[schemars(example = &"2024-11-05")]
    pub(super) from: Option<String>,
    /// When trading begins.
    #[schemars(required, example = &"09:30", example = &"20:00 the day before")]
    pub(super) open: Option<String>,
    /// When trading ends.
    #[schemars(required, example = &"16:00")]
    pub(super) close: Option<String>,
    /// The break within.
    #[serde(rename = "break")]
    #[schemars(example = &"12:00-13:00")]
    pub(super) pause: Option<String>,
}

/// Days on which trading ends early. A closed day has no early close.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct EarlyClose {
    /// The rule of their dates, or a date.
    #[schemars(required, example = &"24 December")]
    pub(super) on: Option<String>,
    /// What becomes of a closed date; none unless given.
    pub(super) roll: Option<Roll>,
    /// When trading ends.
    #[schemars(required, example = &"13:00")]
    pub(super) close: Option<String>,
}

/// A session that takes place whatever the closures say.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Session {
    /// The trade date.
    #[schemars(required, example = &"2025-02-01")]
    pub(super) date: Option<String>,
    /// When trading begins.
    #[schemars(required, example = &"09:15")]
    pub(super) open: Option<String>,
    /// When trading ends.
    #[schemars(required, example = &"15:30")]
    pub(super) close: Option<String>,
    /// What it is held for.
    #[schemars(example = &"Union Budget")]
    pub(super) name: Option<String>,
}

/// Something that recurs, and moves demand.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Recurrence {
    /// What distinguishes it from others of its calendar; recurrences of one name are learned together.
    #[schemars(example = &"open")]
    pub(super) name: Option<String>,
    /// Which of several of one name it is, for people.
    #[schemars(example = &"mid")]
    pub(super) leg: Option<String>,
    /// The rule of its nominal dates, or a date; every session of an exchange unless given.
    #[schemars(example = &"last day")]
    pub(super) on: Option<String>,
    /// Its nominal dates where no rule can say them; DATE or FIRST/LAST.
    pub(super) dates: Option<Vec<String>>,
    /// The first year of its rule.
    pub(super) from: Option<i32>,
    /// The last year of its rule.
    pub(super) until: Option<i32>,
    /// The calendar whose business days it moves to; its own unless given.
    #[schemars(example = &"us-fed")]
    pub(super) calendar: Option<String>,
    /// What becomes of a nominal date on which business rests; none unless given.
    pub(super) roll: Option<Roll>,
    /// Business days after that, or before when negative; 0 unless given.
    #[schemars(extend("minimum" = -30, "maximum" = 30))]
    pub(super) offset: Option<i64>,
    /// A local time, or open or close for the exchange's; 00:00 unless given.
    #[schemars(example = &"06:00", example = &"open")]
    pub(super) at: Option<String>,
    /// How demand moves around it; a whole day, and nothing known beforehand, unless given.
    #[schemars(example = &"payroll")]
    pub(super) profile: Option<String>,
}

/// What becomes of a nominal date on which business rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Roll {
    /// It stays.
    None,
    /// It does not take place.
    Skip,
    /// The open day before it.
    Previous,
    /// The open day after it.
    Following,
    /// The open day after it, unless that is in another month: then the one before it.
    ModifiedFollowing,
}

/// A profile: how demand moves around an instant.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(title = "tidetable profile")]
pub(in crate::config) struct Profile {
    /// What it is, for people.
    pub(super) title: Option<String>,
    /// Where its shape and its prior come from.
    pub(super) source: Option<String>,
    /// How long before its instant demand begins to move; 0s unless given.
    #[schemars(example = &"30m")]
    pub(super) lead: Option<String>,
    /// How long it grows; 0s unless given.
    #[schemars(example = &"5m")]
    pub(super) ramp: Option<String>,
    /// How long it stays; 0s unless given.
    #[schemars(example = &"45m")]
    pub(super) hold: Option<String>,
    /// How long it fades; 0s unless given.
    #[schemars(example = &"2h")]
    pub(super) decay: Option<String>,
    /// What is believed of its size before any was seen; nothing unless given.
    pub(super) prior: Option<Uplift>,
}

/// Multiples of the demand there would be without it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::config) struct Uplift {
    /// As good as always exceeded, the 0.05 quantile; 1 or expected, whichever is lower, unless given.
    #[schemars(example = 3)]
    pub(in crate::config) lower: Option<f64>,
    /// The median.
    #[schemars(required, example = 6)]
    pub(in crate::config) expected: Option<f64>,
    /// Hardly ever exceeded, the 0.95 quantile, which the event floor stands on.
    #[schemars(required, example = 12)]
    pub(in crate::config) upper: Option<f64>,
}
