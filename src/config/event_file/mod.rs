//! Files of events: iCalendars that marketing keeps, tables that come out of a planning tool, and lists like our own.
//!
//! Whatever the format, a file becomes the tree that the same events would be in the configuration, in which every value knows
//! its line; from there on shape, values and complaints are the configuration's own.

mod ics;
mod recurring;
mod table;

use super::checker::Checker;
use super::complaint::{Complaint, Complaints, KeyPath, Place};
use super::event::{self, Announced, Context};
use super::node::{Entry, Kind, Node};
use super::{raw, schema, shape};

/// The events of a file's text; its format follows from the ending of its name.
///
/// # Errors
/// Everything that is wrong with it.
pub(super) fn events(
    name: &str,
    text: &str,
    defaults: &raw::EventFile,
    context: Context<'_>,
) -> Result<Vec<Announced>, Complaints> {
    let ending = name.rsplit('.').next().unwrap_or_default().to_lowercase();
    let tree = match ending.as_str() {
        "ics" => ics::tree(text, defaults, context.library),
        "csv" => table::tree(text).map_err(|complaint| vec![complaint]),
        "yaml" | "yml" => Node::read(text).map_err(|complaint| vec![complaint]),
        _ => {
            let message = "is no file of events by its name; one ends in .ics, .csv or .yaml".to_owned();
            Err(vec![Complaint { place: None, path: KeyPath::root(), message }])
        }
    };
    let tree = tree.map_err(|complaints| Complaints::new(name, complaints))?;
    if matches!(tree.kind, Kind::Null) {
        return Ok(Vec::new());
    }
    let (fitting, structural) = shape::check(&tree, &schema::of::<Vec<raw::Event>>());
    let mut checker = Checker::new(&tree, structural);
    let root = KeyPath::root();
    let raw =
        fitting.and_then(|fitting| checker.accept(&root, serde_json::from_value::<Vec<raw::Event>>(fitting)));
    let mut events = Vec::new();
    for (index, event) in raw.into_iter().flatten().enumerate() {
        let event = with_defaults(event, defaults);
        events.extend(event::check(&event, &root.item(index), context, &mut checker));
    }
    let mut complaints = Complaints::none();
    complaints.add(name, the_first_of(checker.into_complaints()));
    complaints.into_result().map(|()| events)
}

/// What a planning tool exports wrong is wrong in every line; the first of them tell what to mend.
fn the_first_of(mut complaints: Vec<Complaint>) -> Vec<Complaint> {
    const SHOWN: usize = 20;
    complaints.sort_by_key(|complaint| complaint.place);
    if complaints.len() > SHOWN {
        let (place, more) = (complaints[SHOWN].place, complaints.len() - SHOWN);
        complaints.truncate(SHOWN);
        let message = format!("from here on {more} more mistakes; mend the first ones");
        complaints.push(Complaint { place, path: KeyPath::root(), message });
    }
    complaints
}

/// The mapping of labels that are written `key=content`. What is no label becomes one without content, which no target bears.
fn labels<'a>(written: impl Iterator<Item = &'a str>, place: Place) -> Kind {
    let label = |text: &str| {
        let (key, content) = text.split_once('=').unwrap_or((text, ""));
        let node = Node { place: Some(place), kind: Kind::Text(content.trim().to_owned()) };
        Entry { key: key.trim().to_owned(), key_place: Some(place), node }
    };
    Kind::Mapping(written.map(label).collect())
}

fn with_defaults(event: raw::Event, defaults: &raw::EventFile) -> raw::Event {
    let (targets, labels) = match (event.targets, event.labels) {
        (None, None) => (defaults.targets.clone(), defaults.labels.clone()),
        own => own,
    };
    raw::Event {
        targets,
        labels,
        timezone: event.timezone.or_else(|| defaults.timezone.clone()),
        profile: event.profile.or_else(|| defaults.profile.clone()),
        ..event
    }
}
