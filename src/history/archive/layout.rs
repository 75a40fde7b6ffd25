//! What objects are called, and what their names say.

use std::ops::Range;

use chrono::{Datelike, NaiveDate};
use object_store::path::Path;

use crate::engine::{Day, Demand};
use crate::time::{Slot, Step};

/// The bytes of FNV-1a: the same on every machine and in every version.
pub(super) fn fnv(bytes: impl IntoIterator<Item = u8>) -> u64 {
    fnv_on(0xcbf2_9ce4_8422_2325, bytes)
}

/// As [`fnv`], going on from `hash`.
pub(super) fn fnv_on(hash: u64, bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(hash, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The folder of everything that is kept of a target.
pub(super) fn target_folder(target: &str) -> Path {
    Path::from_iter([format!("target={target}")])
}

/// The folder of one history: another query or another step is another history.
pub(super) fn demand_folder(target: &str, demand: &Demand) -> Path {
    let text = format!("{}\n{}", demand.step.seconds(), demand.measured());
    // The letter keeps tools that guess types from taking the digits for a number.
    Path::from_iter([format!("target={target}"), format!("demand=q{:016x}", fnv(text.bytes()))])
}

/// The folder of an object.
pub(super) fn folder_of(location: &Path) -> Path {
    let depth = location.parts().count();
    location.parts().take(depth.saturating_sub(1)).collect()
}

/// The time that one object covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Span {
    /// One day.
    Day(Day),
    /// All days of the month that begins with this one.
    Month(Day),
}

impl Span {
    /// The month of a day.
    pub(super) fn month_of(day: Day) -> Self {
        let first = day.date().with_day(1).and_then(Day::on);
        Self::Month(first.unwrap_or(day))
    }

    /// The span of an object that is called `name`; `None` for what is not ours.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let span = if let Some(date) = name.strip_prefix("day-") {
            let date = date.strip_suffix(".parquet")?;
            Self::Day(Day::on(NaiveDate::parse_from_str(date, "%Y-%m-%d").ok()?)?)
        } else {
            let month = name.strip_prefix("month-")?.strip_suffix(".parquet")?;
            Self::Month(Day::on(NaiveDate::parse_from_str(&format!("{month}-01"), "%Y-%m-%d").ok()?)?)
        };
        // Two names for one span would be counted twice.
        (span.name() == name).then_some(span)
    }

    /// What its object is called.
    pub(super) fn name(self) -> String {
        match self {
            Self::Day(day) => format!("day-{}.parquet", day.date().format("%Y-%m-%d")),
            Self::Month(first) => format!("month-{}.parquet", first.date().format("%Y-%m")),
        }
    }

    /// Its days.
    pub(super) fn days(self) -> Range<Day> {
        match self {
            Self::Day(day) => day..day.next(),
            Self::Month(first) => {
                let after = first.date().checked_add_months(chrono::Months::new(1)).and_then(Day::on);
                first..after.unwrap_or_else(|| first.next())
            }
        }
    }

    /// Each of its days.
    pub(super) fn each_day(self) -> impl Iterator<Item = Day> {
        let days = self.days();
        std::iter::successors(Some(days.start), |day| Some(day.next())).take_while(move |day| *day < days.end)
    }

    /// Its slots.
    pub(super) fn slots(self, step: Step) -> Range<Slot> {
        let days = self.days();
        days.start.slots(step).start..days.end.slots(step).start
    }
}

/// Under which name a corrupt object is set aside. The underscore keeps Spark and pandas from reading it, and the ending
/// everything that looks for `*.parquet`; the hash is of its bytes, so that two replicas choose the same name.
pub(super) fn aside(name: &str, hash: u64) -> String {
    format!("_{name}.corrupt-{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        Day::on(text.parse().unwrap()).unwrap()
    }

    #[test]
    fn names_say_what_is_in_them_and_each_span_has_one_name() {
        for name in ["day-2026-11-22.parquet", "day-2028-02-29.parquet", "month-2026-12.parquet"] {
            assert_eq!(Span::parse(name).unwrap().name(), name);
        }
        for stranger in [
            "day-2026-02-30.parquet",
            "day-2026-1-2.parquet",
            "day-+2026-01-02.parquet",
            "month-2026-13.parquet",
            "month-2026-01-01.parquet",
            "day-2026-11-22.parquet.corrupt-0",
            "_day-2026-11-22.parquet",
            "day-99999-01-01.parquet",
            "day-é",
            "",
        ] {
            assert_eq!(Span::parse(stranger), None, "{stranger}");
        }
    }

    #[test]
    fn a_month_has_all_its_days() {
        let february = Span::month_of(day("2028-02-17"));
        assert_eq!(february.each_day().count(), 29);
        assert_eq!(february.days(), day("2028-02-01")..day("2028-03-01"));
        assert_eq!(Span::month_of(day("2026-12-31")).days().end, day("2027-01-01"));
        let minutes = Span::month_of(day("2026-11-05")).slots(Step::MINUTE);
        assert_eq!(minutes.end.since(minutes.start), 30 * 1440);
    }
}
