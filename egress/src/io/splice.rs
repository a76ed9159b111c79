//! Bytes from one connection to the other, which never come here: the kernel moves them through a pipe.

use super::meter::Meter;
use crate::limit::Direction;
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};
use sandboxd_egress_plan::Verdict;
use std::{io, os::fd::AsFd};
use tokio::{io::Interest, net::TcpStream};

/// How many bytes a pipe takes at once.
const PIPE: usize = 64 << 10;

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
    let (outlet, inlet) =
        pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).map_err(|_| Verdict::Broke)?;
    loop {
        let most = usize::try_from(meter.left(direction)).unwrap_or(usize::MAX).min(PIPE);
        if most == 0 {
            // It may have been the last byte.
            return match from.peek(&mut [0]).await {
                Ok(0) => Ok(()),
                Ok(_) => Err(Verdict::Spent),
                Err(_) => Err(Verdict::Broke),
            };
        }
        let count = moved(from, Interest::READABLE, || step(from, &inlet, most)).await?;
        if count == 0 {
            return Ok(());
        }
        meter.count(direction, count);
        let mut left = count;
        while left > 0 {
            left -= moved(to, Interest::WRITABLE, || step(&outlet, to, left)).await?.min(left);
        }
    }
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

/// Tries it whenever the connection is ready, until it does something.
async fn moved(
    stream: &TcpStream,
    interest: Interest,
    step: impl Fn() -> io::Result<usize>,
) -> Result<usize, Verdict> {
    loop {
        stream.ready(interest).await.map_err(|_| Verdict::Broke)?;
        match stream.try_io(interest, &step) {
            Ok(count) => return Ok(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return Err(Verdict::Broke),
        }
    }
}
