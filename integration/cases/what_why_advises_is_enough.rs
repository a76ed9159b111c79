//! What `why` advises is enough and no more than was asked for: with the lines it names the command may what it
//! might not, and where no line gives it, none is named.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Outside, Run};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;

pub(crate) const CASE: Case =
    Case { rows: &["X03", "X06"], seconds: 120, outside, by: By::Anybody, ..Case::NEW };

const BASE: &str = "extends = [\"builtin:base\"]\n";

fn outside(outside: &Outside) -> Result<()> {
    let data = outside.file("data/note", "a note\n")?;
    let hook = outside.file("ws/.git/hooks/pre-commit", "#!/bin/sh\n")?;
    outside.file("ws/.git/config", "[core]\n")?;
    outside.file("ws/secret", "a secret\n")?;
    let ws = outside.workspace()?;
    let work = format!("{BASE}[files]\nwrite = [{ws:?}]\n");
    let hidden = format!("{work}hide = [{:?}]\n", ws.join("secret"));

    adds(outside, BASE, &data, "read")?;
    adds(outside, BASE, &data, "write")?;
    adds(outside, &format!("{BASE}[files]\nread = [{ws:?}]\n"), &ws.join("new"), "write")?;
    adds(outside, &work, &hook, "write")?;
    if !outside.is_user() {
        a_closed_folder_is_entered(outside)?;
    }
    // What tells about the machine takes somebody who says why.
    let advice = refused(outside, BASE, &["--path", "/sys/kernel/mm"])?;
    said(&advice, "/add/toml", "reason = \"say why\"")?;

    let secret = ws.join("secret");
    let advice = refused(outside, &hidden, &["--path", &secret.to_string_lossy()])?;
    ensure!(advice.pointer("/remove/0/line") == Some(&Value::from(4)), "not line 4: {advice}");
    said(&advice, "/remove/0/key", "files.hide[0]")?;

    let denied = format!("{BASE}[syscalls]\ndeny = [\"getcpu\"]\n");
    let advice = refused(outside, &denied, &["--syscall", "getcpu"])?;
    said(&advice, "/remove/0/key", "syscalls.deny[0]")?;
    let advice = refused(outside, BASE, &["--syscall", "ptrace"])?;
    said(&advice, "/add/toml", "allow = [\"ptrace\"]")?;

    for never in [
        ["--syscall", "mount"],
        ["--syscall", "io_uring_setup"],
        ["--path", "/proc/self/mem/x"],
        ["--path", "/nothing-of-this-name"],
    ] {
        let advice = refused(outside, BASE, &never)?;
        ensure!(advice.get("nothing").is_some(), "{never:?}: {advice}");
    }
    a_host_that_is_named_is_reached(outside)?;
    let advice = refused(outside, &format!("name = \"a\"\n{BASE}"), &["--call", "fs", "read"])?;
    said(&advice, "/add/toml", "[call.fs]")?;
    a_tool_that_takes_two_lines(outside)?;
    nothing_is_asked_wrongly(outside)
}

/// Of what is only read the host's owner and mode stand; what may be written is the sandbox's own.
fn a_closed_folder_is_entered(outside: &Outside) -> Result<()> {
    let note = outside.file("closed/note", "a note\n")?;
    let folder = note.parent().context("a folder")?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    chown(folder, Some(0), Some(0))?;
    let reads = format!("{BASE}[files]\nread = [{folder:?}]\n");
    let shown = note.to_string_lossy();
    let advice = refused(outside, &reads, &["--path", &shown])?;
    said(&advice, "/add/toml", &format!("write = [{folder:?}]"))?;
    said(&advice, "/add/beware", "it is then writable")?;
    adds(outside, &reads, &note, "read")?;
    // A program is not executed from there whoever may write it, and then none is advised.
    let advice = refused(outside, &reads, &["--path", &shown, "--access", "execute"])?;
    ensure!(advice.get("nothing").is_some(), "{advice}");
    Ok(())
}

/// What the edge does not name and its callee does not serve: a line in each of the two files.
fn a_tool_that_takes_two_lines(outside: &Outside) -> Result<()> {
    let callee = outside.dir().join("fs.toml");
    let serves = |tools: &str| {
        let serving = format!("{BASE}command.exec = [\"/bin/true\"]\nserve.tools = [{tools}]\n");
        fs::write(&callee, format!("name = \"fs\"\n{serving}"))
    };
    let calls = |tools: &str| {
        format!("name = \"a\"\n{BASE}[call.fs]\nprofile = {callee:?}\ntools = [{tools}]\n")
    };
    serves("\"read\"")?;
    let advice = refused(outside, &calls("\"read\""), &["--call", "fs", "remove"])?;
    said(&advice, "/add-each/0/toml", "[call.fs]\ntools = [\"remove\"]")?;
    said(&advice, "/add-each/1/toml", "[serve]\ntools = [\"remove\"]")?;
    said(&advice, "/add-each/1/to", "fs.toml")?;
    serves("\"read\", \"remove\"")?;
    ask(outside, &calls("\"read\", \"remove\""), &["--call", "fs", "remove"])?.exited(0)?;
    Ok(())
}

