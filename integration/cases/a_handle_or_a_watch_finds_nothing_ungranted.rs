//! A file that is not granted is found by no handle, watch or attribute either, and a read-only one
//! gets none.

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use sandboxd_integration::raw::{self, Argument};
use sandboxd_integration::{By, Case, Inside, Outside};
use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Handles: the filter, and the want of `CAP_DAC_READ_SEARCH`. The rest: the mount view.
pub(crate) const CASE: Case = Case {
    rows: &["F09", "F10", "F11"],
    outside,
    probes: &[("find", find)],
    by: By::Anybody,
    ..Case::NEW
};

/// Room for any handle, name_to_handle_at(2), before which stand its length and its kind.
const HANDLE: usize = 8 + 128;

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let canary = outside.canary("secret")?;
    outside.file("read/file", "")?;
    let read = outside.canary("read/file")?;
    // The handle itself, which an adversary would have to guess.
    let handle = handle(canary.path()).context("name_to_handle_at")?;
    let hexadecimal: String = handle.iter().map(|byte| format!("{byte:02x}")).collect();
    let profile = format!(
        "extends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\nread = [{:?}]\n",
        read.path()
    );
    let words = [
        canary.path().to_str().unwrap_or_default(),
        ws.to_str().unwrap_or_default(),
        read.path().to_str().unwrap_or_default(),
        &hexadecimal,
    ];
    let run = outside.sandbox(&profile).probe("find", &words).run()?;
    run.ran()?.keeps(&canary)?.allowed("watch own")?.allowed("attribute of own")?;
    for attempt in ["watch", "attribute", "list"] {
        run.refused(attempt, &[Errno::ENOENT])?;
    }
    for attempt in ["handle of", "handle of own", "by handle", "by handle of own"] {
        run.refused(attempt, &[Errno::EPERM])?;
    }
    run.refused("attribute of read", &[Errno::EROFS, Errno::EACCES])?;
    run.refused("remove attribute of read", &[Errno::EROFS, Errno::EACCES])?;
    read.unchanged()?;
    canary.unchanged()
}

fn text(path: &Path) -> Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}

fn handle(path: &Path) -> Result<Vec<u8>> {
    let mut handle = vec![0_u8; HANDLE];
    handle.get_mut(..4).context("room")?.copy_from_slice(&128_u32.to_ne_bytes());
    let (mut mount, path) = ([0_u8; 4], text(path)?);
    let mut words = [
        Argument::Number(u64::from(libc::AT_FDCWD.cast_unsigned())),
        Argument::Text(&path),
        Argument::Buffer(&mut handle),
        Argument::Buffer(&mut mount),
        Argument::Number(0),
    ];
    raw::call(libc::SYS_name_to_handle_at, &mut words)?;
    Ok(handle)
}

fn set(path: &CStr, number: i64) -> nix::Result<i64> {
    let mut words = [Argument::Text(path), Argument::Text(c"user.mine")];
    if number == libc::SYS_removexattr {
        return raw::call(number, &mut words);
    }
    let [path, name] = words;
    let value = [Argument::Bytes(b"x"), Argument::Number(1), Argument::Number(0)];
    let [value, length, flags] = value;
    raw::call(number, &mut [path, name, value, length, flags])
}

fn find(inside: &Inside) -> Result<()> {
    let (secret, ws, read) = (inside.path(0)?, inside.path(1)?, inside.path(2)?);
    let watches = Inotify::init(InitFlags::IN_CLOEXEC)?;
    inside.attempt("watch", watches.add_watch(secret, AddWatchFlags::IN_ALL_EVENTS));
    inside.attempt("watch own", watches.add_watch(ws, AddWatchFlags::IN_ALL_EVENTS));
    let whole = text(secret)?;
    inside.attempt("attribute", set(&whole, libc::SYS_setxattr));
    let mut words = [Argument::Text(&whole), Argument::Number(0), Argument::Number(0)];
    inside.attempt("list", raw::call(libc::SYS_listxattr, &mut words));
    let own = ws.join("own");
    File::create(&own)?;
    inside.attempt("attribute of own", set(&text(&own)?, libc::SYS_setxattr));
    let read = text(read)?;
    inside.attempt("attribute of read", set(&read, libc::SYS_setxattr));
    inside.attempt("remove attribute of read", set(&read, libc::SYS_removexattr));

    let errno = |outcome: Result<Vec<u8>>| {
        outcome.map_err(|error| error.downcast::<Errno>().unwrap_or(Errno::EILSEQ))
    };
    inside.attempt("handle of", errno(handle(secret)));
    inside.attempt("handle of own", errno(handle(&own)));
    let given = inside.argument(3)?;
    let bytes: Result<Vec<u8>, _> = (0..given.len() / 2)
        .map(|at| u8::from_str_radix(given.get(2 * at..2 * at + 2).unwrap_or("?"), 16))
        .collect();
    let bytes = bytes?;
    for (what, folder) in [("by handle", Path::new("/usr")), ("by handle of own", ws)] {
        let mount = File::open(folder)?;
        let mut words = [
            Argument::Number(u64::from(mount.as_raw_fd().cast_unsigned())),
            Argument::Bytes(&bytes),
            Argument::Number(0),
        ];
        if let Some(opened) =
            inside.attempt(what, raw::call(libc::SYS_open_by_handle_at, &mut words))
        {
            inside.fact("opened", &std::fs::read_to_string(format!("/proc/self/fd/{opened}"))?);
        }
    }
    Ok(())
}
