//! Whether what is kept ready is still what would be started now: decided anew when somebody wants it, by the
//! same code, from what the host has then. Where anything differs it is not used, and another one is started.
//!
//! A sandbox that was started holds what it was given, whatever becomes of the host; so what is looked at here
//! is what could have changed between its start and the word to go: the facts that its plan was made of, which
//! files its paths lead to, what is put into it, and the program that is pinned.

use super::audit::Audit;
use super::deadline::doing;
use super::error::StartError;
use super::invocation::Asked;
use super::keys::Trusted;
use super::pinned;
use super::prepare::look;
use crate::cgroup::Tree;
use crate::secret::Secrets;
use rustix::fd::OwnedFd;
use sandboxd_audit::Hidden;
use sandboxd_plan::{HostPath, Inode};
use sandboxd_profiles::host::PathFact;
use sandboxd_profiles::{HostFacts, Lease, Resolved, Wanted, resolve, wanted};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a run was decided by.
#[derive(Clone, Copy)]
pub(super) struct Decided<'a> {
    pub(super) asked: Asked<'a>,
    pub(super) resolved: &'a Resolved,
    pub(super) host: &'a HostFacts,
    pub(super) lease: &'a Lease,
    pub(super) tree: &'a Tree,
    pub(super) audit: &'a Audit,
}

/// The same, with what it was given.
pub(super) struct Still<'a> {
    decided: Decided<'a>,
    /// What its profile names, of which the host is asked.
    wanted: Wanted,
    secrets: Vec<Hidden>,
    /// Whom the host trusted, where that was put into it.
    trusted: Option<String>,
}

impl<'a> Still<'a> {
    /// What it is given is what there is now. Before the shim opens anything.
    ///
    /// # Errors
    /// Where no memory can be locked for what a secret is compared with.
    pub(super) fn of(
        decided: Decided<'a>,
        secrets: &Secrets,
        trusted: Option<&Trusted>,
    ) -> Result<Self, StartError> {
        let wanted = wanted(decided.asked.profile, decided.asked.under);
        let trusted = trusted.map(Trusted::digest);
        Ok(Self { decided, wanted, secrets: hidden(secrets)?, trusted })
    }

    /// Whether all of it still is.
    ///
    /// # Errors
    /// What is not, or cannot be told.
    pub(super) fn holds(&self, program: Option<&OwnedFd>) -> Result<(), StartError> {
        let Decided { asked, resolved, host, lease, tree, audit } = self.decided;
        doing("checking whether what is kept ready is still current");
        let now = look(&self.wanted, tree, host.privilege.clone(), audit.fact())?;
        let outside = &resolved.outside;
        let found = |what| Err(StartError::found("claim", what));
        let before: BTreeMap<_, _> = inodes(host).collect();
        if inodes(&now).any(|(path, at)| before.get(path).is_some_and(|before| *before != at)) {
            return found("a path leads to another file");
        }
        let same = now == *host
            || resolve(asked.profile, asked.under, &now, lease, asked.invocation)
                .is_ok_and(|now| now == *resolved);
        if !same {
            return found("the host has changed");
        }
        if let (Some(pinned), Some(program)) = (&outside.pinned, program) {
            pinned::still(pinned, program)?;
        }
        let secrets = hidden(&Secrets::read(&outside.secrets, None)?)?;
        let mut pairs = secrets.iter().zip(&self.secrets);
        if !pairs.all(|(now, before)| now.is_same(before)) {
            return found("a secret has changed");
        }
        match &self.trusted {
            Some(digest) if !Trusted::trusts_the_same(digest)? => {
                found("the host's trusted authorities have changed")
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// What is written down of a start of something that is kept ready: that it was, and when that began; or why
/// another one was started in its stead.
pub(super) fn told(kept: Option<Duration>, instead: Option<&str>) -> Value {
    match (kept, instead) {
        (Some(kept), _) => json!({ "kept_ready_ms": u64::try_from(kept.as_millis()).ok() }),
        (None, Some(why)) => json!({ "not_kept_ready": why }),
        (None, None) => Value::Null,
    }
}

/// Which files the paths lead to.
fn inodes(host: &HostFacts) -> impl Iterator<Item = (&HostPath, Inode)> {
    host.paths.iter().filter_map(|(path, fact)| match fact {
        PathFact::Found(found) => Some((path, found.inode)),
        PathFact::Missing | PathFact::Failed(_) => None,
    })
}

fn hidden(secrets: &Secrets) -> Result<Vec<Hidden>, StartError> {
    secrets.all().iter().map(crate::secret::Secret::hidden).collect()
}
