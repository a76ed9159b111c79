//! A process that waits for the end of the one that started it, and then does what that one can no
//! longer do itself, however it ended: gives a terminal back as it was (ioctl_tty(2) `TCSETS2`), or
//! ends a stop.

use crate::clone::CLONE_PIDFD;
use crate::fds::{close_from, number};
use crate::process::{Started, exit};
use crate::signals;
use crate::syscall::syscall;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use rustix::io::{Errno, Result};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, socketpair};
use rustix::process::{Pid, Signal};

/// `struct termios2` of asm-generic/termbits.h.
pub type Settings = [u8; 44];

const TCGETS2: usize = 0x802c_542a;
const TCSETS2: usize = 0x402c_542b;
/// As long as a word to the guard gets.
const LONGEST: usize = 1024;

/// The settings of a terminal, as the kernel keeps them.
///
/// # Errors
/// `ENOTTY`, and `EIO` where it is gone.
pub fn settings(terminal: BorrowedFd<'_>) -> Result<Settings> {
    let mut settings: Settings = [0; 44];
    let arguments = [number(terminal), TCGETS2, settings.as_mut_ptr().addr(), 0, 0, 0];
    // SAFETY: the kernel writes a `struct termios2`, which is 44 bytes, to `settings`.
    unsafe { syscall(libc::SYS_ioctl, arguments) }?;
    Ok(settings)
}

fn set(terminal: BorrowedFd<'_>, settings: &Settings) -> Result<()> {
    let arguments = [number(terminal), TCSETS2, settings.as_ptr().addr(), 0, 0, 0];
    // SAFETY: the kernel reads a `struct termios2`, which is 44 bytes, from `settings`.
    unsafe { syscall(libc::SYS_ioctl, arguments) }.map(drop)
}

/// The process, and how it is spoken to. It holds the terminal and the other end of this socket, and
/// ends when the socket does.
#[derive(Debug)]
pub struct Guard {
    /// Only taken when it is ended.
    words: Option<OwnedFd>,
    started: Started,
}

impl Guard {
    /// Starts one for a terminal, open to read under one descriptor and to write under the other,
    /// which may not block.
    ///
    /// # Errors
    /// Those of socketpair(2) and clone(2).
    pub fn start(input: BorrowedFd<'_>, output: BorrowedFd<'_>) -> Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        let (words, heard) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        let mut pidfd: i32 = -1;
        // clone(2), which filters around containers let through; no handler runs, because every signal
        // stays blocked in the child.
        let flags = usize::try_from(CLONE_PIDFD).map_err(|_| Errno::INVAL)?;
        let arguments = [flags, 0, (&raw mut pidfd).expose_provenance(), 0, 0, 0];
        // Not even the first instructions of the child are disturbed.
        let mask = signals::block_all()?;
        let starter = rustix::process::getpid();
        // SAFETY: the kernel writes a descriptor to `pidfd`. The child, in a copy of
        // this memory, makes nothing but system calls, on buffers of its own stack.
        let cloned = unsafe { syscall(libc::SYS_clone, arguments) };
        if cloned == Ok(0) {
            watch(starter, heard.as_fd(), input, output);
        }
        signals::set_mask(mask)?;
        let pid = i32::try_from(cloned?).ok().and_then(Pid::from_raw).ok_or(Errno::OVERFLOW)?;
        // SAFETY: the kernel made this descriptor for us and nobody else owns it.
        let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
        Ok(Self { words: Some(words), started: Started { pid, pidfd } })
    }

    /// The terminal was set from one to the other: at our end it is set back, if it is then as it is
    /// now.
    ///
    /// # Errors
    /// `EPIPE` where the guard was killed.
    pub fn watch(&self, before: &Settings, now: &Settings) -> Result<()> {
        let mut word = [0; 89];
        word[0] = b'w';
        word[1..45].copy_from_slice(before);
        word[45..].copy_from_slice(now);
        self.say(&word)
    }

    /// The terminal is as it was: nothing is to be done.
    ///
    /// # Errors
    /// `EPIPE` where the guard was killed.
    pub fn rest(&self) -> Result<()> {
        self.say(b"r")
    }

    /// What is to be written to the terminal where it is set back. What is longer than any that is
    /// known is not.
    ///
    /// # Errors
    /// `EPIPE` where the guard was killed.
    pub fn undo(&self, bytes: &[u8]) -> Result<()> {
        let mut word = [0; LONGEST];
        let Some(room) = word.get_mut(1..=bytes.len()) else { return Err(Errno::MSGSIZE) };
        room.copy_from_slice(bytes);
        word[0] = b'u';
        self.say(word.get(..=bytes.len()).unwrap_or_default())
    }

    /// Continues the process that started it, once, after that time.
    ///
    /// # Errors
    /// `EPIPE` where the guard was killed.
    pub fn wake_in(&self, milliseconds: u32) -> Result<()> {
        let [a, b, c, d] = milliseconds.to_ne_bytes();
        self.say(&[b't', a, b, c, d])
    }

    /// Whether [`wake_in`](Self::wake_in) has happened.
    #[must_use]
    pub fn has_woken(&self) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let Some(words) = &self.words else { return false };
        let mut said = [PollFd::new(words, PollFlags::IN)];
        poll(&mut said, Some(&now)).is_ok_and(|count| count > 0)
    }

    fn say(&self, word: &[u8]) -> Result<()> {
        let Some(words) = &self.words else { return Err(Errno::PIPE) };
        rustix::net::send(words, word, SendFlags::NOSIGNAL | SendFlags::DONTWAIT).map(drop)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.words.take());
        const WCLONE: usize = 0x8000_0000;
        const P_PIDFD: usize = 3;
        const WEXITED: usize = 4;
        let fd = usize::try_from(self.started.pidfd.as_raw_fd()).unwrap_or(usize::MAX);
        // It has no exit signal, so only __WCLONE sees it.
        let arguments = [P_PIDFD, fd, 0, WEXITED | WCLONE, 0, 0];
        // SAFETY: with null pointers for the information and the usage, waitid writes nothing.
        let ended = unsafe { syscall(libc::SYS_waitid, arguments) };
        // One that is not there any more need not be waited for.
        ended.ok();
    }
}

