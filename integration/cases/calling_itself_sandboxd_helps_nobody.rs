//! A process that calls itself sandboxd, in its name and its arguments, is the same process to the
//! supervisor and to the host: it keeps its uid and its cgroup, and ends with its sandbox.

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use sandboxd_integration::{Case, Inside, Outside, raw};
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

pub(crate) const CASE: Case = Case {
    rows: &["P15"],
    outside,
    probes: &[("disguise", disguise), ("wait", wait)],
    ..Case::NEW
};

fn outside(outside: &Outside) -> Result<()> {
    let profile = "name = \"liar\"\nextends = [\"builtin:base\"]\n";
    let mut liar = outside.sandbox(profile).probe("disguise", &[]).start()?;
    liar.says("disguised")?;
    let process = disguised(outside)?;
    let cgroup = fs::read_to_string(format!("/proc/{process}/cgroup"))?;
    let own = format!("sandboxd-test-{}", std::process::id());
    ensure!(cgroup.contains(&own), "the disguised process left its cgroup: {cgroup}");
    // A sandbox that starts meanwhile is neither confused with it nor given its uid.
    let other = outside.sandbox(profile).probe("wait", &["0"]).run()?;
    liar.signal(Signal::SIGTERM)?;
    let liar = liar.wait()?;
    ensure!(liar.fact("uid")? != other.ran()?.fact("uid")?, "two sandboxes share a uid");
    // That nothing of it lives on is looked for after every case.
    Ok(())
}

/// The disguised process as the host sees it: one of this case's uids by the name of sandboxd.
fn disguised(outside: &Outside) -> Result<u32> {
    let (first, count) = outside.uids();
    for entry in fs::read_dir("/proc")? {
        let Ok(pid) = entry?.file_name().to_string_lossy().parse::<u32>() else { continue };
        let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else { continue };
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        let uid = field("Uid:").and_then(|ids| ids.split_whitespace().next());
        let uid: u32 = uid.context("no uid")?.parse()?;
        let named = field("Name:").is_some_and(|name| name.trim() == "sandboxd");
        if named && uid > first && uid < first + count {
            return Ok(pid);
        }
    }
    anyhow::bail!("no process of this case's uids is called sandboxd")
}

fn disguise(inside: &Inside) -> Result<()> {
    // Arguments are what whoever executes says they are.
    let words = inside.arguments();
    if words.is_empty() {
        let case = "calling_itself_sandboxd_helps_nobody";
        let mut again = Command::new("/proc/self/exe");
        again.arg0("sandboxd").args(["probe", case, "disguise", "run", "--profile", "root.toml"]);
        return Err(again.exec()).context("execute again");
    }
    const PR_SET_NAME: u64 = 15;
    let mut words = [raw::Argument::Number(PR_SET_NAME), raw::Argument::Text(c"sandboxd")];
    raw::call(libc::SYS_prctl, &mut words)?;
    inside.fact("uid", &nix::unistd::getuid().to_string());
    inside.fact("state", "disguised");
    std::thread::sleep(std::time::Duration::from_secs(40));
    Ok(())
}

fn wait(inside: &Inside) -> Result<()> {
    inside.fact("uid", &nix::unistd::getuid().to_string());
    Ok(())
}
