//! With `notify = true` the command's own word reaches the service manager: that it is ready, that it is not
//! hung, how it goes. Nothing else that sd_notify(3) knows does, nothing reaches a terminal through it, and
//! sandboxd says neither of the two for it.

use anyhow::{Result, ensure};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use nix::unistd::Pid;
use sandboxd_integration::{By, Case, Inside, NotifySocket, Outside, confined};
use std::io::IoSlice;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

pub(crate) const CASE: Case = Case {
    rows: &["N05", "R08"],
    by: By::Anybody,
    seconds: 180,
    outside,
    probes: &[("speak", speak), ("ready", ready), ("flood", flood)],
    ..Case::NEW
};

const PROFILE: &str = "name = \"speaks\"\nextends = [\"builtin:base\"]\n[command]\nnotify = true\n";
const BEGIN: &str = "STATUS=Setting up the sandbox";
const RUNS: &str = "STATUS=Running speaks-*";

fn outside(outside: &Outside) -> Result<()> {
    let manager = NotifySocket::at(&outside.dir().join("notify"))?;
    three_words(outside, &manager)?;
    the_last_word(outside, &manager)?;
    nobody_answers_for_it(outside, &manager)?;
    nobody_is_kept_busy(outside, &manager)?;
    without_who_reads_it(outside, &manager)?;

    // Nobody waits, and so nobody is spoken to.
    let asks = ["/bin/sh", "-c", "echo \"socket: $NOTIFY_SOCKET.\"; test ! -e /run/sandboxd"];
    let run = outside.sandbox(PROFILE).command(&asks).run()?;
    run.exited(0)?;
    ensure!(run.stdout.contains("socket: ."), "it is told {:?}", run.stdout);
    Ok(())
}

fn three_words(outside: &Outside, manager: &NotifySocket) -> Result<()> {
    let sandbox = outside.sandbox(PROFILE).env("WATCHDOG_USEC", "60000000");
    let run = manager.starts(sandbox.probe("speak", &[])).run()?;
    run.ran()?;
    ensure!(run.fact("watchdog")? == "60000000", "it is told {}", run.fact("watchdog")?);
    ensure!(run.fact("socket")? == "/run/sandboxd/notify.sock", "at {}", run.fact("socket")?);
    ensure!(run.fact("barrier")? == "let go", "the barrier: {}", run.fact("barrier")?);
    for told in [BEGIN, RUNS, "READY=1\nSTATUS=up?[2J and ?????", "WATCHDOG=1", "STATUS=over"] {
        manager.is_told(told)?;
    }
    manager.is_told("STOPPING=1\nSTATUS=Ended with status 0: speaks-*")
}

fn speak(inside: &Inside) -> Result<()> {
    inside.fact("watchdog", &std::env::var("WATCHDOG_USEC").unwrap_or_default());
    let path = std::env::var("NOTIFY_SOCKET")?;
    inside.fact("socket", &path);
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    let long = [b"READY=1\n", [b'x'; 5000].as_slice()].concat();
    for word in
        [&b""[..], b"MAINPID=1", b"STOPPING=1\nRELOADING=1", b"EXTEND_TIMEOUT_USEC=9", &long]
    {
        socket.send(word)?;
    }
    socket.send(b"MAINPID=1\nREADY=1\nSTATUS=up\x1b[2J and \xe2\x9c\x93\r\x00\n")?;
    socket.send(b"WATCHDOG=1\nNOTIFYACCESS=all")?;
    barrier(inside, &socket)?;
    socket.send(b"STATUS=over")?;
    Ok(())
}

/// As sd_notify_barrier(3): its end of a pipe is closed once what was said before it has been read.
fn barrier(inside: &Inside, socket: &UnixDatagram) -> Result<()> {
    let (reads, writes) = nix::unistd::pipe()?;
    let fds = [writes.as_raw_fd()];
    let barrier = [IoSlice::new(b"BARRIER=1")];
    let message = [ControlMessage::ScmRights(&fds)];
    sendmsg::<()>(socket.as_raw_fd(), &barrier, &message, MsgFlags::empty(), None)?;
    drop(writes);
    let mut ready = [PollFd::new(reads.as_fd(), PollFlags::empty())];
    let gone = poll(&mut ready, PollTimeout::from(30_000_u16))?;
    inside.fact("barrier", if gone == 1 { "let go" } else { "kept" });
    Ok(())
}

