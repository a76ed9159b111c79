//! A tool asks the person at its caller only where the edge says so, in either era of MCP and with the official
//! clients and servers; what it keeps with its caller meanwhile is good for the same call alone, and once, however
//! careless the tool itself is.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Need, Outside};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// Where `.ci/run` installs them.
const PACKAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/clients");
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/clients/venv/bin/python3");
const CLIENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients");

pub(crate) const CASE: Case = Case {
    rows: &["B11"],
    needs: &[Need::Program("/usr/bin/node"), Need::Path(PYTHON), Need::Path(PACKAGES)],
    seconds: 240,
    outside,
    by: By::Anybody,
    ..Case::NEW
};

fn outside(outside: &Outside) -> Result<()> {
    let place = Place {
        outside,
        packages: Path::new(PACKAGES).canonicalize()?,
        clients: Path::new(CLIENTS).canonicalize()?,
    };
    let (asks, careless) = (place.serve("asks")?, place.serve("careless")?);
    let agent = format!(
        "name = \"agent\"\nextends = [\"builtin:base\"]\n[files]\nread = {:?}\nexecute = [{:?}]\n{}{}{}{}",
        [&place.packages, &place.clients],
        place.packages.join("venv"),
        place.edge("asks", &asks, r#"["elicitation"]"#),
        place.edge("mute", &asks, "[]"),
        place.edge("careless", &careless, r#"["elicitation"]"#),
        place.edge("same", &careless, "[]"),
    );
    answered(&place, &agent)?;
    forged(&place, &agent)
}

/// The official clients, each with an edge that lets it be asked and one that does not.
fn answered(place: &Place<'_>, agent: &str) -> Result<()> {
    let servers = Value::Array(
        ["asks", "mute"]
            .map(|name| {
                json!({ "name": name, "command": "/run/sandboxd/sandboxd", "args": ["connect", name] })
            })
            .to_vec(),
    )
    .to_string();
    let modules = place.packages.join("npm/node_modules").to_string_lossy().into_owned();
    let script = |name: &str| place.clients.join(name).to_string_lossy().into_owned();
    let (python, js) = (place.python(), script("asked.mjs"));
    for (client, modern) in [
        (vec![python.as_str(), &script("asked.py"), &servers], true),
        (vec!["/usr/bin/node", &js, &modules, &servers, "client"], true),
        (vec!["/usr/bin/node", &js, &modules, &servers, "sdk"], false),
    ] {
        let run = place.outside.sandbox(agent).command(&client).run()?;
        run.exited(0)?;
        let told: Vec<Value> =
            run.stdout.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        let [asked, mute] = told.as_slice() else {
            anyhow::bail!("{client:?}: {}, {}", run.stdout, run.stderr)
        };
        ensure!(asked["text"] == "Hello, tea", "{client:?}: {asked}");
        ensure!(!mute["text"].as_str().context("no text")?.contains("tea"), "{client:?}: {mute}");
        ensure!(!modern || asked["version"] == "2026-07-28", "{client:?}: {asked}");
    }
    Ok(())
}

/// An agent that uses what one call got for another.
fn forged(place: &Place<'_>, agent: &str) -> Result<()> {
    let script = place.clients.join("forger.py").to_string_lossy().into_owned();
    let run = place.outside.sandbox(agent).command(&[&place.python(), &script]).run()?;
    run.exited(0)?;
    let mut told: Vec<(String, String)> = Vec::new();
    for line in run.stdout.lines() {
        let line: Value = serde_json::from_str(line)?;
        let what = line.get("what").and_then(Value::as_str).context("nothing tried")?;
        let answer = line.get("answer").context("no answer")?;
        told.push((what.to_owned(), answer.to_string()));
    }
    ensure!(told.len() == 13, "{}, {}", run.stdout, run.stderr);
    for (what, answer) in &told {
        let believed = answer.contains("believed");
        ensure!(believed == (what == "right"), "{what}: {answer}");
        let says = match what.as_str() {
            "asked" => "Really?",
            "right" => r#"payer=me"#,
            "no leave" => "not allowed here: sampling/createMessage",
            "no question" => "not allowed here: a method that the protocol does not have",
            "no leave at all" => "not allowed here: elicitation/create",
            _ => "do not belong to this request",
        };
        ensure!(answer.contains(says), "{what}: {answer}");
        ensure!(what == "right" || !answer.contains("payer="), "the state is seen: {answer}");
    }
    let records = place.outside.records()?;
    let noticed = |word: &str| {
        records.iter().filter(|one| one.to_string().contains(&format!("\"{word}\""))).count()
    };
    ensure!(noticed("asked_in_vain") == 3, "{} in vain", noticed("asked_in_vain"));
    ensure!(noticed("asked_back") > 8, "{} asked back", noticed("asked_back"));
    Ok(())
}

struct Place<'o> {
    outside: &'o Outside,
    packages: PathBuf,
    clients: PathBuf,
}

impl Place<'_> {
    fn python(&self) -> String {
        self.packages.join("venv/bin/python3").to_string_lossy().into_owned()
    }

    /// Writes the profile of a server.
    fn serve(&self, name: &str) -> Result<PathBuf> {
        let text = format!(
            "name = \"{name}\"\nextends = [\"builtin:mcp-server\"]\n{}[command]\nexec = {:?}\n\
             [files]\nread = {:?}\nexecute = [{:?}]\n[serve]\ntools = [\"*\"]\n",
            self.outside.leave(),
            [self.python().into(), self.clients.join(format!("{name}.py"))],
            [&self.packages, &self.clients],
            self.packages.join("venv"),
        );
        let path = self.outside.dir().join(format!("{name}.toml"));
        fs::write(&path, text)?;
        Ok(path)
    }

    /// A `[call.NAME]` of it.
    fn edge(&self, name: &str, profile: &Path, reverse: &str) -> String {
        format!(
            "[call.{name}]\nprofile = {profile:?}\ntools = [\"*\"]\nreverse = {reverse}\n\
             grant.files.execute = [\"/usr\", {:?}]\ngrant.files.read = {:?}\n",
            self.packages.join("venv"),
            [&self.packages, &self.clients],
        )
    }
}
