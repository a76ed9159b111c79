//! Twenty sandboxes that are started at once are all right, and no two of them share a uid, a cgroup,
//! an address space of processes, a network or an IPC namespace.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Inside, Outside, patience};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

pub(crate) const CASE: Case = Case {
    rows: &["C08", "R16"],
    seconds: 120,
    outside,
    probes: &[("meet", meet)],
    by: By::Anybody,
    ..Case::NEW
};

/// Where the processor is emulated, as many as can be ready within the time that a start may take.
fn many() -> usize {
    const USUAL: Duration = Duration::from_secs(1);
    if patience(USUAL) > USUAL { 8 } else { 20 }
}

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let place = ws.to_str().unwrap_or_default();
    // The same name for all of them.
    let profile =
        format!("name = \"same\"\nextends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\n");
    let mut running = Vec::new();
    let many = many();
    for number in 0..many {
        let number = number.to_string();
        running.push(outside.sandbox(&profile).probe("meet", &[place, &number]).start()?);
    }
    // All of them live at one time before the first may end.
    for one in &mut running {
        one.says("here")?;
    }
    fs::write(ws.join("go"), "go")?;
    let mut seen: Vec<BTreeSet<String>> = vec![BTreeSet::new(); 6];
    for (number, one) in running.into_iter().enumerate() {
        let run = one.wait()?;
        run.ran()?.allowed("own")?;
        ensure!(run.fact("number")? == number.to_string(), "it answered {}", run.fact("number")?);
        let receipt = run.receipt.as_ref().context("no receipt")?;
        let result = run.result.as_ref().context("no result")?;
        ensure!(result.get("exit") == Some(&Value::from(0)), "{result}");
        ensure!(result.get("sandbox") == receipt.get("sandbox"), "two names: {result}");
        let marks = [
            "/uid",
            "/sandbox",
            "/outside/cgroups",
            "/outside/namespaces/pid",
            "/outside/namespaces/net",
            "/outside/namespaces/ipc",
        ];
        for (mark, seen) in marks.iter().zip(&mut seen) {
            // Only root can give each a uid, and not every user has a cgroup to divide.
            if outside.is_user() && matches!(*mark, "/uid" | "/outside/cgroups") {
                continue;
            }
            let value = receipt.pointer(mark).with_context(|| format!("no {mark}"))?.to_string();
            ensure!(seen.insert(value.clone()), "two have {mark} {value}");
        }
        let told = receipt.pointer("/uid").and_then(Value::as_u64).context("no uid")?;
        ensure!(run.fact("uid")? == told.to_string(), "the receipt says {told}");
    }
    let written = fs::read_dir(&ws)?.count();
    ensure!(written == many + 1, "{written} files were written");
    Ok(())
}

fn meet(inside: &Inside) -> Result<()> {
    let (ws, number) = (inside.path(0)?, inside.argument(1)?);
    inside.fact("number", number);
    inside.fact("uid", &nix::unistd::getuid().to_string());
    inside.attempt("own", fs::write(ws.join(number), number));
    inside.fact("state", "here");
    while !ws.join("go").exists() {
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
