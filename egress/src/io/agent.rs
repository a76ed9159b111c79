//! A program in the sandbox asks an ssh-agent: read, judged, answered, and told.

use super::{accept, client, keeper, world::World};
use crate::{
    Read,
    ssh::{
        agent::{Ask, Session, Turn},
        message::{Answer, MOST, Request, message},
    },
};
use sandboxd_egress_plan::{Signed, Signing, Verdict};
use std::{convert::Infallible, io, io::ErrorKind, rc::Rc};
use tokio::{
    net::{UnixListener, UnixStream},
    task::{coop::consume_budget, spawn_local},
    time::{Instant, timeout_at},
};

/// Accepts for as long as that can be done.
pub(super) async fn connections(
    listener: UnixListener,
    world: Rc<World>,
) -> io::Result<Infallible> {
    loop {
        let stream = accept::local(&listener).await?;
        // Whoever is one too many sees the end of it.
        if let Some(place) = world.ask() {
            let world = Rc::clone(&world);
            drop(spawn_local(async move {
                connection(&world, &stream).await.ok();
                drop(place);
            }));
        }
    }
}

/// One connection is one session's, and may last as long as that. Whoever begins to say something is to go
/// on in time.
async fn connection(world: &Rc<World>, stream: &UnixStream) -> Result<Infallible, Verdict> {
    let mut session = Session::default();
    let mut bytes = Vec::new();
    loop {
        let request = next(world, stream, &mut bytes).await?;
        let admits = || world.signs();
        let turn = world.agent().answer(&mut session, request, admits);
        let (answer, told) = match turn {
            Turn::Said(answer, told) => (answer, told),
            Turn::Asks(ask) => {
                let (answer, told) = kept(world, stream, (ask, &mut bytes)).await;
                (answer, Some(told))
            }
        };
        if let Some(told) = told {
            world.tell_signing(&told);
        }
        write(stream, &answer.message(), client::until(world.plan.waits.head)).await?;
    }
}

/// The answer where another agent keeps the key, which may take as long as somebody takes to touch a token. Whoever
/// asked may go meanwhile; what was asked for goes on, because that agent has it still, and keeps its place until then.
async fn kept(
    world: &Rc<World>,
    stream: &UnixStream,
    (ask, bytes): (Ask, &mut Vec<u8>),
) -> (Answer, Signing) {
    let gone = async {
        // What is asked next waits for its turn.
        while bytes.len() <= MOST {
            if read(stream, bytes).await.is_err() {
                return;
            }
        }
        std::future::pending().await
    };
    let ask = Rc::new(ask);
    let asked = spawn_local({
        let (world, ask) = (Rc::clone(world), Rc::clone(&ask));
        async move { keeper::signed(&world, &ask).await }
    });
    let signed = tokio::select! {
        signed = asked => signed.unwrap_or(Err(Signed::Gone)),
        () = gone => Err(Signed::Left),
    };
    ask.answered(signed)
}

async fn next(world: &World, stream: &UnixStream, bytes: &mut Vec<u8>) -> Result<Request, Verdict> {
    let mut until = None;
    loop {
        if let Read::Done(request, length) = message(bytes).map_err(|_| Verdict::Malformed)? {
            bytes.drain(..length.min(bytes.len()));
            return Ok(request);
        }
        if until.is_none() && !bytes.is_empty() {
            until = Some(client::until(world.plan.waits.head));
        }
        let more = read(stream, bytes);
        match until {
            Some(until) => timeout_at(until, more).await.map_err(|_| Verdict::Slow)??,
            None => more.await?,
        }
    }
}

/// Reads what is there.
pub(super) async fn read(stream: &UnixStream, to: &mut Vec<u8>) -> Result<(), Verdict> {
    loop {
        consume_budget().await;
        stream.readable().await.map_err(|_| Verdict::Broke)?;
        let mut bytes = [0; 4 << 10];
        match stream.try_read(&mut bytes) {
            Ok(0) => return Err(Verdict::Ended),
            Ok(count) => {
                to.extend_from_slice(bytes.get(..count).unwrap_or_default());
                return Ok(());
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return Err(Verdict::Broke),
        }
    }
}

pub(super) async fn write(
    stream: &UnixStream,
    mut bytes: &[u8],
    until: Instant,
) -> Result<(), Verdict> {
    while !bytes.is_empty() {
        consume_budget().await;
        let writable = timeout_at(until, stream.writable()).await;
        writable.map_err(|_| Verdict::Slow)?.map_err(|_| Verdict::Broke)?;
        match stream.try_write(bytes) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return Err(Verdict::Broke),
        }
    }
    Ok(())
}
