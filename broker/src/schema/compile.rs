//! From the text of a schema to rules.

use super::{
    Counted, Dependent, End, Node, Pattern, Properties, Rule, Schema, SchemaError, Type, take,
};
use crate::json::{Object, Value};
use std::{collections::HashMap, mem::size_of};

/// How many schemas may be in a schema.
const NODES: usize = 4096;

/// How many bytes one may take that somebody wrote who may be believed.
const MOST: usize = 4 << 20;

/// What each schema, and each text in it, takes beside what it says.
const EACH: usize = 64;

/// Keywords whose value is kept as it is.
const KEPT: &[&str] =
    &["enum", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"];

/// Keywords that forbid something and are not known here.
const UNKNOWN: &[&str] =
    &["unevaluatedProperties", "unevaluatedItems", "$dynamicRef", "$recursiveRef", "extends"];

impl Schema {
    /// The rules in a schema.
    ///
    /// # Errors
    /// Where it cannot be checked.
    pub fn compile(schema: &Value) -> Result<Self, SchemaError> {
        Self::within(schema, &mut { MOST })
    }

    /// The same within so many bytes, which are taken whatever comes of it.
    ///
    /// # Errors
    /// Where it cannot be checked, or takes more.
    pub fn within(schema: &Value, left: &mut usize) -> Result<Self, SchemaError> {
        let before = *left;
        let mut compiler =
            Compiler { whole: schema, nodes: Vec::new(), refs: HashMap::new(), left };
        compiler.node(schema)?;
        let nodes = compiler.nodes;
        Ok(Self { nodes, bytes: before - *left })
    }
}

struct Compiler<'s, 'l> {
    whole: &'s Value,
    nodes: Vec<Vec<Rule>>,
    refs: HashMap<String, Node>,
    left: &'l mut usize,
}

fn wrong<T>(key: &str) -> Result<T, SchemaError> {
    Err(SchemaError(format!("the keyword {key} has an invalid value")))
}

impl<'s> Compiler<'s, '_> {
    fn take(&mut self, bytes: usize) -> Result<(), SchemaError> {
        take(self.left, bytes)
    }

    fn node(&mut self, schema: &'s Value) -> Result<Node, SchemaError> {
        let place = self.nodes.len();
        if place >= NODES {
            return Err(SchemaError(format!("more than {NODES} schemas in one")));
        }
        self.take(EACH)?;
        self.nodes.push(Vec::new());
        let rules = match (schema.as_bool(), schema.as_object()) {
            (Some(true), _) => Vec::new(),
            (Some(false), _) => vec![Rule::Never],
            (None, Some(object)) => self.rules(object)?,
            (None, None) => {
                return Err(SchemaError("a schema is an object, true or false".to_owned()));
            }
        };
        if let Some(node) = self.nodes.get_mut(place) {
            *node = rules;
        }
        Ok(place)
    }

    fn rules(&mut self, schema: &'s Object) -> Result<Vec<Rule>, SchemaError> {
        let mut rules = Vec::new();
        for (key, value) in schema.iter() {
            if UNKNOWN.contains(&key) {
                return Err(SchemaError(format!("the keyword {key} cannot be checked")));
            }
            if let Some(rule) = self.logic(key, value, schema)? {
                rules.push(rule);
            } else if let Some(rule) = self.plain(key, value)? {
                rules.push(rule);
            } else if key == "pattern" {
                rules.push(Rule::Pattern(self.pattern(text(key, value)?)?));
            }
        }
        rules.extend(self.properties(schema)?);
        rules.extend(self.items(schema)?);
        self.take(rules.len() * size_of::<Rule>())?;
        Ok(rules)
    }

    fn pattern(&mut self, text: &str) -> Result<Pattern, SchemaError> {
        Pattern::compile(text, self.left)
    }

    /// A text that is kept.
    fn keep(&mut self, text: &str) -> Result<String, SchemaError> {
        self.take(EACH + text.len())?;
        Ok(text.to_owned())
    }

    fn strings(&mut self, key: &str, value: &Value) -> Result<Vec<String>, SchemaError> {
        let Some(list) = value.as_array() else { return wrong(key) };
        list.iter().map(|value| self.keep(text(key, value)?)).collect()
    }

    /// Rules that are made of other schemas.
    fn logic(
        &mut self,
        key: &str,
        value: &'s Value,
        schema: &'s Object,
    ) -> Result<Option<Rule>, SchemaError> {
        Ok(Some(match key {
            "$ref" => Rule::Ref(self.reference(text(key, value)?)?),
            "allOf" => Rule::All(self.list(key, value)?),
            "anyOf" => Rule::Any(self.list(key, value)?),
            "oneOf" => Rule::Single(self.list(key, value)?),
            "not" => Rule::Not(self.node(value)?),
            "if" => Rule::If {
                when: self.node(value)?,
                then: schema.get("then").map(|then| self.node(then)).transpose()?,
                otherwise: schema.get("else").map(|other| self.node(other)).transpose()?,
            },
            "propertyNames" => Rule::PropertyNames(self.node(value)?),
            "dependentRequired" | "dependentSchemas" | "dependencies" => {
                Rule::Dependent(self.dependent(key, value)?)
            }
            "contains" => Rule::Contains {
                node: self.node(value)?,
                least: number(schema, "minContains")?.unwrap_or(1),
                most: number(schema, "maxContains")?,
            },
            _ => return Ok(None),
        }))
    }

    fn list(&mut self, key: &str, value: &'s Value) -> Result<Vec<Node>, SchemaError> {
        let Some(list) = value.as_array() else { return wrong(key) };
        list.iter().map(|schema| self.node(schema)).collect()
    }

    /// Where a reference leads: into the schema that it is in and nowhere else. Nothing is fetched.
    fn reference(&mut self, to: &str) -> Result<Node, SchemaError> {
        if let Some(node) = self.refs.get(to) {
            return Ok(*node);
        }
        let elsewhere = || SchemaError(format!("the reference {to:?} leads out of the schema"));
        let pointer = to.strip_prefix('#').ok_or_else(elsewhere)?;
        let mut at = self.whole;
        for part in pointer.split('/').skip(1) {
            let part = part.replace("~1", "/").replace("~0", "~");
            let place = part.parse().ok();
            let inside = at.as_object().and_then(|object| object.get(&part));
            let item =
                at.as_array().zip(place).and_then(|(list, place): (_, usize)| list.get(place));
            at = inside.or(item).ok_or_else(elsewhere)?;
        }
        if !pointer.is_empty() && !pointer.starts_with('/') {
            return Err(elsewhere());
        }
        // Known before it is compiled: it may refer to itself.
        let known = self.keep(to)?;
        self.refs.insert(known, self.nodes.len());
        self.node(at)
    }

    fn dependent(
        &mut self,
        key: &str,
        value: &'s Value,
    ) -> Result<Vec<(String, Dependent)>, SchemaError> {
        let Some(object) = value.as_object() else { return wrong(key) };
        object
            .iter()
            .map(|(name, value)| {
                let dependent = if value.as_array().is_some() {
                    Dependent::Keys(self.strings(key, value)?)
                } else {
                    Dependent::Schema(self.node(value)?)
                };
                Ok((self.keep(name)?, dependent))
            })
            .collect()
    }

    fn properties(&mut self, schema: &'s Object) -> Result<Option<Rule>, SchemaError> {
        let mut properties = Properties::default();
        if let Some(value) = schema.get("properties") {
            let Some(object) = value.as_object() else { return wrong("properties") };
            for (name, value) in object.iter() {
                properties.named.push((self.keep(name)?, self.node(value)?));
            }
        }
        if let Some(value) = schema.get("patternProperties") {
            let Some(object) = value.as_object() else { return wrong("patternProperties") };
            for (name, value) in object.iter() {
                properties.patterns.push((self.pattern(name)?, self.node(value)?));
            }
        }
        if let Some(value) = schema.get("additionalProperties") {
            properties.others = Some(self.node(value)?);
        }
        let empty = properties.named.is_empty()
            && properties.patterns.is_empty()
            && properties.others.is_none();
        Ok((!empty).then_some(Rule::Properties(properties)))
    }

    /// `prefixItems` and `items`, or `items` as a list and `additionalItems` of the older drafts.
    fn items(&mut self, schema: &'s Object) -> Result<Option<Rule>, SchemaError> {
        let (first, rest) = match (schema.get("prefixItems"), schema.get("items")) {
            (None, Some(list @ Value::Array(_))) => (Some(list), schema.get("additionalItems")),
            (first, rest) => (first, rest),
        };
        let first = first.map(|first| self.list("items", first)).transpose()?.unwrap_or_default();
        let rest = rest.map(|rest| self.node(rest)).transpose()?;
        Ok((!first.is_empty() || rest.is_some()).then_some(Rule::Items { first, rest }))
    }

    /// Rules that stand by themselves.
    fn plain(&mut self, key: &str, value: &Value) -> Result<Option<Rule>, SchemaError> {
        let count = |of, least, most| Rule::Count { of, least, most };
        let size = || value.as_u64().map_or_else(|| wrong(key), Ok);
        // Draft 4 says `true` beside a minimum; that is another keyword with the same name.
        let number = || value.as_number().cloned().map_or_else(|| wrong(key), Ok);
        let bound = |end| Ok(Rule::Range { end, bound: number()? });
        if KEPT.contains(&key) {
            self.take(value.weight())?;
        }
        Ok(Some(match key {
            "type" => Rule::Type(types(value)?),
            "enum" => match value.as_array() {
                Some(list) => Rule::OneOf(list.to_vec()),
                None => return wrong(key),
            },
            "const" => Rule::OneOf(vec![value.clone()]),
            "required" => Rule::Required(self.strings(key, value)?),
            "uniqueItems" => match value.as_bool() {
                Some(true) => Rule::Unique,
                Some(false) => return Ok(None),
                None => return wrong(key),
            },
            "minLength" => count(Counted::Letters, size()?, None),
            "maxLength" => count(Counted::Letters, 0, Some(size()?)),
            "minItems" => count(Counted::Items, size()?, None),
            "maxItems" => count(Counted::Items, 0, Some(size()?)),
            "minProperties" => count(Counted::Keys, size()?, None),
            "maxProperties" => count(Counted::Keys, 0, Some(size()?)),
            "minimum" => bound(End::Least)?,
            "maximum" => bound(End::Most)?,
            "exclusiveMinimum" => bound(End::Above)?,
            "exclusiveMaximum" => bound(End::Below)?,
            "multipleOf" => Rule::Multiple(number()?),
            _ => return Ok(None),
        }))
    }
}

fn types(value: &Value) -> Result<Vec<Type>, SchemaError> {
    let one = |value: &Value| {
        Ok(match value.as_str() {
            Some("null") => Type::Null,
            Some("boolean") => Type::Boolean,
            Some("integer") => Type::Integer,
            Some("number") => Type::Number,
            Some("string") => Type::String,
            Some("array") => Type::Array,
            Some("object") => Type::Object,
            _ => return wrong("type"),
        })
    };
    let Some(list) = value.as_array() else { return Ok(vec![one(value)?]) };
    let mut types: Vec<Type> = list.iter().map(one).collect::<Result<_, _>>()?;
    types.sort_unstable();
    types.dedup();
    Ok(types)
}

fn text<'v>(key: &str, value: &'v Value) -> Result<&'v str, SchemaError> {
    value.as_str().map_or_else(|| wrong(key), Ok)
}

fn number(schema: &Object, key: &str) -> Result<Option<u64>, SchemaError> {
    let Some(value) = schema.get(key) else { return Ok(None) };
    value.as_u64().map_or_else(|| wrong(key), |number| Ok(Some(number)))
}
