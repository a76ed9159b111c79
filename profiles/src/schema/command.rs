//! `[command]`: what is executed, and as whom.

use super::{Key, Shape, literal};
use crate::origin::{Written, replace};
use crate::place::{Place, Relative};
use crate::reader::{Node, Reader};
use crate::resolved::{Escape, Hangup};
use sandboxd_plan::Text;

/// The keys of `[command]`.
pub(crate) const KEYS: &[Key] = &[
    Key {
        name: "exec",
        doc: "program and arguments; a command on the command line replaces it",
        shape: Shape::Texts,
    },
    Key {
        name: "sha256",
        doc: "SHA-256 of the program: no other content is executed",
        shape: Shape::Text,
    },
    Key { name: "cwd", doc: "working directory inside", shape: Shape::Text },
    Key {
        name: "user",
        doc: "dynamic (its own uid, the default), invoker, or the name of a user",
        shape: Shape::Text,
    },
    Key { name: "reason", doc: "why user is root; required then", shape: Shape::Text },
    Key {
        name: "tty",
        doc: "its own terminal: auto (if standard input and output are one, the default), never, or always",
        shape: Shape::Words(&["auto", "never", "always"]),
    },
    Key {
        name: "escapes",
        doc: "what it may do with your terminal besides showing text: links, title, clipboard, reports; default: nothing",
        shape: Shape::Texts,
    },
    Key {
        name: "hangup",
        doc: "what SIGHUP to sandboxd means: stop (end the command, the default), or forward (it is \
              only forwarded, as for `systemctl reload`)",
        shape: Shape::Words(&["stop", "forward"]),
    },
    Key {
        name: "sockets",
        doc: "names of the sockets that systemd passes for it (LISTEN_FDS); default: none",
        shape: Shape::Texts,
    },
    Key {
        name: "credentials",
        doc: "names of the systemd credentials (LoadCredential=) that it may read; default: none",
        shape: Shape::Texts,
    },
    Key {
        name: "notify",
        doc: "whether its sd_notify(3) messages are passed on to systemd (READY, STATUS, WATCHDOG); \
              default: false, and sandboxd itself reports readiness",
        shape: Shape::Boolean,
    },
];

/// The words of `escapes`.
pub(crate) const ESCAPES: &[(&str, Escape)] = &[
    ("links", Escape::Links),
    ("title", Escape::Title),
    ("clipboard", Escape::Clipboard),
    ("reports", Escape::Reports),
];

/// `[command]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Command {
    /// Program and arguments.
    pub exec: Option<Written<Vec<Text>>>,
    /// Lower-case hexadecimal SHA-256 of the program.
    pub sha256: Option<Written<String>>,
    /// Working directory.
    pub cwd: Option<Written<Place>>,
    /// As whom.
    pub user: Option<Written<User>>,
    /// Why it runs as root.
    pub reason: Option<Written<String>>,
    /// When it has a terminal.
    pub tty: Option<Written<Tty>>,
    /// What it may do with the caller's terminal.
    pub escapes: Vec<Written<Escape>>,
    /// What SIGHUP means.
    pub hangup: Option<Written<Hangup>>,
    /// Names of the sockets that it gets, sd_listen_fds_with_names(3).
    pub sockets: Vec<Written<String>>,
    /// Names of the credentials that it may read, systemd.exec(5).
    pub credentials: Vec<Written<String>>,
    /// Whether its messages are passed on to the service manager, sd_notify(3).
    pub notify: Option<Written<bool>>,
}

/// When a command has a terminal of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tty {
    /// If standard input and output are one.
    Auto,
    /// Never.
    Never,
    /// If any of the three streams is one; otherwise it is not started.
    Always,
}

/// Who the command is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum User {
    /// Its own uid, leased for this run.
    Dynamic,
    /// Whoever runs `sandboxd`.
    Invoker,
    /// A user of the host.
    Named(String),
}

