//! Reading profiles from disk: once, from a descriptor that was checked, so that what was checked is
//! what is parsed.

use crate::explain;
use crate::sandbox::doing;
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::process::getuid;
use sandboxd_plan::HostPath;
use sandboxd_profiles::{Document, Problem, builtin};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};

/// As large as a profile may be, and one byte more to tell that it is larger.
const MOST: u64 = (256 << 10) + 1;

/// The profile at a path, or the builtin of that name (`builtin:…`).
///
/// # Errors
/// Where it cannot be read, or somebody could change it who must not.
pub fn read(name: &str) -> Result<Document, Problem> {
    if let Some(builtin) = name.strip_prefix("builtin:") {
        return builtin::find(builtin).ok_or_else(|| {
            let remedy = match builtin::near(builtin) {
                Some(meant) => format!("did you mean builtin:{meant}? See `sandboxd profile list`"),
                None => String::from("see `sandboxd profile list`"),
            };
            problem(name, "there is no such builtin profile", &remedy)
        });
    }
    doing(format!("reading the profile {name}"));
    // Not blocked by a FIFO, not given a terminal.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let file = rustix::fs::openat2(CWD, name, flags, Mode::empty(), resolve).map_err(|errno| {
        // A link may have been planted by a sandbox, and lead past every look at the profile's folder.
        let remedy = match errno {
            // `/dev/stdin`, or what a shell makes of `<(…)`.
            Errno::LOOP if ["/dev/", "/proc/"].iter().any(|own| name.starts_with(own)) => String::from(
                "a profile must be a regular file that can be reviewed: write it to one, in a folder that only you can write",
            ),
            Errno::LOOP => String::from("a link leads there: give the real path (realpath)"),
            Errno::NOENT if builtin::near(name).is_some() => {
                format!("write builtin:{}", builtin::near(name).unwrap_or_default())
            }
            _ => String::from(
                "give the path of a profile, or builtin:NAME (see `sandboxd profile list`)",
            ),
        };
        problem(name, explain::errno(errno.raw_os_error()), &remedy)
    })?;
    check(name, &file)?;
    let mut bytes = Vec::new();
    let file = File::from(file);
    // By reference: the descriptor is asked for its folder below.
    (&file)
        .take(MOST)
        .read_to_end(&mut bytes)
        .map_err(|error| problem(name, error.to_string(), "make the file readable"))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        problem(name, format!("not UTF-8, from byte {valid} on"), "save it as UTF-8")
    })?;
    let Some(folder) = folder_of(&file) else {
        return Err(problem(
            name,
            "its folder has a name that is not UTF-8",
            "move the profile to a folder with a plain name",
        ));
    };
    Ok(Document { name: name.to_owned(), folder: Some(folder), text })
}

/// Whether it is a file that only those can change who decide what sandboxes may do.
fn check(name: &str, file: &OwnedFd) -> Result<(), Problem> {
    let stat = rustix::fs::fstat(file).map_err(|errno| {
        problem(name, explain::errno(errno.raw_os_error()), "give another file")
    })?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(problem(name, "not a regular file", "give the path of a TOML file"));
    }
    if stat.st_mode & 0o022 != 0 {
        return Err(problem(
            name,
            format!("its mode {:04o} lets others write it", stat.st_mode & 0o7777),
            "whoever can write a profile decides what the sandbox may do: chmod go-w it",
        ));
    }
    if !is_ours(stat.st_uid) {
        return Err(problem(
            name,
            format!("it belongs to uid {}", stat.st_uid),
            "a profile must belong to root or to the user who runs sandboxd: chown it, or copy it",
        ));
    }
    Ok(())
}

/// Where an open file lies, as the kernel tells it.
fn folder_of(file: &File) -> Option<HostPath> {
    let path = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
    let folder = path.parent()?.to_str()?;
    HostPath::try_from(folder).ok()
}

fn problem(name: &str, what: impl Into<String>, remedy: &str) -> Problem {
    Problem {
        file: name.to_owned(),
        at: None,
        key: String::new(),
        what: what.into(),
        remedy: remedy.to_owned(),
    }
}

/// Whether it is root's, or of whoever runs this.
pub(crate) fn is_ours(owner: u32) -> bool {
    owner == 0 || owner == getuid().as_raw() || is_invoker(owner)
}

pub(crate) fn is_invoker(uid: u32) -> bool {
    std::env::var("SUDO_UID").ok().and_then(|text| text.parse().ok()) == Some(uid)
}
