//! Starting the shim: sockets, granted descriptors, namespaces, cgroup.

use super::error::StartError;
use super::image;
use super::orphans;
use super::stdio::Stdio;
use crate::cgroup::Group;
use crate::privilege::{self, Clues};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use sandboxd_kernel::process::{NewNamespaces, Spawn, Started, spawn};
use sandboxd_kernel::userns::{Mapping, Refused, Step};
use sandboxd_plan::{Ending, Identity, Namespace, Namespaces, Plan};
use sandboxd_profiles::IN_A_CONTAINER;
use std::collections::BTreeSet;

/// A shim on its way through its stages.
pub(crate) struct Entering {
    /// Its process, which becomes init.
    pub(crate) init: Started,
    /// Where it reports.
    pub(crate) report: OwnedFd,
    /// What init dies without.
    pub(crate) lifeline: OwnedFd,
    /// Children that were there before it; only where there is no pid namespace.
    pub(crate) others: BTreeSet<i32>,
}

/// Starts the shim with a plan. `granted` is in the order the plan counts them in.
///
/// # Errors
/// Where a socket, a memfd or the process cannot be made.
pub(crate) fn start(
    plan: &Plan,
    encoded: &[u8],
    shim: BorrowedFd<'_>,
    group: Option<&Group>,
    granted: &[BorrowedFd<'_>],
    stdio: &Stdio,
) -> Result<Entering, StartError> {
    let mut others = BTreeSet::new();
    if plan.ending != Ending::PidNamespace {
        others = orphans::children()?;
        // Should init be killed by somebody outside, what it leaves comes to us, see `orphans`.
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .map_err(|errno| StartError::call("prctl", "PR_SET_CHILD_SUBREAPER", errno))?;
    }
    let image = image::plan(encoded)?;
    let (report, shims_report) = pair()?;
    let (lifeline, inits_lifeline) = pair()?;
    let mut fds = vec![image.as_fd(), shims_report.as_fd(), inits_lifeline.as_fd()];
    fds.extend(granted);
    let mapping = mapping(plan);
    let wanted = Spawn {
        program: shim,
        argv: &[c"sandboxd-init"],
        namespaces: namespaces(&plan.namespaces),
        mapping: mapping.as_ref(),
        cgroup: group.and_then(Group::into_fd),
        fds: &fds,
        stdio: stdio.given(),
    };
    let init = orphans::start(|| spawn(&wanted), |started| started.pid)
        .map_err(|errno| refused(errno, mapping.is_some()))?;
    Ok(Entering { init, report, lifeline, others })
}

/// In a user namespace of its own the shim is whom the command will be, and nobody else is anybody.
fn mapping(plan: &Plan) -> Option<Mapping> {
    let Identity { uid, gid, .. } = plan.command.identity;
    plan.namespaces.own.contains(&Namespace::User).then(|| Mapping::of(uid, gid))
}

fn refused(errno: Errno, rootless: bool) -> StartError {
    let remedy = if matches!(errno, Errno::AGAIN | Errno::NOMEM) {
        String::from(
            "the host or an outer limit is out of processes or memory: raise it, or run fewer sandboxes",
        )
    } else if rootless {
        let (_, remedy) =
            privilege::explained(Refused { step: Step::Clone, errno }, &Clues::read());
        remedy
    } else {
        no_namespaces()
    };
    StartError::call("clone", "sandboxd-shim", errno).with_remedy(remedy)
}

/// What to do where namespaces are refused.
pub(super) fn no_namespaces() -> String {
    format!(
        "namespaces are not permitted here (see `sandboxd doctor`): run as root, outside a container that forbids them; {IN_A_CONTAINER}"
    )
}

fn pair() -> Result<(OwnedFd, OwnedFd), StartError> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
        .map_err(|errno| StartError::call("socketpair", "report", errno))?;
    // The shim waits for our word, and init for our end, without a loop.
    rustix::fs::fcntl_setfl(&theirs, rustix::fs::OFlags::empty())
        .map_err(|errno| StartError::call("fcntl", "report", errno))?;
    Ok((ours, theirs))
}

/// Those that the clone makes. A network namespace that is there already is entered by the shim; the cgroup
/// namespace is the shim's to make, once it is in its cgroup.
fn namespaces(plan: &Namespaces) -> NewNamespaces {
    plan.own.iter().fold(NewNamespaces::default(), |all, namespace| match namespace {
        Namespace::Mnt => all.and(NewNamespaces::MNT),
        Namespace::Pid => all.and(NewNamespaces::PID),
        Namespace::Ipc => all.and(NewNamespaces::IPC),
        Namespace::Uts => all.and(NewNamespaces::UTS),
        Namespace::User => all.and(NewNamespaces::USER),
        Namespace::Net if plan.network.is_none() => all.and(NewNamespaces::NET),
        Namespace::Net | Namespace::Cgroup => all,
    })
}
