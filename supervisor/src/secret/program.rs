//! A program that prints a secret: started as whoever runs sandboxd, without a shell, and heard for a bounded
//! time.

use super::room;
use super::source::{MOST, fitted};
use crate::sandbox::StartError;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::io::{Errno, read, retry_on_intr};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use sandboxd_kernel::locked::Locked;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long one may take: a start takes half a minute at most.
const WITHIN: Duration = Duration::from_secs(20);

/// What a program prints, and its arguments. Its standard error is the caller's, so that whoever started
/// this sees what it says.
///
/// # Errors
/// Where it cannot be started, takes too long or fails.
pub(super) fn printed(
    name: &str,
    (program, arguments): (&str, &[&str]),
    input: Option<OwnedFd>,
) -> Result<Locked, StartError> {
    let remedy = "try it by hand, as whoever runs sandboxd";
    let failed = |what: &str| {
        StartError::found("secret", format!("{name}: {program} {what}")).with_remedy(remedy)
    };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(input.map_or_else(Stdio::null, Stdio::from))
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| StartError::io("execve", program, &error).with_remedy(remedy))?;
    let until = Instant::now() + WITHIN;
    let heard = heard(name, &mut child, until);
    let ended = matches!(heard, Ok(Some(_))) && ends(&child, until);
    if !ended {
        // What it did is of no interest any more; that it ended is waited for below.
        child.kill().ok();
    }
    let status = child.wait().map_err(|error| StartError::io("waitpid", program, &error))?;
    match heard?.filter(|_| ended) {
        None => Err(failed("took longer than 20 s, or does not stop printing")),
        Some(_) if !status.success() => Err(failed(&format!("failed ({status})"))),
        Some(printed) => Ok(printed),
    }
}

/// All that it prints; nothing where that does not end in time.
fn heard(name: &str, child: &mut Child, until: Instant) -> Result<Option<Locked>, StartError> {
    let Some(output) = child.stdout.take().map(OwnedFd::from) else { return Ok(None) };
    let mut bytes = room(name, MOST + 1)?;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let Ok(wait) = Timespec::try_from(left) else { return Ok(None) };
        match poll(&mut [PollFd::new(&output, PollFlags::IN)], Some(&wait)) {
            Ok(0) => return Ok(None),
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(StartError::call("poll", name, errno)),
        }
        let more = bytes.extend(|room| retry_on_intr(|| read(&output, &mut *room)));
        match more.map_err(|errno| StartError::call("read", name, errno))? {
            0 if bytes.bytes().len() > MOST => return Ok(None),
            0 => return fitted(name, &bytes).map(Some),
            _ => {}
        }
    }
}

/// Whether it ends in time: it may have closed what it prints to, and go on.
fn ends(child: &Child, until: Instant) -> bool {
    let Ok(pidfd) = pidfd_open(Pid::from_child(child), PidfdFlags::empty()) else { return false };
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let Ok(wait) = Timespec::try_from(left) else { return false };
        match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&wait)) {
            Err(Errno::INTR) => {}
            found => return found == Ok(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(script: &str) -> Result<Locked, StartError> {
        printed("model", ("/bin/sh", &["-c", script]), None)
    }

    #[test]
    fn what_it_prints_is_taken_and_nothing_else() {
        assert_eq!(says("echo hunter2; echo aside >&2").unwrap().bytes(), b"hunter2\n");
        assert!(says("exit 3").unwrap_err().line().contains("exit status: 3"));
        let line = says("exec cat /dev/zero").unwrap_err().line();
        assert!(line.contains("does not stop printing"), "{line}");
        assert!(printed("model", ("/nowhere", &[]), None).is_err());
    }

    #[test]
    fn one_that_closes_its_output_and_goes_on_is_not_waited_for() {
        let mut child = Command::new("/bin/sh").args(["-c", "sleep 60"]).spawn().unwrap();
        let within = |milliseconds| Instant::now() + Duration::from_millis(milliseconds);
        assert!(!ends(&child, within(20)));
        child.kill().unwrap();
        assert!(ends(&child, within(60_000)));
        child.wait().unwrap();
    }
}
