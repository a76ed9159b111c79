//! JSON Schema, as far as it says something about arguments.
//!
//! Schemas come from tools, so a schema is as hostile as a message: it is compiled within so many bytes, a
//! reference leads nowhere but into itself, a pattern runs in linear time, and a check has so many
//! steps and no more, each of about the same work. A keyword that would forbid something and is not known here
//! (`unevaluatedProperties`, `$dynamicRef`) makes the schema one that cannot be checked, and what
//! cannot be checked is not called. Both the drafts up to 7 and those since 2019 are read; where they
//! differ, both rules hold.
//!
//! [`compile`] reads, [`check`] judges a value, [`pattern`], [`number`] and [`words`] are their parts; [`kept`] are those of
//! all tools of a callee.

mod check;
mod compile;
mod kept;
mod number;
mod pattern;
mod words;

use crate::json::{Number, Value};
use pattern::Pattern;
use std::fmt;

pub use kept::Schemas;

/// A schema that can be checked.
#[derive(Debug)]
pub struct Schema {
    /// The schemas in it; the first is the whole. They name each other by their places, so that one
    /// that contains itself is no tree without end.
    nodes: Vec<Vec<Rule>>,
    /// Bytes that it takes, or took to be compiled.
    bytes: usize,
}

/// A schema within a schema.
type Node = usize;

/// One thing that a value must be.
#[derive(Debug)]
enum Rule {
    Never,
    Ref(Node),
    Type(Vec<Type>),
    OneOf(Vec<Value>),
    All(Vec<Node>),
    Any(Vec<Node>),
    Single(Vec<Node>),
    Not(Node),
    If { when: Node, then: Option<Node>, otherwise: Option<Node> },
    Properties(Properties),
    PropertyNames(Node),
    Required(Vec<String>),
    Dependent(Vec<(String, Dependent)>),
    Items { first: Vec<Node>, rest: Option<Node> },
    Contains { node: Node, least: u64, most: Option<u64> },
    Unique,
    Count { of: Counted, least: u64, most: Option<u64> },
    Pattern(Pattern),
    Range { end: End, bound: Number },
    Multiple(Number),
}

#[derive(Debug, Default)]
struct Properties {
    named: Vec<(String, Node)>,
    patterns: Vec<(Pattern, Node)>,
    others: Option<Node>,
}

#[derive(Debug)]
enum Dependent {
    Keys(Vec<String>),
    Schema(Node),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Type {
    Null,
    Boolean,
    Integer,
    Number,
    String,
    Array,
    Object,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counted {
    Letters,
    Items,
    Keys,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Least,
    Most,
    Above,
    Below,
}

/// Why a schema cannot be checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaError(String);

impl fmt::Display for SchemaError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.0)
    }
}

impl std::error::Error for SchemaError {}

/// Takes so many bytes of those that may be taken; all of them, where it is more.
fn take(left: &mut usize, bytes: usize) -> Result<(), SchemaError> {
    let rest = left.checked_sub(bytes);
    *left = rest.unwrap_or(0);
    rest.map(|_| ()).ok_or_else(|| SchemaError("it takes more memory than is allowed".to_owned()))
}

/// What is wrong with a value, and where: words for a model that will try again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The way to the value, as a JSON pointer; empty for the whole.
    pub at: String,
    /// What it is not.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.at.is_empty() {
            to.write_str(&self.what)
        } else {
            write!(to, "{}: {}", self.at, self.what)
        }
    }
}
