//! With systemd and cgroup v2 a run finds a place for its limits wherever it is started: in a service
//! that was delegated, beside others in one, as a child of a service that was not; and writes nothing
//! above it. A service that is sandboxd and was not delegated is refused, with the line to write.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{Case, Need, Outside, Service};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

pub(crate) const CASE: Case = Case {
    rows: &["R01", "R03", "R08"],
    needs: &[Need::Systemd(244), Need::CgroupV2],
    seconds: 300,
    outside,
    ..Case::NEW
};

const PROFILE: &str =
    "extends = [\"builtin:base\"]\n[limits]\nmemory = \"64M\"\ncpus = 0.5\nprocesses = 17\n";

fn outside(outside: &Outside) -> Result<()> {
    let before = above()?;
    delegated(outside)?;
    ensure!(above()? == before, "system.slice was {before:?} and is {:?}", above()?);
    several(outside)?;
    child_of_another(outside)?;
    not_delegated(outside)
}

/// What nobody but systemd may write.
fn above() -> Result<[String; 2]> {
    let read = |path: &str| fs::read_to_string(path).context(path.to_owned());
    Ok([
        read("/sys/fs/cgroup/cgroup.subtree_control")?,
        read("/sys/fs/cgroup/system.slice/cgroup.subtree_control")?,
    ])
}

fn delegated(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let service = Service::new(outside)?.property("Delegate=yes").property("MemoryMax=1G");
    let (receipt, profile) = files(&service)?;
    let waits = format!("while [ ! -e {0}/go ]; do sleep 0.05; done; echo went", ws.display());
    let words = ["run", "--profile", &profile, "--receipt", &receipt, "-w", text(&ws)?];
    let child = service.start(&[&words[..], &["--", "/bin/sh", "-c", &waits]].concat())?;
    let read = limits(Path::new(&receipt));
    fs::write(ws.join("go"), "go")?;
    let output = child.wait_with_output()?;
    ensure!(said(&output).contains("went"), "it did not run: {}", said(&output));
    let (placement, group, found) = read?;
    ensure!(placement.ends_with("which systemd delegated"), "placed {placement}");
    let unit = group.parent().context("a group below nothing")?;
    ensure!(unit.extension().is_some_and(|kind| kind == "service"), "{}", group.display());
    let memory = (64 << 20).to_string();
    let wanted = [&memory, "18", "50000 100000", "1", "0"];
    ensure!(found == wanted, "found {found:?}, wanted {wanted:?}");
    ensure!(!group.exists(), "{} is left", group.display());
    Ok(())
}

/// Waits for the receipt, which is written before the command runs, and reads the limits there.
fn limits(receipt: &Path) -> Result<(String, PathBuf, [String; 5])> {
    let until = Instant::now() + Duration::from_secs(120);
    while !receipt.exists() {
        ensure!(Instant::now() < until, "no receipt");
        std::thread::sleep(Duration::from_millis(20));
    }
    let receipt: Value = serde_json::from_str(&fs::read_to_string(receipt)?)?;
    let group = receipt.pointer("/outside/cgroups/0").and_then(Value::as_str).context("cgroup")?;
    let group = PathBuf::from(group);
    let read = |name: &str| -> Result<String> {
        let text = fs::read_to_string(group.join(name)).context(name.to_owned())?;
        Ok(text.trim().to_owned())
    };
    let found = [
        read("memory.max")?,
        read("pids.max")?,
        read("cpu.max")?,
        read("memory.oom.group")?,
        read("memory.swap.max")?,
    ];
    Ok((placed(&receipt)?.to_owned(), group, found))
}

/// Eight at once in one delegated unit, beside the shell that starts them.
fn several(outside: &Outside) -> Result<()> {
    let service = Service::new(outside)?.property("Delegate=yes");
    let (_, profile) = files(&service)?;
    let script = format!(
        "for n in 1 2 3 4 5 6 7 8; do $SANDBOXD run --profile {profile} -- /bin/echo one & done; wait"
    );
    let output = service.script(&script)?;
    let ran = said(&output).lines().filter(|line| *line == "one").count();
    ensure!(ran == 8, "{ran} of 8 ran: {}", said(&output));
    Ok(())
}

fn child_of_another(outside: &Outside) -> Result<()> {
    let service = Service::new(outside)?;
    let (receipt, profile) = files(&service)?;
    let script = format!("$SANDBOXD run --profile {profile} --receipt {receipt} -- /bin/echo one");
    let output = service.script(&script)?;
    ensure!(said(&output).contains("one"), "it did not run: {}", said(&output));
    let receipt: Value = serde_json::from_str(&fs::read_to_string(&receipt)?)?;
    let placement = placed(&receipt)?;
    ensure!(placement.starts_with("in /system.slice/sandboxd-"), "placed {placement}");
    let group = receipt.pointer("/outside/cgroups/0").and_then(Value::as_str).context("cgroup")?;
    let scope = Path::new(group).parent().context("a group below nothing")?;
    let until = Instant::now() + Duration::from_secs(60);
    while scope.exists() {
        ensure!(Instant::now() < until, "{} is left", scope.display());
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn not_delegated(outside: &Outside) -> Result<()> {
    let service = Service::new(outside)?;
    let (_, profile) = files(&service)?;
    let output = service.run(&["run", "--profile", &profile, "--", "/bin/echo", "one"])?;
    ensure!(output.status.code() == Some(125), "ended with {:?}", output.status);
    for words in ["require.cgroup", "write Delegate=yes into the [Service] of this unit"] {
        ensure!(said(&output).contains(words), "{words:?} is not in {}", said(&output));
    }
    Ok(())
}

fn files(service: &Service) -> Result<(String, String)> {
    let (receipt, profile) = (service.folder().join("receipt"), service.folder().join("p.toml"));
    fs::write(&profile, PROFILE)?;
    Ok((text(&receipt)?.to_owned(), text(&profile)?.to_owned()))
}

fn placed(receipt: &Value) -> Result<&str> {
    receipt.get("cgroup_placement").and_then(Value::as_str).context("no placement")
}

fn said(output: &Output) -> String {
    let both = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&both).into_owned()
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is not UTF-8")
}
