//! The official clients of OpenAI and Anthropic for Python and TypeScript, unchanged, ask a model's API on the
//! host in every way they have, and one over TLS with a key that they never have. What it says that it used is
//! counted, streams too; what cannot be counted is refused; where the budget is used up a stream ends, and each
//! client says why; and so it does where the key is wrong.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::models::{Api, KEY};
use sandboxd_integration::world::{IP, World};
use sandboxd_integration::{Case, Need, Outside, Run};
use serde_json::Value;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Where `.ci/run` installs them.
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/models/venv/bin/python3");
const PACKAGES: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../target/models/npm/node_modules/openai");
const MODELS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/models");
const CLIENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients");
const SOMEWHERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);

pub(crate) const CASE: Case = Case {
    rows: &["N17"],
    needs: &[
        Need::Program(IP),
        Need::Program("/usr/bin/openssl"),
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
    on_loopback(outside)?;
    over_tls(outside)
}

/// In plain text, with the key that the client has.
fn on_loopback(outside: &Outside) -> Result<()> {
    let api = Api::start()?;
    let base = format!("http://host.internal:{}", api.port);
    let network = format!("egress = [{{ to = {base:?}, model = true }}]\n");
    for run in asked(outside, &network, [&base, &base, KEY])? {
        let budget = counted(&run, SAID)?;
        ensure!(number(&budget, "/models/small-1/calls") == 6, "{budget}");
    }
    Ok(())
}

/// With the key that sandboxd puts in, whatever the client has.
fn over_tls(outside: &Outside) -> Result<()> {
    let names = ["openai.example", "anthropic.example"];
    let mut world = World::enter(outside, &names.map(|name| (name, SOMEWHERE)))?;
    let folder = outside.dir().join("models");
    let _api = Api::over_tls(&folder, SOMEWHERE, &names)?;
    world.trust(outside, &folder.join("ca.pem"))?;
    let key = outside.dir().join("key");
    let holds = |value: &str| -> Result<()> {
        fs::write(&key, value)?;
        Ok(fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?)
    };
    let egress = names.map(|name| {
        format!("{{ to = \"{name}:443\", within = [\"203.0.113.7/32\"], model = true }}")
    });
    let inject = names.map(|name| {
        format!("{{ host = \"{name}\", path = \"/v1/*\", header = \"authorization\", format = \"Bearer {{}}\" }}")
    });
    let network = format!(
        "egress = [{}]\n[secrets.model]\nfrom = \"file:{}\"\ninject = [{}]\n",
        egress.join(", "),
        key.display(),
        inject.join(", "),
    );
    let [openai, anthropic] = names.map(|name| format!("https://{name}"));
    let clients = || asked(outside, &network, [&openai, &anthropic, "unused"]);
    holds(KEY)?;
    // Who has another key has this one as well.
    let said = SAID.replace("stranger 401 other", "stranger 25");
    for run in clients()? {
        let budget = counted(&run, &said)?;
        ensure!(number(&budget, "/models/small-1/calls") == 7, "{budget}");
        let told = format!("{}{}", run.stdout, run.stderr);
        ensure!(!told.contains(KEY), "the key is told: {told}");
        for name in names {
            let told = format!("puts model into them: {name}:443");
            ensure!(run.stderr.contains(&told), "{told:?} is not said: {}", run.stderr);
        }
    }
    holds("sk-of-nobody")?;
    for run in clients()? {
        let refused = |line: &&str| line.ends_with(" 401 other");
        ensure!(run.stdout.lines().filter(refused).count() == 12, "it said {}", run.stdout);
        let budget = run.result.as_ref().and_then(|result| result.get("budget"));
        ensure!(number(budget.context("no budget")?, "/tokens") == 0, "{budget:?}");
    }
    Ok(())
}

/// What became of each client, which is told where the two APIs are, and a key.
fn asked(outside: &Outside, network: &str, words: [&str; 3]) -> Result<[Run; 2]> {
    let models = Path::new(MODELS).canonicalize()?;
    let (network, secrets) = network.split_once('\n').context("no line")?;
    let profile = format!(
        "name = \"agent\"\nextends = [\"builtin:base\"]\n\
         [files]\nread = [{CLIENTS:?}, {models:?}]\nexecute = [{models:?}]\n\
         [network]\nmode = \"egress\"\n{network}\n{secrets}\
         [budget]\ntokens = 2000\n\
         [budget.prices]\n\"small-*\" = {{ input = 2, output = 8, cached = 1 }}\n\"*\" = {{ input = 1, output = 1 }}\n",
    );
    let [python, node] = ["models.py", "models.mjs"].map(|name| format!("{CLIENTS}/{name}"));
    let [venv, packages] = ["venv/bin/python3", "npm"].map(|place| models.join(place));
    let (venv, packages) = (venv.to_string_lossy(), packages.to_string_lossy());
    let run = |client: &[&str]| -> Result<Run> {
        let run = outside.sandbox(&profile).command(&[client, &words].concat()).run()?;
        run.exited(0).with_context(|| format!("{client:?}"))?;
        Ok(run)
    };
    Ok([run(&[&venv, &python])?, run(&["node", &node, &packages])?])
}

/// It said this, and what it used is told.
fn counted(run: &Run, said: &str) -> Result<Value> {
    ensure!(run.stdout == said, "it said {}\n{}", run.stdout, run.stderr);
    let result = run.result.as_ref().context("no result")?;
    let budget = result.get("budget").context("no budget")?;
    // Two that say it all, one each of a stream and of an answer: 10 of Anthropic's 16.
    ensure!(number(budget, "/models/claude-x/input_tokens") == 32, "{budget}");
    ensure!(number(budget, "/models/claude-x/output_tokens") == 10, "{budget}");
    ensure!(number(budget, "/models/embed-1/input_tokens") == 4, "{budget}");
    ensure!(number(budget, "/models/small-1/estimated") == 2, "{budget}");
    // It ends with the token that is the last, and what was asked to begin with is on top.
    let tokens = number(budget, "/tokens");
    ensure!((2000..2100).contains(&tokens), "{budget}");
    let told = format!("used of the budget: {tokens} of 2000 tokens");
    ensure!(run.stderr.contains(&told), "{}", run.stderr);
    ensure!(run.stderr.contains("used: claude-x: 32 tokens in, 10 out, 2 calls"), "{}", run.stderr);
    Ok(budget.clone())
}

fn number(budget: &Value, at: &str) -> u64 {
    budget.pointer(at).and_then(Value::as_u64).unwrap_or_default()
}
