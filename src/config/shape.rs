//! The tree against the schema: keys nobody knows, keys that are missing, values of the wrong kind.
//!
//! Every complaint is collected. What is complained of is left out of the result and the rest stays, so that the values of
//! all other keys can be checked in the same run. This file refuses to know what a value means.

use std::collections::HashMap;

use serde_json::{Map, Number, Value};

use super::complaint::{Complaint, KeyPath, Place};
use super::nearest::{listed, nearest};
use super::node::{Entry, Kind, Node};
use super::wording::{choices, found, hint, missing, remedy, such_as, wanted};

/// What of `tree` fits `schema`, and every complaint about the rest. `None` when nothing fits.
pub(super) fn check(tree: &Node, schema: &Value) -> (Option<Value>, Vec<Complaint>) {
    let mut walk = Walk { root: schema, complaints: Vec::new() };
    let fitting = match tree.kind {
        Kind::Null => {
            walk.complain(tree.place, &KeyPath::root(), needs(schema));
            None
        }
        _ => walk.value(tree, schema, &KeyPath::root(), tree.place),
    };
    (fitting, walk.complaints)
}

/// What an empty file lacks.
fn needs(schema: &Value) -> String {
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    match required.filter_map(Value::as_str).collect::<Vec<_>>().as_slice() {
        [] => "the file is empty".to_owned(),
        keys => format!("the file is empty; it needs {}", keys.join(" and ")),
    }
}

struct Walk<'a> {
    root: &'a Value,
    complaints: Vec<Complaint>,
}

impl<'a> Walk<'a> {
    fn complain(&mut self, place: Option<Place>, path: &KeyPath, message: String) {
        self.complaints.push(Complaint { place, path: path.clone(), message });
    }

    /// The part of `node` that fits `schema`. `key_place` is where the key stands that holds it.
    fn value(
        &mut self,
        node: &Node,
        schema: &'a Value,
        path: &KeyPath,
        key_place: Option<Place>,
    ) -> Option<Value> {
        let shape = self.shape_for(node, schema);
        let kind = shape.get("type").and_then(Value::as_str);
        match (&node.kind, kind) {
            (Kind::Mapping(entries), Some("object")) => Some(self.mapping(entries, shape, path, key_place)),
            (Kind::List(items), Some("array")) => self.list(items, shape, path, key_place),
            (Kind::Text(text), None | Some("string")) => self.text(node, text, shape, path),
            (Kind::Bool(value), Some("boolean")) => Some(Value::Bool(*value)),
            (Kind::Integer(number), Some("integer")) => self.integer(node, *number, shape, path),
            (Kind::Integer(number), Some("number")) => self.number(node, *number as f64, path),
            (Kind::Float(number), Some("number")) => self.number(node, *number, path),
            (_, _) => {
                let message = format!("is {} where {} is expected", found(node), wanted(shape));
                let message = message + &hint(node, kind, schema, shape);
                self.complain(node.place, path, message);
                None
            }
        }
    }

    /// What to say of a key that nobody knows, and which of the known keys it was meant to be.
    fn unknown_key(&self, key: &str, known: Option<&'a Map<String, Value>>) -> (String, Option<&'a str>) {
        let known = || known.into_iter().flatten();
        let meant = |wanted: &str| known().map(|(key, _)| key.as_str()).find(|key| *key == wanted);
        let below = known().find(|(_, schema)| {
            let keys = self.shape_of(schema, false).get("properties");
            keys.and_then(|keys| keys.get(key)).is_some()
        });
        if let Some((below, _)) = below {
            return (format!("unknown key {key:?}; it belongs under {below:?}"), None);
        }
        if let Some(remedy) = remedy(key) {
            return (format!("unknown key {key:?}; {remedy}"), meant(&format!("{key}File")));
        }
        let names = || known().map(|(key, _)| key.as_str());
        let near = nearest(key, names());
        let did_you_mean = near.map_or_else(String::new, |near| format!(" did you mean {near:?}?"));
        (format!("unknown key {key:?};{did_you_mean} keys here are: {}", listed(names())), near)
    }

