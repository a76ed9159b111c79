//! Bytes from one connection to the other. Where there are many, they never come here: the kernel moves them
//! through a pipe. A few are taken and sent on, which is less work.
//!
//! A pipe is needed only while there is something in it, so the connections share a few, and one that
//! says nothing has none.

use super::{
    meter::Meter,
    piece::{self, Room},
    stream::{Stream as _, Tcp},
};
use crate::limit::Direction;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use sandboxd_egress_plan::Verdict;
use std::{
    cell::{Cell, RefCell},
    io,
    mem::MaybeUninit,
    os::fd::{AsFd, OwnedFd},
    rc::Rc,
};
use tokio::{io::Interest, net::TcpStream, task::coop::consume_budget};

/// How many bytes a pipe takes at once, where the kernel lets us have so much.
const PIPE: usize = 1 << 20;

/// The same, of each pipe beyond the first few. All pipes of a user have 64 MiB together, and whatever of that
/// user's makes one after that gets one of 8 KiB (pipe(7)).
const SMALL: usize = 256 << 10;

/// How many pipes at a time are large.
const LARGE: usize = 4;

/// How many bytes are carried at a time of what a connection may do until it is somebody else's turn.
const TURN: usize = 64 << 10;

/// How many pipes are kept that nobody needs now.
const SPARE: usize = 2;

/// The pipes that nobody needs now, which are empty; and how many there are in all.
#[derive(Debug, Default)]
pub(super) struct Pipes {
    spare: RefCell<Vec<Pipe>>,
    all: Rc<Cell<usize>>,
}

#[derive(Debug)]
struct Pipe {
    outlet: OwnedFd,
    inlet: OwnedFd,
    /// Whether it takes what it was to take.
    whole: bool,
    all: Rc<Cell<usize>>,
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.all.set(self.all.get().saturating_sub(1));
    }
}

impl Pipes {
    fn take(&self) -> io::Result<Pipe> {
        if let Some(pipe) = self.spare.borrow_mut().pop() {
            return Ok(pipe);
        }
        let (outlet, inlet) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        let before = self.all.get();
        self.all.set(before + 1);
        let size = if before < LARGE { PIPE } else { SMALL };
        // Where that is not to be had, it takes more steps.
        let whole = fcntl_setpipe_size(&inlet, size).is_ok();
        Ok(Pipe { outlet, inlet, whole, all: Rc::clone(&self.all) })
    }

    /// Keeps a pipe that is empty, where it is worth it.
    fn give(&self, pipe: Pipe) {
        let mut spare = self.spare.borrow_mut();
        if pipe.whole && spare.len() < SPARE {
            spare.push(pipe);
        }
    }
}

/// Carries one way until there is no more, and passes that on; the other way goes on. After both, the connections
/// are let go of, which says it too.
pub(super) async fn one_way(
    from: &Tcp,
    to: &Tcp,
    (meter, other): (&Meter<'_>, &Cell<bool>),
    direction: Direction,
) -> Result<(), Verdict> {
    all(from, to, meter, direction).await?;
    if other.replace(true) { Ok(()) } else { end(to) }
}

/// Carries until there is no more.
pub(super) async fn all(
    from: &Tcp,
    to: &Tcp,
    meter: &Meter<'_>,
    direction: Direction,
) -> Result<(), Verdict> {
    let mut many = false;
    let mut carried = 0;
    loop {
        // However fast these are, it is somebody else's turn now and then.
        for _ in 0..=carried / TURN {
            consume_budget().await;
        }
        from.readable().await.map_err(|_| Verdict::Broke)?;
        // Not before that, since others use of the same while this one waits.
        let left = usize::try_from(meter.left(direction)).unwrap_or(usize::MAX);
        if left == 0 {
            // It may have been the last byte.
            return match from.peek(&mut [0]).await {
                Ok(0) => Ok(()),
                Ok(_) => Err(meter.spent()),
                Err(_) => Err(Verdict::Broke),
            };
        }
        let count = |count| meter.count(direction, count);
        let moved = if many {
            through_pipe(from, to, meter.pipes(), (left.min(PIPE), count)).await?
        } else {
            by_hand(from, to, (left.min(piece::MOST), count)).await?
        };
        carried = match moved {
            Moved::All => return Ok(()),
            Moved::Nothing => 0,
            Moved::Some(count) => {
                many = count >= piece::MOST;
                count
            }
        };
    }
}

/// What went of what there was.
enum Moved {
    /// There is nothing now.
    Nothing,
    Some(usize),
    /// There will be no more.
    All,
}

/// A few bytes, counted when they are taken.
async fn by_hand(
    from: &Tcp,
    to: &Tcp,
    (most, count): (usize, impl FnOnce(usize)),
) -> Result<Moved, Verdict> {
    // Whoever waits for the other end holds no more than it did not take.
    let (taken, rest) = {
        let mut room: Room = [MaybeUninit::uninit(); piece::MOST];
        let bytes = match piece::received(from, room.get_mut(..most).unwrap_or_default()) {
            Ok([]) => return Ok(Moved::All),
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Moved::Nothing),
            Err(_) => return Err(Verdict::Broke),
        };
        count(bytes.len());
        (bytes.len(), piece::sent(to, bytes)?.to_vec())
    };
    to.write(&rest).await?;
    Ok(Moved::Some(taken))
}

/// Many bytes, counted when the pipe has them.
async fn through_pipe(
    from: &Tcp,
    to: &Tcp,
    pipes: &Pipes,
    (most, count): (usize, impl FnOnce(usize)),
) -> Result<Moved, Verdict> {
    // Where no pipe is to be had, there are no descriptors left, and the bytes need none.
    let Ok(pipe) = pipes.take() else {
        return by_hand(from, to, (most.min(piece::MOST), count)).await;
    };
    match step(from, &pipe.inlet, most) {
        // No pipe goes past an urgent byte: what lies behind one looks like nothing, or like the end.
        Ok(0) => {}
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        Err(_) => return Err(Verdict::Broke),
        Ok(taken) => {
            count(taken);
            // Where this fails, the pipe is let go of with what is left in it.
            drain(&pipe, to, taken).await?;
            pipes.give(pipe);
            return Ok(Moved::Some(taken));
        }
    }
    pipes.give(pipe);
    by_hand(from, to, (most.min(piece::MOST), count)).await
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

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::fcntl_getpipe_size;

    #[test]
    fn few_pipes_are_large_and_fewer_are_kept() {
        let pipes = Pipes::default();
        let taken: Vec<Pipe> = (0..LARGE + 3).map(|_| pipes.take().unwrap()).collect();
        for (number, pipe) in taken.iter().enumerate().filter(|(_, pipe)| pipe.whole) {
            let size = if number < LARGE { PIPE } else { SMALL };
            assert_eq!(fcntl_getpipe_size(&pipe.inlet).unwrap(), size, "of {number}");
        }
        taken.into_iter().for_each(|pipe| pipes.give(pipe));
        assert!(pipes.spare.borrow().len() <= SPARE);
        assert_eq!(pipes.all.get(), pipes.spare.borrow().len());
        pipes.spare.borrow_mut().clear();
        let mut stunted = pipes.take().unwrap();
        stunted.whole = false;
        pipes.give(stunted);
        assert_eq!((pipes.spare.borrow().len(), pipes.all.get()), (0, 0));
    }
}
