//! A key that lies in the ssh-agent of whoever runs sandboxd logs unmodified ssh and git in at the hosts and as the users
//! that are named, that agent's own rules for it hold (`ssh-add -h`), and neither its socket nor any other of its keys is in
//! reach of the command. Each signature is in the audit log, and so is each that the agent would not make.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::keeper::{AGENT, Keeper, fingerprint};
use sandboxd_integration::logins::{
    ELSEWHERE, NO_QUESTIONS, are_refused_elsewhere, profile, work_with_git,
};
use sandboxd_integration::sshd::{KEYGEN, SSHD, Sshd, key};
use sandboxd_integration::world::{IP, World};
use sandboxd_integration::{Case, Inside, Need, Outside, Run};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::path::Path;

const GIT: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);
/// The same keys are let in here, and the profile lets the command out to it, and no key.
const OTHER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 8);

pub(crate) const CASE: Case = Case {
    rows: &["N05", "N17"],
    needs: &[
        Need::Program(IP),
        Need::Program(SSHD),
        Need::Program(KEYGEN),
        Need::Program(AGENT),
        Need::Program("/usr/bin/ssh"),
    ],
    seconds: 240,
    outside,
    probes: &[("ask", ask)],
    ..Case::NEW
};

/// Of each of them a key logs in.
const KINDS: [&str; 3] = ["ed25519", "ecdsa", "rsa"];

fn outside(outside: &Outside) -> Result<()> {
    let names = [("git.example", GIT), ("other.example", OTHER)];
    let _world = World::enter(outside, &names)?;
    let keys = outside.dir().join("keys");
    fs::create_dir(&keys)?;
    let all = [&KINDS[..], &["ed25519-here", "ed25519-there"]].concat();
    let mut public = Vec::new();
    for name in &all {
        let (kind, _) = name.split_once('-').unwrap_or((name, ""));
        public.push(key(&keys.join(name), &[kind])?);
    }
    let public: Vec<&str> = public.iter().map(String::as_str).collect();
    let git = Sshd::begin(outside.dir().join("git"), GIT, &public)?;
    let other = Sshd::begin(outside.dir().join("other"), OTHER, &public)?;
    let known = keys.join("known_hosts");
    let both = [("git.example", git.host_key()?), ("other.example", other.host_key()?)];
    let lines = both.map(|(name, key)| format!("{name} {key}\n"));
    fs::write(&known, lines.concat())?;
    let socket = outside.dir().join("agent");
    let agent = Keeper::begin(&socket)?;
    for name in KINDS {
        agent.put(&[], &keys.join(name))?;
    }
    let known_text = known.to_str().context("a path")?;
    for (name, host) in [("ed25519-here", "git.example"), ("ed25519-there", "other.example")] {
        agent.put(&["-H", known_text, "-h", &format!("root@{host}")], &keys.join(name))?;
    }
    let workspace = outside.workspace()?;
    let sandbox = |name: &str| -> Result<_> {
        let profile = profile(&format!("agent:{}", fingerprint(&keys.join(name))?), &known);
        let sandbox = outside.sandbox(&profile).cwd(&workspace);
        Ok(sandbox.env("SSH_AUTH_SOCK", socket.to_str().context("a path")?))
    };
    let says = |name: &str, line: &str| -> Result<Run> {
        sandbox(name)?.command(&["sh", "-c", line]).run()
    };
    for name in ["ed25519", "ecdsa", "rsa", "ed25519-here"] {
        let run = says(name, "ssh-add -L; ssh root@git.example echo let in")?;
        run.exited(0).with_context(|| git.log())?;
        ensure!(run.stdout.ends_with("let in\n"), "{name}: {}{}", run.stdout, run.stderr);
        let shown = run.stdout.lines().count();
        ensure!(shown == 2, "{name}: more than one key is shown: {}", run.stdout);
    }
    // What is put into the agent for another host, it does not sign for this one.
    let run = says("ed25519-there", &format!("ssh {NO_QUESTIONS} root@git.example echo let in"))?;
    ensure!(!run.stdout.contains("let in"), "the agent's own rule did not hold: {}", run.stdout);
    ensure!(run.stderr.contains("the key did not sign"), "nobody was told: {}", run.stderr);
    work_with_git(outside, &says)?;
    are_refused_elsewhere(&says, &other)?;
    is_out_of_reach(&socket, &fs::read_to_string(keys.join("rsa.pub"))?, || sandbox("ed25519"))?;
    let left = agent.add(&["-l"])?;
    ensure!(String::from_utf8(left.stdout)?.lines().count() == all.len(), "a key was taken away");
    is_written_down(outside)?;
    is_missed(outside, agent, || sandbox("ed25519"))
}

