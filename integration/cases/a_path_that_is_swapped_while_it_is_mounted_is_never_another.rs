//! A path of a profile that an attacker swaps while the sandbox is started shows what was checked or stops the start:
//! never what a link points to, and never another folder, in which nothing was looked for or is held.

use anyhow::{Result, ensure};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use sandboxd_integration::{Canary, Case, Inside, Outside, Run};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub(crate) const CASE: Case = Case {
    rows: &["C01", "F04", "E6"],
    seconds: 120,
    outside,
    probes: &[("look", look)],
    ..Case::NEW
};

const STARTS: u32 = 60;
/// What a folder is exchanged with has, and the right one does not.
const HOOK: &str = ".git/hooks/post-commit";

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let canary = outside.canary("elsewhere/name")?;
    outside.file("ws/data/name", "right")?;
    let (data, link) = (ws.join("data"), ws.join("link"));
    std::os::unix::fs::symlink(outside.dir().join("elsewhere"), &link)?;
    nix::unistd::fchownat(
        AT_FDCWD,
        &link,
        Some(nix::unistd::Uid::from_raw(1000)),
        Some(nix::unistd::Gid::from_raw(1000)),
        nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW,
    )?;

    // Not swapped: the link stands in a folder that somebody else may change, so it is not followed.
    let planted = start(outside, &link, "read")?;
    planted.keeps(&canary)?.not_started()?;

    swapping(&data, &link, || with_a_link(outside, &data, &canary))?;
    canary.unchanged()?;

    // Both may be granted, and each has its own to be held.
    outside.file("ws/other/name", "other")?;
    let hook = outside.file(&format!("ws/other/{HOOK}"), "hook")?;
    swapping(&data, &ws.join("other"), || with_a_folder(outside, &data))?;
    ensure!(fs::read_to_string(hook)? == "hook", "the hook was written");
    Ok(())
}

/// Exchanges the two all the while; in the end they are where they were.
fn swapping(data: &Path, other: &Path, starts: impl FnOnce() -> Result<u32>) -> Result<()> {
    let (over, swaps) = (AtomicBool::new(false), AtomicU64::new(0));
    let raced = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                for _ in 0..2 {
                    let swapped =
                        renameat2(AT_FDCWD, data, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE);
                    swaps.fetch_add(u64::from(swapped.is_ok()), Ordering::Relaxed);
                }
            }
        });
        let raced = starts();
        over.store(true, Ordering::Relaxed);
        raced
    });
    let started = raced?;
    ensure!(swaps.load(Ordering::Relaxed) > 10_000, "the race was not run");
    ensure!((1..STARTS).contains(&started), "{started} of {STARTS} started, and the rest did not");
    Ok(())
}

/// How many of them started.
fn with_a_link(outside: &Outside, data: &Path, canary: &Canary) -> Result<u32> {
    let mut started = 0;
    for turn in 0..STARTS {
        let access = if turn % 2 == 0 { "read" } else { "write" };
        let run = start(outside, data, access)?;
        run.keeps(canary)?;
        if run.exit() == Some(125) {
            run.not_started()?;
        } else {
            started += 1;
            run.ran()?;
            ensure!(run.fact("name")? == "right", "it saw {}", run.fact("name")?);
        }
    }
    Ok(started)
}

/// The same.
fn with_a_folder(outside: &Outside, data: &Path) -> Result<u32> {
    let mut started = 0;
    for _ in 0..STARTS {
        let run = start(outside, data, "write")?;
        if run.exit() == Some(125) {
            run.failed_in("root", "stat", Errno::ESTALE)?;
            ensure!(
                run.stderr.contains("changed during the start"),
                "no remedy of its own: {}",
                run.stderr
            );
        } else {
            started += 1;
            run.ran()?.refused("hook", &[Errno::ENOENT, Errno::EROFS, Errno::EACCES])?;
        }
    }
    Ok(started)
}

fn start(outside: &Outside, path: &Path, access: &str) -> Result<Run> {
    let profile = format!(
        "extends = [\"builtin:base\"]\n[files]\nbind = [{{ from = {path:?}, to = \"/mnt/data\", access = {access:?} }}]\n"
    );
    outside.sandbox(&profile).probe("look", &[]).run()
}

fn look(inside: &Inside) -> Result<()> {
    let name = fs::read_to_string("/mnt/data/name");
    inside.fact("name", &name.unwrap_or_else(|error| error.to_string()));
    inside.attempt("write", fs::write("/mnt/data/planted", "x"));
    inside.attempt("hook", fs::write(Path::new("/mnt/data").join(HOOK), "x"));
    Ok(())
}
