//! A bomb of processes or of threads stops at the limit, and the host and another sandbox go on.
//!
//! G holds alone: `RLIMIT_NPROC` and `pids.max` are one limit each, and the account is the cgroup's.

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use sandboxd_integration::{By, Case, Inside, Outside, patience, raw};
use std::time::{Duration, Instant};

pub(crate) const CASE: Case = Case {
    rows: &["R01", "R02"],
    outside,
    probes: &[("processes", processes), ("threads", threads), ("beat", beat)],
    by: By::Anybody,
    ..Case::NEW
};

const MOST: u64 = 24;
/// Far more than is allowed, and no harm to a host where nothing stops it.
const TRIES: u64 = 200;

fn outside(outside: &Outside) -> Result<()> {
    let beats = patience(Duration::from_secs(4));
    let mut sibling = outside
        .sandbox("name = \"sibling\"\nextends = [\"builtin:base\"]\n")
        .probe("beat", &[&beats.as_secs().to_string()])
        .start()?;
    sibling.says("started")?;
    let profile =
        format!("extends = [\"builtin:base\"]\n[limits]\nprocesses = {MOST}\nmemory = \"128M\"\n");
    for bomb in ["processes", "threads"] {
        let run = outside.sandbox(&profile).probe(bomb, &[]).run().context(bomb)?;
        run.ran()?.refused("more", &[Errno::EAGAIN])?;
        let made: u64 = run.fact("made")?.parse()?;
        ensure!(made > MOST / 2 && made < MOST, "{made} {bomb} were made, the limit is {MOST}");
        let result = run.result.as_ref().context("no result")?;
        let number = |name: &str| result.get(name).and_then(serde_json::Value::as_u64);
        let peak = number("processes_peak");
        // Where the kernel keeps the account at all (pids.peak is of 6.12), with init.
        ensure!(peak.is_none_or(|peak| peak > MOST / 2 && peak <= MOST + 1), "peak {peak:?}");
        // Whoever is not root may have no cgroup, and the kernel's limit for a user keeps no count.
        let Some(refused) = number("processes_refused") else {
            ensure!(outside.is_user(), "no count of what was refused");
            continue;
        };
        ensure!(refused > 0, "nothing is counted as refused");
        ensure!(
            run.stderr.contains("[limits].processes"),
            "the limit is not named: {}",
            run.stderr
        );
    }
    ensure!(sibling.lives()?, "the other sandbox ended");
    let sibling = sibling.wait()?;
    let slowest: u64 = sibling.ran()?.fact("slowest")?.parse()?;
    let most = patience(Duration::from_secs(2)).as_millis();
    ensure!(u128::from(slowest) < most, "the other sandbox stood still for {slowest} ms");
    Ok(())
}

fn processes(inside: &Inside) -> Result<()> {
    let mut made = 0_u64;
    for _ in 0..TRIES {
        let child = raw::fork(|| {
            std::thread::sleep(Duration::from_secs(30));
            0
        });
        if child.is_err() {
            inside.attempt("more", child);
            break;
        }
        made += 1;
    }
    inside.fact("made", &made.to_string());
    Ok(())
}

fn threads(inside: &Inside) -> Result<()> {
    let mut made = 0_u64;
    for _ in 0..TRIES {
        let thread = std::thread::Builder::new()
            .stack_size(64 << 10)
            .spawn(|| std::thread::sleep(Duration::from_secs(30)));
        if thread.is_err() {
            inside.attempt("more", thread);
            break;
        }
        made += 1;
    }
    inside.fact("made", &made.to_string());
    Ok(())
}

fn beat(inside: &Inside) -> Result<()> {
    inside.fact("started", "yes");
    let until = Instant::now() + Duration::from_secs(inside.argument(0)?.parse()?);
    let mut slowest = Duration::ZERO;
    while Instant::now() < until {
        let before = Instant::now();
        std::thread::sleep(Duration::from_millis(10));
        slowest = slowest.max(before.elapsed());
    }
    inside.fact("slowest", &slowest.as_millis().to_string());
    Ok(())
}
