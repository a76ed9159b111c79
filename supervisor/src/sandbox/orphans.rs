//! Ending what a killed init left, where no pid namespace ends it: orphans come to the supervisor, who
//! adopts them (`PR_SET_CHILD_SUBREAPER`), and are killed one by one until there is none.
//!
//! Init does this by itself, all at once; here is who does it when somebody outside has killed init.

use super::error::StartError;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd as _, BorrowedFd};
use rustix::fs::Timespec;
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process, pidfd_open, waitid,
};
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long one that was killed may take to be gone.
pub(super) const REAP_WITHIN: Duration = Duration::from_secs(10);

/// How often is looked whether a tracer has taken note.
const TRACER_LOOKS: Duration = Duration::from_millis(10);

/// The inits of this process's sandboxes, one of which may be a service of another; each is ended and
/// taken in by its own run.
static INITS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

fn inits() -> MutexGuard<'static, BTreeSet<i32>> {
    // Whoever panics ends this process.
    INITS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts an init. No other run's end takes it for an orphan.
///
/// # Errors
/// Those of `spawn`.
pub(crate) fn start<T, E>(
    spawn: impl FnOnce() -> Result<T, E>,
    pid: impl FnOnce(&T) -> Pid,
) -> Result<T, E> {
    let mut inits = inits();
    let init = spawn()?;
    inits.insert(pid(&init).as_raw_pid());
    Ok(init)
}

/// An init was taken in.
pub(crate) fn gone(init: Pid) {
    inits().remove(&init.as_raw_pid());
}

/// The children of this process, all of its threads'.
///
/// # Errors
/// Where `/proc` cannot be read, or the kernel keeps no such list (`CONFIG_PROC_CHILDREN`).
pub(crate) fn children() -> Result<BTreeSet<i32>, StartError> {
    let unread = |error: std::io::Error| {
        let errno = Errno::from_io_error(&error).unwrap_or(Errno::ILSEQ);
        StartError::call("read", "/proc/self/task/*/children", errno)
    };
    let mut all = BTreeSet::new();
    for thread in std::fs::read_dir("/proc/self/task").map_err(unread)? {
        let list = thread.map_err(unread)?.path().join("children");
        match std::fs::read_to_string(list) {
            Ok(list) => {
                all.extend(list.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok()))
            }
            // A thread that has ended since; its children are another's.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(unread(error)),
        }
    }
    Ok(all)
}

/// Kills every child that was none before, and whatever becomes one thereby. One that cannot be, or hangs, keeps no other
/// alive.
///
/// # Errors
/// The first, where they cannot be listed, killed or waited for.
pub(crate) fn end(before: &BTreeSet<i32>) -> Result<(), StartError> {
    // One run at a time, so that a number that is killed is still the child's.
    let inits = inits();
    let (mut stay, mut first) = (BTreeSet::new(), Ok(()));
    loop {
        let now = children()?;
        let left: Vec<Pid> = now
            .difference(before)
            .filter(|pid| !inits.contains(pid) && !stay.contains(*pid))
            .filter_map(|pid| Pid::from_raw(*pid))
            .filter(|pid| is_of_a_sandbox(*pid))
            .collect();
        if left.is_empty() {
            return first;
        }
        // Nobody but us takes them in, so each number is its own. All are killed before one is waited for: one may
        // trace another. It takes no descriptor, of which there are fewer than processes.
        let killed: Vec<_> = left.iter().map(|pid| kill_process(*pid, Signal::KILL)).collect();
        for (pid, killed) in left.into_iter().zip(killed) {
            let failed = |call| move |errno| StartError::call(call, pid.to_string(), errno);
            let gone = killed
                .map_err(failed("kill"))
                .and_then(|()| pidfd_open(pid, PidfdFlags::empty()).map_err(failed("pidfd_open")))
                .and_then(|pidfd| taken_in(pidfd.as_fd(), &pid.to_string(), REAP_WITHIN));
            if let Err(error) = gone {
                stay.insert(pid.as_raw_pid());
                first = first.and(Err(error));
            }
        }
    }
}

