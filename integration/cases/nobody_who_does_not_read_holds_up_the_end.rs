//! A reader who takes nothing does not hold up the end of a run: what sandboxd has to say is given up in time,
//! and at a signal at once. What a command showed last waits for its terminal, and that it got lost is told.

use anyhow::{Context as _, Result, ensure};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, pipe, write};
use sandboxd_integration::{By, Case, Outside, Terminal, patience};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

pub(crate) const CASE: Case =
    Case { rows: &["R12"], seconds: 240, outside, by: By::Anybody, ..Case::NEW };

const PROFILE: &str = "extends = [\"builtin:base\"]\n";

fn outside(outside: &Outside) -> Result<()> {
    complaints(outside)?;
    result(outside)?;
    terminal(outside)
}

/// The command has filled standard error.
fn complaints(outside: &Outside) -> Result<()> {
    let (reader, writer) = pipe()?;
    let text = "exec \"$@\" --set 'limits.wall_time=\"1s\"' -- /bin/sh -c 'yes >&2'";
    let mut child = by_hand(outside, text)?.stdout(Stdio::null()).stderr(writer).spawn()?;
    let ended = end(&mut child)?;
    ensure!(ended.code() == Some(124), "it ended with {ended}");
    drop(reader);
    Ok(())
}

/// Nobody has read what is in the pipe that the result goes to.
fn result(outside: &Outside) -> Result<()> {
    let (reader, writer) = pipe()?;
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    while write(&writer, &[0; 4096]).is_ok() {}
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::empty()))?;
    let start = |to: &OwnedFd| -> Result<Child> {
        let text = "exec \"$@\" --result-fd 3 -- /bin/true 3>&1 > /dev/null";
        let mut sandboxd = by_hand(outside, text)?;
        Ok(sandboxd.stdout(to.try_clone()?).stderr(Stdio::null()).spawn()?)
    };
    let ended = end(&mut start(&writer)?)?;
    ensure!(ended.code() == Some(125), "it ended with {ended}");
    // While it waits, it can be ended as any program; before, the first of them is for the run.
    let mut child = start(&writer)?;
    let until = Instant::now() + patience(Duration::from_secs(60));
    let ended = loop {
        std::thread::sleep(Duration::from_millis(700));
        if let Some(ended) = child.try_wait()? {
            break ended;
        }
        ensure!(Instant::now() < until, "no signal ends it");
        kill(Pid::from_raw(i32::try_from(child.id())?), Signal::SIGTERM)?;
    };
    ensure!(ended.signal() == Some(libc::SIGTERM), "it ended with {ended}");
    drop(reader);
    Ok(())
}

/// Nobody looks at it for a while.
fn terminal(outside: &Outside) -> Result<()> {
    let terminal = Terminal::new()?;
    let show = || {
        let sandbox = outside.sandbox(PROFILE).command(&["/bin/sh", "-c", "seq 1 20000"]);
        sandbox.option("--quiet").terminal(&terminal, &[0, 1, 2]).start()
    };
    let running = show()?;
    std::thread::sleep(Duration::from_secs(13));
    terminal.shows("\r\n20000\r\n")?;
    running.wait()?.exited(0)?;
    let running = show()?;
    std::thread::sleep(patience(Duration::from_secs(3)));
    running.signal(Signal::SIGTERM)?;
    running.wait()?.exited(125)?;
    Ok(())
}

/// The product by hand, as a shell starts it that has it and its first words as arguments.
fn by_hand(outside: &Outside, text: &str) -> Result<Command> {
    let profile = outside.dir().join("profile.toml");
    fs::write(&profile, PROFILE)?;
    let mut sh = Command::new("/bin/sh");
    sh.args(["-c", text, "sh"]).arg(std::env::current_exe()?.with_file_name("sandboxd"));
    sh.args(["run", "-p"]).arg(profile).args(outside.waivers());
    sh.env("TMPDIR", outside.dir().join("tmp")).env("XDG_STATE_HOME", outside.state());
    sh.stdin(Stdio::null());
    Ok(sh)
}

/// How it ends, which is to be within a minute.
fn end(child: &mut Child) -> Result<ExitStatus> {
    let until = Instant::now() + patience(Duration::from_secs(60));
    loop {
        if let Some(ended) = child.try_wait()? {
            return Ok(ended);
        }
        if Instant::now() > until {
            child.kill()?;
            let ended = child.wait()?;
            return Err(anyhow::anyhow!("it had to be killed: {ended}")).context("it hangs");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
