//! On which dates something falls by its nature, before anybody asks whether a bank is open.
//!
//! A rule is written as people say it, because people must be able to check it: `15th`, `last day`, `last Friday`,
//! `3rd Monday of January`, `25 December`, `Easter + 1`, `every 2 weeks from 2015-01-02`, `4th Thursday of November + 1`.
//! It knows nothing of holidays and zones: those are for [`super::BusinessDays`] and [`super::Recurrence`].

mod heavens;
mod parse;

use chrono::{Datelike, Days, NaiveDate, Weekday};

use heavens::Equinox;
pub use parse::Error;

/// A nominal date rule: its anchor, moved by calendar days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    anchor: Anchor,
    /// Calendar days after the anchor, as in `Easter - 2`.
    shift_days: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Anchor {
    Date(NaiveDate),
    EveryDay,
    EveryWeekday(Weekday),
    EveryWeeks { weeks: u32, from: NaiveDate },
    DayOfMonth { day: u32, months: Months, when_short: WhenShort },
    LastDay(Months),
    NthWeekday { nth: u32, weekday: Weekday, months: Months },
    LastWeekday { weekday: Weekday, months: Months },
    WeekdayBy { weekday: Weekday, side: Side, day: u32, month: u32 },
    Easter,
    Equinox(Equinox),
}

/// What becomes of a day that a month has not, such as 29 February.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WhenShort {
    /// It is the month's last day.
    LastDay,
    /// It does not occur.
    Skip,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    OnOrAfter,
    OnOrBefore,
}

/// A set of months, a bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Months(u16);

impl Months {
    const ALL: Self = Self(0b1_1111_1111_1110);

    fn only(month: u32) -> Self {
        Self(1 << month)
    }

    fn with(self, month: u32) -> Self {
        Self(self.0 | 1 << month)
    }

    fn has(self, month: u32) -> bool {
        self.0 & (1 << month) != 0
    }
}

impl Rule {
    /// Every date from `first` to `last`, both included, that the rule names, ascending and each once.
    pub fn dates(&self, first: NaiveDate, last: NaiveDate) -> Vec<NaiveDate> {
        let (from, until) = (shifted(first, -self.shift_days), shifted(last, -self.shift_days));
        let within = |date: &NaiveDate| (from..=until).contains(date);
        let every =
            |start: NaiveDate, days: usize| start.iter_days().step_by(days).take_while(|d| *d <= until);
        let anchors: Vec<NaiveDate> = match &self.anchor {
            Anchor::Date(date) => Some(*date).filter(within).into_iter().collect(),
            Anchor::EveryDay => every(from, 1).collect(),
            Anchor::EveryWeekday(weekday) => every(on_or_after(from, *weekday), 7).collect(),
            Anchor::EveryWeeks { weeks, from: anchor } => {
                let days = i64::from(*weeks) * 7;
                let into = (from - *anchor).num_days().rem_euclid(days);
                let start = shifted(from, (days - into) % days);
                every(start, usize::try_from(days).unwrap_or(usize::MAX)).collect()
            }
            anchor => months(from, until)
                .filter_map(|(year, month)| anchor.date_in(year, month))
                .filter(within)
                .collect(),
        };
        anchors.into_iter().map(|date| shifted(date, self.shift_days)).collect()
    }
}

impl Anchor {
    /// The date in a month; a yearly rule has one in its month only.
    fn date_in(&self, year: i32, month: u32) -> Option<NaiveDate> {
        let in_month = |months: &Months| months.has(month);
        match self {
            Self::DayOfMonth { day, months, when_short } if in_month(months) => {
                let exact = NaiveDate::from_ymd_opt(year, month, *day);
                exact.or_else(|| (*when_short == WhenShort::LastDay).then(|| last_day(year, month)))
            }
            Self::LastDay(months) if in_month(months) => Some(last_day(year, month)),
            Self::NthWeekday { nth, weekday, months } if in_month(months) => {
                NaiveDate::from_weekday_of_month_opt(year, month, *weekday, u8::try_from(*nth).ok()?)
            }
            Self::LastWeekday { weekday, months } if in_month(months) => {
                Some(on_or_before(last_day(year, month), *weekday))
            }
            Self::WeekdayBy { weekday, side, day, month: wanted } if *wanted == month => {
                let day = NaiveDate::from_ymd_opt(year, month, *day)?;
                Some(match side {
                    Side::OnOrAfter => on_or_after(day, *weekday),
                    Side::OnOrBefore => on_or_before(day, *weekday),
                })
            }
            Self::Easter => Some(heavens::easter(year)).filter(|date| date.month() == month),
            Self::Equinox(equinox) => Some(equinox.date(year)).filter(|date| date.month() == month),
            _ => None,
        }
    }
}

