//! What the command was refused: system calls, about which its filter asks here. The answer is always the
//! errno with which the plan's own filter refuses; nothing is ever let through.
//!
//! What is looked at of a call was copied by the kernel: its number, and arguments as numbers. Memory of the
//! command's is not read.

use super::channel::watched;
use super::error::StartError;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use sandboxd_kernel::seccomp::{self, Asked};
use sandboxd_plan::{Filter, Plan, Refusals};
use sandboxd_profiles::syscalls::{Action, evaluate, name};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep_until};

/// So many different refusals are told apart; of the rest it is only told how many they are.
const TOLD_APART: usize = 64;
/// So many are answered, and then none until the pause is over: whoever is refused without end uses up no CPU
/// but its own.
const BATCH: u32 = 32;
const PAUSE: Duration = Duration::from_millis(1);
/// `TASK_COMM_LEN`.
const LONGEST_NAME: usize = 16;

/// What the command was refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Denials {
    /// System calls that the filter refused, most often first.
    pub calls: Vec<DeniedCall>,
    /// Refused calls beyond those.
    pub others: u64,
    /// Why no refused call is known of; nothing where each is.
    pub unseen: Option<String>,
}

/// A system call that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeniedCall {
    /// Its name, or its number where it has none.
    pub call: String,
    /// The argument that decides, where one does: the family of a socket, the request of an ioctl.
    pub argument: Option<u64>,
    /// What it returned, errno(3).
    pub errno: i32,
    /// What the first thread that made it is called. It chose that name itself.
    pub by: String,
    /// How often.
    pub times: u64,
}

impl Denials {
    /// Whether nothing was refused, as far as is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty() && self.others == 0
    }
}

/// Number, deciding argument, errno.
type Key = (u32, Option<u64>, i32);

/// Answers what is refused.
pub(super) struct Refusing {
    listener: AsyncFd<OwnedFd>,
    filter: Filter,
    /// What is asked from now on is the command's: the shim's own tries are no news.
    counts: bool,
    seen: BTreeMap<Key, (String, u64)>,
    others: u64,
    /// How many were answered since the last pause, and until when there is one.
    answered: u32,
    rests_until: Option<Instant>,
}

impl Refusing {
    /// Takes over what the shim handed over.
    ///
    /// # Errors
    /// Where it cannot be waited on.
    pub(super) fn new(listener: OwnedFd, plan: &Plan) -> Result<Self, StartError> {
        seccomp::stay_on_one_cpu(listener.as_fd());
        Ok(Self {
            listener: watched(listener)?,
            filter: plan.command.syscalls.last().rules.clone(),
            counts: false,
            seen: BTreeMap::new(),
            others: 0,
            answered: 0,
            rests_until: None,
        })
    }

    /// Answers, and never returns.
    pub(super) async fn answer(&mut self) {
        loop {
            if let Some(until) = self.rests_until {
                sleep_until(until).await;
                self.rests_until = None;
            }
            let Ok(mut ready) = self.listener.readable().await else {
                return std::future::pending().await;
            };
            let waits = waits(self.listener.get_ref());
            if waits.contains(PollFlags::IN) {
                self.next();
            } else if waits.is_empty() {
                ready.clear_ready();
            } else {
                // Nobody is left who could ask.
                return std::future::pending().await;
            }
        }
    }

    fn next(&mut self) {
        // One that was taken back meanwhile needs no answer.
        let Ok(asked) = seccomp::receive(self.listener.get_ref().as_fd()) else { return };
        let errno = self.errno(&asked);
        if self.counts {
            self.count(&asked, errno);
        }
        // Likewise.
        seccomp::refuse(self.listener.get_ref().as_fd(), &asked, errno).ok();
        self.answered += 1;
        if self.answered >= BATCH {
            self.answered = 0;
            self.rests_until = Some(Instant::now() + PAUSE);
        }
    }

    /// What the plan's filter says.
    fn errno(&self, asked: &Asked) -> Errno {
        let number = u32::try_from(asked.number).unwrap_or(u32::MAX);
        match evaluate(&self.filter, number, asked.arguments) {
            Action::Errno(errno) => Errno::from_raw_os_error(errno),
            // It is asked about what that refuses and nothing else; if ever not, it is refused.
            Action::Allow | Action::Kill => Errno::NOSYS,
        }
    }

    fn count(&mut self, asked: &Asked, errno: Errno) {
        let number = u32::try_from(asked.number).unwrap_or(u32::MAX);
        let key = (number, deciding(number, &asked.arguments), errno.raw_os_error());
        if let Some((_, times)) = self.seen.get_mut(&key) {
            *times = times.saturating_add(1);
        } else if self.seen.len() < TOLD_APART {
            self.seen.insert(key, (self.name_of(asked), 1));
        } else {
            self.others = self.others.saturating_add(1);
        }
    }

