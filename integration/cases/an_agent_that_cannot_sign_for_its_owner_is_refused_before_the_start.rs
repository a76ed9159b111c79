//! Where the ssh-agent that is to sign is not there, is somebody else's, has not the key that is named, is locked, or
//! says what no agent says, nothing is started, and it is said why and what to do. Where it hangs or lies once
//! it is asked for a signature, there is none, and whoever else asks for something is served meanwhile.

use anyhow::{Context as _, Result, ensure};
use nix::unistd::{Gid, Uid, chown};
use sandboxd_integration::keeper::{AGENT, Keeper, fingerprint};
use sandboxd_integration::sshd::{KEYGEN, key};
use sandboxd_integration::{Case, Need, Outside, Run};
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::symlink;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub(crate) const CASE: Case = Case {
    rows: &["N05", "N17"],
    needs: &[Need::Program(KEYGEN), Need::Program(AGENT)],
    seconds: 240,
    outside,
    ..Case::NEW
};

fn outside(outside: &Outside) -> Result<()> {
    let own = outside.dir().join("own");
    let public = key(&own, &["ed25519"])?;
    let other = outside.dir().join("other");
    key(&other, &["ed25519"])?;
    let named = fingerprint(&own)?;
    let blob = blob(&public)?;
    is_refused(outside, &named, &other, &own)?;
    is_no_agent(outside, &named)?;
    has_a_passphrase(outside)?;
    hangs_or_lies(outside, &named, (&blob, &other))
}

/// With this key that the agent there is to have, and another that lies in a file.
fn run(outside: &Outside, (key, socket): (&str, &Path), line: &str) -> Result<Run> {
    let other = outside.dir().join("other");
    let profile = format!(
        "name = \"agent\"\nextends = [\"builtin:coding-agent\"]\n[network]\nmode = \"egress\"\n\
         egress = [\"tcp://host.internal:9\"]\n\
         [secrets.mine]\nfrom = \"agent:{key}\"\nssh = {{ sign = [\"git\"] }}\n\
         [secrets.other]\nfrom = \"file:{}\"\nssh = {{ sign = [\"file\"] }}\n",
        other.display(),
    );
    let workspace = outside.workspace()?;
    let sandbox = outside.sandbox(&profile).cwd(&workspace);
    let sandbox = sandbox.env("SSH_AUTH_SOCK", socket.to_str().context("a path")?);
    sandbox.command(&["sh", "-c", line]).run()
}

fn refused(outside: &Outside, what: (&str, &Path), says: [&str; 2]) -> Result<()> {
    let began = Instant::now();
    let run = run(outside, what, "touch began; true")?;
    ensure!(run.exit() == Some(125), "{says:?}: {:?} {}", run.exit(), run.stderr);
    ensure!(run.stderr.contains("not started"), "{says:?}: {}", run.stderr);
    for words in says {
        ensure!(run.stderr.contains(words), "{words:?} is not in {}", run.stderr);
    }
    ensure!(!outside.dir().join("ws/began").exists(), "{says:?}: it began");
    ensure!(began.elapsed() < Duration::from_secs(60), "{says:?}: it hung");
    Ok(())
}

