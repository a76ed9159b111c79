//! A proxy's work: a connection to its first byte, and bytes through it, beside a connection with nothing
//! between, tinyproxy and squid. All on the loopback, with `CONNECT`, none of them looking inside.

use super::{
    Built,
    paired::{self, Runner},
};
use crate::{process, tree::Tree};
use anyhow::{Context as _, Result, ensure};
use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// To be reached, at least, against the better of the two; what is reached stands in
/// docs/book/figures.md.
const AGAINST_BETTER: f64 = 1.5;

/// Connections, one after the other, of a turn.
const CONNECTIONS: u32 = 200;

/// Bytes of a turn.
const BYTES: usize = 256 << 20;

/// How long a proxy may take until it listens.
const PATIENCE: Duration = Duration::from_secs(30);

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

pub(crate) fn run(tree: &Tree, built: &Built, rounds: usize) -> Result<()> {
    let example = ["build", "--release", "-p", "sandboxd-egress", "--example", "proxy"];
    process::run(process::cargo(&tree.root).args(example))?;
    let upstream = upstream()?;
    let ours = start(Command::new(tree.released("examples/proxy")), |port| {
        Ok(vec![port.to_string(), upstream.to_string()])
    })?;
    let tinyproxy = start(Command::new("tinyproxy"), |port| {
        let file = built.folder.join("tinyproxy.conf");
        fs::write(
            &file,
            format!(
                "Port {port}\nListen 127.0.0.1\nMaxClients 100\nLogLevel Critical\nTimeout 60\n"
            ),
        )?;
        Ok(vec!["-d".into(), "-c".into(), file.display().to_string()])
    })
    .context("bench egress needs tinyproxy: apt-get install tinyproxy")?;
    let squid = start(Command::new("squid"), |port| {
        let file = built.folder.join("squid.conf");
        fs::write(
            &file,
            format!(
                "http_port 127.0.0.1:{port}\nhttp_access allow all\ncache deny all\n\
                 access_log none\ncache_log /dev/null\npid_filename none\n"
            ),
        )?;
        Ok(vec!["-N".into(), "-f".into(), file.display().to_string()])
    })
    .context("bench egress needs squid: apt-get install squid")?;
    let ways = [
        Way { name: "nothing between", proxy: None, host: "127.0.0.1" },
        Way { name: "sandboxd's egress", proxy: Some(ours.port), host: "host.internal" },
        Way { name: "tinyproxy", proxy: Some(tinyproxy.port), host: "127.0.0.1" },
        Way { name: "squid", proxy: Some(squid.port), host: "127.0.0.1" },
    ];
    println!("{CONNECTIONS} connections, one after the other, each to its first byte");
    table(&ways, rounds, |way| {
        for _ in 0..CONNECTIONS {
            let mut stream = way.open(upstream)?;
            stream.write_all(b"x")?;
            stream.read_exact(&mut [0])?;
        }
        Ok(())
    })?;
    println!("\n{} MiB", BYTES >> 20);
    table(&ways, rounds, |way| {
        let mut stream = way.open(upstream)?;
        stream.write_all(b"D")?;
        let mut bytes = vec![0; 256 << 10];
        let mut left = BYTES;
        while left > 0 {
            let count = stream.read(&mut bytes)?;
            ensure!(count > 0, "it ended {left} bytes too soon");
            left = left.saturating_sub(count);
        }
        Ok(())
    })
}

/// A line for each way, and what is to be reached.
fn table(ways: &[Way; 4], rounds: usize, work: impl Fn(&Way) -> Result<()>) -> Result<()> {
    let work = &work;
    let mut runners = ways.each_ref().map(|way| {
        Runner::new(way.name, move || {
            let from = Instant::now();
            work(way)?;
            Ok(from.elapsed())
        })
    });
    paired::run(&mut runners, rounds)?;
    let [direct, ours, tinyproxy, squid] = &runners;
    paired::print(&runners, direct);
    let better = tinyproxy.ratio(ours).min(squid.ratio(ours));
    println!("the better of the two / ours   {better:.2}  (to reach: {AGAINST_BETTER})");
    Ok(())
}

/// A way to the upstream.
struct Way {
    name: &'static str,
    proxy: Option<u16>,
    /// What the upstream is called on it.
    host: &'static str,
}

impl Way {
    fn open(&self, upstream: u16) -> Result<TcpStream> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.proxy.unwrap_or(upstream)))?;
        stream.set_nodelay(true)?;
        if self.proxy.is_some() {
            let whom = format!("{}:{upstream}", self.host);
            write!(stream, "CONNECT {whom} HTTP/1.1\r\nHost: {whom}\r\n\r\n")?;
            let (mut head, mut bytes) = (Vec::new(), [0; 512]);
            // Nothing comes after it until something is said.
            while !head.ends_with(b"\r\n\r\n") {
                let count = stream.read(&mut bytes)?;
                ensure!(count > 0, "{} ended the connection", self.name);
                head.extend(bytes.iter().take(count));
            }
            let established = head.get(8..12) == Some(b" 200");
            ensure!(established, "{}: {}", self.name, String::from_utf8_lossy(&head));
        }
        Ok(stream)
    }
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

/// Says a byte back, and for a `D` as many as are wanted; its port.
fn upstream() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream));
        }
    });
    Ok(port)
}

fn serve(mut stream: TcpStream) {
    let mut byte = [0];
    while stream.read_exact(&mut byte).is_ok() {
        let said = if byte == *b"D" {
            let piece = vec![0; 256 << 10];
            (0..BYTES / piece.len()).try_for_each(|_| stream.write_all(&piece))
        } else {
            stream.write_all(&byte)
        };
        if said.is_err() {
            return;
        }
    }
}
