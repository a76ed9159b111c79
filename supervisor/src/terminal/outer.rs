//! The caller's terminal itself: reading, writing, its settings, who is in its foreground.
//!
//! termios(3), ioctl_tty(2), and job control as credentials(7) and tcsetpgrp(3) have it. It is opened
//! anew, so that what is set for our reading and writing is not set for the caller's descriptors.

use crate::sandbox::StartError;
use crate::sandbox::channel::watched;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::termios::{LocalModes, OptionalActions, QueueSelector, Termios, Winsize};
use sandboxd_kernel::guard::{Guard, Settings, settings};
use sandboxd_kernel::signals;
use tokio::io::unix::AsyncFd;

/// The caller's terminal.
pub(super) struct Outer {
    pub(super) input: AsyncFd<OwnedFd>,
    pub(super) output: AsyncFd<OwnedFd>,
    /// While it is ours: what it was before, and what was made of it.
    raw: Option<Raw>,
    /// Puts the settings back where we cannot.
    guard: Option<Guard>,
}

#[derive(Clone)]
struct Raw {
    before: Termios,
    /// The same, as the guard takes it.
    known: Settings,
    now: Termios,
}

impl Outer {
    /// Opens the terminal that is one of our standard streams: `input` to read, `output` to write.
    ///
    /// # Errors
    /// Where it may not be opened.
    pub(super) fn open(input: i32, output: i32) -> Result<Self, StartError> {
        Ok(Self {
            input: watched(anew(input, OFlags::RDONLY)?)?,
            output: watched(anew(output, OFlags::WRONLY)?)?,
            raw: None,
            guard: None,
        })
    }

    /// Whether our process group is the one that may read. A terminal that is not our session's keeps
    /// nobody from reading.
    pub(super) fn is_ours(&self) -> bool {
        let group = rustix::termios::tcgetpgrp(self.input.get_ref());
        group.map_or(true, |group| group == rustix::process::getpgrp())
    }

    pub(super) fn is_raw(&self) -> bool {
        self.raw.is_some()
    }

    /// Hands every key on as it comes, and draws nothing of its own.
    ///
    /// # Errors
    /// Where the terminal refuses.
    pub(super) fn make_raw(&mut self) -> rustix::io::Result<()> {
        let terminal = self.input.get_ref();
        let before = rustix::termios::tcgetattr(terminal)?;
        let mut now = before.clone();
        now.make_raw();
        if self.guard.is_none() {
            self.guard = Some(Guard::start(terminal.as_fd(), self.output.get_ref().as_fd())?);
        }
        let known = settings(terminal.as_fd())?;
        self.set(Raw { before, known, now })
    }

    /// Keys that make signals make them, and no longer go to the command.
    pub(super) fn hear_signals(&mut self) {
        let Some(Raw { before, known, mut now }) = self.raw.clone() else { return };
        let heard = before.local_modes & LocalModes::ISIG;
        if self.is_ours() && !now.local_modes.contains(heard) {
            now.local_modes |= heard;
            // One that is gone makes none.
            self.set(Raw { before, known, now }).ok();
        }
    }

    fn set(&mut self, raw: Raw) -> rustix::io::Result<()> {
        let terminal = self.input.get_ref();
        rustix::termios::tcsetattr(terminal, OptionalActions::Now, &raw.now)?;
        if let Some(guard) = &self.guard {
            guard.watch(&raw.known, &settings(terminal.as_fd())?)?;
        }
        self.raw = Some(raw);
        Ok(())
    }

    /// Gives the terminal back as it was, unless somebody else has set it meanwhile.
    pub(super) fn restore(&mut self) {
        let Some(Raw { before, now, .. }) = self.raw.take() else { return };
        let terminal = self.input.get_ref();
        let set = rustix::termios::tcgetattr(terminal);
        if set.is_ok_and(|set| is_same(&set, &now)) {
            // It may be gone, and then there is nothing to restore.
            undisturbed(|| rustix::termios::tcsetattr(terminal, OptionalActions::Now, &before))
                .ok();
        }
        if let Some(guard) = &self.guard {
            guard.rest().ok();
        }
    }

    /// Makes it raw again where it was and somebody set it meanwhile.
    pub(super) fn renew(&mut self) {
        if let Some(Raw { now, .. }) = &self.raw
            && self.is_ours()
        {
            // One that is gone says so when it is read.
            rustix::termios::tcsetattr(self.input.get_ref(), OptionalActions::Now, now).ok();
        }
    }

    /// Whether nobody holds the other end any more.
    pub(super) fn is_gone(&self) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut terminal = [PollFd::new(self.input.get_ref(), PollFlags::IN)];
        let asked = poll(&mut terminal, Some(&now));
        asked.is_ok() && terminal.iter().any(|end| end.revents().contains(PollFlags::HUP))
    }

    /// What the guard writes, where we cannot, to undo what the command left on.
    pub(super) fn on_our_death(&self, undo: &[u8]) {
        if let Some(guard) = &self.guard {
            guard.undo(undo).ok();
        }
    }

    /// Forgets what was sent and not read, answers that nobody waits for any more; but what comes in while
    /// the terminal is not ours is for whoever has it.
    pub(super) fn forget_input(&self) {
        if self.is_ours() {
            let terminal = self.input.get_ref();
            undisturbed(|| rustix::termios::tcflush(terminal, QueueSelector::IFlush)).ok();
        }
    }

    pub(super) fn size(&self) -> rustix::io::Result<Winsize> {
        rustix::termios::tcgetwinsize(self.output.get_ref())
    }

    pub(super) fn settings(&self) -> rustix::io::Result<Termios> {
        match &self.raw {
            Some(Raw { before, .. }) => Ok(before.clone()),
            None => rustix::termios::tcgetattr(self.input.get_ref()),
        }
    }
}

impl Drop for Outer {
    fn drop(&mut self) {
        self.restore();
    }
}

/// Gives something of the terminal back. Who does that from the background is not stopped for it (`SIGTTOU`,
/// tcsetattr(3)): nobody might continue us before it is done. Who takes something is.
pub(super) fn undisturbed(what: impl FnOnce() -> rustix::io::Result<()>) -> rustix::io::Result<()> {
    let mask = signals::block_all()?;
    let done = what();
    signals::set_mask(mask)?;
    done
}

fn is_same(one: &Termios, other: &Termios) -> bool {
    (one.input_modes, one.output_modes, one.local_modes)
        == (other.input_modes, other.output_modes, other.local_modes)
}

/// Another description of a terminal that we hold, which does not block.
fn anew(stream: i32, access: OFlags) -> Result<OwnedFd, StartError> {
    let flags = access | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let path = format!("/proc/self/fd/{stream}");
    let failed = |errno| {
        StartError::call("open", format!("the terminal of descriptor {stream}"), errno).with_remedy(
            "the terminal belongs to another user: log in as the one who runs sandboxd, or run it in script(1)",
        )
    };
    match rustix::fs::open(&path, flags, Mode::empty()) {
        // After su(1) the terminal is still the other user's; by this name it is always ours.
        Err(Errno::ACCESS) if is_our_sessions(stream) => {
            rustix::fs::open("/dev/tty", flags, Mode::empty()).map_err(failed)
        }
        opened => opened.map_err(failed),
    }
}

fn is_our_sessions(stream: i32) -> bool {
    let held: Result<BorrowedFd<'_>, Errno> = sandboxd_kernel::fds::inherited(stream);
    let session = held.and_then(rustix::termios::tcgetsid);
    session.is_ok_and(|session| rustix::process::getsid(None) == Ok(session))
}
