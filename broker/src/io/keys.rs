//! Where secrets come that stand in arguments: the supervisor hands them over, and again whenever one is another,
//! and is told whether they are used. They are read into memory that is locked, which is kept for no longer than
//! that takes.

use super::waits::Waits;
use crate::{
    relay::{InstanceId, Relay},
    secret::{self, HANDED, Message, SecretError, answer, unlocked},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::{Errno, read, retry_on_intr, write},
};
use sandboxd_broker_plan::Name;
use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
};

/// Where they come, of each caller that has any.
#[derive(Debug, Default)]
pub(super) struct Keys(Vec<Line>);

#[derive(Debug)]
struct Line {
    caller: Name,
    behalf: Option<InstanceId>,
    socket: OwnedFd,
}

impl Keys {
    /// Those of this caller come here.
    ///
    /// # Errors
    /// Where they cannot be waited for.
    pub(super) fn come_from(
        &mut self,
        (caller, behalf): (Name, Option<InstanceId>),
        socket: OwnedFd,
        waits: &Waits,
    ) -> io::Result<()> {
        // Where it is let go of at once, whoever hands them over is told by that.
        if waits.secrets(socket.as_fd())? {
            self.0.push(Line { caller, behalf, socket });
        }
        Ok(())
    }

    /// Takes what has come, and lets go of those from whom nothing will.
    ///
    /// # Errors
    /// Where one of these would be waited for all the same.
    pub(super) fn hear(&mut self, relay: &mut Relay, waits: &Waits) -> io::Result<()> {
        let mut heard = Ok(());
        self.0.retain(|line| {
            let stays = line.hear(relay);
            if !stays && let Err(error) = waits.no_secrets(line.socket.as_fd()) {
                heard = Err(error);
            }
            stays
        });
        heard
    }
}

impl Line {
    /// False at its end.
    fn hear(&self, relay: &mut Relay) -> bool {
        let mut fds = [PollFd::new(&self.socket, PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        if retry_on_intr(|| poll(&mut fds, Some(&now))) != Ok(1) {
            return true;
        }
        let Ok(mut message) = Message::with_room(HANDED) else {
            // So much cannot be locked now: it is let go of, and what was there goes on to be used.
            return match read(&self.socket, &mut [0; 1]) {
                Ok(0) => false,
                Ok(_) | Err(Errno::INTR | Errno::AGAIN) => self.say(answer(Err(unlocked()))),
                Err(_) => false,
            };
        };
        match message.extend(|room| read(&self.socket, room)) {
            Ok(0) => false,
            Ok(_) => self.say(answer(self.taken(relay, &message))),
            Err(Errno::INTR | Errno::AGAIN) => true,
            Err(_) => false,
        }
    }

    fn taken(&self, relay: &mut Relay, message: &Message) -> Result<(), SecretError> {
        let (_, parts) = secret::decode(message.bytes())?;
        relay.keep_secrets(&self.caller, self.behalf, &parts.secrets()?)
    }

    fn say(&self, answer: u8) -> bool {
        retry_on_intr(|| write(&self.socket, &[answer])).is_ok()
    }
}
