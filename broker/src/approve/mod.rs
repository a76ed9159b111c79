//! Calls that wait for a person: what is asked, and what was answered.
//!
//! Whoever approves is never who calls. An approver comes by a way of its own ([`io`](crate::io)), says
//! one line and hears one answer, in words that this writes: whoever prints them parses nothing that an
//! agent wrote.
//!
//! ```text
//!  list             every call that waits, in words         yes ⏎ …
//!  list json        the same, an object a line              yes ⏎ …
//!  approve ID       this call, now and once                 yes ⏎ what was approved
//!  deny ID [WHY]    not this one; WHY is told to the caller no ⏎ why not
//! ```
//!
//! An ID is a digest over the exact call, its number and a secret of this broker's. A call does not
//! change while it waits, so that an ID stands for what was shown under it; it is in nothing that the
//! caller sees; and it is forgotten with the first answer.

mod show;

use crate::{
    limit::Moment,
    relay::{Ask, CallId, Verdict},
};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// The longest line of an approver.
pub const LINE: usize = 2048;

/// How many calls wait at most.
const MOST: usize = 32;

/// How many of one caller: it shall not hide one call among many.
const EACH: usize = 16;

/// The longest parameters that are shown to anybody. They are shown whole or not at all.
const LONGEST: usize = 64 << 10;

/// The longest reason.
const REASON: usize = 512;

/// Letters of an ID: those that are not taken for each other.
const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The calls that wait.
#[derive(Debug)]
pub struct Approvals {
    /// Nothing where nobody can be asked.
    secret: Option<[u8; 32]>,
    waiting: BTreeMap<Id, Waiting>,
}

/// By what name a call is approved.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Id(String);

/// A call that waits.
#[derive(Debug)]
struct Waiting {
    ask: Ask,
    since: Moment,
}

/// What an approver hears, and what follows from what it said.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// What it is told, lines with their ends.
    pub text: String,
    /// What was decided, where something was.
    pub decided: Option<Decided>,
}

/// What was decided about a call.
#[derive(Debug, PartialEq, Eq)]
pub struct Decided {
    /// The call.
    pub call: CallId,
    /// The digest of what was shown.
    pub digest: [u8; 32],
    /// What was decided.
    pub verdict: Verdict,
}

impl Approvals {
    /// There is nobody to be asked: nothing is approved.
    #[must_use]
    pub const fn nobody() -> Self {
        Self { secret: None, waiting: BTreeMap::new() }
    }

    /// Somebody can be asked. The secret is what nobody else knows.
    #[must_use]
    pub const fn somebody(secret: [u8; 32]) -> Self {
        Self { secret: Some(secret), waiting: BTreeMap::new() }
    }

    /// How many calls wait.
    #[must_use]
    pub fn count(&self) -> usize {
        self.waiting.len()
    }

    /// Takes in a call that is to be asked about.
    ///
    /// # Errors
    /// Why it is denied at once.
    pub fn hold(&mut self, ask: Ask, now: Moment) -> Result<(), &'static str> {
        let Some(secret) = &self.secret else { return Err("nobody can be asked") };
        if ask.parameters.len() > LONGEST {
            return Err("its arguments are too long to be shown for approval");
        }
        let same = self.waiting.values().filter(|it| it.ask.caller == ask.caller).count();
        if self.waiting.len() >= MOST || same >= EACH {
            return Err("too many calls wait for approval already");
        }
        self.waiting.insert(Id::of(secret, &ask), Waiting { ask, since: now });
        Ok(())
    }

    /// No answer is needed any more.
    pub fn withdraw(&mut self, call: CallId) {
        self.waiting.retain(|_, waiting| waiting.ask.call != call);
    }

    /// What an approver said, without its line end.
    pub fn hear(&mut self, line: &[u8], now: Moment) -> Answer {
        let words = std::str::from_utf8(line).unwrap_or_default();
        let (verb, rest) = words.split_once(' ').unwrap_or((words, ""));
        let (id, reason) = rest.split_once(' ').unwrap_or((rest, ""));
        match (verb, rest) {
            ("list", "") => self.listed(|id, waiting| show::words(id, waiting, now)),
            ("list", "json") => self.listed(|id, waiting| show::json(id, waiting, now)),
            ("approve", _) if reason.is_empty() => self.decide(id, Verdict::Approved, now),
            ("deny", _) if reason.len() <= REASON => {
                let reason = match reason.trim() {
                    "" => String::from("the approver denied it"),
                    reason => format!("the approver denied it: {reason}"),
                };
                self.decide(id, Verdict::Denied(reason), now)
            }
            _ => Answer::no("this command is unknown here"),
        }
    }

    fn listed(&self, shown: impl Fn(&str, &Waiting) -> String) -> Answer {
        let mut order: Vec<_> = self.waiting.iter().collect();
        order.sort_by_key(|(_, waiting)| (waiting.since, waiting.ask.call));
        let each = order.into_iter().map(|(id, waiting)| shown(&id.0, waiting));
        Answer { text: std::iter::once(String::from("yes\n")).chain(each).collect(), decided: None }
    }

    /// Once: whatever is said about it afterwards is about nothing.
    fn decide(&mut self, id: &str, verdict: Verdict, now: Moment) -> Answer {
        let id = Id(id.to_ascii_lowercase());
        let Some(Waiting { ask, since }) = self.waiting.remove(&id) else {
            return Answer::no(
                "no call waits under this ID: it was answered, timed out, or was cancelled by its caller",
            );
        };
        let waiting = Waiting { ask, since };
        let text = format!("yes\n{}", show::words(&id.0, &waiting, now));
        let Ask { call, digest, .. } = waiting.ask;
        Answer { text, decided: Some(Decided { call, digest, verdict }) }
    }
}

impl Answer {
    fn no(why: &str) -> Self {
        Self { text: format!("no\n{why}\n"), decided: None }
    }
}

impl Id {
    fn of(secret: &[u8; 32], ask: &Ask) -> Self {
        let digest = Sha256::new()
            .chain_update(secret)
            .chain_update(ask.call.0.to_le_bytes())
            .chain_update(ask.digest)
            .finalize();
        // 60 bits, a letter of five from each byte.
        let letter = |byte: &u8| LETTERS.get(usize::from(byte & 31)).copied().unwrap_or(b'0');
        let letters: Vec<u8> = digest.iter().take(12).map(letter).collect();
        let groups: Vec<String> =
            letters.chunks(4).map(|four| four.iter().copied().map(char::from).collect()).collect();
        Self(groups.join("-"))
    }
}

#[cfg(test)]
mod tests;