fn is_refused(outside: &Outside, named: &str, other: &Path, own: &Path) -> Result<()> {
    let socket = outside.dir().join("agent");
    refused(outside, (named, Path::new("")), ["without SSH_AUTH_SOCK", "--preserve-env"])?;
    refused(outside, (named, &socket), ["ENOENT", "ssh-add FILE"])?;
    refused(outside, (named, other), ["is not a socket", "ssh-add FILE"])?;
    let agent = Keeper::begin(&socket)?;
    refused(outside, (named, &socket), ["has no key: it is locked, or empty", "ssh-add -X"])?;
    agent.put(&[], other)?;
    refused(outside, (named, &socket), ["has 1 keys, but not SHA256:", "ssh-add -l"])?;
    agent.put(&[], own)?;
    let line = "ssh-add -L | grep -c ssh-ed25519";
    let run = run(outside, (named, &socket), line)?;
    run.exited(0)?;
    ensure!(run.stdout == "2\n", "{}", run.stdout);
    agent.lock("-x")?;
    refused(outside, (named, &socket), ["it is locked, or empty", "ssh-add -X"])?;
    agent.lock("-X")?;
    // What leads to it by a link, and what somebody else owns or listens at.
    let link = outside.dir().join("link");
    symlink(&socket, &link)?;
    refused(outside, (named, &link), ["ELOOP", "write the real path"])?;
    chown(&socket, Some(Uid::from_raw(61_234)), Some(Gid::from_raw(61_234)))?;
    refused(
        outside,
        (named, &socket),
        ["is the agent of uid 61234", "another user's is not asked"],
    )?;
    drop(agent);
    let others = outside.dir().join("others");
    let _listener = strangers(&others)?;
    refused(outside, (named, &others), ["is the agent of uid 61234", "another user's is not asked"])
}

/// One that a stranger listens at, at a socket whose file is root's all the same.
fn strangers(path: &Path) -> Result<UnixListener> {
    let listener = nix::sys::socket::socket(
        nix::sys::socket::AddressFamily::Unix,
        nix::sys::socket::SockType::Stream,
        nix::sys::socket::SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    let name = nix::sys::socket::UnixAddr::new(path)?;
    nix::sys::socket::bind(std::os::fd::AsRawFd::as_raw_fd(&listener), &name)?;
    // The kernel remembers who that is when it begins to listen.
    let stranger = Uid::from_raw(61_234);
    nix::unistd::seteuid(stranger)?;
    let listens = nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(5)?);
    nix::unistd::seteuid(Uid::from_raw(0))?;
    listens?;
    Ok(UnixListener::from(listener))
}

/// What is said of a key in a file that has one is the line that makes it work.
fn has_a_passphrase(outside: &Outside) -> Result<()> {
    let closed = outside.dir().join("closed");
    key(&closed, &["ed25519", "-N", "open it"])?;
    let line = format!("from = \"agent:{}\"", fingerprint(&closed)?);
    let profile = |from: &str| {
        format!(
            "extends = [\"builtin:coding-agent\"]\n[network]\nmode = \"egress\"\n\
             egress = [\"tcp://host.internal:9\"]\n[secrets.mine]\n{from}\nssh = {{ sign = [\"git\"] }}\n"
        )
    };
    let socket = outside.dir().join("agent");
    let agent = Keeper::begin(&socket)?;
    let run = |from: &str| -> Result<Run> {
        let profile = profile(from);
        let sandbox = outside.sandbox(&profile).cwd(&outside.workspace()?);
        let sandbox = sandbox.env("SSH_AUTH_SOCK", socket.to_str().context("a path")?);
        sandbox.command(&["sh", "-c", "ssh-add -L"]).run()
    };
    let refused = run(&format!("from = \"file:{}\"", closed.display()))?;
    ensure!(refused.exit() == Some(125), "{}", refused.stderr);
    ensure!(refused.stderr.contains(&format!("write {line}")), "{line}: {}", refused.stderr);
    agent.put_encrypted(&closed, "open it")?;
    run(&line)?.exited(0)?;
    Ok(())
}

/// One that says what it likes.
struct Fake {
    socket: PathBuf,
}

impl Fake {
    /// To who asks for its keys it says `keys`, to who asks for a signature `signs`, and then no more; nothing
    /// of either is silence.
    fn begin(socket: PathBuf, keys: Option<Vec<u8>>, signs: Option<Vec<u8>>) -> Result<Self> {
        let listener = UnixListener::bind(&socket)?;
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (keys, signs) = (keys.clone(), signs.clone());
                std::thread::spawn(move || said(stream, keys.as_deref(), signs.as_deref()));
            }
        });
        Ok(Self { socket })
    }
}

