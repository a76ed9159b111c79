//! The ways to the upstream, and what is on each of them.

use super::super::Built;
use crate::{process, tree::Tree};
use anyhow::{Context as _, Result, ensure};
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    ops::Range,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How long a proxy may take until it listens.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is measured of it. Its proxy is reached from outside: what carries to it what is said in its sandboxes (two
/// processes of socat, and a Unix socket) is left out, as are our network namespace and its redirection.
const PACKAGE: &str = "@anthropic-ai/sandbox-runtime@0.0.78";

/// Where our proxy is among all of them.
pub(super) const OURS: usize = 1;

/// Where those two are that are to be bettered.
pub(super) const TWO: Range<usize> = 3..5;

/// Where those are that look at nothing.
pub(super) const FLOOR: Range<usize> = 6..8;

/// A way to the upstream.
pub(super) struct Way {
    pub(super) name: &'static str,
    /// Where one connects to.
    at: (&'static str, u16),
    /// What a proxy is asked.
    asked: Option<String>,
    proxy: Option<Proxy>,
}

impl Way {
    pub(super) fn open(&self) -> Result<TcpStream> {
        let mut stream = TcpStream::connect(self.at)?;
        stream.set_nodelay(true)?;
        let Some(asked) = &self.asked else { return Ok(stream) };
        stream.write_all(asked.as_bytes())?;
        let (mut head, mut bytes) = (Vec::new(), [0; 512]);
        // Nothing comes after it until something is said.
        while !head.ends_with(b"\r\n\r\n") {
            let count = stream.read(&mut bytes)?;
            ensure!(count > 0, "{} ended the connection", self.name);
            head.extend(bytes.iter().take(count));
        }
        let established = head.get(8..12) == Some(b" 200");
        ensure!(established, "{}: {}", self.name, String::from_utf8_lossy(&head));
        Ok(stream)
    }

    /// The process that is on it, where there is one of its own.
    pub(super) fn process(&self) -> Option<u32> {
        self.proxy.as_ref().map(|proxy| proxy.child.id())
    }
}

/// A proxy that runs for as long as this is held.
struct Proxy {
    child: Child,
    port: u16,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// All of them.
pub(super) fn all(tree: &Tree, built: &Built, upstream: u16) -> Result<Vec<Way>> {
    let asked = |host: &str, more: &str| {
        Some(format!("CONNECT {host}:{upstream} HTTP/1.1\r\nHost: {host}:{upstream}\r\n{more}\r\n"))
    };
    let here = "127.0.0.1";
    let on = |name, proxy: Proxy, asked| {
        let at = (here, proxy.port);
        Way { name, at, asked, proxy: Some(proxy) }
    };
    let ours = start(Command::new(tree.released("examples/proxy")), |port| {
        Ok(vec![port.to_string(), upstream.to_string()])
    })?;
    let led = Way {
        name: "sandboxd's egress, led",
        at: ("127.18.0.1", upstream),
        asked: None,
        proxy: None,
    };
    let tinyproxy = tinyproxy(built)?;
    let squid = squid(built)?;
    let (runtime, authorization) = runtime(built)?;
    Ok(vec![
        Way { name: "nothing between", at: (here, upstream), asked: None, proxy: None },
        on("sandboxd's egress, asked", ours, asked("host.internal", "")),
        led,
        on("tinyproxy", tinyproxy, asked(here, "")),
        on("squid", squid, asked(here, "")),
        on("sandbox-runtime", runtime, asked(here, &authorization)),
        on("a relay that looks at nothing", relay(built, upstream, 1)?, asked(here, "")),
        on("the same with two threads", relay(built, upstream, 2)?, asked(here, "")),
    ])
}

/// Carries everything to the upstream, with so many threads.
fn relay(built: &Built, upstream: u16, threads: usize) -> Result<Proxy> {
    start(Command::new(built.compile("relay")?), |port| {
        Ok(vec![port.to_string(), upstream.to_string(), threads.to_string()])
    })
}

fn tinyproxy(built: &Built) -> Result<Proxy> {
    let file = built.folder.join("tinyproxy.conf");
    start(Command::new("tinyproxy"), |port| {
        let conf = format!(
            "Port {port}\nListen 127.0.0.1\nMaxClients 500\nLogLevel Critical\nTimeout 60\n"
        );
        fs::write(&file, conf)?;
        Ok(vec!["-d".into(), "-c".into(), file.display().to_string()])
    })
    .context("bench egress needs tinyproxy: apt-get install tinyproxy")
}

fn squid(built: &Built) -> Result<Proxy> {
    let file = built.folder.join("squid.conf");
    start(Command::new("squid"), |port| {
        let conf = format!(
            "http_port 127.0.0.1:{port}\nhttp_access allow all\ncache deny all\n\
             access_log none\ncache_log /dev/null\npid_filename none\n"
        );
        fs::write(&file, conf)?;
        Ok(vec!["-N".into(), "-f".into(), file.display().to_string()])
    })
    .context("bench egress needs squid: apt-get install squid")
}

/// The npm package's proxy with one host allowed, and the line by which it knows its own.
fn runtime(built: &Built) -> Result<(Proxy, String)> {
    let folder = built.folder.join("sandbox-runtime");
    fs::create_dir_all(&folder)?;
    let needs = "bench egress needs Node: apt-get install nodejs npm bubblewrap socat ripgrep";
    if !folder.join("node_modules/@anthropic-ai").exists() {
        let install = ["install", "--no-save", "--silent", "--prefix", "."];
        let mut npm = Command::new("npm");
        process::run(npm.current_dir(&folder).args(install).arg(PACKAGE)).context(needs)?;
    }
    // What it imports is looked for from where it is.
    fs::copy(built.sources.join("runtime.mjs"), folder.join("runtime.mjs"))?;
    let mut node = Command::new("node");
    let node = node.current_dir(&folder).arg("runtime.mjs");
    let child = node.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context(needs)?;
    let mut proxy = Proxy { child, port: 0 };
    let mut line = String::new();
    let said = proxy.child.stdout.take().context("no stdout")?;
    BufReader::new(said).read_line(&mut line)?;
    let (port, authorization) = line.trim().split_once(' ').context(needs)?;
    proxy.port = port.parse()?;
    Ok((proxy, format!("Proxy-Authorization: Basic {authorization}\r\n")))
}

/// Starts a proxy on a free port, and waits until it listens.
fn start(mut command: Command, words: impl Fn(u16) -> Result<Vec<String>>) -> Result<Proxy> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    command.args(words(port)?).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut proxy = Proxy { child: command.spawn()?, port };
    let from = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        let ended = proxy.child.try_wait()?;
        ensure!(ended.is_none(), "it ended before it listened");
        ensure!(from.elapsed() < PATIENCE, "it does not listen");
        thread::sleep(Duration::from_millis(20));
    }
    Ok(proxy)
}
