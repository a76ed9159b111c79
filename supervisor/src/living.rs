//! Runs of the caller's that go on, as the logs tell that are being written: each has one supervisor, which
//! holds its lock until it ends. A supervisor is signalled by a pidfd, once it is seen to have that log open:
//! a number that became another's is never taken for it.

use crate::explain::errno;
use crate::service;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use sandboxd_audit::line::Line;
use sandboxd_audit::living::{Living, living};
use sandboxd_audit::{AuditError, Folder};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// A run that goes on.
pub(crate) struct Run {
    /// Its own sandbox first, then what it called by when that was started, then what serves it.
    pub(crate) sandboxes: Vec<Sandbox>,
    supervisor: OwnedFd,
}

/// A sandbox that was started, and whose end is not written down.
#[derive(Debug)]
pub(crate) struct Sandbox {
    /// Its id.
    pub(crate) id: String,
    /// The name of its profile.
    pub(crate) profile: String,
    /// Its command's first word.
    pub(crate) command: String,
    /// When its command was let go, as records have it (UTC).
    pub(crate) since: String,
    /// Its command's process, and user.
    pub(crate) pid: Option<u64>,
    /// See `pid`.
    pub(crate) uid: Option<u64>,
    /// The directories of its cgroups.
    pub(crate) cgroups: Vec<String>,
}

/// What a sandbox uses now, with everything that it called.
#[derive(Debug)]
pub(crate) struct Used {
    /// Bytes; nothing where no cgroup counts them.
    pub(crate) memory: Option<u64>,
    /// Processes and threads; likewise.
    pub(crate) processes: Option<u64>,
}

/// All of the folder.
///
/// # Errors
/// Where it cannot be read.
pub(crate) fn runs(folder: &Folder) -> Result<Vec<Run>, AuditError> {
    let mut runs = Vec::new();
    for log in living(folder)? {
        // Ended since it was listed.
        let Some(supervisor) = writer_of(&log) else { continue };
        let mut sandboxes = Vec::new();
        log.each(folder, |line| tell(line, &mut sandboxes))?;
        // What serves a command is started beside it, and may be the first.
        sandboxes.sort_by_key(Sandbox::is_service);
        // One that has not started its command yet, or ended it, or only writes something down.
        if sandboxes.first().is_some_and(|first| !first.is_service()) {
            runs.push(Run { sandboxes, supervisor });
        }
    }
    Ok(runs)
}

fn tell(line: &Line, sandboxes: &mut Vec<Sandbox>) {
    let Some(id) = line.text_at("/actor/instance") else { return };
    let text = |path| line.text_at(path).unwrap_or_default().to_owned();
    match line.kind.as_str() {
        "started" => sandboxes.push(Sandbox {
            id: id.to_owned(),
            profile: text("/actor/agent"),
            command: text("/method"),
            since: line.ts.clone(),
            pid: line.at("/actor/pid").and_then(Value::as_u64),
            uid: line.at("/actor/uid").and_then(Value::as_u64),
            cgroups: line.at("/receipt/outside/cgroups").and_then(texts).unwrap_or_default(),
        }),
        "ended" => sandboxes.retain(|sandbox| sandbox.id != id),
        _ => {}
    }
}

fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect()
}

/// The process that writes a log; nothing where it has ended, or is in another pid namespace.
fn writer_of(log: &Living) -> Option<OwnedFd> {
    let pid = Pid::from_raw(i32::try_from(log.pid).ok()?)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    let ours = rustix::fs::fstat(&log.file).ok()?;
    // The pidfd is of whoever has the number from before this look to after it.
    let mut open = fs::read_dir(format!("/proc/{}/fd", log.pid)).ok()?;
    let has = open.any(|entry| {
        let metadata = entry.and_then(|entry| fs::metadata(entry.path()));
        metadata.is_ok_and(|file| (file.dev(), file.ino()) == (ours.st_dev, ours.st_ino))
    });
    (has && !is_over(&pidfd, Duration::ZERO)).then_some(pidfd)
}

/// Whether a process ends in time.
fn is_over(pidfd: &OwnedFd, within: Duration) -> bool {
    let Ok(within) = Timespec::try_from(within) else { return false };
    let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
    rustix::io::retry_on_intr(|| poll(&mut fds, Some(&within))).is_ok_and(|ready| ready > 0)
}

