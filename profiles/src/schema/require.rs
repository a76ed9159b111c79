//! `[require]`: what this host may lack. `landlock = "if-available"` waives the whole layer,
//! `landlock.truncate = "if-available"` one part.

use super::{Key, Shape};
use crate::origin::Written;
use crate::reader::{Node, Reader};
use std::collections::BTreeMap;
use toml::de::DeValue;

/// Parts of Landlock that older kernels lack.
const LANDLOCK: &[&str] = &["truncate", "network", "ioctl", "scope"];
/// Controllers.
const CGROUP: &[&str] = &["memory", "pids", "cpu", "io"];
const WORDS: &[(&str, Must)] = &[("always", Must::Always), ("if-available", Must::IfAvailable)];

/// The keys of `[require]`.
pub(crate) const KEYS: &[Key] = &[
    Key {
        name: "landlock",
        doc: "the second layer for files; its parts: truncation (kernel 6.2), TCP ports (6.7), \
              ioctl on devices (6.10), signals and abstract sockets (6.12)",
        shape: Shape::Must(LANDLOCK),
    },
    Key {
        name: "cgroup",
        doc: "limits of the sandbox as a whole; its parts are controllers",
        shape: Shape::Must(CGROUP),
    },
    Key {
        name: "uid",
        doc: "its own uid for the command, and none of the caller's groups (root)",
        shape: Shape::Must(&[]),
    },
    Key {
        name: "tmp",
        doc: "the private /tmp and home directory are limited in size (a mount)",
        shape: Shape::Must(&[]),
    },
    Key {
        name: "memfd_noexec",
        doc: "no execution from memory, without a file (kernel 6.3, root)",
        shape: Shape::Must(&[]),
    },
    Key {
        name: "core_handler",
        doc: "no program or socket of the host gets core dumps of the command (a core size limit other than 0)",
        shape: Shape::Must(&[]),
    },
    Key {
        name: "audit",
        doc: "a record of the run in the audit log, before the command starts and when it has ended",
        shape: Shape::Must(&[]),
    },
];

/// Whether the host must have something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Must {
    /// The run does not start without it.
    Always,
    /// The run starts without it, and reports that it was waived.
    IfAvailable,
}

/// `[require]`, by key without the table's name: `landlock.truncate`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Require(pub BTreeMap<String, Written<Must>>);

impl Require {
    /// Everything that can be required: the keys, and their parts.
    #[must_use]
    pub fn names() -> Vec<String> {
        let all = KEYS.iter().flat_map(|key| {
            let parts = parts(key.name).iter().map(|part| format!("{}.{part}", key.name));
            std::iter::once(key.name.to_owned()).chain(parts)
        });
        all.collect()
    }

    pub(crate) fn lay(&mut self, over: Self) {
        for key in over.0.keys() {
            match key.split_once('.') {
                // A word about the whole replaces what was said about its parts.
                None => {
                    let part = format!("{key}.");
                    self.0.retain(|old, _| !old.starts_with(&part));
                }
                // One about a part leaves what was said about the whole to the other parts. The
                // whole is required from then on: a part that must be there needs it.
                Some((whole, _)) => {
                    if let Some(word) = self.0.remove(whole) {
                        let parts = parts(whole).iter();
                        self.0.extend(parts.map(|part| (format!("{whole}.{part}"), word.clone())));
                    }
                }
            }
        }
        self.0.extend(over.0);
    }

    /// What another profile does not waive too is required.
    pub(crate) fn keep_what_also(&mut self, other: &Self) {
        let keys = KEYS.iter().flat_map(|key| {
            let parts = parts(key.name).iter().map(move |part| format!("{}.{part}", key.name));
            std::iter::once(key.name.to_owned()).chain(parts)
        });
        for key in keys {
            if let Some(must) = self.0.get_mut(&key)
                && other.waives(&key).is_none()
            {
                must.value = Must::Always;
            }
        }
    }

    /// The key that lets the host lack this, where one does: its own, or that of the whole.
    #[must_use]
    pub fn waives(&self, key: &str) -> Option<String> {
        let whole = key.split('.').next().unwrap_or(key);
        let own = self.0.get(key).map(|must| (key, must.value));
        let must = own.or_else(|| self.0.get(whole).map(|must| (whole, must.value)));
        must.filter(|(_, must)| *must == Must::IfAvailable).map(|(key, _)| format!("require.{key}"))
    }
}

/// The parts that can be spoken of one by one.
fn parts(key: &str) -> &'static [&'static str] {
    match key {
        "landlock" => LANDLOCK,
        "cgroup" => CGROUP,
        _ => &[],
    }
}

pub(crate) fn read<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Require {
    let mut require = Require::default();
    let Some(fields) = reader.fields(node, KEYS) else {
        return require;
    };
    for node in fields.all() {
        let name = node.name();
        let parts = parts(name);
        if !parts.is_empty() && matches!(node.value, DeValue::Table(_)) {
            let keys: Vec<Key> =
                parts.iter().map(|name| Key { name, doc: "", shape: Shape::Must(&[]) }).collect();
            for part in reader.fields(node, &keys).iter().flat_map(|fields| fields.all()) {
                let must = reader.word(part, WORDS);
                require.0.extend(must.map(|must| (format!("{name}.{}", part.name()), must)));
            }
        } else if let Some(must) = reader.word(node, WORDS) {
            require.0.insert(name.to_owned(), must);
        }
    }
    require
}
