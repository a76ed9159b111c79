//! Takes typed values out of parsed TOML, and collects what is wrong with them.

use crate::origin::{Origin, Written};
use crate::schema::{Key, Shape};
use crate::source::Source;
use crate::{Problem, quantity};
use std::ops::Range;
use toml::de::{DeTable, DeValue};

/// A value in the text.
pub(crate) struct Node<'d> {
    /// Its whole key: `files.read[0]`.
    pub(crate) key: String,
    name: &'d str,
    key_span: Range<usize>,
    span: Range<usize>,
    pub(crate) value: &'d DeValue<'d>,
}

/// The known keys of one table.
pub(crate) struct Fields<'d>(Vec<Node<'d>>);

impl<'d> Fields<'d> {
    /// The value of a key, where there is one.
    pub(crate) fn get(&self, name: &str) -> Option<&Node<'d>> {
        self.0.iter().find(|node| node.name == name)
    }

    /// All of them.
    pub(crate) fn all(&self) -> &[Node<'d>] {
        &self.0
    }
}

/// One text being read.
pub(crate) struct Reader<'d> {
    pub(crate) source: &'d Source,
    pub(crate) problems: Vec<Problem>,
}

impl<'d> Reader<'d> {
    /// Where a value is written.
    pub(crate) fn origin(&self, node: &Node<'d>) -> Origin {
        let at = self.source.position(node.span.start);
        Origin { file: self.source.file.clone(), at, key: node.key.clone() }
    }

    /// Something is wrong with this value.
    pub(crate) fn refuse(
        &mut self,
        node: &Node<'d>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let problem = self.origin(node).problem(what, remedy);
        self.problems.push(problem);
    }

    /// The keys of the whole document.
    pub(crate) fn document(&mut self, table: &'d DeTable<'d>, keys: &[Key]) -> Fields<'d> {
        self.known(table, "", keys)
    }

    /// The keys of a table; unknown ones are problems.
    pub(crate) fn fields(&mut self, node: &Node<'d>, keys: &[Key]) -> Option<Fields<'d>> {
        let DeValue::Table(table) = node.value else {
            self.mismatch(node, "a table", &format!("its keys are {}", names(keys).join(", ")));
            return None;
        };
        Some(self.known(table, &node.key, keys))
    }

    /// The keys of a table whose keys are the operator's own, such as names of variables.
    pub(crate) fn entries(&mut self, node: &Node<'d>, remedy: &str) -> Option<Fields<'d>> {
        let DeValue::Table(table) = node.value else {
            self.mismatch(node, "a table", remedy);
            return None;
        };
        Some(Fields(nodes(table, &node.key)))
    }

    fn known(&mut self, table: &'d DeTable<'d>, prefix: &str, keys: &[Key]) -> Fields<'d> {
        let mut found = Vec::new();
        for node in nodes(table, prefix) {
            match keys.iter().find(|key| key.name == node.name) {
                Some(Key { shape: Shape::Refused(why, remedy), .. }) => {
                    self.refuse_key(&node, why, remedy);
                }
                Some(_) => found.push(node),
                None => {
                    let names = names(keys);
                    let remedy = match near(node.name, &names) {
                        Some(name) => format!("did you mean {name}?"),
                        None => format!("the keys here are {}", names.join(", ")),
                    };
                    self.refuse_key(&node, "unknown key", &remedy);
                }
            }
        }
        Fields(found)
    }

    /// Where the key of a value is written.
    pub(crate) fn origin_of_key(&self, node: &Node<'d>) -> Origin {
        let at = self.source.position(node.key_span.start);
        Origin { file: self.source.file.clone(), at, key: node.key.clone() }
    }

    /// Something is wrong with the key itself.
    pub(crate) fn refuse_key(&mut self, node: &Node<'d>, what: &str, remedy: &str) {
        let problem = self.origin_of_key(node).problem(what, remedy);
        self.problems.push(problem);
    }

    /// The value is of another type.
    pub(crate) fn mismatch(&mut self, node: &Node<'d>, wanted: &str, remedy: &str) {
        let found = match node.value {
            DeValue::Table(_) => "a table",
            DeValue::Array(_) => "a list",
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
        };
        self.refuse(node, format!("{found}; this is {wanted}"), remedy);
    }

    /// A string without NUL.
    pub(crate) fn text(&mut self, node: &Node<'d>) -> Option<Written<String>> {
        let DeValue::String(text) = node.value else {
            self.mismatch(node, "a string", "put it in quotes");
            return None;
        };
        if text.contains('\0') {
            self.refuse(node, "has a NUL byte", "no path, name or argument can have one");
            return None;
        }
        Some(Written { value: text.clone().into_owned(), origin: self.origin(node) })
    }

    /// A string that says why.
    pub(crate) fn reason(&mut self, node: &Node<'d>) -> Option<Written<String>> {
        let reason = self.text(node)?;
        if reason.value.trim().is_empty() {
            self.refuse(node, "is empty", "write a reason, for whoever reviews this profile");
            return None;
        }
        Some(reason)
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&mut self, node: &Node<'d>) -> Option<Written<bool>> {
        let DeValue::Boolean(value) = node.value else {
            self.mismatch(node, "true or false", "write true or false, without quotes");
            return None;
        };
        Some(Written { value: *value, origin: self.origin(node) })
    }

    /// One of a few words.
    pub(crate) fn word<T: Copy>(
        &mut self,
        node: &Node<'d>,
        words: &[(&str, T)],
    ) -> Option<Written<T>> {
        let text = self.text(node)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text.value) {
            return Some(text.map(|_| *value));
        }
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let what = format!("{:?} is not a valid value", text.value);
        self.refuse(node, what, format!("write {}", names.join(" or ")));
        None
    }

    /// A list, each item read by `each`; what is wrong with one does not hide the others.
    pub(crate) fn list<T>(
        &mut self,
        node: &Node<'d>,
        mut each: impl FnMut(&mut Self, &Node<'d>) -> Option<T>,
    ) -> Vec<T> {
        let DeValue::Array(items) = node.value else {
            self.mismatch(node, "a list", "put it in [ ]");
            return Vec::new();
        };
        let mut read = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let item = Node {
                key: format!("{}[{index}]", node.key),
                name: node.name,
                key_span: item.span(),
                span: item.span(),
                value: item.get_ref(),
            };
            read.extend(each(self, &item));
        }
        read
    }

    /// What is measured: read by one of [`quantity`]'s functions.
    pub(crate) fn quantity<T>(
        &mut self,
        node: &Node<'d>,
        read: impl FnOnce(quantity::Raw<'_>) -> Result<T, quantity::Refusal>,
    ) -> Option<Written<T>> {
        let raw = match node.value {
            DeValue::String(text) => quantity::Raw::Text(text),
            DeValue::Integer(number) => quantity::Raw::Integer(number.as_str(), number.radix()),
            DeValue::Float(number) => quantity::Raw::Float(number.as_str()),
            DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
                quantity::Raw::Other
            }
        };
        match read(raw) {
            Ok(value) => Some(Written { value, origin: self.origin(node) }),
            Err(refusal) => {
                self.refuse(node, refusal.what, refusal.remedy);
                None
            }
        }
    }
}

