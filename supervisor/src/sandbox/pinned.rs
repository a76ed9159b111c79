//! A program whose content is part of the profile: digested on the descriptor that is handed to the
//! shim, which executes that inode and no other.

use super::error::StartError;
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use sandboxd_audit::encode::hex;
use sandboxd_profiles::resolved::Pinned;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;

/// Opens the program and compares its digest.
///
/// # Errors
/// Where it cannot be read, is a script, or is not what the profile says.
pub(crate) fn open(pinned: &Pinned) -> Result<OwnedFd, StartError> {
    let path = pinned.path.as_str();
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let opened = rustix::fs::openat2(CWD, path, flags, Mode::empty(), resolve)
        .map_err(|errno| StartError::call("open", path, errno))?;
    let mut file = File::from(opened);
    let (digest, start) =
        digest(&mut file).map_err(|error| StartError::found("read", format!("{path}: {error}")))?;
    if start == *b"#!" {
        return Err(StartError::found("sha256", format!("{path} is a script")).with_remedy(
            "a digest pins a program, not the interpreter it names: write the interpreter as exec[0] and pin that",
        ));
    }
    if digest != pinned.sha256 {
        return Err(StartError::found("sha256", format!("{path} is {digest}")).with_remedy(
            "the program is not the one the profile pins: find out who changed it, then update [command].sha256",
        ));
    }
    Ok(OwnedFd::from(file))
}

/// Whether the program that was opened is still what the profile says, and the path still leads to it.
///
/// # Errors
/// As [`open`]; where it is another.
pub(super) fn still(pinned: &Pinned, opened: &OwnedFd) -> Result<(), StartError> {
    let path = pinned.path.as_str();
    let now = open(pinned)?;
    let failed = |errno| StartError::call("fstat", path, errno);
    let [now, before] = [&now, opened].map(rustix::fs::fstat);
    let (now, before) = (now.map_err(failed)?, before.map_err(failed)?);
    if (now.st_dev, now.st_ino) == (before.st_dev, before.st_ino) {
        return Ok(());
    }
    Err(StartError::found("claim", format!("{path} was replaced")))
}

fn digest(file: &mut File) -> std::io::Result<(String, [u8; 2])> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    let mut start = None;
    loop {
        let read = file.read(&mut buffer)?;
        let bytes = buffer.get(..read).unwrap_or_default();
        if read == 0 {
            break;
        }
        start = start.or_else(|| bytes.first_chunk::<2>().copied());
        hash.update(bytes);
    }
    let digest = hex(&hash.finalize());
    Ok((digest, start.unwrap_or_default()))
}