    /// What the thread that asks calls itself; empty where that cannot be told.
    fn name_of(&self, asked: &Asked) -> String {
        let read = std::fs::read(format!("/proc/{}/comm", asked.pid)).unwrap_or_default();
        // Its number may be another's by now.
        if !seccomp::still_waits(self.listener.get_ref().as_fd(), asked) {
            return String::new();
        }
        let name = read.get(..LONGEST_NAME).unwrap_or(&read);
        String::from_utf8_lossy(name).trim_end_matches('\n').to_owned()
    }

    /// What the command was refused so far.
    pub(super) fn denials(&self) -> Denials {
        let calls = self.seen.iter().map(|((number, argument, errno), (by, times))| DeniedCall {
            call: name(*number).map_or_else(|| format!("call {number}"), str::to_owned),
            argument: *argument,
            errno: *errno,
            by: by.clone(),
            times: *times,
        });
        let mut calls: Vec<DeniedCall> = calls.collect();
        calls.sort_by_key(|call| std::cmp::Reverse(call.times));
        Denials { calls, others: self.others, unseen: None }
    }

    /// From now on it is the command that asks.
    pub(super) const fn begin(&mut self) {
        self.counts = true;
    }
}

/// What poll(2) says of it now.
fn waits(listener: &OwnedFd) -> PollFlags {
    let mut polled = [PollFd::new(listener, PollFlags::IN)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    match poll(&mut polled, Some(&at_once)) {
        Ok(_) => polled.first().map_or(PollFlags::empty(), PollFd::revents),
        Err(_) => PollFlags::empty(),
    }
}

/// The argument by which the filter tells such calls apart, where it is one of a few.
fn deciding(number: u32, arguments: &[u64; 6]) -> Option<u64> {
    let place = match name(number)? {
        "socket" | "socketpair" | "personality" | "prctl" => 0,
        "ioctl" => 1,
        _ => return None,
    };
    arguments.get(place).map(|argument| argument & 0xffff_ffff)
}

/// What is known where nobody was asked.
pub(super) fn unseen(plan: &Plan, listeners: bool) -> Denials {
    let why = match (&plan.refusals, listeners, plan.command.syscalls.iter().count()) {
        (Refusals::Supervisor(_), ..) => "it ended before it ran",
        (Refusals::Kernel, false, _) => {
            "sandboxd is itself under a filter, as in most containers, or the kernel is older than 5.19"
        }
        (Refusals::Kernel, true, 1) => {
            "the filter leaves the shim no way to hand over its listener"
        }
        (Refusals::Kernel, true, _) => "under several profiles, the kernel alone denies calls",
    };
    Denials { unseen: Some(why.to_owned()), ..Denials::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Pid, getpriority_process};
    use rustix::thread::set_no_new_privs;
    use sandboxd_kernel::seccomp::Instruction;

    /// Asks about getpriority(2), 140.
    const PROGRAM: [Instruction; 4] = [
        Instruction { code: 0x20, jt: 0, jf: 0, k: 0 },
        Instruction { code: 0x15, jt: 0, jf: 1, k: 140 },
        Instruction { code: 6, jt: 0, jf: 0, k: 0x7fc0_0000 },
        Instruction { code: 6, jt: 0, jf: 0, k: 0x7fff_0000 },
    ];

    /// The kernel's part of the promise: where nobody answers any more, nothing is let through.
    #[test]
    fn where_nobody_answers_any_more_a_call_is_refused() {
        let thread = std::thread::spawn(|| {
            set_no_new_privs(true).unwrap();
            let listener = match seccomp::install_asking(&PROGRAM) {
                Ok(listener) => listener,
                // A filter around the tests, or an old kernel.
                Err(errno) => return eprintln!("not tried: {errno}"),
            };
            let asks = std::thread::spawn(|| getpriority_process(None::<Pid>));
            while !waits(&listener).contains(PollFlags::IN) {
                std::thread::yield_now();
            }
            let asked = seccomp::receive(listener.as_fd()).unwrap();
            assert_eq!(asked.number, 140);
            seccomp::refuse(listener.as_fd(), &asked, Errno::DOM).unwrap();
            assert_eq!(asks.join().unwrap(), Err(Errno::DOM));
            let waiting = std::thread::spawn(|| getpriority_process(None::<Pid>));
            while !waits(&listener).contains(PollFlags::IN) {
                std::thread::yield_now();
            }
            drop(listener);
            assert_eq!(waiting.join().unwrap(), Err(Errno::NOSYS));
            assert_eq!(getpriority_process(None::<Pid>), Err(Errno::NOSYS));
        });
        thread.join().unwrap();
    }
}
