//! The shim and its plan as sealed memory: what runs is what was built, whatever lies on disk.

use super::error::StartError;
use rustix::fd::OwnedFd;
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;
use sandboxd_plan::{Exec, Plan, wire};

/// The shim, built by `build.rs`.
static SHIM: &[u8] = include_bytes!(env!("SANDBOXD_SHIM"));

/// The shim in a memfd that nobody can change, memfd_create(2).
///
/// # Errors
/// Where memory is short, or the host forbids executable memfds (`vm.memfd_noexec=2`).
pub(crate) fn shim() -> Result<OwnedFd, StartError> {
    let exec = MemfdFlags::EXEC;
    let made = match sealed("sandboxd-shim", SHIM, exec) {
        // Before kernel 6.3 the flag is unknown, and every memfd can be executed.
        Err(Errno::INVAL) => sealed("sandboxd-shim", SHIM, MemfdFlags::empty()),
        made => made,
    };
    made.map_err(|errno| {
        StartError::call("memfd_create", "sandboxd-shim", errno).with_remedy(
            "allow executable memfds for sandboxd: sysctl vm.memfd_noexec=1 or 0; sandboxes set their own",
        )
    })
}

/// A plan as the shim reads it.
///
/// # Errors
/// Where it takes more than fits.
pub(crate) fn encoded(plan: &Plan) -> Result<Vec<u8>, StartError> {
    wire::encode(plan).map_err(|error| {
        too_long(&plan.exec).unwrap_or_else(|| StartError::found("encode", error.to_string()))
    })
}

/// That the command's words alone are most of what fits.
fn too_long(exec: &Exec) -> Option<StartError> {
    let words = exec.argv.iter().chain(&exec.env);
    let bytes: usize = words.map(|word| word.as_bytes().len()).sum();
    let error = || {
        let what = format!(
            "arguments and variables have {bytes} bytes; {} fit beside the rest of the plan",
            wire::MOST
        );
        StartError::found("encode", what).with_remedy(
            "pass long values in a file that the command may read, or on its standard input",
        )
    };
    (bytes > wire::MOST / 2).then(error)
}

/// An encoded plan in a memfd that nobody can change.
///
/// # Errors
/// Where memory is short.
pub(crate) fn plan(bytes: &[u8]) -> Result<OwnedFd, StartError> {
    sealed("sandboxd-plan", bytes, MemfdFlags::empty())
        .map_err(|errno| StartError::call("memfd_create", "sandboxd-plan", errno))
}

/// Something that is handed on and not kept, in a memfd that nobody can change.
///
/// # Errors
/// Where memory is short.
pub(crate) fn copy(bytes: &[u8]) -> Result<OwnedFd, StartError> {
    sealed("sandboxd-copy", bytes, MemfdFlags::empty())
        .map_err(|errno| StartError::call("memfd_create", "sandboxd-copy", errno))
}

fn sealed(name: &str, bytes: &[u8], flags: MemfdFlags) -> rustix::io::Result<OwnedFd> {
    let flags = flags | MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = rustix::fs::memfd_create(name, flags)?;
    let mut left = bytes;
    while !left.is_empty() {
        let written = rustix::io::write(&file, left)?;
        left = left.get(written..).unwrap_or_default();
    }
    rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0))?;
    let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&file, seals)?;
    Ok(file)
}
