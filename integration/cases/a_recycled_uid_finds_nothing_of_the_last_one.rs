//! A sandbox with a recycled uid finds no file, process, queue or shared memory of the one before, which left each.

use anyhow::{Result, ensure};
use nix::errno::Errno;
use sandboxd_integration::{Case, Inside, Outside, raw};
use std::fs;

pub(crate) const CASE: Case = Case {
    rows: &["X09", "F29", "B18"],
    outside,
    probes: &[("leave", leave), ("look", look)],
    ..Case::NEW
};

/// System V keys, the same in both.
const KEY: u64 = 0x5a5a;
const PLACES: [&str; 3] = ["/tmp/left", "/dev/shm/left", "/home/agent/left"];

fn outside(outside: &Outside) -> Result<()> {
    outside.leave_one_uid()?;
    // A base with shared memory and queues of System V.
    let profile = "extends = [\"builtin:base\"]\n[files]\ntmp = \"1M\"\n[syscalls]\nbase = \"network-server\"\n";
    let first = outside.sandbox(profile).probe("leave", &[]).run()?;
    let second = outside.sandbox(profile).probe("look", &[]).run()?;
    first.ran()?;
    second.ran()?;
    for left in PLACES.into_iter().chain(["shm", "msg"]) {
        first.allowed(left)?;
        second.refused(left, &[Errno::ENOENT])?;
    }
    ensure!(first.fact("uid")? == second.fact("uid")?, "the uid was not recycled");
    ensure!(second.fact("processes")? == "1 2", "it sees {}", second.fact("processes")?);
    Ok(())
}

fn leave(inside: &Inside) -> Result<()> {
    inside.fact("uid", &nix::unistd::getuid().to_string());
    for place in PLACES {
        inside.attempt(place, fs::write(place, "left"));
    }
    inside.attempt("shm", raw::call_numbers(libc::SYS_shmget, &[KEY, 4096, 0o1666]));
    inside.attempt("msg", raw::call_numbers(libc::SYS_msgget, &[KEY, 0o1666]));
    // Somebody who outlives the command, as far as it is let.
    raw::fork(|| {
        nix::unistd::setsid().map_or(1, |_| {
            std::thread::sleep(std::time::Duration::from_secs(60));
            0
        })
    })?;
    Ok(())
}

fn look(inside: &Inside) -> Result<()> {
    inside.fact("uid", &nix::unistd::getuid().to_string());
    for place in PLACES {
        inside.attempt(place, fs::read(place));
    }
    inside.attempt("shm", raw::call_numbers(libc::SYS_shmget, &[KEY, 0, 0]));
    inside.attempt("msg", raw::call_numbers(libc::SYS_msgget, &[KEY, 0]));
    let mut processes: Vec<u32> = fs::read_dir("/proc")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    processes.sort_unstable();
    let processes: Vec<String> = processes.iter().map(ToString::to_string).collect();
    inside.fact("processes", &processes.join(" "));
    Ok(())
}
