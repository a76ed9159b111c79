//! Whether a value is what a schema says, within so many steps.

use super::{
    Counted, Dependent, End, Node, Pattern, Properties, Rule, Schema, Type, Violation, number,
    words::{said, shown},
};
use crate::json::{Number, Object, Value, canonical};
use std::{cmp::Ordering, collections::HashSet};

/// Steps of one check. One is about as much as a letter is looked at in 64 places of a pattern, 16 keys are gone
/// through, or 4096 bytes are compared: a quarter of a microsecond.
const STEPS: u64 = 500_000;

/// How deep schemas may refer to each other without the value getting smaller.
const DEPTH: usize = 256;

impl Schema {
    /// Whether the value is what this schema says.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn check(&self, value: &Value) -> Result<(), Violation> {
        Check::of(self).node(0, value)
    }
}

struct Check<'s> {
    schema: &'s Schema,
    steps: u64,
    depth: usize,
    /// Within how many schemas of which nobody hears why they do not hold.
    unheard: u32,
}

impl<'s> Check<'s> {
    const fn of(schema: &'s Schema) -> Self {
        Self { schema, steps: STEPS, depth: 0, unheard: 0 }
    }

    fn spend(&mut self, steps: usize) -> Result<(), Violation> {
        match self.steps.checked_sub(u64::try_from(steps).unwrap_or(u64::MAX)) {
            Some(left) => {
                self.steps = left;
                Ok(())
            }
            None => self.too_long(),
        }
    }

    fn too_long<T>(&mut self) -> Result<T, Violation> {
        self.steps = 0;
        Err(Violation { at: String::new(), what: "takes too long to check".to_owned() })
    }

    /// What is wrong, in words where anybody hears them.
    fn not(&self, what: impl FnOnce() -> String) -> Result<(), Violation> {
        let what = if self.unheard == 0 { what() } else { String::new() };
        Err(Violation { at: String::new(), what })
    }

    /// The violation, seen from one level further out.
    fn under(&self, mut violation: Violation, part: &str) -> Violation {
        if self.unheard == 0 {
            let part = said(part).replace('~', "~0").replace('/', "~1");
            violation.at.insert_str(0, &part);
            violation.at.insert(0, '/');
        }
        violation
    }

    fn node(&mut self, node: Node, value: &Value) -> Result<(), Violation> {
        self.spend(1)?;
        self.depth += 1;
        if self.depth > DEPTH {
            return self.too_long();
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
        self.unheard += 1;
        let holds = self.node(node, value).is_ok();
        self.unheard -= 1;
        self.depth = depth;
        if self.steps == 0 { self.too_long() } else { Ok(holds) }
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
            Rule::Never => self.not(|| "is not allowed".to_owned()),
            Rule::Ref(node) => self.node(*node, value),
            Rule::All(nodes) => nodes.iter().try_for_each(|node| self.node(*node, value)),
            Rule::Any(nodes) if self.holding(nodes, value)? == 0 => {
                self.not(|| "matches none of the allowed forms".to_owned())
            }
            Rule::Single(nodes) if self.holding(nodes, value)? != 1 => {
                self.not(|| "must match exactly one of the allowed forms".to_owned())
            }
            Rule::Not(node) if self.holds(*node, value)? => {
                self.not(|| "has a form that is not allowed".to_owned())
            }
            Rule::Any(_) | Rule::Single(_) | Rule::Not(_) => Ok(()),
            Rule::If { when, then, otherwise } => {
                let branch = if self.holds(*when, value)? { then } else { otherwise };
                branch.map_or(Ok(()), |node| self.node(node, value))
            }
            Rule::Type(types) => self.typed(types, value),
            Rule::OneOf(values) => self.one_of(values, value),
            Rule::Properties(rules) => inside(value, |it| self.properties(rules, it)),
            Rule::PropertyNames(node) => inside(value, |it| self.property_names(*node, it)),
            Rule::Required(names) => inside(value, |it| self.required(names, it)),
            Rule::Dependent(all) => inside(value, |it| self.dependent(all, it, value)),
            Rule::Items { first, rest } => {
                let list = value.as_array().unwrap_or_default();
                self.items(first, rest.as_ref(), list)
            }
            Rule::Contains { node, least, most } => {
                value.as_array().map_or(Ok(()), |list| self.contains(*node, *least, *most, list))
            }
            Rule::Unique => self.unique(value.as_array().unwrap_or_default()),
            Rule::Count { of, least, most } => self.counted(*of, *least, *most, value),
            Rule::Pattern(pattern) => {
                let Some(text) = value.as_str() else { return Ok(()) };
                if self.matches(pattern, text)? {
                    return Ok(());
                }
                self.not(|| format!("does not match the pattern {:?}", said(pattern.as_str())))
            }
            Rule::Range { end, bound } => self.ranged(*end, value, bound),
            Rule::Multiple(of) => {
                let Some(number) = value.as_number() else { return Ok(()) };
                self.spend((number.text().len() + of.text().len()) / 64)?;
                if number::is_multiple(number, of) == Some(true) {
                    return Ok(());
                }
                self.not(|| format!("must be a multiple of {}", said(of.text())))
            }
        }
    }

    fn matches(&mut self, pattern: &Pattern, text: &str) -> Result<bool, Violation> {
        self.spend(pattern.steps(text))?;
        Ok(pattern.is_match(text))
    }

    fn typed(&mut self, types: &[Type], value: &Value) -> Result<(), Violation> {
        if let Value::Number(number) = value {
            self.spend(number.text().len() / 64)?;
        }
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
        let name = |kind: &Type| format!("{kind:?}").to_lowercase();
        self.not(|| {
            let names: Vec<String> = types.iter().map(name).collect();
            format!("must be of type {}", names.join(" or "))
        })
    }