impl Command {
    pub(crate) fn lay(&mut self, over: Self) {
        replace(&mut self.exec, over.exec);
        replace(&mut self.sha256, over.sha256);
        replace(&mut self.cwd, over.cwd);
        replace(&mut self.user, over.user);
        replace(&mut self.reason, over.reason);
        replace(&mut self.tty, over.tty);
        self.escapes.extend(over.escapes);
        replace(&mut self.hangup, over.hangup);
        self.sockets.extend(over.sockets);
        self.credentials.extend(over.credentials);
        replace(&mut self.notify, over.notify);
    }

    /// Whether what it says is passed on to the service manager.
    #[must_use]
    pub fn notifies(&self) -> bool {
        self.notify.as_ref().is_some_and(|written| written.value)
    }
}

pub(crate) fn read<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Command {
    let mut command = Command::default();
    let Some(fields) = reader.fields(node, KEYS) else {
        return command;
    };
    for node in fields.all() {
        match node.name() {
            "exec" => command.exec = exec(reader, node),
            "sha256" => command.sha256 = digest(reader, node),
            "cwd" => command.cwd = super::files::place(reader, node, Relative::Refused),
            "user" => command.user = user(reader, node),
            "tty" => {
                let words = [("auto", Tty::Auto), ("never", Tty::Never), ("always", Tty::Always)];
                command.tty = reader.word(node, &words);
            }
            "hangup" => {
                let words = [("stop", Hangup::Stop), ("forward", Hangup::Forward)];
                command.hangup = reader.word(node, &words);
            }
            "sockets" => command.sockets = reader.list(node, socket),
            "notify" => command.notify = reader.boolean(node),
            "credentials" => command.credentials = reader.list(node, credential),
            "escapes" => {
                command.escapes = reader.list(node, |reader, item| reader.word(item, ESCAPES));
            }
            _ => command.reason = reader.reason(node),
        }
    }
    command
}

fn exec<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Option<Written<Vec<Text>>> {
    let words = reader.list(node, |reader, item| {
        let word = literal::text(reader, item)?;
        Text::try_from(word.value.as_str()).ok()
    });
    if words.first().is_none_or(|program| program.as_bytes().is_empty()) {
        reader.refuse(node, "names no program", "write [\"/usr/bin/program\", \"argument\"]");
        return None;
    }
    Some(Written { value: words, origin: reader.origin(node) })
}

/// What the name of a socket is made of, and how long it is at most, systemd.socket(5)
/// `FileDescriptorName=`.
fn names_a_socket(name: &str) -> bool {
    let fits = |byte: u8| matches!(byte, b' '..=b'~') && byte != b':';
    matches!(name.len(), 1..=255) && name.bytes().all(fits)
}

fn socket<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Option<Written<String>> {
    let name = reader.text(node)?;
    if !names_a_socket(&name.value) {
        let what = format!("{:?} is not the name of a socket", name.value);
        let remedy = "write the value of FileDescriptorName=, or the name of the .socket unit";
        reader.refuse(node, what, remedy);
        return None;
    }
    Some(name)
}

/// Whether this can be the name of a credential, which is a file, systemd.exec(5).
pub(crate) fn names_a_credential(name: &str) -> bool {
    names_a_socket(name) && !name.contains('/') && name != "." && name != ".."
}

pub(crate) fn credential<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Option<Written<String>> {
    let name = reader.text(node)?;
    if !names_a_credential(&name.value) {
        let what = format!("{:?} is not the name of a credential", name.value);
        reader.refuse(node, what, "write what LoadCredential= has before the colon");
        return None;
    }
    Some(name)
}

fn digest<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Option<Written<String>> {
    let digest = reader.text(node)?;
    let hexadecimal = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if digest.value.len() != 64 || !digest.value.bytes().all(hexadecimal) {
        reader.refuse(node, "not a SHA-256", "write the 64 digits that sha256sum prints");
        return None;
    }
    Some(digest)
}

fn user<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Option<Written<User>> {
    let name = reader.text(node)?;
    if name.value.is_empty() || name.value.bytes().all(|byte| byte.is_ascii_digit()) {
        let what = format!("{:?} is not the name of a user", name.value);
        reader.refuse(node, what, "write dynamic, invoker, or a name from /etc/passwd");
        return None;
    }
    Some(name.map(|name| match name.as_str() {
        "dynamic" => User::Dynamic,
        "invoker" => User::Invoker,
        _ => User::Named(name),
    }))
}
