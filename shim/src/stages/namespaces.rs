//! Complete the namespaces that the shim was cloned into.
//!
//! Kernel: namespaces(7), cgroups(7), uts_namespaces(7). The loopback interface of a network namespace
//! of its own stays down: no socket that the filter allows could use it.
//! Here because: after `session` (descriptors are known), before `root` (the cgroup namespace takes
//! the cgroup the process is in as its root, and the host's proc is still what is mounted).
//! Proves: [`Apart`].

use super::session::Alone;
use crate::failure::At;
use rustix::fd::AsFd;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use sandboxd_kernel::{fds, process};
use sandboxd_plan::{Call, Failure, Namespace, Namespaces, Stage};

const AT: At = At(Stage::Namespaces);

/// Proof: the process is in its cgroups and its namespaces, and has the planned host name.
#[must_use]
pub(crate) struct Apart(());

pub(crate) fn complete(_: Alone, plan: &Namespaces) -> Result<Apart, Failure> {
    for tasks in &plan.tasks {
        join(*tasks)?;
    }
    if plan.own.contains(&Namespace::Cgroup) {
        process::new_cgroup_namespace().map_err(AT.errno(Call::Unshare, "CLONE_NEWCGROUP"))?;
    }
    if let Some(network) = plan.network {
        enter_network(network)?;
    }
    if plan.own.contains(&Namespace::Uts) {
        rustix::system::sethostname(plan.hostname.as_bytes())
            .map_err(AT.errno(Call::Sethostname, &plan.hostname))?;
    }
    Ok(Apart(()))
}

/// Writes this process into a v1 cgroup; the kernel asks for the rights of whoever opened the file.
fn join(tasks: u32) -> Result<(), Failure> {
    let number = i32::try_from(tasks).map_err(|_| AT.because(Call::Write, "tasks"))?;
    let file = fds::take(number).map_err(AT.errno(Call::Fcntl, "tasks"))?;
    rustix::io::write(&file, b"0").map_err(AT.errno(Call::Write, "tasks")).map(drop)
}

/// Enters a network namespace that nobody else is in.
fn enter_network(granted: u32) -> Result<(), Failure> {
    let number = i32::try_from(granted).map_err(|_| AT.because(Call::Setns, "network"))?;
    let namespace = fds::take(number).map_err(AT.errno(Call::Fcntl, "network"))?;
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
        .map_err(AT.errno(Call::Setns, "network"))
}
