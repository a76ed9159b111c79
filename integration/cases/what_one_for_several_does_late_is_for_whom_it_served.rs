//! A tool that is one process for several acts for whoever it serves, also once it has answered, and where it was only
//! notified: what its caller may not call, and what somebody is to be asked about, it does not do for it later by its own
//! right. The tool means no harm.

use anyhow::{Result, ensure};
use sandboxd_integration::{By, Case, Need, Outside, patience};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) const CASE: Case = Case {
    rows: &["B12", "B14"],
    needs: &[Need::Program("/usr/bin/python3")],
    outside,
    by: By::Anybody,
    ..Case::NEW
};

/// `work` calls the vault; `late` answers first; `last` is what the vault said.
const HUB: &str = r#"import json, subprocess, sys, threading, time
said = "nothing"
def call(after):
    global said
    time.sleep(after)
    run = subprocess.run(["/run/sandboxd/sandboxd", "call", "--method", "vault", "open", "{}"],
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said = run.stdout.strip()
for line in sys.stdin:
    asked = json.loads(line)
    if asked["method"] == "work":
        call(0)
    if asked["method"] == "late":
        threading.Thread(target=call, args=(0.2,)).start()
    if "id" in asked:
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": said}), flush=True)
        said = "nothing"
"#;

/// Says what is in it, and for whom.
const VAULT: &str = r#"import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    said = ["opened", asked["params"]["_meta"]["dev.sandboxd/chain"]]
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": said}), flush=True)
"#;

/// Wants the vault opened three times: while it waits, by a notification, and after it was answered.
const AGENT: &str = r#"import json, subprocess, sys, time
talk = subprocess.Popen(["/run/sandboxd/sandboxd", "connect", "hub"],
                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
def say(method, number=None):
    known = {} if number is None else {"id": number}
    print(json.dumps({"jsonrpc": "2.0", **known, "method": method, "params": {}}), file=talk.stdin, flush=True)
    return known and json.loads(talk.stdout.readline())["result"]
print(say("work", 1))
for method, number in [("work", None), ("late", 2)]:
    say(method, number)
    time.sleep(float(sys.argv[1]))
    print(say("last", 3))
"#;

fn outside(outside: &Outside) -> Result<()> {
    // It has no edge to the vault, and its tool has.
    for said in opened(outside, "attenuate", None)? {
        ensure!(said.contains("Method not found"), "it was opened for whoever may not: {said}");
    }
    let asks = "approval = \"ask\"\napproval_within = \"1s\"\n";
    for said in opened(outside, "attenuate", Some(asks))? {
        ensure!(said.contains("not approved"), "it was opened and nobody was asked: {said}");
    }
    for said in opened(outside, "serial", None)? {
        let (word, chain): (String, Vec<String>) = serde_json::from_str(&said)?;
        ensure!(word == "opened" && chain == ["agent", "hub"], "it was for another: {said}");
    }
    let calls = outside.records()?;
    let asked = calls.iter().filter(|one| one["kind"] == "call" && one["edge"] == "vault");
    // The log does not say that it was for whoever had it started.
    let at = |call: &Value, path| call.pointer(path).cloned().unwrap_or_default();
    let of_hub = asked.clone().filter(|call| at(call, "/actor/agent") == "hub");
    let is_open =
        |call| at(call, "/chain") == json!(["hub"]) && at(call, "/call/for_several") == true;
    ensure!(of_hub.clone().count() > 0 && of_hub.clone().all(is_open), "{calls:?}");
    ensure!(asked.filter(|one| one["rule"] == "approval").count() == 3, "{calls:?}");
    Ok(())
}

/// What the agent is told of the vault: while it waits, by a notification, and after it was answered. With words, it has an
/// edge of its own to it.
fn opened(outside: &Outside, instances: &str, words: Option<&str>) -> Result<[String; 3]> {
    let (hub_py, vault_py) = (outside.file("hub.py", HUB)?, outside.file("vault.py", VAULT)?);
    let serve = |name: &str, program: &PathBuf, methods: &[&str], more: &str| -> Result<PathBuf> {
        let path = outside.dir().join(format!("{name}.toml"));
        let text = format!(
            "name = \"{name}\"\nextends = [\"builtin:mcp-server\"]\n{}[command]\nexec = [\"/usr/bin/python3\", {program:?}]\n\
             [files]\nread = [{program:?}]\n[serve]\nspeaks = \"json-rpc\"\nmethods = {methods:?}\n{more}",
            outside.leave(),
        );
        fs::write(&path, text)?;
        Ok(path)
    };
    let edge = |profile: &PathBuf, methods: &[&str], reads: &[&PathBuf]| {
        format!(
            "profile = {profile:?}\nmethods = {methods:?}\ngrant.files.execute = [\"/usr\"]\n\
             grant.files.read = {reads:?}\n"
        )
    };
    let vault = serve("vault", &vault_py, &["open"], "")?;
    let to_vault = format!("[call.vault]\n{}", edge(&vault, &["open"], &[&vault_py]));
    let methods = ["work", "late", "last"];
    let shared = format!("instances = {instances:?}\n{to_vault}");
    let hub = serve("hub", &hub_py, &methods, &shared)?;
    let profile = format!(
        "name = \"agent\"\nextends = [\"builtin:base\"]\n[call.hub]\n{}{}",
        edge(&hub, &methods, &[&hub_py, &vault_py]),
        words.map_or_else(String::new, |words| format!("{to_vault}{words}")),
    );
    let pause = Duration::from_millis(if words.is_some() { 2500 } else { 1000 });
    let pause = patience(pause).as_secs_f64().to_string();
    let run =
        outside.sandbox(&profile).command(&["/usr/bin/python3", "-c", AGENT, &pause]).run()?;
    run.exited(0)?;
    let said: Vec<String> = run.stdout.lines().map(str::to_owned).collect();
    let said = <[String; 3]>::try_from(said);
    said.map_err(|said| anyhow::anyhow!("not three answers: {said:?}, {}", run.stderr))
}
