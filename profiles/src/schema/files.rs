//! `[files]`: which files exist inside, and what may be done with them.

use super::{Key, Shape};
use crate::origin::{Written, replace};
use crate::place::{Place, Relative};
use crate::quantity::{self, Amount};
use crate::reader::{Node, Reader};
use toml::de::DeValue;

/// The keys of `[files]`.
pub(crate) const KEYS: &[Key] = &[
    Key { name: "read", doc: "may be read", shape: Shape::Entries(GRANT, "path") },
    Key { name: "write", doc: "may be read and written", shape: Shape::Entries(GRANT, "path") },
    Key { name: "execute", doc: "may be read and executed", shape: Shape::Entries(GRANT, "path") },
    Key { name: "hide", doc: "holes in what is granted", shape: Shape::Entries(GRANT, "path") },
    Key {
        name: "protect",
        doc: "keeps files that the host may later execute read-only: default, strict, or off with a reason",
        shape: Shape::Protect,
    },
    Key {
        name: "bind",
        doc: "mounts `from` of the host at `to` inside; `from` is relative to this file",
        shape: Shape::Binds,
    },
    Key {
        name: "tmp",
        doc: "size of the private /tmp, and of the private home directory, each in memory",
        shape: Shape::Size,
    },
];

pub(crate) const GRANT: &[Key] = &[
    Key { name: "path", doc: "absolute, or from {cwd} or {home}", shape: Shape::Text },
    Key { name: "optional", doc: "the path may be missing", shape: Shape::Boolean },
    Key { name: "reason", doc: "why, if the path is dangerous", shape: Shape::Text },
];

pub(crate) const BIND: &[Key] = &[
    Key { name: "from", doc: "path on the host", shape: Shape::Text },
    Key { name: "to", doc: "path inside", shape: Shape::Text },
    Key {
        name: "access",
        doc: "default: read",
        shape: Shape::Words(&["read", "write", "execute"]),
    },
    Key { name: "optional", doc: "`from` may be missing", shape: Shape::Boolean },
    Key { name: "reason", doc: "why, if `from` is dangerous", shape: Shape::Text },
];

/// `[files]`. An entry of `read` or `execute` inside a tree of `write` stays read-only, and one of `write` inside a
/// tree of `execute` is not executed; apart from that, entries add to what they lie in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    /// `read`, `write` and `execute`, in the order written.
    pub grants: Vec<Grant>,
    /// `hide`.
    pub hide: Vec<Hole>,
    /// `protect`.
    pub protect: Option<Written<Protect>>,
    /// `bind`.
    pub bind: Vec<Bind>,
    /// `tmp`, in bytes.
    pub tmp: Option<Written<u64>>,
}

/// What may be done with what a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Read.
    Read,
    /// Read and write.
    Write,
    /// Read and execute.
    Execute,
}

impl Access {
    /// Its word in a profile.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Execute => "execute",
        }
    }
}

/// An entry of `read`, `write` or `execute`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The list that it is in.
    pub access: Access,
    /// What.
    pub path: Written<Place>,
    /// Whether it may be missing.
    pub optional: bool,
    /// Why, if it is dangerous.
    pub reason: Option<String>,
}

/// An entry of `hide`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hole {
    /// What.
    pub path: Written<Place>,
    /// Whether it may be missing.
    pub optional: bool,
}

/// An entry of `bind`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// On the host.
    pub from: Written<Place>,
    /// Inside.
    pub to: Written<Place>,
    /// What may be done with it.
    pub access: Access,
    /// Whether `from` may be missing.
    pub optional: bool,
    /// Why, if it is dangerous.
    pub reason: Option<String>,
}

/// Whether files that the host may later execute stay read-only in writable trees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protect {
    /// Existing ones do; new ones are listed at the end of the run.
    Default,
    /// The same, and the run does not start if something could not be protected.
    Strict,
    /// No, and why.
    Off(String),
}

impl Protect {
    /// Its word in a profile.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Strict => "strict",
            Self::Off(_) => "off",
        }
    }
}

impl Files {
    pub(crate) fn lay(&mut self, over: Self) {
        self.grants.extend(over.grants);
        self.hide.extend(over.hide);
        replace(&mut self.protect, over.protect);
        self.bind.extend(over.bind);
        replace(&mut self.tmp, over.tmp);
    }
}

