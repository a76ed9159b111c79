//! How what a secret is read from is kept from a sandbox: whoever reads it there has the secret, and whoever writes
//! it says what it is. The same rules hold for the command whose secret it is ([`secrets`](super::secrets)) and for
//! all that are in a call graph with it ([`graph`](crate::graph)).

use crate::origin::Origin;
use crate::place::Place;
use crate::schema::{Secret, Source};
use sandboxd_plan::HostPath;

/// What no sandbox may do with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Write it, and so say what it is.
    Unwritten,
    /// See it at all, and so do this by itself.
    Unseen(&'static str),
}

/// What is needed for a secret, and is kept.
#[derive(Debug)]
pub(crate) struct Needed {
    /// Where it is; nothing for where `SSH_AUTH_SOCK` says.
    pub(crate) place: Option<Place>,
    pub(crate) kept: Kept,
    pub(crate) origin: Origin,
}

/// Everything of the host's that is needed for a secret.
pub(crate) fn needed(secret: &Secret) -> Vec<Needed> {
    let mut all = Vec::new();
    if let Some(from) = &secret.from {
        let one = |place: Option<&Place>, kept| Needed {
            place: place.cloned(),
            kept,
            origin: from.origin.clone(),
        };
        match &from.value {
            Source::File(place) => all.push(one(Some(place), Kept::Unseen("read"))),
            Source::Program(place, arguments) => {
                all.push(one(Some(place), Kept::Unwritten));
                // Its script, or what it decrypts.
                let paths = arguments.iter().filter_map(|one| HostPath::try_from(&**one).ok());
                all.extend(paths.map(|path| one(Some(&Place::from(path)), Kept::Unwritten)));
            }
            Source::Age { file, identity } => {
                all.push(one(Some(file), Kept::Unwritten));
                all.push(one(Some(identity), Kept::Unseen("read")));
            }
            Source::Agent { socket, .. } => all.push(one(socket.as_ref(), Kept::Unseen("ask"))),
            Source::Passed(_) | Source::Variable(_) => {}
        }
    }
    // What says who a host is.
    let known = secret.ssh.iter().filter_map(|ssh| ssh.value.known_hosts.as_ref());
    all.extend(known.map(|file| Needed {
        place: Some(file.value.clone()),
        kept: Kept::Unwritten,
        origin: file.origin.clone(),
    }));
    all
}

impl Kept {
    /// Whether a tree that shows it, and may be written or not, breaks it.
    pub(crate) fn is_broken(self, write: bool) -> bool {
        match self {
            Self::Unwritten => write,
            Self::Unseen(_) => true,
        }
    }

    /// What is wrong where the command has this tree, and what to do.
    pub(crate) fn by_the_command(self, tree: &HostPath, path: &HostPath) -> (String, String) {
        match self {
            Self::Unwritten => (
                format!("the command may write {tree}, and so replace {path}"),
                "move it to where the command cannot write".into(),
            ),
            Self::Unseen(verb) => (
                format!("[files] shows {tree}, so the command could {verb} {path} itself"),
                "move it elsewhere, or add it to files.hide".into(),
            ),
        }
    }

    /// The same where another profile has it: its name, and its file.
    pub(crate) fn by_another(
        self,
        (name, file): (&str, &str),
        tree: &HostPath,
        path: &HostPath,
    ) -> (String, String) {
        match self {
            Self::Unwritten => (
                format!("{name} may write {tree}, and so replace {path}"),
                format!("move it to where {name} cannot write"),
            ),
            Self::Unseen(verb) => (
                format!("{name} is shown {tree}, so it could {verb} {path} itself"),
                format!("move it elsewhere, or add it to files.hide of {file}"),
            ),
        }
    }
}
