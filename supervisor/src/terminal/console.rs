//! Carrying between the caller's terminal and what the command has instead of it: keys one way, what
//! may be shown the other, through the filter. Each way holds one piece at a time between two ends; who
//! is slow holds up the other end.

mod last;

use super::filtering::Filtering;
use super::outer::Outer;
use super::piece::{Piece, attempt, ready};
use crate::sandbox::channel::watched;
use crate::sandbox::{Audit, StartError};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::termios::OptionalActions;
use sandboxd_profiles::{Escape, Profile, Wire};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Read at once of what is to be shown, and of what is typed.
const CHUNK: usize = 64 << 10;
const KEYS: usize = 4 << 10;
/// How often it is asked whether the terminal is ours again: a shell's `fg` does not always say so.
const LOOK: Duration = Duration::from_millis(200);

/// The ends of pipes that stand for the terminal, where the command has none of its own.
#[derive(Default)]
pub(crate) struct Pipes {
    /// What the command writes.
    pub(crate) shown: Option<OwnedFd>,
    /// What the command reads.
    pub(crate) typed: Option<OwnedFd>,
}

/// The caller's terminal and the command's side of it.
pub(crate) struct Console {
    outer: Outer,
    filtering: Filtering,
    /// Whether the command runs.
    begun: bool,
    /// Whether the command has a terminal of its own.
    own: bool,
    /// Whether we are in its foreground.
    ours: bool,
    shown: Option<AsyncFd<OwnedFd>>,
    typed: Option<AsyncFd<OwnedFd>>,
    to_show: Piece,
    to_type: Piece,
    /// What the guard knows to write.
    told_guard: Vec<u8>,
    /// Whether the terminal is gone.
    gone: bool,
}

impl Console {
    /// Opens the caller's terminal and begins to start the filter, where one of the command's streams
    /// stands for the terminal.
    ///
    /// # Errors
    /// Where it cannot be opened or waited on.
    pub(crate) fn prepare(
        wires: [Wire; 3],
        escapes: &[Escape],
        (run, audit): (&Profile, &Audit),
        pipes: Pipes,
    ) -> Result<Option<Self>, StartError> {
        let is_it = |wire: &Wire| matches!(wire, Wire::Terminal | Wire::Carried);
        let first = |order: [i32; 3]| {
            order
                .into_iter()
                .find(|stream| wires.get(usize::try_from(*stream).unwrap_or(0)).is_some_and(is_it))
        };
        let (Some(input), Some(output)) = (first([0, 1, 2]), first([1, 2, 0])) else {
            return Ok(None);
        };
        let own = wires.contains(&Wire::Terminal);
        // Whoever has no terminal to be answered on asks nothing.
        let may = |escape: &Escape| own || *escape != Escape::Reports;
        let escapes: Vec<Escape> = escapes.iter().copied().filter(may).collect();
        Ok(Some(Self {
            outer: Outer::open(input, output)?,
            filtering: Filtering::begin(&escapes, run, audit)?,
            begun: false,
            own,
            ours: false,
            shown: pipes.shown.map(watched).transpose()?,
            typed: pipes.typed.map(watched).transpose()?,
            to_show: Piece::default(),
            to_type: Piece::default(),
            told_guard: Vec::new(),
            gone: false,
        }))
    }

    /// Whether the command has a terminal of its own.
    pub(crate) fn is_own(&self) -> bool {
        self.own
    }

    /// Takes the other end of the command's terminal, makes it like the caller's, and begins.
    ///
    /// # Errors
    /// Where either terminal refuses, or the filter does not run.
    pub(crate) fn begin(&mut self, other_end: Option<OwnedFd>) -> Result<(), StartError> {
        self.filtering.started()?;
        self.begun = true;
        if !self.own {
            self.ours = self.outer.is_ours();
            return Ok(());
        }
        let failed = |errno| StartError::call("ioctl", "the command's terminal", errno);
        let end =
            other_end.ok_or_else(|| StartError::found("recvmsg", "the shim sent no terminal"))?;
        // In the background it is set as a shell that reads a line needs it; the kernel's own settings
        // are right then.
        if self.outer.is_ours() {
            let settings = self.outer.settings().map_err(failed)?;
            // What is set on this end is set for the command's.
            rustix::termios::tcsetattr(&end, OptionalActions::Now, &settings).map_err(failed)?;
        }
        let flags = rustix::fs::fcntl_getfl(&end).map_err(failed)?;
        rustix::fs::fcntl_setfl(&end, flags | rustix::fs::OFlags::NONBLOCK).map_err(failed)?;
        self.typed = Some(watched(rustix::io::fcntl_dupfd_cloexec(&end, 3).map_err(failed)?)?);
        self.shown = Some(watched(end)?);
        self.resized();
        self.look();
        Ok(())
    }

    /// The caller's terminal has another size.
    pub(crate) fn resized(&self) {
        if let (true, Some(end), Ok(size)) = (self.own, &self.shown, self.outer.size()) {
            // The kernel tells the command's foreground. An end that is gone needs no size.
            rustix::termios::tcsetwinsize(end.get_ref(), size).ok();
        }
    }

    /// Looks whether the terminal is ours, and takes it where it has become so.
    pub(crate) fn look(&mut self) {
        self.ours = self.outer.is_ours();
        if self.own && self.ours && !self.outer.is_raw() {
            // One that is gone says so when it is read.
            self.outer.make_raw().ok();
            self.resized();
        }
    }

    /// Gives the terminal back for the time in which we are stopped.
    pub(crate) fn leave(&mut self) {
        self.outer.restore();
        self.ours = false;
    }

