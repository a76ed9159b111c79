//! The official clients of MCP, of both versions for TypeScript and for Python, list and call what the
//! official servers serve, none of them changed: over an agent's edges, and through `sandboxd mcp`.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{Case, Need, Outside};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where `.ci/run` installs them.
const PACKAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/clients");
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/clients/venv/bin/python3");
const CLIENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients");
/// What of a server is executed, below the folder of npm's packages.
const SERVED: [(&str, &str); 3] = [
    ("files", "@modelcontextprotocol/server-filesystem/dist/index.js"),
    ("memory", "@modelcontextprotocol/server-memory/dist/index.js"),
    ("everything", "@modelcontextprotocol/server-everything/dist/index.js"),
];

pub(crate) const CASE: Case = Case {
    rows: &["B11"],
    needs: &[Need::Program("/usr/bin/node"), Need::Path(PYTHON), Need::Path(PACKAGES)],
    seconds: 240,
    outside,
    ..Case::NEW
};

fn outside(outside: &Outside) -> Result<()> {
    let place = Place::new(outside)?;
    let mut edges = String::new();
    for name in place.names() {
        let profile = place.serve(name)?;
        edges.push_str(&format!(
            "[call.{name}]\nprofile = {profile:?}\ntools = [\"*\"]\n\
             grant.files.execute = [\"/usr\", {:?}]\ngrant.files.read = {:?}\n",
            place.venv(),
            [&place.packages, &place.clients, &place.notes],
        ));
    }
    let profile = format!(
        "name = \"agent\"\nextends = [\"builtin:base\"]\n[files]\nread = {:?}\nexecute = [{:?}]\n{edges}",
        [&place.packages, &place.clients],
        place.venv(),
    );
    let servers = place.asked(|name| {
        (String::from("/run/sandboxd/sandboxd"), vec![String::from("connect"), name.to_owned()])
    });
    for client in place.clients(&servers) {
        let words: Vec<&str> = client.iter().map(String::as_str).collect();
        let run = outside.sandbox(&profile).command(&words).run()?;
        run.exited(0)?;
        answered(&run.stdout).with_context(|| format!("{client:?} over edges: {}", run.stderr))?;
    }
    let sandboxd = std::env::current_exe()?.with_file_name("sandboxd");
    let servers = place.asked(|name| {
        let profile = place.dir.join(format!("{name}.toml"));
        let words = ["mcp", "-p", &profile.to_string_lossy()].map(str::to_owned);
        (sandboxd.to_string_lossy().into_owned(), words.to_vec())
    });
    for client in place.clients(&servers) {
        let (program, arguments) = client.split_first().context("no client")?;
        let ran = Command::new(program).args(arguments).current_dir(&place.dir).output()?;
        let (said, complained) =
            (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        ensure!(ran.status.success(), "{client:?}: {complained}");
        answered(&said).with_context(|| format!("{client:?} through mcp: {complained}"))?;
    }
    Ok(())
}

/// What a client said of each server.
fn answered(said: &str) -> Result<()> {
    let told: Vec<Value> = said.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let wanted = [
        ("files", 14, "from the notes"),
        ("memory", 9, "tea"),
        ("everything", 13, "is 5"),
        ("sums", 1, "5"),
    ];
    ensure!(told.len() == wanted.len(), "not all answered: {said}");
    for (told, (name, tools, text)) in told.iter().zip(wanted) {
        ensure!(told["name"] == name && told["tools"] == tools, "{name}: {told}");
        ensure!(told["text"].as_str().is_some_and(|said| said.contains(text)), "{name}: {told}");
    }
    // The second version speaks without a session to whoever does; the rest is older.
    let version = told.iter().find(|told| told["name"] == "sums").map(|told| &told["version"]);
    ensure!(version.is_some_and(|version| version.is_null() || version == "2026-07-28"), "{said}");
    Ok(())
}

/// Where everything is.
struct Place {
    dir: PathBuf,
    packages: PathBuf,
    clients: PathBuf,
    notes: PathBuf,
}

impl Place {
    fn new(outside: &Outside) -> Result<Self> {
        let note = outside.file("notes/today.md", "from the notes")?;
        Ok(Self {
            dir: outside.dir().to_owned(),
            packages: Path::new(PACKAGES).canonicalize()?,
            clients: Path::new(CLIENTS).canonicalize()?,
            notes: note.parent().context("no folder")?.to_owned(),
        })
    }

    fn names(&self) -> impl Iterator<Item = &'static str> {
        SERVED.iter().map(|(name, _)| *name).chain(["sums"])
    }

    fn modules(&self) -> PathBuf {
        self.packages.join("npm/node_modules")
    }

    fn venv(&self) -> PathBuf {
        self.packages.join("venv")
    }

    /// Writes the profile of a server.
    fn serve(&self, name: &str) -> Result<PathBuf> {
        let script = SERVED.iter().find(|(known, _)| *known == name);
        let command: Vec<String> = match script {
            Some((_, script)) => {
                let script = self.modules().join(script).to_string_lossy().into_owned();
                let more =
                    if name == "files" { self.notes.to_string_lossy() } else { "stdio".into() };
                vec!["/usr/bin/node".into(), script, more.into_owned()]
            }
            None => [self.venv().join("bin/python3"), self.clients.join("server.py")]
                .map(|path| path.to_string_lossy().into_owned())
                .to_vec(),
        };
        let text = format!(
            "name = \"{name}\"\nextends = [\"builtin:mcp-server\"]\n[command]\nexec = {command:?}\n\
             [env]\nset = {{ MEMORY_FILE_PATH = \"/tmp/memory.jsonl\" }}\n\
             [files]\nread = {:?}\nexecute = [{:?}]\n[serve]\ntools = [\"*\"]\n",
            [&self.packages, &self.clients, &self.notes],
            self.venv(),
        );
        let path = self.dir.join(format!("{name}.toml"));
        fs::write(&path, text)?;
        Ok(path)
    }

    /// The servers as a client is told of them, JSON; how each is reached says the caller.
    fn asked(&self, reached: impl Fn(&str) -> (String, Vec<String>)) -> String {
        let call = |name: &str| match name {
            "files" => ("read_text_file", json!({ "path": self.notes.join("today.md") })),
            "memory" => (
                "create_entities",
                json!({ "entities": [{ "name": "tea", "entityType": "drink", "observations": [] }] }),
            ),
            "everything" => ("get-sum", json!({ "a": 2, "b": 3 })),
            _ => ("add", json!({ "a": 2, "b": 3 })),
        };
        let servers = self.names().map(|name| {
            let ((command, args), (tool, given)) = (reached(name), call(name));
            json!({ "name": name, "command": command, "args": args, "tool": tool, "given": given })
        });
        Value::Array(servers.collect()).to_string()
    }

    /// The command line of each client.
    fn clients(&self, servers: &str) -> [Vec<String>; 3] {
        let script = |name: &str| self.clients.join(name).to_string_lossy().into_owned();
        let modules = self.modules().to_string_lossy().into_owned();
        let node = |name: &str| {
            vec![String::from("/usr/bin/node"), script(name), modules.clone(), servers.to_owned()]
        };
        let python = self.venv().join("bin/python3").to_string_lossy().into_owned();
        [node("sdk.mjs"), node("client.mjs"), vec![python, script("client.py"), servers.to_owned()]]
    }
}
