//! The reference tables, read.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use chrono::NaiveDate;
use tidetable::calendar::{Calendar, Occurrence, Recurrence};
use tidetable::config::Library;

/// A table's rows, each with its columns by name.
pub(crate) struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Reads `tests/data/calendars/NAME`.
    pub(crate) fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/calendars").join(name);
        let mut text = String::new();
        let mut file = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if path.extension().is_some_and(|ending| ending == "gz") {
            flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
        } else {
            file.read_to_string(&mut text).unwrap();
        }
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let owned = |record: &csv::StringRecord| record.iter().map(str::to_owned).collect::<Vec<_>>();
        let header = owned(reader.headers().unwrap());
        let rows: Vec<_> = reader.records().map(|record| owned(&record.unwrap())).collect();
        assert!(!rows.is_empty(), "{name} is empty");
        Self { header, rows }
    }

    /// Every row's cells of `columns`.
    pub(crate) fn columns<const N: usize>(&self, columns: [&str; N]) -> Vec<[&str; N]> {
        let places = columns.map(|column| self.header.iter().position(|name| name == column).expect(column));
        self.rows.iter().map(|row| places.map(|place| row[place].as_str())).collect()
    }
}

pub(crate) fn date(text: &str) -> NaiveDate {
    text.parse().unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

/// The span that the tables cover.
pub(crate) fn span() -> (NaiveDate, NaiveDate) {
    (date("2015-01-01"), date("2027-12-31"))
}

pub(crate) fn calendar(name: &str) -> Arc<Calendar> {
    Arc::clone(Library::shipped().calendar(name).unwrap_or_else(|| panic!("no calendar {name}")))
}

/// A calendar's recurrences whose leg, or name after the calendar's, is `which`; all of them when it is empty.
pub(crate) fn recurrences(calendar: &Calendar, which: &str) -> Vec<Recurrence> {
    let is = |recurrence: &&Recurrence| {
        let own = recurrence.name.strip_prefix(&*calendar.name).unwrap_or_default().trim();
        which.is_empty() || own == which || recurrence.leg.as_deref() == Some(which)
    };
    let found: Vec<_> = calendar.recurrences.iter().filter(is).cloned().collect();
    assert!(!found.is_empty(), "{} has no {which:?}", calendar.name);
    found
}

/// Occurrences by their nominal date within the tables' span, wherever they take place.
pub(crate) fn occurrences(name: &str, which: &str) -> Vec<Occurrence> {
    let calendar = calendar(name);
    let (first, last) = span();
    let around = (first - chrono::TimeDelta::days(40), last + chrono::TimeDelta::days(40));
    let all = recurrences(&calendar, which).into_iter();
    let mut found: Vec<_> = all.flat_map(|recurrence| recurrence.occurrences(around.0, around.1)).collect();
    found.retain(|occurrence| (first..=last).contains(&occurrence.nominal));
    found.sort_by_key(|occurrence| occurrence.nominal);
    found
}

/// Fails with the first few differences, each side's alone.
pub(crate) fn same<T: Ord + std::fmt::Debug>(what: &str, found: Vec<T>, expected: Vec<T>) {
    use std::collections::BTreeSet;
    assert!(expected.len() > 5, "{what}: the table has hardly a row");
    let as_many = found.len() == expected.len();
    let (found, expected) = (BTreeSet::from_iter(found), BTreeSet::from_iter(expected));
    let ours: Vec<_> = found.difference(&expected).take(5).collect();
    let theirs: Vec<_> = expected.difference(&found).take(5).collect();
    assert!(ours.is_empty() && theirs.is_empty(), "{what}: only ours {ours:?}, only theirs {theirs:?}");
    assert!(as_many, "{what}: one of them has something twice");
}
