//! Secrets that are read again while their run goes on. Whoever may have that done comes in by a socket of the
//! run, as who approves does, says one word, and is answered a line for each secret; no secret is in any of
//! them.
//!
//! ```text
//!  sandboxd secret rotate ─▶ FOLDER/secrets/RUN.socket ─▶ trusted? ─▶ read, hidden from records ─▶ egress process, broker
//! ```

use super::asked::{self, Asked};
use super::folder::ROTATIONS;
use super::trusted::Approver;
use crate::sandbox::{Audit, StartError};
use crate::secret::{Over, Renewed, Secrets};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use sandboxd_audit::record::Actor;
use sandboxd_audit::{Durability, Hidden, Kind, Record};
use sandboxd_egress::secret::{Message, NotTaken, TAKEN};
use sandboxd_profiles::{From, Held};
use serde_json::{Value, json};
use std::sync::Arc;

/// What whoever comes says. One that only looks who is there says nothing.
pub(crate) const WORD: &[u8] = b"rotate\n";

/// How long whoever uses them may take to use what it is told, on a machine that is busy.
const USED_WITHIN: Timespec = Timespec { tv_sec: 20, tv_nsec: 0 };

/// What is said to whoever uses them, in the form that it takes.
pub(crate) type Encode = Box<dyn Fn(&Secrets) -> Result<Message, StartError> + Send>;

/// Whoever uses them for the command.
pub(crate) struct User {
    /// How it is told.
    pub(crate) encode: Encode,
    /// Where.
    pub(crate) line: Line,
}

/// The secrets of a run that others use for its command.
pub(crate) struct Rotating {
    /// Where each is read.
    pub(crate) held: Vec<Held>,
    /// What each is now, as far as it takes to know it again.
    pub(crate) now: Vec<Arc<Hidden>>,
    /// Who is told.
    pub(crate) users: Vec<User>,
    /// The sandbox's id.
    pub(crate) id: String,
    /// Where it is written down, and whose they are.
    pub(crate) audit: Audit,
    /// The profile's name.
    pub(crate) agent: String,
}

/// Where whoever uses them is told what they are now, and says what became of that.
pub(crate) struct Line {
    socket: OwnedFd,
    /// Who that is, in words.
    who: &'static str,
    /// It has not said yet what became of what it was told last.
    owed: bool,
}

/// A socket that is listened on, until this is let go of.
pub(crate) struct Rotation {
    asked: Asked,
}

impl Rotation {
    /// Listens for whoever may have them read again.
    ///
    /// # Errors
    /// Where there is no folder for it that is the user's alone.
    pub(crate) fn open(mut rotating: Rotating) -> Result<Self, StartError> {
        let id = rotating.id.clone();
        let asked = Asked::listen(&ROTATIONS, &id, move |who, word, stream, closed| {
            if word == WORD.trim_ascii_end() {
                let told = rotating.rotate(who, Some(closed.as_fd()));
                asked::answer(&stream, &told);
            }
        })?;
        Ok(Self { asked })
    }

    /// Lets nobody in any more, and tells what kept it from letting them in before.
    pub(crate) fn finish(self) -> Vec<String> {
        self.asked.finish()
    }
}

