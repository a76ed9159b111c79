//! However the supervisor is killed, at any step of its work, its sandbox dies with it, and the next
//! run removes what a dead process cannot.

use anyhow::{Result, ensure};
use sandboxd_integration::{By, Case, Inside, Outside, Program, Then, steps};
use std::fs;

pub(crate) const CASE: Case = Case {
    rows: &["C04", "X01", "P09"],
    seconds: 240,
    outside,
    probes: &[("act", act)],
    by: By::Anybody,
    ..Case::NEW
};

fn outside(outside: &Outside) -> Result<()> {
    outside.leases_may_stay_busy();
    // Somebody else's workspace, so that an id map is made too, by a process of its own.
    let ws = outside.workspace()?;
    let profile = format!("extends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\n");
    let act = || outside.sandbox(&profile).probe("act", &[]);
    let mut numbers = Vec::new();
    let whole = act().stepped(|step| {
        if step.program == Program::Supervisor {
            numbers.push(step.number);
        }
        Then::Go
    })?;
    whole.ran()?;
    let chosen = steps::chosen(&numbers);
    let mut killed = 0;
    for wanted in &chosen {
        let (mut at, before) = (0, killed);
        let run = act().stepped(|step| {
            at += usize::from(step.program == Program::Supervisor);
            let now = at == wanted + 1 && step.program == Program::Supervisor;
            killed += usize::from(now);
            if now { Then::Kill } else { Then::Go }
        })?;
        if killed == before {
            // It waited less often than the first time, and came to its end before that step.
            run.ran()?;
            continue;
        }
        // A child that the supervisor starts is its program too, until it becomes the shim.
        ensure!(run.signal() == Some(libc::SIGKILL) || run.exit() == Some(125), "step {wanted}");
    }
    ensure!(killed * 10 >= chosen.len() * 9, "{killed} of {} steps were met", chosen.len());
    act().run()?.ran()?;
    Ok(())
}

fn act(inside: &Inside) -> Result<()> {
    inside.fact("pid", &fs::read_to_string("/proc/self/stat")?);
    Ok(())
}
