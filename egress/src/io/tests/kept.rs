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
    io::{IoSlice, IoSliceMut},
};
use sandboxd_egress_plan::{Kept, Millis, Signed, Signer, Told, ssh};
use std::{
    io::{Read as _, Write as _},
    mem::MaybeUninit,
    os::fd::{AsFd as _, OwnedFd},
    os::unix::net::{UnixListener, UnixStream},
    thread,
};

const PUBLIC: &str = include_str!("../../ssh/vectors/ed25519.pub");

fn pair(kind: SocketType) -> (OwnedFd, OwnedFd) {
    socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).unwrap()
}

/// Lends one connection for each of these, which are agents, and then none.
fn lend(socket: &OwnedFd, agents: Vec<OwnedFd>) {
    for agent in agents.into_iter().map(Some).chain([None]) {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut rights = RecvAncillaryBuffer::new(&mut space);
        let mut number = [0; 4];
        let mut bytes = [IoSliceMut::new(&mut number)];
        recvmsg(socket, &mut bytes, &mut rights, RecvFlags::empty()).unwrap();
        let Some(RecvAncillaryMessage::ScmRights(mut to)) = rights.drain().next() else { panic!() };
        assert_eq!(number, [0; 4]);
        let (to, Some(agent)) = (to.next().unwrap(), agent) else { continue };
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

#[test]
fn one_that_hangs_is_waited_for_as_long_as_it_may_take_and_nobody_else_with_it() {
    let mut plan = plan(vec![]);
    let texts = vec!["git".to_owned()];
    plan.secrets = vec!["mine".into()];
    plan.agent.signers = vec![Signer { secret: 0, kept: Kept::Agent, logins: vec![], texts }];
    (plan.agent.connections, plan.agent.patience) = (8, Millis(700));
    let mut secrets = Secrets::default();
    secrets.push(PUBLIC.trim().as_bytes()).unwrap();
    let (control, theirs) = pair(SocketType::SEQPACKET);
    let (lender, lent) = pair(SocketType::SEQPACKET);
    let path = std::env::temp_dir().join(format!("sandboxd-kept-{}", std::process::id()));
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
    let serving = thread::spawn(move || serve(plan, sockets, handed));
    // The first says nothing, the second not all of it, the third goes.
    let (hangs, first) = pair(SocketType::STREAM);
    let (stutters, second) = pair(SocketType::STREAM);
    let (goes, third) = pair(SocketType::STREAM);
    let mut stutters = UnixStream::from(stutters);
    stutters.write_all(&[0, 0, 0, 9, 14]).unwrap();
    drop(goes);
    let lending = thread::spawn(move || lend(&lender, vec![first, second, third]));
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
    let (_, key) = ssh::public(PUBLIC, &ssh::KINDS).unwrap();
    let told = || {
        let mut bytes = [0; Told::MOST];
        let (count, _) = recv(&control, &mut bytes, RecvFlags::empty()).unwrap();
        let Ok(Told::Signing(told)) = Told::decode(&bytes[..count]) else { panic!() };
        assert_eq!((told.signer, told.leave), (Some(0), None));
        told.signed
    };
    for signed in [Signed::Late, Signed::Late, Signed::Gone, Signed::Gone] {
        let mut client = UnixStream::connect(&path).unwrap();
        client.write_all(&sign(&key, &text.concat(), 0)).unwrap();
        let mut other = UnixStream::connect(&path).unwrap();
        other.write_all(&crate::ssh::keeper::IDENTITIES).unwrap();
        assert_eq!(answer(&mut other), Reply::Identities(vec![key.clone()]));
        assert_eq!(answer(&mut client), Reply::Other, "{signed:?}");
        assert_eq!(told(), signed);
    }
    lending.join().unwrap();
    drop((hangs, control));
    serving.join().unwrap().unwrap();
    std::fs::remove_file(&path).unwrap();
}
