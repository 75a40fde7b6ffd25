//! The file as a tree in which every key and every value knows its line.
//!
//! Serde forgets where a value stood as soon as it is read. Here the file is read once into [`Node`]s, and everything that
//! is later complained of, be it a key nobody knows or a minimum above a maximum, is looked up in this tree by its path.
//! This file refuses to know which keys exist: that is the schema's matter.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Location, MessageFormatter, Options, Spanned};

use super::complaint::{Complaint, KeyPath, Place};

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) place: Option<Place>,
    pub(super) kind: Kind,
}

/// What a value is, before anybody says what it should have been.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// Nothing: `key:` without a value, or `~`.
    Null,
    /// `true` or `false`; `yes` and `on` are text, as in YAML 1.2.
    Bool(bool),
    /// A whole number.
    Integer(i128),
    /// Any other number, not-a-number and the infinities included, so that they can be complained of by path.
    Float(f64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the file's order. A key that occurs twice is here twice.
    Mapping(Vec<Entry>),
}

/// One key with its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_place: Option<Place>,
    pub(super) node: Node,
}

impl Node {
    /// Reads a file's text.
    ///
    /// # Errors
    /// The one complaint of a text that is not YAML; there is no tree then to find others in.
    pub(super) fn read(text: &str) -> Result<Self, Complaint> {
        serde_saphyr::from_str_with_options(text, options()).map_err(|error| syntax_complaint(&error))
    }

    /// The value at `path`.
    pub(super) fn at(&self, path: &KeyPath) -> Option<&Self> {
        path.segments().iter().try_fold(self, |node, segment| node.child(segment).map(|(child, _)| child))
    }

    /// The keys of a mapping; none of anything else.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        let entries = match &self.kind {
            Kind::Mapping(entries) => entries.as_slice(),
            _ => &[],
        };
        entries.iter().map(|entry| entry.key.as_str())
    }

    /// Where `path` stands: its value's place, or its key's where the value has many lines. Of a path that is not in the
    /// file it is the place of its nearest parent.
    pub(super) fn place_of(&self, path: &KeyPath) -> Option<Place> {
        let mut node = self;
        let mut place = self.place;
        for segment in path.segments() {
            let Some((child, key_place)) = node.child(segment) else { break };
            place = match child.kind {
                Kind::Mapping(_) | Kind::List(_) | Kind::Null => key_place.or(child.place),
                _ => child.place.or(key_place),
            };
            node = child;
        }
        place
    }

    /// The value of the key, or of the index, `segment`; and where its key stands.
    fn child(&self, segment: &str) -> Option<(&Self, Option<Place>)> {
        match &self.kind {
            Kind::Mapping(entries) => {
                let entry = entries.iter().find(|entry| entry.key == segment)?;
                Some((&entry.node, entry.key_place))
            }
            Kind::List(items) => items.get(segment.parse::<usize>().ok()?).map(|item| (item, item.place)),
            _ => None,
        }
    }
}

/// Every oddity that can be complained of by path is let through here: repeated keys, infinities.
fn options() -> Options {
    let budget = serde_saphyr::budget! {
        max_documents: 16,
        max_nodes: 200_000,
        max_total_scalar_bytes: 4 << 20,
    };
    let aliases = serde_saphyr::alias_limits! { max_total_replayed_events: 50_000 };
    serde_saphyr::options! {
        budget: budget,
        alias_limits: aliases,
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        strict_booleans: true,
        with_snippet: false,
    }
}

fn syntax_complaint(error: &serde_saphyr::Error) -> Complaint {
    let error = error.without_snippet();
    let message = match error {
        // The library shows its own counters here, which help nobody.
        serde_saphyr::Error::Budget { .. } => "too deep, too long or too many aliases".into(),
        error => serde_saphyr::UserMessageFormatter.format_message(error),
    };
    Complaint {
        place: error.location().and_then(place),
        path: KeyPath::root(),
        message: format!("not readable as YAML: {message}"),
    }
}

fn place(location: Location) -> Option<Place> {
    (location.line() > 0).then(|| Place { line: location.line(), column: location.column() })
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Kind>::deserialize(deserializer)?;
        Ok(Self { place: place(spanned.defined), kind: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KindVisitor)
    }
}

struct KindVisitor;

impl<'de> Visitor<'de> for KindVisitor {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Kind, E> {
        Ok(Kind::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Kind, E> {
        Ok(Kind::Integer(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Kind, E> {
        Ok(Kind::Integer(value.into()))
    }

    fn visit_i128<E: de::Error>(self, value: i128) -> Result<Kind, E> {
        Ok(Kind::Integer(value))
    }

    fn visit_u128<E: de::Error>(self, value: u128) -> Result<Kind, E> {
        Ok(i128::try_from(value).map_or(Kind::Float(f64::INFINITY), Kind::Integer))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Kind, E> {
        Ok(Kind::Float(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Kind, E> {
        Ok(Kind::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Kind, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Kind::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Kind, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, node)) = access.next_entry::<Spanned<String>, Node>()? {
            entries.push(Entry { key: key.value, key_place: place(key.defined), node });
        }
        Ok(Kind::Mapping(entries))
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn line_of(text: &str, path: &[&str]) -> u64 {
        let path = path.iter().fold(KeyPath::root(), |path, segment| path.key(segment));
        Node::read(text).unwrap().place_of(&path).unwrap().line
    }

    #[test]
    fn every_key_and_item_knows_its_line() {
        let text = "a:\n  b: [1,\n    2]\n  c:\n    - d: x\n    - d: y\n";
        assert_eq!(line_of(text, &["a"]), 1);
        assert_eq!(line_of(text, &["a", "b"]), 2);
        assert_eq!(line_of(text, &["a", "b", "1"]), 3);
        assert_eq!(line_of(text, &["a", "c", "1", "d"]), 6);
        assert_eq!(line_of(text, &["a", "c", "1", "missing"]), 6);
    }

    #[test]
    fn what_comes_through_an_alias_or_a_merge_stands_where_it_was_written() {
        let text = "a: &a\n  b: 1\nc: *a\nd:\n  <<: *a\n  e: 2\n";
        assert_eq!(line_of(text, &["c", "b"]), 2);
        assert_eq!(line_of(text, &["d", "b"]), 2);
        assert_eq!(line_of(text, &["d", "e"]), 6);
    }

    #[test]
    fn repeated_keys_and_infinities_are_kept_to_be_complained_of() {
        let Kind::Mapping(entries) = Node::read("a: .nan\na: .inf\nb: yes\nc: 1e400\n").unwrap().kind else {
            panic!("a mapping")
        };
        assert_eq!(entries.len(), 4);
        assert!(matches!(entries[0].node.kind, Kind::Float(number) if number.is_nan()));
        assert_eq!(entries[2].node.kind, Kind::Text("yes".into()));
        assert_eq!(entries[3].node.kind, Kind::Float(f64::INFINITY));
    }

    #[test]
    fn an_alias_bomb_is_refused_before_it_unfolds() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let previous = format!("*a{}", level - 1);
            let aliases = vec![previous; 10].join(", ");
            writeln!(text, "a{level}: &a{level} [{aliases}]").expect("a String takes all that is written");
        }
        assert!(Node::read(&text).is_err());
    }
}
