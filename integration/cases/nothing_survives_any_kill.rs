//! Whoever is killed, at any moment and at any call, whatever the command left running, called, or has beside
//! itself, and whether it is frozen: nothing of the sandbox remains, and what a supervisor that was killed can
//! no longer remove, sockets among it, goes with the next start or with `sandboxd doctor --clean`.
//!
//! 500 kills drawn from a seed, which is told where one fails: `SANDBOXD_SEED` draws the same again.

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::SigSet;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use sandboxd_integration::{Case, Inside, Outside, kills, raw};
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

pub(crate) const CASE: Case = Case {
    rows: &["P08", "P09", "P10", "P11", "C04", "X01"],
    seconds: 600,
    outside,
    probes: &[("live", live)],
    ..Case::NEW
};

const KILLS: usize = 500;

fn outside(outside: &Outside) -> Result<()> {
    let seed = match std::env::var("SANDBOXD_SEED") {
        Ok(seed) => seed.parse().context("SANDBOXD_SEED")?,
        Err(_) => SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.subsec_nanos().into(),
    };
    let tally = kills::kill(outside, seed, outside.times(KILLS))?;
    outside.tell(&format!("seed {seed}: {tally:?}"));
    ensure!(tally.missed < tally.kills / 4, "most ended before their turn: {tally:?}");
    Ok(())
}

/// How long it lives where nobody kills it.
const LONG: Duration = Duration::from_secs(60);

fn live(inside: &Inside) -> Result<()> {
    let life = inside.argument(2)?;
    if life == "daemons" {
        for _ in 0..3 {
            let child = raw::fork(|| {
                let blocked = SigSet::all().thread_block();
                let session = nix::unistd::setsid();
                let grandchild = raw::fork(|| {
                    std::thread::sleep(LONG);
                    0
                });
                u8::from(blocked.is_err() || session.is_err() || grandchild.is_err())
            })?;
            waitpid(child, None)?;
        }
    }
    if inside.argument(3)? == "calls" {
        // Neither is answered: one waits for somebody to approve it.
        let call = |edge| {
            format!("/run/sandboxd/sandboxd call {edge} sh '{{\"line\": \"exec sleep 60\"}}' &")
        };
        let calls = [call("asks"), call("tool")].concat();
        let began = Command::new("/bin/sh").args(["-c", &calls]).status()?;
        ensure!(began.success(), "its calls: {began}");
    }
    fs::write(inside.path(0)?.join(inside.argument(1)?), "x")?;
    match life {
        "end" => Ok(()),
        "sleep" | "daemons" => {
            std::thread::sleep(LONG);
            Ok(())
        }
        "storm" => storm(),
        _ => bail!("no such life: {life}"),
    }
}

/// Children that fork children that fork, as many as there may be, deaf to what can be blocked.
fn storm() -> Result<()> {
    SigSet::all().thread_block()?;
    let until = Instant::now() + LONG;
    while Instant::now() < until {
        let forked = raw::fork(|| {
            // A generation ends when the next one has begun, so that nobody who looks sees it twice.
            let next = (0..2).map(|_| raw::fork(|| u8::from(storm().is_err())));
            u8::from(next.filter(Result::is_err).count() > 0)
        });
        if forked.is_err() {
            std::thread::sleep(Duration::from_millis(1));
        }
        while matches!(waitpid(None, Some(WaitPidFlag::WNOHANG)), Ok(status) if status != WaitStatus::StillAlive)
        {
        }
    }
    Ok(())
}