/// The one host, and not all that the host reaches.
fn a_host_that_is_named_is_reached(outside: &Outside) -> Result<()> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // Who does not read it has not reached it.
            std::io::Write::write_all(&mut stream, b"reached\n").ok();
        }
    });
    let advice = refused(outside, BASE, &["--host", &format!("host.internal:{port}")])?;
    let toml = advice.pointer("/add/toml").and_then(Value::as_str).context("no lines")?;
    let script = format!("read said < /dev/tcp/host.internal/{port} && echo \"$said\"");
    let words = ["/bin/bash", "-c", &script];
    let run = outside.sandbox(BASE).command(&words).run()?;
    ensure!(!run.stdout.contains("reached"), "it is reached without those lines");
    let run = outside.sandbox(&format!("{BASE}{toml}\n")).command(&words).run()?;
    ensure!(run.stdout == "reached\n", "with\n{toml}\n{}", run.stderr);
    Ok(())
}

/// The command is refused, `why` says what to add, and with that it is not.
fn adds(outside: &Outside, profile: &str, path: &Path, access: &str) -> Result<()> {
    let shown = path.to_string_lossy();
    let script = match access {
        "read" => format!("cat < {shown}"),
        _ => format!("echo written >> {shown}"),
    };
    let words = ["/bin/sh", "-c", &script];
    let before = outside.sandbox(profile).command(&words).run()?;
    ensure!(before.exit() != Some(0), "{script} was let through by\n{profile}");
    let advice = refused(outside, profile, &["--path", &shown, "--access", access])?;
    let toml = advice.pointer("/add/toml").and_then(Value::as_str);
    let toml = toml.with_context(|| format!("nothing to add: {advice}"))?;
    // A table stands once in a text: what is added to one that is there goes there.
    let (table, lines) = toml.split_once('\n').context("a table and its lines")?;
    let text = match profile.split_once(&format!("{table}\n")) {
        Some((head, tail)) => {
            let key = lines.split(' ').next().unwrap_or_default();
            ensure!(!tail.contains(&format!("{key} = ")), "{key} is there already");
            format!("{head}{table}\n{lines}\n{tail}")
        }
        None => format!("{profile}{toml}\n"),
    };
    let run = outside.sandbox(&text).command(&words).run()?;
    run.exited(0).with_context(|| text.clone())?;
    let asked = ask(outside, &text, &["--path", &shown, "--access", access])?;
    asked.exited(0).context("and why says so")?;
    Ok(())
}

/// The advice of a refusal.
fn refused(outside: &Outside, profile: &str, question: &[&str]) -> Result<Value> {
    let run = ask(outside, profile, question)?;
    run.exited(1)?;
    let told: Value = serde_json::from_str(&run.stdout)?;
    ensure!(told.get("allowed") == Some(&Value::Bool(false)), "{told}");
    told.get("advice").cloned().context("no advice")
}

fn ask(outside: &Outside, profile: &str, question: &[&str]) -> Result<Run> {
    let asked = outside.sandbox(profile).verb("why").option("--json");
    question.iter().fold(asked, |asked, word| asked.option(word)).run()
}

fn said(advice: &Value, at: &str, words: &str) -> Result<()> {
    let text = advice.pointer(at).and_then(Value::as_str).unwrap_or_default();
    ensure!(text.contains(words), "{words:?} is not said: {advice}");
    Ok(())
}

/// A question that is none is told, with the status of what was not set up.
fn nothing_is_asked_wrongly(outside: &Outside) -> Result<()> {
    for wrong in [
        &["--syscall", "getcup"][..],
        &["--host", "example.com"],
        &["--path", ""],
        &["--path", "/", "--access", "look"],
        &["--path", "/", "--syscall", "mount"],
        &[],
    ] {
        ask(outside, BASE, wrong)?.exited(125).with_context(|| format!("{wrong:?}"))?;
    }
    // What is printed makes no terminal act.
    let name = "/nothing\u{1b}]0;x\u{7}";
    let run = outside.sandbox(BASE).verb("why").option("--path").option(name).run()?;
    ensure!(!run.stdout.contains('\u{1b}') && run.stdout.contains("refused"), "{}", run.stdout);
    let run = fs::read_to_string(run.folder().join("stdout"))?;
    ensure!(run.contains("no profile line grants it"), "{run}");
    Ok(())
}
