//! The tables of a profile, one file each: its keys, how it is read, how it is laid over another.
//!
//! Read [`files`] first: it has every kind of key.

pub(crate) mod arguments;
pub(crate) mod budget;
pub(crate) mod call;
pub(crate) mod client;
pub(crate) mod command;
pub(crate) mod deadlines;
pub(crate) mod egress;
pub(crate) mod env;
pub(crate) mod files;
pub(crate) mod inject;
pub(crate) mod isolation;
pub mod json;
pub(crate) mod limits;
pub mod literal;
pub(crate) mod network;
mod path;
pub(crate) mod placeholder;
pub(crate) mod reach;
pub(crate) mod require;
pub(crate) mod secrets;
pub(crate) mod serve;
pub(crate) mod show;
pub(crate) mod ssh;
pub(crate) mod syscalls;

use crate::origin::{Written, replace};
use crate::place::Folders;
use crate::reader::{Node, Reader};
use sandboxd_plan::HostPath;
use toml::de::DeTable;

pub use budget::{Budget, Price};
pub use call::{Approval, Call, Calls, EdgeGrant, Reverse};
pub use command::{Command, Tty, User};
pub use deadlines::EgressDeadlines;
pub use egress::{Egress, EgressLimits};
pub use env::{Env, Passed};
pub use files::{Access, Bind, Files, Grant, Hole, Protect};
pub use inject::Injected;
pub use isolation::Isolation;
pub use limits::Limits;
pub use network::{Mode, Network};
pub use placeholder::Placed;
pub use reach::Reach;
pub use require::{Must, Require};
pub use secrets::{Secret, Secrets, Source};
pub use serve::{Instances, Serve, Speaks};
pub use ssh::{LogsIn, Ssh};
pub use syscalls::Syscalls;

/// A profile as it was written, all it extends included. Silent where the operator was: what
/// silence means is decided in [`resolve`](crate::resolve).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// Identity for limits and messages.
    pub name: Option<Written<String>>,
    /// What separates it from its host.
    pub isolation: Option<Written<Isolation>>,
    /// `[command]`.
    pub command: Command,
    /// `[env]`.
    pub env: Env,
    /// `[files]`.
    pub files: Files,
    /// `[syscalls]`.
    pub syscalls: Syscalls,
    /// `[limits]`.
    pub limits: Limits,
    /// `[network]`.
    pub network: Network,
    /// `[call.NAME]`.
    pub calls: Calls,
    /// `[serve]`; nothing written: nothing can be called here.
    pub serve: Option<Serve>,
    /// `[budget]`.
    pub budget: Budget,
    /// `[secrets.NAME]`.
    pub secrets: Secrets,
    /// `[require]`.
    pub require: Require,
    /// What `{cwd}` and `{home}` stand for.
    pub folders: Folders,
    /// The files it was read from, by the names problems use, and the folders they lie in.
    pub documents: Vec<(String, HostPath)>,
}

impl Profile {
    /// Lay another profile over this one: its lists are appended, its scalars replace.
    pub(crate) fn lay(&mut self, over: Self) {
        replace(&mut self.name, over.name);
        replace(&mut self.isolation, over.isolation);
        self.command.lay(over.command);
        self.env.lay(over.env);
        self.files.lay(over.files);
        self.syscalls.lay(over.syscalls);
        self.limits.lay(over.limits);
        self.network.lay(over.network);
        call::lay(&mut self.calls, over.calls);
        match (&mut self.serve, over.serve) {
            (Some(serve), Some(over)) => serve.lay(over),
            (serve, over) => replace(serve, over),
        }
        self.budget.lay(over.budget);
        secrets::lay(&mut self.secrets, over.secrets);
        self.require.lay(over.require);
        replace(&mut self.folders.cwd, over.folders.cwd);
        replace(&mut self.folders.home, over.folders.home);
        self.documents.extend(over.documents);
    }

    /// The secrets that stand in arguments, in the order in which whoever puts them there knows them.
    pub fn placed(&self) -> impl Iterator<Item = (&sandboxd_broker_plan::Name, &Secret)> {
        let all = self.secrets.iter().map(|(name, secret)| (name, &secret.value));
        all.filter(|(_, secret)| !secret.placeholder.is_empty())
    }

    /// What separates it from its host.
    #[must_use]
    pub fn isolation(&self) -> Isolation {
        self.isolation.as_ref().map_or(Isolation::Namespaces, |written| written.value)
    }

    /// Its name in messages and receipts: its own, or the file it was read from.
    #[must_use]
    pub fn label(&self) -> &str {
        let file = self.documents.last().map(|(file, _)| file.as_str());
        self.name.as_ref().map_or(file.unwrap_or("sandbox"), |name| &name.value)
    }

    /// Its name, or the one of a profile that has none.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_ref().map_or("sandbox", |name| &name.value)
    }
}

/// A key of a table.
#[derive(Clone, Copy)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    /// For the JSON Schema.
    pub(crate) doc: &'static str,
    pub(crate) shape: Shape,
}

impl Key {
    pub(crate) const fn refused(&self) -> bool {
        matches!(self.shape, Shape::Refused(..))
    }
}

