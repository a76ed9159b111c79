//! A program whose digest the profile names is executed only as the file that was digested, however
//! fast it is swapped for another.

use anyhow::{Context as _, Result, bail, ensure};
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use sandboxd_integration::{By, Case, Outside};
use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub(crate) const CASE: Case =
    Case { rows: &["C02", "E18"], seconds: 120, outside, by: By::Anybody, ..Case::NEW };

const STARTS: u32 = 60;

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let (tool, other) = (ws.join("tool"), ws.join("other"));
    fs::copy("/bin/echo", &tool)?;
    fs::copy("/usr/bin/printf", &other)?;
    let digest = digest(&tool.to_string_lossy())?;
    let profile = format!(
        "extends = [\"builtin:base\"]\n[command]\nexec = [{tool:?}, \"--version\"]\nsha256 = \"{digest}\"\n[files]\nexecute = [{ws:?}]\n"
    );
    let still = outside.sandbox(&profile).run()?;
    still.exited(0)?;
    ensure!(still.stdout.starts_with("echo "), "the tool itself does not run");

    fs::rename(&tool, ws.join("aside"))?;
    fs::copy(&other, &tool)?;
    outside.sandbox(&profile).run()?.not_started().context("a program with another digest")?;
    fs::rename(ws.join("aside"), &tool)?;

    let (over, swaps) = (AtomicBool::new(false), AtomicU64::new(0));
    let raced = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let swapped =
                    renameat2(AT_FDCWD, &tool, AT_FDCWD, &other, RenameFlags::RENAME_EXCHANGE);
                swaps.fetch_add(u64::from(swapped.is_ok()), Ordering::Relaxed);
            }
        });
        let raced = race(outside, &profile);
        over.store(true, Ordering::Relaxed);
        raced
    });
    let ran = raced?;
    ensure!(swaps.load(Ordering::Relaxed) > 10_000, "the race was not run");
    ensure!((1..STARTS).contains(&ran), "{ran} of {STARTS} ran, and the rest did not");
    Ok(())
}

/// How many of them ran.
fn race(outside: &Outside, profile: &str) -> Result<u32> {
    let mut ran = 0;
    for _ in 0..STARTS {
        let run = outside.sandbox(profile).run()?;
        match run.exit() {
            Some(0) if run.stdout.starts_with("echo ") => ran += 1,
            Some(125 | 126) if run.stdout.is_empty() => {}
            _ => bail!("{}: {}", run.status, run.stdout),
        }
    }
    Ok(ran)
}

fn digest(path: &str) -> Result<String> {
    let said = Command::new("/usr/bin/sha256sum").arg(path).output()?.stdout;
    let said = String::from_utf8(said)?;
    said.split_whitespace().next().map(str::to_owned).context("sha256sum")
}
