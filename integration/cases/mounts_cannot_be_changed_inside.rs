//! Nothing inside can mount, unmount, copy a mount, change one's flags or get a mount namespace of
//! its own.

use anyhow::Result;
use nix::errno::Errno;
use sandboxd_integration::raw::{self, Argument};
use sandboxd_integration::{By, Case, Inside, Outside};
use std::ffi::{CStr, CString};
use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;

/// The filter refuses each by itself, so does the want of capabilities, and most of it Landlock.
pub(crate) const CASE: Case = Case {
    rows: &["F20", "F21", "F22", "F23", "F24"],
    outside,
    probes: &[("mount", mount)],
    by: By::Anybody,
    ..Case::NEW
};

const OPEN_TREE_ATTR: i64 = 467;
const FILE_DESCRIPTOR_NOWHERE: u64 = 1023;

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    outside.file("ws/keys/id", "")?;
    outside.file("ws/fixed/notes", "")?;
    let hidden = outside.canary("ws/keys/id")?;
    let fixed = outside.canary("ws/fixed/notes")?;
    let (keys, folder) = (ws.join("keys"), ws.join("fixed"));
    let profile = format!(
        "extends = [\"builtin:base\"]\n\
         [files]\nwrite = [{ws:?}]\nread = [{folder:?}]\nhide = [{keys:?}]\n"
    );
    let words = [&ws, &keys, &folder].map(|path| path.to_str().unwrap_or_default());
    let run = outside.sandbox(&profile).probe("mount", &words).run()?;
    run.ran()?.keeps(&hidden)?;
    for (attempt, _) in run.attempts() {
        let answers = match attempt {
            "write afterwards" => [Errno::EROFS, Errno::EACCES, Errno::EROFS],
            "read afterwards" => [Errno::EACCES, Errno::ENOENT, Errno::EACCES],
            "enter a namespace" => [Errno::EPERM, Errno::EACCES, Errno::ENOENT],
            _ => [Errno::EPERM, Errno::ENOSYS, Errno::EPERM],
        };
        run.refused(attempt, &answers)?;
    }
    hidden.unchanged()?;
    fixed.unchanged()
}

const fn text(text: &CStr) -> Argument<'_> {
    Argument::Text(text)
}

const fn number(number: u64) -> Argument<'static> {
    Argument::Number(number)
}

fn mount(inside: &Inside) -> Result<()> {
    let path = |at: usize| -> Result<CString> {
        Ok(CString::new(inside.path(at)?.as_os_str().as_bytes())?)
    };
    let (ws, keys, fixed) = (path(0)?, path(1)?, path(2)?);
    // Alone, then after an attempt at a user namespace, in which all of it would be allowed.
    attempts(inside, &ws, &keys, &fixed);
    for flags in [libc::CLONE_NEWUSER | libc::CLONE_NEWNS, libc::CLONE_NEWUSER, libc::CLONE_NEWNS] {
        let flags = u64::from(flags.cast_unsigned());
        inside.attempt("unshare", raw::call_numbers(libc::SYS_unshare, &[flags]));
    }
    for name in ["mnt", "user"] {
        for process in ["self", "1"] {
            let opened = File::open(format!("/proc/{process}/ns/{name}"));
            let entered = opened.and_then(|namespace| {
                let fd = u64::from(namespace.as_raw_fd().cast_unsigned());
                Ok(raw::call_numbers(libc::SYS_setns, &[fd, 0])?)
            });
            inside.attempt("enter a namespace", entered);
        }
    }
    attempts(inside, &ws, &keys, &fixed);
    inside.attempt("write afterwards", fs::write(inside.path(2)?.join("notes"), "mine"));
    if let Some(text) =
        inside.attempt("read afterwards", fs::read_to_string(inside.path(1)?.join("id")))
    {
        inside.fact("read", &text);
    }
    Ok(())
}

fn attempts(inside: &Inside, ws: &CStr, keys: &CStr, fixed: &CStr) {
    let here = u64::from(libc::AT_FDCWD.cast_unsigned());
    let bind = libc::MS_BIND | libc::MS_REC;
    // OPEN_TREE_CLONE, alone and with AT_RECURSIVE.
    for flags in [1, 1 | 0x8000] {
        let mut words = [number(here), text(ws), number(flags)];
        inside.attempt("open_tree", raw::call(libc::SYS_open_tree, &mut words));
    }
    // A struct mount_attr that takes MOUNT_ATTR_RDONLY away.
    let mut clear = [0_u8; 32];
    clear[8] = 1;
    let mut words =
        [number(here), text(fixed), number(0), Argument::Bytes(&clear), number(32), number(0)];
    inside.attempt("mount_setattr", raw::call(libc::SYS_mount_setattr, &mut words));
    let mut words =
        [number(here), text(fixed), number(1), Argument::Bytes(&clear), number(32), number(0)];
    inside.attempt("open_tree_attr", raw::call(OPEN_TREE_ATTR, &mut words));
    for (what, from, to, kind, flags) in [
        ("tmpfs", c"none", ws, c"tmpfs", 0),
        ("bind", ws, c"/tmp", c"", bind),
        ("remount", c"", fixed, c"", libc::MS_REMOUNT | libc::MS_BIND),
        ("overlay", c"none", c"/tmp", c"overlay", 0),
        ("proc", c"none", c"/tmp", c"proc", 0),
        ("propagate", c"", c"/", c"", libc::MS_SHARED | libc::MS_REC),
        ("move", keys, c"/tmp", c"", libc::MS_MOVE),
    ] {
        let mut words = [text(from), text(to), text(kind), number(flags), number(0)];
        inside.attempt(what, raw::call(libc::SYS_mount, &mut words));
    }
    for (what, path) in [("uncover", keys), ("uncover fixed", fixed), ("uncover proc", c"/proc")] {
        let mut words = [text(path), number(2)];
        inside.attempt(what, raw::call(libc::SYS_umount2, &mut words));
    }
    let mut words = [text(c"."), text(c".")];
    inside.attempt("pivot_root", raw::call(libc::SYS_pivot_root, &mut words));
    inside.attempt("chroot", raw::call(libc::SYS_chroot, &mut [text(ws)]));
    inside.attempt("fsopen", raw::call(libc::SYS_fsopen, &mut [text(c"tmpfs"), number(0)]));
    let mut words = [number(here), text(ws), number(0)];
    inside.attempt("fspick", raw::call(libc::SYS_fspick, &mut words));
    let nowhere = FILE_DESCRIPTOR_NOWHERE;
    inside.attempt("fsconfig", raw::call_numbers(libc::SYS_fsconfig, &[nowhere, 6, 0, 0, 0]));
    inside.attempt("fsmount", raw::call_numbers(libc::SYS_fsmount, &[nowhere, 0, 0]));
    let mut words = [number(here), text(keys), number(here), text(c"/tmp"), number(0)];
    inside.attempt("move_mount", raw::call(libc::SYS_move_mount, &mut words));
}
