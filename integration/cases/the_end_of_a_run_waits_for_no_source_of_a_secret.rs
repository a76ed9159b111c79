//! A program that prints a secret is being asked again, and does not answer, when the run ends: the end does not wait
//! for it, and neither the program nor what it started goes on. Whoever asked is told that the run is over.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::approver::Said;
use sandboxd_integration::{By, Case, Inside, Outside, patience, wait_for};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

pub(crate) const CASE: Case =
    Case { outside, probes: &[("stay", stay)], by: By::Anybody, ..Case::NEW };

/// A source alone has longer, and the program that is asked goes on for longer yet.
const AT_ONCE: Duration = Duration::from_secs(10);

/// Prints it the first time. Afterwards it says who it is, has a child, and goes on.
const SOURCE: &str = "#!/bin/sh\n\
    if mkdir \"$0-asked\" 2>/dev/null; then echo sk-hunter2-0123456789; exit; fi\n\
    sleep 600 &\n\
    echo $$ $! > \"$0-new\" && mv \"$0-new\" \"$0-waits\"\n\
    wait\n";

fn outside(outside: &Outside) -> Result<()> {
    let workspace = outside.workspace()?;
    let source = outside.dir().join("source");
    fs::write(&source, SOURCE)?;
    fs::set_permissions(&source, fs::Permissions::from_mode(0o755))?;
    let profile = format!(
        "name = \"agent\"\nextends = [\"builtin:base\"]\n[files]\nwrite = [{workspace:?}]\n\
         [network]\nmode = \"egress\"\negress = [\"http://host.internal:8080\"]\n\
         [secrets.model]\nfrom = \"exec:{}\"\n\
         inject = {{ host = \"host.internal\", port = 8080, header = \"x-api-key\" }}\n",
        source.display()
    );
    let folder = workspace.display().to_string();
    let sandbox = outside.sandbox(&profile).probe("stay", &[&folder]);
    let mut running =
        sandbox.env("XDG_RUNTIME_DIR", &outside.login_folder()?.display().to_string()).start()?;
    running.says("\"stays\"")?;
    let (said, run, took) = std::thread::scope(|scope| -> Result<_> {
        let asking = scope.spawn(|| outside.approver(&["secret", "rotate"]));
        wait_for(&source.with_file_name("source-waits"))?;
        let began = Instant::now();
        fs::write(workspace.join("go"), "")?;
        let run = running.wait()?;
        let took = began.elapsed();
        let said: Said = asking.join().map_err(|_| anyhow::anyhow!("the asking panicked"))??;
        Ok((said, run, took))
    })?;
    run.exited(0)?;
    ensure!(took < patience(AT_ONCE), "the end waited for the source: {took:?}");
    ensure!(said.status == 1 && said.text.contains("the run is over"), "{}", said.text);
    let told = fs::read_to_string(source.with_file_name("source-waits"))?;
    for pid in told.split_whitespace() {
        let pid: i32 = pid.parse().context("no pid")?;
        gone(pid)?;
    }
    Ok(())
}

/// Nobody may have waited for it yet who inherited it.
fn gone(pid: i32) -> Result<()> {
    let until = Instant::now() + patience(Duration::from_secs(10));
    loop {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
        if matches!(state, None | Some('Z')) {
            return Ok(());
        }
        ensure!(Instant::now() < until, "a process of the source goes on: {stat}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn stay(inside: &Inside) -> Result<()> {
    inside.fact("it", "stays");
    wait_for(&inside.path(0)?.join("go"))
}
