//! What the egress process is handed beside its sockets, and no plan has: secrets that it puts into
//! requests, and an authority of the sandbox's own where TLS is ended for that.

use super::error::StartError;
use super::image;
use crate::network::passed;
use crate::secret::Secrets;
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::{Errno, Result as Called};
use sandboxd_egress::authority::Authority;
use sandboxd_egress::secret::{self, Message};
use sandboxd_egress_plan::EgressPlan;
use std::fs;
use std::io::ErrorKind;
use std::time::SystemTime;

/// Where hosts have the certificates that they trust, all in one file: Debian and its kin, Fedora and
/// its, openSUSE, Alpine.
const ROOTS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Who is trusted on either side of where TLS is ended.
pub(super) struct Trusted {
    /// Whose certificates the command is shown.
    authority: Authority,
    /// Whose certificates upstreams may show.
    roots: String,
}

impl Trusted {
    /// A new authority, and what the host trusts.
    ///
    /// # Errors
    /// Where there is none, or nothing that the host trusts.
    pub(super) fn made(id: &str) -> Result<Self, StartError> {
        let authority = Authority::new(id, SystemTime::now())
            .map_err(|error| StartError::found("authority", error.to_string()))?;
        Ok(Self { authority, roots: roots()? })
    }

    /// The certificates that the command trusts, as a file.
    ///
    /// # Errors
    /// Where memory is short.
    pub(super) fn bundle(&self) -> Result<OwnedFd, StartError> {
        image::copy(format!("{}\n{}", self.roots, self.authority.pem()).as_bytes())
    }
}

fn roots() -> Result<String, StartError> {
    for path in ROOTS {
        match fs::read_to_string(path) {
            Ok(text) => return Ok(text),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(StartError::io("open", path, &error)),
        }
    }
    Err(StartError::found("certificates", ROOTS.join(", ")).with_remedy(
        "install the authorities that this host trusts (ca-certificates): upstreams are held against them",
    ))
}

/// What is handed over.
pub(crate) struct Keys {
    message: Message,
    roots: Option<OwnedFd>,
}

impl Keys {
    /// What this plan wants.
    ///
    /// # Errors
    /// Where a secret is not there, or all of them are too much.
    pub(super) fn of(
        plan: &EgressPlan,
        held: &Secrets,
        trusted: Option<Trusted>,
    ) -> Result<Self, StartError> {
        let wrong = |what: String| StartError::found("secrets", what);
        let mut secrets = secret::Secrets::default();
        for name in &plan.secrets {
            let secret = held.all().iter().find(|secret| secret.name == *name);
            secrets.push(secret.ok_or_else(|| wrong(name.clone()))?.line());
        }
        secrets.check(plan).map_err(|error| {
            let remedy =
                "see that it is written where [secrets] says, in letters that a request can have";
            wrong(error.to_string()).with_remedy(remedy)
        })?;
        let message = secret::encode(&secrets, trusted.as_ref().map(|trusted| &trusted.authority))
            .map_err(|error| wrong(error.to_string()))?;
        let roots = trusted.map(|trusted| image::copy(trusted.roots.as_bytes())).transpose()?;
        Ok(Self { message, roots })
    }

    /// Hands it over. Does not wait.
    ///
    /// # Errors
    /// Where it cannot be sent.
    pub(crate) fn send(&self, to: impl AsFd) -> Called<()> {
        let roots = self.roots.iter().map(AsFd::as_fd).collect();
        passed::send_all(roots, &self.message, to)
    }
}

/// Waits for it.
///
/// # Errors
/// Where it does not come, or is something else.
pub(crate) fn receive(from: impl AsFd) -> Called<(Message, Option<OwnedFd>)> {
    let mut message = Message::new(vec![0; secret::HANDED]);
    let (length, mut all) = passed::receive_into(from, &mut message)?;
    if all.len() > 1 {
        return Err(Errno::BADMSG);
    }
    message.truncate(length);
    Ok((message, all.pop()))
}
