//! Programs in a sandbox, none of them changed, ask a host that wants a key, and are answered: sandboxd puts
//! it into their requests, to that host and those paths alone. What they say in its place does not arrive; the
//! key is in none of their variables, arguments and files, not in what the host says back, and not in what
//! sandboxd says of the run.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::world::{IP, World};
use sandboxd_integration::{Case, Need, Outside};
use std::io::{BufRead as _, BufReader};
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const HOST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/hosts/keys.py");
const SOMEWHERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);
const KEY: &str = "sk-case-7Jb0qk3XwZ";

pub(crate) const CASE: Case = Case {
    rows: &["N17"],
    needs: &[
        Need::Program(IP),
        Need::Program("/usr/bin/openssl"),
        Need::Program("/usr/bin/curl"),
        Need::Program("/usr/bin/wget"),
        Need::Program("/usr/bin/node"),
        Need::Program("/usr/bin/python3"),
    ],
    seconds: 180,
    outside,
    ..Case::NEW
};

/// Each of them, and what it does.
const PROGRAMS: [(&str, &str); 5] = [
    ("curl", "curl -sS https://model.example/v1/x"),
    ("curl with a key of its own", "curl -sS -H 'Authorization: Bearer mine' https://model.example/v1/x"),
    ("wget", "wget -qO- --ca-certificate=\"$SSL_CERT_FILE\" https://model.example/v1/x"),
    (
        "Python",
        "python3 -c 'import urllib.request as r; print(r.urlopen(\"https://model.example/v1/x\").read())'",
    ),
    ("Node", "node -e 'fetch(\"https://model.example/v1/x\").then(r => r.text()).then(console.log)'"),
];

fn outside(outside: &Outside) -> Result<()> {
    let mut world = World::enter(outside, &[("model.example", SOMEWHERE)])?;
    let serving = Serving::begin(&outside.dir().join("host"))?;
    world.trust(outside, &serving.folder.join("ca.pem"))?;
    let key = outside.dir().join("model.key");
    std::fs::write(&key, format!("{KEY}\n"))?;
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600))?;
    let workspace = outside.workspace()?;
    let profile = format!(
        "extends = [\"builtin:coding-agent\"]\n[network]\nmode = \"egress\"\n\
         egress = [{{ to = \"model.example:443\", within = [\"203.0.113.7/32\"] }}]\n\
         [secrets.model]\nfrom = \"file:{}\"\n\
         inject = {{ host = \"model.example\", method = \"GET\", path = \"/v1/*\", header = \"authorization\", format = \"Bearer {{}}\" }}\n",
        key.display()
    );
    let run = |line: &str| outside.sandbox(&profile).cwd(&workspace).command(&["sh", "-c", line]).run();
    for (name, line) in PROGRAMS {
        let run = run(line)?;
        run.exited(0).with_context(|| name)?;
        ensure!(run.stdout.contains("tidings"), "{name} got {:?}, {}", run.stdout, run.stderr);
        let said = format!("{}{}", run.stdout, run.stderr);
        ensure!(!said.contains(KEY) && said.contains("Bearer ****"), "{name} was told: {said}");
    }
    // Where it is not for, it does not go.
    let other = run("curl -sS https://model.example/v2; curl -sS --path-as-is https://model.example/v1/../v2")?;
    ensure!(!other.stdout.contains("tidings"), "another path got the key: {}", other.stdout);
    let told = std::fs::read_to_string(serving.folder.join("told"))?;
    ensure!(!told.contains("mine"), "what the program put there arrived: {told}");
    for line in told.lines() {
        let own = line.starts_with("/v1/x ");
        ensure!(line.contains(KEY) == own, "the host was told {line:?}");
    }
    looked_for(&run(
        "env; cat /proc/*/environ /proc/*/cmdline; cat /run/sandboxd/ca.pem; find / -xdev -type f -size -64k -exec cat {} + ; mount",
    )?)
}

/// It is nowhere inside, and nobody says it.
fn looked_for(run: &sandboxd_integration::Run) -> Result<()> {
    let said = format!("{}{}", run.stdout, run.stderr);
    ensure!(said.contains("BEGIN CERTIFICATE"), "nobody is trusted inside: {}", run.stderr);
    ensure!(!said.contains(KEY), "the key is inside");
    ensure!(!said.contains("PRIVATE KEY"), "the key of an authority is inside");
    Ok(())
}

/// The host.
struct Serving {
    child: Child,
    folder: PathBuf,
}

impl Serving {
    fn begin(folder: &Path) -> Result<Self> {
        let mut child = Command::new("/usr/bin/python3")
            .args([HOST.as_ref(), folder.as_os_str()])
            .args([&SOMEWHERE.to_string(), "model.example", KEY])
            .stdout(Stdio::piped())
            .spawn()
            .context("the host")?;
        let stdout = child.stdout.take().context("no output")?;
        let serving = Self { child, folder: folder.to_owned() };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        ensure!(line == "ready\n", "the host said {line:?}");
        Ok(serving)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // One that is gone already is what is wanted.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