    /// We were stopped, by whomever, and go on.
    pub(crate) fn continued(&mut self) {
        self.outer.renew();
        self.look();
        self.resized();
    }

    /// Carries, and returns when the caller's terminal is gone.
    ///
    /// # Errors
    /// Where the filter ended before the command did: nothing more may be shown.
    pub(crate) async fn hung_up(&mut self) -> Result<(), StartError> {
        loop {
            let next = self.next().await;
            match self.carry(next) {
                Carried::On => {}
                Carried::HungUp => return Ok(()),
                Carried::Unfiltered => {
                    return Err(StartError::found("read", "the terminal's filter ended"));
                }
            }
        }
    }

    /// What can be carried on with. Nothing is lost where this is not waited for to its end.
    async fn next(&self) -> Next {
        let (shows, types) = (self.to_show.is_empty(), self.to_type.is_empty());
        let Filtering { into, from, waiting, .. } = &self.filtering;
        let passed = waiting.is_empty();
        let keys = self.typed.as_ref().map(|_| &self.outer.input);
        tokio::select! {
            () = ready(self.shown.as_ref(), Interest::READABLE), if passed => Next::Output,
            () = ready(into.as_ref(), Interest::WRITABLE), if !passed => Next::Feed,
            () = ready(from.as_ref(), Interest::READABLE), if shows => Next::Filtered,
            () = ready(Some(&self.outer.output), Interest::WRITABLE), if !shows => Next::Show,
            () = ready(keys, Interest::READABLE), if types && self.ours => Next::Keys,
            () = ready(self.typed.as_ref(), Interest::WRITABLE), if !types => Next::Type,
            () = tokio::time::sleep(LOOK), if keys.is_some() && !self.ours => Next::Look,
            else => std::future::pending().await,
        }
    }

    /// Carries one piece one step.
    fn carry(&mut self, next: Next) -> Carried {
        let mut gone = false;
        match next {
            Next::Output => self.take_output(),
            Next::Feed => self.filtering.feed(self.shown.is_some()),
            Next::Filtered if !self.filtering.take(CHUNK, &mut self.to_show.bytes) => {
                self.to_show.clear();
                return Carried::Unfiltered;
            }
            Next::Filtered => {
                self.tell_guard();
                gone = self.show();
            }
            Next::Show => gone = self.show(),
            Next::Keys => {
                gone = self.take_keys();
                self.type_in();
            }
            Next::Type => self.type_in(),
            Next::Look => self.look(),
        }
        if gone { Carried::HungUp } else { Carried::On }
    }

    fn take_output(&mut self) {
        let Some(shown) = &self.shown else { return };
        let mut chunk = vec![0; CHUNK];
        match attempt(shown, Interest::READABLE, |end| rustix::io::read(end, &mut *chunk)) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            // A terminal whose other side nobody holds any more answers EIO.
            Ok(0) | Err(_) => self.shown = None,
            Ok(read) => {
                let read = chunk.get(..read).unwrap_or_default();
                self.filtering.waiting.bytes.extend_from_slice(read);
            }
        }
        self.filtering.feed(self.shown.is_some());
    }

    fn tell_guard(&mut self) {
        if self.outer.is_raw() {
            let undo = &self.filtering.state.undo;
            if *undo != self.told_guard {
                self.outer.on_our_death(undo);
                self.told_guard.clone_from(undo);
            }
        }
    }

    fn show(&mut self) -> bool {
        let Self { outer, to_show, .. } = self;
        match attempt(&outer.output, Interest::WRITABLE, |end| to_show.write(end)) {
            Ok(()) | Err(Errno::AGAIN | Errno::INTR) => false,
            // What can be shown to nobody is dropped, so that the command is not held up by it.
            Err(_) => {
                self.to_show.clear();
                !std::mem::replace(&mut self.gone, true)
            }
        }
    }

    fn take_keys(&mut self) -> bool {
        // Who has read the terminal dry before others had it need not be stopped for asking.
        self.ours = self.outer.is_ours();
        if !self.ours {
            return false;
        }
        let mut chunk = vec![0; KEYS];
        let read = attempt(&self.outer.input, Interest::READABLE, |end| {
            rustix::io::read(end, &mut *chunk)
        });
        match read {
            Ok(0) if !self.own => self.typed = None,
            Ok(0) | Err(Errno::IO) if self.outer.is_gone() => {
                self.typed = None;
                return !std::mem::replace(&mut self.gone, true);
            }
            Ok(read) => self.to_type.bytes.extend_from_slice(chunk.get(..read).unwrap_or_default()),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.ours = false,
        }
        false
    }

    fn type_in(&mut self) {
        let Self { typed, to_type, .. } = self;
        let Some(end) = typed else { return };
        match attempt(end, Interest::WRITABLE, |end| to_type.write(end)) {
            Ok(()) | Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => {
                to_type.clear();
                *typed = None;
            }
        }
    }
}

/// What became of a step.
enum Carried {
    /// It goes on.
    On,
    /// The caller's terminal turned out to be gone.
    HungUp,
    /// The filter ended, and nothing more may be shown.
    Unfiltered,
}

/// What is to be done next.
enum Next {
    /// The command wrote something.
    Output,
    /// The filter takes something.
    Feed,
    /// The filter let something pass.
    Filtered,
    /// The terminal takes something.
    Show,
    /// Somebody typed.
    Keys,
    /// The command's side takes something.
    Type,
    /// Whether the terminal is ours is to be asked again.
    Look,
}