/// What can be written.
fn names(keys: &[Key]) -> Vec<&'static str> {
    keys.iter().filter(|key| !key.refused()).map(|key| key.name).collect()
}

fn nodes<'d>(table: &'d DeTable<'d>, prefix: &str) -> Vec<Node<'d>> {
    let mut nodes: Vec<Node<'d>> = table
        .iter()
        .map(|(name, value)| Node {
            key: if prefix.is_empty() {
                name.get_ref().to_string()
            } else {
                format!("{prefix}.{}", name.get_ref())
            },
            name: name.get_ref(),
            key_span: name.span(),
            span: value.span(),
            value: value.get_ref(),
        })
        .collect();
    nodes.sort_by_key(|node| node.key_span.start);
    nodes
}

impl Node<'_> {
    /// The last part of its key.
    pub(crate) fn name(&self) -> &str {
        self.name
    }
}

/// The name that differs from `wrong` in at most two letters, if there is one.
pub(crate) fn near<'n>(wrong: &str, names: &[&'n str]) -> Option<&'n str> {
    // Longer texts are no typing errors, and would make the comparison dear.
    if wrong.len() > 40 {
        return None;
    }
    names
        .iter()
        .map(|name| (distance(wrong, name), *name))
        .filter(|(distance, name)| *distance <= 2 && *distance < name.len())
        .min()
        .map(|(_, name)| name)
}

/// Letters to insert, remove or change to make one word the other (Levenshtein 1966).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, letter) in one.chars().enumerate() {
        let mut next = vec![index + 1];
        for ((pair, above), against) in row.windows(2).zip(row.iter().skip(1)).zip(&other) {
            let diagonal = pair.first().copied().unwrap_or(0);
            let left = next.last().copied().unwrap_or(0);
            let changed = diagonal + usize::from(*against != letter);
            next.push(changed.min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}
