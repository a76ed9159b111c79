//! Whoever owns a broker: what it says, and what it is told.

use super::stream::Pair;
use crate::{
    limit::{Moment, Saved},
    relay::{CallId, ConnectionId, InstanceId, Load, Output},
};
use sandboxd_broker_plan::{Name, record::Record};
use std::{
    io,
    os::fd::{BorrowedFd, OwnedFd},
};

/// What the owner says.
#[derive(Debug)]
pub enum Said {
    /// A caller connected.
    Opened {
        /// The connection's number, which no other ever has.
        connection: ConnectionId,
        /// Who it is.
        caller: Name,
        /// For which edge; nothing where its first line says so.
        edge: Option<Name>,
        /// The instance that it is, where this broker wanted it.
        behalf: Option<InstanceId>,
        /// Its stream.
        pair: Pair,
    },
    /// An instance runs.
    Started {
        /// Which.
        instance: InstanceId,
        /// Its standard output, and its standard input.
        pair: Pair,
    },
    /// An instance ended, or cannot be started.
    Ended(InstanceId),
    /// A caller is gone.
    CallerGone(Name),
    /// Somebody is there who may approve calls.
    Approver {
        /// By which number, which no other ever has.
        number: u32,
        /// Its stream.
        stream: OwnedFd,
    },
    /// A record that a call waits for.
    Recorded {
        /// The call.
        call: CallId,
        /// Whether it is on the disk.
        written: bool,
    },
    /// An edge, by its place in the plan, is taken back.
    Revoked(usize),
    /// What stands for placeholders comes here, now and whenever it is something else, and is answered.
    Secrets {
        /// Whose they are.
        caller: Name,
        /// The instance that it is, where this broker wanted it.
        behalf: Option<InstanceId>,
        /// A `SOCK_SEQPACKET` pair's end.
        line: OwnedFd,
    },
    /// What was left of buckets when a broker before this one kept them.
    Kept(Vec<Saved>),
    /// Nothing more will be said: the broker ends.
    Gone,
}

/// Whoever gives streams and is told what is wanted.
pub trait Owner {
    /// Readable when there is something to [`Owner::hear`]: always the same one.
    fn descriptor(&self) -> BorrowedFd<'_>;

    /// Whether it has something to say that its descriptor does not tell of.
    fn has_more(&self) -> bool {
        false
    }

    /// What it says next; nothing where it says nothing now. Must not wait.
    ///
    /// # Errors
    /// Where it cannot be heard any more. The broker ends by it.
    fn hear(&mut self) -> io::Result<Option<Said>>;

    /// Tells it what is wanted, or is to be on the disk before a call goes on: never one of the lines, which are
    /// carried here, and nothing of what is asked about them.
    ///
    /// # Errors
    /// Where it cannot be told. The broker ends by it.
    fn tell(&mut self, output: Output) -> io::Result<()>;

    /// Tells it what happened, in this order and after all that it was told before. Nothing goes on before.
    ///
    /// # Errors
    /// Where it cannot be told. The broker ends by it.
    fn record(&mut self, records: &[Record]) -> io::Result<()>;

    /// Has it keep what is left of these buckets, by their places, before anything goes on that they were
    /// charged for.
    ///
    /// # Errors
    /// Where it cannot be kept. The broker ends by it.
    fn keep(&mut self, charged: &[(usize, Moment)]) -> io::Result<()>;

    /// Tells it how many calls wait for somebody to approve them, whenever that is another number.
    ///
    /// # Errors
    /// Where it cannot be told. The broker ends by it.
    fn waits(&mut self, calls: usize) -> io::Result<()>;

    /// Tells it what a callee has before it, by its place in the plan, whenever that is something else.
    ///
    /// # Errors
    /// Where it cannot be told. The broker ends by it.
    fn load(&mut self, callee: usize, load: Load) -> io::Result<()>;
}
