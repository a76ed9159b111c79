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
use sandboxd_audit::{AuditError, Folder, Kind};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// What there is.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) runs: Vec<Run>,
    /// Those whose sandboxd is not to be seen from here: it is of another pid namespace.
    pub(crate) elsewhere: Vec<Sandbox>,
    /// Why some could not be looked at.
    pub(crate) unread: Vec<AuditError>,
}

/// A run that goes on.
pub(crate) struct Run {
    /// Its own sandbox first, then what it called by when that was started, then what serves it.
    pub(crate) sandboxes: Vec<Sandbox>,
    /// Its sandboxd.
    pub(crate) pid: u32,
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
pub(crate) fn runs(folder: &Folder) -> Result<Found, AuditError> {
    let mut found = Found::default();
    for log in living(folder)? {
        let supervisor = writer_of(&log);
        if supervisor.is_none() && !log.goes_on() {
            // Ended since it was listed.
            continue;
        }
        let mut told = Told::default();
        if let Err(error) = log.each(folder, &[Kind::Started, Kind::Ended], |line| told.tell(line))
        {
            found.unread.push(error);
        } else if let Some(sandboxes) = told.of_a_run() {
            match supervisor {
                Some(supervisor) => found.runs.push(Run { sandboxes, pid: log.pid, supervisor }),
                None => found.elsewhere.extend(sandboxes.into_iter().next()),
            }
        }
    }
    Ok(found)
}

/// What a log tells of sandboxes.
#[derive(Default)]
struct Told {
    /// Those that have not ended.
    sandboxes: Vec<Sandbox>,
    /// The first that serves nothing, whether it has ended or not.
    own: Option<String>,
}

impl Told {
    fn tell(&mut self, line: &Line) {
        let Some(id) = line.text_at("/actor/instance") else { return };
        if line.kind == Kind::Ended.name() {
            return self.sandboxes.retain(|sandbox| sandbox.id != id);
        }
        let sandbox = Sandbox::of(line, id);
        if self.own.is_none() && !sandbox.is_service() {
            self.own = Some(id.to_owned());
        }
        self.sandboxes.push(sandbox);
    }

    /// In the order of a run; nothing of one that has not begun, or is about to be over, or only writes something
    /// down.
    fn of_a_run(mut self) -> Option<Vec<Sandbox>> {
        let own = self.own?;
        self.sandboxes.sort_by_key(|sandbox| (sandbox.id != own, sandbox.is_service()));
        self.sandboxes.first().is_some_and(|first| first.id == own).then_some(self.sandboxes)
    }
}

fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect()
}

/// The process that writes a log; nothing where it has ended, or is in another pid namespace.
fn writer_of(log: &Living) -> Option<OwnedFd> {
    // A number of another namespace can be that of this process, which has the log open to look at it.
    let own = log.pid == std::process::id();
    let pid = Pid::from_raw(i32::try_from(log.pid).ok()?).filter(|_| !own)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    // The pidfd is of whoever has the number from before this look to after it.
    let mut open = fs::read_dir(format!("/proc/{}/fd", log.pid)).ok()?;
    let writes = open.any(|entry| entry.is_ok_and(|entry| is_writer(log, &entry.file_name())));
    (writes && !is_over(&pidfd, Duration::ZERO)).then_some(pidfd)
}

/// Whether a descriptor of the log's process is the one with the log's lock. Nothing is asked of a file by another
/// name: it may lie where nobody answers.
fn is_writer(log: &Living, descriptor: &OsStr) -> bool {
    let of = |folder| Path::new("/proc").join(log.pid.to_string()).join(folder).join(descriptor);
    let named = fs::read_link(of("fd"));
    if !named.is_ok_and(|path| path.file_name() == Some(OsStr::new(&log.name))) {
        return false;
    }
    let same = rustix::fs::fstat(&log.file).is_ok_and(|ours| {
        fs::metadata(of("fd"))
            .is_ok_and(|file| (file.dev(), file.ino()) == (ours.st_dev, ours.st_ino))
    });
    let lock =
        |text: String| text.lines().any(|line| line.contains("FLOCK") && line.contains("WRITE"));
    same && fs::read_to_string(of("fdinfo")).is_ok_and(lock)
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

    /// Asks its command to end, which has two seconds for it. Asked again, it is killed. A supervisor that was
    /// stopped hears of it when it is continued.
    ///
    /// # Errors
    /// Why it could not be asked.
    pub(crate) fn stop(&self) -> Result<(), String> {
        let send = |signal| pidfd_send_signal(&self.supervisor, signal);
        match send(Signal::TERM).and_then(|()| send(Signal::CONT)) {
            // It has just ended.
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(refused) => Err(format!("pidfd_send_signal: {}", errno(refused.raw_os_error()))),
        }
    }

    /// Whether its supervisor is gone by then, and so everything of it.
    pub(crate) fn is_gone(&self, until: Instant) -> bool {
        is_over(&self.supervisor, until.saturating_duration_since(Instant::now()))
    }
}

impl Sandbox {
    /// What is written down of a start.
    fn of(line: &Line, id: &str) -> Self {
        let text = |path| line.text_at(path).unwrap_or_default().to_owned();
        let number = |path| line.at(path).and_then(Value::as_u64);
        Self {
            id: id.to_owned(),
            profile: text("/actor/agent"),
            command: text("/method"),
            since: line.ts.clone(),
            pid: number("/actor/pid"),
            uid: number("/actor/uid"),
            cgroups: line.at("/receipt/outside/cgroups").and_then(texts).unwrap_or_default(),
        }
    }

    /// It serves a run: its command is sandboxd, by a profile of its own.
    pub(crate) fn is_service(&self) -> bool {
        self.command == service::PROGRAM && service::NAMES.contains(&self.profile.as_str())
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
    fn a_process_is_the_writer_of_the_log_that_it_has_locked_alone() {
        let folder = std::env::temp_dir().join(format!("sandboxd-runs-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let (path, ready) = (folder.join("log"), folder.join("ready"));
        let file = fs::File::create(&path).unwrap();
        let script = format!("exec 9<>{0}; $LOCK; : >{1}; read x", path.display(), ready.display());
        let holds = |lock: &str| {
            let script = script.replace("$LOCK", lock);
            let mut child = std::process::Command::new("/bin/sh")
                .args(["-c", &script])
                .stdin(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            while !ready.exists() {
                std::thread::sleep(Duration::from_millis(5));
            }
            let (file, name) = (file.try_clone().unwrap(), String::from("log"));
            let file = std::sync::Arc::new(file.into());
            let log = Living { log: name.clone(), pid: child.id(), name, file };
            let other = Living {
                name: String::from("other"),
                log: String::new(),
                file: log.file.clone(),
                ..log
            };
            let found = [writer_of(&log).is_some(), writer_of(&other).is_some()];
            drop(child.stdin.take());
            child.wait().unwrap();
            fs::remove_file(&ready).unwrap();
            found
        };
        assert_eq!(holds("flock -x 9"), [true, false]);
        assert_eq!(holds("flock -s 9"), [false, false]);
        assert_eq!(holds(":"), [false, false]);
        fs::remove_dir_all(folder).unwrap();
    }
}