/// What the guard was told last.
struct Told {
    /// Before and now.
    settings: Option<(Settings, Settings)>,
    undo: [u8; LONGEST],
    undo_length: usize,
    wake: Option<u32>,
}

/// The child. A group of its own keeps the keys and the signals of its starter's from it; in the
/// session it stays, because a terminal may be set from within alone. With every signal blocked it is
/// not stopped for setting it from the background, tcsetattr(3).
fn watch(starter: Pid, heard: BorrowedFd<'_>, input: BorrowedFd<'_>, output: BorrowedFd<'_>) -> ! {
    let placed = place(heard, input, output);
    if placed.is_err() || rustix::process::setpgid(None, None).is_err() {
        exit(1);
    }
    // The name is for ps(1) alone.
    rustix::thread::set_name(c"sandboxd-guard").ok();
    let mut told = Told { settings: None, undo: [0; LONGEST], undo_length: 0, wake: None };
    // SAFETY: `place` put these three there, and nothing closes them.
    let heard = unsafe { BorrowedFd::borrow_raw(0) };
    // SAFETY: as above.
    let terminal = unsafe { BorrowedFd::borrow_raw(1) };
    // SAFETY: as above.
    let output = unsafe { BorrowedFd::borrow_raw(2) };
    while hear(starter, heard, &mut told) {}
    if let Some((before, now)) = &told.settings
        && settings(terminal).as_ref() == Ok(now)
    {
        // Nobody is left to be told of a failure.
        set(terminal, before).ok();
        rustix::io::write(output, told.undo.get(..told.undo_length).unwrap_or_default()).ok();
    }
    exit(0)
}

/// Keeps the three descriptors as 0, 1 and 2, and closes all others.
fn place(heard: BorrowedFd<'_>, input: BorrowedFd<'_>, output: BorrowedFd<'_>) -> Result<()> {
    // Copies first, so that none is overwritten before it is placed.
    let copies = [
        rustix::io::fcntl_dupfd_cloexec(heard, 64)?,
        rustix::io::fcntl_dupfd_cloexec(input, 64)?,
        rustix::io::fcntl_dupfd_cloexec(output, 64)?,
    ];
    for (target, copy) in copies.iter().enumerate() {
        // SAFETY: dup2 takes two integers; this process has a table of its own, and whatever the low
        // numbers were is no value of the child's.
        unsafe { syscall(libc::SYS_dup2, [number(copy.as_fd()), target, 0, 0, 0, 0]) }?;
    }
    core::mem::forget(copies);
    close_from(3)
}

/// Takes one word, and says whether there may be more.
fn hear(starter: Pid, words: BorrowedFd<'_>, told: &mut Told) -> bool {
    let left = told.wake.map(|milliseconds| Timespec {
        tv_sec: i64::from(milliseconds / 1000),
        tv_nsec: i64::from(milliseconds % 1000) * 1_000_000,
    });
    let mut ready = [PollFd::from_borrowed_fd(words, PollFlags::IN)];
    match poll(&mut ready, left.as_ref()) {
        Ok(0) => {
            told.wake = None;
            if rustix::process::getppid() == Some(starter) {
                rustix::io::write(words, b"w").ok();
                rustix::process::kill_process(starter, Signal::CONT).ok();
            }
            return true;
        }
        Ok(_) => {}
        Err(_) => return true,
    }
    let mut word = [0; LONGEST];
    let length = match rustix::io::read(words, &mut word) {
        Ok(0) | Err(_) => return false,
        Ok(length) => length,
    };
    match word.get(..length) {
        Some([b'w', rest @ ..]) => {
            if let Some((before, now)) = rest.split_first_chunk::<44>()
                && let Ok(now) = Settings::try_from(now)
            {
                told.settings = Some((*before, now));
            }
        }
        Some(b"r") => told.settings = None,
        Some([b'u', rest @ ..]) => {
            if let Some(room) = told.undo.get_mut(..rest.len()) {
                room.copy_from_slice(rest);
                told.undo_length = rest.len();
            }
        }
        Some([b't', a, b, c, d]) => told.wake = Some(u32::from_ne_bytes([*a, *b, *c, *d])),
        _ => {}
    }
    true
}
