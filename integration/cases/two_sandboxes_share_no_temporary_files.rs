//! What a sandbox writes to `/tmp`, `/dev/shm`, `/run` or its home directory is seen by no other
//! sandbox, not by the host, and gone with it.

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use sandboxd_integration::{By, Case, Inside, Outside};
use std::fs;
use std::path::Path;
use std::time::Duration;

pub(crate) const CASE: Case = Case {
    rows: &["F29", "X09"],
    outside,
    probes: &[("write", write), ("look", look)],
    by: By::Anybody,
    ..Case::NEW
};

const PLACES: &[&str] = &["/tmp", "/dev/shm", "/home/agent", "/var/tmp", "/run", "/run/lock"];

fn outside(outside: &Outside) -> Result<()> {
    let profile = "name = \"same\"\nextends = [\"builtin:base\"]\n";
    let name = format!("left-by-{}", std::process::id());
    let mut first = outside.sandbox(profile).probe("write", &[&name]).start()?;
    first.says("written")?;
    for place in PLACES {
        ensure!(!Path::new(place).join(&name).exists(), "{place} is the host's");
    }
    let second = outside.sandbox(profile).probe("look", &[&name]).run()?;
    ensure!(first.lives()?, "the first ended before the second");
    first.signal(Signal::SIGTERM)?;
    let first = first.wait()?;
    for place in ["/tmp", "/dev/shm", "/home/agent"] {
        first.allowed(place)?;
    }
    second.ran()?.all_refused()?;
    // Nor is anything of it left for one that starts when both are over.
    outside.sandbox(profile).probe("look", &[&name]).run()?.ran()?.all_refused()?;
    Ok(())
}

fn write(inside: &Inside) -> Result<()> {
    for place in PLACES {
        inside.attempt(place, fs::write(Path::new(place).join(inside.argument(0)?), "mine"));
    }
    inside.fact("state", "written");
    std::thread::sleep(Duration::from_secs(30));
    Ok(())
}

fn look(inside: &Inside) -> Result<()> {
    for place in PLACES {
        inside.attempt(place, fs::read(Path::new(place).join(inside.argument(0)?)));
    }
    Ok(())
}
