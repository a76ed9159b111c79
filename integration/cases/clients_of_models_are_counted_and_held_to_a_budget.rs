//! The official clients of OpenAI and Anthropic for Python and TypeScript, unchanged, ask a model's API on the
//! host in every way they have. What it says that it used is counted, streams too; what cannot be counted is
//! refused; and where the budget is used up a stream ends, and each client says why.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::models::{Api, KEY};
use sandboxd_integration::{Case, Need, Outside};
use serde_json::Value;
use std::path::Path;

/// Where `.ci/run` installs them.
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/models/venv/bin/python3");
const PACKAGES: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../target/models/npm/node_modules/openai");
const MODELS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/models");
const CLIENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients");

pub(crate) const CASE: Case = Case {
    rows: &["N17"],
    needs: &[
        Need::Program("/usr/bin/node"),
        Need::Program("/usr/bin/python3"),
        Need::Path(PYTHON),
        Need::Path(PACKAGES),
    ],
    seconds: 240,
    outside,
    ..Case::NEW
};

/// What each client says, in its order.
const SAID: &str = "stranger 401 other
chat 25
chat stream 5
chat stream without usage 5
response 35
response stream response.completed
embedding 8
message 5
message stream 5
in the background 403 other
files 403 other
without end broken off budget
after 429 budget
message after 429 budget
";

fn outside(outside: &Outside) -> Result<()> {
    let api = Api::start()?;
    let models = Path::new(MODELS).canonicalize()?;
    let profile = format!(
        "name = \"agent\"\nextends = [\"builtin:base\"]\n\
         [files]\nread = [{CLIENTS:?}, {models:?}]\nexecute = [{models:?}]\n\
         [network]\nmode = \"egress\"\negress = [{{ to = \"http://host.internal:{}\", model = true }}]\n\
         [budget]\ntokens = 2000\n\
         [budget.prices]\n\"small-*\" = {{ input = 2, output = 8, cached = 1 }}\n\"*\" = {{ input = 1, output = 1 }}\n",
        api.port
    );
    let base = format!("http://host.internal:{}", api.port);
    let [python, node] = ["models.py", "models.mjs"].map(|name| format!("{CLIENTS}/{name}"));
    let [venv, packages] = ["venv/bin/python3", "npm"].map(|place| models.join(place));
    let (venv, packages) = (venv.to_string_lossy(), packages.to_string_lossy());
    let clients: [&[&str]; 2] =
        [&[&venv, &python, &base, KEY], &["node", &node, &packages, &base, KEY]];
    for client in clients {
        let run = outside.sandbox(&profile).command(client).run()?;
        run.exited(0)?;
        ensure!(run.stdout == SAID, "{client:?} said {}\n{}", run.stdout, run.stderr);
        let result = run.result.as_ref().context("no result")?;
        let budget = result.get("budget").context("no budget")?;
        let number = |at: &str| budget.pointer(at).and_then(Value::as_u64).unwrap_or_default();
        // Two that say it all, one each of a stream and of an answer: 10 of Anthropic's 16.
        ensure!(number("/models/claude-x/input_tokens") == 32, "{budget}");
        ensure!(number("/models/claude-x/output_tokens") == 10, "{budget}");
        ensure!(number("/models/embed-1/input_tokens") == 4, "{budget}");
        ensure!(number("/models/small-1/estimated") == 2, "{budget}");
        ensure!(number("/models/small-1/calls") == 6, "{budget}");
        // It ends with the token that is the last, and what was asked to begin with is on top.
        let tokens = number("/tokens");
        ensure!((2000..2100).contains(&tokens), "{budget}");
        let told = format!("used of the budget: {tokens} of 2000 tokens");
        ensure!(run.stderr.contains(&told), "{}", run.stderr);
        ensure!(run.stderr.contains("used: claude-x: 32 tokens in, 10 out, 2 calls"), "{}", run.stderr);
    }
    Ok(())
}