impl Run {
    /// The sandbox that it is about.
    pub(crate) fn own(&self) -> Option<&Sandbox> {
        self.sandboxes.first()
    }

    /// Asks its command to end; `at_once`, or where it has not within two seconds, it is killed.
    ///
    /// # Errors
    /// Why it could not be asked.
    pub(crate) fn stop(&self, at_once: bool) -> Result<(), String> {
        // A second one says that somebody waits. Two of the same number can become one.
        let second = at_once.then_some(Signal::INT);
        for signal in [Some(Signal::TERM), second].into_iter().flatten() {
            match pidfd_send_signal(&self.supervisor, signal) {
                // It has just ended.
                Ok(()) | Err(Errno::SRCH) => {}
                Err(refused) => {
                    return Err(format!("pidfd_send_signal: {}", errno(refused.raw_os_error())));
                }
            }
        }
        Ok(())
    }

    /// Whether its supervisor is gone by then, and so everything of it.
    pub(crate) fn is_gone(&self, until: Instant) -> bool {
        is_over(&self.supervisor, until.saturating_duration_since(Instant::now()))
    }
}

impl Sandbox {
    /// It serves a run: its command is sandboxd.
    pub(crate) fn is_service(&self) -> bool {
        self.command == service::PROGRAM
    }

    /// How many of these it was called through, by where its cgroup lies.
    pub(crate) fn depth(&self, all: &[Self]) -> usize {
        let within = |other: &&Self| {
            let below = |(own, other): (&String, &String)| Path::new(own).starts_with(other);
            other.id != self.id && self.cgroups.iter().zip(&other.cgroups).any(below)
        };
        all.iter().filter(within).count()
    }

    /// What it uses now.
    pub(crate) fn used(&self) -> Used {
        Used {
            memory: self.counted(&["memory.current", "memory.usage_in_bytes"]),
            processes: self.counted(&["pids.current"]),
        }
    }

    /// A number of its cgroups', by the names that versions 2 and 1 have for it.
    fn counted(&self, names: &[&str]) -> Option<u64> {
        let paths = self
            .cgroups
            .iter()
            .flat_map(|group| names.iter().map(move |name| Path::new(group).join(name)));
        let mut texts = paths.filter_map(|path| fs::read_to_string(path).ok());
        texts.find_map(|text| text.trim().parse().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sandbox(id: &str, cgroup: &str) -> Sandbox {
        let cgroups = vec![String::from(cgroup)];
        let (profile, command, since) = <(String, String, String)>::default();
        Sandbox { id: id.to_owned(), profile, command, since, pid: None, uid: None, cgroups }
    }

    #[test]
    fn what_was_called_stands_below_its_caller() {
        let all = [
            sandbox("clerk-1", "/c/sandboxd.clerk-1"),
            sandbox("broker-2", "/c/sandboxd.broker-2"),
            sandbox("digest-3", "/c/sandboxd.clerk-1/sandboxd.digest-3"),
            sandbox("notes-4", "/c/sandboxd.clerk-1/sandboxd.digest-3/sandboxd.notes-4"),
            sandbox("clerk-12", "/c/sandboxd.clerk-12"),
        ];
        let depths: Vec<usize> = all.iter().map(|one| one.depth(&all)).collect();
        assert_eq!(depths, [0, 0, 1, 2, 0]);
    }

    #[test]
    fn a_process_that_has_another_file_open_writes_no_log() {
        let folder = std::env::temp_dir().join(format!("sandboxd-runs-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let file = fs::File::create(folder.join("log")).unwrap();
        let log = |pid, file: fs::File| Living {
            log: String::from("log"),
            pid,
            file: std::sync::Arc::new(file.into()),
        };
        let own = log(std::process::id(), file.try_clone().unwrap());
        assert!(writer_of(&own).is_some());
        assert!(writer_of(&log(std::process::id() + 1, file)).is_none());
        let gone = fs::File::create(folder.join("gone")).unwrap();
        let parent = std::os::unix::process::parent_id();
        assert!(writer_of(&log(parent, gone)).is_none());
        fs::remove_dir_all(folder).unwrap();
    }
}