/// What an adversary says to the socket inside, and looks for.
fn is_out_of_reach<'a>(
    socket: &Path,
    another: &str,
    sandbox: impl Fn() -> Result<sandboxd_integration::Sandbox<'a>>,
) -> Result<()> {
    let blob = another.split_whitespace().nth(1).context("no key")?;
    let run = sandbox()?.probe("ask", &[blob, socket.to_str().context("a path")?]).run()?;
    run.exited(0)?;
    for what in ["another key of the agent", "add a key", "remove all keys", "lock"] {
        ensure!(run.fact(what)? == "5", "{what} was answered {}", run.fact(what)?);
    }
    ensure!(run.fact("the socket")? == "ENOENT", "it is there: {}", run.fact("the socket")?);
    ensure!(run.fact("told")?.is_empty(), "it is named in {}", run.fact("told")?);
    Ok(())
}

fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap_or(0).to_be_bytes();
    [&length[..], bytes].concat()
}

fn ask(inside: &Inside) -> Result<()> {
    let mut agent = UnixStream::connect(std::env::var("SSH_AUTH_SOCK").context("no agent")?)?;
    let mut ask = |message: &[u8]| -> Result<String> {
        agent.write_all(&string(message))?;
        let mut length = [0; 4];
        agent.read_exact(&mut length)?;
        let mut answer = vec![0; usize::try_from(u32::from_be_bytes(length))?];
        agent.read_exact(&mut answer)?;
        Ok(answer.first().copied().unwrap_or(0).to_string())
    };
    let blob = inside.argument(0)?;
    let mut decode = std::process::Command::new("base64");
    decode.arg("-d").stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = decode.spawn()?;
    child.stdin.take().context("no input")?.write_all(blob.as_bytes())?;
    let key = child.wait_with_output()?.stdout;
    let text =
        [b"SSHSIG".to_vec(), string(b"git"), string(b""), string(b"sha512"), string(&[7; 64])];
    let sign = [vec![13], string(&key), string(&text.concat()), vec![0, 0, 0, 4]].concat();
    inside.fact("another key of the agent", &ask(&sign)?);
    let add = [vec![17], string(b"ssh-ed25519"), string(&[1; 32]), string(&[1; 64]), string(b"x")];
    inside.fact("add a key", &ask(&add.concat())?);
    inside.fact("remove all keys", &ask(&[19])?);
    inside.fact("lock", &ask(&[vec![22], string(b"words")].concat())?);
    let socket = inside.argument(1)?;
    let there = UnixStream::connect(socket).err().and_then(|error| error.raw_os_error());
    let there = there.map(nix::errno::Errno::from_raw);
    inside.fact("the socket", &there.map_or("connected".to_owned(), |errno| format!("{errno:?}")));
    let told: Vec<String> =
        std::env::vars().filter(|(_, value)| value == socket).map(|(name, _)| name).collect();
    inside.fact("told", &told.join(" "));
    Ok(())
}

/// The agent ends while the command runs.
fn is_missed<'a>(
    outside: &Outside,
    agent: Keeper,
    sandbox: impl Fn() -> Result<sandboxd_integration::Sandbox<'a>>,
) -> Result<()> {
    let go = outside.dir().join("ws/go");
    let line = format!(
        "until [ -e go ]; do sleep 0.1; done; ssh {NO_QUESTIONS} root@git.example echo let in"
    );
    let (went, gone) = (go.clone(), std::thread::spawn);
    let sandbox = sandbox()?.command(&["sh", "-c", &line]);
    let ends = gone(move || {
        std::thread::sleep(std::time::Duration::from_secs(3));
        drop(agent);
        fs::write(&went, "")
    });
    let run = sandbox.run()?;
    ends.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
    ensure!(!run.stdout.contains("let in"), "{}", run.stdout);
    ensure!(run.stderr.contains("cannot be reached any more"), "{}", run.stderr);
    fs::remove_file(&go)?;
    Ok(())
}

fn is_written_down(outside: &Outside) -> Result<()> {
    let records = outside.records()?;
    let of = |decision: &str, rule: Option<&str>| {
        let fits = |one: &&serde_json::Value| {
            let text = |path: &str| one.pointer(path).and_then(serde_json::Value::as_str);
            let told = (text("/kind"), text("/decision")) == (Some("signature"), Some(decision));
            told && text("/rule") == rule && text("/actor/agent") == Some("agent")
        };
        records.iter().filter(fits).count()
    };
    // A login for each of four keys, a clone and a push.
    ensure!(of("allowed", Some("root@git.example")) >= 6, "{records:?}");
    ensure!(of("allowed", Some("sign git")) == 1, "{records:?}");
    ensure!(of("refused", None) > ELSEWHERE.len(), "{records:?}");
    let text = serde_json::to_string(&records)?;
    ensure!(text.contains("the ssh-agent that keeps the key did not sign"), "{text}");
    Ok(())
}
