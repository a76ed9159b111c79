//! An agent that reaches nobody calls a tool that asks a model. What the model uses is used of the agent's
//! budget, whichever instance of the tool asked, and of the tool's own; where the agent's is used up, the
//! next instance is refused too.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::models::{Api, KEY};
use sandboxd_integration::{Case, Need, Outside};
use serde_json::Value;

pub(crate) const CASE: Case = Case {
    rows: &["N17"],
    needs: &[Need::Program("/usr/bin/python3"), Need::Program("/usr/bin/curl")],
    outside,
    ..Case::NEW
};

fn outside(outside: &Outside) -> Result<()> {
    let api = Api::start()?;
    let network = format!(
        "mode = \"egress\"\negress = [{{ to = \"http://host.internal:{}\", model = true }}]\n",
        api.port
    );
    let tool =
        outside.tool("tool", &[], &format!("[network]\n{network}[budget]\ntokens = 1000\n"))?;
    let edge = outside.call("tool", &tool, &[])?;
    let given: String = network.lines().map(|line| format!("grant.network.{line}\n")).collect();
    let profile = format!(
        "name = \"agent\"\nextends = [\"builtin:base\"]\n[budget]\ntokens = 60\n{edge}{given}"
    );
    let ask = format!(
        "curl -sS -H 'x-api-key: {KEY}' -d '{{}}' http://host.internal:{}/v1/chat/completions",
        api.port
    );
    let asked = serde_json::json!({ "line": ask }).to_string().replace('\'', "'\\''");
    // Each call is one of an instance of its own: of 25 tokens, the third goes beyond 60.
    let script =
        format!("for i in 1 2 3 4 5; do /run/sandboxd/sandboxd call tool sh '{asked}'; echo; done");
    let run = outside.sandbox(&profile).command(&["/bin/bash", "-c", &script]).run()?;
    run.exited(0)?;
    let count = |words: &str| run.stdout.matches(words).count();
    ensure!(count("total_tokens") == 3, "{}\n{}", run.stdout, run.stderr);
    ensure!(
        count("the budget of agent is used up: 75 of 60 tokens") == 2,
        "{}\n{}",
        run.stdout,
        run.stderr
    );
    let budget =
        run.result.as_ref().and_then(|result| result.get("budget")).context("no budget")?;
    let number = |at: &str| budget.pointer(at).and_then(Value::as_u64);
    ensure!(number("/tokens") == Some(75), "{budget}");
    ensure!(number("/models/small-1/calls") == Some(3), "{budget}");
    ensure!(run.stderr.contains("used of the budget: 75 of 60 tokens"), "{}", run.stderr);
    Ok(())
}