    /// `schema` with its reference followed, and of several alternatives the one that `node` tries to be.
    fn shape_for(&self, node: &Node, schema: &'a Value) -> &'a Value {
        self.shape_of(schema, matches!(node.kind, Kind::List(_)))
    }

    fn shape_of(&self, schema: &'a Value, is_list: bool) -> &'a Value {
        let mut shape = schema;
        loop {
            if let Some(reference) = shape.get("$ref").and_then(Value::as_str) {
                let pointer = reference.strip_prefix('#').unwrap_or(reference);
                shape = self.root.pointer(pointer).expect("the generated schema refers to what it defines");
            } else if let Some(choices) = shape.get("anyOf").and_then(Value::as_array) {
                let fits =
                    |choice: &&Value| (choice.get("type").is_some_and(|kind| kind == "array")) == is_list;
                shape = choices.iter().find(fits).unwrap_or(&choices[0]);
            } else {
                return shape;
            }
        }
    }

    fn mapping(
        &mut self,
        entries: &[Entry],
        shape: &'a Value,
        path: &KeyPath,
        key_place: Option<Place>,
    ) -> Value {
        let known = shape.get("properties").and_then(Value::as_object);
        let any_key = shape.get("additionalProperties").filter(|schema| schema.is_object());
        let required = shape.get("required").and_then(Value::as_array).into_iter().flatten();
        let required: Vec<&str> = required.filter_map(Value::as_str).collect();
        let mut seen = HashMap::new();
        let mut tried = Vec::new();
        let mut fitting = Map::new();
        for entry in entries {
            let path = path.key(&entry.key);
            if let Some(first) = seen.insert(entry.key.as_str(), entry.key_place) {
                let line = first.map_or_else(String::new, |place| format!(" on line {}", place.line));
                let message =
                    format!("the key {:?} stands here already{line}; keep one of the two", entry.key);
                self.complain(entry.key_place, &path, message);
                continue;
            }
            let Some(schema) = known.and_then(|known| known.get(&entry.key)).or(any_key) else {
                let (message, meant) = self.unknown_key(&entry.key, known);
                tried.extend(meant);
                self.complain(entry.key_place, &path, message);
                continue;
            };
            if entry.node.kind == Kind::Null {
                let shape = self.shape_for(&entry.node, schema);
                let remove = if required.contains(&entry.key.as_str()) { "" } else { ", or remove the key" };
                let message =
                    format!("has no value; write {}{}{remove}", wanted(shape), such_as(schema, shape));
                self.complain(entry.key_place, &path, message);
                continue;
            }
            if let Some(value) = self.value(&entry.node, schema, &path, entry.key_place) {
                fitting.insert(entry.key.clone(), value);
            }
        }
        for key in required {
            if !seen.contains_key(key) && !tried.contains(&key) {
                let schema = known.and_then(|known| known.get(key)).unwrap_or(&Value::Null);
                self.complain(key_place, &path.key(key), missing(schema));
            }
        }
        if entries.is_empty() && shape.get("minProperties").is_some() {
            self.complain(key_place, path, "is empty; give at least one".to_owned());
        }
        Value::Object(fitting)
    }

    fn list(
        &mut self,
        items: &[Node],
        shape: &'a Value,
        path: &KeyPath,
        key_place: Option<Place>,
    ) -> Option<Value> {
        if items.is_empty() && shape.get("minItems").is_some() {
            self.complain(key_place, path, "is an empty list; give one".to_owned());
            return None;
        }
        let schema = shape.get("items").unwrap_or(&Value::Null);
        let fitting: Vec<_> = items
            .iter()
            .enumerate()
            .map(|(index, item)| self.value(item, schema, &path.item(index), item.place))
            .collect();
        // A list with a gap would give every later item a wrong index.
        fitting.into_iter().collect::<Option<_>>().map(Value::Array)
    }

    fn text(&mut self, node: &Node, text: &str, shape: &Value, path: &KeyPath) -> Option<Value> {
        let choices = choices(shape);
        if choices.is_empty() || choices.contains(&text) {
            return Some(Value::String(text.to_owned()));
        }
        let meant = nearest(text, choices.iter().copied());
        let meant = meant.map_or_else(String::new, |meant| format!("; did you mean {meant:?}?"));
        let message = format!("{text:?} is not one of: {}{meant}", listed(choices));
        self.complain(node.place, path, message);
        None
    }

    fn number(&mut self, node: &Node, number: f64, path: &KeyPath) -> Option<Value> {
        let finite = Number::from_f64(number).map(Value::Number);
        if finite.is_none() {
            self.complain(node.place, path, format!("{number} is not a finite number"));
        }
        finite
    }

    fn integer(&mut self, node: &Node, number: i128, shape: &Value, path: &KeyPath) -> Option<Value> {
        let most = match shape.get("format").and_then(Value::as_str) {
            Some("uint32") => i128::from(u32::MAX),
            Some("uint64") => i128::from(u64::MAX),
            _ => i128::from(i64::MAX),
        };
        let most = shape.get("maximum").and_then(Value::as_i64).map_or(most, i128::from);
        let least = shape.get("minimum").and_then(Value::as_i64).map_or(i128::from(i64::MIN), i128::from);
        if (least..=most).contains(&number) {
            return Number::from_i128(number).map(Value::Number);
        }
        self.complain(node.place, path, format!("{number} is not between {least} and {most}"));
        None
    }
}
