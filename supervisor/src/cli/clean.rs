//! `sandboxd doctor --clean`: what killed supervisors left behind, and its end.
//!
//! Ours is a cgroup with the name of a sandbox's, a lease marked busy, a control socket, the folder for temporary
//! files of a run without a view of its own, what was to be put in the place of a file beside the audit log, an
//! empty folder of doctor's, and one that a command was learnt from in; left behind is what nobody holds the lock of,
//! and a socket that nobody has. Whatever a living supervisor has is not touched.

use super::NOT_SET_UP;
use super::output::{say, say_json, warn};
use crate::cgroup::{CgroupError, Placement, leftovers};
use crate::control;
use crate::explain::printable;
use crate::host;
use crate::lasting;
use crate::lease::{LeaseError, Pool, RunDir, Settings};
use crate::sandbox::{StartError, private};
use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use serde::Serialize;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What was found.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Found {
    /// Left behind: removed, or to be removed.
    pub(crate) left: Vec<Left>,
    /// Sandboxes with a living supervisor; not touched.
    pub(crate) living: usize,
    /// What stays, and why.
    pub(crate) failed: Vec<Stays>,
}

impl Found {
    /// Of one thing what became of it.
    fn tell(&mut self, kind: &'static str, name: String, gone: Result<(), impl Into<Stays>>) {
        match gone {
            Ok(()) => self.left.push(Left { kind, name }),
            Err(error) => self.failed.push(error.into()),
        }
    }
}

/// One thing that was left behind.
#[derive(Debug, Serialize)]
pub(crate) struct Left {
    kind: &'static str,
    name: String,
}

/// One thing that could not be removed.
#[derive(Debug, Serialize)]
pub(crate) struct Stays {
    what: String,
    remedy: String,
}

/// Removes it and says what it was.
pub(crate) fn clean(json: bool) -> u8 {
    let found = match find(true) {
        Ok(found) => found,
        Err(error) => {
            warn(&if json { format!("{}\n", error.json("doctor")) } else { error.text("doctor") });
            return NOT_SET_UP;
        }
    };
    let said = if json {
        say_json(&serde_json::json!({
            "removed": found.left, "living": found.living, "failed": found.failed,
        }))
    } else {
        say(&words(&found, "removed"))
    };
    u8::from(!(found.failed.is_empty() && said))
}

/// What there is, one a line; `did` says what became of it.
pub(crate) fn words(found: &Found, did: &str) -> String {
    let mut text = String::new();
    for Left { kind, name } in &found.left {
        text.push_str(&format!("{did}  {kind:<8}{}\n", printable(name)));
    }
    for Stays { what, remedy } in &found.failed {
        text.push_str(&format!("stays    {}\n  remedy  {}\n", printable(what), printable(remedy)));
    }
    let count = found.left.len();
    text.push_str(&match (count, found.living) {
        (0, 0) => String::from("nothing is left behind\n"),
        (0, living) => format!("nothing is left behind; {living} sandboxes live\n"),
        (count, 0) => format!("{count} {did}\n"),
        (count, living) => format!("{count} {did}; {living} sandboxes live, not touched\n"),
    });
    text
}

/// Looks for it, and removes it where asked to.
///
/// # Errors
/// Where the settings, `/run/sandboxd`, `/proc` or the folder for temporary files cannot be read.
pub(crate) fn find(remove: bool) -> Result<Found, StartError> {
    let mut found = Found::default();
    // Before the leases: whoever lives in a group has the uid.
    let groups = leftovers(&placement()?, remove)?;
    found.left.extend(groups.removed.into_iter().map(|name| Left { kind: "cgroup", name }));
    found.failed.extend(groups.failed.into_iter().map(Stays::from));
    found.living = groups.living.len();
    // Only root leases uids; whoever is not root sees their own cgroups.
    if host::is_root_of_the_machine() {
        leases(&mut found, remove)?;
    }
    for (name, gone) in control::left(remove) {
        let gone = gone.map_err(|errno| {
            StartError::call("unlinkat", name.as_str(), errno).with_remedy("remove it by hand")
        });
        found.tell("socket", name, gone);
    }
    for (name, gone) in private::left(remove) {
        found.tell("folder", name, gone);
    }
    for (name, gone) in lasting::left(remove) {
        found.tell("file", name, gone);
    }
    for folder in folders()? {
        let name = folder.display().to_string();
        // What doctor makes is empty; learn's holds what was seen.
        let gone = match (remove, is_of(LEARN, &folder)) {
            (false, _) => Ok(()),
            (true, true) => std::fs::remove_dir_all(&folder),
            (true, false) => std::fs::remove_dir(&folder),
        };
        let gone = gone.map_err(|error| {
            StartError::io("rmdir", name.as_str(), &error).with_remedy("check what is in it")
        });
        found.tell("folder", name, gone);
    }
    Ok(found)
}

