//! How secrets that are put into requests come anew, while a run goes on.

use super::audit::Audit;
use super::error::StartError;
use super::keys;
use crate::control::rotation::{Line, Rotating, Rotation};
use crate::secret::Secrets;
use rustix::fd::OwnedFd;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use sandboxd_egress_plan::EgressPlan;
use sandboxd_profiles::{Held, Outside, Profile};
use std::sync::Arc;

/// Whoever may have them read again can come, for as long as this is there.
pub(super) struct Renewals {
    /// Where the egress process hears of it.
    pub(super) theirs: OwnedFd,
    /// Where whoever asks for it comes in.
    pub(super) rotation: Rotation,
}

/// Those of a run; nothing where nothing is put into a request.
///
/// # Errors
/// Where there is no stream or folder for it.
pub(super) fn begin(
    (outside, plan): (&Outside, &EgressPlan),
    secrets: &Secrets,
    (profile, audit): (&Profile, &Audit),
) -> Result<Option<Renewals>, StartError> {
    if plan.secrets.is_empty() {
        return Ok(None);
    }
    let named = |name: &String| outside.secrets.iter().find(|held| held.name == *name).cloned();
    let held: Vec<Held> = plan.secrets.iter().filter_map(named).collect();
    let current = |held: &Held| secrets.all().iter().find(|secret| secret.name == held.name);
    let now = held.iter().filter_map(current).map(|secret| secret.hidden().map(Arc::new));
    let now = now.collect::<Result<_, _>>()?;
    let (line, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(|errno| StartError::call("socketpair", "secrets that come anew", errno))?;
    let rotation = Rotation::open(Rotating {
        held,
        now,
        plan: plan.clone(),
        encode: |plan, secrets| keys::message(plan, secrets, None),
        line: Line::new(line),
        audit: audit.clone(),
        agent: profile.name().to_owned(),
    })?;
    Ok(Some(Renewals { theirs, rotation }))
}
