//! A call over a durable edge is made once its record is on the disk, and is refused where it cannot be
//! brought there: the disk is full, or fails. Calls over other edges go on, and that they are not written
//! down is said, once, and in the end.

use anyhow::{Result, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::Signal;
use sandboxd_integration::{Case, Fault, Outside, Run, patience};
use serde_json::json;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

pub(crate) const CASE: Case = Case { rows: &["C06"], outside, ..Case::NEW };

const STATE: &str = "/var/lib/sandboxd";

fn outside(outside: &Outside) -> Result<()> {
    let (careful, careless) =
        (outside.tool("careful", &[], "")?, outside.tool("careless", &[], "")?);
    let profile = format!(
        "name = \"agent\"\nextends = [\"builtin:base\"]\n{}durable = true\n{}",
        outside.call("careful", &careful, &[])?,
        outside.call("careless", &careless, &[])?,
    );
    // The disk is whole: both are made, and written down.
    let run = outside.sandbox(&profile).command(&["/bin/sh", "-c", &script()]).run()?;
    run.exited(0)?;
    made(&run, "careful", true)?;
    made(&run, "careless", true)?;
    let calls = outside.records()?;
    let durable =
        calls.iter().filter(|one| one["edge"] == "careful" && one["method"] == "tools/call");
    ensure!(durable.count() == 1, "{calls:?}");
    a_disk_that_fails(outside, &profile)?;
    a_disk_with_room_for_some(outside, &profile)?;
    a_full_disk(outside, &profile)?;
    without_a_log(outside, &profile)
}

/// Nothing that is written gets to it.
fn a_disk_that_fails(outside: &Outside, profile: &str) -> Result<()> {
    let fault = Fault::of(libc::SYS_fdatasync, libc::EIO);
    let run = outside.sandbox(profile).command(&["/bin/sh", "-c", &script()]).fault(fault).run()?;
    made(&run, "careful", false)?;
    made(&run, "careless", true)?;
    told(&run, "EIO")
}

/// It fills up while the command runs, which has its tools by then, and has room again before it ends.
fn a_full_disk(outside: &Outside, profile: &str) -> Result<()> {
    mount(Some("tmpfs"), STATE, Some("tmpfs"), MsFlags::empty(), Some("mode=0700,size=1m"))?;
    let full = Path::new(STATE).join("full");
    let folder = outside.workspace()?;
    let until = |name: &str| format!("while ! [ -e {name} ]; do sleep 0.1; done; ");
    let ask = |id: usize, line: &str| {
        let params = json!({ "name": "sh", "arguments": { "line": line } });
        let asked = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params });
        format!("echo '{asked}'; ")
    };
    // The end of the file may have room left that the disk has not.
    let many: String = (2..12).map(|id| ask(id, &format!("echo made by careless {id}"))).collect();
    let asks = [
        ("careful", until("last"), ask(2, "echo made by careful")),
        ("careless", until("full"), many),
    ];
    let script = asks.map(|(tool, when, asks)| {
        let first = ask(1, &format!("echo {tool} is up"));
        let room = until("room");
        format!("({first}{when}{asks}{room}) | /run/sandboxd/sandboxd connect {tool} & ")
    });
    let script = script.concat() + "wait";
    let mut running = outside
        .sandbox(profile)
        .option("--write=.")
        .cwd(&folder)
        .command(&["/bin/sh", "-c", &script])
        .start()?;
    running.says("careful is up")?;
    running.says("careless is up")?;
    ensure!(fs::write(&full, vec![1; 2 << 20]).is_err(), "the disk is not full");
    fs::write(folder.join("full"), "")?;
    running.says("made by careless 11")?;
    fs::write(folder.join("last"), "")?;
    running.says("cannot be recorded")?;
    fs::remove_file(&full)?;
    fs::write(folder.join("room"), "")?;
    let run = running.wait()?;
    made(&run, "careful", false)?;
    told(&run, "ENOSPC")?;
    // What was lost is counted in the log itself, once there is room.
    let verified = outside.bare().waiving_nothing().verb("audit").option("verify").run()?;
    ensure!(verified.stdout.contains("could not be written"), "{}", verified.stdout);
    ensure!(!verified.stdout.contains("whole"), "{}", verified.stdout);
    umount2(STATE, MntFlags::MNT_DETACH)?;
    Ok(())
}

