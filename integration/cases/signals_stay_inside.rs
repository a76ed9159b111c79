//! Signals sent inside reach the sandbox's own processes and nothing else: not init, not the
//! supervisor, not a neighbour, not the host.
//!
//! Layers: the pid namespace, Landlock's signal scope, and uids that nobody shares.

use anyhow::{Result, ensure};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, pause};
use sandboxd_integration::{By, Case, Inside, Outside, Victim, raw};
use std::io::Read as _;

pub(crate) const CASE: Case = Case {
    rows: &["P01", "P02", "P03", "P06"],
    outside,
    probes: &[("signal", signal), ("wait", wait)],
    by: By::Anybody,
    ..Case::NEW
};

/// Signals that would stop or end whoever does not expect them.
const SIGNALS: &[Signal] = &[Signal::SIGTERM, Signal::SIGSTOP, Signal::SIGKILL];

fn outside(outside: &Outside) -> Result<()> {
    let profile = "extends = [\"builtin:base\"]\n";
    let mut victim = Victim::start()?;
    let mut neighbour = outside.sandbox(profile).probe("wait", &[]).start()?;
    neighbour.says("waits")?;
    let supervisor = neighbour.pid().to_string();
    let pids = [victim.pid().to_string(), supervisor];
    let run = outside.sandbox(profile).probe("signal", &[&pids[0], &pids[1]]).run()?;
    // Exit 0 is init's word: it lived through everything, and carried the status out.
    run.ran()?;
    for signal in SIGNALS {
        for whom in ["the victim", "the supervisor"] {
            run.refused(&format!("{signal} to {whom}"), &[Errno::ESRCH, Errno::EPERM])?;
        }
    }
    run.refused("pidfd of the victim", &[Errno::ESRCH, Errno::EINVAL])?;
    run.allowed("SIGKILL to all")?;
    ensure!(run.fact("child")? == "SIGKILL", "the own child: {}", run.fact("child")?);
    victim.lives()?;
    ensure!(neighbour.lives()?, "the neighbour's supervisor was ended");
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", neighbour.pid()))?;
    ensure!(!stat.contains(") T "), "the neighbour's supervisor was stopped");
    neighbour.signal(Signal::SIGTERM)?;
    let neighbour = neighbour.wait()?;
    ensure!(neighbour.exit() == Some(143), "the neighbour was hurt: {}", neighbour.status);
    Ok(())
}

fn signal(inside: &Inside) -> Result<()> {
    let named = [("the victim", inside.argument(0)?), ("the supervisor", inside.argument(1)?)];
    for (whom, pid) in named {
        let pid = Pid::from_raw(pid.parse()?);
        for signal in SIGNALS {
            inside.attempt(&format!("{signal} to {whom}"), kill(pid, *signal));
        }
    }
    let victim: u64 = inside.argument(0)?.parse()?;
    inside.attempt("pidfd of the victim", raw::call_numbers(libc::SYS_pidfd_open, &[victim, 0]));
    // Init may be named; whether the kernel says that it was sent is of no account.
    for signal in SIGNALS {
        inside.attempt(&format!("{signal} to init"), kill(Pid::from_raw(1), *signal));
    }
    if let Ok(pidfd) = raw::call_numbers(libc::SYS_pidfd_open, &[1, 0]) {
        for signal in SIGNALS {
            let number = number_of(*signal);
            let words = [pidfd.cast_unsigned(), number, 0, 0];
            let sent = raw::call_numbers(libc::SYS_pidfd_send_signal, &words);
            inside.attempt(&format!("{signal} to init by its pidfd"), sent);
        }
    }
    let child = raw::fork(|| {
        loop {
            pause();
        }
    })?;
    inside.attempt("SIGKILL to all", kill(Pid::from_raw(-1), Signal::SIGKILL));
    let ended = waitpid(child, None)?;
    let how = if let WaitStatus::Signaled(_, signal, _) = ended {
        signal.to_string()
    } else {
        format!("{ended:?}")
    };
    inside.fact("child", &how);
    Ok(())
}

fn wait(inside: &Inside) -> Result<()> {
    inside.fact("state", "waits");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    std::thread::sleep(std::time::Duration::from_secs(40));
    Ok(())
}

fn number_of(signal: Signal) -> u64 {
    let numbered = (1..=64).find(|number| Signal::try_from(*number) == Ok(signal));
    numbered.and_then(|number| u64::try_from(number).ok()).unwrap_or_default()
}
