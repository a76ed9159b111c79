//! Secrets: where each is read, and that nobody inside could read it there too.

use super::kept::{self, Needed};
use super::under::Left;
use super::{Deciding, count};
use crate::origin::{Origin, Written};
use crate::place::Place;
use crate::resolved::{Copied, From, Held};
use crate::schema::{Secret, Secrets, Source};
use sandboxd_broker_plan::Name;
use sandboxd_plan::{HostPath, JailPath};
use std::collections::BTreeMap;

/// So many can be held: each takes a page that is never written to a disk.
const MOST: usize = 64;

/// The secrets of a run, decided.
#[derive(Debug, Default)]
pub(super) struct Decided {
    /// By their places.
    pub(super) held: Vec<Held>,
    /// The names of files that the command reads, and which they hold.
    files: BTreeMap<String, u32>,
}

impl Decided {
    /// The files that the command reads.
    pub(super) fn files(&self) -> impl Iterator<Item = (String, Copied)> {
        self.files.iter().map(|(name, place)| (name.clone(), Copied::Secret(*place)))
    }
}

/// Where the profile says that the command may read one.
pub(super) fn origins(secrets: &Secrets) -> impl Iterator<Item = &Origin> {
    secrets.values().filter_map(|secret| Some(&secret.value.credential.as_ref()?.origin))
}

