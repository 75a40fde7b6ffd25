//! Events as a table: a line each, columns named like the keys of an event.
//!
//! `expected`, `lower` and `upper` are columns of their own, `targets` and `labels` (`team=payments`) are separated by blanks, and an empty cell is a key
//! that is not given.

use super::super::complaint::{Complaint, KeyPath, Place};
use super::super::nearest::nearest;
use super::super::node::{Entry, Kind, Node};
use super::labels;

/// The columns a table may have, in any order.
const COLUMNS: [&str; 18] = [
    "name",
    "at",
    "timezone",
    "targets",
    "labels",
    "profile",
    "expected",
    "lower",
    "upper",
    "peak",
    "lead",
    "ramp",
    "hold",
    "decay",
    "owner",
    "ticket",
    "cancelled",
    "cutShort",
];

/// The tree of a table's events.
///
/// # Errors
/// The one complaint of a text that is no table.
pub(super) fn tree(text: &str) -> Result<Node, Complaint> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| complaint(&error))?.clone();
    // A column that nobody knows is a mistake once, and not in every line.
    if let Some(stranger) = header.iter().find(|column| !COLUMNS.contains(column)) {
        let meant = nearest(stranger, COLUMNS);
        let meant = meant.map_or_else(String::new, |meant| format!(" did you mean {meant:?}?"));
        let message = format!("unknown column {stranger:?};{meant} columns are: {}", COLUMNS.join(", "));
        let place = Some(Place { line: 1, column: 1 });
        return Err(Complaint { place, path: KeyPath::root(), message });
    }
    let mut items = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| complaint(&error))?;
        let line = record.position().map_or(1, csv::Position::line);
        items.push(event(&header, &record, Place { line, column: 1 }));
    }
    Ok(Node { place: Some(Place { line: 1, column: 1 }), kind: Kind::List(items) })
}

fn event(header: &csv::StringRecord, record: &csv::StringRecord, place: Place) -> Node {
    let node = |kind| Node { place: Some(place), kind };
    let entry = |key: &str, node| Entry { key: key.to_owned(), key_place: Some(place), node };
    let mut entries = Vec::new();
    let mut uplift = Vec::new();
    for (column, cell) in header.iter().zip(record).filter(|(_, cell)| !cell.is_empty()) {
        match column {
            "expected" | "lower" | "upper" => uplift.push(entry(column, node(number(cell)))),
            "peak" => entries.push(entry(column, node(number(cell)))),
            "cancelled" => entries.push(entry(column, node(truth(cell)))),
            "targets" => {
                let names = cell.split_whitespace().map(|name| node(Kind::Text(name.to_owned())));
                entries.push(entry(column, node(Kind::List(names.collect()))));
            }
            "labels" => entries.push(entry("labels", node(labels(cell.split_whitespace(), place)))),
            _ => entries.push(entry(column, node(Kind::Text(cell.to_owned())))),
        }
    }
    if !uplift.is_empty() {
        entries.push(entry("uplift", node(Kind::Mapping(uplift))));
    }
    node(Kind::Mapping(entries))
}

fn number(cell: &str) -> Kind {
    cell.parse().map_or_else(|_| Kind::Text(cell.to_owned()), Kind::Float)
}

fn truth(cell: &str) -> Kind {
    cell.parse().map_or_else(|_| Kind::Text(cell.to_owned()), Kind::Bool)
}

fn complaint(error: &csv::Error) -> Complaint {
    let line = error.position().map(csv::Position::line);
    let place = line.map(|line| Place { line, column: 1 });
    Complaint { place, path: KeyPath::root(), message: format!("not readable as a table: {error}") }
}
