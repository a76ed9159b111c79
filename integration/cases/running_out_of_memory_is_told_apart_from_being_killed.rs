//! A command that runs out of memory ends alone, and is told apart from one that was killed: in words
//! and in the result.

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::{Signal, raise};
use sandboxd_integration::{Case, Inside, Need, Outside, Run, Victim};
use serde_json::Value;

pub(crate) const CASE: Case = Case {
    rows: &["R03", "P14"],
    outside,
    probes: &[("eat", eat), ("die", die), ("lose", lose)],
    ..Case::NEW
};

const LIMIT: u64 = 32 << 20;
/// More than the limit; less than would hurt a host where nothing stops it.
const MEAL: usize = 256 << 20;

fn outside(outside: &Outside) -> Result<()> {
    let profile = "extends = [\"builtin:base\"]\n[limits]\nmemory = \"32M\"\n";
    let mut victim = Victim::start()?;

    let eaten = outside.sandbox(profile).probe("eat", &[]).run()?;
    eaten.exited(137)?;
    ensure!(!eaten.stdout.contains("ate it all"), "it got more than its limit");
    said(&eaten, true, Some(9))?;
    let peak = number(&eaten, "memory_peak")?;
    ensure!(peak > LIMIT / 2 && peak <= LIMIT, "peak {peak}, limit {LIMIT}");

    let killed = outside.sandbox(profile).probe("die", &[]).run()?;
    killed.exited(137)?;
    said(&killed, false, Some(9))?;

    let lost = outside.sandbox(profile).probe("lose", &[]).run()?;
    if Need::CgroupV2.unmet().is_none() {
        // All of it ends at once: nobody goes on without the part that is missing.
        lost.exited(137)?;
        said(&lost, true, Some(9))?;
        ensure!(lost.stderr.contains("killed all of it"), "the words: {}", lost.stderr);
    } else {
        // The parent outlives its child, and the result still says what became of that.
        lost.exited(0)?;
        ensure!(lost.fact("child")? == "9", "the child ended otherwise");
        said(&lost, true, None)?;
    }
    victim.lives()
}

fn said(run: &Run, oom: bool, signal: Option<u64>) -> Result<()> {
    let result = run.result.as_ref().context("no result")?;
    ensure!(result.get("oom") == Some(&Value::Bool(oom)), "the result says otherwise: {result}");
    ensure!(result.get("signal").and_then(Value::as_u64) == signal, "the signal: {result}");
    let words = run.stderr.contains("ran out of memory ([limits].memory)");
    ensure!(words == oom, "out of memory: {oom}, and the words are: {}", run.stderr);
    Ok(())
}

fn number(run: &Run, name: &str) -> Result<u64> {
    run.result
        .as_ref()
        .and_then(|result| result.get(name)?.as_u64())
        .with_context(|| name.to_owned())
}

fn eat(inside: &Inside) -> Result<()> {
    // Written, since the kernel gives pages to those who touch them.
    let meal = vec![1_u8; MEAL];
    inside.fact("ate it all", &std::hint::black_box(&meal).len().to_string());
    Ok(())
}

fn die(_: &Inside) -> Result<()> {
    raise(Signal::SIGKILL)?;
    Ok(())
}

fn lose(inside: &Inside) -> Result<()> {
    use std::os::unix::process::ExitStatusExt as _;
    let own = std::env::current_exe()?;
    let case = std::env::args().nth(2).context("the case")?;
    let status = std::process::Command::new(own).args(["probe", &case, "eat"]).status()?;
    inside.fact("child", &status.signal().unwrap_or_default().to_string());
    Ok(())
}
