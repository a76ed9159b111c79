//! The start of a sandbox, to the end of a command that does nothing.

use super::Built;
use super::paired::{self, Runner, wall_time};
use anyhow::{Result, ensure};
use std::process::Command;

/// What bubblewrap needs to show the same view. It has no Landlock, no seccomp filter, no cgroup, no
/// uid of its own and no self-test.
pub(super) const BWRAP: &[&str] = &[
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

/// To be reached, at most; what is reached stands in docs/book/figures.md.
const AGAINST_BWRAP: f64 = 0.8;
const AGAINST_FLOOR: f64 = 2.0;

pub(crate) fn run(built: &Built, rounds: usize) -> Result<()> {
    let floor = built.compile("floor")?;
    let found = Command::new("bwrap").arg("--version").output();
    ensure!(
        found.is_ok_and(|output| output.status.success()),
        "bench start needs bubblewrap: apt-get install bubblewrap"
    );
    let profile = built.sources.join("start.toml");
    let mut runners = [
        Runner::new("sandboxd run, every layer", || {
            wall_time(&mut built.run(&profile, &["/bin/true"]))
        }),
        Runner::new("bwrap --unshare-all", || wall_time(Command::new("bwrap").args(BWRAP))),
        Runner::new("floor: clone3 + execve", || wall_time(Command::new(&floor).arg("/bin/true"))),
        Runner::new("/bin/true alone", || wall_time(&mut Command::new("/bin/true"))),
    ];
    paired::run(&mut runners, rounds)?;
    let [sandboxd, bwrap, floor, _] = &runners;
    paired::print(&runners, bwrap);
    println!();
    println!("sandboxd / bwrap   {:.2}  (to reach: {AGAINST_BWRAP})", sandboxd.ratio(bwrap));
    println!("sandboxd / floor   {:.2}  (to reach: {AGAINST_FLOOR})", sandboxd.ratio(floor));
    Ok(())
}
