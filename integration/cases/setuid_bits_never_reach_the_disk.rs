//! No file or folder gets a setuid or setgid bit or a file capability from inside, by any call.

use anyhow::{Result, ensure};
use nix::errno::Errno;
use nix::sys::stat::{Mode, SFlag, mknod};
use sandboxd_integration::raw::{self, Argument};
use sandboxd_integration::{By, Case, Inside, Outside};
use std::ffi::{CStr, CString};
use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// The filter alone promises this: the owner of a file may set these bits, and the sandbox's user
/// acts as the owner.
pub(crate) const CASE: Case =
    Case { rows: &["F33", "V01"], outside, probes: &[("set", set)], by: By::Anybody, ..Case::NEW };

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    outside.file("ws/file", "")?;
    let run = outside
        .sandbox(&format!("extends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\n"))
        .probe("set", &[ws.to_str().unwrap_or_default()])
        .run()?;
    run.ran()?.allowed("plain")?.allowed("plain folder")?;
    for (attempt, _) in run.attempts().filter(|(attempt, _)| !attempt.starts_with("plain")) {
        let answers = [Errno::EPERM, Errno::ENOSYS, Errno::EACCES, Errno::EINVAL];
        run.refused(attempt, &answers)?;
    }
    for entry in fs::read_dir(&ws)? {
        let path = entry?.path();
        let mode = fs::symlink_metadata(&path)?.permissions().mode();
        ensure!(mode & 0o6000 == 0, "{} has mode {mode:o}", path.display());
        let mut capability = [0_u8; 64];
        let whole = CString::new(path.as_os_str().as_bytes())?;
        let mut words = [
            Argument::Text(&whole),
            Argument::Text(c"security.capability"),
            Argument::Buffer(&mut capability),
            Argument::Number(64),
        ];
        let got = raw::call(libc::SYS_getxattr, &mut words);
        ensure!(got == Err(Errno::ENODATA), "{}: {got:?}", path.display());
    }
    Ok(())
}

fn set(inside: &Inside) -> Result<()> {
    let ws = inside.path(0)?;
    let file = ws.join("file");
    let name = |name: &str| CString::new(ws.join(name).as_os_str().as_bytes());
    inside.attempt("plain", fs::set_permissions(&file, fs::Permissions::from_mode(0o1755)));
    inside.attempt("plain folder", fs::create_dir(ws.join("folder")));
    for bits in [0o4000, 0o2000, 0o6000] {
        let mode = 0o755 | bits;
        let at = |path: &CStr, number: i64| at(path, number, mode);
        let one = |path: &CStr, number: i64| {
            let mut words = [Argument::Text(path), Argument::Number(mode)];
            raw::call(number, &mut words)
        };
        let existing = name("file")?;
        let opened = File::open(&file)?;
        let fd = u64::from(opened.as_raw_fd().cast_unsigned());
        inside.attempt("chmod", one(&existing, libc::SYS_chmod));
        inside.attempt("fchmod", raw::call_numbers(libc::SYS_fchmod, &[fd, mode]));
        inside.attempt("fchmodat", at(&existing, libc::SYS_fchmodat));
        inside.attempt("fchmodat2", at(&existing, libc::SYS_fchmodat2));
        inside.attempt("creat", one(&name(&format!("creat{bits}"))?, libc::SYS_creat));
        inside.attempt("mkdir", one(&name(&format!("mkdir{bits}"))?, libc::SYS_mkdir));
        inside.attempt("mkdirat", at(&name(&format!("mkdirat{bits}"))?, libc::SYS_mkdirat));
        inside.attempt("chmod of a folder", one(&name("folder")?, libc::SYS_chmod));
        let flags = u64::from((libc::O_CREAT | libc::O_WRONLY).cast_unsigned());
        let here = u64::from(libc::AT_FDCWD.cast_unsigned());
        let (open, openat) = (name(&format!("open{bits}"))?, name(&format!("openat{bits}"))?);
        let mut words = [Argument::Text(&open), Argument::Number(flags), Argument::Number(mode)];
        inside.attempt("open", raw::call(libc::SYS_open, &mut words));
        let mut words = [
            Argument::Number(here),
            Argument::Text(&openat),
            Argument::Number(flags),
            Argument::Number(mode),
        ];
        inside.attempt("openat", raw::call(libc::SYS_openat, &mut words));
        unnamed(inside, ws, mode)?;
        // A struct open_how, which no filter can look into.
        let how: Vec<u8> = [flags, mode, 0].iter().flat_map(|word| word.to_ne_bytes()).collect();
        let openat2 = name(&format!("openat2{bits}"))?;
        let mut words = [
            Argument::Number(here),
            Argument::Text(&openat2),
            Argument::Bytes(&how),
            Argument::Number(24),
        ];
        inside.attempt("openat2", raw::call(libc::SYS_openat2, &mut words));
        let made = Mode::from_bits_truncate(u32::try_from(mode)?);
        inside.attempt("mknod", mknod(&ws.join(format!("mknod{bits}")), SFlag::S_IFREG, made, 0));
    }
    // cap_setuid=ep, revision 2.
    let mut capability = [0_u8; 20];
    capability[..5].copy_from_slice(&[1, 0, 0, 2, 0x80]);
    let existing = name("file")?;
    let mut words = [
        Argument::Text(&existing),
        Argument::Text(c"security.capability"),
        Argument::Bytes(&capability),
        Argument::Number(20),
        Argument::Number(0),
    ];
    inside.attempt("setxattr", raw::call(libc::SYS_setxattr, &mut words));
    Ok(())
}

fn at(path: &CStr, number: i64, mode: u64) -> nix::Result<i64> {
    let here = u64::from(libc::AT_FDCWD.cast_unsigned());
    let mut words = [Argument::Number(here), Argument::Text(path), Argument::Number(mode)];
    raw::call(number, &mut words)
}

/// A file that gets its bits before it gets its name.
fn unnamed(inside: &Inside, ws: &Path, mode: u64) -> Result<()> {
    let folder = CString::new(ws.as_os_str().as_bytes())?;
    let flags = u64::from((libc::O_TMPFILE | libc::O_WRONLY).cast_unsigned());
    let here = u64::from(libc::AT_FDCWD.cast_unsigned());
    let mut words = [
        Argument::Number(here),
        Argument::Text(&folder),
        Argument::Number(flags),
        Argument::Number(mode),
    ];
    inside.attempt("O_TMPFILE", raw::call(libc::SYS_openat, &mut words));
    Ok(())
}
