//! `why` says of hosts what then becomes of a connection: random entries, one run under another's at times, asked of
//! random names, addresses and ports, and then tried by a command that runs with the same profile.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::hosts::answer;
use sandboxd_integration::world::{IP, World};
use sandboxd_integration::{Case, Inside, Need, Outside, Random};
use serde_json::Value;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::Duration;

pub(crate) const CASE: Case = Case {
    rows: &["N10", "E28"],
    needs: &[Need::Program(IP)],
    seconds: 120,
    outside,
    probes: &[("reach", reach)],
    ..Case::NEW
};

const PROFILES: usize = 8;
const QUESTIONS: usize = 16;

const SOMEWHERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 200);
const INNER: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
const PORTS: [u16; 3] = [80, 7000, 7001];
const HOSTS: [(&str, Ipv4Addr); 5] = [
    ("a.example", SOMEWHERE),
    ("b.example", ELSEWHERE),
    ("one.sub.example", SOMEWHERE),
    ("two.one.sub.example", ELSEWHERE),
    ("sub.example", SOMEWHERE),
];
/// Whom entries name.
const TARGETS: [&str; 11] = [
    "a.example",
    "b.example",
    "sub.example",
    "*.sub.example",
    "*.one.sub.example",
    "203.0.113.7",
    "203.0.113.0/24",
    "203.0.113.0/25",
    "10.99.0.0/16",
    "0.0.0.0/0",
    "host.internal",
];
/// Whom questions are about.
const ASKED: [&str; 15] = [
    "a.example",
    "A.Example.",
    "b.example",
    "nobody.example",
    "sub.example",
    "one.sub.example",
    "two.one.sub.example",
    "not-a.example",
    "203.0.113.7",
    "203.0.113.200",
    "::ffff:203.0.113.7",
    "10.99.0.1",
    "169.254.169.254",
    "224.0.0.1",
    "host.internal",
];

fn outside(outside: &Outside) -> Result<()> {
    let seed = if outside.soaks() { u64::from(std::process::id()) } else { 19 };
    outside.note(&format!("the seed is {seed}"));
    let _world = World::enter(outside, &[&HOSTS[..], &[("inner.example", INNER)]].concat())?;
    for address in [SOMEWHERE, ELSEWHERE, INNER, Ipv4Addr::LOCALHOST] {
        for port in PORTS {
            let listener = TcpListener::bind((address, port))?;
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    thread::spawn(move || answer(&stream));
                }
            });
        }
    }
    let mut random = Random::new(seed | 1);
    let (mut refused, mut allowed) = (0, 0);
    for round in 0..outside.times(PROFILES) {
        let profile = profile(&mut random);
        let under = (random.below(3) == 0).then(|| self::profile(&mut random));
        let under =
            under.map(|text| outside.site(&format!("{text}[files]\nbind = []\n"))).transpose()?;
        let questions: Vec<(&str, String)> = (0..QUESTIONS)
            .map(|_| (random.pick(&ASKED), random.pick(&PORTS).to_string()))
            .collect();
        let told = format!("round {round} of seed {seed}\n{profile}\n{under:?}");
        let words: Vec<&str> =
            questions.iter().flat_map(|(host, port)| [*host, port.as_str()]).collect();
        let mut sandbox = outside.sandbox(&profile).probe("reach", &words);
        if let Some(under) = &under {
            sandbox = sandbox.option("--under").option(under);
        }
        let run = sandbox.run()?;
        if run.exit() != Some(125) {
            run.ran().with_context(|| told.clone())?;
        }
        for (at, (host, port)) in questions.iter().enumerate() {
            let said = ask(outside, &profile, under.as_deref(), &format!("{host}:{port}"))?;
            let Some(said) = said else {
                // What is wrong with a profile is wrong whoever asks.
                run.exited(125).with_context(|| told.clone())?;
                continue;
            };
            let reached = run.errno(&at.to_string())? == 0;
            ensure!(said == reached, "{host}:{port}: {said} is said, {reached} is so: {told}");
            if reached { allowed += 1 } else { refused += 1 }
        }
    }
    outside.tell(&format!("seed {seed}: {allowed} reached, {refused} refused"));
    ensure!(allowed > 9 && refused > 9, "{allowed} were reached and {refused} refused");
    Ok(())
}

/// A profile with some entries, or with no network.
fn profile(random: &mut Random) -> String {
    let base = "extends = [\"builtin:base\"]\n";
    if random.below(8) == 0 {
        return base.to_owned();
    }
    let mut entries: Vec<String> = Vec::new();
    for _ in 0..2 + random.below(6) {
        let (target, port) = (random.pick(&TARGETS), random.pick(&PORTS));
        let named = !target.starts_with(|first: char| first.is_ascii_digit());
        let scheme = if named && random.below(2) == 0 { "http" } else { "tcp" };
        let to = format!("{scheme}://{target}:{port}");
        if entries.iter().any(|entry| entry.contains(&format!("://{target}:{port}\""))) {
            continue;
        }
        entries.push(if named && target != "host.internal" {
            format!("{{ to = \"{to}\", within = [\"203.0.113.0/24\"] }}")
        } else {
            format!("\"{to}\"")
        });
    }
    format!("{base}[network]\nmode = \"egress\"\negress = [{}]\n", entries.join(", "))
}

/// Whether `sandboxd why` says that it may; nothing where the profile cannot be run.
fn ask(outside: &Outside, profile: &str, under: Option<&Path>, host: &str) -> Result<Option<bool>> {
    let mut asked = outside.sandbox(profile).verb("why").probe("reach", &[]).option("--json");
    if let Some(under) = under {
        asked = asked.option("--under").option(under);
    }
    let run = asked.option("--host").option(host).run()?;
    if run.exit() == Some(125) {
        return Ok(None);
    }
    let told: Value = serde_json::from_str(&run.stdout).context("the answer is no JSON")?;
    let allowed = told.get("allowed").and_then(Value::as_bool).context("no verdict")?;
    run.exited(i32::from(!allowed))?;
    Ok(Some(allowed))
}

fn reach(inside: &Inside) -> Result<()> {
    for (at, question) in inside.arguments().chunks(2).enumerate() {
        let [host, port] = question else { continue };
        inside.attempt(&at.to_string(), get(host, port.parse()?));
    }
    Ok(())
}

/// Whether whoever is there answers.
fn get(host: &str, port: u16) -> io::Result<()> {
    let mut stream = TcpStream::connect((host, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let host = host.trim_end_matches('.');
    stream.write_all(format!("GET / HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n").as_bytes())?;
    let mut said = [0; 512];
    let count = stream.read(&mut said)?;
    let answered = said.get(..count).unwrap_or_default().ends_with(b"reached");
    if answered { Ok(()) } else { Err(ErrorKind::PermissionDenied.into()) }
}
