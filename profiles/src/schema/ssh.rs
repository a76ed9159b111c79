//! `[secrets.NAME].ssh`: which logins a key signs, and what else.

use super::secrets::at;
use super::{Key, Shape};
use crate::origin::Written;
use crate::place::Place;
use crate::reader::{Node, Reader};
use sandboxd_egress_plan::{HostKey, HostName, ssh};

/// The keys of `ssh`.
pub(crate) const KEYS: &[Key] = &[
    Key {
        name: "hosts",
        doc: "logins that it signs: \"git@github.com\", \"deploy@build.example:2222\"; network.egress has \
              to allow tcp://HOST:PORT",
        shape: Shape::Texts,
    },
    Key {
        name: "host_keys",
        doc: "the public keys of the one host that the table names, as known_hosts has them: \"ssh-ed25519 AAAA…\"",
        shape: Shape::Texts,
    },
    Key {
        name: "known_hosts",
        doc: "or the file that has them, such as {home}/.ssh/known_hosts",
        shape: Shape::Text,
    },
    Key {
        name: "sign",
        doc: "namespaces of signatures that it makes: \"git\" for commits and tags",
        shape: Shape::Texts,
    },
];

/// What a key signs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ssh {
    /// The logins that it signs.
    pub hosts: Vec<Written<LogsIn>>,
    /// The keys of these hosts.
    pub host_keys: Vec<Written<HostKey>>,
    /// The file that has them.
    pub known_hosts: Option<Written<Place>>,
    /// Namespaces of signatures.
    pub sign: Vec<Written<String>>,
}

/// A user at a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogsIn {
    /// The user.
    pub user: String,
    /// The host.
    pub host: HostName,
    /// The port.
    pub port: u16,
}

/// Where SSH listens.
pub(crate) const PORT: u16 = 22;

impl LogsIn {
    /// What has to be let out for it.
    #[must_use]
    pub fn place(&self) -> String {
        format!("tcp://{}:{}", self.host, self.port)
    }

    /// The host as a line of `known_hosts` begins.
    #[must_use]
    pub fn known(&self) -> String {
        match self.port {
            PORT => self.host.to_string(),
            port => format!("[{}]:{port}", self.host),
        }
    }
}

impl std::fmt::Display for LogsIn {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "{}@{}", self.user, self.host)?;
        if self.port == PORT { Ok(()) } else { write!(to, ":{}", self.port) }
    }
}

const EXAMPLE: &str = "write it as in \"git@github.com\", or with a port, \"git@git.example:2222\"";

pub(crate) fn read<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Option<Written<Ssh>> {
    let fields = reader.fields(node, KEYS)?;
    let origin = reader.origin(node);
    let mut value = Ssh::default();
    for node in fields.all() {
        match node.name() {
            "hosts" => value.hosts = reader.list(node, logs_in),
            "host_keys" => value.host_keys = reader.list(node, host_key),
            "known_hosts" => {
                let text = reader.text(node)?;
                value.known_hosts = at(reader, node, &text.value).map(|place| text.map(|_| place));
            }
            _ => value.sign = reader.list(node, namespace),
        }
    }
    Some(Written { value, origin })
}

fn logs_in<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Option<Written<LogsIn>> {
    let text = reader.text(node)?;
    let read = || -> Result<LogsIn, String> {
        let said = "does not name a user and a host".to_owned();
        let (user, place) = text.value.rsplit_once('@').ok_or(said)?;
        if !ssh::is_name(user) {
            return Err("has no user: 1 to 64 letters, and no space".to_owned());
        }
        let (host, port) = match place.split_once(':') {
            Some((host, port)) => (host, port.parse().ok().filter(|port| *port != 0)),
            None => (place, Some(PORT)),
        };
        let port = port.ok_or("its port is not a number from 1 to 65535")?;
        let host = HostName::read(host.as_bytes()).map_err(|error| format!("its host: {error}"))?;
        Ok(LogsIn { user: user.to_owned(), host, port })
    };
    match read() {
        Ok(value) => Some(text.map(|_| value)),
        Err(what) => {
            reader.refuse(node, what, EXAMPLE);
            None
        }
    }
}

fn host_key<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Option<Written<HostKey>> {
    let text = reader.text(node)?;
    match HostKey::read(&text.value) {
        Ok(key) => Some(text.map(|_| key)),
        Err(error) => {
            let remedy = "write what follows the name in known_hosts, or what ssh-keyscan HOST prints after it, compared with what the host's owner publishes";
            reader.refuse(node, error.to_string(), remedy);
            None
        }
    }
}

fn namespace<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Option<Written<String>> {
    let text = reader.text(node)?;
    if !ssh::is_name(&text.value) {
        let remedy = "write it as ssh-keygen -Y sign -n has it: git for commits and tags";
        reader.refuse(node, "is not a namespace", remedy);
        return None;
    }
    Some(text)
}
