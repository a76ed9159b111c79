//! Lines: those of MCP over the broker, and the same without a broker.

use super::Caller;
use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

const BROKER: &str = "/run/sandboxd/broker.sock";

/// Those of all callers.
static CALLS: AtomicU64 = AtomicU64::new(1);

/// Lines of a stream.
struct Lines<S> {
    stream: S,
    piece: Vec<u8>,
    held: Vec<u8>,
    /// How much of what is held was taken.
    taken: usize,
}

impl<S: Read> Lines<S> {
    fn new(stream: S) -> Self {
        Self { stream, piece: vec![0; 64 << 10], held: Vec::new(), taken: 0 }
    }

    /// The next line with its end; nothing where there is none.
    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        self.held.drain(..self.taken);
        self.taken = 0;
        let mut looked = 0;
        loop {
            let end = self.held.iter().skip(looked).position(|byte| *byte == b'\n');
            if let Some(end) = end {
                self.taken = looked + end + 1;
                return Ok(self.held.get(..self.taken));
            }
            looked = self.held.len();
            let count = self.stream.read(&mut self.piece)?;
            if count == 0 {
                return Ok(None);
            }
            self.held.extend(self.piece.iter().take(count));
        }
    }
}

/// Calls, and is answered with as many bytes.
pub(crate) struct Client {
    lines: Lines<UnixStream>,
    bytes: usize,
    calls: u64,
}

impl Client {
    /// Over the broker, to what the profile calls so.
    pub(crate) fn of_mcp(name: &str, bytes: usize) -> io::Result<Self> {
        let mut client = Self::bare(BROKER, bytes)?;
        let to = format!(
            r#"{{"jsonrpc":"2.0","method":"dev.sandboxd/connect","params":{{"name":"{name}"}}}}"#
        );
        let hello = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"hop","version":"1"}}}"#;
        client.ask(&format!("{to}\n{hello}\n"))?;
        client.say("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n")?;
        client.ask("{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"tools/list\"}\n")?;
        Ok(client)
    }

    /// To whoever listens there.
    pub(crate) fn bare(path: &str, bytes: usize) -> io::Result<Self> {
        Ok(Self { lines: Lines::new(UnixStream::connect(path)?), bytes, calls: 0 })
    }

    fn say(&mut self, line: &str) -> io::Result<()> {
        self.lines.stream.write_all(line.as_bytes())
    }

    fn ask(&mut self, line: &str) -> io::Result<()> {
        self.say(line)?;
        let answer = self.lines.next()?.ok_or_else(|| io::Error::other("nobody answers"))?;
        // A refusal says its words first.
        if has(answer, b"\"error\":") || answer.ends_with(b"\"isError\":true}}\n") {
            return Err(io::Error::other(String::from_utf8_lossy(answer).into_owned()));
        }
        Ok(())
    }
}

impl Caller for Client {
    fn call(&mut self) -> io::Result<()> {
        self.calls += 1;
        let (head, end) = (
            format!(
                r#"{{"jsonrpc":"2.0","id":{},"method":"tools/call","params":{{"name":"echo","arguments":{{"text":""#,
                self.calls
            ),
            "\"}}}\n",
        );
        let room = self.bytes.saturating_sub(head.len() + end.len());
        // Not the same twice, whoever calls: that is a loop, and is broken.
        let text = format!("{:0>room$}", CALLS.fetch_add(1, Ordering::Relaxed));
        self.ask(&format!("{head}{text}{end}"))
    }
}

/// A server of MCP with one tool, which says its text back.
pub(crate) fn tool() -> io::Result<()> {
    let mut lines = Lines::new(io::stdin().lock());
    let mut stdout = io::stdout().lock();
    while let Some(line) = lines.next()? {
        let Some(id) = between(line, "\"id\":", b",}") else { continue };
        let result = if has(line, b"\"tools/call\"") {
            let text = between(line, "\"text\":\"", b"\"").unwrap_or_default();
            format!(r#"{{"content":[{{"type":"text","text":"{text}"}}]}}"#)
        } else if has(line, b"\"tools/list\"") {
            String::from(
                r#"{"tools":[{"name":"echo","description":"Says it back.","inputSchema":{"type":"object","properties":{"text":{"type":"string"}},"required":["text"]}}]}"#,
            )
        } else {
            String::from(
                r#"{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"hop","version":"1"}}"#,
            )
        };
        stdout.write_all(
            format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}\n").as_bytes(),
        )?;
        stdout.flush()?;
    }
    Ok(())
}

/// Says each line back.
pub(crate) fn echo(socket: &str) -> io::Result<()> {
    serve(socket, |stream| {
        let mut writer = stream.try_clone()?;
        let mut lines = Lines::new(stream);
        while let Some(line) = lines.next()? {
            writer.write_all(line)?;
        }
        Ok(())
    })
}

/// One hop more, which looks at nothing.
pub(crate) fn relay(socket: &str, to: &str) -> io::Result<()> {
    let to = to.to_owned();
    serve(socket, move |stream| {
        let other = UnixStream::connect(&to)?;
        let (mut asked, mut answers) = (stream.try_clone()?, other.try_clone()?);
        let (mut near, mut far) = (Lines::new(stream), Lines::new(other));
        while let Some(line) = near.next()? {
            answers.write_all(line)?;
            let Some(answer) = far.next()? else { break };
            asked.write_all(answer)?;
        }
        Ok(())
    })
}

fn serve(
    socket: &str,
    each: impl Fn(UnixStream) -> io::Result<()> + Clone + Send + 'static,
) -> io::Result<()> {
    for stream in UnixListener::bind(socket)?.incoming() {
        let (stream, each) = (stream?, each.clone());
        // One that is gone is not missed.
        thread::spawn(move || each(stream).ok());
    }
    Ok(())
}

fn place(line: &[u8], what: &[u8]) -> Option<usize> {
    line.windows(what.len()).position(|window| window == what)
}

fn has(line: &[u8], what: &[u8]) -> bool {
    place(line.get(..128.min(line.len())).unwrap_or_default(), what).is_some()
}

/// What follows on a word, up to one of these.
fn between<'a>(line: &'a [u8], word: &str, ends: &[u8]) -> Option<&'a str> {
    let from = place(line, word.as_bytes())? + word.len();
    let rest = line.get(from..)?;
    let to = rest.iter().position(|byte| ends.contains(byte))?;
    std::str::from_utf8(rest.get(..to)?).ok()
}
