//! What a file system lets the owner of a folder do to it, and would keep the owner from working in it after the run, or take
//! it out of its quota, is refused: keys and policies of encryption, a subvolume that is read-only, another project.

use anyhow::Result;
use nix::errno::Errno;
use sandboxd_integration::raw::{self, Argument};
use sandboxd_integration::{By, Case, Inside, Outside};
use std::fs::File;
use std::os::fd::AsRawFd as _;

pub(crate) const CASE: Case =
    Case { outside, probes: &[("lock", lock)], by: By::Anybody, ..Case::NEW };

/// Requests of ioctl(2), linux/fs.h, linux/fscrypt.h and linux/btrfs.h. A file system that knows none of them answers otherwise.
const REQUESTS: &[(&str, u64)] = &[
    ("FS_IOC_ENABLE_VERITY", 0x4080_6685),
    ("FS_IOC_SET_ENCRYPTION_POLICY", 0x800c_6613),
    ("FS_IOC_ADD_ENCRYPTION_KEY", 0xc050_6617),
    ("FS_IOC_REMOVE_ENCRYPTION_KEY", 0xc040_6618),
    ("FS_IOC_REMOVE_ENCRYPTION_KEY_ALL_USERS", 0xc040_6619),
    ("FS_IOC_FSSETXATTR", 0x401c_5820),
    ("BTRFS_IOC_SUBVOL_SETFLAGS", 0x4008_941a),
    ("BTRFS_IOC_SET_RECEIVED_SUBVOL", 0xc0c8_9425),
    ("BTRFS_IOC_SET_RECEIVED_SUBVOL_32", 0xc0c0_9425),
];
/// file_setattr(2), kernel 6.17.
const FILE_SETATTR: i64 = 469;

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let profile = format!("extends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\n");
    let run = outside.sandbox(&profile).probe("lock", &[ws.to_str().unwrap_or_default()]).run()?;
    run.ran()?.refused("file_setattr", &[Errno::ENOSYS])?;
    for (name, _) in REQUESTS {
        run.refused(name, &[Errno::EPERM])?;
    }
    Ok(())
}

fn lock(inside: &Inside) -> Result<()> {
    let folder = File::open(inside.path(0)?)?;
    let folder: u64 = folder.as_raw_fd().try_into()?;
    for (name, request) in REQUESTS {
        // Longer than any of them reads.
        let mut told = [0; 256];
        let mut words =
            [Argument::Number(folder), Argument::Number(*request), Argument::Buffer(&mut told)];
        inside.attempt(name, raw::call(libc::SYS_ioctl, &mut words));
    }
    let mut words = [Argument::Number(folder), Argument::Text(c"")];
    inside.attempt("file_setattr", raw::call(FILE_SETATTR, &mut words));
    Ok(())
}
