//! The processes of a sandbox, and their end by descriptors, so that no number that passed on to
//! somebody else is ever signalled.

use super::plan::{GROUP, Plan, When, Whom};
use crate::{left, raw};
use nix::unistd::Pid;
use std::fs;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::PathBuf;

/// A sandbox that was started.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sandboxed<'a> {
    pub(super) supervisor: Pid,
    pub(super) plan: &'a Plan,
}

impl Sandboxed<'_> {
    /// Kills whom the plan names; says whether anybody was killed.
    pub(super) fn kill(self) -> bool {
        let plan = self.plan;
        if plan.frozen {
            self.freeze("1");
        }
        let supervisor = self.supervisor.as_raw();
        let mut shims = children(supervisor);
        shims.retain(|pid| is_shim(*pid));
        // What was just started may be in no cgroup of its own yet.
        let is_own = |pid: &i32| group_of(*pid).is_none_or(|name| name.starts_with(&plan.group()));
        let init = shims.iter().copied().find(is_own);
        let service = shims.iter().copied().find(|pid| group_of(*pid).is_some_and(is_service));
        let command = init.and_then(|init| children(init).into_iter().next());
        let whom = match (plan.whom, init, command) {
            (Whom::Init, Some(init), _) => vec![init],
            (Whom::Command, _, Some(command)) => vec![command],
            (Whom::Service, ..) if service.is_some() => {
                // The service itself, or the shim that is about to become it.
                service
                    .map(|init| children(init).into_iter().next().unwrap_or(init))
                    .into_iter()
                    .collect()
            }
            (Whom::Everything, ..) => {
                let mut all = vec![supervisor];
                all.extend(children(supervisor));
                all.extend(init.into_iter().flat_map(children));
                all.extend(self.groups().iter().flat_map(|folder| {
                    let listed = fs::read_to_string(folder.join("cgroup.procs"));
                    listed
                        .unwrap_or_default()
                        .lines()
                        .filter_map(|pid| pid.parse().ok())
                        .collect::<Vec<i32>>()
                }));
                all
            }
            (Whom::Supervisor, ..) => vec![supervisor],
            // Too early: nobody but the supervisor is there yet.
            _ if matches!(plan.when, When::After(_)) => vec![supervisor],
            _ => Vec::new(),
        };
        // All are held before the first is ended.
        let held: Vec<OwnedFd> = whom.iter().filter_map(|pid| hold(*pid)).collect();
        let killed = held.iter().filter(|pidfd| end(pidfd)).count() > 0;
        if plan.frozen && plan.whom == Whom::Command {
            // Init is frozen as well and cannot tell: whoever froze them wants them to stay.
            self.freeze("0");
        }
        killed
    }

    fn freeze(self, state: &str) {
        for folder in self.groups() {
            // Only those of the v2 hierarchy have the file.
            let file = folder.join("cgroup.freeze");
            if file.exists() {
                fs::write(file, state).ok();
            }
        }
    }

    fn groups(self) -> Vec<PathBuf> {
        let name = self.plan.group();
        let mut found = left::groups(std::process::id()).unwrap_or_default();
        found.retain(|folder| {
            folder.file_name().is_some_and(|own| own.to_string_lossy().starts_with(&name))
        });
        found
    }
}

fn children(pid: i32) -> Vec<i32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|text| {
            text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()
        })
        .collect()
}

/// The name of the sandbox's cgroup that a process is in.
fn group_of(pid: i32) -> Option<String> {
    let told = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let mut names = told.lines().filter_map(|line| line.rsplit('/').next());
    names.find(|name| name.starts_with(GROUP)).map(str::to_owned)
}

/// Whether a cgroup of this name is of a service of sandboxd's own.
pub(super) fn is_service(group: impl AsRef<str>) -> bool {
    let id = group.as_ref().strip_prefix(GROUP).unwrap_or_default();
    ["broker-", "egress-", "terminal-"].iter().any(|name| id.starts_with(name))
}

fn is_shim(pid: i32) -> bool {
    fs::read_link(format!("/proc/{pid}/exe"))
        .is_ok_and(|exe| exe.to_string_lossy().contains("sandboxd-shim"))
}

/// A process of this case: started by it, or below what it started.
fn hold(pid: i32) -> Option<OwnedFd> {
    let pidfd = raw::process(Pid::from_raw(pid)).ok()?;
    let own = i32::try_from(std::process::id()).ok()?;
    // The descriptor is of whoever has the number now, and so is what is read after it was opened.
    let mut above = pid;
    for _ in 0..32 {
        if above == own {
            return Some(pidfd);
        }
        let status = fs::read_to_string(format!("/proc/{above}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
        above = line.trim().parse().ok()?;
    }
    None
}

fn end(pidfd: &OwnedFd) -> bool {
    let words = [u64::from(pidfd.as_raw_fd().cast_unsigned()), 9, 0, 0];
    raw::call_numbers(libc::SYS_pidfd_send_signal, &words).is_ok()
}
