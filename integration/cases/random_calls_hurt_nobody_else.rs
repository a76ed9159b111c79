//! Any system call with any arguments, made at random as fast as it goes, harms nobody but whoever
//! makes it: the supervisor ends in order, a neighbour and the host go on, the kernel complains of
//! nothing.

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use sandboxd_integration::raw::{self, Argument};
use sandboxd_integration::{Case, Inside, Outside, Victim};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::IntoRawFd as _;
use std::time::{Duration, Instant};

pub(crate) const CASE: Case =
    Case { rows: &["K16"], outside, probes: &[("call", call_all), ("wait", wait)], ..Case::NEW };

/// How long calls are made, over all runs; `SANDBOXD_FUZZ_SECONDS` asks for more.
const SECONDS: u64 = 6;

/// What the kernel says where something broke in it. That a program of somebody's crashed or ran
/// out of memory is none of these.
const COMPLAINTS: &[&str] =
    &["BUG:", "Oops", "WARNING: CPU", "Kernel panic", "UBSAN", "KASAN", "blocked for more than"];

fn outside(outside: &Outside) -> Result<()> {
    let profile = "extends = [\"builtin:base\"]\n";
    let narrow =
        format!("{profile}[limits]\nmemory = \"128M\"\nprocesses = 32\nwall_time = \"4s\"\n");
    let asked = std::env::var("SANDBOXD_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let before = complaints()?;
    let mut victim = Victim::start()?;
    let mut neighbour = outside.sandbox(profile).probe("wait", &[]).start()?;
    neighbour.says("waits")?;
    let until = Instant::now() + Duration::from_secs(asked.unwrap_or(SECONDS));
    let (mut seed, mut called) = (u64::from(std::process::id()), 0);
    while Instant::now() < until {
        seed += 1;
        outside.note(&format!("seed {seed}"));
        let run = outside.sandbox(&narrow).probe("call", &[&seed.to_string()]).run()?;
        // The probe may have killed itself in any way; the supervisor must have ended in order.
        ensure!(run.exit().is_some(), "seed {seed}: sandboxd died: {}", run.status);
        ensure!(!run.stderr.contains("panicked"), "seed {seed}: sandboxd panicked");
        ensure!(run.receipt.is_some(), "seed {seed}: not started");
        called += run.attempts().count();
    }
    ensure!(called > 0, "no call came back");
    victim.lives()?;
    ensure!(neighbour.lives()?, "the neighbour was ended");
    neighbour.signal(Signal::SIGTERM)?;
    ensure!(neighbour.wait()?.exit() == Some(143), "the neighbour was hurt");
    let new: Vec<String> = complaints()?.difference(&before).cloned().collect();
    ensure!(new.is_empty(), "the kernel: {}", new.join("; "));
    Ok(())
}

/// The kernel's log, syslog(2), as far as it is of interest.
fn complaints() -> Result<BTreeSet<String>> {
    const READ_ALL: u64 = 3;
    const SIZE: u32 = 1 << 20;
    let mut text = vec![0; 1 << 20];
    let mut words = [
        Argument::Number(READ_ALL),
        Argument::Buffer(&mut text),
        Argument::Number(u64::from(SIZE)),
    ];
    let length = raw::call(libc::SYS_syslog, &mut words).context("the kernel's log")?;
    text.truncate(usize::try_from(length)?);
    let text = String::from_utf8_lossy(&text);
    let lines = text.lines().filter(|line| COMPLAINTS.iter().any(|words| line.contains(words)));
    Ok(lines.map(str::to_owned).collect())
}

fn call_all(inside: &Inside) -> Result<()> {
    let mut random =
        Random(inside.argument(0)?.parse::<u64>()?.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let until = Instant::now() + Duration::from_secs(2);
    // Children that end by what they do are as many as it takes.
    while Instant::now() < until {
        let mut own = Random(random.next());
        let child = raw::fork(|| {
            let null = File::options().read(true).write(true).open("/dev/null");
            let quiet = null.is_ok_and(|null| {
                let null = null.into_raw_fd();
                (0..3).all(|number| raw::place(null, number).is_ok())
            });
            let until = Instant::now() + Duration::from_millis(150);
            let mut through = 0_u64;
            while quiet && Instant::now() < until {
                through += u64::from(own.call());
            }
            u8::from(through == 0)
        })?;
        let patience = Instant::now() + Duration::from_millis(300);
        while waitpid(child, Some(WaitPidFlag::WNOHANG))? == WaitStatus::StillAlive {
            if Instant::now() > patience {
                kill(child, Signal::SIGKILL)?;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        inside.attempt("child", nix::Result::Ok(()));
    }
    Ok(())
}

/// xorshift64*, so that a seed brings the same calls back.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A call that may do anything to this process; whether it was let through and came back.
    fn call(&mut self) -> bool {
        let number = match self.below(32) {
            0 => self.next().cast_signed(),
            1 => 400 + self.below(100).cast_signed(),
            _ => self.below(470).cast_signed(),
        };
        let mut memory = [0_u8; 256];
        for byte in &mut memory {
            *byte = self.next().to_le_bytes()[0];
        }
        let mut words: Vec<Argument<'_>> = Vec::new();
        let at = self.below(8);
        for position in 0..6 {
            if position == at {
                words.push(Argument::Buffer(&mut []));
                continue;
            }
            words.push(Argument::Number(self.word()));
        }
        if let Some(word) = usize::try_from(at).ok().and_then(|at| words.get_mut(at)) {
            *word = Argument::Buffer(&mut memory);
        }
        raw::call(number, &mut words).is_ok()
    }

    /// A number that calls make something of: a descriptor, flags, a size, an address of nothing.
    fn word(&mut self) -> u64 {
        match self.below(8) {
            0 => 0,
            1 | 2 => self.below(16),
            3 => 1 << self.below(64),
            4 => u64::MAX - self.below(4),
            5 => self.below(1 << 16),
            6 => self.next() & 0xffff_ffff,
            _ => self.next(),
        }
    }
}

fn wait(inside: &Inside) -> Result<()> {
    inside.fact("state", "waits");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    std::thread::sleep(Duration::from_secs(50));
    Ok(())
}
