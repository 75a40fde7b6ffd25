//! The JSON schema of the configuration file, generated from the raw types, for editors and for the walk in
//! [`super::shape`].
//!
//! The committed `schema.json` is this schema; a test compares the two, and `UPDATE_SCHEMA=1` rewrites the file.

use serde_json::Value;

use super::{models, raw};

/// The schema, as one JSON document.
pub fn schema() -> Value {
    of::<raw::Config>()
}

/// The schema of a calendar in `models/calendars`, as one JSON document.
pub fn calendar_schema() -> Value {
    of::<models::raw::Calendar>()
}

/// The schema of a profile in `models/profiles`, as one JSON document.
pub fn profile_schema() -> Value {
    of::<models::raw::Profile>()
}

/// The schema of a raw type.
pub(super) fn of<T: schemars::JsonSchema>() -> Value {
    let mut schema = schemars::generate::SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value();
    forbid_null(&mut schema);
    schema
}

/// Takes out the `null` that schemars allows for every `Option`: a key without a value is a mistake in this file, not a
/// way to say "default".
fn forbid_null(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    object.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
                choices.retain(|choice| choice.get("type").is_none_or(|name| name != "null"));
                if let [Value::Object(only)] = choices.as_slice() {
                    let only = only.clone();
                    object.remove("anyOf");
                    object.extend(only);
                }
            }
            object.values_mut().for_each(forbid_null);
        }
        Value::Array(items) => items.iter_mut().for_each(forbid_null),
        _ => {}
    }
}
