//! Looking at the sandbox from outside, after it said that every layer is on and before its command
//! runs. Two views that differ are a defect or an attack, and end the run.

use super::error::StartError;
use crate::cgroup::Group;
use crate::proc;
use procfs::FromRead;
use procfs::process::Status;
use rustix::fd::{AsRawFd, BorrowedFd};
use sandboxd_plan::{Bounding, Groups, Identity, Namespace, Plan};
use serde::Serialize;
use std::collections::BTreeMap;

/// What the kernel says of the sandbox.
#[derive(Debug, Clone, Serialize)]
pub struct Inspected {
    /// The command's process, in the supervisor's pid namespace.
    pub pid: i32,
    /// Inode of each namespace of the command's that is its own.
    pub namespaces: BTreeMap<&'static str, u64>,
    /// Kernel id of its v2 cgroup; nothing without a v2 hierarchy.
    pub cgroup_id: Option<u64>,
    /// Directories of its cgroups.
    pub cgroups: Vec<String>,
}

/// What a sandbox is compared with of this process: it stays as it is.
pub(crate) struct Ours {
    /// How many filters are in force here; nothing before Linux 5.9.
    filters: Option<usize>,
    /// Inode of each namespace that a sandbox has one of its own of.
    namespaces: BTreeMap<&'static str, u64>,
}

impl Ours {
    /// Looks at this process.
    ///
    /// # Errors
    /// Where it cannot be looked at.
    pub(crate) fn look(own: &[Namespace]) -> Result<Self, StartError> {
        Ok(Self { filters: filters(&status_of("self")?), namespaces: namespaces("self", own)? })
    }
}

/// Compares both halves with the plan.
///
/// # Errors
/// Where anything is not as planned, or cannot be looked at.
pub(crate) fn inspect(
    plan: &Plan,
    group: Option<&Group>,
    init: i32,
    command: BorrowedFd<'_>,
    ours: &Ours,
) -> Result<Inspected, StartError> {
    let pid = pid_of(command)?;
    for (process, half) in [(init, &plan.init), (pid, &plan.command)] {
        let text = status_of(&process.to_string())?;
        let status = Status::from_read(text.as_bytes())
            .map_err(|error| differs(format!("/proc/{process}/status: {error}")))?;
        compare(&status, half.identity, plan.bounding)?;
        let planned = ours.filters.map(|ours| ours + half.syscalls.iter().len());
        if filters(&text) != planned {
            return Err(differs(format!(
                "{:?} seccomp filters are in force on process {process}, not {planned:?}",
                filters(&text)
            )));
        }
    }
    if let Some(group) = group
        && !group.contains_all(&[init, pid])?
    {
        return Err(differs(format!("processes {init} and {pid} are not both in the cgroup")));
    }
    // The command is init's child, and neither can change its namespaces once it is confined.
    let namespaces = namespaces(&pid.to_string(), &plan.namespaces.own)?;
    for (name, inode) in &namespaces {
        if ours.namespaces.get(name).is_none_or(|own| own == inode) {
            return Err(differs(format!("the {name} namespace is the supervisor's")));
        }
    }
    Ok(Inspected {
        pid,
        namespaces,
        cgroup_id: group.and_then(Group::id),
        cgroups: group
            .map(|group| group.paths().into_iter().map(str::to_owned).collect())
            .unwrap_or_default(),
    })
}

fn status_of(process: &str) -> Result<String, StartError> {
    let path = format!("/proc/{process}/status");
    proc::read(&path).map_err(|errno| unseen(&path, &errno.into()))
}

/// How many filters are in force there, those it inherited included; nothing before Linux 5.9.
pub(super) fn filters(status: &str) -> Option<usize> {
    status.lines().find_map(|line| line.strip_prefix("Seccomp_filters:"))?.trim().parse().ok()
}

fn compare(status: &Status, planned: Identity, bounding: Bounding) -> Result<(), StartError> {
    let Identity { uid, gid, groups } = planned;
    let uids = [status.ruid, status.euid, status.suid, status.fuid];
    let gids = [status.rgid, status.egid, status.sgid, status.fgid];
    let sets = [
        status.capinh,
        status.capprm,
        status.capeff,
        match bounding {
            Bounding::Emptied => status.capbnd.unwrap_or(u64::MAX),
            Bounding::Kept => 0,
        },
        status.capamb.unwrap_or(u64::MAX),
    ];
    for (holds, what) in [
        (uids == [uid; 4], format!("Uid is {uids:?}, not {uid}")),
        (gids == [gid; 4], format!("Gid is {gids:?}, not {gid}")),
        (as_planned(&status.groups, groups)?, format!("Groups are {:?}", status.groups)),
        (sets == [0; 5], format!("capabilities are {sets:x?}")),
        (status.nonewprivs == Some(1), String::from("NoNewPrivs is not set")),
        (status.seccomp == Some(2), String::from("no seccomp filter is active")),
    ] {
        if !holds {
            return Err(differs(what));
        }
    }
    Ok(())
}

/// Whether these supplementary groups are the planned ones: none, or the supervisor's own.
fn as_planned(found: &[u32], groups: Groups) -> Result<bool, StartError> {
    if groups == Groups::Emptied {
        return Ok(found.is_empty());
    }
    let own = rustix::process::getgroups()
        .map_err(|errno| StartError::call("getgroups", "sandboxd itself", errno))?;
    let mut own: Vec<u32> = own.into_iter().map(rustix::process::Gid::as_raw).collect();
    let mut found = found.to_vec();
    own.sort_unstable();
    found.sort_unstable();
    Ok(own == found)
}

/// The inode of each of these namespaces.
fn namespaces(process: &str, of: &[Namespace]) -> Result<BTreeMap<&'static str, u64>, StartError> {
    of.iter().map(|one| Ok((one.name(), inode(process, one.name())?))).collect()
}

fn inode(process: &str, namespace: &str) -> Result<u64, StartError> {
    use std::os::unix::fs::MetadataExt;
    let path = format!("/proc/{process}/ns/{namespace}");
    std::fs::metadata(&path).map(|found| found.ino()).map_err(|error| unseen(&path, &error))
}

/// The number of a process behind a pidfd, which stays its own as long as init has not reaped it.
pub(super) fn pid_of(pidfd: BorrowedFd<'_>) -> Result<i32, StartError> {
    let path = format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd());
    let text = std::fs::read_to_string(&path).map_err(|error| unseen(&path, &error))?;
    text.lines()
        .find_map(|line| line.strip_prefix("Pid:"))
        .and_then(|number| number.trim().parse().ok())
        .filter(|pid: &i32| *pid > 0)
        .ok_or_else(|| StartError::found("fdinfo", "the command is gone").with_remedy(REMEDY))
}

const REMEDY: &str =
    "the sandbox differs from its plan, so nothing was run: please report this as a security bug";

fn differs(what: String) -> StartError {
    StartError::found("inspect", what).with_remedy(REMEDY)
}

fn unseen(path: &str, error: &std::io::Error) -> StartError {
    StartError::io("inspect", path, error).with_remedy(
        "the supervisor must see its children: mount /proc without hidepid, or as root",
    )
}
