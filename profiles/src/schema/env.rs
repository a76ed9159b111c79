//! `[env]`: the environment, cleared first.

use super::{Key, Shape};
use crate::origin::Written;
use crate::reader::{Node, Reader};

/// The keys of `[env]`.
pub(crate) const KEYS: &[Key] = &[
    Key { name: "pass", doc: "variables of the caller that are passed on", shape: Shape::Texts },
    Key { name: "set", doc: "variables and their values", shape: Shape::Variables },
];

/// `[env]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Env {
    /// Names passed on where the caller has them.
    pub pass: Vec<Written<String>>,
    /// Names and values; the last of a name holds.
    pub set: Vec<(String, Written<String>)>,
}

impl Env {
    pub(crate) fn lay(&mut self, over: Self) {
        // To pass a variable on replaces the value that was set before.
        self.set.retain(|(name, _)| !over.pass.iter().any(|passed| passed.value == *name));
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

fn pass<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Option<Written<String>> {
    let name = reader.text(node)?;
    if let Err(what) = variable(&name.value) {
        reader.refuse(node, what, NAME);
        return None;
    }
    Some(name)
}

fn set<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Vec<(String, Written<String>)> {
    let Some(fields) = reader.entries(node, "write { NAME = \"value\" }") else {
        return Vec::new();
    };
    let mut read = Vec::new();
    for node in fields.all() {
        if let Err(what) = variable(node.name()) {
            reader.refuse(node, what, NAME);
        } else if let Some(value) = reader.text(node) {
            // A profile is a file that is copied, shown and checked in.
            if secret(node.name()) && !value.value.is_empty() {
                reader.refuse(
                    node,
                    "looks like a secret, and a profile is no place for one",
                    format!(
                        "put it in the caller's environment and write pass = [{:?}]",
                        node.name()
                    ),
                );
            } else {
                read.push((node.name().to_owned(), value));
            }
        }
    }
    read
}

/// What to write where [`variable`] refuses.
pub(crate) const NAME: &str =
    "write the exact name: letters, digits and _, no digit first; there are no patterns";

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

/// Whether a variable's name says that its value is a secret.
fn secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let words = ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIALS"];
    name.split('_').any(|part| words.contains(&part))
        || ["API_KEY", "APIKEY", "ACCESS_KEY", "PRIVATE_KEY"].iter().any(|key| name.contains(key))
}
