//! Where the egress process of a command is killed, the command ends, and it is said; it sees no file, is nobody
//! else, and nothing of it is left.

use anyhow::{Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sandboxd_integration::{By, Case, Outside, confined, patience};
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
        // The host's network is what it is for.
        confined(outside, egress, command, &["net"])?;
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
