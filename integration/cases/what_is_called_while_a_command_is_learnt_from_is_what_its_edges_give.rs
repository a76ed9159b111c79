//! A command that calls is learnt from with its calls carried, along the edges of the profile that is extended and
//! no further: what is shown to the command meanwhile is not shown to what it calls, and a tool that no edge
//! names is not called, but listed with the line that would name it. What is written says which tools were used.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Outside};
use serde_json::json;
use std::fs;
use std::path::Path;

pub(crate) const CASE: Case =
    Case { rows: &["X03", "B11"], seconds: 120, outside, by: By::Anybody, ..Case::NEW };

fn outside(outside: &Outside) -> Result<()> {
    let given = outside.file("given/file", "given to the edge\n")?;
    // Shown to the command while it is learnt from, because it is in the folder that it works in.
    let shown = outside.file("ws/shown", "shown meanwhile\n")?;
    let ws = outside.workspace()?;
    let tool = outside.tool("tool", &[given.clone(), shown.clone()], "")?;
    let program = std::env::current_exe()?;
    let text = format!(
        "name = \"agent\"\nextends = [\"builtin:base\"]\n{}[files]\nexecute = [{program:?}]\n{}\
         [call.own]\nprofile = {tool:?}\ntools = [\"*\"]\n\
         [call.unused]\nprofile = {tool:?}\ntools = [\"sh\"]\n",
        outside.leave(),
        outside.call("tool", &tool, std::slice::from_ref(&given))?,
    );
    let base = outside.dir().join("agent.toml");
    fs::write(&base, text)?;
    let script = script(&given, &shown);
    let file = outside.dir().join("learnt.toml");
    let learn = outside.bare().verb("learn").option("--profile").option(base.as_path());
    let learn = learn.option("--output").option(file.as_path()).cwd(&ws);
    let run = learn.command(&["/bin/sh", "-c", &script]).run()?;
    run.exited(0)?;
    ensure!(run.stdout.contains("itself: shown meanwhile"), "{}, {}", run.stdout, run.stderr);
    ensure!(
        run.stderr
            .contains("  calls   own tool unused: anything it reads it can pass to these tools"),
        "{}",
        run.stderr
    );
    let learnt = fs::read_to_string(&file)?;
    judged(&run.stdout, &learnt).with_context(|| format!("{}\n{learnt}", run.stdout))?;
    for line in [
        "#   call unnamed of tool (the broker): not named: [call.tool] tools = [\"unnamed\"], where its server serves it",
        "#   [call.own]",
        "#   tools = [\"sh\"]",
        "#   [call.unused]  # nothing was called",
    ] {
        ensure!(learnt.lines().any(|one| one == line), "no line {line} in {learnt}");
    }
    // The edge whose every tool was used needs no line.
    ensure!(!learnt.contains("#   [call.tool]"), "{learnt}");
    let again = outside.bare().option("--profile").option(file.as_path()).cwd(&ws).run()?;
    again.exited(0).with_context(|| learnt.clone())?;
    // What the command may read by then, it may let be read where an edge gives what it may itself.
    let before = run.stdout.split("(own) ").next().unwrap_or_default();
    ensure!(again.stdout.starts_with(before), "{} and not {}", again.stdout, run.stdout);
    ensure!(again.stdout.contains("Unknown tool: unnamed"), "{}", again.stdout);
    writes_no_profile(outside, &ws)
}

/// Where what is called may write, nothing is learnt: it could write the profile.
fn writes_no_profile(outside: &Outside, ws: &Path) -> Result<()> {
    let open = outside.file("open/there", "there\n")?;
    let open = open.parent().context("a folder")?;
    let tool = outside.tool("writer", &[], "")?;
    let text = fs::read_to_string(&tool)?.replace("read = []", &format!("write = [{open:?}]"));
    fs::write(&tool, text)?;
    let base = outside.dir().join("calls-writer.toml");
    let leave = outside.leave();
    let text = format!(
        "name = \"agent\"\nextends = [\"builtin:base\"]\n{leave}[call.writer]\nprofile = {tool:?}\ntools = [\"sh\"]\n"
    );
    fs::write(&base, text)?;
    let file = open.join("learnt.toml");
    let learn = outside.bare().verb("learn").option("--profile").option(base.as_path());
    let run =
        learn.option("--output").option(file.as_path()).cwd(ws).command(&["/bin/true"]).run()?;
    run.exited(125)?;
    ensure!(run.stderr.contains("may be written by writer"), "{}", run.stderr);
    ensure!(!file.exists(), "{} was made", file.display());
    Ok(())
}

fn judged(said: &str, learnt: &str) -> Result<()> {
    ensure!(said.contains("(tool) given to the edge"), "nothing was called");
    for part in ["(tool) ", "(own) "] {
        let answer = said.split(part).nth(1).context(part)?.split("end").next().unwrap_or_default();
        ensure!(!answer.contains("shown meanwhile"), "{part} reached what is shown to the command");
        ensure!(answer.contains("ran"), "{part} did not run");
    }
    ensure!(said.contains("Unknown tool: unnamed"), "what no edge names was called");
    ensure!(!learnt.lines().any(|line| line.starts_with("[call")), "an edge is written");
    Ok(())
}

fn script(given: &Path, shown: &Path) -> String {
    let line = format!("cat {} {}; echo ran", given.display(), shown.display());
    let line = json!({ "line": line });
    let call = |edge: &str| {
        format!("printf '({edge}) '; /run/sandboxd/sandboxd call {edge} sh '{line}'; echo end; ")
    };
    format!(
        "printf 'itself: '; cat {}; {}/run/sandboxd/sandboxd call tool unnamed '{{}}' 2>&1; {}true",
        shown.display(),
        call("tool"),
        call("own"),
    )
}
