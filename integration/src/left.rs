//! What a case left behind: processes, cgroups, mounts, leases, files.

use crate::who::Player;
use crate::{Outside, alone, patience};
use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long what was killed may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(1);

/// Everything left behind, in words; nothing is as a rule. Ends what still lives.
pub(crate) fn behind(
    outside: &Outside,
    own: u32,
    before: &BTreeSet<String>,
) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let until = Instant::now() + patience(GONE_WITHIN);
    let mut living = living(outside, own)?;
    while !living.is_empty() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
        living = self::living(outside, own)?;
    }
    for (pid, what) in living {
        found.push(format!("process {pid} ({what})"));
        end(pid)?;
    }
    found.extend(groups(own)?.iter().map(|group| format!("cgroup {}", group.display())));
    for folder in cgroups(own)? {
        remove_cgroup(&folder)?;
    }
    found.extend(mounts()?.difference(before).map(|mount| format!("mount {mount}")));
    if !outside.busy.load(Ordering::Relaxed) {
        found.extend(busy()?);
        found.extend(sockets(outside)?.iter().map(|path| format!("socket {}", path.display())));
        found.extend(partial(outside)?.iter().map(|path| format!("file {}", path.display())));
    }
    found.extend(temporary(outside)?.iter().map(|path| format!("file {}", path.display())));
    Ok(found)
}

/// The mounts that this process sees. A user's are the host's, which others change and a user cannot.
pub(crate) fn mounts() -> Result<BTreeSet<String>> {
    if Player::this() == Player::User {
        return Ok(BTreeSet::new());
    }
    Ok(fs::read_to_string("/proc/self/mountinfo")?.lines().map(str::to_owned).collect())
}

/// Living processes of the case's uids, and what was started here and is now this process's child.
pub(crate) fn living(outside: &Outside, own: u32) -> Result<Vec<(i32, String)>> {
    reap()?;
    let (first, count) = outside.uids;
    let mut living = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Ok(pid) = entry?.file_name().to_string_lossy().parse::<i32>() else { continue };
        // A process may end between the two looks; then it is not left.
        let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else { continue };
        let field = |name: &str| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .map(str::trim)
                .unwrap_or_default()
        };
        let of_pool = field("Uid:")
            .split_whitespace()
            .filter_map(|uid| uid.parse::<u32>().ok())
            .any(|uid| uid >= first && uid - first < count);
        if of_pool || field("PPid:").parse() == Ok(own) {
            living.push((pid, format!("{} {}", field("Name:"), field("State:"))));
        }
    }
    Ok(living)
}

/// Takes in children that ended and that nobody of the case waits for: it may follow several runs at once.
pub(crate) fn reap_adopted(launched: &BTreeSet<i32>) -> Result<()> {
    for task in fs::read_dir("/proc/self/task")? {
        // A thread may end between the two looks; its children are another's then.
        let children = fs::read_to_string(task?.path().join("children")).unwrap_or_default();
        let children = children.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok());
        for pid in children.filter(|pid| !launched.contains(pid)) {
            match waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG)) {
                Ok(_) | Err(Errno::ECHILD | Errno::EINTR) => {}
                Err(errno) => return Err(errno).context("waitpid"),
            }
        }
    }
    Ok(())
}

/// Takes in children that ended, the adopted ones among them.
fn reap() -> Result<()> {
    loop {
        match waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(()),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno).context("waitpid"),
        }
    }
}

pub(crate) fn end(pid: i32) -> Result<()> {
    match kill(Pid::from_raw(pid), Signal::SIGKILL) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(errno) => Err(errno).with_context(|| format!("end {pid}")),
    }
}

/// The directories of the case's cgroups, one in each hierarchy.
pub(crate) fn cgroups(own: u32) -> Result<Vec<PathBuf>> {
    let name = alone::cgroup(own);
    let root = Path::new("/sys/fs/cgroup");
    let mut found = vec![root.join(&name)];
    if let Ok(entries) = fs::read_dir(root) {
        for entry in entries {
            found.push(entry?.path().join(&name));
        }
    }
    found.retain(|path| path.is_dir());
    Ok(found)
}

/// Removes a cgroup with those below it; one that still has processes stays, and is an error.
pub(crate) fn remove_cgroup(path: &Path) -> Result<()> {
    for child in folders(path)? {
        remove_cgroup(&child)?;
    }
    let until = Instant::now() + patience(GONE_WITHIN);
    loop {
        match fs::remove_dir(path) {
            Err(error) if Instant::now() < until && error.raw_os_error() == Some(libc::EBUSY) => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            removed => return removed.with_context(|| path.display().to_string()),
        }
    }
}

fn folders(path: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    // It may be on its way out.
    let Ok(entries) = fs::read_dir(path) else { return Ok(found) };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            found.push(path);
        }
    }
    Ok(found)
}

/// The cgroups of the case's sandboxes.
pub(crate) fn groups(own: u32) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in cgroups(own)? {
        found.extend(folders(&folder)?);
    }
    Ok(found)
}

/// Files that were made to be gone again: in the folder for temporary files, and beside receipts.
pub(crate) fn temporary(outside: &Outside) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(outside.dir().join("tmp"))? {
        found.push(entry?.path());
    }
    for run in fs::read_dir(outside.dir())?.flatten() {
        let name = run.file_name();
        if !name.to_string_lossy().starts_with("run-") {
            continue;
        }
        for entry in fs::read_dir(run.path())?.flatten() {
            if entry.file_name().to_string_lossy().starts_with("receipt.") {
                found.push(entry.path());
            }
        }
    }
    Ok(found)
}

/// Control sockets: where calls are approved, secrets renewed and edges taken back.
pub(crate) fn sockets(outside: &Outside) -> Result<Vec<PathBuf>> {
    let approvals = outside.control_sockets()?;
    let [secrets, edges] = ["secrets", "edges"].map(|name| approvals.with_file_name(name));
    [approvals, secrets, edges].iter().try_fold(Vec::new(), |found, folder| entries(folder, found))
}

/// What was about to be put in the place of a file beside the audit log.
pub(crate) fn partial(outside: &Outside) -> Result<Vec<PathBuf>> {
    let audit = outside.audit();
    let folders = ["limits", "pins", "last"].map(|name| audit.with_file_name(name));
    let mut found = folders.iter().try_fold(Vec::new(), |found, folder| entries(folder, found))?;
    found.retain(|path| {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        // A run has its file for as long as it has the lock beside it, which stays.
        name.starts_with(b".") && !name.ends_with(b".lock")
    });
    Ok(found)
}

/// What lies in a folder, if there is one, beside what was found before.
fn entries(folder: &Path, mut found: Vec<PathBuf>) -> Result<Vec<PathBuf>> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(found) };
    for entry in entries {
        found.push(entry?.path());
    }
    Ok(found)
}

/// Leases that say that something of a sandbox may live.
pub(crate) fn busy() -> Result<Vec<String>> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir("/run/sandboxd/uids") else { return Ok(found) };
    for entry in entries {
        let path = entry?.path();
        if fs::read_to_string(&path)?.trim() == "busy" {
            found.push(format!("lease {} is busy", path.display()));
        }
    }
    Ok(found)
}
