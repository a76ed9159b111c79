//! What the egress process is handed beside its sockets, and no plan has: secrets that it puts into
//! requests, with a socket at which these come anew, and an authority of the sandbox's own where TLS is ended
//! for that.

use super::error::StartError;
use super::image;
use super::lender::Lender;
use crate::network::passed;
use crate::secret::Secrets;
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::{Errno, Result as Called};
use sandboxd_audit::chain::digest as sha256;
use sandboxd_egress::authority::{Authority, java::trust_store};
use sandboxd_egress::secret::{self, Message};
use sandboxd_egress::ssh::{agent, private};
use sandboxd_egress_plan::{EgressPlan, Kept};
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

    /// Whether the host still trusts whom it did.
    ///
    /// # Errors
    /// Where nothing says so.
    pub(super) fn trusts_the_same(digest: &str) -> Result<bool, StartError> {
        roots().map(|roots| sha256(roots.as_bytes()) == digest)
    }

    /// What tells whether the host trusts the same.
    pub(super) fn digest(&self) -> String {
        sha256(self.roots.as_bytes())
    }

    /// The certificates that the command trusts, as a file.
    ///
    /// # Errors
    /// Where memory is short.
    pub(super) fn bundle(&self) -> Result<OwnedFd, StartError> {
        image::copy(self.pem().as_bytes())
    }

    /// The same, as Java reads them.
    ///
    /// # Errors
    /// Where memory is short.
    pub(super) fn java_store(&self) -> Result<OwnedFd, StartError> {
        image::copy(&trust_store(self.pem().as_bytes()))
    }

    fn pem(&self) -> String {
        format!("{}\n{}", self.roots, self.authority.pem())
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
        "install the authorities that this host trusts (ca-certificates): servers are verified against them",
    ))
}

/// What is handed over.
pub(crate) struct Keys {
    message: Message,
    roots: Option<OwnedFd>,
    /// Where secrets come anew, where there are any.
    renewals: Option<OwnedFd>,
    /// Where the egress process asks for connections to agents that keep keys, and who makes them.
    lender: Option<(Lender, OwnedFd)>,
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
        (renewals, lender): (Option<OwnedFd>, Option<(Lender, OwnedFd)>),
    ) -> Result<Self, StartError> {
        let message = message(plan, held, trusted.as_ref())?;
        let roots = trusted.map(|trusted| image::copy(trusted.roots.as_bytes())).transpose()?;
        Ok(Self { message, roots, renewals, lender })
    }

    /// Hands it over. Does not wait. Whoever makes connections makes them for as long as it is kept.
    ///
    /// # Errors
    /// Where it cannot be sent.
    pub(crate) fn send(self, to: impl AsFd) -> Called<Option<Lender>> {
        let (lender, theirs) = self.lender.unzip();
        let given = self.roots.iter().chain(&theirs).chain(&self.renewals);
        let given = given.map(AsFd::as_fd).collect();
        passed::send_all(given, self.message.bytes(), to)?;
        Ok(lender)
    }
}

/// The secrets that this plan names, and the authority, where there is one.
///
/// # Errors
/// Where a secret is not there, cannot be put where it is to go, or all of them are too much.
pub(super) fn message(
    plan: &EgressPlan,
    held: &Secrets,
    trusted: Option<&Trusted>,
) -> Result<Message, StartError> {
    let wrong = |what: String| StartError::found("secrets", what);
    let mut secrets = secret::Secrets::default();
    for name in &plan.secrets {
        let secret = held.all().iter().find(|secret| secret.name == *name);
        let secret = secret.ok_or_else(|| wrong(name.clone()))?;
        secrets.push(secret.line()).map_err(|error| wrong(error.to_string()))?;
    }
    secret::check(&secrets, plan).map_err(|error| {
        let remedy =
            "make sure that it is where [secrets] says, in characters that a request can have";
        wrong(error.to_string()).with_remedy(remedy)
    })?;
    // Whether it signs, the egress process finds: the key is made of it there alone.
    for signer in &plan.agent.signers {
        let key = secrets.get(signer.secret).unwrap_or_default();
        let name = usize::try_from(signer.secret).ok().and_then(|at| plan.secrets.get(at));
        let name = name.map_or("", String::as_str);
        match signer.kept {
            Kept::Here => private::look(key)
                .map_err(|error| wrong(format!("{name} {error}")).with_remedy(error.remedy()))?,
            Kept::Agent => {
                agent::public(key).map_err(|what| wrong(format!("{name} {what}")))?;
            }
        }
    }
    secret::encode(&secrets, trusted.map(|trusted| &trusted.authority))
        .map_err(|error| wrong(error.to_string()))
}

/// Waits for it.
///
/// # Errors
/// Where it does not come, or is something else.
pub(crate) fn receive(from: impl AsFd) -> Called<(Message, Vec<OwnedFd>)> {
    let mut message = Message::with_room(secret::HANDED)?;
    let mut given = Vec::new();
    message.extend(|room| {
        let (length, all) = passed::receive_into(from, room)?;
        given = all;
        Ok::<_, Errno>(length)
    })?;
    Ok((message, given))
}
