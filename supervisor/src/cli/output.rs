//! Writing to standard output and error. A reader that went away is not a reason to panic.

use crate::sandbox::StartError;
use rustix::io::Errno;
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
                warn(&format!("sandboxd: standard output could not be written: {error}\n"));
            }
            false
        }
    }
}

/// `1 log`, `2 logs`.
pub(crate) fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// How long a reader of standard error that is slow is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Writes to standard error. Where that is closed, there is nobody to tell; where the command filled it
/// and left it non-blocking, its reader is waited for, because this is what the command would rather
/// have nobody read.
pub(crate) fn warn(text: &str) {
    let stderr = std::io::stderr();
    let mut left = text.as_bytes();
    let until = Instant::now() + PATIENCE;
    while !left.is_empty() && Instant::now() < until {
        match rustix::io::write(&stderr, left) {
            Ok(written) => left = left.get(written..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => std::thread::sleep(Duration::from_millis(5)),
            Err(_) => return,
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
