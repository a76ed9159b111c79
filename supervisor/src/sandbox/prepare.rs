//! What comes before anything is made: looking at the host, a uid of its own, and the decision.

use super::deadline::doing;
use super::descriptors::check_descriptors;
use super::error::StartError;
use super::given_back::{give_back, not_started};
use super::invocation::Asked;
use super::private;
use crate::cgroup::{Placement, Tree};
use crate::host;
use crate::lease::{Held, Pool, RunDir, Settings};
use sandboxd_profiles::host::{AuditFact, Privilege};
use sandboxd_profiles::schema::Isolation;
use sandboxd_profiles::{HostFacts, Lease, Profile, Resolved, Wanted, resolve, wanted};
use std::sync::Arc;

/// A profile, decided on this host, and what was leased for it.
pub struct Prepared {
    /// The decision.
    pub resolved: Resolved,
    /// The host it was decided for.
    pub host: HostFacts,
    /// What it was decided with.
    pub lease: Lease,
    pub(super) tree: Arc<Tree>,
    pub(super) held: Option<Held>,
}

/// Looks at the host, leases a uid where root can give one, and resolves the profile.
///
/// # Errors
/// Where the host cannot be looked at, no uid is free, or the profile has problems.
pub fn prepare(
    asked: &Asked<'_>,
    privilege: Privilege,
    within: Option<Arc<Tree>>,
    audit: AuditFact,
) -> Result<Prepared, StartError> {
    let Asked { profile, under, invocation } = *asked;
    check_descriptors()?;
    let (tree, held) = place(profile, &privilege, within)?;
    doing("inspecting the host");
    let decided = look(&wanted(profile, under), &tree, privilege, audit).and_then(|host| {
        let lease = lease(profile, held.as_ref())?;
        Ok((resolve(profile, under, &host, &lease, invocation)?, host, lease))
    });
    match decided {
        Ok((resolved, host, lease)) => Ok(Prepared { resolved, host, lease, tree, held }),
        Err(error) => {
            not_started(None, held);
            Err(error)
        }
    }
}

/// What this host has of what the profile wants.
///
/// # Errors
/// As [`host::probe`].
pub(super) fn look(
    wanted: &Wanted,
    tree: &Tree,
    privilege: Privilege,
    audit: AuditFact,
) -> Result<HostFacts, StartError> {
    let mut host = host::probe(wanted, tree.facts(), privilege, audit)?;
    host.cgroup_gaps = tree.gaps();
    Ok(host)
}

/// Where limits can be set, and a uid of its own. Whoever is not root has none to give, and the machine's
/// settings are about what root gives; a sandbox without namespaces has that of its caller.
fn place(
    profile: &Profile,
    privilege: &Privilege,
    within: Option<Arc<Tree>>,
) -> Result<(Arc<Tree>, Option<Held>), StartError> {
    let settled = |placement| within.map_or_else(|| Tree::settle(placement).map(Arc::new), Ok);
    if *privilege != Privilege::Root || profile.isolation() == Isolation::Landlock {
        return Ok((settled(&Placement::Own)?, None));
    }
    let settings = Settings::read()?;
    let placement = settings.cgroups.parent.clone().map_or(Placement::Own, Placement::Below);
    let tree = settled(&placement)?;
    doing("leasing a uid");
    let held = Pool::open(settings.uids, &RunDir::open()?)?.acquire()?;
    Ok((tree, Some(held)))
}

fn lease(profile: &Profile, held: Option<&Held>) -> Result<Lease, StartError> {
    let (own, _) = host::own_ids();
    let (number, uid, init_uid) = match held {
        Some(held) => (held.uid, held.uid, held.init_uid),
        // No other living sandbox has this process for its supervisor.
        None => (std::process::id(), own, own),
    };
    let id = format!("{}-{number}", profile.name());
    let bare = profile.isolation() == Isolation::Landlock;
    let folder = bare.then(private::name).transpose()?;
    Ok(Lease { folder, id, uid, init_uid })
}

impl Prepared {
    /// Gives back what was leased, where nothing was started.
    ///
    /// # Errors
    /// Where that cannot be written down.
    pub fn release(self) -> Result<(), StartError> {
        give_back(self.held)
    }
}
