//! What is kept of the caller's last run that failed or was refused anything, for `sandboxd why --last`: one
//! file that nobody else can read, written anew by each such run.

use crate::audit_folder;
use crate::calls::Called;
use crate::lease::RunDir;
use crate::sandbox::{Denials, DeniedCall, RunResult};
use rustix::fs::{
    AtFlags, FlockOperation, Mode, OFlags, ResolveFlags, flock, fstat, openat2, renameat, unlinkat,
};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::time::{SystemTime, UNIX_EPOCH};

/// The folder, beside that of the audit log.
pub(crate) const FOLDER: &str = "last";
const FILE: &str = "run.json";
const VERSION: u32 = 4;
/// Far more than a run comes to: what it holds is bounded, one by one.
const MOST: u64 = 1 << 20;

/// A run that failed, or was refused something.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kept {
    version: u32,
    /// Seconds since 1970.
    pub(crate) at: u64,
    /// The sandbox's id.
    pub(crate) sandbox: String,
    /// The command, without its arguments: a secret may be among them.
    pub(crate) command: String,
    /// Whether it was typed, and is not the profile's own.
    pub(crate) typed: bool,
    /// How it ended.
    pub(crate) exit: Option<u8>,
    pub(crate) signal: Option<u8>,
    /// Where sandboxd was called, and with what of its options.
    pub(crate) cwd: String,
    pub(crate) asked: Options,
    /// The limits that it reached, in words.
    pub(crate) limits: Vec<String>,
    /// What was refused.
    pub(crate) denials: Denials,
    pub(crate) not_let_out: Vec<NotLetOut>,
    /// Edges over which calls were refused.
    pub(crate) called: Vec<Called>,
}

/// What was typed, but for what sets variables, which may be a secret.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    pub(crate) profile: Option<String>,
    pub(crate) under: Vec<String>,
    pub(crate) read: Vec<String>,
    pub(crate) write: Vec<String>,
    pub(crate) execute: Vec<String>,
    pub(crate) egress: Vec<String>,
    pub(crate) bind: Vec<String>,
    pub(crate) set: Vec<String>,
}

/// Something that the way out did not let out.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NotLetOut {
    pub(crate) to: String,
    pub(crate) why: String,
    pub(crate) remedy: Option<String>,
    pub(crate) times: u64,
}

impl Kept {
    pub(crate) fn of(
        result: &RunResult,
        (command, typed): (String, bool),
        asked: Options,
        limits: Vec<String>,
    ) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let cwd = std::env::current_dir().unwrap_or_default();
        let refused = result.egress.iter().flat_map(|used| &used.refused);
        let not_let_out = refused.map(|one| NotLetOut {
            to: one.to.clone(),
            why: one.why.to_owned(),
            remedy: one.remedy.map(str::to_owned),
            times: one.times,
        });
        Self {
            version: VERSION,
            at: now.map_or(0, |since| since.as_secs()),
            sandbox: result.sandbox.clone(),
            command,
            typed,
            exit: result.exit,
            signal: result.signal,
            cwd: cwd.to_string_lossy().into_owned(),
            asked,
            limits,
            denials: result.denials.clone(),
            not_let_out: not_let_out.collect(),
            called: refused_calls(result).cloned().collect(),
        }
    }

    /// Keeps it, in the place of the one before; says whether that worked.
    pub(crate) fn keep(&self) -> bool {
        folder().is_some_and(|folder| self.write(&folder).is_ok())
    }

    fn write(&self, folder: &OwnedFd) -> Result<(), Errno> {
        let text = serde_json::to_vec(self).map_err(|_| Errno::INVAL)?;
        // Whoever was killed here has left it behind; nobody else is here.
        flock(folder, FlockOperation::LockExclusive)?;
        let partial = format!(".{FILE}");
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
        let file = openat2(folder, &partial, flags, Mode::RUSR | Mode::WUSR, plain())?;
        let written = File::from(file).write_all(&text);
        written
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
            .and_then(|()| renameat(folder, &partial, folder, FILE))
            .inspect_err(|_| {
                // It is not kept, whether a piece of it stays or not.
                unlinkat(folder, &partial, AtFlags::empty()).ok();
            })
    }

    /// What was kept last; nothing where nothing was, or what lies there is not ours to read.
    pub(crate) fn read() -> Option<Self> {
        let file =
            openat2(folder()?, FILE, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty(), plain());
        let file = file.ok()?;
        let stat = fstat(&file).ok()?;
        if stat.st_uid != rustix::process::geteuid().as_raw() || stat.st_mode & 0o077 != 0 {
            return None;
        }
        let mut text = Vec::new();
        File::from(file).take(MOST).read_to_end(&mut text).ok()?;
        serde_json::from_slice(&text).ok().filter(|kept: &Self| kept.version == VERSION)
    }

    /// The calls that were refused.
    pub(crate) fn calls(&self) -> &[DeniedCall] {
        &self.denials.calls
    }
}

/// Edges over which calls were refused.
pub(crate) fn refused_calls(result: &RunResult) -> impl Iterator<Item = &Called> {
    result.called.iter().filter(|edge| !edge.refused.is_empty())
}

fn plain() -> ResolveFlags {
    ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS
}

fn folder() -> Option<OwnedFd> {
    let state = audit_folder::state().ok()?;
    RunDir::at(&state, FOLDER).ok().map(RunDir::into_fd)
}
