//! The words of complaints about shape, taken from the schema's own descriptions and examples.
//!
//! What stands in the file is not repeated here: it may be a secret in the wrong place.

use serde_json::Value;

use super::nearest::listed;
use super::node::{Kind, Node};

/// Keys that readers of our documentation, or of others', reach for, and what to do instead.
pub(super) fn remedy(key: &str) -> Option<&'static str> {
    Some(match key {
        "password" => "secrets are read from files only; write passwordFile: PATH",
        "bearerToken" | "token" => "secrets are read from files only; write bearerTokenFile: PATH",
        "seasons" => "daily and weekly seasons are always followed; remove the key",
        "exclude" | "growth" => "it belongs under targets.NAME, beside replicas",
        _ => return None,
    })
}

/// That a key is missing, and what it is for.
pub(super) fn missing(schema: &Value) -> String {
    let description = schema.get("description").and_then(Value::as_str).unwrap_or("it is required");
    let description = description.split_whitespace().collect::<Vec<_>>().join(" ");
    format!("missing; {}{}", lowered(description.trim_end_matches('.')), such_as(schema, schema))
}

/// A sentence as a fragment: its first letter in lower case, unless it belongs to an abbreviation.
fn lowered(sentence: &str) -> String {
    let mut letters = sentence.chars();
    match (letters.next(), letters.clone().next()) {
        (Some(first), Some(second)) if !second.is_uppercase() => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => sentence.to_owned(),
    }
}

/// `, such as "90s"`, from the schema's example.
pub(super) fn such_as(schema: &Value, shape: &Value) -> String {
    let example = [schema, shape].into_iter().find_map(|schema| schema.get("examples")?.get(0));
    example.map_or_else(String::new, |example| format!(", such as {example}"))
}

/// The words an enumeration consists of; none for free text.
pub(super) fn choices(shape: &Value) -> Vec<&str> {
    let constants = shape.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    let constants = constants.filter_map(|choice| choice.get("const")?.as_str());
    let listed = shape.get("enum").and_then(Value::as_array).into_iter().flatten();
    constants.chain(listed.filter_map(Value::as_str)).collect()
}

/// What kind of value should stand there.
pub(super) fn wanted(shape: &Value) -> String {
    match shape.get("type").and_then(Value::as_str) {
        Some("object") => "a mapping".to_owned(),
        Some("array") => "a list".to_owned(),
        Some("integer") => "a whole number".to_owned(),
        Some("number") => "a number".to_owned(),
        Some("boolean") => "true or false".to_owned(),
        _ => match choices(shape).as_slice() {
            [] => "text".to_owned(),
            choices => format!("one of {}", listed(choices.iter().copied())),
        },
    }
}

/// What kind of value stands there.
pub(super) fn found(node: &Node) -> &'static str {
    match node.kind {
        Kind::Null => "nothing",
        Kind::Bool(_) => "true or false",
        Kind::Integer(_) | Kind::Float(_) => "a number",
        Kind::Text(_) => "text",
        Kind::List(_) => "a list",
        Kind::Mapping(_) => "a mapping",
    }
}

/// How to write it instead.
pub(super) fn hint(node: &Node, wanted: Option<&str>, schema: &Value, shape: &Value) -> String {
    let example = such_as(schema, shape);
    match (&node.kind, wanted) {
        (Kind::Integer(_) | Kind::Float(_) | Kind::Bool(_), None | Some("string")) if example.is_empty() => {
            "; put it in quotes".to_owned()
        }
        (Kind::Mapping(_), Some("object")) | (Kind::List(_), Some("array")) => String::new(),
        (Kind::Text(_), Some("integer" | "number")) => {
            format!("{example}; numbers stand without quotes or units")
        }
        _ => example,
    }
}
