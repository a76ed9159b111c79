//! After a run in which a broker refused calls and a host was not let out, `sandboxd why --last` says so in a few
//! lines, each with the line that would allow it; which is then enough. Only names of tools that are there are
//! told: what a caller makes up reaches nobody's terminal.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Need, Outside};
use serde_json::{Value, json};
use std::fs;

pub(crate) const CASE: Case = Case {
    rows: &["X03", "T04", "B11"],
    needs: &[Need::Program("/bin/bash")],
    seconds: 120,
    outside,
    by: By::Anybody,
    ..Case::NEW
};

const MADE_UP: &str = "made_up_by_the_caller";

fn outside(outside: &Outside) -> Result<()> {
    let tool = outside.tool("tool", &[], "")?;
    let served =
        fs::read_to_string(&tool)?.replace("tools = [\"sh\"]", "tools = [\"sh\", \"unnamed\"]");
    fs::write(&tool, served)?;
    let profile = format!(
        "name = \"agent\"\nextends = [\"builtin:base\"]\n{}[network]\nmode = \"egress\"\negress = [\"named.invalid:443\"]\n{}",
        outside.leave(),
        outside.call("tool", &tool, &[])?
    );
    let line = json!({ "line": "echo ran" });
    let script = format!(
        "for n in 1 2 3; do /run/sandboxd/sandboxd call tool unnamed '{line}' && exit 9; done\n\
         /run/sandboxd/sandboxd call tool {MADE_UP} '{{}}' 2>/dev/null && exit 9\n\
         /run/sandboxd/sandboxd call tool sh '{line}' || exit 8\n\
         exec 3<>/dev/tcp/other.invalid/443 && exit 9\nexit 7\n"
    );
    let run = outside.sandbox(&profile).command(&["/bin/bash", "-c", &script]).run()?;
    run.exited(7)?;
    ensure!(run.stdout.contains("ran"), "what may be called was not: {}", run.stdout);
    ensure!(
        run.stderr.contains("not called: agent calling tool: unnamed: not named"),
        "{}",
        run.stderr
    );
    ensure!(run.stderr.contains("sandboxd why --last"), "{}", run.stderr);
    let called = run.result.as_ref().and_then(|result| result.pointer("/called/0"));
    let called = called.context("nothing of calls in the result")?;
    let refused =
        json!([{ "method": "tools/call", "rule": "reach", "times": 4, "tools": ["unnamed"] }]);
    ensure!(called.get("refused") == Some(&refused), "{called}");
    ensure!(called.get("tools") == Some(&json!(["sh"])), "{called}");
    let words = outside.bare().verb("why").option("--last").run()?;
    words.exited(0)?;
    let said = &words.stdout;
    for what in [
        "not called: agent calling tool: unnamed: not named, or not there, 4 times",
        "[call.tool]",
        "tools = [\"unnamed\"]",
        "egress denied: other.invalid",
        "--egress other.invalid:PORT",
        "ask of one   sandboxd why -p ",
        "or of all    sandboxd learn -p ",
        " -o ../learnt.toml -- /bin/bash …",
    ] {
        ensure!(said.contains(what), "no {what} in {said}");
    }
    ensure!(!format!("{said}{}", run.stderr).contains(MADE_UP), "a word of the caller's: {said}");
    ensure!(said.lines().count() < 30, "{said}");
    let json = outside.bare().verb("why").option("--last").option("--json").run()?;
    let told: Value = serde_json::from_str(&json.stdout)?;
    ensure!(told.pointer("/not_called/0/refused") == Some(&refused), "{told}");
    // What it says to add is enough.
    let with = profile.replace("tools = [\"sh\"]", "tools = [\"sh\", \"unnamed\"]");
    let call = ["/run/sandboxd/sandboxd", "call", "tool", "unnamed", &line.to_string()];
    let run = outside.sandbox(&with).command(&call).run()?;
    run.exited(0)?;
    ensure!(run.stdout.contains("ran"), "{}", run.stdout);
    Ok(())
}
