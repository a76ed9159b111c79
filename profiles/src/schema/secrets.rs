//! `[secrets.NAME]`: where a secret is read from, and how it is used.

use super::inject::{self, Injected};
use super::placeholder::{self, Placed};
use super::ssh::{self, Ssh};
use super::{Key, Shape, literal};
use crate::origin::{Written, replace};
use crate::place::{Place, Relative};
use crate::reader::{Node, Reader};
use sandboxd_broker_plan::Name;
use sandboxd_egress_plan::Fingerprint;
use std::collections::BTreeMap;
use toml::de::DeValue;

/// The keys of `[secrets.NAME]`.
pub(crate) const KEYS: &[Key] = &[
    Key {
        name: "from",
        doc: "where sandboxd reads it from before the start: file:PATH, systemd:NAME (a credential that systemd \
              passes), env:NAME (a variable of sandboxd's own), exec:PROGRAM (what it prints), age:FILE \
              (an encrypted file), or agent:SHA256:… (a key that your ssh-agent keeps, by its fingerprint)",
        shape: Shape::Text,
    },
    Key { name: "arguments", doc: "arguments of the program of exec:", shape: Shape::Texts },
    Key {
        name: "identity",
        doc: "for age: the file with the key that decrypts it, which no one else may read",
        shape: Shape::Text,
    },
    Key {
        name: "socket",
        doc: "for agent: the socket of the ssh-agent; default: SSH_AUTH_SOCK",
        shape: Shape::Text,
    },
    Key {
        name: "credential",
        doc: "true, or another name: the command reads it as a file in $CREDENTIALS_DIRECTORY",
        shape: Shape::OrText,
    },
    Key {
        name: "inject",
        doc: "the requests that sandboxd injects it into: the command uses it but never has it",
        shape: Shape::OneOrMore(inject::KEYS),
    },
    Key {
        name: "ssh",
        doc: "the SSH logins that it signs as a private key: the command logs in with it but never \
              has it",
        shape: Shape::OneOrMore(ssh::KEYS),
    },
    Key {
        name: "placeholder",
        doc: "the arguments of tools in which it replaces {{secret:NAME}}: the command writes that but \
              never has it",
        shape: Shape::OneOrMore(placeholder::KEYS),
    },
];

/// `[secrets.NAME]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secret {
    /// Where it is read from.
    pub from: Option<Written<Source>>,
    /// The name of the file that the command reads it in.
    pub credential: Option<Written<String>>,
    /// The requests that it is injected into.
    pub inject: Vec<Written<Injected>>,
    /// What it signs, if it is a private key of OpenSSH.
    pub ssh: Vec<Written<Ssh>>,
    /// Where it replaces its placeholder.
    pub placeholder: Vec<Written<Placed>>,
}

/// Where a secret is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file that only its owner may read.
    File(Place),
    /// A credential that the service manager passes, by its name.
    Passed(String),
    /// A variable of sandboxd's own environment.
    Variable(String),
    /// What a program prints, and its arguments.
    Program(Place, Vec<String>),
    /// A file that is encrypted, and the file with the key.
    Age {
        /// The file.
        file: Place,
        /// The file with the key.
        identity: Place,
    },
    /// An ssh-agent of whoever runs sandboxd, which keeps it.
    Agent {
        /// What the key is known by.
        key: Fingerprint,
        /// Where the agent listens; nothing for where `SSH_AUTH_SOCK` says.
        socket: Option<Place>,
    },
}

/// All the secrets of a profile, by their names.
pub type Secrets = BTreeMap<Name, Written<Secret>>;

pub(crate) fn lay(secrets: &mut Secrets, over: Secrets) {
    for (name, over) in over {
        match secrets.get_mut(&name) {
            Some(secret) => {
                replace(&mut secret.value.from, over.value.from);
                replace(&mut secret.value.credential, over.value.credential);
                secret.value.inject.extend(over.value.inject);
                secret.value.ssh.extend(over.value.ssh);
                secret.value.placeholder.extend(over.value.placeholder);
                secret.origin = over.origin;
            }
            None => {
                secrets.insert(name, over);
            }
        }
    }
}

pub(crate) fn read_all<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Secrets {
    let mut secrets = Secrets::new();
    let Some(entries) = reader.entries(node, "write [secrets.NAME] with from") else {
        return secrets;
    };
    for node in entries.all() {
        let secret = read(reader, node);
        match Name::try_from(node.name()) {
            Ok(name) => {
                let origin = reader.origin_of_key(node);
                secrets.insert(name, Written { value: secret, origin });
            }
            Err(error) => {
                let remedy = "name it as in [secrets.model]";
                reader.refuse_key(node, &error.to_string(), remedy);
            }
        }
    }
    secrets
}

fn read<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Secret {
    let mut secret = Secret::default();
    let own = node.name();
    let Some(fields) = reader.fields(node, KEYS) else {
        return secret;
    };
    let beside = Beside {
        arguments: fields.get("arguments").map(|node| reader.list(node, literal::text)),
        identity: fields.get("identity").and_then(|node| path(reader, node)),
        socket: fields.get("socket").and_then(|node| path(reader, node)),
    };
    secret.from = fields.get("from").and_then(|node| from(reader, node, &beside));
    // Of one that is wrong it is not known what it has.
    let is = |fits: fn(&Source) -> bool| match (&secret.from, fields.get("from")) {
        (Some(from), _) => fits(&from.value),
        (None, written) => written.is_some(),
    };
    for (name, fits, of, example) in [
        ("arguments", is(|from| matches!(from, Source::Program(..))), "exec:", "/path"),
        ("identity", is(|from| matches!(from, Source::Age { .. })), "age:", "/path"),
        ("socket", is(|from| matches!(from, Source::Agent { .. })), "agent:", "SHA256:…"),
    ] {
        if let (Some(node), false) = (fields.get(name), fits) {
            let remedy = format!("add from = \"{of}{example}\", or remove it");
            reader.refuse(node, format!("only applies to {of}"), remedy);
        }
    }
    if let Some(node) = fields.get("inject") {
        secret.inject = one_or_more(reader, node, inject::read);
    }
    if let Some(node) = fields.get("ssh") {
        secret.ssh = one_or_more(reader, node, ssh::read);
    }
    if let Some(node) = fields.get("placeholder") {
        secret.placeholder = one_or_more(reader, node, placeholder::read);
    }
    secret.credential = fields.get("credential").and_then(|node| credential(reader, node, own));
    secret
}

