//! Where the audit log lies, and that nobody else can write there.

use crate::explain;
use crate::lease::{LeaseError, Retention, RunDir, Settings};
use rustix::process::geteuid;
use sandboxd_audit::{AuditError, Folder};
use sandboxd_plan::HostPath;
use sandboxd_profiles::host::{AuditFact, Gap};
use std::fs::DirBuilder;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Where root's lies.
const ROOTS: &str = "/var/lib/sandboxd";

/// What to do where it cannot be written.
fn remedy() -> String {
    String::from(if geteuid().is_root() {
        "let sandboxd write there: a read-only root needs a disk or a tmpfs at /var/lib/sandboxd, a unit StateDirectory=sandboxd"
    } else {
        "set XDG_STATE_HOME to a folder of yours that you can write, and HOME to your own"
    })
}

/// The folder that holds the folder of logs: root's, or the caller's.
///
/// # Errors
/// Where a user has neither `XDG_STATE_HOME` nor `HOME`.
pub(crate) fn state() -> Result<PathBuf, AuditError> {
    if geteuid().is_root() {
        return Ok(PathBuf::from(ROOTS));
    }
    let absolute =
        |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")));
    state.map(|state| state.join("sandboxd")).ok_or_else(|| AuditError {
        call: "getenv",
        subject: String::from("HOME and XDG_STATE_HOME"),
        errno: 0,
        remedy: String::from("set one of them to a folder of yours"),
    })
}

/// The folder of logs, by its path.
///
/// # Errors
/// As [`state`].
pub fn path() -> Result<PathBuf, AuditError> {
    state().map(|state| state.join("audit"))
}

/// The folder of logs, made where it is not there yet, and looked at by descriptor: it is the
/// supervisor's own, and nobody else can look into it or put another in its place.
///
/// # Errors
/// Where that is not so, or it cannot be made.
pub fn open() -> Result<Folder, AuditError> {
    let state = state()?;
    make(&state)?;
    let keep = retention()?.time();
    let dir = RunDir::at(&state, "audit").map_err(refused)?;
    // By its real name: what is granted is compared with it.
    let real = std::fs::read_link(format!("/proc/self/fd/{}", dir.as_fd().as_raw_fd()));
    let label = real.map_or_else(|_| dir.label().to_owned(), |real| real.display().to_string());
    Ok(Folder::new(dir.into_fd(), label).keeping(keep))
}

/// How long logs are kept: what the machine's settings say is about root's.
///
/// # Errors
/// Where the settings cannot be read.
pub(crate) fn retention() -> Result<Retention, AuditError> {
    if !geteuid().is_root() {
        return Ok(Retention::default());
    }
    let settings = Settings::read().map_err(|LeaseError { call, subject, errno, remedy }| {
        AuditError { call, subject, errno, remedy }
    })?;
    Ok(settings.audit)
}

/// Another folder of the supervisor's own beside the log, made where it is not there yet.
///
/// # Errors
/// As [`open`].
pub fn beside(name: &str) -> Result<RunDir, AuditError> {
    let state = state()?;
    make(&state)?;
    RunDir::at(&state, name).map_err(refused)
}

/// What a profile is resolved with: where the log is, or why it cannot be written.
#[must_use]
pub fn fact() -> AuditFact {
    fact_of(open().map(|folder| folder.label().to_owned()))
}

/// The same, of a folder that was opened.
pub(crate) fn fact_of(opened: Result<String, AuditError>) -> AuditFact {
    let unnamed = |label: String| AuditError {
        call: "readlink",
        subject: label,
        errno: 0,
        remedy: String::from("give the folder a plain name"),
    };
    // What lies beside the log is nobody's inside either.
    let state = |label: String| {
        let above = Path::new(&label).parent().and_then(Path::to_str).unwrap_or(&label);
        HostPath::try_from(above).map_err(|_| unnamed(label))
    };
    let folder = opened.and_then(state);
    folder.map_or_else(
        |error| AuditFact::Lacking(Gap { why: line(&error), remedy: error.remedy }),
        AuditFact::Folder,
    )
}

/// Makes what is missing of a path.
fn make(path: &Path) -> Result<(), AuditError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| AuditError {
        call: "mkdir",
        subject: path.display().to_string(),
        errno: error.raw_os_error().unwrap_or(0),
        remedy: self::remedy(),
    })
}

fn refused(error: LeaseError) -> AuditError {
    let LeaseError { call, subject, errno, remedy } = error;
    // Of what was found it says what to do; what the kernel refused is about this folder.
    let remedy = if errno == 0 { remedy } else { self::remedy() };
    AuditError { call, subject, errno, remedy }
}

/// What went wrong, on one line.
#[must_use]
pub fn line(error: &AuditError) -> String {
    let place = format!("{}(\"{}\")", error.call, explain::printable(&error.subject));
    match error.errno {
        0 => place,
        errno => format!("{place}: {}", explain::errno(errno)),
    }
}