/// Records that are told together, of which the disk has room for some: those are written, and the others alone lost.
fn a_disk_with_room_for_some(outside: &Outside, profile: &str) -> Result<()> {
    const CALLS: usize = 16;
    const PAGE: u64 = 4096;
    mount(Some("tmpfs"), STATE, Some("tmpfs"), MsFlags::empty(), Some("mode=0700,size=1m"))?;
    let full = Path::new(STATE).join("full");
    let folder = outside.workspace()?;
    let ask = |id: usize, line: &str| {
        let params = json!({ "name": "sh", "arguments": { "line": line } });
        let asked = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params });
        format!("echo '{asked}'; ")
    };
    let until = |name: &str| format!("while ! [ -e {name} ]; do sleep 0.1; done; ");
    let many: String = (2..2 + CALLS).map(|id| ask(id, &format!("echo some {id}"))).collect();
    let script = format!(
        "({}{}{many}{}) | /run/sandboxd/sandboxd connect careless > answers",
        ask(1, "echo up"),
        until("some"),
        until("end")
    );
    let running = outside
        .sandbox(profile)
        .option("--write=.")
        .cwd(&folder)
        .command(&["/bin/sh", "-c", &script])
        .start()?;
    let answers = || fs::read_to_string(folder.join("answers")).unwrap_or_default();
    wait(|| answers().contains("up"), "the tool is not up")?;
    ensure!(fs::write(&full, vec![1; 2 << 20]).is_err(), "the disk is not full");
    let before = logged(outside)?;
    // Nobody hears the broker meanwhile, so that all is told together.
    running.signal(Signal::SIGSTOP)?;
    fs::write(folder.join("some"), "")?;
    // Where the machine is slow, so many at once are too many, and some are refused.
    let asked = wait(|| answers().lines().count() > CALLS, "they are not answered");
    fs::File::options().write(true).open(&full)?.set_len(fs::metadata(&full)?.len() - PAGE)?;
    running.signal(Signal::SIGCONT)?;
    asked?;
    let grown = wait(|| logged(outside).is_ok_and(|now| now > before), "no record is written");
    fs::write(folder.join("end"), "")?;
    let run = running.wait()?;
    grown?;
    told(&run, "ENOSPC")?;
    umount2(STATE, MntFlags::MNT_DETACH)?;
    let lost = run
        .stderr
        .split(" records of calls were not")
        .next()
        .and_then(|before| before.split_whitespace().last());
    let lost: usize = lost.unwrap_or_default().parse()?;
    // Each is told that it is made, and what came of it.
    ensure!(lost < 2 * CALLS, "none of them is written: {}", run.stderr);
    Ok(())
}

/// How many bytes the logs of those who run have.
fn logged(outside: &Outside) -> Result<u64> {
    let entries = fs::read_dir(outside.audit().join("live"))?;
    let sizes = entries.map(|entry| Ok::<_, std::io::Error>(entry?.metadata()?.len()));
    Ok(sizes.sum::<Result<u64, _>>()?)
}

fn wait(until: impl Fn() -> bool, otherwise: &str) -> Result<()> {
    let end = Instant::now() + patience(Duration::from_secs(10));
    while !until() {
        ensure!(Instant::now() < end, "{otherwise}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// There is none, by leave of the profile: then there is nothing that could be waited for.
fn without_a_log(outside: &Outside, profile: &str) -> Result<()> {
    mount(Some("tmpfs"), STATE, Some("tmpfs"), MsFlags::MS_RDONLY, Some("mode=0700"))?;
    let waived = outside.sandbox(profile).option("--set=require.audit=\"if-available\"");
    let run = waived.command(&["/bin/true"]).run()?;
    run.exited(125)?;
    ensure!(run.stderr.contains("careful") && run.stderr.contains("durable"), "{}", run.stderr);
    umount2(STATE, MntFlags::MNT_DETACH)?;
    Ok(())
}

/// Calls each tool once, and says what it was answered.
fn script() -> String {
    let call = |tool: &str| {
        let arguments = json!({ "line": format!("echo made by {tool}") });
        format!("/run/sandboxd/sandboxd call --json {tool} sh '{arguments}'; ")
    };
    ["careful", "careless"].map(call).concat()
}

fn made(run: &Run, tool: &str, wanted: bool) -> Result<()> {
    let made = run.stdout.contains(&format!("made by {tool}"));
    ensure!(made == wanted, "{tool} was called ({made}): {}\n{}", run.stdout, run.stderr);
    ensure!(wanted || run.stdout.contains("cannot be recorded"), "no words: {}", run.stdout);
    Ok(())
}

/// That records are lost is said once while it runs, and in the end, with why.
fn told(run: &Run, errno: &str) -> Result<()> {
    run.exited(125)?;
    let alarms = run.stderr.matches("records of calls cannot be written").count();
    ensure!(alarms == 1, "said {alarms} times: {}", run.stderr);
    ensure!(
        run.stderr.contains("records of calls were not written"),
        "not in the end: {}",
        run.stderr
    );
    ensure!(run.stderr.contains(errno), "not why: {}", run.stderr);
    Ok(())
}
