//! Signals to `sandboxd` reach the command: `USR1` as it is, `TERM` and `INT` as a request to end, and
//! who asks twice does not wait for a command that does not listen.

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use sandboxd_integration::{By, Case, Outside, Run};
use std::time::{Duration, Instant};

pub(crate) const CASE: Case = Case { rows: &["T05", "P13"], outside, by: By::Anybody, ..Case::NEW };

/// Waits in its own process, so that a trap runs at once.
const WAIT: &str = "echo ready; while :; do /bin/sleep 0.05; done";

fn outside(outside: &Outside) -> Result<()> {
    let start = |text: &str| {
        let text = format!("{text}; {WAIT}");
        let profile = "extends = [\"builtin:base\"]\n";
        let mut running = outside.sandbox(profile).command(&["/bin/sh", "-c", &text]).start()?;
        running.says("ready")?;
        anyhow::Ok(running)
    };
    let mut running =
        start("trap 'echo usr1' USR1; trap 'echo usr2' USR2; trap 'echo term; exit 7' TERM")?;
    running.signal(Signal::SIGUSR1)?;
    running.says("usr1")?;
    running.signal(Signal::SIGUSR2)?;
    running.says("usr2")?;
    ensure!(running.lives()?, "it ended with a signal that asks for nothing");
    running.signal(Signal::SIGTERM)?;
    let run = running.wait()?;
    run.exited(7)?;
    ensure!(run.stdout.contains("term"), "TERM did not come: {}", run.stdout);

    for (signal, number) in [
        (Signal::SIGTERM, libc::SIGTERM),
        (Signal::SIGINT, libc::SIGINT),
        (Signal::SIGHUP, libc::SIGHUP),
        (Signal::SIGQUIT, libc::SIGQUIT),
    ] {
        let running = start(":")?;
        running.signal(signal)?;
        // The shell's child dies of it too, and the shell of its own.
        let run = running.wait()?;
        run.exited(128 + number).with_context(|| signal.to_string())?;
        ensure!(result_signal(&run) == u64::try_from(number).ok(), "{:?}", run.result);
    }

    what_the_caller_ignores(outside)?;

    let deaf = "trap '' TERM INT HUP QUIT";
    let running = start(deaf)?;
    let since = Instant::now();
    running.signal(Signal::SIGINT)?;
    std::thread::sleep(Duration::from_millis(200));
    running.signal(Signal::SIGINT)?;
    let run = running.wait()?;
    run.exited(137)?;
    ensure!(since.elapsed() < Duration::from_millis(1500), "it took {:?}", since.elapsed());

    // Asked once, it gets its time, and then is killed all the same.
    let running = start(deaf)?;
    let since = Instant::now();
    running.signal(Signal::SIGTERM)?;
    let run = running.wait()?;
    run.exited(137)?;
    let took = since.elapsed();
    ensure!(
        took > Duration::from_millis(1500) && took < Duration::from_secs(8),
        "it took {took:?}"
    );
    Ok(())
}

fn result_signal(run: &Run) -> Option<u64> {
    run.result.as_ref()?.get("signal")?.as_u64()
}

/// What its caller ignores, as nohup(1) has it, asks for nothing.
fn what_the_caller_ignores(outside: &Outside) -> Result<()> {
    let profile = "extends = [\"builtin:base\"]\n";
    let text = format!("{}; {WAIT}", "trap 'echo usr1' USR1");
    let sandbox = outside.sandbox(profile).command(&["/bin/sh", "-c", &text]);
    let mut running = sandbox.ignoring(&[libc::SIGHUP, libc::SIGINT]).start()?;
    running.says("ready")?;
    running.signal(Signal::SIGHUP)?;
    running.signal(Signal::SIGINT)?;
    running.signal(Signal::SIGUSR1)?;
    running.says("usr1")?;
    ensure!(running.lives()?, "it ended with a signal that its caller ignores");
    running.signal(Signal::SIGTERM)?;
    running.wait()?.exited(143)?;
    Ok(())
}
