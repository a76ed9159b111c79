//! Starting the shim: sockets, granted descriptors, namespaces, cgroup.

use super::error::StartError;
use super::image;
use super::stdio::Stdio;
use crate::cgroup::Group;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use sandboxd_kernel::process::{NewNamespaces, Spawn, Started, spawn};
use sandboxd_plan::{Namespace, Plan};

/// A shim on its way through its stages.
pub(crate) struct Entering {
    /// Its process, which becomes init.
    pub(crate) init: Started,
    /// Where it reports.
    pub(crate) report: OwnedFd,
    /// What init dies without.
    pub(crate) lifeline: OwnedFd,
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
    let image = image::plan(encoded)?;
    let (report, shims_report) = pair()?;
    let (lifeline, inits_lifeline) = pair()?;
    let mut fds = vec![image.as_fd(), shims_report.as_fd(), inits_lifeline.as_fd()];
    fds.extend(granted);
    let init = spawn(&Spawn {
        program: shim,
        argv: &[c"sandboxd-init"],
        namespaces: namespaces(&plan.namespaces.own),
        cgroup: group.and_then(Group::into_fd),
        fds: &fds,
        stdio: stdio.given(),
    })
    .map_err(|errno| {
        StartError::call("clone3", "sandboxd-shim", errno).with_remedy(
            "namespaces are refused here: run as root, outside a container that forbids them (see `sandboxd doctor`)",
        )
    })?;
    Ok(Entering { init, report, lifeline })
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

/// Those that clone3 makes. The network namespace is there already and the shim enters it; the cgroup
/// namespace is the shim's to make, once it is in its cgroup.
fn namespaces(own: &[Namespace]) -> NewNamespaces {
    own.iter().fold(NewNamespaces::default(), |all, namespace| match namespace {
        Namespace::Mnt => all.and(NewNamespaces::MNT),
        Namespace::Pid => all.and(NewNamespaces::PID),
        Namespace::Ipc => all.and(NewNamespaces::IPC),
        Namespace::Uts => all.and(NewNamespaces::UTS),
        Namespace::User => all.and(NewNamespaces::USER),
        Namespace::Net | Namespace::Cgroup => all,
    })
}
