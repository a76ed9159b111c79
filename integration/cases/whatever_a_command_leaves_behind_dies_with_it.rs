//! Whatever a command leaves behind dies with it within a second, and so it does when the supervisor
//! is killed: daemons of two forks in sessions of their own, deaf to every signal, that init adopted.
//! Until then they are in its cgroup and have its uid, whoever their parent is.
//!
//! P ends them with init; G ends whoever is in the cgroup. The lifeline ends init.

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::{SigSet, Signal};
use sandboxd_integration::{By, Case, Inside, Outside, raw};
use std::fs;
use std::time::{Duration, Instant};

pub(crate) const CASE: Case = Case {
    rows: &["P08", "P09", "P11", "E20"],
    outside,
    probes: &[("leave", leave)],
    by: By::Anybody,
    ..Case::NEW
};

const DAEMONS: usize = 5;

fn outside(outside: &Outside) -> Result<()> {
    outside.leases_may_stay_busy();
    let profile = "extends = [\"builtin:base\"]\n";
    // The command ends and leaves them.
    let run = outside.sandbox(profile).probe("leave", &["0"]).run()?;
    run.ran()?;
    ensure!(run.fact("daemons")? == DAEMONS.to_string(), "no daemons were made");
    ensure!(living(outside)?.is_empty(), "left behind: {:?}", living(outside)?);

    for signal in [Signal::SIGKILL, Signal::SIGABRT] {
        let mut running = outside.sandbox(profile).probe("leave", &["60"]).start()?;
        running.says("daemons")?;
        let all = living(outside)?;
        let of_init = all.iter().filter(|one| one.of_init).count();
        ensure!(of_init > DAEMONS, "init has {of_init} children: {all:?}");
        let cgroups: Vec<_> = all.iter().map(|one| &one.cgroup).collect();
        let first = cgroups.first().context("nobody lives")?;
        ensure!(cgroups.iter().all(|one| one == first), "they are in several cgroups: {all:?}");
        let own = outside.is_user() || first.contains("sandboxd-test-");
        ensure!(own, "they are not in the sandbox's cgroup: {first}");
        running.signal(signal)?;
        running.wait()?;
        let until = Instant::now() + Duration::from_secs(1);
        while !living(outside)?.is_empty() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
        let left = living(outside)?;
        ensure!(left.is_empty(), "a second after {signal}: {left:?}");
    }
    // The next run removes the directories that a dead supervisor could not.
    outside.sandbox(profile).command(&["/bin/true"]).run()?.exited(0)?;
    Ok(())
}

#[derive(Debug)]
struct Living {
    #[expect(dead_code, reason = "for the message")]
    pid: u32,
    of_init: bool,
    cgroup: String,
}

/// Processes that live with a uid of this case's commands; those of a user, who has one for all, are known
/// by whom they descend from: who is left alone becomes this process's child.
fn living(outside: &Outside) -> Result<Vec<Living>> {
    let (first, count) = outside.uids();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Ok(pid) = entry?.file_name().to_string_lossy().parse::<u32>() else { continue };
        let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else { continue };
        let field = |name: &str| -> Option<u32> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        let of_pool = field("Uid:").is_some_and(|uid| uid > first && uid < first + count);
        if !(of_pool || outside.is_user() && is_inside(&status) && descends(pid)) {
            continue;
        }
        if status.contains("State:\tZ") {
            continue;
        }
        let parent = field("PPid:").unwrap_or_default();
        let of_parent = fs::read_to_string(format!("/proc/{parent}/status")).unwrap_or_default();
        let init = of_parent.lines().find_map(|line| line.strip_prefix("NSpid:"));
        let of_init = init.is_some_and(|pids| pids.split_whitespace().last() == Some("1"));
        let cgroup = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        found.push(Living { pid, of_init, cgroup });
    }
    Ok(found)
}

/// Whether a process is in a pid namespace of its own, and not its first.
fn is_inside(status: &str) -> bool {
    let pids = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    let pids: Vec<&str> = pids.unwrap_or_default().split_whitespace().collect();
    pids.len() > 1 && pids.last() != Some(&"1")
}

/// Whether this process is among the ones that a process descends from.
fn descends(mut pid: u32) -> bool {
    while pid > 1 {
        if pid == std::process::id() {
            return true;
        }
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
        pid = parent.and_then(|parent| parent.trim().parse().ok()).unwrap_or(0);
    }
    false
}

fn leave(inside: &Inside) -> Result<()> {
    for _ in 0..DAEMONS {
        let child = raw::fork(|| {
            // Deaf to all that can be blocked, in a session of its own, and its parent is gone.
            let blocked = SigSet::all().thread_block();
            let session = nix::unistd::setsid();
            match raw::fork(|| {
                std::thread::sleep(Duration::from_secs(60));
                0
            }) {
                Ok(_) if blocked.is_ok() && session.is_ok() => 0,
                _ => 1,
            }
        })?;
        let ended = nix::sys::wait::waitpid(child, None)?;
        ensure!(ended == nix::sys::wait::WaitStatus::Exited(child, 0), "a daemon: {ended:?}");
    }
    inside.fact("daemons", &DAEMONS.to_string());
    std::thread::sleep(Duration::from_secs(inside.argument(0)?.parse()?));
    Ok(())
}
