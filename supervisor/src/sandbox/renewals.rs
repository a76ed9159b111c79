//! Secrets that others use for the command: what the broker has stand for placeholders is handed to it, and all of
//! them come anew there and to the egress process, while the run goes on.

use super::audit::Audit;
use super::error::StartError;
use super::keys;
use crate::calls::Caller;
use crate::control::rotation::{Encode, Line, Rotating, Rotation, User};
use crate::secret::Secrets;
use rustix::fd::OwnedFd;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use sandboxd_broker::secret::{self, Message};
use sandboxd_broker::swap;
use sandboxd_profiles::{Held, Outside, Profile};
use std::sync::Arc;

/// Those of a run.
pub(super) struct Renewals {
    rotating: Rotating,
    /// Where the egress process hears of it.
    egress: Option<OwnedFd>,
    /// What the broker is handed.
    placed: Option<Placed>,
}

/// What stands for placeholders, until the broker has it.
struct Placed {
    message: Message,
    theirs: OwnedFd,
    user: User,
}

/// Those of the run of this id; nothing where nobody uses a secret for its command.
///
/// # Errors
/// Where one cannot stand where it is to, or there is no stream for them.
pub(super) fn begin(
    (outside, id): (&Outside, &str),
    secrets: &Secrets,
    (profile, audit): (&Profile, &Audit),
) -> Result<Option<Renewals>, StartError> {
    let placed = names(outside);
    let put = outside.egress.as_ref().filter(|plan| !plan.secrets.is_empty());
    if placed.is_empty() && put.is_none() {
        return Ok(None);
    }
    let used = |held: &&Held| {
        placed.contains(&held.name) || put.is_some_and(|plan| plan.secrets.contains(&held.name))
    };
    let held: Vec<Held> = outside.secrets.iter().filter(used).cloned().collect();
    let current = |held: &Held| secrets.all().iter().find(|secret| secret.name == held.name);
    let now = held.iter().filter_map(current).map(|secret| secret.hidden().map(Arc::new));
    let mut rotating = Rotating {
        now: now.collect::<Result<_, _>>()?,
        held,
        users: Vec::new(),
        id: id.to_owned(),
        audit: audit.clone(),
        agent: profile.name().to_owned(),
    };
    let egress = match put.cloned() {
        Some(plan) => {
            let encode = move |secrets: &Secrets| keys::message(&plan, secrets, None);
            let (user, theirs) = user("the egress process", Box::new(encode))?;
            rotating.users.push(user);
            Some(theirs)
        }
        None => None,
    };
    let placed = match placed.is_empty() {
        true => None,
        false => {
            let message = message(&placed, secrets)?;
            let encode = move |secrets: &Secrets| self::message(&placed, secrets);
            let (user, theirs) = user("the broker", Box::new(encode))?;
            Some(Placed { message, theirs, user })
        }
    };
    Ok(Some(Renewals { rotating, egress, placed }))
}

fn user(who: &'static str, encode: Encode) -> Result<(User, OwnedFd), StartError> {
    let (line, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(|errno| StartError::call("socketpair", "renewed secrets", errno))?;
    Ok((User { encode, line: Line::new(line, who) }, theirs))
}

/// The secrets that stand in arguments, in the order in which the broker's plan names them.
fn names(outside: &Outside) -> Vec<String> {
    let mut names: Vec<String> =
        outside.placeholders.iter().map(|placeholder| placeholder.secret.clone()).collect();
    names.dedup();
    names
}

/// They, as the broker is told them.
fn message(names: &[String], held: &Secrets) -> Result<Message, StartError> {
    let wrong = |what: String| StartError::found("secrets", what);
    let mut secrets = secret::Secrets::default();
    for name in names {
        let secret = held.all().iter().find(|secret| secret.name == *name);
        let secret = secret.ok_or_else(|| wrong(name.clone()))?;
        stands(name, secret.line())?;
        secrets.push(secret.line()).map_err(|error| wrong(error.to_string()))?;
    }
    secret::encode(0, secrets.all()).map_err(|error| wrong(error.to_string()))
}

/// Whether this can stand for a placeholder.
///
/// # Errors
/// Why it cannot.
pub(crate) fn stands(name: &str, value: &[u8]) -> Result<(), StartError> {
    swap::fits(value).map_err(|why| {
        StartError::found("secret", format!("{name} {why}")).with_remedy(
            "make what replaces a placeholder the key alone, as text of 6 bytes or more",
        )
    })
}

impl Renewals {
    /// Where the egress process hears of it, once.
    pub(super) fn egress(&mut self) -> Option<OwnedFd> {
        self.egress.take()
    }

    /// Hands the broker what it has stand for placeholders of whoever calls, and listens from then on for whoever
    /// may have all of them read again.
    ///
    /// # Errors
    /// Where the broker does not take them, or there is no folder to listen in.
    pub(super) fn begin(self, caller: Option<&Caller>) -> Result<Rotation, StartError> {
        let Self { mut rotating, placed, .. } = self;
        if let Some(Placed { message, theirs, mut user }) = placed {
            let caller = caller.ok_or_else(|| StartError::found("secrets", "nobody calls"))?;
            caller
                .secrets_come_by(&theirs)
                .map_err(|errno| StartError::call("sendmsg", "the broker's channel", errno))?;
            user.line.tell(&message, None)?;
            rotating.users.push(user);
        }
        Rotation::open(rotating)
    }
}
