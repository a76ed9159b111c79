//! A default ACL that a command sets on a folder opens whatever its owner makes there later: it is named when the run ends,
//! and one that its owner had set is not, nor where it was inherited.

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use sandboxd_integration::raw::{self, Argument};
use sandboxd_integration::{By, Case, Inside, Outside, Run};
use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

pub(crate) const CASE: Case =
    Case { outside, probes: &[("open", open)], by: By::Anybody, ..Case::NEW };

/// A default ACL with these rights for the owner, the group and all others, acl(5); `struct posix_acl_xattr_header`.
fn acl(others: u16) -> Vec<u8> {
    let entry = |tag: u16, rights: u16| {
        [&tag.to_le_bytes()[..], &rights.to_le_bytes(), &u32::MAX.to_le_bytes()].concat()
    };
    [&2_u32.to_le_bytes()[..], &entry(1, 7), &entry(4, 7), &entry(0x20, others)].concat()
}

fn set(folder: &Path, acl: &[u8]) -> Result<(), Errno> {
    let path = CString::new(folder.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    let mut words = [
        Argument::Text(&path),
        Argument::Text(c"system.posix_acl_default"),
        Argument::Bytes(acl),
        Argument::Number(u64::try_from(acl.len()).unwrap_or(0)),
    ];
    raw::call(libc::SYS_setxattr, &mut words).map(drop)
}

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let mine = outside.file("ws/mine/file", "x")?;
    set(mine.parent().context("no folder")?, &acl(5)).context("this file system has no ACLs")?;
    let profile = format!("extends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\n");
    let words = [ws.to_str().unwrap_or_default()];
    let run = |how: &str| outside.sandbox(&profile).probe("open", &[words[0], how]).run();

    let inherits = run("inherit")?;
    inherits.ran()?.allowed("inherit")?;
    ensure!(opened(&inherits)? == Vec::<String>::new(), "accused: {:?}", opened(&inherits)?);

    let sets = run("set")?;
    sets.ran()?.allowed("set")?.allowed("set below")?;
    let wanted = format!("default ACL: {}, and 1 more", ws.display());
    ensure!(opened(&sets)? == [wanted.clone()], "{:?}", opened(&sets)?);
    ensure!(sets.stderr.contains("setfacl -k") && sets.stderr.contains(&wanted), "{}", sets.stderr);
    Ok(())
}

fn opened(run: &Run) -> Result<Vec<String>> {
    let result = run.ran()?.result.as_ref().context("no result")?;
    let named = result["may_execute"].as_array().context("no may_execute")?;
    Ok(named.iter().filter_map(|entry| entry.as_str().map(str::to_owned)).collect())
}

fn open(inside: &Inside) -> Result<()> {
    let ws = inside.path(0)?;
    if inside.argument(1)? == "inherit" {
        inside.attempt("inherit", fs::create_dir(ws.join("mine/new")));
        return Ok(());
    }
    fs::create_dir(ws.join("made"))?;
    inside.attempt("set below", set(&ws.join("made"), &acl(7)));
    inside.attempt("set", set(ws, &acl(7)));
    Ok(())
}
