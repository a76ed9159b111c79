//! `[call.NAME.arguments]`: JSON Schemas, written as TOML.
//!
//! A misspelled keyword of JSON Schema restricts nothing, so only those that the broker checks are
//! accepted, each with a valid value.

use crate::origin::Written;
use crate::reader::{Node, Reader, near};
use serde_json::{Map, Number, Value};
use toml::de::DeValue;

/// What the value of a keyword is.
#[derive(Clone, Copy)]
enum Kind {
    /// A schema.
    Schema,
    /// A schema, or a list of them.
    Items,
    /// A list of schemas.
    Schemas,
    /// A schema for each name.
    Named,
    /// A type, or a list of them.
    Type,
    /// A list of values.
    Values,
    /// Any value.
    Any,
    Text,
    Texts,
    /// A list of names for each name.
    Lists,
    Count,
    Number,
    Boolean,
    /// A schema within this one.
    Ref,
}

/// The keywords that the broker checks, and those that are only for people.
const KEYWORDS: &[(&str, Kind)] = &[
    ("type", Kind::Type),
    ("properties", Kind::Named),
    ("required", Kind::Texts),
    ("additionalProperties", Kind::Schema),
    ("patternProperties", Kind::Named),
    ("propertyNames", Kind::Schema),
    ("minProperties", Kind::Count),
    ("maxProperties", Kind::Count),
    ("dependentRequired", Kind::Lists),
    ("dependentSchemas", Kind::Named),
    ("enum", Kind::Values),
    ("const", Kind::Any),
    ("pattern", Kind::Text),
    ("minLength", Kind::Count),
    ("maxLength", Kind::Count),
    ("minimum", Kind::Number),
    ("maximum", Kind::Number),
    ("exclusiveMinimum", Kind::Number),
    ("exclusiveMaximum", Kind::Number),
    ("multipleOf", Kind::Number),
    ("items", Kind::Items),
    ("prefixItems", Kind::Schemas),
    ("additionalItems", Kind::Schema),
    ("contains", Kind::Schema),
    ("minContains", Kind::Count),
    ("maxContains", Kind::Count),
    ("minItems", Kind::Count),
    ("maxItems", Kind::Count),
    ("uniqueItems", Kind::Boolean),
    ("allOf", Kind::Schemas),
    ("anyOf", Kind::Schemas),
    ("oneOf", Kind::Schemas),
    ("not", Kind::Schema),
    ("if", Kind::Schema),
    ("then", Kind::Schema),
    ("else", Kind::Schema),
    ("$ref", Kind::Ref),
    ("$defs", Kind::Named),
    ("definitions", Kind::Named),
    ("title", Kind::Text),
    ("description", Kind::Text),
    ("$comment", Kind::Text),
];

const TYPES: &[&str] = &["null", "boolean", "integer", "number", "string", "array", "object"];
const TABLE: &str = "write { properties = { path = { pattern = \"^/srv/data/\" } } }";

/// The schemas, by the names of the tools.
pub(crate) fn read<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Vec<(String, Written<Value>)> {
    let Some(tools) = reader.entries(node, "write a table: a JSON Schema for each tool") else {
        return Vec::new();
    };
    let mut schemas = Vec::new();
    for node in tools.all() {
        if node.name().len() > sandboxd_broker_plan::pattern::MOST {
            reader.refuse_key(node, "longer than a tool's name may be", "correct the name");
        }
        if let Some(value) = schema(reader, node) {
            let written = Written { value, origin: reader.origin(node) };
            schemas.push((node.name().to_owned(), written));
        }
    }
    schemas
}

fn schema<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Option<Value> {
    if let DeValue::Boolean(value) = node.value {
        return Some(Value::Bool(*value));
    }
    let mut read = Map::new();
    for node in reader.entries(node, TABLE)?.all() {
        let name = node.name();
        let Some((_, kind)) = KEYWORDS.iter().find(|(keyword, _)| *keyword == name) else {
            unknown(reader, node);
            continue;
        };
        if let Some(value) = keyword(reader, node, *kind) {
            read.insert(name.to_owned(), value);
        }
    }
    Some(Value::Object(read))
}

