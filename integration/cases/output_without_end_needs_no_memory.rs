//! However much a command writes, without a line end and faster than anybody reads, sandboxd holds a
//! piece of it at a time: to a file, and to a terminal that takes no more.

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use sandboxd_integration::{Case, Outside, Running, Terminal, patience};
use std::fs;
use std::time::{Duration, Instant};

pub(crate) const CASE: Case = Case { rows: &["R12"], seconds: 180, outside, ..Case::NEW };

/// Bytes to a file; a supervisor that kept them would hold many times what it may.
const MUCH: u64 = 256 << 20;
/// As many where it is soaked.
const SOAKED: u64 = 10 << 30;
/// Kilobytes that a supervisor may hold: its program, and a few pieces.
const MOST: u64 = 48 << 10;

fn outside(outside: &Outside) -> Result<()> {
    let profile = "extends = [\"builtin:base\"]\n[limits]\noutput = \"unlimited\"\n\
                   file_size = \"unlimited\"\n";
    let mut running = outside.sandbox(profile).command(&["/bin/cat", "/dev/zero"]).start()?;
    let much = if outside.soaks() { SOAKED } else { MUCH };
    let until = Instant::now() + patience(Duration::from_secs(120));
    while running.written()? < much {
        ensure!(Instant::now() < until, "{} bytes were written", running.written()?);
        // No disk has to hold them.
        running.forget_output()?;
        std::thread::sleep(Duration::from_millis(20));
    }
    let held = held(&running)?;
    running.signal(Signal::SIGTERM)?;
    while running.lives()? {
        std::thread::sleep(Duration::from_millis(20));
    }
    running.forget_output()?;
    running.wait()?.exited(143)?;
    ensure!(held < MOST, "{held} kB with output to a file");

    // Nobody reads from this terminal for a while: the command is held up, and nothing piles up.
    let terminal = Terminal::new()?;
    let text = "printf here; exec cat /dev/zero";
    let sandbox = outside.sandbox(profile).command(&["/bin/sh", "-c", text]);
    let running = sandbox.terminal(&terminal, &[0, 1, 2]).start()?;
    terminal.shows("here")?;
    std::thread::sleep(Duration::from_secs(1));
    let held = self::held(&running)?;
    ensure!(held < MOST, "{held} kB with output to a terminal");
    // It still hears keys.
    terminal.types("\u{3}")?;
    running.wait()?.exited(130)?;
    Ok(())
}

/// The most that the supervisor ever held.
fn held(running: &Running<'_>) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", running.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next()).context("VmHWM")?;
    Ok(number.parse()?)
}
