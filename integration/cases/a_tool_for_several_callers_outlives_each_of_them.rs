//! A tool that says so is one process for whoever calls, and does not end with the one that called first; one
//! that says nothing is another for each connection, and nothing of it is left for the next.

use anyhow::{Result, ensure};
use sandboxd_integration::{By, Case, Outside};
use serde_json::json;

pub(crate) const CASE: Case = Case { rows: &["B12"], outside, by: By::Anybody, ..Case::NEW };

/// Says who it is, which it has found out the first time.
const WHO: &str = "[ -e /tmp/who ] || cat /proc/sys/kernel/random/uuid > /tmp/who; cat /tmp/who";

fn outside(outside: &Outside) -> Result<()> {
    for (instances, is_one) in [("per-caller", false), ("serial", true), ("attenuate", true)] {
        let tool = outside.tool("tool", &[], &format!("instances = \"{instances}\"\n"))?;
        // Each call of the agent is another hub, which ends before the next.
        let hub = outside.tool("hub", &[], &outside.call("tool", &tool, &[])?)?;
        let profile = format!(
            "name = \"agent\"\nextends = [\"builtin:base\"]\n{}",
            outside.call("hub", &hub, &[])?
        );
        let asked = json!({ "line": WHO }).to_string();
        let line = format!("/run/sandboxd/sandboxd call tool sh '{asked}'");
        let asked = json!({ "line": line }).to_string().replace('\'', "'\\''");
        let call = format!("/run/sandboxd/sandboxd call hub sh '{asked}' | head -n 1");
        let script = format!("{call}; {call}");
        let run = outside.sandbox(&profile).command(&["/bin/sh", "-c", &script]).run()?;
        run.exited(0)?;
        let [first, second] = run.stdout.lines().collect::<Vec<_>>()[..] else {
            anyhow::bail!("not two answers: {}, {}", run.stdout, run.stderr);
        };
        ensure!(first.len() == 36 && second.len() == 36, "{instances}: {first} and {second}");
        ensure!((first == second) == is_one, "{instances}: {first} and {second}");
    }
    Ok(())
}