fn unknown<'d>(reader: &mut Reader<'d>, node: &Node<'d>) {
    let names: Vec<&str> = KEYWORDS.iter().map(|(keyword, _)| *keyword).collect();
    let remedy = match (node.name(), near(node.name(), &names)) {
        ("format", _) => "a format is not checked: write a pattern".to_owned(),
        (_, Some(name)) => format!("did you mean {name}?"),
        (_, None) => {
            "names of arguments belong in properties; a schema has keywords such as type, \
                      properties, required, additionalProperties, enum, pattern, maximum, maxLength"
                .to_owned()
        }
    };
    reader.refuse_key(node, "not a supported keyword of JSON Schema", &remedy);
}

fn keyword<'d>(reader: &mut Reader<'d>, node: &Node<'d>, kind: Kind) -> Option<Value> {
    match kind {
        Kind::Schema => schema(reader, node),
        Kind::Items if !matches!(node.value, DeValue::Array(_)) => schema(reader, node),
        Kind::Items | Kind::Schemas => Some(Value::Array(reader.list(node, schema))),
        Kind::Named => named(reader, node, schema),
        Kind::Lists => named(reader, node, texts),
        Kind::Type if matches!(node.value, DeValue::Array(_)) => {
            Some(Value::Array(reader.list(node, type_name)))
        }
        Kind::Type => type_name(reader, node),
        Kind::Values => Some(Value::Array(reader.list(node, value))),
        Kind::Any => value(reader, node),
        Kind::Text => reader.text(node).map(|text| Value::String(text.value)),
        Kind::Texts => texts(reader, node),
        Kind::Count => {
            let count = value(reader, node)?;
            refused_unless(reader, node, count.is_u64(), "a count: 0 or more", count)
        }
        Kind::Number => {
            let number = value(reader, node)?;
            refused_unless(reader, node, number.is_number(), "a number", number)
        }
        Kind::Boolean => reader.boolean(node).map(|word| Value::Bool(word.value)),
        Kind::Ref => {
            let text = reader.text(node)?.value;
            if text == "#" || text.starts_with("#/") {
                return Some(Value::String(text));
            }
            reader.refuse(
                node,
                "refers to something outside this schema",
                "write \"#/$defs/NAME\"",
            );
            None
        }
    }
}

fn refused_unless<'d>(
    reader: &mut Reader<'d>,
    node: &Node<'d>,
    fits: bool,
    wanted: &str,
    value: Value,
) -> Option<Value> {
    if fits {
        return Some(value);
    }
    reader.mismatch(node, wanted, "correct the value");
    None
}

fn named<'d>(
    reader: &mut Reader<'d>,
    node: &Node<'d>,
    each: fn(&mut Reader<'d>, &Node<'d>) -> Option<Value>,
) -> Option<Value> {
    let mut read = Map::new();
    for node in reader.entries(node, "write { NAME = … }")?.all() {
        if let Some(value) = each(reader, node) {
            read.insert(node.name().to_owned(), value);
        }
    }
    Some(Value::Object(read))
}

fn texts<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Option<Value> {
    let text = |reader: &mut Reader<'d>, node: &Node<'d>| {
        reader.text(node).map(|text| Value::String(text.value))
    };
    Some(Value::Array(reader.list(node, text)))
}

fn type_name<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Option<Value> {
    let words: Vec<(&str, &str)> = TYPES.iter().map(|name| (*name, *name)).collect();
    reader.word(node, &words).map(|word| Value::String(word.value.to_owned()))
}

/// Any value, as JSON.
fn value<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Option<Value> {
    let number = match node.value {
        DeValue::Table(_) => return named(reader, node, value),
        DeValue::Array(_) => return Some(Value::Array(reader.list(node, value))),
        DeValue::String(_) => return reader.text(node).map(|text| Value::String(text.value)),
        DeValue::Boolean(value) => return Some(Value::Bool(*value)),
        DeValue::Integer(integer) => {
            let digits = integer.as_str().replace('_', "");
            i64::from_str_radix(&digits, integer.radix()).ok().map(whole)
        }
        DeValue::Float(float) => {
            float.as_str().replace('_', "").parse().ok().and_then(Number::from_f64)
        }
        DeValue::Datetime(_) => None,
    };
    if number.is_none() {
        reader.refuse(node, "JSON has no such value", "write a number, or a string in quotes");
    }
    number.map(Value::Number)
}

/// What is not negative is a `u64`, so that a count is known by it.
fn whole(integer: i64) -> Number {
    u64::try_from(integer).map_or_else(|_| Number::from(integer), Number::from)
}
