//! A program that prints a secret: started as whoever runs sandboxd, without a shell, and heard for a bounded
//! time, and while a run goes on, for no longer than that does.

use super::source::{MOST, fitted};
use super::until::{Late, Until};
use super::{Over, room};
use crate::sandbox::StartError;
use rustix::fd::OwnedFd;
use rustix::io::{read, retry_on_intr};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use sandboxd_kernel::locked::Locked;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

/// What a program prints, and its arguments. Its standard error is the caller's, so that whoever started
/// this sees what it says.
///
/// # Errors
/// Where it cannot be started, takes too long or fails, or the run is over.
pub(super) fn printed(
    name: &str,
    (program, arguments): (&str, &[&str]),
    input: Option<OwnedFd>,
    over: Over<'_>,
) -> Result<Locked, StartError> {
    let remedy = "run it by hand, as the user who runs sandboxd";
    let failed = |what: &str| {
        StartError::found("secret", format!("{name}: {program} {what}")).with_remedy(remedy)
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(input.map_or_else(Stdio::null, Stdio::from))
        .stdout(Stdio::piped());
    if over.is_some() {
        // What it started is ended with it. At a start it is of the caller's group, whose terminal it may ask by.
        command.process_group(0);
    }
    let mut child = command
        .spawn()
        .map_err(|error| StartError::io("execve", program, &error).with_remedy(remedy))?;
    let until = Until::begin(over);
    let heard = heard(name, &mut child, until).and_then(|heard| match heard {
        Ok(printed) => Ok(ends(&child, until)?.map(|()| printed)),
        Err(late) => Ok(Err(late)),
    });
    if !matches!(heard, Ok(Ok(_))) {
        // What it did is of no interest any more; that it ended is waited for below.
        child.kill().ok();
        if over.is_some() {
            // Not waited for yet, its number is nobody else's.
            kill_process_group(Pid::from_child(&child), Signal::KILL).ok();
        }
    }
    let status = child.wait().map_err(|error| StartError::io("waitpid", program, &error))?;
    match heard? {
        Err(Late::Time) => Err(failed("took longer than 20 s, or does not stop printing")),
        Err(Late::Over) => Err(super::over(name)),
        Ok(_) if !status.success() => Err(failed(&format!("failed ({status})"))),
        Ok(printed) => Ok(printed),
    }
}

/// All that it prints, where that ends in time.
fn heard(
    name: &str,
    child: &mut Child,
    until: Until<'_>,
) -> Result<Result<Locked, Late>, StartError> {
    let Some(output) = child.stdout.take().map(OwnedFd::from) else { return Ok(Err(Late::Time)) };
    let mut bytes = room(name, MOST + 1)?;
    loop {
        if let Err(late) = until.wait(name, &output)? {
            return Ok(Err(late));
        }
        let more = bytes.extend(|room| retry_on_intr(|| read(&output, &mut *room)));
        match more.map_err(|errno| StartError::call("read", name, errno))? {
            0 if bytes.bytes().len() > MOST => return Ok(Err(Late::Time)),
            0 => return fitted(name, &bytes).map(Ok),
            _ => {}
        }
    }
}

/// Whether it ends in time: it may have closed what it prints to, and go on.
fn ends(child: &Child, until: Until<'_>) -> Result<Result<(), Late>, StartError> {
    let pidfd = pidfd_open(Pid::from_child(child), PidfdFlags::empty())
        .map_err(|errno| StartError::call("pidfd_open", "a program of [secrets]", errno))?;
    until.wait("a program of [secrets]", &pidfd)
}

#[cfg(test)]
mod tests {
    use super::super::until::WITHIN;
    use super::*;
    use rustix::fd::{AsFd as _, AsRawFd as _};
    use rustix::pipe::{PipeFlags, pipe_with};
    use std::time::{Duration, Instant};

    fn says(script: &str) -> Result<Locked, StartError> {
        printed("model", ("/bin/sh", &["-c", script]), None, None)
    }

    #[test]
    fn what_it_prints_is_taken_and_nothing_else() {
        assert_eq!(says("echo hunter2; echo aside >&2").unwrap().bytes(), b"hunter2\n");
        assert!(says("exit 3").unwrap_err().line().contains("exit status: 3"));
        let line = says("exec cat /dev/zero").unwrap_err().line();
        assert!(line.contains("does not stop printing"), "{line}");
        assert!(printed("model", ("/nowhere", &[]), None, None).is_err());
    }

    #[test]
    fn one_that_closes_its_output_and_goes_on_is_not_waited_for() {
        let mut child = Command::new("/bin/sh").args(["-c", "sleep 60"]).spawn().unwrap();
        let within = |milliseconds| Until {
            time: Instant::now() + Duration::from_millis(milliseconds),
            over: None,
        };
        assert!(ends(&child, within(20)).unwrap().is_err());
        child.kill().unwrap();
        assert!(ends(&child, within(60_000)).unwrap().is_ok());
        child.wait().unwrap();
    }

    #[test]
    fn where_the_run_is_over_nothing_is_waited_for_and_nothing_of_it_stays() {
        // It says who it is on its way into another program, which has one of its own.
        for script in ["sleep 60", "exec >&-; sleep 60"] {
            let (closed, closes) = pipe_with(PipeFlags::CLOEXEC).unwrap();
            let (told, tells) = pipe_with(PipeFlags::empty()).unwrap();
            let script =
                format!("sleep 70 & echo $! >/proc/self/fd/{}; {script}; true", tells.as_raw_fd());
            let began = Instant::now();
            let read = std::thread::spawn(move || {
                printed("model", ("/bin/sh", &["-c", &script]), None, Some(closed.as_fd()))
                    .map(drop)
                    .unwrap_err()
                    .line()
            });
            let mut number = [0; 16];
            let length = rustix::io::read(&told, &mut number).unwrap();
            let number = std::str::from_utf8(&number[..length]).unwrap().trim().parse().unwrap();
            let below = pidfd_open(Pid::from_raw(number).unwrap(), PidfdFlags::empty()).unwrap();
            drop((closes, tells));
            assert!(read.join().unwrap().contains("the run is over"));
            let until = Until { time: Instant::now() + Duration::from_secs(10), over: None };
            assert!(until.wait("case", &below).unwrap().is_ok(), "what it started goes on");
            assert!(began.elapsed() < WITHIN, "it was waited for");
        }
    }
}
