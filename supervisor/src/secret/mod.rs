//! Secrets that the supervisor holds for a run: read once, before the start, into memory that is never on a
//! disk, and handed to the one process that uses each. [`source`] says how one is read.

pub(crate) mod agent;
pub(crate) mod ordinary;
mod program;
mod source;
mod until;

use crate::sandbox::StartError;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::io::{Errno, retry_on_intr};
use sandboxd_audit::Hidden;
use sandboxd_kernel::locked::Locked;
use sandboxd_profiles::{From, Held};

/// What can be read from once the run is over, where one is read again while it goes on: nobody waits for a source
/// then.
pub(crate) type Over<'o> = Option<BorrowedFd<'o>>;

/// One that was read.
pub(crate) struct Secret {
    /// Its name in the profile.
    pub(crate) name: String,
    bytes: Locked,
    /// It is the public half of a key that an agent keeps.
    is_public: bool,
}

/// What reading one again came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renewed {
    /// It is another.
    Changed,
    /// It is what it was.
    Same,
    /// It is what it was, and cannot be another while sandboxd runs: a variable.
    Cannot,
}

impl Renewed {
    /// The word for it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Same => "same",
            Self::Cannot => "cannot",
        }
    }
}

/// Those of one run, by the places that its plan has for them.
#[derive(Default)]
pub(crate) struct Secrets(Vec<Secret>);

impl Secrets {
    /// Reads them.
    ///
    /// # Errors
    /// Where one cannot be read, others could read it, or the run is over.
    pub(crate) fn read(held: &[Held], over: Over<'_>) -> Result<Self, StartError> {
        let all = held.iter().map(|held| match is_over(over) {
            true => Err(self::over(&held.name)),
            false => Secret::read(held, over),
        });
        all.collect::<Result<_, _>>().map(Self)
    }

    /// All of them.
    pub(crate) fn all(&self) -> &[Secret] {
        &self.0
    }

    /// A file for the command with what one of them is, in memory that goes when nobody has it open.
    ///
    /// # Errors
    /// Where memory is short.
    pub(crate) fn file(&self, place: u32) -> Result<OwnedFd, StartError> {
        let secret = usize::try_from(place).ok().and_then(|place| self.0.get(place));
        let secret = secret.ok_or_else(|| StartError::found("secret", place.to_string()))?;
        crate::sandbox::sealed_copy(secret.bytes())
    }
}

impl Secret {
    /// Reads one.
    ///
    /// # Errors
    /// Where it cannot be read, others could read it, it is empty, or the run is over.
    pub(crate) fn read(held: &Held, over: Over<'_>) -> Result<Self, StartError> {
        crate::sandbox::doing(format!("reading the secret {}", held.name));
        let bytes = source::read(held, over)?;
        let is_public = matches!(held.from, From::Agent { .. });
        let secret = Self { name: held.name.clone(), bytes, is_public };
        if secret.line().is_empty() {
            let remedy = "make sure that it is where [secrets] says";
            return Err(secret.wrong("is empty").with_remedy(remedy));
        }
        Ok(secret)
    }

    /// What was read, as it was.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.bytes()
    }

    /// Whether it is no secret at all: an agent keeps that.
    pub(crate) const fn is_public(&self) -> bool {
        self.is_public
    }

    /// The same without the end of its line, which editors and programs write after it.
    pub(crate) fn line(&self) -> &[u8] {
        let bytes = self.bytes();
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        bytes.strip_suffix(b"\r").unwrap_or(bytes)
    }

    /// What takes it out of texts.
    ///
    /// # Errors
    /// Where no memory can be locked, or it is more than can be looked for.
    pub(crate) fn hidden(&self) -> Result<Hidden, StartError> {
        Hidden::of(&self.name, self.bytes()).map_err(|errno| match errno {
            Errno::TOOBIG => {
                self.wrong("has too many lines for records to be searched for them").with_remedy(
                    "a secret is a key or a few: split the file, or remove what is not secret",
                )
            }
            errno => unlocked(&self.name, errno),
        })
    }

    fn wrong(&self, what: &str) -> StartError {
        StartError::found("secret", format!("{} {what}", self.name))
    }
}

fn is_over(over: Over<'_>) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let seen = |over| {
        let mut fds = [PollFd::from_borrowed_fd(over, PollFlags::IN)];
        retry_on_intr(|| poll(&mut fds, Some(&now)))
    };
    over.is_some_and(|over| seen(over) != Ok(0))
}

fn over(name: &str) -> StartError {
    StartError::found("secret", format!("{name}: the run is over"))
        .with_remedy("do nothing: the next run reads it when it starts")
}

/// Room for a secret.
fn room(name: &str, bytes: usize) -> Result<Locked, StartError> {
    Locked::with_room(bytes).map_err(|errno| unlocked(name, errno))
}

fn unlocked(name: &str, errno: Errno) -> StartError {
    StartError::call("mlock", name, errno).with_remedy(
        "a secret is kept in memory that is never written to a disk: raise the limit (ulimit -l, or LimitMEMLOCK= in the unit)",
    )
}
