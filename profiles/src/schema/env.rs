//! `[env]`: the environment, initially empty.

use super::{Key, Shape, literal};
use crate::origin::Written;
use crate::reader::{Node, Reader};
use toml::de::DeValue;

/// The keys of `[env]`.
pub(crate) const KEYS: &[Key] = &[
    Key {
        name: "pass",
        doc: "variables of the caller to pass on; a name that suggests a secret needs a reason",
        shape: Shape::Entries(PASS, "name"),
    },
    Key { name: "set", doc: "variables and their values", shape: Shape::Variables },
];

/// The keys of an entry of `pass`.
const PASS: &[Key] = &[
    Key { name: "name", doc: "name of the variable", shape: Shape::Text },
    Key { name: "reason", doc: "why, if the name suggests a secret", shape: Shape::Text },
];

/// `[env]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Env {
    /// What is passed on if the caller has it.
    pub pass: Vec<Passed>,
    /// Names and values; for each name, the last one applies.
    pub set: Vec<(String, Written<String>)>,
}

/// A variable of the caller's that is passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// Which.
    pub name: Written<String>,
    /// Why, if a reason is given.
    pub reason: Option<String>,
}

impl Env {
    pub(crate) fn lay(&mut self, over: Self) {
        // To pass a variable on replaces the value that was set before.
        self.set.retain(|(name, _)| !over.pass.iter().any(|passed| passed.name.value == *name));
        self.pass.extend(over.pass);
        self.set.extend(over.set);
    }
}

pub(crate) fn read<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Env {
    let mut env = Env::default();
    let Some(fields) = reader.fields(node, KEYS) else {
        return env;
    };
    for node in fields.all() {
        match node.name() {
            "pass" => env.pass = reader.list(node, pass),
            _ => env.set = set(reader, node),
        }
    }
    env
}

/// A name, or a table with a name and a `reason`.
fn pass<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Option<Passed> {
    let (name, reason) = if matches!(node.value, DeValue::Table(_)) {
        let fields = reader.fields(node, PASS)?;
        let reason = fields.get("reason").map(|node| reader.reason(node));
        let Some(name) = fields.get("name") else {
            reader.refuse(node, "names no variable", "write { name = \"NAME\", reason = \"why\" }");
            return None;
        };
        (reader.text(name)?, reason)
    } else {
        (reader.text(node)?, None)
    };
    if let Err(what) = variable(&name.value) {
        reader.refuse(node, what, NAME);
        return None;
    }
    // A reason that says nothing is a problem of its own already.
    if reason.is_none() && literal::is_secret_name(&name.value) {
        let what = "looks like a secret, which every process of the command could read from it";
        let entry = format!("{{ name = {:?}, reason = \"why\" }}", name.value);
        reader.refuse(node, what, format!("{}; or write {entry}", literal::NAME_IT));
        return None;
    }
    Some(Passed { name, reason: reason.flatten().map(|reason| reason.value) })
}

fn set<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Vec<(String, Written<String>)> {
    let Some(fields) = reader.entries(node, "write { NAME = \"value\" }") else {
        return Vec::new();
    };
    let mut read = Vec::new();
    for node in fields.all() {
        if let Err(what) = variable(node.name()) {
            reader.refuse(node, what, NAME);
        } else if let Some(value) = literal::text(reader, node) {
            // GOOGLE_APPLICATION_CREDENTIALS and the like say where they are.
            let is_path = node.name().ends_with("_CREDENTIALS") && value.value.starts_with('/');
            if literal::is_secret_name(node.name()) && !value.value.is_empty() && !is_path {
                let what = "looks like a secret, which does not belong in a profile";
                reader.refuse(node, what, literal::NAME_IT);
            } else {
                read.push((node.name().to_owned(), value));
            }
        }
    }
    read
}

/// What to write where [`variable`] refuses.
pub(crate) const NAME: &str =
    "write the exact name: letters, digits and _, no digit first; patterns are not supported";

/// Whether a text is the name of a variable, environ(7).
pub(crate) fn variable(name: &str) -> Result<(), String> {
    let letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let first = name.bytes().next().is_some_and(letter);
    if first && name.len() <= 255 && name.bytes().all(|byte| letter(byte) || byte.is_ascii_digit())
    {
        return Ok(());
    }
    let shown: String = name.chars().take(80).collect();
    Err(format!("{shown:?} is not the name of a variable"))
}
