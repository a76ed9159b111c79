//! An ordinary user's sandbox is refused unless its profile waives what only root can give, and then says
//! what that is: at the run, and in the receipt, which is as an observer finds it.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Inside, Outside};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;

pub(crate) const CASE: Case =
    Case { rows: &["V03", "E4"], outside, probes: &[("tell", tell)], by: By::User, ..Case::NEW };

fn outside(outside: &Outside) -> Result<()> {
    // A profile that waives nothing: each lack is a problem, with the line that would waive it.
    let refused = outside.sandbox("").waiving_nothing().command(&["/bin/true"]).run()?;
    refused.has_problem(&["require.uid", "only root can give it a uid of its own"])?;
    refused.has_problem(&["require.memfd_noexec", "executed from memory"])?;
    ensure!(refused.stderr.contains("uid = \"if-available\""), "no line to write");
    let other = "[command]\nuser = \"root\"\nreason = \"a try\"\n";
    outside
        .sandbox(other)
        .command(&["/bin/true"])
        .run()?
        .has_problem(&["only root can become root"])?;

    // The builtin profiles waive it, and the run says so.
    let profile = "extends = [\"builtin:base\"]\n";
    let run = outside.sandbox(profile).probe("tell", &[]).run()?;
    run.ran()?;
    let said = "waived by the profile (this host cannot enforce it): require.uid: ";
    ensure!(run.stderr.contains(said), "nothing was said: {}", run.stderr);
    let quiet = outside.sandbox(profile).option("--quiet").command(&["/bin/true"]).run()?;
    ensure!(quiet.exited(0)?.stderr.is_empty(), "it was not quiet: {}", quiet.stderr);

    let receipt = run.receipt.as_ref().context("no receipt")?;
    let (uid, gid) = outside.owner();
    ensure!(receipt["uid"] == uid && receipt["gid"] == gid, "the receipt names others");
    ensure!(run.fact("uid")? == uid.to_string(), "it is {}", run.fact("uid")?);
    let waived = receipt["waived"].as_array().context("no list")?;
    ensure!(waived.iter().any(|one| one["key"] == "require.uid"), "not in the receipt: {waived:?}");
    let layers: BTreeMap<&str, &str> = receipt["layers"]
        .as_array()
        .context("no layers")?
        .iter()
        .filter_map(|layer| Some((layer["name"].as_str()?, layer["state"].as_str()?)))
        .collect();
    for (layer, state) in [
        ("mount-view", "enforced"),
        ("network-namespace", "enforced"),
        ("landlock", "enforced"),
        ("seccomp", "enforced"),
        ("capabilities", "enforced"),
        ("uid", "waived"),
    ] {
        ensure!(layers.get(layer) == Some(&state), "{layer} is {:?}", layers.get(layer));
    }
    own_namespaces(receipt)?;

    // Nobody but the caller exists in it, and nothing may be done as anybody else.
    let map: Vec<&str> = run.fact("map")?.split_whitespace().collect();
    let own = uid.to_string();
    ensure!(map == [own.as_str(), own.as_str(), "1"], "the map is {map:?}");
    ensure!(run.fact("setgroups")?.trim() == "deny", "setgroups: {}", run.fact("setgroups")?);
    let owner = run.fact("owner")?;
    ensure!(owner == own, "what sandboxd made inside belongs to {owner}");
    Ok(())
}

/// None of them is this process's.
fn own_namespaces(receipt: &Value) -> Result<()> {
    let told = receipt.pointer("/outside/namespaces").and_then(Value::as_object);
    let told = told.context("no namespaces")?;
    for name in ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"] {
        let inode = told.get(name).and_then(Value::as_u64).context(name)?;
        let own = fs::metadata(format!("/proc/self/ns/{name}"))?.ino();
        ensure!(inode != own, "the {name} namespace is the caller's");
    }
    Ok(())
}

fn tell(inside: &Inside) -> Result<()> {
    inside.fact("uid", &nix::unistd::getuid().to_string());
    inside.fact("map", &fs::read_to_string("/proc/self/uid_map")?);
    inside.fact("setgroups", &fs::read_to_string("/proc/self/setgroups")?);
    inside.fact("owner", &fs::metadata("/etc/passwd")?.uid().to_string());
    Ok(())
}