/// What it says and ends at once is heard all the same.
fn the_last_word(outside: &Outside, manager: &NotifySocket) -> Result<()> {
    for _ in 0..5 {
        manager.starts(outside.sandbox(PROFILE).probe("ready", &[])).run()?.ran()?;
        let told = manager.heard()?;
        let count = told.iter().filter(|told| told.as_str() == "READY=1").count();
        ensure!(count == 1, "told {told:?}");
    }
    Ok(())
}

fn ready(inside: &Inside) -> Result<()> {
    let socket = UnixDatagram::unbound()?;
    let path = std::env::var("NOTIFY_SOCKET")?;
    inside.attempt("send", socket.send_to(b"READY=1", path));
    Ok(())
}

/// Neither ready nor alive is said of a command that says nothing.
fn nobody_answers_for_it(outside: &Outside, manager: &NotifySocket) -> Result<()> {
    let silent = ["/bin/sh", "-c", "echo waits; while :; do /bin/sleep 0.05; done"];
    let sandbox = outside.sandbox(PROFILE).command(&silent).env("WATCHDOG_USEC", "200000");
    let mut running = manager.starts(sandbox).start()?;
    running.says("waits")?;
    manager.is_told(BEGIN)?;
    manager.is_told(RUNS)?;
    std::thread::sleep(Duration::from_millis(500));
    let told = manager.heard()?;
    ensure!(told.is_empty(), "told {told:?}");
    running.signal(Signal::SIGTERM)?;
    running.wait()?.exited(143)?;
    manager.heard()?;
    Ok(())
}

/// Who shouts is heard in turn.
fn nobody_is_kept_busy(outside: &Outside, manager: &NotifySocket) -> Result<()> {
    let begun = Instant::now();
    let running = manager.starts(outside.sandbox(PROFILE).probe("flood", &[])).start()?;
    manager.is_told(BEGIN)?;
    manager.is_told(RUNS)?;
    manager.is_told("STATUS=loud")?;
    let (mut told, heard) = (1_u32, Instant::now());
    while heard.elapsed() < Duration::from_secs(2) {
        ensure!(manager.hears()? == "STATUS=loud", "told something else");
        told += 1;
    }
    // One in 20 ms, with what it may say at once.
    let most = begun.elapsed().as_secs_f64() * 50.0 + 60.0;
    ensure!(f64::from(told) <= most, "told {told} times, and not {most}");
    running.signal(Signal::SIGTERM)?;
    running.wait()?;
    manager.heard()?;
    Ok(())
}

fn flood(_: &Inside) -> Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(std::env::var("NOTIFY_SOCKET")?)?;
    loop {
        socket.send(b"STATUS=loud")?;
    }
}

/// Who reads it has no right; a command whose word nobody reads any more is ended, and that is said.
fn without_who_reads_it(outside: &Outside, manager: &NotifySocket) -> Result<()> {
    let waits = ["/bin/sh", "-c", "echo waits; while :; do /bin/sleep 0.05; done"];
    let mut running = manager.starts(outside.sandbox(PROFILE).command(&waits)).start()?;
    running.says("waits")?;
    let service = running.process_to_come(|command| command.ends_with("service notify"))?;
    let command = running.process(|command| command.starts_with("/bin/sh"))?;
    confined(outside, service, command, &[])?;
    kill(Pid::from_raw(service), Signal::SIGKILL)?;
    let run = running.wait()?;
    run.exited(125)?;
    ensure!(run.stderr.contains("the service notify ended"), "not said: {}", run.stderr);
    manager.heard()?;
    Ok(())
}