/// Takes in a child that is gone or killed, and says how it ended. One that hangs in the kernel, on a disk or a server
/// that does not answer, is not waited for for ever; nor is one whose tracer takes its end for itself (ptrace(2)).
///
/// # Errors
/// Where it is not gone by then, or cannot be waited for.
pub(super) fn taken_in(
    pidfd: BorrowedFd<'_>,
    who: &str,
    within: Duration,
) -> Result<WaitIdStatus, StartError> {
    let failed = |errno| StartError::call("waitid", who, errno);
    let late = Instant::now() + within;
    let within = Timespec::try_from(within).ok();
    let mut ended = [PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
    if retry_on_intr(|| poll(&mut ended, within.as_ref())).map_err(failed)? == 0 {
        return Err(failed(Errno::TIMEDOUT)
            .with_remedy("it was killed and hangs in the kernel: see what it waits for"));
    }
    let at_once = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    while Instant::now() < late {
        match retry_on_intr(|| waitid(WaitId::PidFd(pidfd), at_once)).map_err(failed)? {
            Some(status) => return Ok(status),
            None => std::thread::sleep(TRACER_LOOKS),
        }
    }
    Err(failed(Errno::TIMEDOUT)
        .with_remedy("it ended, but its tracer (strace, gdb) has not noticed: end the tracer"))
}

/// The shim begins a session, which nothing in it can leave for that of the supervisor; whatever the
/// supervisor starts for itself stays in its own.
fn is_of_a_sandbox(pid: Pid) -> bool {
    rustix::process::getsid(Some(pid)).ok() != rustix::process::getsid(None).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};

    #[test]
    #[expect(clippy::zombie_processes, reason = "it is taken in by what is tried")]
    fn one_that_does_not_end_is_not_waited_for_for_ever() {
        let mut child = Command::new("/bin/sleep").arg("60").spawn().unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        let late = taken_in(pidfd.as_fd(), "sleep", Duration::from_millis(10)).unwrap_err();
        assert!(late.line().contains("ETIMEDOUT"), "{}", late.line());
        child.kill().unwrap();
        let ended = taken_in(pidfd.as_fd(), "sleep", REAP_WITHIN).unwrap();
        assert_eq!(ended.terminating_signal(), Some(9));
    }

    #[test]
    fn one_whose_end_a_tracer_keeps_is_not_waited_for_for_ever() {
        const SEIZE: &str = "import ctypes, sys, time\n\
            if ctypes.CDLL(None).ptrace(0x4206, int(sys.argv[1]), 0, 0) == 0:\n\
            \x20   print('traced', flush=True)\n\
            \x20   time.sleep(60)";
        let mut child = Command::new("/bin/sleep").arg("60").spawn().unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        let mut tracer = Command::new("/usr/bin/python3");
        tracer.args(["-c", SEIZE, &child.id().to_string()]).stdout(Stdio::piped());
        let Ok(mut tracer) = tracer.spawn() else {
            child.kill().unwrap();
            child.wait().unwrap();
            return println!("not run: needs python3");
        };
        let mut said = String::new();
        BufReader::new(tracer.stdout.take().unwrap()).read_line(&mut said).unwrap();
        child.kill().unwrap();
        if said.is_empty() {
            tracer.wait().unwrap();
            child.wait().unwrap();
            return println!("not run: needs leave to trace");
        }
        let late = taken_in(pidfd.as_fd(), "sleep", Duration::from_millis(100)).unwrap_err();
        assert!(late.remedy().unwrap().contains("its tracer"), "{}", late.line());
        tracer.kill().unwrap();
        tracer.wait().unwrap();
        let ended = taken_in(pidfd.as_fd(), "sleep", REAP_WITHIN).unwrap();
        assert_eq!(ended.terminating_signal(), Some(9));
    }
}
