//! Rules as people write them.

use std::str::FromStr;

use chrono::{NaiveDate, Weekday};

use super::{Anchor, Equinox, Months, Rule, Side, WhenShort};

/// A rule that is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a rule, it is not understood at {word:?}; write it like 15th, last day, last Friday, \
     3rd Monday of January, 25 December, Easter + 1, every Friday or every 2 weeks from 2026-01-02"
)]
pub struct Error {
    /// The rule as it was written.
    pub text: String,
    /// The first word that makes no sense where it stands, in lower case; empty when something is missing.
    pub word: String,
}

impl FromStr for Rule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let lower = text.to_lowercase().replace(',', " ");
        let words: Vec<&str> = lower.split_whitespace().collect();
        rule(&words).map_err(|word| Error { text: text.to_owned(), word: word.to_owned() })
    }
}

/// The word that is not understood.
type Stranger<'a> = &'a str;

fn rule<'a>(words: &[&'a str]) -> Result<Rule, Stranger<'a>> {
    let (words, shift_days) = match words {
        [rest @ .., "+", days] => (rest, number(days, 0..=366)?),
        [rest @ .., "-", days] => (rest, -number(days, 0..=366)?),
        words => (words, 0),
    };
    Ok(Rule { anchor: anchor(words)?, shift_days })
}

fn anchor<'a>(words: &[&'a str]) -> Result<Anchor, Stranger<'a>> {
    match words {
        [] => Err(""),
        ["every", "day"] => Ok(Anchor::EveryDay),
        ["every", word] => Ok(Anchor::EveryWeekday(weekday(word)?)),
        ["every", weeks, "week" | "weeks", "from", date] => Ok(Anchor::EveryWeeks {
            weeks: count(weeks, 1..=520)?,
            from: date.parse::<NaiveDate>().map_err(|_| *date)?,
        }),
        ["easter"] => Ok(Anchor::Easter),
        ["vernal", "equinox"] => Ok(Anchor::Equinox(Equinox::Vernal)),
        ["autumnal", "equinox"] => Ok(Anchor::Equinox(Equinox::Autumnal)),
        ["last", "day", rest @ ..] => Ok(Anchor::LastDay(of_months(rest)?)),
        ["last", word, rest @ ..] => {
            Ok(Anchor::LastWeekday { weekday: weekday(word)?, months: of_months(rest)? })
        }
        [word, "on", "or", side, day, month] => {
            let (weekday, month) = (weekday(word)?, self::month(month)?);
            let side = match *side {
                "after" => Side::OnOrAfter,
                "before" => Side::OnOrBefore,
                other => return Err(other),
            };
            Ok(Anchor::WeekdayBy { weekday, side, day: day_of(day, Months::only(month))?, month })
        }
        [day, rest @ .., "in", "leap", "years"] if day.bytes().all(|byte| byte.is_ascii_digit()) => {
            let months = months(rest)?;
            Ok(Anchor::DayOfMonth { day: day_of(day, months)?, months, when_short: WhenShort::Skip })
        }
        [day, rest @ ..] if day.bytes().all(|byte| byte.is_ascii_digit()) => {
            let months = months(rest)?;
            Ok(Anchor::DayOfMonth { day: day_of(day, months)?, months, when_short: WhenShort::LastDay })
        }
        [date] if date.parse::<NaiveDate>().is_ok() => date.parse().map(Anchor::Date).map_err(|_| *date),
        [nth] => Ok(Anchor::DayOfMonth {
            day: ordinal(nth, 31)?,
            months: Months::ALL,
            when_short: WhenShort::LastDay,
        }),
        [nth, "of", ..] => Ok(Anchor::DayOfMonth {
            day: ordinal(nth, 31)?,
            months: of_months(&words[1..])?,
            when_short: WhenShort::LastDay,
        }),
        [nth, word, rest @ ..] => Ok(Anchor::NthWeekday {
            nth: ordinal(nth, 5)?,
            weekday: weekday(word)?,
            months: of_months(rest)?,
        }),
    }
}

fn of_months<'a>(words: &[&'a str]) -> Result<Months, Stranger<'a>> {
    match words {
        [] => Ok(Months::ALL),
        ["of", rest @ ..] => months(rest),
        [word, ..] => Err(word),
    }
}

fn months<'a>(words: &[&'a str]) -> Result<Months, Stranger<'a>> {
    let named = words.iter().filter(|word| **word != "and");
    let set = named.copied().try_fold(Months(0), |set, word| month(word).map(|month| set.with(month)))?;
    if set == Months(0) { Err("") } else { Ok(set) }
}

fn month(word: &str) -> Result<u32, Stranger<'_>> {
    let found: Result<chrono::Month, _> = word.parse();
    found.map(|month| month.number_from_month()).map_err(|_| word)
}

fn weekday(word: &str) -> Result<Weekday, Stranger<'_>> {
    word.parse().map_err(|_| word)
}

/// A day that each of the months has in a leap year.
fn day_of(word: &str, months: Months) -> Result<u32, Stranger<'_>> {
    let day = count(word, 1..=31)?;
    let exists = |month: u32| NaiveDate::from_ymd_opt(2024, month, day).is_some();
    if (1..=12).filter(|month| months.has(*month)).all(exists) { Ok(day) } else { Err(word) }
}

/// `1st`, `2nd`, `3rd`, `15th`; the ending must be the right one.
fn ordinal(word: &str, most: u32) -> Result<u32, Stranger<'_>> {
    let (digits, ending) = word.split_at_checked(word.len().saturating_sub(2)).ok_or(word)?;
    let number: u32 = digits.parse().map_err(|_| word)?;
    let right = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    if ending == right && (1..=most).contains(&number) { Ok(number) } else { Err(word) }
}

fn count(word: &str, legal: std::ops::RangeInclusive<u32>) -> Result<u32, Stranger<'_>> {
    word.parse().ok().filter(|number| legal.contains(number)).ok_or(word)
}

fn number(word: &str, legal: std::ops::RangeInclusive<u32>) -> Result<i64, Stranger<'_>> {
    count(word, legal).map(i64::from)
}
