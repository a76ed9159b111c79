//! A path of a profile that an attacker swaps for a link while the sandbox is started shows the right
//! folder or stops the start, never what the link points to.

use anyhow::{Result, ensure};
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use sandboxd_integration::{Case, Inside, Outside};
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

    let (over, swaps) = (AtomicBool::new(false), AtomicU64::new(0));
    let raced = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let swapped =
                    renameat2(AT_FDCWD, &data, AT_FDCWD, &link, RenameFlags::RENAME_EXCHANGE);
                swaps.fetch_add(u64::from(swapped.is_ok()), Ordering::Relaxed);
            }
        });
        let raced = race(outside, &data, &canary);
        over.store(true, Ordering::Relaxed);
        raced
    });
    let started = raced?;
    canary.unchanged()?;
    ensure!(swaps.load(Ordering::Relaxed) > 10_000, "the race was not run");
    ensure!((1..STARTS).contains(&started), "{started} of {STARTS} started, and the rest did not");
    Ok(())
}

/// How many of them started.
fn race(outside: &Outside, data: &Path, canary: &sandboxd_integration::Canary) -> Result<u32> {
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

fn start(outside: &Outside, path: &Path, access: &str) -> Result<sandboxd_integration::Run> {
    let profile = format!(
        "extends = [\"builtin:base\"]\n[files]\nbind = [{{ from = {path:?}, to = \"/mnt/data\", access = {access:?} }}]\n"
    );
    outside.sandbox(&profile).probe("look", &[]).run()
}

fn look(inside: &Inside) -> Result<()> {
    let name = fs::read_to_string("/mnt/data/name");
    inside.fact("name", &name.unwrap_or_else(|error| error.to_string()));
    inside.attempt("write", fs::write("/mnt/data/planted", "x"));
    Ok(())
}
