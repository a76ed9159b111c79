//! Whoever sends descriptors to the endpoint, lets somebody else speak, is gone before it is let in, does not
//! read its answers, or connects hundreds of times: none of it reaches the supervisor or the broker beyond
//! a bound, nobody is taken for another, and after each of it a caller that behaves is answered. So is one that was started
//! from the same profile.

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use nix::sys::wait::WaitStatus;
use sandboxd_integration::below::field;
use sandboxd_integration::{By, Case, Inside, Outside, patience, raw};
use serde_json::json;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, ErrorKind, IoSlice, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

pub(crate) const CASE: Case = Case {
    rows: &["B04", "B05", "B06", "B09", "B10", "B17", "X02"],
    outside,
    probes: &[("misbehave", misbehave)],
    by: By::Anybody,
    seconds: 240,
    ..Case::NEW
};

const ENDPOINT: &str = "/run/sandboxd/broker.sock";
const CONNECT: &str =
    "{\"jsonrpc\":\"2.0\",\"method\":\"dev.sandboxd/connect\",\"params\":{\"name\":\"tool\"}}\n";
const HELLO: &str = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"2025-06-18\",\
    \"capabilities\":{},\"clientInfo\":{\"name\":\"case\",\"version\":\"1\"}}}\n";

/// Connections that one caller may have at once, where its profile does not say otherwise.
const CONNECTIONS: usize = 16;
/// Far more than the broker needs for what one caller may have with it.
const MOST_MEMORY_KB: u64 = 64 << 10;

fn outside(outside: &Outside) -> Result<()> {
    let tool = outside.tool("tool", &[], "")?;
    let edge = outside.call("tool", &tool, &[])?;
    let profile = format!(
        "name = \"agent\"\nextends = [\"builtin:base\"]\n[limits]\nopen_files = 4096\n\
         [budget]\nrate = \"unlimited\"\n{edge}rate = \"unlimited\"\n"
    );
    let mut running = outside.sandbox(&profile).probe("misbehave", &[]).start()?;
    running.says("\"good\"")?;
    let supervisor = running.pid().as_raw();
    let broker = running.process(|command| command.contains("service broker"))?;
    // Nobody of its own user looks into the broker, which may hold secrets.
    let seen = if outside.is_user() { vec![supervisor] } else { vec![supervisor, broker] };
    let now = || seen.iter().map(|process| open(*process)).collect::<Result<Vec<usize>>>();
    let before = now()?;
    let until = Instant::now() + patience(Duration::from_secs(180));
    while !running.stdout()?.contains("\"over\"") {
        ensure!(running.lives()?, "it ended: {}", running.stdout()?);
        ensure!(Instant::now() < until, "it hangs: {}", running.stdout()?);
        std::thread::sleep(Duration::from_millis(20));
    }
    // What it left open is closed by now, or about to be.
    let until = Instant::now() + patience(Duration::from_secs(30));
    while now()?.iter().zip(&before).any(|(now, before)| now > before) {
        let now = now()?;
        ensure!(Instant::now() < until, "descriptors stay: {before:?} before, {now:?} after");
        std::thread::sleep(Duration::from_millis(20));
    }
    let most = field(broker, "VmHWM")?;
    let most: u64 = most.split_whitespace().next().unwrap_or_default().parse()?;
    ensure!(most < MOST_MEMORY_KB, "the broker took {most} kB");
    running.signal(Signal::SIGTERM)?;
    let run = running.wait()?;
    for bad in ["rights", "speaker", "gone", "slow", "many", "squatted"] {
        ensure!(run.fact(bad)? == "answered", "after {bad}: {}", run.fact(bad)?);
    }
    ensure!(run.fact("child")? == "answered", "whom a parent left behind: {}", run.fact("child")?);
    let together: usize = run.fact("together")?.parse()?;
    ensure!(together == CONNECTIONS, "{together} connections are answered at once");
    each_process_by_itself(outside)
}

/// A tool that calls others: one process of it asks for what it may not have, and another is answered.
fn each_process_by_itself(outside: &Outside) -> Result<()> {
    let leaf = outside.tool("leaf", &[], "")?;
    let hub = outside.tool("hub", &[], &outside.call("leaf", &leaf, &[])?)?;
    let edge = outside.call("hub", &hub, &[])?;
    let profile = format!("name = \"caller\"\nextends = [\"builtin:base\"]\n{edge}");
    let by_hub = |line: &str| {
        let asked = json!({ "line": line }).to_string().replace('\'', "'\\''");
        format!("/run/sandboxd/sandboxd call hub sh '{asked}'; ")
    };
    let knock = "/run/sandboxd/sandboxd call leaf other '{}' 2>&1; ".repeat(8);
    let call = "/run/sandboxd/sandboxd call leaf sh '{\"line\": \"echo made\"}' 2>&1";
    let script = by_hub(&(knock + call)) + "echo then; " + &by_hub(call);
    let run = outside.sandbox(&profile).command(&["/bin/sh", "-c", &script]).run()?;
    run.exited(0)?;
    let (first, other) = run.stdout.split_once("then").context("it ended before")?;
    ensure!(first.contains("were denied") && !first.contains("made"), "it is heard: {first}");
    ensure!(other.contains("made"), "another pays for it: {other}{}", run.stderr);
    Ok(())
}

fn open(process: i32) -> Result<usize> {
    let path = format!("/proc/{process}/fd");
    Ok(fs::read_dir(&path).context(path)?.count())
}

