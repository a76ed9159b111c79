//! Where the broker of a command that calls is killed, the command ends, and what it had called with it,
//! and it is said; where sandboxd itself is killed, nothing of all that is left.

use anyhow::{Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sandboxd_integration::below::field;
use sandboxd_integration::{By, Case, Outside, confined, patience};
use std::time::{Duration, Instant};

pub(crate) const CASE: Case = Case { rows: &["B14"], outside, by: By::Anybody, ..Case::NEW };

fn outside(outside: &Outside) -> Result<()> {
    let tool = outside.tool("tool", &[], "")?;
    let edge = outside.call("tool", &tool, &[])?;
    let profile = format!("name = \"agent\"\nextends = [\"builtin:base\"]\n{edge}");
    // A call that is never answered, and an agent that does not look whether it is.
    let script = "/run/sandboxd/sandboxd call tool sh '{\"line\": \"exec sleep 87654\"}' & while :; do /bin/sleep 1; done";
    // In this order, because the second start sweeps up after the first.
    for whom in ["sandboxd", "broker"] {
        let running = outside.sandbox(&profile).command(&["/bin/sh", "-c", script]).start()?;
        let called = |command: &str| command == "sleep 87654";
        let callee = running.process_to_come(called)?;
        ensure!(field(callee, "Seccomp")? == "2", "what is called has no filter");
        let broker = running.process(|command| command.contains("service broker"))?;
        let command = running.process(|command| command.starts_with("/bin/sh -c"))?;
        // What is left of its limits it is given, and no other file.
        confined(outside, broker, command, &["/limits/agent"])?;
        if whom == "broker" {
            kill(Pid::from_raw(broker), Signal::SIGKILL)?;
            let run = running.wait()?;
            run.exited(125)?;
            ensure!(run.stderr.contains("the service broker ended"), "not said: {}", run.stderr);
        } else {
            outside.leases_may_stay_busy();
            running.signal(Signal::SIGKILL)?;
            running.wait()?;
        }
        let until = Instant::now() + patience(Duration::from_secs(2));
        while std::path::Path::new(&format!("/proc/{callee}")).exists() {
            ensure!(Instant::now() < until, "what was called lives on without its {whom}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    Ok(())
}
