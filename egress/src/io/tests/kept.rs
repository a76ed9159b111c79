//! Keys that another agent keeps, which is somebody else's and may do as it likes.

use super::world::plan;
use crate::secret::Secrets;
use crate::ssh::keeper::{Reply, SIGNATURE, reply, sign};
use crate::{Handed, Read, Sockets, serve};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recv, recvmsg, sendmsg, socketpair,
};
use rustix::{
    cmsg_space,
    io::{Errno, IoSlice, IoSliceMut},
};
use sandboxd_egress_plan::{Kept, Millis, Signed, Signer, Told, ssh};
use std::{
    io::{self, Read as _, Write as _},
    mem::MaybeUninit,
    os::fd::{AsFd as _, OwnedFd},
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    thread,
};

const PUBLIC: &str = include_str!("../../ssh/vectors/ed25519.pub");

fn pair(kind: SocketType) -> (OwnedFd, OwnedFd) {
    socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).unwrap()
}

/// Where a connection is to go that is asked for.
fn wanted(socket: &OwnedFd) -> OwnedFd {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut rights = RecvAncillaryBuffer::new(&mut space);
    let mut number = [0; 4];
    let mut bytes = [IoSliceMut::new(&mut number)];
    recvmsg(socket, &mut bytes, &mut rights, RecvFlags::empty()).unwrap();
    let Some(RecvAncillaryMessage::ScmRights(mut to)) = rights.drain().next() else { panic!() };
    assert_eq!(number, [0; 4]);
    to.next().unwrap()
}

/// Lends one connection for each of these, which are agents, and then none.
fn lend(socket: &OwnedFd, agents: Vec<OwnedFd>) {
    for agent in agents.into_iter().map(Some).chain([None]) {
        let (to, Some(agent)) = (wanted(socket), agent) else { continue };
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut rights = SendAncillaryBuffer::new(&mut space);
        let given = [agent.as_fd()];
        assert!(rights.push(SendAncillaryMessage::ScmRights(&given)));
        sendmsg(to, &[IoSlice::new(&[0])], &mut rights, SendFlags::empty()).unwrap();
    }
}

fn answer(stream: &mut UnixStream) -> Reply {
    let (mut bytes, mut some) = (Vec::new(), [0; 512]);
    loop {
        if let Read::Done(reply, _) = reply(&bytes, SIGNATURE).unwrap() {
            return reply;
        }
        let count = stream.read(&mut some).unwrap();
        assert!(count > 0, "it was closed");
        bytes.extend_from_slice(&some[..count]);
    }
}

/// One that serves a key which another agent keeps.
struct Serving {
    path: PathBuf,
    control: OwnedFd,
    /// Where connections to the other are asked for.
    lender: OwnedFd,
    thread: thread::JoinHandle<io::Result<()>>,
    key: Vec<u8>,
}

impl Serving {
    fn begin(name: &str, patience: Millis) -> Self {
        let mut plan = plan(vec![]);
        let texts = vec!["git".to_owned()];
        plan.secrets = vec!["mine".into()];
        plan.agent.signers = vec![Signer { secret: 0, kept: Kept::Agent, logins: vec![], texts }];
        (plan.agent.connections, plan.agent.patience) = (8, patience);
        let mut secrets = Secrets::default();
        secrets.push(PUBLIC.trim().as_bytes()).unwrap();
        let (control, theirs) = pair(SocketType::SEQPACKET);
        let (lender, lent) = pair(SocketType::SEQPACKET);
        let path = std::env::temp_dir().join(format!("sandboxd-{name}-{}", std::process::id()));
        let agent = vec![OwnedFd::from(UnixListener::bind(&path).unwrap())];
        let sockets = Sockets {
            transparent: vec![],
            proxy: vec![],
            dns_datagram: vec![],
            dns_stream: vec![],
            agent,
            control: theirs,
        };
        let handed = Handed { secrets, ends: None, renewals: None, lender: Some(lent) };
        let thread = thread::spawn(move || serve(plan, sockets, handed));
        let (_, key) = ssh::public(PUBLIC, &ssh::KINDS).unwrap();
        Self { path, control, lender, thread, key }
    }

    /// Somebody who asks for a signature.
    fn asks(&self) -> UnixStream {
        let text = [
            &b"SSHSIG"[..],
            &[0, 0, 0, 3],
            b"git",
            &[0; 4],
            &[0, 0, 0, 6],
            b"sha512",
            &[0, 0, 0, 64],
            &[7; 64],
        ];
        let mut client = UnixStream::connect(&self.path).unwrap();
        client.write_all(&sign(&self.key, &text.concat(), 0)).unwrap();
        client
    }

    /// What is told of what became of it.
    fn told(&self) -> Signed {
        let mut bytes = [0; Told::MOST];
        let (count, _) = recv(&self.control, &mut bytes, RecvFlags::empty()).unwrap();
        let Ok(Told::Signing(told)) = Told::decode(&bytes[..count]) else { panic!() };
        assert_eq!((told.signer, told.leave), (Some(0), None));
        told.signed
    }

    fn end(self) {
        drop((self.control, self.lender));
        self.thread.join().unwrap().unwrap();
        std::fs::remove_file(&self.path).unwrap();
    }
}

#[test]
fn one_that_hangs_is_waited_for_as_long_as_it_may_take_and_nobody_else_with_it() {
    let serving = Serving::begin("kept", Millis(700));
    // The first says nothing, the second not all of it, the third goes.
    let (hangs, first) = pair(SocketType::STREAM);
    let (stutters, second) = pair(SocketType::STREAM);
    let (goes, third) = pair(SocketType::STREAM);
    let mut stutters = UnixStream::from(stutters);
    stutters.write_all(&[0, 0, 0, 9, 14]).unwrap();
    drop(goes);
    let lender = serving.lender.try_clone().unwrap();
    let lending = thread::spawn(move || lend(&lender, vec![first, second, third]));
    for signed in [Signed::Late, Signed::Late, Signed::Gone, Signed::Gone] {
        let mut client = serving.asks();
        let mut other = UnixStream::connect(&serving.path).unwrap();
        other.write_all(&crate::ssh::keeper::IDENTITIES).unwrap();
        assert_eq!(answer(&mut other), Reply::Identities(vec![serving.key.clone()]));
        assert_eq!(answer(&mut client), Reply::Other, "{signed:?}");
        assert_eq!(serving.told(), signed);
    }
    lending.join().unwrap();
    drop(hangs);
    serving.end();
}

#[test]
fn whoever_asks_and_goes_has_its_place_taken_until_the_other_agent_is_done_with_it() {
    let serving = Serving::begin("left", Millis(60_000));
    let waiting = [(); 8].map(|()| {
        drop(serving.asks());
        assert_eq!(serving.told(), Signed::Left);
        wanted(&serving.lender)
    });
    let mut ninth = serving.asks();
    assert_eq!(answer(&mut ninth), Reply::Other);
    assert_eq!(serving.told(), Signed::Rate);
    let more = recv(&serving.lender, &mut [0; 4], RecvFlags::DONTWAIT);
    assert_eq!(more.unwrap_err(), Errno::AGAIN);
    // Done with one of them, it is asked for the next.
    drop(waiting);
    let next = serving.asks();
    drop((wanted(&serving.lender), next));
    serving.end();
}