impl Rotating {
    /// Reads all of them again, and has whoever uses them use what they are now: all, or none.
    fn rotate(&mut self, who: Approver, over: Over<'_>) -> Value {
        let (secrets, failed) = match self.renewed(over) {
            Ok(all) => (all, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        let told = failed.as_ref().map(StartError::line);
        let mut record = Record::of(Kind::SecretRotated);
        record.actor = Some(Actor {
            agent: self.agent.clone(),
            instance: Some(self.id.clone()),
            ..Actor::default()
        });
        record.decision = Some(if told.is_none() { "allowed" } else { "refused" });
        let by = json!({ "uid": who.uid, "pid": who.pid });
        record.result = json!({ "by": by, "secrets": secrets, "why": told });
        self.audit.count(&record);
        if self.audit.is_kept()
            && let Err(error) = self.audit.append(record, Durability::Grouped)
        {
            self.audit.lost(1);
            self.audit.alarm(&error);
        }
        json!({
            "sandbox": self.id, "ok": told.is_none(), "secrets": secrets, "why": told,
            "remedy": failed.and_then(|error| error.remedy()),
        })
    }

    fn renewed(&mut self, over: Over<'_>) -> Result<Vec<Value>, StartError> {
        let secrets = Secrets::read(&self.held, over)?;
        let messages = self.users.iter().map(|user| (user.encode)(&secrets));
        let messages: Vec<Message> = messages.collect::<Result<_, _>>()?;
        // From here on no record has it, whatever becomes of it.
        self.audit.hide(&secrets)?;
        let now: Result<Vec<_>, _> =
            secrets.all().iter().map(|secret| secret.hidden().map(Arc::new)).collect();
        let now = now?;
        let mut took = Vec::new();
        for (user, message) in self.users.iter_mut().zip(&messages) {
            user.line.tell(message, over).map_err(|error| in_part(error, &took))?;
            took.push(user.line.who);
        }
        let before = std::mem::replace(&mut self.now, now);
        let all = self.held.iter().zip(before.iter().zip(&self.now));
        Ok(all.map(|(held, (before, now))| outcome(held, !before.is_same(now))).collect())
    }
}

impl Line {
    pub(crate) const fn new(socket: OwnedFd, who: &'static str) -> Self {
        Self { socket, who, owed: false }
    }

    /// Tells whoever uses them, and waits until it does, or the run is over.
    ///
    /// # Errors
    /// Where it does not.
    pub(crate) fn tell(&mut self, message: &Message, over: Over<'_>) -> Result<(), StartError> {
        let who = self.who;
        let failed = |call| move |errno| StartError::call(call, who, errno);
        if self.owed {
            // Each answer is to what was told before it.
            self.answer(over)?;
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        retry_on_intr(|| send(&self.socket, message.bytes(), flags)).map_err(failed("sendmsg"))?;
        self.owed = true;
        match self.answer(over)? {
            TAKEN => Ok(()),
            answer => {
                let (why, remedy) = not_taken(answer);
                let what = format!("{who}: {why}; the old values stay in use");
                Err(StartError::found("secrets", what).with_remedy(remedy))
            }
        }
    }

    /// What became of what was told.
    fn answer(&mut self, over: Over<'_>) -> Result<u8, StartError> {
        let answer = PollFd::new(&self.socket, PollFlags::IN);
        let over = over.map(|over| PollFd::from_borrowed_fd(over, PollFlags::IN));
        let mut fds: Vec<PollFd<'_>> = [answer].into_iter().chain(over).collect();
        let waited = retry_on_intr(|| poll(&mut fds, Some(&USED_WITHIN)));
        let answered = fds.first().is_some_and(|answer| !answer.revents().is_empty());
        if waited.is_err() || !answered {
            let what = format!("{} has not reported yet whether it uses them", self.who);
            return Err(StartError::found("secrets", what)
                .with_remedy("the machine is busy, or that process is stopped: rotate again"));
        }
        let mut answer = [0; 1];
        match recv(&self.socket, answer.as_mut_slice(), RecvFlags::DONTWAIT) {
            Ok((1, _)) => {
                self.owed = false;
                Ok(u8::from_le_bytes(answer))
            }
            Ok(_) => Err(StartError::call("recvmsg", self.who, Errno::PIPE)),
            Err(errno) => Err(StartError::call("recvmsg", self.who, errno)),
        }
    }
}

/// Why whoever uses them did not take them, and what to do.
fn not_taken(answer: u8) -> (&'static str, &'static str) {
    match NotTaken::meant(answer) {
        Some(NotTaken::Memory) => (
            "the memory that they need cannot be locked",
            "allow more (ulimit -l, or LimitMEMLOCK= in the unit), and restart the run",
        ),
        Some(NotTaken::Unknown) => (
            "they do not match its plan",
            "restart the run; if that does not help, report it as a bug in sandboxd",
        ),
        Some(NotTaken::Unfit) => (
            "one cannot be put where the profile wants it",
            "make it the key alone, as text on one line, and rotate again: sandboxd secret check names it",
        ),
        Some(NotTaken::NoKey) => (
            "one that is to sign is not a private key",
            "keep it as ssh-keygen wrote it, and rotate again: sandboxd secret check names it",
        ),
        Some(NotTaken::SameKey) => (
            "two that are to sign are the same key",
            "give each [secrets.NAME].ssh a key of its own, and rotate again",
        ),
        None => ("its answer was invalid", "restart the run, and report this as a bug in sandboxd"),
    }
}

/// Why not all of them use what the secrets are now, where some do.
fn in_part(error: StartError, took: &[&str]) -> StartError {
    if took.is_empty() {
        return error;
    }
    let what = format!("{}; {} uses the new values", error.line(), took.join(" and "));
    let remedy = error.remedy();
    StartError::found("secrets", what)
        .with_remedy(remedy.unwrap_or_else(|| String::from("rotate again, or restart the run")))
}

/// What became of one.
fn outcome(held: &Held, changed: bool) -> Value {
    let renewed = match (changed, &held.from) {
        (true, _) => Renewed::Changed,
        (false, From::Env(_)) => Renewed::Cannot,
        (false, _) => Renewed::Same,
    };
    json!({ "name": held.name, "renewed": renewed.word() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    #[test]
    fn an_answer_that_came_too_late_is_none_to_what_is_told_next() {
        let told = |late: u8, now: u8| {
            let (ours, theirs) =
                socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                    .unwrap();
            let mut line = Line { socket: ours, who: "a case", owed: true };
            for answer in [late, now] {
                send(&theirs, &[answer], SendFlags::empty()).unwrap();
            }
            let told = line.tell(&Message::with_room(8).unwrap(), None);
            assert!(!line.owed);
            told.map_err(|error| error.line())
        };
        assert_eq!(told(NotTaken::Memory.byte(), TAKEN), Ok(()));
        let not = |why: NotTaken| told(TAKEN, why.byte()).unwrap_err();
        assert!(not(NotTaken::NoKey).contains("not a private key"));
        assert!(not(NotTaken::Memory).contains("cannot be locked"));
    }

    #[test]
    fn each_reason_has_words_and_a_remedy_of_its_own() {
        let mut all: Vec<_> = (0..=u8::MAX).map(not_taken).collect();
        all.sort_unstable();
        all.dedup();
        // What is no answer is one more.
        assert_eq!(all.len(), 6, "{all:?}");
        let remedies: std::collections::BTreeSet<_> =
            all.iter().map(|(_, remedy)| remedy).collect();
        assert_eq!(remedies.len(), 6);
    }

    #[test]
    fn who_uses_the_new_ones_already_is_told_where_another_does_not() {
        let error = || StartError::found("secrets", "the broker: it did not");
        assert_eq!(in_part(error(), &[]).line(), error().line());
        let told = in_part(error(), &["the egress process"]).line();
        assert!(
            told.contains("the broker: it did not") && told.contains("the egress process uses")
        );
    }
}
