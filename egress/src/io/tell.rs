//! Records, to the supervisor. No connection waits for it: what it does not take in time waits here, as far
//! as there is room; what has none is counted, and told as soon as the others are.

use rustix::net::{SendFlags, sockopt};
use sandboxd_egress_plan::{Level, Record, Signing, Use};
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    convert::Infallible,
    future::poll_fn,
    io,
    os::fd::OwnedFd,
    task::{Poll, Waker},
    time::Duration,
};
use tokio::net::UnixDatagram;

/// So many wait where they tell of what was refused, which can be brought about as often as one likes.
const REFUSALS: usize = 1024;
/// So many wait in all.
const WAITING: usize = 8192;
/// How long the last of them wait at the end.
const FAREWELL: Duration = Duration::from_secs(1);

/// The supervisor's end of things.
#[derive(Debug)]
pub(super) struct Teller {
    /// It keeps messages apart, as one of datagrams does, and has an end, which those have not.
    control: UnixDatagram,
    waiting: RefCell<VecDeque<Message>>,
    /// Who sends them, while there are none.
    sender: RefCell<Option<Waker>>,
    /// What had no room.
    lost: Cell<u32>,
}

#[derive(Debug)]
enum Message {
    Record(Record),
    Use([u8; Use::SIZE]),
    Lost(u32),
    Signing([u8; Signing::SIZE]),
}

impl Teller {
    pub(super) fn new(control: OwnedFd) -> io::Result<Self> {
        let control = std::os::unix::net::UnixDatagram::from(control);
        control.set_nonblocking(true)?;
        let control = UnixDatagram::from_std(control)?;
        let (waiting, sender, lost) = (RefCell::default(), RefCell::default(), Cell::new(0));
        Ok(Self { control, waiting, sender, lost })
    }

    pub(super) fn tell(&self, record: Record) {
        let most = if record.verdict.is_refusal() { REFUSALS } else { WAITING };
        self.put(Message::Record(record), most);
    }

    /// What an answer used.
    pub(super) fn tell_use(&self, used: &Use) {
        self.put(Message::Use(used.encode()), WAITING);
    }

    /// What an ssh-agent did, or did not do.
    pub(super) fn tell_signing(&self, signing: &Signing) {
        let most = if signing.signed.is_refusal() { REFUSALS } else { WAITING };
        self.put(Message::Signing(signing.encode()), most);
    }

    /// How far a budget is used up; whether that was taken.
    pub(super) fn tell_level(&self, level: &Level) -> bool {
        self.control.try_send(&level.encode()).is_ok()
    }

    /// Sends a message, or has it wait behind those that do, where they are fewer than so many.
    fn put(&self, message: Message, most: usize) {
        let waiting = self.waiting.borrow().len();
        let told = waiting == 0 && send(&message, |bytes| self.control.try_send(bytes));
        if !told && waiting < most {
            self.waiting.borrow_mut().push_back(message);
            self.sender.borrow_mut().take().into_iter().for_each(Waker::wake);
        } else if !told {
            self.lost.set(self.lost.get().saturating_add(1));
        }
    }

    /// Sends those that wait, whenever there are any.
    pub(super) async fn catch_up(&self) -> Infallible {
        loop {
            poll_fn(|context| {
                if self.waiting.borrow().is_empty() && self.lost.get() == 0 {
                    *self.sender.borrow_mut() = Some(context.waker().clone());
                    return Poll::Pending;
                }
                Poll::Ready(())
            })
            .await;
            if self.control.writable().await.is_err() {
                // Nothing is told any more.
                return std::future::pending().await;
            }
            self.send_waiting(|bytes| self.control.try_send(bytes));
        }
    }

    /// Sends those that wait, for as long as they are taken so, and says how many were lost.
    fn send_waiting(&self, by: impl Fn(&[u8]) -> io::Result<usize>) {
        let mut waiting = self.waiting.borrow_mut();
        while waiting.front().is_some_and(|first| send(first, &by)) {
            waiting.pop_front();
        }
        let lost = self.lost.get();
        if lost > 0 && waiting.is_empty() && send(&Message::Lost(lost), &by) {
            self.lost.set(0);
        }
    }

    /// What the supervisor says: what others have used of a budget. Nothing where it is gone.
    pub(super) async fn hear(&self) -> io::Result<Option<Level>> {
        loop {
            let mut bytes = [0; Level::SIZE + 1];
            match self.control.recv(&mut bytes).await {
                Ok(0) => return Ok(None),
                Ok(length) if length == Level::SIZE => {
                    return Ok(bytes.first_chunk().map(Level::decode));
                }
                Ok(_) => {}
                // It may be gone with something of ours unread.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Whether a message is taken so, or there is nobody any more to take it.
fn send(message: &Message, by: impl FnOnce(&[u8]) -> io::Result<usize>) -> bool {
    let sent = match message {
        Message::Record(record) => by(&record.encode()),
        Message::Use(used) => by(used),
        Message::Lost(lost) => by(&lost.to_le_bytes()),
        Message::Signing(signing) => by(signing),
    };
    !sent.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

impl Drop for Teller {
    fn drop(&mut self) {
        // All has ended; the supervisor still hears what is said in time.
        let blocks = rustix::io::ioctl_fionbio(&self.control, false).and_then(|()| {
            sockopt::set_socket_timeout(&self.control, sockopt::Timeout::Send, Some(FAREWELL))
        });
        if blocks.is_ok() {
            self.send_waiting(|bytes| {
                Ok(rustix::net::send(&self.control, bytes, SendFlags::NOSIGNAL)?)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, recv, socketpair};
    use sandboxd_egress_plan::{Tokens, Told};

    #[test]
    fn what_is_lost_is_told_though_no_record_comes_after_it() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let (theirs, ours) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .unwrap();
        let inside = runtime.enter();
        let teller = Teller::new(ours).unwrap();
        let tokens = Tokens { input: 1, cached: 0, written: 0, output: 1 };
        let used = Use { rule: 0, model: "m".to_owned(), tokens, estimated: false };
        // Nobody listens, so that all that fits waits.
        let all = u32::try_from(WAITING).unwrap() * 2;
        (0..all).for_each(|_| teller.tell_use(&used));
        let heard = std::thread::spawn(move || {
            let (mut uses, mut lost) = (0, 0);
            let mut bytes = [0; Told::MOST];
            while let Ok((length @ 1.., _)) = recv(&theirs, &mut bytes, RecvFlags::empty()) {
                match Told::decode(&bytes[..length]).unwrap() {
                    Told::Use(_) => uses += 1,
                    Told::Lost(more) => lost += more,
                    Told::Record(_) | Told::Level(_) | Told::Signing(_) => {
                        panic!("nobody told that")
                    }
                }
            }
            (uses, lost)
        });
        drop(teller);
        drop(inside);
        let (uses, lost) = heard.join().unwrap();
        assert!(lost > 0, "all of them fitted");
        assert_eq!(uses + lost, all);
    }
}