/// Where groups lie by the operator's word, which is root's to give.
fn placement() -> Result<Placement, StartError> {
    if !host::is_root_of_the_machine() {
        return Ok(Placement::Own);
    }
    Ok(Settings::read()?.cgroups.parent.map_or(Placement::Own, Placement::Below))
}

fn leases(found: &mut Found, remove: bool) -> Result<(), StartError> {
    let pool = Pool::open(Settings::read()?.uids, &RunDir::open()?)?;
    let (abandoned, living) = pool.abandoned()?;
    found.living = found.living.max(living);
    for lease in abandoned {
        let name = format!("uid {}", lease.uid);
        // Where nothing is to be removed, the processes of a group that is still there have it.
        found.tell("lease", name, if remove { lease.free() } else { Ok(()) });
    }
    Ok(())
}

/// What folders of `doctor` are called; the number of its process follows.
pub(crate) const DOCTOR: &str = "sandboxd-doctor-";
/// And those of `learn`; more follows the number.
pub(crate) const LEARN: &str = "sandboxd-learn-";

/// Whether it is called so, and whoever made it is gone.
fn is_of(prefix: &str, folder: &Path) -> bool {
    let number =
        folder.file_name().and_then(OsStr::to_str).and_then(|name| name.strip_prefix(prefix));
    let pid = number.and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
    pid.is_some_and(|pid| !PathBuf::from(format!("/proc/{pid}")).exists())
}

/// Locks a folder of a `learn` for as long as what is given back is open: its number may be nobody's here, and
/// somebody's in another PID namespace.
///
/// # Errors
/// Of `open` and `flock`; `EWOULDBLOCK` where somebody has it locked.
pub(crate) fn lock(folder: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::open(folder, flags, Mode::empty())?;
    flock(&opened, FlockOperation::NonBlockingLockExclusive)?;
    Ok(opened)
}

/// Folders that a `doctor` made to run profiles in or a `learn` to be told in, which is gone.
fn folders() -> Result<Vec<PathBuf>, StartError> {
    use std::os::unix::fs::MetadataExt;
    let own = rustix::process::geteuid().as_raw();
    let temporary = std::env::temp_dir();
    let entries = match std::fs::read_dir(&temporary) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            let place = temporary.display().to_string();
            return Err(StartError::io("read_dir", place, &error)
                .with_remedy("set TMPDIR to a folder of yours"));
        }
    };
    let folders = entries
        .flatten()
        .filter(|entry| {
            let path = entry.path();
            // Whoever may write here may call a folder so: nothing is opened in what is not our own.
            entry.metadata().is_ok_and(|found| found.is_dir() && found.uid() == own)
                && (is_of(DOCTOR, &path) || (is_of(LEARN, &path) && lock(&path).is_ok()))
        })
        .map(|entry| entry.path());
    Ok(folders.collect())
}

impl From<CgroupError> for Stays {
    fn from(error: CgroupError) -> Self {
        Self { what: error.to_string(), remedy: error.remedy }
    }
}

impl From<StartError> for Stays {
    fn from(error: StartError) -> Self {
        Self { what: error.line(), remedy: error.remedy().unwrap_or_default() }
    }
}

impl From<LeaseError> for Stays {
    fn from(LeaseError { call, subject, errno, remedy }: LeaseError) -> Self {
        let answer = if errno == 0 { String::new() } else { crate::explain::errno(errno) };
        Self { what: format!("{call}(\"{subject}\") {answer}"), remedy }
    }
}
