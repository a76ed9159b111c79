//! Every limit of the profile stands in the kernel while the command runs, as an observer reads it
//! there: memory, swap, processors, processes, open files, file size, processor time.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{Case, Inside, Outside, Run};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

pub(crate) const CASE: Case = Case {
    rows: &["R01", "R03", "R07", "R08", "R15"],
    outside,
    probes: &[("wait", wait)],
    ..Case::NEW
};

const PROFILE: &str = "\
extends = [\"builtin:base\"]
[limits]
memory = \"96M\"
swap = \"0\"
cpus = 0.5
cpu_weight = 50
processes = 17
open_files = 77
file_size = \"3M\"
cpu_time = \"7s\"
wall_time = \"30s\"
";

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let profile = PROFILE.replace("[limits]", &format!("[files]\nwrite = [{ws:?}]\n[limits]"));
    let go = ws.join("go");
    let sandbox = outside.sandbox(&profile).probe("wait", &[ws.to_str().unwrap_or_default()]);
    let mut running = sandbox.start()?;
    running.says("waiting")?;
    let pid = running.pid().to_string();
    let read = look(outside, &pid);
    fs::write(&go, "go")?;
    let run = running.wait()?;
    run.ran()?;
    judge(&read?, &run)
}

/// What the kernel says: the process's limits, and the files of its cgroups.
struct Read {
    limits: BTreeMap<String, String>,
    cgroup: BTreeMap<String, String>,
}

fn look(outside: &Outside, supervisor: &str) -> Result<Read> {
    let command = command_of(outside, supervisor)?;
    let text = fs::read_to_string(format!("/proc/{command}/limits"))?;
    let mut limits = BTreeMap::new();
    for line in text.lines().skip(1) {
        let (name, rest) = line.split_at_checked(26).context("a line of limits")?;
        let both: Vec<_> = rest.split_whitespace().take(2).collect();
        limits.insert(name.trim().to_owned(), both.join(" "));
    }
    let mut cgroup = BTreeMap::new();
    for line in fs::read_to_string(format!("/proc/{command}/cgroup"))?.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) =
            (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        for mount in mounts.lines().filter(|mount| is_hierarchy(mount, controllers)) {
            let at = mount.split(' ').nth(4).context("a mount point")?;
            collect(&Path::new(at).join(path.trim_start_matches('/')), &mut cgroup);
        }
    }
    Ok(Read { limits, cgroup })
}

fn is_hierarchy(mount: &str, controllers: &str) -> bool {
    let kind = mount.split(" - ").nth(1).unwrap_or_default();
    if controllers.is_empty() {
        return kind.starts_with("cgroup2 ");
    }
    let options = kind.split(' ').nth(2).unwrap_or_default();
    kind.starts_with("cgroup ")
        && controllers.split(',').all(|one| options.split(',').any(|option| option == one))
}

fn collect(folder: &Path, into: &mut BTreeMap<String, String>) {
    for name in [
        "memory.max",
        "memory.swap.max",
        "memory.limit_in_bytes",
        "memory.memsw.limit_in_bytes",
        "memory.kmem.tcp.limit_in_bytes",
        "cpu.max",
        "cpu.weight",
        "cpu.shares",
        "memory.oom.group",
        "cgroup.max.descendants",
        "cpu.cfs_quota_us",
        "cpu.cfs_period_us",
        "pids.max",
        "cpu.pressure",
    ] {
        if let Ok(text) = fs::read_to_string(folder.join(name)) {
            into.insert(name.to_owned(), text.trim().to_owned());
        }
    }
}

/// The process of the sandbox that is neither its supervisor nor its init.
fn command_of(outside: &Outside, supervisor: &str) -> Result<u32> {
    let (first, count) = outside.uids();
    for entry in fs::read_dir("/proc")? {
        let Ok(pid) = entry?.file_name().to_string_lossy().parse::<u32>() else { continue };
        let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else { continue };
        let uid = status.lines().find_map(|line| line.strip_prefix("Uid:"));
        let uid = uid.and_then(|ids| ids.split_whitespace().next()?.parse::<u32>().ok());
        if uid.is_some_and(|uid| uid > first && uid < first + count)
            && pid.to_string() != supervisor
        {
            return Ok(pid);
        }
    }
    anyhow::bail!("no process of the sandbox is there")
}

fn judge(read: &Read, run: &Run) -> Result<()> {
    for (name, value) in [
        // One more than the cgroup lets be, which counts what it refuses.
        ("Max processes", "18 18"),
        ("Max open files", "77 77"),
        ("Max file size", "3145728 3145728"),
        // A second later than the supervisor, who says why.
        ("Max cpu time", "8 8"),
        // Not 0, which would let a handler of the host's be run, core(5).
        ("Max core file size", "1 1"),
        ("Max realtime priority", "0 0"),
    ] {
        let found = read.limits.get(name).with_context(|| name.to_owned())?;
        ensure!(found == value, "{name}: {found}, not {value}");
    }
    let memory = (96 << 20).to_string();
    let limits: &[(&str, &str)] = if read.cgroup.contains_key("memory.max") {
        &[
            ("memory.max", &memory),
            ("memory.swap.max", "0"),
            ("memory.oom.group", "1"),
            ("cpu.max", "50000 100000"),
            ("cpu.weight", "50"),
        ]
    } else {
        let (all, swap) = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes");
        let tcp = "memory.kmem.tcp.limit_in_bytes";
        &[(all, &memory), (swap, &memory), (tcp, &memory), ("cpu.shares", "512")]
    };
    // Init is counted as well.
    for (name, value) in limits.iter().chain(&[("pids.max", "18")]) {
        match read.cgroup.get(*name) {
            Some(found) => ensure!(found == value, "{name}: {found}, not {value}"),
            // A kernel without an account of swap has no file for it, and a host without swap needs none.
            None => ensure!(name.contains("sw"), "{name} is not there: {:?}", read.cgroup),
        }
    }
    if let Some(found) = read.cgroup.get("cgroup.max.descendants") {
        ensure!(found == "0", "{found} groups can be made below");
    }
    if let Some(quota) = read.cgroup.get("cpu.cfs_quota_us") {
        let period: f64 = read.cgroup.get("cpu.cfs_period_us").context("no period")?.parse()?;
        let share = quota.parse::<f64>()? / period;
        ensure!((share - 0.5).abs() < 0.001, "{share} processors");
    }
    let result = run.result.as_ref().context("no result")?;
    for name in ["memory_peak", "cpu_time_ms", "processes_refused"] {
        ensure!(result.get(name).is_some_and(Value::is_u64), "no {name}: {result}");
    }
    // Told wherever the kernel keeps the account, which is a file of the unified hierarchy.
    for name in ["oom_group", "io_read_bytes", "io_written_bytes", "pressure"] {
        ensure!(result.get(name).is_some(), "not even null for {name}: {result}");
    }
    if read.cgroup.contains_key("cpu.pressure") {
        let some = result.pointer("/pressure/cpu/some_us");
        ensure!(some.is_some_and(Value::is_u64), "no pressure: {result}");
    }
    Ok(())
}

fn wait(inside: &Inside) -> Result<()> {
    let go = inside.path(0)?.join("go");
    inside.fact("state", "waiting");
    while !go.exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    Ok(())
}
