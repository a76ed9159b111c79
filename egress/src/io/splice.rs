//! Bytes from one connection to the other, which never come here: the kernel moves them through a pipe.
//!
//! A pipe is needed only while there is something in it, so the connections share a few, and one that
//! says nothing has none.

use super::meter::Meter;
use crate::limit::Direction;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use sandboxd_egress_plan::Verdict;
use std::{
    cell::RefCell,
    io,
    os::fd::{AsFd, OwnedFd},
};
use tokio::{io::Interest, net::TcpStream, task::coop::consume_budget};

/// How many bytes a pipe takes at once, where the kernel lets us have so much.
const PIPE: usize = 256 << 10;

/// How many pipes are kept that nobody needs now.
const SPARE: usize = 16;

/// The pipes that nobody needs now. They are empty.
#[derive(Debug, Default)]
pub(super) struct Pipes(RefCell<Vec<Pipe>>);

#[derive(Debug)]
struct Pipe {
    outlet: OwnedFd,
    inlet: OwnedFd,
}

impl Pipes {
    fn take(&self) -> Result<Pipe, Verdict> {
        if let Some(pipe) = self.0.borrow_mut().pop() {
            return Ok(pipe);
        }
        let (outlet, inlet) =
            pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).map_err(|_| Verdict::Broke)?;
        // Whoever has many pipes gets small ones, and then takes more steps.
        fcntl_setpipe_size(&inlet, PIPE).ok();
        Ok(Pipe { outlet, inlet })
    }

    /// Keeps a pipe that is empty.
    fn give(&self, pipe: Pipe) {
        let mut spare = self.0.borrow_mut();
        if spare.len() < SPARE {
            spare.push(pipe);
        }
    }
}

/// Carries until there is no more, and passes that on.
pub(super) async fn one_way(
    from: &TcpStream,
    to: &TcpStream,
    meter: &Meter<'_>,
    direction: Direction,
) -> Result<(), Verdict> {
    all(from, to, meter, direction).await?;
    end(to)
}

/// Carries until there is no more.
pub(super) async fn all(
    from: &TcpStream,
    to: &TcpStream,
    meter: &Meter<'_>,
    direction: Direction,
) -> Result<(), Verdict> {
    loop {
        // However fast these are, it is somebody else's turn now and then.
        consume_budget().await;
        from.readable().await.map_err(|_| Verdict::Broke)?;
        // Not before that, since others use of the same while this one waits.
        let most = usize::try_from(meter.left(direction)).unwrap_or(usize::MAX).min(PIPE);
        if most == 0 {
            // It may have been the last byte.
            return match from.peek(&mut [0]).await {
                Ok(0) => Ok(()),
                Ok(_) => Err(meter.spent()),
                Err(_) => Err(Verdict::Broke),
            };
        }
        let pipe = meter.pipes().take()?;
        match from.try_io(Interest::READABLE, || step(from, &pipe.inlet, most)) {
            Ok(0) => {
                meter.pipes().give(pipe);
                return Ok(());
            }
            Ok(count) => {
                meter.count(direction, count);
                // Where this fails, the pipe is let go of with what is left in it.
                drain(&pipe, to, count).await?;
                meter.pipes().give(pipe);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => meter.pipes().give(pipe),
            Err(_) => return Err(Verdict::Broke),
        }
    }
}

async fn drain(pipe: &Pipe, to: &TcpStream, mut left: usize) -> Result<(), Verdict> {
    while left > 0 {
        to.writable().await.map_err(|_| Verdict::Broke)?;
        match to.try_io(Interest::WRITABLE, || step(&pipe.outlet, to, left)) {
            Ok(count) => left = left.saturating_sub(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return Err(Verdict::Broke),
        }
    }
    Ok(())
}

/// Says that there is no more.
pub(super) fn end(to: &TcpStream) -> Result<(), Verdict> {
    match rustix::net::shutdown(to, rustix::net::Shutdown::Write) {
        // Whoever is gone hears no end.
        Ok(()) | Err(rustix::io::Errno::NOTCONN) => Ok(()),
        Err(_) => Err(Verdict::Broke),
    }
}

fn step(from: impl AsFd, to: impl AsFd, most: usize) -> io::Result<usize> {
    let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
    Ok(splice(from, None, to, None, most, flags)?)
}
