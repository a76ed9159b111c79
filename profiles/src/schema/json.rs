//! The JSON Schema of a profile, made from the very keys that the reader accepts.

use super::{KEYS, Key, Shape};
use serde_json::{Map, Value, json};

/// The JSON Schema (draft 2020-12) of a profile, for editors.
#[must_use]
pub fn schema() -> String {
    let mut schema = table(KEYS);
    if let Value::Object(map) = &mut schema {
        map.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
        map.insert("title".into(), json!("sandboxd profile"));
    }
    format!("{schema:#}")
}

fn table(keys: &[Key]) -> Value {
    let properties: Map<String, Value> = keys
        .iter()
        .filter(|key| !key.refused())
        .map(|key| {
            let mut value = shape(key.shape);
            if let (Value::Object(map), false) = (&mut value, key.doc.is_empty()) {
                map.insert("description".into(), json!(key.doc));
            }
            (key.name.to_owned(), value)
        })
        .collect();
    json!({ "type": "object", "additionalProperties": false, "properties": properties })
}

fn shape(shape: Shape) -> Value {
    match shape {
        Shape::Text => json!({ "type": "string" }),
        Shape::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        Shape::Boolean => json!({ "type": "boolean" }),
        Shape::Words(words) => json!({ "enum": words }),
        Shape::Size => size(),
        Shape::Time => json!({ "type": "string", "pattern": "^([0-9]+(ms|s|m|h)|0|unlimited)$" }),
        Shape::Rate => json!({ "type": "string", "pattern": "^([0-9]+[KMG]?/s|unlimited)$" }),
        Shape::Weight => json!({ "type": "integer", "minimum": 1, "maximum": 10_000 }),
        Shape::Count => count(),
        Shape::Cpus => json!({ "anyOf": [
            { "type": "number", "exclusiveMinimum": 0 },
            { "const": "unlimited" },
        ] }),
        Shape::Money => money(),
        Shape::Prices(keys) => prices(keys),
        Shape::CallRate => json!({
            "type": "string",
            "pattern": "^([0-9]+/([0-9]*(s|m|h)|min) burst [0-9]+|0|unlimited)$",
        }),
        Shape::WordList(words) => json!({ "type": "array", "items": { "enum": words } }),
        Shape::OrReason(words, keys) => {
            let keys_needed: Vec<&str> = keys.iter().map(|key| key.name).collect();
            json!({ "anyOf": [{ "enum": words }, required(table(keys), &keys_needed)] })
        }
        Shape::Schemas => json!({
            "type": "object",
            "additionalProperties": { "type": ["object", "boolean"] },
        }),
        Shape::OneOrMore(keys) => one_or_more(table(keys)),
        Shape::OrText => json!({ "type": ["boolean", "string"] }),
        Shape::Named(keys) => named(table(keys)),
        Shape::Variables => {
            json!({ "type": "object", "additionalProperties": { "type": "string" } })
        }
        Shape::Entries(keys, text) => entries(keys, text),
        Shape::Binds => json!({
            "type": "array",
            "items": required(table(super::files::BIND), &["from", "to"]),
        }),
        Shape::Protect => json!({ "anyOf": [
            { "enum": ["default", "strict"] },
            required(table(super::files::OFF), &["off"]),
        ] }),
        Shape::Must(parts) => must(parts),
        Shape::Table(keys) => table(keys),
        // Never reached through `table`; nothing is valid here.
        Shape::Refused(..) => json!(false),
    }
}

fn size() -> Value {
    json!({ "anyOf": [
        { "type": "integer", "minimum": 0 },
        { "type": "string", "pattern": "^([0-9]+[KMGT]?|unlimited)$" },
    ] })
}

fn count() -> Value {
    json!({ "anyOf": [{ "type": "integer", "minimum": 0 }, { "const": "unlimited" }] })
}

fn prices(keys: &[Key]) -> Value {
    let each = required(table(keys), &["input", "output"]);
    json!({ "type": "object", "additionalProperties": each })
}

fn money() -> Value {
    json!({ "anyOf": [
        { "type": "number", "minimum": 0 },
        { "type": "string", "pattern": "^([0-9]+([.][0-9]{1,9})?|unlimited)$" },
    ] })
}

fn one_or_more(one: Value) -> Value {
    json!({ "anyOf": [one, { "type": "array", "items": one }] })
}

/// A table of these, by names.
fn named(one: Value) -> Value {
    json!({
        "type": "object",
        "propertyNames": { "pattern": "^[a-z0-9][a-z0-9-]{0,63}$" },
        "additionalProperties": one,
    })
}

/// A list of texts, and of tables in which that text has this key.
fn entries(keys: &[Key], text: &str) -> Value {
    let table = required(table(keys), &[text]);
    json!({ "type": "array", "items": { "anyOf": [{ "type": "string" }, table] } })
}

fn must(parts: &[&str]) -> Value {
    let word = json!({ "enum": ["always", "if-available"] });
    if parts.is_empty() {
        return word;
    }
    let properties: Map<String, Value> =
        parts.iter().map(|part| ((*part).to_owned(), word.clone())).collect();
    let parts = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    });
    json!({ "anyOf": [word, parts] })
}

fn required(mut table: Value, keys: &[&str]) -> Value {
    if let Value::Object(map) = &mut table {
        map.insert("required".into(), json!(keys));
    }
    table
}