/// `date` moved by calendar days; the end of what dates can say where there is no such day.
pub(super) fn shifted(date: NaiveDate, days: i64) -> NaiveDate {
    let by = Days::new(days.unsigned_abs());
    if days < 0 {
        date.checked_sub_days(by).unwrap_or(NaiveDate::MIN)
    } else {
        date.checked_add_days(by).unwrap_or(NaiveDate::MAX)
    }
}

fn on_or_after(date: NaiveDate, weekday: Weekday) -> NaiveDate {
    shifted(date, i64::from(weekday.days_since(date.weekday())))
}

fn on_or_before(date: NaiveDate, weekday: Weekday) -> NaiveDate {
    shifted(date, -i64::from(date.weekday().days_since(weekday)))
}

fn last_day(year: i32, month: u32) -> NaiveDate {
    let (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    NaiveDate::from_ymd_opt(year, month, 1).map_or(NaiveDate::MAX, |first| shifted(first, -1))
}

/// Every month that a span of dates touches, and one more at each end: a weekday by a date may leave its month.
fn months(from: NaiveDate, until: NaiveDate) -> impl Iterator<Item = (i32, u32)> {
    let number = |date: NaiveDate| i64::from(date.year()) * 12 + i64::from(date.month0());
    (number(from) - 1..=number(until) + 1).filter_map(|month| {
        Some((i32::try_from(month.div_euclid(12)).ok()?, u32::try_from(month.rem_euclid(12)).ok()? + 1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rule: &str, between: (&str, &str), expected: &[&str]) {
        let rule_read: Rule = rule.parse().unwrap_or_else(|error| panic!("{error}"));
        let found = rule_read.dates(between.0.parse().unwrap(), between.1.parse().unwrap());
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, expected, "{rule}");
    }

    #[test]
    fn each_kind_of_rule_names_its_dates() {
        let year = ("2026-01-01", "2026-12-31");
        check("15th", ("2026-01-01", "2026-02-28"), &["2026-01-15", "2026-02-15"]);
        check("last day", ("2026-01-01", "2026-03-01"), &["2026-01-31", "2026-02-28"]);
        check("last day of December", year, &["2026-12-31"]);
        check("last Friday", ("2026-05-01", "2026-06-30"), &["2026-05-29", "2026-06-26"]);
        check("3rd Monday of January", year, &["2026-01-19"]);
        check("3rd Friday of March and September", year, &["2026-03-20", "2026-09-18"]);
        check("25 December", year, &["2026-12-25"]);
        check(
            "15 January, April, June and September",
            year,
            &["2026-01-15", "2026-04-15", "2026-06-15", "2026-09-15"],
        );
        check("Easter - 2", year, &["2026-04-03"]);
        check("Easter + 1", year, &["2026-04-06"]);
        check("4th Thursday of November + 1", year, &["2026-11-27"]);
        check("every Friday", ("2026-06-05", "2026-06-19"), &["2026-06-05", "2026-06-12", "2026-06-19"]);
        check("every 2 weeks from 2026-01-02", ("2026-01-03", "2026-02-01"), &["2026-01-16", "2026-01-30"]);
        check("every 2 weeks from 2026-01-02", ("2025-12-01", "2025-12-31"), &["2025-12-05", "2025-12-19"]);
        check("Monday on or before 24 May", year, &["2026-05-18"]);
        check("Saturday on or after 31 October", year, &["2026-10-31"]);
        check("2026-12-24", year, &["2026-12-24"]);
        check("vernal equinox", year, &["2026-03-20"]);
        check("autumnal equinox", year, &["2026-09-23"]);
    }

    #[test]
    fn a_day_that_a_month_has_not_is_its_last_day_unless_said_otherwise() {
        let leap = ("2027-01-01", "2028-12-31");
        check("29 February", leap, &["2027-02-28", "2028-02-29"]);
        check("29 February in leap years", leap, &["2028-02-29"]);
        check("30th", ("2027-02-01", "2027-03-31"), &["2027-02-28", "2027-03-30"]);
    }

    #[test]
    fn a_shifted_rule_is_found_across_month_and_year() {
        check("1 January - 1", ("2026-12-01", "2026-12-31"), &["2026-12-31"]);
        check("last day + 1", ("2026-03-01", "2026-03-01"), &["2026-03-01"]);
        check("Sunday on or after 30 September", ("2026-10-01", "2026-10-31"), &["2026-10-04"]);
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (rule, word) in [
            ("3rd Mondey of January", "mondey"),
            ("32nd", "32nd"),
            ("31 February", "31"),
            ("every 0 weeks from 2026-01-02", "0"),
            ("every 2 weeks from tomorrow", "tomorrow"),
            ("6th Monday", "6th"),
            ("15 Januar", "januar"),
            ("Easter + many", "many"),
            ("", ""),
        ] {
            let error = rule.parse::<Rule>().expect_err(rule);
            assert_eq!(error.word, word, "{rule}");
        }
    }
}
