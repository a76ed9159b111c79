//! Many starts at once of one profile by one name share no uid, cgroup or namespace.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Inside, Outside};
use serde_json::Value;
use std::collections::BTreeSet;

pub(crate) const CASE: Case =
    Case { rows: &["C08", "R16"], outside, probes: &[("be", be)], by: By::Anybody, ..Case::NEW };

const MANY: usize = 24;

fn outside(outside: &Outside) -> Result<()> {
    let profile = "name = \"same\"\nextends = [\"builtin:base\"]\n";
    let started: Result<Vec<_>> =
        (0..MANY).map(|_| outside.sandbox(profile).probe("be", &[]).start()).collect();
    let mut seen: [BTreeSet<String>; 4] = Default::default();
    for running in started? {
        let run = running.wait()?;
        run.ran()?;
        let receipt = run.receipt.as_ref().context("no receipt")?;
        let places =
            ["/uid", "/outside/cgroup_id", "/outside/namespaces/net", "/outside/namespaces/mnt"];
        for (set, place) in seen.iter_mut().zip(places) {
            // Only root can give each a uid, and not every user has a cgroup to divide.
            if outside.is_user() && matches!(place, "/uid" | "/outside/cgroup_id") {
                continue;
            }
            let value = receipt.pointer(place).map(Value::to_string).context(place)?;
            ensure!(set.insert(value.clone()), "two have {place} {value}");
        }
    }
    Ok(())
}

/// Long enough that all of them are there at once.
fn be(inside: &Inside) -> Result<()> {
    inside.fact("here", "yes");
    std::thread::sleep(std::time::Duration::from_secs(3));
    Ok(())
}
