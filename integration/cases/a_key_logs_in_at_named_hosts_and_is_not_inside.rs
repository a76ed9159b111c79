//! A private key that a profile names logs unmodified ssh and git in at the hosts and as the users that are named, and
//! is not inside: at another host that has the same key, as another user, through a forwarded agent, for a session that
//! nobody named or that no host signed, and for anything else that is no login, it signs nothing. Each signature is in
//! the audit log.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::logins::{ELSEWHERE, are_refused_elsewhere, profile, work_with_git};
use sandboxd_integration::search::Search;
use sandboxd_integration::sshd::{KEYGEN, SSHD, Sshd, key};
use sandboxd_integration::world::{IP, World};
use sandboxd_integration::{Case, Inside, Need, Outside, Run, Sandbox};
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

const GIT: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);
/// The same key is let in here, and the profile lets the command out to it, and not the key.
const OTHER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 8);

pub(crate) const CASE: Case = Case {
    rows: &["N05", "N17"],
    needs: &[
        Need::Program(IP),
        Need::Program(SSHD),
        Need::Program(KEYGEN),
        Need::Program("/usr/bin/ssh"),
    ],
    seconds: 240,
    outside,
    probes: &[("ask", ask), ("look", look)],
    ..Case::NEW
};

/// Of each of them a key logs in.
const KINDS: [&str; 3] = ["ed25519", "ecdsa", "rsa"];

fn outside(outside: &Outside) -> Result<()> {
    let names = [("git.example", GIT), ("other.example", OTHER)];
    let _world = World::enter(outside, &names)?;
    let keys = outside.dir().join("keys");
    fs::create_dir(&keys)?;
    let mut public = Vec::new();
    for kind in KINDS {
        public.push(key(&keys.join(kind), &[kind])?);
    }
    let public: Vec<&str> = public.iter().map(String::as_str).collect();
    let git = Sshd::begin(outside.dir().join("git"), GIT, &public)?;
    let other = Sshd::begin(outside.dir().join("other"), OTHER, &public)?;
    let known = keys.join("known_hosts");
    fs::write(&known, format!("git.example {}\n", git.host_key()?))?;
    let workspace = outside.workspace()?;
    let profile = |kind: &str| profile(&format!("file:{}", keys.join(kind).display()), &known);
    let sandbox = |kind: &str| outside.sandbox(&profile(kind)).cwd(&workspace);
    let says = |kind: &str, line: &str| -> Result<Run> {
        sandbox(kind).command(&["sh", "-c", line]).run()
    };
    for kind in KINDS {
        let run = says(kind, "ssh root@git.example echo let in")?;
        run.exited(0).with_context(|| git.log())?;
        ensure!(run.stdout == "let in\n", "{kind}: {}{}", run.stdout, run.stderr);
    }
    work_with_git(outside, &says)?;
    are_refused_elsewhere(&says, &other)?;
    asks_for_anything(|| sandbox("ed25519"))?;
    is_not_inside(outside, &keys.join("ed25519"), || sandbox("ed25519"))?;
    is_written_down(outside)
}

/// What an adversary says to it, and that it stays as it is.
fn asks_for_anything<'a>(sandbox: impl Fn() -> Sandbox<'a>) -> Result<()> {
    let run = sandbox().probe("ask", &[]).run()?;
    run.exited(0)?;
    for (what, answer) in ASKED {
        ensure!(run.fact(what)? == answer.to_string(), "{what}: {}", run.fact(what)?);
    }
    ensure!(run.fact("keys")? == "1 1", "the keys: {}", run.fact("keys")?);
    ensure!(run.fact("too long")? == "closed", "too long: {}", run.fact("too long")?);
    Ok(())
}

/// What is asked, and the number of the answer: 5 and 28 are refusals.
const ASKED: [(&str, u8); 9] = [
    ("a login that nobody named", 5),
    ("a session that no host signed", 28),
    ("a login in it", 5),
    ("anything", 5),
    ("a text", 5),
    ("add a key", 5),
    ("remove all keys", 5),
    ("lock", 5),
    ("another extension", 28),
];

fn string(to: &mut Vec<u8>, bytes: &[u8]) {
    to.extend(u32::try_from(bytes.len()).unwrap_or(0).to_be_bytes());
    to.extend(bytes);
}

fn strings(all: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    all.iter().for_each(|one| string(&mut bytes, one));
    bytes
}

/// The answer to a message, or nothing where the connection was closed.
fn answer(agent: &mut UnixStream, kind: u8, rest: &[u8]) -> Option<Vec<u8>> {
    let mut message = Vec::new();
    string(&mut message, &[&[kind], rest].concat());
    agent.write_all(&message).ok()?;
    let mut length = [0; 4];
    agent.read_exact(&mut length).ok()?;
    let mut answer = vec![0; usize::try_from(u32::from_be_bytes(length)).ok()?];
    agent.read_exact(&mut answer).ok()?;
    Some(answer)
}

fn agent() -> Result<UnixStream> {
    Ok(UnixStream::connect(std::env::var("SSH_AUTH_SOCK").context("no agent")?)?)
}

/// The number of keys, and the first of them.
fn keys(agent: &mut UnixStream) -> Result<(u8, Vec<u8>)> {
    let answer = answer(agent, 11, &[]).context("no answer")?;
    let count = *answer.get(4).context("no keys")?;
    let length = answer.get(5..9).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
    let length = usize::try_from(length.context("no key")?)?;
    Ok((count, answer.get(9..9 + length).context("a short key")?.to_vec()))
}

