//! A terminal as a person has it: typed into on one side, looked at on the same, with `sandboxd` or a
//! shell that starts it on the other.

use crate::patience;
use crate::raw::{self, Argument};
use anyhow::{Context as _, Result, bail, ensure};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::openpty;
use nix::sys::termios::{LocalFlags, Termios, tcgetattr};
use nix::unistd::Pid;
use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long something may take to be seen. A machine that is busy with other things is slow.
fn most() -> Duration {
    patience(Duration::from_secs(30))
}

/// A terminal. Dropping it hangs up.
#[derive(Debug)]
pub struct Terminal {
    master: File,
    slave: Option<OwnedFd>,
    path: PathBuf,
    /// What was shown and not yet looked for.
    shown: RefCell<Vec<u8>>,
}

impl Terminal {
    /// A new one, 80 columns wide and 24 lines high, set as terminals are.
    ///
    /// # Errors
    /// Where the host has no more.
    pub fn new() -> Result<Self> {
        let pty = openpty(None, None)?;
        let path = fs::read_link(format!("/proc/self/fd/{}", pty.slave.as_raw_fd()))?;
        let terminal = Self {
            master: File::from(pty.master),
            slave: Some(pty.slave),
            path,
            shown: RefCell::default(),
        };
        terminal.resize(80, 24)?;
        Ok(terminal)
    }

    /// Its name.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it another size.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn resize(&self, columns: u16, lines: u16) -> Result<()> {
        let size = [lines, columns, 0, 0].map(u16::to_ne_bytes).concat();
        let end = u64::from(self.master.as_raw_fd().cast_unsigned());
        let mut words =
            [Argument::Number(end), Argument::Number(libc::TIOCSWINSZ), Argument::Bytes(&size)];
        raw::call(libc::SYS_ioctl, &mut words)?;
        Ok(())
    }

    /// The other side of it, as the caller of `sandboxd` has it.
    ///
    /// # Errors
    /// Where there are no more descriptors.
    pub fn other_side(&self) -> Result<OwnedFd> {
        Ok(self.slave.as_ref().context("hung up")?.try_clone()?)
    }

    /// The session whose terminal it is.
    ///
    /// # Errors
    /// Where it is nobody's.
    pub fn session(&self) -> Result<Pid> {
        Ok(nix::sys::termios::tcgetsid(&self.master)?)
    }

    /// Types.
    ///
    /// # Errors
    /// Where nobody takes it.
    pub fn types(&self, keys: &str) -> Result<()> {
        (&self.master).write_all(keys.as_bytes()).context("typing")
    }

    /// How it is set now.
    ///
    /// # Errors
    /// Where the kernel does not say.
    pub fn settings(&self) -> Result<Termios> {
        Ok(tcgetattr(&self.master)?)
    }

    /// Waits until it hands on each key as it is typed, or, without `raw`, whole lines.
    ///
    /// # Errors
    /// Where it does not come to that.
    pub fn becomes(&self, raw: bool) -> Result<()> {
        self.until(|| Ok(self.settings()?.local_flags.contains(LocalFlags::ICANON) != raw))
            .with_context(|| format!("raw: {raw} expected; it shows {:?}", self.pending()))
    }

    /// Waits until it shows these words, and gives what was shown up to their end.
    ///
    /// # Errors
    /// Where they do not come.
    pub fn shows(&self, words: &str) -> Result<String> {
        let mut found = None;
        let seen = self.until(|| {
            self.look(20)?;
            let mut shown = self.shown.borrow_mut();
            let at = shown.windows(words.len()).position(|piece| piece == words.as_bytes());
            found = at.map(|at| shown.drain(..at + words.len()).collect::<Vec<u8>>());
            Ok(found.is_some())
        });
        seen.with_context(|| format!("{words:?} is not shown, but {:?}", self.pending()))?;
        Ok(String::from_utf8_lossy(&found.unwrap_or_default()).into_owned())
    }

    /// What it has shown since it was last looked for something.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn rest(&self) -> Result<Vec<u8>> {
        while self.look(100)? {}
        Ok(self.shown.take())
    }

    /// What somebody on the other side, who may, would read now.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn unread(&self) -> Result<Vec<u8>> {
        let slave = self.other_side()?;
        let mut all = Vec::new();
        while waits(slave.as_fd(), 300)? {
            let mut piece = [0; 4096];
            let read = File::from(slave.try_clone()?).read(&mut piece)?;
            all.extend_from_slice(piece.get(..read).unwrap_or_default());
        }
        Ok(all)
    }

    fn pending(&self) -> String {
        const MOST: usize = 400;
        let shown = self.shown.borrow();
        let from = shown.len().saturating_sub(MOST);
        String::from_utf8_lossy(shown.get(from..).unwrap_or_default()).into_owned()
    }

    /// Takes what there is, for so many milliseconds at most; whether there was something.
    fn look(&self, milliseconds: u16) -> Result<bool> {
        if !waits(self.master.as_fd(), milliseconds)? {
            return Ok(false);
        }
        let mut piece = [0; 4096];
        let read = (&self.master).read(&mut piece)?;
        self.shown.borrow_mut().extend_from_slice(piece.get(..read).unwrap_or_default());
        Ok(read > 0)
    }

    fn until(&self, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
        let until = Instant::now() + most();
        while !holds()? {
            ensure!(Instant::now() < until, "not within {} s", most().as_secs());
            if !self.look(20)? {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        Ok(())
    }
}

fn waits(end: std::os::fd::BorrowedFd<'_>, milliseconds: u16) -> Result<bool> {
    let mut ready = [PollFd::new(end, PollFlags::POLLIN)];
    match poll(&mut ready, PollTimeout::from(milliseconds)) {
        Ok(count) => Ok(count > 0),
        Err(nix::errno::Errno::EINTR) => Ok(false),
        Err(error) => bail!(error),
    }
}