fn said(mut stream: UnixStream, keys: Option<&[u8]>, signs: Option<&[u8]>) -> Option<()> {
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length).ok()?;
        let mut asked = vec![0; usize::try_from(u32::from_be_bytes(length)).ok()?];
        stream.read_exact(&mut asked).ok()?;
        let answer = if asked.first() == Some(&11) { keys } else { signs };
        match answer {
            Some(bytes) => stream.write_all(bytes).ok()?,
            None => std::thread::sleep(Duration::from_secs(600)),
        }
    }
}

fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap_or(0).to_be_bytes();
    [&length[..], bytes].concat()
}

/// The bytes of a public key.
fn blob(public: &str) -> Result<Vec<u8>> {
    let text = public.split_whitespace().nth(1).context("no key")?;
    let mut child = std::process::Command::new("base64")
        .arg("-d")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()?;
    child.stdin.take().context("no input")?.write_all(text.as_bytes())?;
    Ok(child.wait_with_output()?.stdout)
}

fn is_no_agent(outside: &Outside, named: &str) -> Result<()> {
    for (name, keys, says) in [
        ("hangs", None, "does not answer within 20 s"),
        ("long", Some(vec![0xff; 4096]), "sends no valid list of keys"),
        ("torn", Some([&[0, 0, 0, 9, 12][..], &[0xff; 8]].concat()), "sends no valid list of keys"),
        ("done", Some(vec![0, 0, 0, 1, 6]), "sends no valid list of keys"),
    ] {
        let fake = Fake::begin(outside.dir().join(name), keys, None)?;
        refused(outside, (named, &fake.socket), [says, "ssh-add -l answers there"])?;
    }
    Ok(())
}

const SIGNS: &str = "ssh-add -L | grep mine > mine.pub; ssh-add -L | grep other > other.pub; \
                     date > text; rm -f text.sig";

fn hangs_or_lies(outside: &Outside, named: &str, (blob, _): (&[u8], &Path)) -> Result<()> {
    let list = [&[12, 0, 0, 0, 1][..], &string(blob), &string(b"mine")].concat();
    let keys = Some(string(&list));
    let hangs = Fake::begin(outside.dir().join("stuck"), keys.clone(), None)?;
    // Twenty that wait for it, and one that has a key of its own.
    let line = format!(
        "{SIGNS}; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do \
         timeout 20 ssh-keygen -q -Y sign -n git -f mine.pub < text > signed.$i 2>/dev/null & done; \
         sleep 1; timeout 10 ssh-keygen -q -Y sign -n file -f other.pub text 2>&1; \
         grep -c BEGIN text.sig; kill $(jobs -p); wait; cat signed.*"
    );
    let began = Instant::now();
    let run = self::run(outside, (named, &hangs.socket), &line)?;
    ensure!(run.stdout == "1\n", "one that hangs holds others up: {} {}", run.stdout, run.stderr);
    ensure!(began.elapsed() < Duration::from_secs(60), "it hung");
    for why in ["did not wait for it", "too many requests"] {
        ensure!(run.stderr.contains(why), "{why}: {}", run.stderr);
    }
    let signature = [string(b"ssh-ed25519"), string(&[7; 64])].concat();
    let signature = [vec![14], string(&signature)].concat();
    for (name, answer, why) in [
        ("lies", string(&signature), "an invalid signature"),
        ("bends", [string(&signature), vec![0]].concat(), "an invalid signature"),
        ("talks", vec![0xff; 64 << 10], "an invalid signature"),
        ("refuses", vec![0, 0, 0, 1, 5], "did not sign"),
    ] {
        let fake = Fake::begin(outside.dir().join(name), keys.clone(), Some(answer))?;
        let line = format!("{SIGNS}; ssh-keygen -q -Y sign -n git -f mine.pub < text");
        let run = self::run(outside, (named, &fake.socket), &line)?;
        ensure!(!run.stdout.contains("BEGIN"), "{name}: {}", run.stdout);
        ensure!(run.stderr.contains(why), "{name}: {}", run.stderr);
    }
    fs::remove_file(outside.dir().join("stuck"))?;
    Ok(())
}
