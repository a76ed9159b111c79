//! A signature by another ssh-agent, which keeps the key: the supervisor connects to it, this asks for that one
//! signature, and waits for no longer than it is to take. Whoever else asks for something is served meanwhile.

use super::agent::{read, write};
use super::client;
use super::world::World;
use crate::Read;
use crate::ssh::agent::Ask;
use crate::ssh::keeper::{Reply, SIGNATURE, bind, reply, sign};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use rustix::{
    cmsg_space,
    io::{Errno, IoSlice, IoSliceMut},
};
use sandboxd_egress_plan::Signed;
use std::{
    cell::Cell,
    io::{self, ErrorKind},
    mem::MaybeUninit,
    os::fd::{AsFd, OwnedFd},
};
use tokio::{
    io::Interest,
    net::{UnixDatagram, UnixStream},
    time::{Instant, timeout_at},
};

/// So many signatures are waited for at the same time: somebody may be asked for each of them.
const WAITING: u32 = 8;

/// Where the supervisor is asked to connect.
#[derive(Debug)]
pub(super) struct Lender {
    /// A `SOCK_SEQPACKET` pair's end: the number of a secret goes there, with where the answer is to come.
    socket: OwnedFd,
    waiting: Cell<u32>,
}

/// A place among those that wait.
struct Waiting<'l>(&'l Lender);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get().saturating_sub(1));
    }
}

impl Lender {
    pub(super) const fn new(socket: OwnedFd) -> Self {
        Self { socket, waiting: Cell::new(0) }
    }

    fn wait(&self) -> Result<Waiting<'_>, Signed> {
        if self.waiting.get() >= WAITING {
            return Err(Signed::Rate);
        }
        self.waiting.set(self.waiting.get() + 1);
        Ok(Waiting(self))
    }

    /// A connection to the agent that keeps this secret. It is new each time, because an agent holds one to the
    /// session that it was told of first.
    async fn connected(&self, secret: u32) -> io::Result<UnixStream> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut rights = SendAncillaryBuffer::new(&mut space);
        let given = [theirs.as_fd()];
        if !rights.push(SendAncillaryMessage::ScmRights(&given)) {
            return Err(Errno::MSGSIZE.into());
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        sendmsg(&self.socket, &[IoSlice::new(&secret.to_le_bytes())], &mut rights, flags)?;
        drop(theirs);
        // It keeps messages apart, as one of datagrams does.
        let ours = std::os::unix::net::UnixDatagram::from(ours);
        let ours = UnixDatagram::from_std(ours)?;
        loop {
            ours.readable().await?;
            match ours.try_io(Interest::READABLE, || Ok(passed(&ours)?)) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                stream => {
                    let stream = std::os::unix::net::UnixStream::from(stream?);
                    stream.set_nonblocking(true)?;
                    return UnixStream::from_std(stream);
                }
            }
        }
    }
}

/// The descriptor that came.
fn passed(from: impl AsFd) -> Result<OwnedFd, Errno> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut rights = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = [0; 1];
    recvmsg(from, &mut [IoSliceMut::new(&mut bytes)], &mut rights, RecvFlags::CMSG_CLOEXEC)?;
    let mut all = Vec::new();
    for message in rights.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            all.extend(descriptors);
        }
    }
    all.pop().ok_or(Errno::PIPE)
}

/// What it signed, which is not looked at here.
pub(super) async fn signed(world: &World, ask: &Ask) -> Result<Vec<u8>, Signed> {
    let lender = world.lender().ok_or(Signed::Gone)?;
    let _place = lender.wait()?;
    let until = client::until(world.plan.agent.patience);
    let signed = async {
        let stream = lender.connected(ask.secret).await.map_err(|_| Signed::Gone)?;
        let stream = (&stream, until);
        if let Some(named) = &ask.bind {
            match asked(stream, &bind(named)).await? {
                // One that does not know of sessions holds no key to any.
                Reply::Done | Reply::Other => {}
                Reply::Identities(_) | Reply::Signature(_) => return Err(Signed::Wrong),
            }
        }
        match asked(stream, &sign(&ask.key, &ask.data, ask.flags)).await? {
            Reply::Signature(signature) => Ok(signature),
            Reply::Other => Err(Signed::Keeper),
            Reply::Done | Reply::Identities(_) => Err(Signed::Wrong),
        }
    };
    timeout_at(until, signed).await.map_err(|_| Signed::Late)?
}

/// What it answers to this.
async fn asked((stream, until): (&UnixStream, Instant), message: &[u8]) -> Result<Reply, Signed> {
    write(stream, message, until).await.map_err(|_| Signed::Gone)?;
    let mut bytes = Vec::new();
    loop {
        match reply(&bytes, SIGNATURE) {
            // Nothing more was asked for yet.
            Ok(Read::Done(reply, length)) if length == bytes.len() => return Ok(reply),
            Ok(Read::More) => read(stream, &mut bytes).await.map_err(|_| Signed::Gone)?,
            Ok(Read::Done(..)) | Err(_) => return Err(Signed::Wrong),
        }
    }
}