    fn one_of(&mut self, values: &[Value], value: &Value) -> Result<(), Violation> {
        for allowed in values {
            if self.same(allowed, value)? {
                return Ok(());
            }
        }
        self.not(|| {
            let allowed: Vec<String> = values.iter().take(20).map(shown).collect();
            format!("must be one of {}", allowed.join(", "))
        })
    }

    /// Whether two values are the same: numbers by what they are, objects in any order.
    fn same(&mut self, one: &Value, two: &Value) -> Result<bool, Violation> {
        self.spend(1)?;
        match (one, two) {
            (Value::Number(one), Value::Number(two)) => {
                self.spend((one.text().len() + two.text().len()) / 64)?;
                Ok(number::compare(one, two) == Some(Ordering::Equal))
            }
            (Value::String(one), Value::String(two)) if one.len() == two.len() => {
                self.spend(one.len() / 4096)?;
                Ok(one == two)
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
                    match self.find(two, key)? {
                        Some(two) if self.same(one, two)? => {}
                        _ => return Ok(false),
                    }
                }
                Ok(true)
            }
            (Value::Null, Value::Null) => Ok(true),
            (Value::Bool(one), Value::Bool(two)) => Ok(one == two),
            _ => Ok(false),
        }
    }

    /// The value of a key.
    fn find<'v>(&mut self, object: &'v Object, key: &str) -> Result<Option<&'v Value>, Violation> {
        self.spend(among(object.len(), key))?;
        Ok(object.get(key))
    }

    fn property_names(&mut self, node: Node, object: &Object) -> Result<(), Violation> {
        object.iter().try_for_each(|(name, _)| {
            self.spend(name.len() / 4096)?;
            self.node(node, &name.into()).map_err(|violation| self.under(violation, name))
        })
    }

    fn required(&mut self, names: &[String], object: &Object) -> Result<(), Violation> {
        for name in names {
            if self.find(object, name)?.is_none() {
                return self.not(|| format!("{:?} is missing", said(name)));
            }
        }
        Ok(())
    }

    fn dependent(
        &mut self,
        all: &[(String, Dependent)],
        object: &Object,
        value: &Value,
    ) -> Result<(), Violation> {
        for (name, dependent) in all {
            if self.find(object, name)?.is_none() {
                continue;
            }
            match dependent {
                Dependent::Keys(names) => self.required(names, object)?,
                Dependent::Schema(node) => self.node(*node, value)?,
            }
        }
        Ok(())
    }

    fn properties(&mut self, rules: &Properties, object: &Object) -> Result<(), Violation> {
        for (name, value) in object.iter() {
            self.spend(among(rules.named.len(), name))?;
            let mut known = false;
            if let Some((_, node)) = rules.named.iter().find(|(named, _)| named == name) {
                known = true;
                self.node(*node, value).map_err(|violation| self.under(violation, name))?;
            }
            for (pattern, node) in &rules.patterns {
                if self.matches(pattern, name)? {
                    known = true;
                    self.node(*node, value).map_err(|violation| self.under(violation, name))?;
                }
            }
            if let Some(node) = rules.others
                && !known
            {
                self.node(node, value).map_err(|violation| self.under(violation, name))?;
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
                    .map_err(|violation| self.under(violation, &place.to_string()))?;
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
            let what = "does not contain as many matching items as required";
            return self.not(|| what.to_owned());
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
                return self.not(|| "contains an item twice".to_owned());
            }
        }
        Ok(())
    }

    fn counted(
        &mut self,
        of: Counted,
        least: u64,
        most: Option<u64>,
        value: &Value,
    ) -> Result<(), Violation> {
        let (count, what) = match (of, value) {
            (Counted::Letters, Value::String(text)) => {
                self.spend(text.len() / 1024)?;
                (text.chars().count(), "letters")
            }
            (Counted::Items, Value::Array(list)) => (list.len(), "items"),
            (Counted::Keys, Value::Object(object)) => (object.len(), "keys"),
            _ => return Ok(()),
        };
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        match most {
            _ if count < least => {
                self.not(|| format!("has {count} {what}; at least {least} are required"))
            }
            Some(most) if count > most => {
                self.not(|| format!("has {count} {what}; at most {most} are allowed"))
            }
            _ => Ok(()),
        }
    }

    /// A rule about numbers holds of everything that is none.
    fn ranged(&mut self, end: End, value: &Value, bound: &Number) -> Result<(), Violation> {
        let Some(number) = value.as_number() else { return Ok(()) };
        self.spend((number.text().len() + bound.text().len()) / 64)?;
        let order = number::compare(number, bound);
        let (holds, what) = match end {
            End::Least => (order.is_some_and(Ordering::is_ge), "at least"),
            End::Most => (order.is_some_and(Ordering::is_le), "at most"),
            End::Above => (order.is_some_and(Ordering::is_gt), "more than"),
            End::Below => (order.is_some_and(Ordering::is_lt), "less than"),
        };
        if holds { Ok(()) } else { self.not(|| format!("must be {what} {}", said(bound.text()))) }
    }
}

/// How many steps it is to look for a key among so many.
fn among(keys: usize, key: &str) -> usize {
    1 + keys / 16 + keys.saturating_mul(key.len()) / 4096
}

/// A rule about objects holds of everything that is none.
fn inside(
    value: &Value,
    check: impl FnOnce(&Object) -> Result<(), Violation>,
) -> Result<(), Violation> {
    value.as_object().map_or(Ok(()), check)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
