//! Writing to standard output and error. A reader that went away is not a reason to panic.

use crate::explain;
use crate::sandbox::StartError;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::AsFd;
use rustix::io::Errno;
use rustix::process::Signal;
use sandboxd_kernel::signals;
use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

/// Writes to standard output; says whether that worked, and why not where its reader has not just gone away.
pub(crate) fn say(text: &str) -> bool {
    let written = {
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush())
    };
    match written {
        Ok(()) => true,
        Err(error) => {
            if error.kind() != std::io::ErrorKind::BrokenPipe {
                warn(&format!(
                    "sandboxd: standard output could not be written: {}\n",
                    explain::io(&error)
                ));
            }
            false
        }
    }
}

/// `1 log`, `2 logs`.
pub(crate) fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// How long a reader that takes nothing is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// What is written at once: a pipe that takes anything takes as much without waiting, pipe(7).
const AT_ONCE: usize = 4096;

/// Writes to standard error. Where that is closed, there is nobody to tell; where the command filled it,
/// its reader is waited for, because this is what the command would rather have nobody read.
pub(crate) fn warn(text: &str) {
    // Whoever does not listen is not told otherwise.
    write(std::io::stderr(), text.as_bytes(), || ()).ok();
}

/// The same at the end of a run: nothing is left that a signal could be about but the wait for a reader,
/// and it ends that as it ends any program.
pub(super) fn warn_last(text: &str) {
    write(std::io::stderr(), text.as_bytes(), hear).ok();
}

/// Writes the last that there is to say where that is wanted.
///
/// # Errors
/// `ETIMEDOUT` where its reader takes no more; others of write(2).
pub(super) fn tell_last(to: &File, text: &str) -> std::io::Result<()> {
    Ok(write(to, text.as_bytes(), hear)?)
}

/// Catches no signal any more that asks for our end.
fn hear() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT] {
        // Where an outer filter refuses it, the wait has an end all the same.
        signals::release(signal).ok();
    }
}

/// Writes all of it, to whoever takes some of it in time; where somebody is waited for, that is said first.
fn write(to: impl AsFd, mut left: &[u8], waits: impl Fn()) -> rustix::io::Result<()> {
    while !left.is_empty() {
        if !takes(&to, Duration::ZERO)? {
            waits();
            if !takes(&to, PATIENCE)? {
                return Err(Errno::TIMEDOUT);
            }
        }
        match rustix::io::write(&to, left.get(..AT_ONCE).unwrap_or(left)) {
            Ok(written) => left = left.get(written..).unwrap_or_default(),
            // Another who writes there was faster.
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Whether something can be written in time, or is known not to be.
fn takes(to: impl AsFd, within: Duration) -> rustix::io::Result<bool> {
    let until = Instant::now() + within;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(|_| Errno::INVAL)?;
        let mut end = [PollFd::new(&to, PollFlags::OUT)];
        match poll(&mut end, Some(&left)) {
            Err(Errno::INTR) => {}
            ready => return Ok(ready? > 0),
        }
    }
}

/// Why a command has no answer: to programs on standard output, where they look for it, else on standard error.
pub(crate) fn refuse(error: &StartError, name: &str, json: bool) {
    if json {
        say_json(&error.json(name));
    } else {
        warn(&error.text(name));
    }
}

/// Writes a value as indented JSON to standard output.
pub(crate) fn say_json(value: &impl serde::Serialize) -> bool {
    serde_json::to_string_pretty(value).is_ok_and(|text| say(&format!("{text}\n")))
}

/// Writes a value as JSON on one line, where each line is an answer.
pub(crate) fn say_json_line(value: &serde_json::Value) -> bool {
    say(&format!("{value}\n"))
}
