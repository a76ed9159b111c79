//! Where an edge asks, each call is held until somebody outside says yes to that very call: what is approved goes
//! on, once; what is denied, is not answered in time, or is wanted no more, never reaches the tool. What the
//! agent wrote is shown whole, and acts on no terminal.
//!
//! The tool is one process for all calls, and writes down what reaches it.

use anyhow::{Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sandboxd_integration::approver::FOLDER;
use sandboxd_integration::{By, Case, Outside};
use serde_json::{Value, json};

pub(crate) const CASE: Case = Case { rows: &["B14"], outside, by: By::Anybody, ..Case::NEW };

/// What the agent calls, one after the other.
const CALLS: [&str; 6] =
    ["first", "denied", "changed", "other \u{1b}[2J\u{202e}\u{7f}", "late", "last"];

fn outside(outside: &Outside) -> Result<()> {
    let profile = profile(outside, "1h")?;
    let run = outside.sandbox(&profile);
    let mut running = run.command(&["/bin/sh", "-c", &script()]).start()?;

    let (id, told) = outside.waits("first")?;
    for (key, expected) in
        [("caller", "agent"), ("edge", "tool"), ("callee", "tool"), ("name", "sh")]
    {
        ensure!(told.get(key).and_then(Value::as_str) == Some(expected), "{key}: {told}");
    }
    ensure!(!running.stdout()?.contains("first"), "it went on before anybody approved it");
    approved(outside, &id)?;
    // An approval is for once.
    refused(outside, &["approve", &id])?;
    refused(outside, &["deny", &id])?;

    let (id, _) = outside.waits("denied")?;
    let denied = outside.approver(&["deny", &id, "--reason", "not on a Friday"])?;
    ensure!(denied.status == 0, "{}", denied.text);
    refused(outside, &["approve", &id])?;

    // Whoever called is gone, and calls again, with other arguments: that is another call.
    let (id, told) = outside.waits("changed")?;
    let caller = running.process_to_come(|words| {
        words.starts_with("/run/sandboxd/sandboxd call") && words.contains("changed")
    })?;
    kill(Pid::from_raw(caller), Signal::SIGKILL)?;
    let (other, changed) = outside.waits("other")?;
    ensure!(told.get("sha256") != changed.get("sha256"), "one digest for two calls: {changed}");
    refused(outside, &["approve", &id])?;
    ensure!(outside.waits("other")?.0 == other, "it waits no more, though nobody answered");
    let shown = outside.approver(&["approvals"])?.text;
    ensure!(shown.contains(r"other \u001b[2J\u202e\u007f"), "not shown as it is: {shown}");
    let acts = |letter: char| letter != '\n' && !(' '..='~').contains(&letter);
    ensure!(!shown.contains(acts), "it acts on a terminal: {shown:?}");
    approved(outside, &other)?;

    for words in ["late", "last"] {
        let (id, _) = outside.waits(words)?;
        approved(outside, &id)?;
    }
    running.says("the end")?;
    let run = running.wait()?;
    run.exited(0)?;
    ensure!(run.stderr.contains("waits to be approved"), "nobody was told: {}", run.stderr);
    let answers: Vec<&str> = run.stdout.lines().collect();
    let has =
        |place: usize, words: &str| answers.get(place).is_some_and(|line| line.contains(words));
    ensure!(has(0, "first") && has(1, "isError") && has(1, "not on a Friday"), "{}", run.stdout);
    let reached = answers.iter().find(|line| line.contains("last")).copied().unwrap_or_default();
    for (words, approved) in
        [("first", true), ("denied", false), ("changed", false), ("other", true)]
    {
        ensure!(reached.contains(words) == approved, "reached {words:?}: {reached}");
    }
    ensure!(reached.matches("first").count() == 1, "it went on twice: {reached}");
    ensure!(outside.waiting()?.is_empty(), "what is over waits");
    no_answer_is_a_denial(outside)
}

/// Neither from somebody who does not come, nor by a way that is gone; and where there is no way, nothing
/// is started.
fn no_answer_is_a_denial(outside: &Outside) -> Result<()> {
    let profile = profile(outside, "1s")?;
    let login = outside.login_folder()?;
    let start = |folder: &str| {
        let call = ["/run/sandboxd/sandboxd", "call", "tool", "sh", r#"{"line": "echo reached"}"#];
        outside.sandbox(&profile).env(FOLDER, folder).command(&call).start()
    };
    let run = start(&login.to_string_lossy())?.wait()?;
    run.exited(1)?;
    let said = format!("{}{}", run.stdout, run.stderr);
    ensure!(said.contains("nobody answered in time") && !said.contains("reached"), "{said}");
    let (uid, _) = outside.owner();
    // Root has a way always.
    if !outside.is_user() {
        return Ok(());
    }
    // A user without a place for it. Who is logged in has one, whatever the variable says, that cases beside
    // this one use as well.
    if std::path::Path::new(&format!("/run/user/{uid}")).exists() {
        outside.not_run("a start without a way to ask; this user is logged in");
        return Ok(());
    }
    let taken = format!("/tmp/sandboxd-{uid}");
    std::fs::write(&taken, "")?;
    let run = start("/nowhere").and_then(sandboxd_integration::Running::wait);
    std::fs::remove_file(&taken)?;
    let run = run?;
    run.exited(125)?;
    ensure!(
        run.stderr.contains("approval = \"ask\"") && run.stderr.contains(FOLDER),
        "{}",
        run.stderr
    );
    Ok(())
}

fn profile(outside: &Outside, within: &str) -> Result<String> {
    let tool = outside.tool("tool", &[], "instances = \"serial\"\n")?;
    let edge = outside.call("tool", &tool, &[])?;
    let asks = format!("tools = [\"sh\"]\napproval = \"ask\"\napproval_within = \"{within}\"\n");
    let edge = edge.replacen("tools = [\"sh\"]\n", &asks, 1);
    Ok(format!("name = \"agent\"\nextends = [\"builtin:base\"]\n{edge}"))
}

/// What the agent does: a line of output for each call.
fn script() -> String {
    let mut script = String::new();
    for word in CALLS {
        // What the tool is told to write down is the very text that is shown.
        let line = format!(
            ": '{word}'; echo {} >> /tmp/reached; cat /tmp/reached",
            word.split(' ').next().unwrap_or_default()
        );
        let asked = json!({ "line": line }).to_string().replace('\'', "'\\''");
        script.push_str(&format!(
            "/run/sandboxd/sandboxd call --json tool sh '{asked}' | tr -d '\\n'; echo\n"
        ));
    }
    script.push_str("echo the end\n");
    script
}

fn approved(outside: &Outside, id: &str) -> Result<()> {
    let said = outside.approver(&["approve", id])?;
    ensure!(said.status == 0 && said.text.contains(id), "not approved: {}", said.text);
    Ok(())
}

fn refused(outside: &Outside, words: &[&str]) -> Result<()> {
    let said = outside.approver(words)?;
    ensure!(said.status == 1, "{words:?} once more: {} {}", said.status, said.text);
    Ok(())
}