pub(crate) fn read<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Files {
    let mut files = Files::default();
    let Some(fields) = reader.fields(node, KEYS) else {
        return files;
    };
    for node in fields.all() {
        match node.name() {
            "hide" => files.hide = reader.list(node, hole),
            "protect" => files.protect = protect(reader, node),
            "bind" => files.bind = reader.list(node, bind),
            "tmp" => files.tmp = tmp(reader, node),
            _ => files.grants.extend(granted(reader, node)),
        }
    }
    files
}

/// A path.
pub(crate) fn place<'d>(
    reader: &mut Reader<'d>,
    node: &Node<'d>,
    relative: Relative<'_>,
) -> Option<Written<Place>> {
    let text = reader.text(node)?;
    match Place::read(&text.value, relative) {
        Ok(place) => Some(text.map(|_| place)),
        Err((what, remedy)) => {
            reader.refuse(node, what, remedy);
            None
        }
    }
}

/// One of the lists `read`, `write` and `execute`.
pub(crate) fn granted<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Vec<Grant> {
    let access = match node.name() {
        "read" => Access::Read,
        "write" => Access::Write,
        _ => Access::Execute,
    };
    reader.list(node, |reader, item| grant(reader, item, access))
}

/// A path, or a table with a path, `optional` and `reason`.
fn grant<'d>(reader: &mut Reader<'d>, node: &Node<'d>, access: Access) -> Option<Grant> {
    if matches!(node.value, DeValue::String(_)) {
        let path = place(reader, node, Relative::Refused)?;
        return Some(Grant { access, path, optional: false, reason: None });
    }
    let fields = reader.fields(node, GRANT)?;
    let optional = fields.get("optional").map(|node| reader.boolean(node));
    let reason = fields.get("reason").map(|node| reader.reason(node));
    let Some(path) = fields.get("path") else {
        reader.refuse(node, "names no path", "write { path = \"/…\", optional = true }");
        return None;
    };
    let path = place(reader, path, Relative::Refused)?;
    let optional = optional.flatten().is_some_and(|optional| optional.value);
    Some(Grant { access, path, optional, reason: reason.flatten().map(|reason| reason.value) })
}

fn hole<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Option<Hole> {
    let Grant { path, optional, .. } = grant(reader, node, Access::Read)?;
    Some(Hole { path, optional })
}

fn bind<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Option<Bind> {
    let fields = reader.fields(node, BIND)?;
    let folder = reader.source.folder.clone();
    let relative = folder.as_ref().map_or(Relative::FromCwd, Relative::From);
    let from = fields.get("from").map(|node| place(reader, node, relative));
    let to = fields.get("to").map(|node| place(reader, node, Relative::Refused));
    let words = [Access::Read, Access::Write, Access::Execute].map(|word| (word.name(), word));
    let access = fields.get("access").map(|node| reader.word(node, &words));
    let optional = fields.get("optional").map(|node| reader.boolean(node));
    let reason = fields.get("reason").map(|node| reader.reason(node));
    let (Some(from), Some(to)) = (from, to) else {
        reader.refuse(
            node,
            "needs `from` and `to`",
            "write { from = \"./repo\", to = \"/workspace\" }",
        );
        return None;
    };
    let access = match access {
        None => Access::Read,
        Some(word) => word?.value,
    };
    Some(Bind {
        from: from?,
        to: to?,
        access,
        optional: optional.flatten().is_some_and(|optional| optional.value),
        reason: reason.flatten().map(|reason| reason.value),
    })
}

pub(crate) const OFF: &[Key] =
    &[Key { name: "off", doc: "why nothing is protected", shape: Shape::Text }];

fn protect<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Option<Written<Protect>> {
    if matches!(node.value, DeValue::Table(_)) {
        let fields = reader.fields(node, OFF)?;
        let Some(off) = fields.get("off") else {
            reader.refuse(node, "is empty", "write { off = \"why\" }");
            return None;
        };
        return Some(reader.reason(off)?.map(Protect::Off));
    }
    if node.value.as_str() == Some("off") {
        reader.refuse(node, "off needs a reason", "write protect = { off = \"why\" }");
        return None;
    }
    let found = reader.word(node, &[("default", false), ("strict", true)])?;
    Some(found.map(|strict| if strict { Protect::Strict } else { Protect::Default }))
}

fn tmp<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Option<Written<u64>> {
    let size = reader.quantity(node, quantity::size)?;
    let Amount::Limited(bytes) = size.value else {
        reader.refuse(node, "memory cannot be unlimited", "write a size such as \"1G\"");
        return None;
    };
    Some(size.map(|_| bytes))
}
