//! The exit status is the command's own, or says what ended it, and the result says the same: a
//! signal, the kernel for want of memory, wall time; what was not found, could not be executed, or
//! was not set up.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Inside, Outside, Run, raw};
use serde_json::{Value, json};

pub(crate) const CASE: Case = Case {
    rows: &["P14", "P16", "E33"],
    outside,
    probes: &[("other door", other_door)],
    by: By::Anybody,
    ..Case::NEW
};

fn outside(outside: &Outside) -> Result<()> {
    let profile = "extends = [\"builtin:base\"]\n";
    let shell = |text: &str| outside.sandbox(profile).command(&["/bin/sh", "-c", text]).run();
    for status in [0, 1, 2, 124, 125, 126, 127, 137, 255] {
        let run = shell(&format!("exit {status}"))?;
        run.exited(status)?;
        said(&run, json!(status), Value::Null)?;
    }
    for (name, signal) in [("SEGV", 11), ("KILL", 9), ("TERM", 15), ("ABRT", 6), ("PIPE", 13)] {
        let run = shell(&format!("kill -{name} $$"))?;
        run.exited(128 + signal)?;
        said(&run, Value::Null, json!(signal))?;
    }
    by_another_door(outside, profile)?;
    // What a shell reports of its child is the shell's own status.
    let run = shell("/bin/sh -c 'kill -SEGV $$'; exit $?")?;
    run.exited(139)?;
    said(&run, json!(139), Value::Null)?;
    not_run(outside, profile)
}

/// The one refusal that is no errno, and so the one that can be told from outside.
fn by_another_door(outside: &Outside, profile: &str) -> Result<()> {
    let run = outside.sandbox(profile).probe("other door", &[]).run()?;
    let result = run.result.as_ref().context("no result")?;
    let signal = result.get("signal").and_then(Value::as_u64).context("no signal")?;
    if signal == 11 {
        // A kernel without that door.
        return Ok(());
    }
    run.exited(128 + 31)?;
    ensure!(result.get("denied") == Some(&Value::Bool(true)), "{result}");
    ensure!(run.stderr.contains("another architecture"), "{}", run.stderr);
    Ok(())
}

fn other_door(_: &Inside) -> Result<()> {
    const GETPID: u32 = 20;
    raw::call_as_i386(GETPID)?;
    Ok(())
}

fn not_run(outside: &Outside, profile: &str) -> Result<()> {
    let ws = outside.workspace()?;
    let text = outside.file("ws/text", "no program\n")?;
    let plain = outside.file("ws/plain", "#!/bin/sh\necho ran\n")?;
    let lost = outside.file("ws/lost", "#!/no/such/interpreter\n")?;
    for path in [&text, &lost] {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    }
    let profile = format!("{profile}[files]\nexecute = [{ws:?}]\n");
    let path = |path: &std::path::Path| path.to_string_lossy().into_owned();
    for (command, status) in [
        ("/no/such/program".to_owned(), 127),
        ("no-such-program".to_owned(), 127),
        (path(&lost), 127),
        (path(&plain), 126),
        (path(&text), 126),
        ("/usr".to_owned(), 126),
        (path(&ws), 126),
    ] {
        let run = outside.sandbox(&profile).command(&[&command]).run()?;
        run.exited(status).with_context(|| command.clone())?;
        ensure!(run.stdout.is_empty() && run.result.is_none(), "{command}: something was run");
        ensure!(run.stderr.starts_with("sandboxd: not started: "), "{command}: {}", run.stderr);
        ensure!(run.stderr.contains("  remedy  "), "{command}: no remedy: {}", run.stderr);
        // Whoever reads the result is told there, and not by nothing.
        let told = run.not_started.as_ref().context("the result is empty")?;
        ensure!(told.get("not_started") == Some(&json!(command)), "{told}");
        ensure!(told.get("remedy").is_some_and(Value::is_string), "{told}");
    }
    let wrong = outside.sandbox("extends = [\"builtin:none\"]\n").command(&["/bin/true"]).run()?;
    wrong.not_started()?;
    let told = wrong.not_started.as_ref().context("the result is empty")?;
    ensure!(told.get("problems").is_some_and(Value::is_array), "{told}");
    outside.bare().option("--no-such-option").command(&["/bin/true"]).run()?.exited(125)?;
    Ok(())
}

fn said(run: &Run, exit: Value, signal: Value) -> Result<()> {
    let result = run.result.as_ref().context("no result")?;
    ensure!(result.get("exit") == Some(&exit), "exit {exit}: {result}");
    ensure!(result.get("signal") == Some(&signal), "signal {signal}: {result}");
    for name in ["denied", "oom", "timeout", "cpu_limit", "output_limit"] {
        ensure!(result.get(name) == Some(&Value::Bool(false)), "{name}: {result}");
    }
    Ok(())
}
