//! The start of a sandbox, to the end of a command that does nothing.

use super::Built;
use super::paired::{Runner, run as rounds_of, wall_time};
use anyhow::{Result, ensure};
use std::process::Command;

/// What bubblewrap needs to show the same view. It has no Landlock, no seccomp filter, no cgroup, no
/// uid of its own and no self-test.
const BWRAP: &[&str] = &[
    "--unshare-all",
    "--die-with-parent",
    "--new-session",
    "--clearenv",
    "--ro-bind",
    "/usr",
    "/usr",
    "--symlink",
    "usr/bin",
    "/bin",
    "--symlink",
    "usr/sbin",
    "/sbin",
    "--symlink",
    "usr/lib",
    "/lib",
    "--symlink",
    "usr/lib64",
    "/lib64",
    "--proc",
    "/proc",
    "--dev",
    "/dev",
    "--tmpfs",
    "/tmp",
    "--tmpfs",
    "/home/agent",
    "--chdir",
    "/",
    "/bin/true",
];

/// To be reached, against bubblewrap and against the floor (docs/book/figures.md).
const REACH: [f64; 2] = [0.8, 2.0];

pub(crate) fn run(built: &Built, rounds: usize) -> Result<()> {
    let floor = built.compile("floor")?;
    let found = Command::new("bwrap").arg("--version").output();
    ensure!(
        found.is_ok_and(|output| output.status.success()),
        "bench start needs bubblewrap: apt-get install bubblewrap"
    );
    let profile = built.sources.join("start.toml");
    let mut runners = [
        Runner {
            name: "sandboxd run, every layer",
            once: Box::new(|| wall_time(&mut built.run(&profile, &["/bin/true"]))),
        },
        Runner {
            name: "bwrap --unshare-all",
            once: Box::new(|| wall_time(Command::new("bwrap").args(BWRAP))),
        },
        Runner {
            name: "floor: clone3 + execve",
            once: Box::new(|| wall_time(Command::new(&floor).arg("/bin/true"))),
        },
        Runner {
            name: "/bin/true alone",
            once: Box::new(|| wall_time(&mut Command::new("/bin/true"))),
        },
    ];
    let measured = rounds_of(&mut runners, rounds)?;
    measured.print(1);
    println!();
    println!("sandboxd / bwrap   {:.2}  (to reach: {})", measured.ratio(0, 1), REACH[0]);
    println!("sandboxd / floor   {:.2}  (to reach: {})", measured.ratio(0, 2), REACH[1]);
    Ok(())
}
