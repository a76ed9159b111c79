//! Inside a container that allows no namespaces every other profile is refused with the one that runs,
//! and that one says at each run, and in the receipt, exactly what holds and what does not.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{Case, Container, Inside, Need, Outside, Run};
use serde_json::Value;
use std::collections::BTreeMap;

pub(crate) const CASE: Case = Case {
    rows: &["C06", "E4"],
    // Before it nothing keeps signals inside where there is no pid namespace, and so nothing runs.
    needs: &[Need::Landlock(6)],
    outside,
    probes: &[("be", be)],
    ..Case::NEW
};

const OTHER: &str = "extends = [\"builtin:base\"]\n";
const CONTAINER: &str = "extends = [\"builtin:container\"]\n";

fn outside(outside: &Outside) -> Result<()> {
    for container in [Container::Root, outside.user()] {
        let run = outside.sandbox(OTHER).container(container).probe("be", &[]).run()?;
        run.not_started().context("another profile")?;
        for words in ["builtin:container", "has no mount view"] {
            ensure!(run.stderr.contains(words), "the remedy says nothing of {words}");
        }
        let run = outside.sandbox(CONTAINER).container(container).probe("be", &[]).run()?;
        run.ran().with_context(|| format!("{container:?}"))?;
        let said = run
            .stderr
            .lines()
            .find(|line| line.contains("the profile chose Landlock and the filter alone"));
        let said = said.context("the run does not say what is not there")?;
        for layer in ["mount-view", "pid-namespace", "network-namespace", "uid"] {
            ensure!(said.contains(layer), "{layer} is not named in: {said}");
        }
        the_receipt_is_exact(&run, container)?;
    }
    Ok(())
}

fn the_receipt_is_exact(run: &Run, container: Container) -> Result<()> {
    let receipt = run.receipt.as_ref().context("no receipt")?;
    let layers = receipt.get("layers").and_then(Value::as_array).context("no layers")?;
    let states: BTreeMap<&str, &str> = layers
        .iter()
        .filter_map(|layer| Some((layer.get("name")?.as_str()?, layer.get("state")?.as_str()?)))
        .collect();
    let kept = if container == Container::Root { "enforced" } else { "absent" };
    for (layer, state) in [
        ("mount-view", "absent"),
        ("pid-namespace", "absent"),
        ("ipc-namespace", "absent"),
        ("network-namespace", "absent"),
        ("uid", "absent"),
        ("cgroup", "waived"),
        ("signals", "enforced"),
        ("landlock", "enforced"),
        ("seccomp", "enforced"),
        ("no-new-privs", "enforced"),
        ("capabilities", "enforced"),
        ("file-attributes", "enforced"),
        ("rlimits", "enforced"),
        ("bounding-set", kept),
        ("groups", kept),
    ] {
        let found = states.get(layer).copied();
        ensure!(found == Some(state), "{container:?}: {layer} is {found:?}, not {state}");
    }
    let absent = receipt.get("absent").and_then(Value::as_array).context("nothing absent")?;
    ensure!(
        absent.iter().all(|one| one.get("what").is_some_and(Value::is_string)),
        "without words"
    );
    let probes = receipt.to_string();
    for probe in ["signal init", "socket family 1", "canary", "no_new_privs"] {
        ensure!(probes.contains(probe), "the self-test did not try {probe}");
    }
    Ok(())
}

fn be(inside: &Inside) -> Result<()> {
    inside.fact("here", "yes");
    Ok(())
}