/// What the value of a key looks like.
#[derive(Clone, Copy)]
pub(crate) enum Shape {
    Text,
    Texts,
    Boolean,
    Words(&'static [&'static str]),
    Size,
    Time,
    Count,
    Rate,
    /// An amount of it.
    Money,
    /// A table like this for each name of a model.
    Prices(&'static [Key]),
    Weight,
    Cpus,
    /// Times in a period.
    CallRate,
    /// A list of some of these words.
    WordList(&'static [&'static str]),
    /// One of these words, or a table with a reason.
    OrReason(&'static [&'static str], &'static [Key]),
    /// JSON Schemas by names of tools.
    Schemas,
    /// A table like this for each name.
    Named(&'static [Key]),
    /// A table like this, or a list of them.
    OneOrMore(&'static [Key]),
    /// `true`, `false` or a text.
    OrText,
    Variables,
    /// A list of texts, and of tables like this in which that text has this key.
    Entries(&'static [Key], &'static str),
    Binds,
    Protect,
    /// `always` or `if-available`, for the whole or for each of these parts.
    Must(&'static [&'static str]),
    Table(&'static [Key]),
    /// Known, and never right here: why, and the remedy.
    Refused(&'static str, &'static str),
}

/// The keys of the document itself.
pub(crate) const KEYS: &[Key] = &[
    Key { name: "name", doc: "identity: [a-z0-9][a-z0-9-]{0,63}", shape: Shape::Text },
    Key {
        name: "extends",
        doc: "profiles that this one extends: \"builtin:base\", or a path relative to this file",
        shape: Shape::Texts,
    },
    Key {
        name: "isolation",
        doc: "namespaces (the default), or landlock: for use inside a container that forbids namespaces",
        shape: Shape::Words(&["namespaces", "landlock"]),
    },
    Key {
        name: "command",
        doc: "what is executed, and as whom",
        shape: Shape::Table(command::KEYS),
    },
    Key { name: "env", doc: "the environment, initially empty", shape: Shape::Table(env::KEYS) },
    Key {
        name: "files",
        doc: "which files exist inside, and what may be done with them",
        shape: Shape::Table(files::KEYS),
    },
    Key {
        name: "syscalls",
        doc: "which system calls are allowed",
        shape: Shape::Table(syscalls::KEYS),
    },
    Key { name: "limits", doc: "limits of resources", shape: Shape::Table(limits::KEYS) },
    Key { name: "network", doc: "what can be reached", shape: Shape::Table(network::KEYS) },
    Key {
        name: "require",
        doc: "what this host may lack; default: nothing",
        shape: Shape::Table(require::KEYS),
    },
    Key {
        name: "call",
        doc: "what it may call, and how: a table for each callee, under the name that this profile uses for it",
        shape: Shape::Named(call::KEYS),
    },
    Key {
        name: "serve",
        doc: "what others may call here; without it, nothing",
        shape: Shape::Table(serve::KEYS),
    },
    Key {
        name: "budget",
        doc: "how much it may use up in one run",
        shape: Shape::Table(budget::KEYS),
    },
    Key {
        name: "secrets",
        doc: "secrets that are used on its behalf: a table for each",
        shape: Shape::Named(secrets::KEYS),
    },
    Key {
        name: "spawn",
        doc: "",
        shape: Shape::Refused("is not supported in this version", "remove it"),
    },
];

/// One document read: the profile, and the profiles it extends, not yet laid over them.
pub(crate) fn read<'d>(
    reader: &mut Reader<'d>,
    table: &'d DeTable<'d>,
) -> (Profile, Vec<Written<String>>) {
    let fields = reader.document(table, KEYS);
    let mut profile = Profile::default();
    let mut extends = Vec::new();
    for node in fields.all() {
        match node.name() {
            "name" => profile.name = name(reader, node),
            "isolation" => profile.isolation = isolation::read(reader, node),
            "extends" => extends = reader.list(node, Reader::text),
            "command" => profile.command = command::read(reader, node),
            "env" => profile.env = env::read(reader, node),
            "files" => profile.files = files::read(reader, node),
            "syscalls" => profile.syscalls = syscalls::read(reader, node),
            "limits" => profile.limits = limits::read(reader, node),
            "network" => profile.network = network::read(reader, node),
            "call" => profile.calls = call::read_all(reader, node),
            "serve" => profile.serve = serve::read(reader, node),
            "budget" => profile.budget = budget::read(reader, node),
            "secrets" => profile.secrets = secrets::read_all(reader, node),
            _ => profile.require = require::read(reader, node),
        }
    }
    (profile, extends)
}

fn name<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Option<Written<String>> {
    let name = reader.text(node)?;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let first = name.value.bytes().next().is_some_and(plain);
    if !first
        || name.value.len() > 64
        || !name.value.bytes().all(|byte| plain(byte) || byte == b'-')
    {
        let shown: String = name.value.chars().take(80).collect();
        reader.refuse(
            node,
            format!("{shown:?} is not a name"),
            "write 1 to 64 characters of a to z, 0 to 9 and -, not beginning with -",
        );
        return None;
    }
    Some(name)
}
