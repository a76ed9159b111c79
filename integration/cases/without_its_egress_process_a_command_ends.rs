//! Where the egress process of a command is killed, or stops to answer for good, the command ends, and it is
//! said; it sees no file, is nobody else, and nothing of it is left.

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sandboxd_integration::below::field;
use sandboxd_integration::{By, Case, Outside, patience};
use std::path::Path;
use std::time::{Duration, Instant};

pub(crate) const CASE: Case = Case { rows: &["R12"], outside, by: By::Anybody, ..Case::NEW };

const PROFILE: &str = "extends = [\"builtin:base\"]\n[network]\nmode = \"egress\"\negress = [\"tcp://host.internal:9\"]\n";

fn outside(outside: &Outside) -> Result<()> {
    for whom in ["sandboxd", "egress"] {
        let script = "while :; do /bin/sleep 1; done";
        let mut running = outside
            .sandbox(PROFILE)
            .command(&["/bin/sh", "-c", &format!("echo ready; {script}")])
            .start()?;
        running.says("ready")?;
        let egress = running.process_to_come(|command| command.ends_with("service egress"))?;
        let command = running.process_to_come(|command| command.starts_with("/bin/sh"))?;
        confined(outside, egress, command)?;
        if whom == "egress" {
            kill(Pid::from_raw(egress), Signal::SIGKILL)?;
            let run = running.wait()?;
            run.exited(125)?;
            ensure!(run.stderr.contains("the service egress ended"), "not said: {}", run.stderr);
        } else {
            outside.leases_may_stay_busy();
            running.signal(Signal::SIGKILL)?;
            running.wait()?;
        }
        let until = Instant::now() + patience(Duration::from_secs(2));
        for left in [egress, command] {
            while Path::new(&format!("/proc/{left}")).exists() {
                ensure!(Instant::now() < until, "{left} lives on without its {whom}");
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
    Ok(())
}

/// It is no other sandbox's user, has a filter, sees nothing of the host's files, and is in the host's network.
fn confined(outside: &Outside, egress: i32, command: i32) -> Result<()> {
    ensure!(field(egress, "Seccomp")? == "2", "the egress process has no filter");
    ensure!(field(egress, "NoNewPrivs")? == "1", "the egress process can gain privileges");
    let own = field(egress, "Uid")?;
    if !outside.is_user() {
        ensure!(own != field(command, "Uid")?, "it runs as the command does, {own}");
        ensure!(!own.starts_with('0'), "it runs as root");
    }
    for name in ["usr", "root", "var", "bin", "etc/shadow"] {
        let there = Path::new(&format!("/proc/{egress}/root/{name}")).exists();
        ensure!(!there, "the egress process sees /{name}");
    }
    let network =
        |process: &str| std::fs::read_link(format!("/proc/{process}/ns/net")).context("no network");
    ensure!(network(&egress.to_string())? == network("self")?, "it is not in the host's network");
    ensure!(network(&command.to_string())? != network("self")?, "the command is");
    Ok(())
}
