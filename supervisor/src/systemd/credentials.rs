//! Credentials that systemd passes to a service, systemd.exec(5) `LoadCredential=`: files in a folder that
//! nobody but the unit's user may enter. The profile says which of them the command may read.
//!
//! Where the command is somebody else than this process, it gets a copy, which goes by a memfd into the
//! sandbox's own root and so is never on a disk.

use crate::explain::printable;
use crate::sandbox::StartError;
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use sandboxd_plan::HostPath;
use sandboxd_profiles::Credentials;
use std::fs::File;
use std::io::Read as _;

const VARIABLE: &str = "CREDENTIALS_DIRECTORY";
/// What all of a unit's hold together at most, systemd.exec(5); and what a sandbox's root has room for.
pub(crate) const MOST: u64 = 1 << 20;

/// Which were passed.
///
/// # Errors
/// Where the folder is none, or cannot be read.
pub(crate) fn passed() -> Result<Credentials, StartError> {
    let Some(folder) = std::env::var_os(VARIABLE) else { return Ok(Credentials::Nowhere) };
    let shown = format!("{VARIABLE}={}", printable(&folder.to_string_lossy()));
    let remedy = "check what started sandboxd, or unset the variable";
    let folder = folder.to_str().and_then(|folder| HostPath::try_from(folder).ok());
    let Some(folder) = folder else {
        return Err(StartError::found("credentials", shown).with_remedy(remedy));
    };
    let mut names = std::collections::BTreeSet::new();
    let unread = |error: &std::io::Error| StartError::io("open", &shown, error).with_remedy(remedy);
    for entry in std::fs::read_dir(folder.as_str()).map_err(|error| unread(&error))? {
        let name = entry.map_err(|error| unread(&error))?.file_name();
        names.extend(name.into_string());
    }
    Ok(Credentials::In { folder, names })
}

/// What one holds, in sealed memory; `room` is what all of them may still take.
///
/// # Errors
/// Where it cannot be read, is no regular file, or there is no room for it.
pub(crate) fn copied(path: &HostPath, room: &mut u64) -> Result<OwnedFd, StartError> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let file = openat2(CWD, path.as_str(), flags, Mode::empty(), resolve)
        .map_err(|errno| StartError::call("open", path.as_str(), errno).with_remedy(PLAIN))?;
    let found = fstat(&file).map_err(|errno| StartError::call("fstat", path.as_str(), errno))?;
    if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
        return Err(StartError::found("credentials", path.as_str()).with_remedy(PLAIN));
    }
    let mut content = Vec::new();
    let read = File::from(file).take(*room + 1).read_to_end(&mut content);
    read.map_err(|error| StartError::io("read", path.as_str(), &error))?;
    let length = u64::try_from(content.len()).unwrap_or(u64::MAX);
    *room = room.checked_sub(length).ok_or_else(|| {
        StartError::found("credentials", format!("{path}: too large")).with_remedy(
            "a command gets at most 1M of credentials: grant a file instead ([files].read)",
        )
    })?;
    crate::sandbox::sealed_copy(&content)
}

const PLAIN: &str = "a credential is a regular file, as LoadCredential= and SetCredential= make it";