impl Deciding<'_> {
    /// Which are held, and for whom.
    pub(super) fn secrets(&mut self, left: &Left) -> Decided {
        let mut decided = Decided::default();
        let secrets = &self.profile.secrets;
        if let Some(secret) = secrets.values().nth(MOST) {
            let what = format!("more than {MOST} secrets");
            self.refuse(&secret.origin, what, "give a command only what it needs");
        }
        for (name, secret) in secrets {
            self.is_used(name, secret);
            let place = count(decided.held.len());
            if let Some(file) = &secret.value.credential {
                self.is_a_file(file);
                if decided.files.insert(file.value.clone(), place).is_some() {
                    let what = format!("another secret has the file name {:?}, too", file.value);
                    self.refuse(&file.origin, what, "write another name");
                }
            }
            self.is_kept(&secret.value, left);
            let Some(from) = self.source(secret) else { continue };
            decided.held.push(Held { name: name.to_string(), from });
        }
        decided
    }

    fn is_used(&mut self, name: &Name, secret: &Written<Secret>) {
        let Secret { credential, inject, ssh, placeholder, .. } = &secret.value;
        let stands = !placeholder.is_empty();
        if credential.is_none() && inject.is_empty() && ssh.is_empty() && !stands {
            let remedy = "write inject = { … } to inject it into requests, ssh = { … } to sign logins with it, placeholder = { … } to put it into arguments of tools, credential = true to let the command read it as a file, or remove it";
            self.refuse(&secret.origin, format!("nothing uses {name}"), remedy);
        }
    }

    /// A file of the command's own.
    fn is_a_file(&mut self, file: &Written<String>) {
        if self.is_bare() {
            let what = "without a mount view there is no file that only the command can find";
            let remedy = "run it with isolation = \"namespaces\", or let systemd pass it ([command].credentials)";
            self.refuse(&file.origin, what, remedy);
        }
        let passed = &self.profile.command.credentials;
        if passed.iter().any(|passed| passed.value == file.value) {
            let what = format!("[command].credentials also has {:?}", file.value);
            self.refuse(&file.origin, what, "write another name, or remove it there");
        }
    }

    /// Nothing that it is read from may be in reach of the command, who would else read it there, or say what it is.
    fn is_kept(&mut self, secret: &Secret, left: &Left) {
        for Needed { place, kept, origin } in kept::needed(secret) {
            let path = match &place {
                Some(place) => self.path_of(place, &origin),
                None => self.host.ssh_agent.clone(),
            };
            let Some(path) = path else { continue };
            if let Some(tree) = shows(left, &path, |write| kept.is_broken(write)) {
                let (what, remedy) = kept.by_the_command(&tree, &path);
                self.refuse(&origin, what, remedy);
            }
        }
    }

    /// Where it is read.
    fn source(&mut self, secret: &Written<Secret>) -> Option<From> {
        let Some(written) = &secret.value.from else {
            let remedy = "write from = \"file:/etc/sandboxd/secrets/NAME\", or systemd:, env:, exec:, age: or agent:";
            self.refuse(&secret.origin, "nothing says where to read it from", remedy);
            return None;
        };
        let origin = &written.origin;
        Some(match &written.value {
            Source::File(place) => From::File(self.path_of(place, origin)?),
            Source::Passed(name) => {
                self.is_not_handed_on(name, secret);
                From::Systemd(name.clone())
            }
            Source::Variable(name) => {
                self.is_not_passed(name, origin);
                From::Env(name.clone())
            }
            Source::Program(place, arguments) => {
                From::Exec { program: self.path_of(place, origin)?, arguments: arguments.clone() }
            }
            Source::Age { file, identity } => From::Age {
                file: self.path_of(file, origin)?,
                identity: self.path_of(identity, origin)?,
            },
            Source::Agent { key, socket } => {
                self.only_signs(secret);
                From::Agent { socket: self.agents_socket(socket.as_ref(), origin)?, key: *key }
            }
        })
    }

    /// What an agent keeps is not here to be read.
    fn only_signs(&mut self, secret: &Written<Secret>) {
        let Secret { credential, inject, placeholder, .. } = &secret.value;
        let origins = [
            credential.as_ref().map(|one| &one.origin),
            inject.first().map(|one| &one.origin),
            placeholder.first().map(|one| &one.origin),
        ];
        for origin in origins.into_iter().flatten() {
            let what = "an ssh-agent signs with its key, and never reveals it";
            self.refuse(origin, what, "write only ssh = { … }, or read another secret for this");
        }
    }

    /// Where the agent listens.
    fn agents_socket(&mut self, socket: Option<&Place>, origin: &Origin) -> Option<HostPath> {
        if let Some(place) = socket {
            return self.path_of(place, origin);
        }
        if self.host.ssh_agent.is_none() {
            let what =
                "sandboxd was started without SSH_AUTH_SOCK, which says where your ssh-agent is";
            let remedy = "start one and add the key (eval $(ssh-agent); ssh-add FILE), with sudo pass it on (sudo --preserve-env=SSH_AUTH_SOCK sandboxd …), or add socket = \"/path\"";
            self.refuse(origin, what, remedy);
        }
        self.host.ssh_agent.clone()
    }

    /// A variable that a secret is read from is not one that the command gets.
    fn is_not_passed(&mut self, name: &str, origin: &Origin) {
        if self.profile.env.pass.iter().any(|passed| passed.name.value == name) {
            let what = format!("[env].pass also gives {name} to the command");
            self.refuse(origin, what, "remove it there: the command must not have it");
        }
    }

    /// A credential that a secret is read from is not one that the command gets, unless it has the secret
    /// anyway.
    fn is_not_handed_on(&mut self, name: &str, secret: &Written<Secret>) {
        let passed = &self.profile.command.credentials;
        let passed = passed.iter().find(|passed| passed.value == name);
        if let (Some(passed), None) = (passed, &secret.value.credential) {
            let what = format!("{name:?} is a secret that the command must not have");
            let remedy = "remove it here, or write credential = true for the secret instead";
            self.refuse(&passed.origin, what, remedy);
        }
    }

    fn path_of(&mut self, place: &Place, origin: &Origin) -> Option<HostPath> {
        self.folder(&Written { value: place.clone(), origin: origin.clone() })
    }
}

/// The tree that the command finds this file in, where there is one and nothing hides it.
fn shows(left: &Left, path: &HostPath, counts: impl Fn(bool) -> bool) -> Option<HostPath> {
    let shown = &left.shown;
    let found = shown.trees.iter().find(|tree| {
        let hidden =
            |inside: &JailPath| left.holes.iter().any(|hole| inside.is_within(&hole.place));
        let names = tree.names(path);
        let mut places = names.iter().filter_map(|name| tree.place(name));
        counts(tree.write) && places.any(|inside| !hidden(&inside))
    });
    found.map(|tree| tree.from.clone())
}
