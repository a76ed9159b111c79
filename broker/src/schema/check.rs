//! Whether a value is what a schema says, within so many steps.

use super::{Counted, Dependent, End, Node, Properties, Rule, Schema, Type, Violation, number};
use crate::json::{Number, Object, Value, canonical};
use std::{cmp::Ordering, collections::HashSet, fmt::Write as _};

/// Steps of one check: each rule for each value is one, and so are 64 letters under a pattern.
const STEPS: u64 = 500_000;

/// How deep schemas may refer to each other without the value getting smaller.
const DEPTH: usize = 256;

impl Schema {
    /// Whether the value is what this schema says.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn check(&self, value: &Value) -> Result<(), Violation> {
        let mut check = Check { schema: self, steps: STEPS, depth: 0 };
        check.node(0, value)
    }
}

struct Check<'s> {
    schema: &'s Schema,
    steps: u64,
    depth: usize,
}

fn not<T>(what: impl Into<String>) -> Result<T, Violation> {
    Err(Violation { at: String::new(), what: what.into() })
}

/// The violation, seen from one level further out.
fn under(mut violation: Violation, part: &str) -> Violation {
    let part = part.replace('~', "~0").replace('/', "~1");
    violation.at.insert_str(0, &part);
    violation.at.insert(0, '/');
    violation
}