fn misbehave(inside: &Inside) -> Result<()> {
    inside.fact("good", &good());
    for count in [1, 253] {
        sends_descriptors(inside, count)?;
    }
    inside.fact("rights", &good());
    inside.fact("child", &child_speaks()?);
    inside.fact("speaker", &good());
    for _ in 0..200 {
        let child = raw::fork(|| u8::from(UnixStream::connect(ENDPOINT).is_err()))?;
        nix::sys::wait::waitpid(child, None)?;
    }
    inside.fact("gone", &good());
    let slow = does_not_read()?;
    inside.fact("slow", &good());
    drop(slow);
    let (held, answered) = connects_without_end()?;
    inside.fact("together", &answered.to_string());
    drop(held);
    inside.fact("many", &good());
    // Its name is the sandbox's, and what stands there later is not the endpoint.
    inside.attempt("squat", fs::remove_file(ENDPOINT));
    inside.fact("squatted", &good());
    inside.fact("over", "yes");
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// What becomes of a call by somebody who behaves; who comes while all places are taken comes again.
fn good() -> String {
    let until = Instant::now() + patience(Duration::from_secs(30));
    loop {
        match ask() {
            Ok(answer) if answer.contains("\"result\"") => return String::from("answered"),
            Ok(answer) if Instant::now() > until => return answer,
            Err(error) if Instant::now() > until => return error.to_string(),
            Ok(_) | Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

fn ask() -> io::Result<String> {
    let mut stream = UnixStream::connect(ENDPOINT)?;
    stream.set_read_timeout(Some(patience(Duration::from_secs(20))))?;
    stream.write_all(format!("{CONNECT}{HELLO}").as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(line)
}

/// Descriptors beside a request, among them the socket itself and one that holds others.
fn sends_descriptors(inside: &Inside, count: usize) -> Result<()> {
    let stream = UnixStream::connect(ENDPOINT)?;
    let (nested, other) = UnixStream::pair()?;
    let null = File::open("/dev/null")?;
    let mut rights: Vec<RawFd> = vec![null.as_raw_fd(); count];
    if let [first, second, ..] = rights.as_mut_slice() {
        (*first, *second) = (nested.as_raw_fd(), stream.as_raw_fd());
        let inner = [other.as_raw_fd()];
        let message = [ControlMessage::ScmRights(&inner)];
        sendmsg::<()>(
            nested.as_raw_fd(),
            &[IoSlice::new(b"x")],
            &message,
            MsgFlags::empty(),
            None,
        )?;
    }
    let text = format!("{CONNECT}{HELLO}");
    let parts = [IoSlice::new(text.as_bytes())];
    let message = [ControlMessage::ScmRights(&rights)];
    let sent = sendmsg::<()>(stream.as_raw_fd(), &parts, &message, MsgFlags::empty(), None);
    inside.attempt(&format!("{count} descriptors"), sent);
    Ok(())
}

/// A process is let in and ends; its child speaks, in the same sandbox.
fn child_speaks() -> Result<String> {
    let (mut heard, mut told) = UnixStream::pair()?;
    let parent = raw::fork(|| {
        let Ok(mut stream) = UnixStream::connect(ENDPOINT) else { return 1 };
        if !says(&mut stream, &format!("{CONNECT}{HELLO}")) {
            return 2;
        }
        let spoke = raw::fork(|| {
            // Its parent is gone when it speaks.
            while nix::unistd::getppid().as_raw() != 1 {
                std::thread::sleep(Duration::from_millis(5));
            }
            let tools = "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"tools/list\"}\n";
            let right = says(&mut stream, tools);
            let word: &[u8] = if right { b"answered" } else { b"not answered" };
            u8::from(told.write_all(word).is_err())
        });
        u8::from(spoke.is_err())
    })?;
    let ended = nix::sys::wait::waitpid(parent, None)?;
    ensure!(matches!(ended, WaitStatus::Exited(_, 0)), "{ended:?}");
    drop(told);
    let mut word = String::new();
    heard.read_to_string(&mut word)?;
    Ok(word)
}

/// Whether a request has a result.
fn says(stream: &mut UnixStream, words: &str) -> bool {
    let mut line = String::new();
    let heard = stream.write_all(words.as_bytes());
    let heard = heard.and_then(|()| BufReader::new(stream).read_line(&mut line));
    heard.is_ok() && line.contains("\"result\"")
}

/// Asks until nobody takes more, and reads nothing.
fn does_not_read() -> Result<UnixStream> {
    let mut stream = UnixStream::connect(ENDPOINT)?;
    stream.write_all(CONNECT.as_bytes())?;
    stream.set_write_timeout(Some(Duration::from_secs(2)))?;
    let many = HELLO.repeat(1000);
    for _ in 0..1000 {
        match stream.write_all(many.as_bytes()) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            // Who does not behave may be shown out.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(stream)
}

/// Connects hundreds of times, keeps all of it open, and says how many are answered. More would only wait
/// longer: beyond a few at once the door opens every 20 ms.
fn connects_without_end() -> Result<(Vec<UnixStream>, usize)> {
    let mut held = Vec::new();
    for _ in 0..400 {
        let mut stream = UnixStream::connect(ENDPOINT)?;
        // It may be closed by now, where there is no place for it.
        stream.write_all(format!("{CONNECT}{HELLO}").as_bytes()).ok();
        held.push(stream);
    }
    let mut answered = 0;
    for stream in &held {
        stream.set_read_timeout(Some(patience(Duration::from_secs(20))))?;
        let mut byte = [0];
        let mut stream = stream;
        if stream.read(&mut byte).is_ok_and(|count| count == 1) {
            answered += 1;
        }
    }
    Ok((held, answered))
}
