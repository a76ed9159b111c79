//! Two hundred starts at once are all right: every command runs, all are there at the same time, and no
//! two share a uid, a cgroup, a network or a view of files.

use anyhow::{Context as _, Result, bail, ensure};
use sandboxd_integration::{Case, Inside, Outside};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

pub(crate) const CASE: Case =
    Case { rows: &["R16", "C08"], seconds: 300, outside, probes: &[("be", be)], ..Case::NEW };

const MANY: usize = 200;

/// How long all of them may take to be there.
const ALL_WITHIN: Duration = Duration::from_secs(200);

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let profile =
        format!("name = \"same\"\nextends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\n");
    let path = ws.to_string_lossy();
    let mut started = Vec::new();
    for number in 0..MANY {
        let arguments = [&*path, &number.to_string()];
        started.push(outside.sandbox(&profile).probe("be", &arguments).start()?);
    }
    let until = Instant::now() + ALL_WITHIN;
    while fs::read_dir(&ws)?.count() < MANY {
        ensure!(Instant::now() < until, "{} of {MANY} are there", fs::read_dir(&ws)?.count());
        for at in 0..started.len() {
            let Some(running) = started.get_mut(at) else { continue };
            if !running.lives()? {
                let run = started.swap_remove(at).wait()?;
                bail!("one ended before all were there: {}: {}", run.status, run.stderr);
            }
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    fs::write(ws.join("go"), "go")?;
    let mut seen: [BTreeSet<String>; 4] = Default::default();
    for running in started {
        let run = running.wait()?;
        run.ran()?;
        let receipt = run.receipt.as_ref().context("no receipt")?;
        let places =
            ["/uid", "/outside/cgroup_id", "/outside/namespaces/net", "/outside/namespaces/mnt"];
        for (set, place) in seen.iter_mut().zip(places) {
            let value = receipt.pointer(place).map(Value::to_string).context(place)?;
            ensure!(set.insert(value.clone()), "two have {place} {value}");
        }
    }
    Ok(())
}

/// There until all are.
fn be(inside: &Inside) -> Result<()> {
    let folder = inside.path(0)?;
    fs::write(folder.join(inside.argument(1)?), "here")?;
    while !folder.join("go").exists() {
        std::thread::sleep(Duration::from_millis(200));
    }
    inside.fact("here", "yes");
    Ok(())
}