impl Check<'_> {
    fn spend(&mut self, steps: usize) -> Result<(), Violation> {
        match self.steps.checked_sub(u64::try_from(steps).unwrap_or(u64::MAX)) {
            Some(left) => {
                self.steps = left;
                Ok(())
            }
            None => {
                self.steps = 0;
                not("takes too long to check")
            }
        }
    }

    fn node(&mut self, node: Node, value: &Value) -> Result<(), Violation> {
        self.depth += 1;
        if self.depth > DEPTH {
            self.steps = 0;
            return not("takes too long to check");
        }
        let schema = self.schema;
        for rule in schema.nodes.get(node).map_or(&[][..], Vec::as_slice) {
            self.spend(1)?;
            self.rule(rule, value)?;
        }
        self.depth -= 1;
        Ok(())
    }

    /// Whether the value is what this schema says. A check that ran out of steps says no, whatever is
    /// asked, and then says why.
    fn holds(&mut self, node: Node, value: &Value) -> Result<bool, Violation> {
        let depth = self.depth;
        let holds = self.node(node, value).is_ok();
        self.depth = depth;
        if self.steps == 0 { not("takes too long to check") } else { Ok(holds) }
    }

    fn holding(&mut self, nodes: &[Node], value: &Value) -> Result<usize, Violation> {
        let mut count = 0;
        for node in nodes {
            count += usize::from(self.holds(*node, value)?);
        }
        Ok(count)
    }

    fn rule(&mut self, rule: &Rule, value: &Value) -> Result<(), Violation> {
        match rule {
            Rule::Never => not("must not be there"),
            Rule::Ref(node) => self.node(*node, value),
            Rule::All(nodes) => nodes.iter().try_for_each(|node| self.node(*node, value)),
            Rule::Any(nodes) if self.holding(nodes, value)? == 0 => {
                not("is none of the forms that are allowed")
            }
            Rule::Single(nodes) if self.holding(nodes, value)? != 1 => {
                not("is not exactly one of the forms that are allowed")
            }
            Rule::Not(node) if self.holds(*node, value)? => not("has a form that is not allowed"),
            Rule::Any(_) | Rule::Single(_) | Rule::Not(_) => Ok(()),
            Rule::If { when, then, otherwise } => {
                let branch = if self.holds(*when, value)? { then } else { otherwise };
                branch.map_or(Ok(()), |node| self.node(node, value))
            }
            Rule::Type(types) => typed(types, value),
            Rule::OneOf(values) => self.one_of(values, value),
            Rule::Properties(rules) => inside(value, |it| self.properties(rules, it)),
            Rule::PropertyNames(node) => inside(value, |it| self.property_names(*node, it)),
            Rule::Required(names) => inside(value, |it| required(names, it)),
            Rule::Dependent(all) => inside(value, |it| self.dependent(all, it, value)),
            Rule::Items { first, rest } => {
                let list = value.as_array().unwrap_or_default();
                self.items(first, rest.as_ref(), list)
            }
            Rule::Contains { node, least, most } => {
                value.as_array().map_or(Ok(()), |list| self.contains(*node, *least, *most, list))
            }
            Rule::Unique => self.unique(value.as_array().unwrap_or_default()),
            Rule::Count { of, least, most } => counted(*of, *least, *most, value),
            Rule::Pattern(pattern) => {
                let Some(text) = value.as_str() else { return Ok(()) };
                self.spend(text.len() / 64)?;
                if pattern.is_match(text) {
                    Ok(())
                } else {
                    not(format!("does not match the pattern {:?}", pattern.as_str()))
                }
            }
            Rule::Range { end, bound } => numeric(value, |number| ranged(*end, number, bound)),
            Rule::Multiple(of) => numeric(value, |number| {
                let multiple = number::is_multiple(number, of) == Some(true);
                if multiple { Ok(()) } else { not(format!("must be a multiple of {}", of.text())) }
            }),
        }
    }

    fn one_of(&mut self, values: &[Value], value: &Value) -> Result<(), Violation> {
        for allowed in values {
            if self.same(allowed, value)? {
                return Ok(());
            }
        }
        let mut what = "must be one of".to_owned();
        for (place, allowed) in values.iter().take(20).enumerate() {
            let comma = if place == 0 { "" } else { "," };
            if write!(what, "{comma} {}", canonical(allowed)).is_err() {
                break;
            }
        }
        not(what)
    }

    /// Whether two values are the same: numbers by what they are, objects in any order.
    fn same(&mut self, one: &Value, two: &Value) -> Result<bool, Violation> {
        self.spend(1)?;
        match (one, two) {
            (Value::Number(one), Value::Number(two)) => {
                Ok(number::compare(one, two) == Some(Ordering::Equal))
            }
            (Value::Array(one), Value::Array(two)) if one.len() == two.len() => {
                for (one, two) in one.iter().zip(two) {
                    if !self.same(one, two)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (Value::Object(one), Value::Object(two)) if one.len() == two.len() => {
                for (key, one) in one.iter() {
                    self.spend(two.len() / 64)?;
                    match two.get(key) {
                        Some(two) if self.same(one, two)? => {}
                        _ => return Ok(false),
                    }
                }
                Ok(true)
            }
            _ => Ok(one == two),
        }
    }

    fn property_names(&mut self, node: Node, object: &Object) -> Result<(), Violation> {
        object.iter().try_for_each(|(name, _)| {
            self.node(node, &name.into()).map_err(|violation| under(violation, name))
        })
    }

    fn dependent(
        &mut self,
        all: &[(String, Dependent)],
        object: &Object,
        value: &Value,
    ) -> Result<(), Violation> {
        for (_, dependent) in all.iter().filter(|(name, _)| object.get(name).is_some()) {
            match dependent {
                Dependent::Keys(names) => required(names, object)?,
                Dependent::Schema(node) => self.node(*node, value)?,
            }
        }
        Ok(())
    }

    fn properties(&mut self, rules: &Properties, object: &Object) -> Result<(), Violation> {
        for (name, value) in object.iter() {
            self.spend(1 + rules.named.len() / 16)?;
            let mut known = false;
            if let Some((_, node)) = rules.named.iter().find(|(named, _)| named == name) {
                known = true;
                self.node(*node, value).map_err(|violation| under(violation, name))?;
            }
            for (pattern, node) in &rules.patterns {
                self.spend(1 + name.len() / 64)?;
                if pattern.is_match(name) {
                    known = true;
                    self.node(*node, value).map_err(|violation| under(violation, name))?;
                }
            }
            if let Some(node) = rules.others
                && !known
            {
                self.node(node, value).map_err(|violation| under(violation, name))?;
            }
        }
        Ok(())
    }

    fn items(
        &mut self,
        first: &[Node],
        rest: Option<&Node>,
        list: &[Value],
    ) -> Result<(), Violation> {
        for (place, value) in list.iter().enumerate() {
            self.spend(1)?;
            if let Some(node) = first.get(place).or(rest) {
                self.node(*node, value)
                    .map_err(|violation| under(violation, &place.to_string()))?;
            }
        }
        Ok(())
    }

    fn contains(
        &mut self,
        node: Node,
        least: u64,
        most: Option<u64>,
        list: &[Value],
    ) -> Result<(), Violation> {
        let mut count = 0;
        for value in list {
            count += u64::from(self.holds(node, value)?);
        }
        if count < least || most.is_some_and(|most| count > most) {
            return not("does not contain as many of the items that are asked for");
        }
        Ok(())
    }

    /// A number has one form here for each way to write it, which refuses less; what is refused is
    /// the same in every draft.
    fn unique(&mut self, list: &[Value]) -> Result<(), Violation> {
        let mut seen = HashSet::new();
        for value in list {
            let form = canonical(value);
            self.spend(1 + form.len() / 16)?;
            if !seen.insert(form) {
                return not("has an item twice");
            }
        }
        Ok(())
    }
}

/// A rule about objects holds of everything that is none.
fn inside(
    value: &Value,
    check: impl FnOnce(&Object) -> Result<(), Violation>,
) -> Result<(), Violation> {
    value.as_object().map_or(Ok(()), check)
}

fn typed(types: &[Type], value: &Value) -> Result<(), Violation> {
    let is = |kind: &Type| match (kind, value) {
        (Type::Null, Value::Null)
        | (Type::Boolean, Value::Bool(_))
        | (Type::Number, Value::Number(_))
        | (Type::String, Value::String(_))
        | (Type::Array, Value::Array(_))
        | (Type::Object, Value::Object(_)) => true,
        (Type::Integer, Value::Number(number)) => number::is_integer(number),
        _ => false,
    };
    if types.iter().any(is) {
        return Ok(());
    }
    let names: Vec<String> = types.iter().map(|kind| format!("{kind:?}").to_lowercase()).collect();
    not(format!("is not of the type {}", names.join(" or ")))
}

fn required(names: &[String], object: &Object) -> Result<(), Violation> {
    match names.iter().find(|name| object.get(name).is_none()) {
        Some(missing) => not(format!("{missing:?} is missing")),
        None => Ok(()),
    }
}

fn counted(of: Counted, least: u64, most: Option<u64>, value: &Value) -> Result<(), Violation> {
    let (count, what) = match (of, value) {
        (Counted::Letters, Value::String(text)) => (text.chars().count(), "letters"),
        (Counted::Items, Value::Array(list)) => (list.len(), "items"),
        (Counted::Keys, Value::Object(object)) => (object.len(), "keys"),
        _ => return Ok(()),
    };
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    match most {
        _ if count < least => not(format!("has {count} {what}; at least {least} are asked for")),
        Some(most) if count > most => {
            not(format!("has {count} {what}; at most {most} are allowed"))
        }
        _ => Ok(()),
    }
}

/// A rule about numbers holds of everything that is none.
fn numeric(
    value: &Value,
    check: impl FnOnce(&Number) -> Result<(), Violation>,
) -> Result<(), Violation> {
    value.as_number().map_or(Ok(()), check)
}

fn ranged(end: End, number: &Number, bound: &Number) -> Result<(), Violation> {
    let order = number::compare(number, bound);
    let (holds, what) = match end {
        End::Least => (order.is_some_and(Ordering::is_ge), "at least"),
        End::Most => (order.is_some_and(Ordering::is_le), "at most"),
        End::Above => (order.is_some_and(Ordering::is_gt), "more than"),
        End::Below => (order.is_some_and(Ordering::is_lt), "less than"),
    };
    if holds { Ok(()) } else { not(format!("must be {what} {}", bound.text())) }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
