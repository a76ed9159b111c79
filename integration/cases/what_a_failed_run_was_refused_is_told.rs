//! What a run that failed was refused is told afterwards, with what would allow it: a line each on standard
//! error, all of it in the result, and by `sandboxd why --last` for whoever ran it. No name that the command
//! chose makes a terminal act, and neither is what it set in its environment kept.

use anyhow::{Context as _, Result, bail, ensure};
use sandboxd_integration::facts;
use sandboxd_integration::raw::{self, Argument};
use sandboxd_integration::{By, Case, Inside, Outside, Run};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

pub(crate) const CASE: Case = Case {
    rows: &["X03", "T04"],
    seconds: 120,
    outside,
    probes: &[("fail", fail), ("go_on", go_on)],
    by: By::Anybody,
    ..Case::NEW
};

const PROFILE: &str = "name = \"refused\"\nextends = [\"builtin:base\"]\n";
fn outside(outside: &Outside) -> Result<()> {
    // Nothing is known before.
    outside.bare().verb("why").option("--last").run()?.exited(125)?;
    let secret = "--env=TOKEN=s3cr3t-s3cr3t";
    let first = outside.sandbox(PROFILE).option(secret).probe("fail", &[]).run()?;
    ensure!(first.exit() != Some(0), "it did not fail");
    let denials = first.result.as_ref().and_then(|result| result.get("denials"));
    let denials = denials.context("no denials in the result")?;
    let unseen = denials.get("unseen").context("it does not say what is unseen")?.as_str();
    let is_asked = facts::refusals_can_be_asked_about()?;
    ensure!(unseen.is_none() == is_asked, "asked: {is_asked}, and yet {unseen:?}");
    if let Some(unseen) = unseen {
        ensure!(denials.get("calls") == Some(&Value::Array(Vec::new())), "{denials}");
        outside.not_run(&format!("what is told; sandboxd is not asked here: {unseen}"));
        return Ok(());
    }
    told(&first, denials)?;
    asked_later(outside, &first)?;
    asked_of_one_that_went_on(outside)
}

fn told(run: &Run, denials: &Value) -> Result<()> {
    let calls = denials.get("calls").and_then(Value::as_array).context("no calls")?;
    for (call, times) in [("umount2", 3), ("ptrace", 1)] {
        let found = calls.iter().find(|one| one.get("call").and_then(Value::as_str) == Some(call));
        let counted = found.and_then(|one| one.get("times")).and_then(Value::as_u64);
        ensure!(counted == Some(times), "{call}: {counted:?} in {denials}");
    }
    let line = |call: &str| {
        let begins = format!("refused: {call}: ");
        let line = run.stderr.lines().find(|line| line.contains(&begins));
        line.with_context(|| format!("no line for {call}: {}", run.stderr))
    };
    ensure!(line("umount2")?.contains("3 times; no profile allows it"), "{}", line("umount2")?);
    ensure!(line("ptrace")?.contains("[syscalls] allow = [\"ptrace\"]"), "{}", line("ptrace")?);
    ensure!(run.stderr.contains("sandboxd why --last"), "{}", run.stderr);
    ensure!(!run.stderr.contains('\u{1b}'), "a name makes the terminal act: {:?}", run.stderr);
    Ok(())
}

fn asked_later(outside: &Outside, failed: &Run) -> Result<()> {
    let sandbox = failed.result.as_ref().and_then(|result| result.get("sandbox"));
    let last = outside.bare().verb("why").option("--last").option("--json").run()?;
    last.exited(0)?;
    let told: Value = serde_json::from_str(&last.stdout)?;
    ensure!(told.get("sandbox") == sandbox, "{sandbox:?} was the last: {told}");
    let advice = told.pointer("/calls/0/advice").map(Value::to_string).unwrap_or_default();
    ensure!(advice.contains("never allowed"), "{told}");
    let unseen = told.get("unseen").map(Value::to_string).unwrap_or_default();
    ensure!(unseen.contains("files"), "it does not say that files are not known: {told}");
    let words = outside.bare().verb("why").option("--last").run()?;
    words.exited(0)?;
    ensure!(words.stdout.contains("refused: "), "{}", words.stdout);
    ensure!(!words.stdout.contains('\u{1b}'), "a name makes the terminal act");
    a_limit_that_was_reached(outside)?;
    kept_for_one_alone(outside)
}

fn a_limit_that_was_reached(outside: &Outside) -> Result<()> {
    let run = outside.sandbox(&format!("{PROFILE}[limits]\nwall_time = \"1s\"\n"));
    run.command(&["/bin/sleep", "60"]).run()?.exited(124)?;
    let last = outside.bare().verb("why").option("--last").run()?;
    last.exited(0)?;
    ensure!(
        last.stdout.contains("limit: its wall time was used up ([limits].wall_time)"),
        "{}",
        last.stdout
    );
    Ok(())
}

/// One that was refused something and ended well says nothing of it, and is the last from then on.
fn asked_of_one_that_went_on(outside: &Outside) -> Result<()> {
    let run = outside.sandbox(PROFILE).probe("go_on", &[]).run()?;
    run.exited(0)?;
    ensure!(!run.stderr.contains("refused"), "it is told of, and nobody asked: {}", run.stderr);
    let last = outside.bare().verb("why").option("--last").run()?;
    last.exited(0)?;
    let begin = "refused: socket(AF_INET, …): address family not supported by protocol";
    ensure!(last.stdout.contains("exit status 0"), "{}", last.stdout);
    ensure!(last.stdout.contains(begin) && last.stdout.contains("--egress"), "{}", last.stdout);
    Ok(())
}

fn kept_for_one_alone(outside: &Outside) -> Result<()> {
    let folder = outside.audit().with_file_name("last");
    let file = folder.join("run.json");
    ensure!(!fs::read_to_string(&file)?.contains("s3cr3t"), "a variable is kept");
    let (kept, folder) = (fs::metadata(&file)?, fs::metadata(folder)?);
    let modes = (kept.permissions().mode() & 0o777, folder.permissions().mode() & 0o777);
    ensure!(modes == (0o600, 0o700), "modes {:o}, {:o}", modes.0, modes.1);
    ensure!(kept.uid() == folder.uid() && kept.len() < 1 << 20, "{kept:?}");
    Ok(())
}

fn fail(inside: &Inside) -> Result<()> {
    inside.fact("here", "yes");
    const SET_NAME: u64 = 15;
    let name = c"\x1b]0;owned\x07";
    raw::call(libc::SYS_prctl, &mut [Argument::Number(SET_NAME), Argument::Text(name)])?;
    for _ in 0..3 {
        raw::call_numbers(libc::SYS_umount2, &[0, 0]).ok();
    }
    raw::call_numbers(libc::SYS_ptrace, &[0, 0, 0, 0]).ok();
    bail!("it fails")
}

fn go_on(inside: &Inside) -> Result<()> {
    inside.fact("here", "yes");
    let [family, kind] =
        [libc::AF_INET, libc::SOCK_STREAM].map(|number| number.unsigned_abs().into());
    ensure!(raw::call_numbers(libc::SYS_socket, &[family, kind, 0]).is_err(), "a socket");
    Ok(())
}