fn ask(inside: &Inside) -> Result<()> {
    let mut agent = agent()?;
    let (before, key) = keys(&mut agent)?;
    let session = [7; 32];
    let login = [
        strings(&[&session]),
        vec![50],
        strings(&[b"root", b"ssh-connection", b"publickey"]),
        vec![1],
        strings(&[b"ssh-ed25519", &key]),
    ]
    .concat();
    let sign = |data: &[u8]| [strings(&[&key, data]), vec![0; 4]].concat();
    let named = fs::read_to_string("/etc/ssh/ssh_known_hosts")?;
    let host = named.split_whitespace().nth(2).context("no host is known")?;
    let host = piped(Command::new("base64").arg("-d"), host.as_bytes())?;
    let signature = strings(&[b"ssh-ed25519", &[7; 64]]);
    let bind = [strings(&[b"session-bind@openssh.com", &host, &session, &signature]), vec![0]];
    let text = [b"SSHSIG".to_vec(), strings(&[b"other", b"", b"sha512", &[7; 64]])].concat();
    let asked: [(u8, Vec<u8>); 9] = [
        (13, sign(&login)),
        (27, bind.concat()),
        (13, sign(&login)),
        (13, sign(b"anything")),
        (13, sign(&text)),
        (17, strings(&[b"ssh-ed25519", &[1; 32], &[1; 64], b"mine"])),
        (19, Vec::new()),
        (22, strings(&[b"words"])),
        (27, strings(&[b"query"])),
    ];
    for ((what, _), (kind, rest)) in ASKED.iter().zip(asked) {
        let answer = answer(&mut agent, kind, &rest).and_then(|answer| answer.first().copied());
        inside.fact(what, &answer.map_or("closed".into(), |number| number.to_string()));
    }
    let (after, _) = keys(&mut self::agent()?)?;
    inside.fact("keys", &format!("{before} {after}"));
    let mut agent = self::agent()?;
    let told = answer(&mut agent, 13, &[0; 20 << 10]);
    inside.fact("too long", told.map_or("closed", |_| "answered"));
    Ok(())
}

fn piped(command: &mut Command, bytes: &[u8]) -> Result<Vec<u8>> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    child.stdin.take().context("no input")?.write_all(bytes)?;
    Ok(child.wait_with_output()?.stdout)
}

/// Neither while it is used, nor in what is left.
fn is_not_inside<'a>(
    outside: &Outside,
    key: &Path,
    sandbox: impl Fn() -> Sandbox<'a>,
) -> Result<()> {
    // The last line but one has the private half in it, and none that others have.
    let text = fs::read_to_string(key)?;
    let line = text.lines().rev().nth(2).context("a short key")?;
    let line = line.get(..40).context("a short line")?;
    let reversed: String = line.chars().rev().collect();
    let run = sandbox().probe("look", &[&reversed]).run()?;
    run.exited(0)?;
    ensure!(run.fact("said")? == "let in", "it said {}", run.fact("said")?);
    ensure!(run.fact("found")?.is_empty(), "found in {}", run.fact("found")?);
    for place in ["/mem", "/etc/ssh/ssh_known_hosts"] {
        ensure!(run.fact("controls")?.contains(place), "what is in {place} is not found");
    }
    for place in [run.folder(), Path::new("/run/sandboxd"), &outside.audit()] {
        let grep = Command::new("/usr/bin/grep").args(["-rlsF", line]).arg(place).output()?;
        let found = String::from_utf8(grep.stdout)?;
        ensure!(found.is_empty(), "{found} has it");
    }
    Ok(())
}

/// Looks while a session is open that the key began.
fn look(inside: &Inside) -> Result<()> {
    let mut client = Command::new("ssh")
        .args(["root@git.example", "echo let in; cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut said = String::new();
    BufReader::new(client.stdout.take().context("no output")?).read_line(&mut said)?;
    inside.fact("said", said.trim_end());
    let wanted: Vec<u8> = inside.argument(0)?.bytes().rev().collect();
    let (first, rest) = wanted.split_at(20);
    let named = fs::read_to_string("/etc/ssh/ssh_known_hosts")?;
    let host = named.split_whitespace().nth(2).context("no host is known")?.as_bytes().to_vec();
    let (begin, end) = host.split_at(40);
    let mut search = Search {
        everywhere: vec![[first.to_vec(), rest.to_vec()]],
        in_files: vec![["PRIVATE".into(), " KEY-----".into()]],
        control: [begin.to_vec(), end.to_vec()],
        ..Search::default()
    };
    search.all()?;
    drop(client.stdin.take());
    ensure!(client.wait()?.success(), "the client failed");
    inside.fact("found", &search.found.join(" "));
    inside.fact("controls", &search.controls.join(" "));
    Ok(())
}

fn is_written_down(outside: &Outside) -> Result<()> {
    let records = outside.records()?;
    let of = |decision: &str, rule: Option<&str>| {
        let fits = |one: &&Value| {
            let text = |path: &str| one.pointer(path).and_then(Value::as_str);
            let told = (text("/kind"), text("/decision")) == (Some("signature"), Some(decision));
            told && text("/rule") == rule && text("/actor/agent") == Some("agent")
        };
        records.iter().filter(fits).count()
    };
    // A login for each kind of key, a clone, a push, two that forward or look.
    ensure!(of("allowed", Some("root@git.example")) >= 7, "{records:?}");
    ensure!(of("allowed", Some("sign git")) == 1, "{records:?}");
    ensure!(of("refused", None) >= ELSEWHERE.len() + ASKED.len() - 1, "{records:?}");
    let text = serde_json::to_string(&records)?;
    ensure!(text.contains("\"key\":\"deploy\"") && !text.contains("AAAAC3"), "{text}");
    let verified = outside.bare().waiving_nothing().verb("audit").option("verify").run()?;
    verified.exited(0)?;
    Ok(())
}
