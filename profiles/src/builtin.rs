//! The profiles that are part of the product.

use crate::source::Document;

/// A profile that ships.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Builtin {
    /// `base`; written `builtin:base` in a profile.
    pub name: &'static str,
    /// One line.
    pub description: &'static str,
    /// The TOML.
    pub text: &'static str,
}

const ALL: &[Builtin] = &[
    Builtin {
        name: "base",
        description: "what nearly every program reads; extend it for your own profiles",
        text: include_str!("../builtin/base.toml"),
    },
    Builtin {
        name: "untrusted",
        description: "only the system's programs and libraries",
        text: include_str!("../builtin/untrusted.toml"),
    },
    Builtin {
        name: "coding-agent",
        description: "edits the current folder, with compilers and language toolchains",
        text: include_str!("../builtin/coding-agent.toml"),
    },
    Builtin {
        name: "mcp-server",
        description: "a tool on stdin and stdout; sees no folder unless one is granted",
        text: include_str!("../builtin/mcp-server.toml"),
    },
    Builtin {
        name: "python-tool",
        description: "a Python program that reads the current folder",
        text: include_str!("../builtin/python-tool.toml"),
    },
    Builtin {
        name: "node-tool",
        description: "a Node program that reads the current folder",
        text: include_str!("../builtin/node-tool.toml"),
    },
    Builtin {
        name: "ci-job",
        description: "builds and tests the current folder; not started if anything cannot be protected",
        text: include_str!("../builtin/ci-job.toml"),
    },
    Builtin {
        name: "container",
        description: "inside a container that forbids namespaces: Landlock and seccomp only",
        text: include_str!("../builtin/container.toml"),
    },
];

/// What sandboxd's own services run under. They can be shown, and are no start for anything else.
const SERVICES: &[Builtin] = &[
    Builtin {
        name: "terminal",
        description: "filters what a command writes to the terminal",
        text: include_str!("../builtin/terminal.toml"),
    },
    Builtin {
        name: "broker",
        description: "relays calls",
        text: include_str!("../builtin/broker.toml"),
    },
    Builtin {
        name: "egress",
        description: "carries connections to the hosts that a profile names",
        text: include_str!("../builtin/egress.toml"),
    },
    Builtin {
        name: "notify",
        description: "reads what a command sends to systemd",
        text: include_str!("../builtin/notify.toml"),
    },
];

/// All that are for programs.
#[must_use]
pub fn list() -> &'static [Builtin] {
    ALL
}

/// The one of this name, without `builtin:`, those of services among them.
#[must_use]
pub fn find(name: &str) -> Option<Document> {
    ALL.iter().chain(SERVICES).find(|builtin| builtin.name == name).map(|builtin| Document {
        name: format!("builtin:{name}"),
        folder: None,
        text: builtin.text.to_owned(),
    })
}

/// The name that was meant, most likely.
#[must_use]
pub fn near(name: &str) -> Option<&'static str> {
    let names: Vec<&str> = ALL.iter().map(|builtin| builtin.name).collect();
    crate::reader::near(name, &names)
}

/// Their names, for messages.
pub(crate) fn names() -> String {
    let names: Vec<String> =
        ALL.iter().map(|builtin| format!("builtin:{}", builtin.name)).collect();
    names.join(", ")
}