/// A table, or a list of them.
fn one_or_more<'d, T>(
    reader: &mut Reader<'d>,
    node: &Node<'d>,
    read: fn(&mut Reader<'d>, &Node<'d>) -> Option<T>,
) -> Vec<T> {
    if matches!(node.value, DeValue::Array(_)) {
        return reader.list(node, read);
    }
    read(reader, node).into_iter().collect()
}

/// What is written beside `from`.
struct Beside {
    arguments: Option<Vec<Written<String>>>,
    identity: Option<Written<Place>>,
    socket: Option<Written<Place>>,
}

const FROM: &str = "write file:/etc/sandboxd/secrets/model, systemd:NAME, env:NAME, exec:/usr/bin/PROGRAM, \
                    age:/etc/sandboxd/secrets/model.age or agent:SHA256:…";

fn from<'d>(reader: &mut Reader<'d>, node: &Node<'d>, beside: &Beside) -> Option<Written<Source>> {
    let text = reader.text(node)?;
    let Some((kind, rest)) = text.value.split_once(':') else {
        reader.refuse(node, "does not say what kind it is", FROM);
        return None;
    };
    let source = match kind {
        "file" => Source::File(at(reader, node, rest)?),
        "systemd" if super::command::names_a_credential(rest) => Source::Passed(rest.to_owned()),
        "systemd" => {
            let what = format!("{rest:?} is not the name of a credential");
            reader.refuse(node, what, "write what LoadCredential= has before the colon");
            return None;
        }
        "env" if names_a_variable(rest) => Source::Variable(rest.to_owned()),
        "env" => {
            let what = format!("{rest:?} is not the name of a variable");
            reader.refuse(node, what, "write only its name, as in env:MODEL_KEY");
            return None;
        }
        "exec" => {
            let arguments = beside.arguments.iter().flatten().map(|one| one.value.clone());
            Source::Program(program(reader, node, rest)?, arguments.collect())
        }
        "age" => {
            let file = at(reader, node, rest)?;
            let Some(identity) = &beside.identity else {
                let remedy = "add identity = \"/path/of/the/key\", such as age-keygen creates";
                reader.refuse(node, "needs identity, the key that decrypts it", remedy);
                return None;
            };
            Source::Age { file, identity: identity.value.clone() }
        }
        "agent" => Source::Agent {
            key: fingerprint(reader, node, rest)?,
            socket: beside.socket.as_ref().map(|socket| socket.value.clone()),
        },
        _ => {
            reader.refuse(node, format!("{kind:?} is not a known source"), FROM);
            return None;
        }
    };
    Some(text.map(|_| source))
}

/// Which of an agent's keys it is: there is no "whichever it has".
fn fingerprint<'d>(reader: &mut Reader<'d>, node: &Node<'d>, text: &str) -> Option<Fingerprint> {
    match Fingerprint::try_from(text.to_owned()) {
        Ok(key) => Some(key),
        Err(error) => {
            let remedy =
                "write it as ssh-add -l prints it, agent:SHA256:…, or ssh-keygen -l -f KEY.pub";
            reader.refuse(node, format!("{text:?} {error}"), remedy);
            None
        }
    }
}

fn names_a_variable(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'=')
}

/// A program is executed with the rights of whoever runs sandboxd: nothing is looked up for it.
fn program<'d>(reader: &mut Reader<'d>, node: &Node<'d>, text: &str) -> Option<Place> {
    if text.contains(char::is_whitespace) {
        let remedy = "write only the program here, and add arguments = [\"…\"]: there is no shell";
        reader.refuse(node, "has a space", remedy);
        return None;
    }
    match Place::read(text, Relative::Refused) {
        Ok(place) => Some(place),
        Err((what, remedy)) => {
            reader.refuse(node, what, remedy);
            None
        }
    }
}

pub(super) fn at<'d>(reader: &mut Reader<'d>, node: &Node<'d>, text: &str) -> Option<Place> {
    let folder = reader.source.folder.clone();
    let relative = folder.as_ref().map_or(Relative::FromCwd, Relative::From);
    match Place::read(text, relative) {
        Ok(place) => Some(place),
        Err((what, remedy)) => {
            reader.refuse(node, what, remedy);
            None
        }
    }
}

fn path<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Option<Written<Place>> {
    let text = reader.text(node)?;
    let place = at(reader, node, &text.value)?;
    Some(text.map(|_| place))
}

/// `true` for a file of the secret's own name.
fn credential<'d>(reader: &mut Reader<'d>, node: &Node<'d>, own: &str) -> Option<Written<String>> {
    if let DeValue::Boolean(wanted) = node.value {
        let origin = reader.origin(node);
        return wanted.then(|| Written { value: own.to_owned(), origin });
    }
    super::command::credential(reader, node)
}
