//! The time a start may take, and what it was at when that is over.
//!
//! A path on a server that is gone, an automounter or a FUSE daemon that never answers would otherwise
//! hold a start for ever. Two look at the clock: `driver`, once there is a shim, who sees in which
//! stage and call it waits; and the thread of `ahead`, for as long as the supervisor itself may wait in
//! a call, who is told with [`doing`] what that is about.

use super::driver::Driver;
use super::error::StartError;
use super::inspect::{filters, pid_of};
use super::state::{Event, State};
use rustix::fd::AsFd as _;
use rustix::io::Errno;
use sandboxd_plan::{Call, Failure, Stage};
use std::fs;
use std::os::unix::fs::FileExt;
use std::sync::Mutex;
use std::time::Duration;

/// From the call of `sandboxd` to the first instruction of the command. A start takes milliseconds; two
/// hundred at once on a busy machine with two processors take seconds; an automounter gives up after
/// some ten, and who waits for a command waits no longer than half a minute without asking why.
pub(crate) const START_WITHIN: Duration = Duration::from_secs(30);

/// How much longer the thread of `ahead` waits, so that it is `driver` who tells where it can.
pub(crate) const MARGIN: Duration = Duration::from_secs(2);

static DOING: Mutex<String> = Mutex::new(String::new());

/// Says what the supervisor does next that may take for ever: "looking at /srv".
pub(crate) fn doing(what: impl Into<String>) {
    if let Ok(mut doing) = DOING.lock() {
        *doing = what.into();
    }
}

/// That the supervisor itself is late.
pub(crate) fn own() -> StartError {
    let doing = DOING.lock().map(|doing| doing.clone()).unwrap_or_default();
    let seconds = START_WITHIN.as_secs();
    StartError::call("deadline", format!("{doing}, for {seconds} s"), Errno::TIMEDOUT)
        .with_remedy(REMEDY)
}

/// What to do about either.
pub(crate) const REMEDY: &str = "something that it waits for does not respond (a path on a network or FUSE mount, an automounter, a disk, or a stopped process): make it respond, or remove the path from the profile";

/// That a process of the shim is late: the stage by its name, the call by what the kernel says it
/// waits in.
pub(crate) fn of_shim(process: i32, sealed_in: Stage) -> Failure {
    let read = |name: &str| fs::read_to_string(format!("/proc/{process}/{name}"));
    let name = read("comm").unwrap_or_default();
    // The supervisor may itself be behind a filter, which the shim then is too.
    let own = fs::read_to_string("/proc/self/status").ok().and_then(|status| filters(&status));
    let sealed = read("status").is_ok_and(|status| filters(&status) > own);
    let stage = if sealed { sealed_in } else { stage(name.trim()) };
    let call = read("syscall").ok().and_then(|call| waiting(process, &call));
    let call = call.unwrap_or_else(|| String::from("no call"));
    Failure {
        stage,
        call: Call::Deadline,
        subject: format!("{call}, for {} s", START_WITHIN.as_secs()),
        errno: Errno::TIMEDOUT.raw_os_error(),
    }
}

fn stage(name: &str) -> Stage {
    let known = Stage::ALL.iter().copied().find(|stage| stage.name() == name);
    // Init has its own name from the last of its stages on, and none of ours before the first.
    known.unwrap_or(if name == "sandboxd-init" { Stage::Seccomp } else { Stage::Session })
}

/// The call in a line of `/proc/<pid>/syscall`, proc(5), with what it is about where that is a path.
fn waiting(process: i32, line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let name = sandboxd_profiles::syscalls::name(words.next()?.parse().ok()?)?;
    let mut number = || u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok();
    let path = match name {
        "openat" | "openat2" | "open_tree" | "newfstatat" | "statx" | "mkdirat" | "execveat" => {
            let folder = number()?;
            text(process, number()?).or_else(|| {
                let link = fs::read_link(format!("/proc/{process}/fd/{folder}")).ok()?;
                Some(link.to_string_lossy().into_owned())
            })
        }
        "execve" | "chdir" => text(process, number()?),
        _ => None,
    };
    Some(path.map_or_else(|| name.to_owned(), |path| format!("{name} of {path}")))
}

/// A text in the shim's memory.
fn text(process: i32, address: u64) -> Option<String> {
    let mut bytes = [0; 256];
    let memory = fs::File::open(format!("/proc/{process}/mem")).ok()?;
    let length = memory.read_at(&mut bytes, address).ok()?;
    let bytes = bytes.get(..length)?;
    let end = bytes.iter().position(|byte| *byte == 0)?;
    Some(String::from_utf8_lossy(bytes.get(..end)?).into_owned()).filter(|text| !text.is_empty())
}

impl Driver<'_> {
    /// The start is not over in time. Where it is, because the command runs, nothing is to be done.
    pub(super) fn late(&self) -> Event {
        let init = self.init.as_raw_pid();
        let command = self.command.as_ref().and_then(|pidfd| pid_of(pidfd.as_fd()).ok());
        let failure = match &self.state {
            // Init is confined and told so; the command's half is not.
            State::Entering { enforced: None, ready: true, .. } => {
                of_shim(command.unwrap_or(init), Stage::SelfTest)
            }
            State::Entering { .. } => of_shim(init, Stage::Seccomp),
            State::Entered => of_shim(command.unwrap_or(init), Stage::Exec),
            State::Held | State::Running(_) | State::Stopping { .. } | State::Ended(_) => {
                return Event::Tick;
            }
        };
        doing(format!("ending the stage {}: {}", failure.stage.name(), failure.subject));
        Event::Failed(failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_is_known_by_the_name_the_shim_gives_itself() {
        for one in Stage::ALL {
            assert_eq!(stage(one.name()), *one);
        }
        assert_eq!(stage("sandboxd-init"), Stage::Seccomp);
        assert_eq!(stage("3"), Stage::Session);
    }

    #[test]
    fn a_process_that_is_in_no_call_waits_in_none() {
        assert_eq!(waiting(0, "running\n"), None);
        assert_eq!(waiting(0, "-1 0x7ffc 0x7f\n"), None);
        assert_eq!(waiting(0, "0 0x0 0x0 0x0 0x0 0x0 0x0 0x0 0x0\n").as_deref(), Some("read"));
    }
}
