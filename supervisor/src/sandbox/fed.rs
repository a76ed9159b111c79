//! Carrying to the command what it may only read: of a file, whoever holds a descriptor of it and owns it can set mode
//! and times; of a pipe that others hold too, whoever holds an end may come to write. So it gets a pipe.

use super::channel::watched;
use super::error::StartError;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::fs::OFlags;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::RecvFlags;
use std::thread::Builder;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

/// Read at once: as much as a pipe holds.
const CHUNK: usize = 64 << 10;

/// Taken at most out of a pipe before the command reads it.
const AHEAD: usize = 4 << 10;

/// A pipe of the command's, and where its content comes from.
pub(crate) struct Feed {
    pub(crate) from: Source,
    /// The writing end.
    pub(crate) to: OwnedFd,
}

/// What is carried to the command.
pub(crate) enum Source {
    /// A file, from here on. Where its caller's own descriptor reads next stays as it is: the next command of a loop
    /// may have the same.
    File(OwnedFd, u64),
    /// A pipe that others read too, by a description that does not block. Of what is in it the command takes what it
    /// reads, and the next of a loop the rest: so no more is taken ahead than [`AHEAD`].
    Pipe(OwnedFd),
    /// A socket, by the description that others have too: it is read without waiting, whatever is set there.
    Socket(OwnedFd),
}

/// How something is read without waiting.
type Read = fn(&OwnedFd, &mut [u8]) -> rustix::io::Result<usize>;

/// What is under way.
pub(crate) struct Fed {
    /// Hears of what can no longer be read; of nothing where all was carried, and then it is over.
    broken: Option<oneshot::Receiver<Broken>>,
    /// Ends what is under way, where that can be.
    carries: Option<AbortHandle>,
    /// What the command reads from has no end before the command has: it would take what it got for all.
    open: Option<OwnedFd>,
}

/// What is carried can no longer be read.
struct Broken {
    errno: Errno,
    to: OwnedFd,
}

impl Fed {
    /// Begins to carry.
    ///
    /// # Errors
    /// Where no thread can be started, or a pipe cannot be waited on.
    pub(crate) fn start(Feed { from, to }: Feed) -> Result<Self, StartError> {
        let (tell, broken) = oneshot::channel();
        // Whoever would hear it may be gone by then.
        let tell = move |errno, to| drop(tell.send(Broken { errno, to }));
        let carries = match from {
            Source::File(file, at) => {
                let failed =
                    |error| StartError::io("clone3", "a thread for standard input", &error);
                let carry = move || from_file(&file, at, &to).map_err(|errno| tell(errno, to));
                Builder::new().name(String::from("input")).spawn(carry).map_err(failed)?;
                None
            }
            Source::Pipe(pipe) => {
                let read: Read = |pipe, buffer| rustix::io::read(pipe, buffer);
                Some(carry(pipe, read, to, tell)?)
            }
            Source::Socket(socket) => {
                let read: Read = |socket, buffer| {
                    match rustix::net::recv(socket, buffer, RecvFlags::DONTWAIT) {
                        Ok((read, _)) => Ok(read),
                        // Whoever leaves with something unread ends the stream so.
                        Err(Errno::CONNRESET) => Ok(0),
                        Err(errno) => Err(errno),
                    }
                };
                Some(carry(socket, read, to, tell)?)
            }
        };
        Ok(Self { broken: Some(broken), carries, open: None })
    }

    /// Ready where what is carried can no longer be read: the command must not take what it got for all, and is to be
    /// dead before this is dropped.
    pub(crate) async fn broken(&mut self) -> StartError {
        if let Some(broken) = &mut self.broken {
            let heard = broken.await;
            self.broken = None;
            if let Ok(Broken { errno, to }) = heard {
                self.open = Some(to);
                return StartError::call("read", "standard input", errno);
            }
        }
        std::future::pending().await
    }
}

impl Drop for Fed {
    fn drop(&mut self) {
        if let Some(carries) = &self.carries {
            carries.abort();
        }
    }
}

/// Begins to carry what is read without waiting, a page ahead of the command.
fn carry(
    from: OwnedFd,
    read: Read,
    to: OwnedFd,
    tell: impl FnOnce(Errno, OwnedFd) + Send + 'static,
) -> Result<AbortHandle, StartError> {
    let failed = |errno| StartError::call("fcntl", "a pipe of the command's", errno);
    rustix::fs::fcntl_setfl(&to, OFlags::NONBLOCK).map_err(failed)?;
    // The room that a pipe has at least, so that whoever empties it is heard of.
    rustix::pipe::fcntl_setpipe_size(&to, AHEAD).map_err(failed)?;
    let (from, to) = (watched(from)?, watched(to)?);
    let carry = async move {
        let carried = ahead(&from, read, &to).await;
        carried.map_err(|errno| tell(errno, to.into_inner()))
    };
    Ok(tokio::spawn(carry).abort_handle())
}

/// In a thread of its own, because reading a file waits for whoever has it: a server that does not answer holds up
/// the command and nothing else. It is waited for by nobody, and ends where the command no longer reads.
fn from_file(file: &OwnedFd, mut at: u64, to: &OwnedFd) -> rustix::io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = retry_on_intr(|| rustix::io::pread(file, &mut *buffer, at))?;
        at += u64::try_from(read).unwrap_or_default();
        let mut bytes = buffer.get(..read).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(());
        }
        while !bytes.is_empty() {
            match retry_on_intr(|| rustix::io::write(to, bytes)) {
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                // Nobody reads it.
                Err(_) => return Ok(()),
            }
        }
    }
}

async fn ahead(
    from: &AsyncFd<OwnedFd>,
    read: Read,
    to: &AsyncFd<OwnedFd>,
) -> rustix::io::Result<()> {
    let mut buffer = vec![0; AHEAD];
    loop {
        ready(to, Interest::WRITABLE, |to| if is_wanted(to)? { Ok(()) } else { Err(Errno::AGAIN) })
            .await?;
        let count = ready(from, Interest::READABLE, |from| match has_reader(to.get_ref())? {
            true => read(from, &mut buffer),
            false => Ok(0),
        });
        let count = count.await?;
        if !give(to, buffer.get(..count).unwrap_or_default()).await {
            return Ok(());
        }
    }
}

/// Whether the command has read all that it was given, or will never read any more.
fn is_wanted(to: &OwnedFd) -> rustix::io::Result<bool> {
    Ok(rustix::io::ioctl_fionread(to)? == 0 || !has_reader(to)?)
}

/// Whether anybody has the other end.
fn has_reader(to: &OwnedFd) -> rustix::io::Result<bool> {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let mut ends = [PollFd::new(to, PollFlags::empty())];
    retry_on_intr(|| poll(&mut ends, Some(&now)))?;
    let [end] = ends;
    Ok(!end.revents().contains(PollFlags::ERR))
}

/// Gives the command all of it; whether there may be more, and somebody to read it.
async fn give(to: &AsyncFd<OwnedFd>, mut bytes: &[u8]) -> bool {
    let more = !bytes.is_empty();
    while !bytes.is_empty() {
        match ready(to, Interest::WRITABLE, |to| rustix::io::write(to, bytes)).await {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            // Nobody reads it.
            Err(_) => return false,
        }
    }
    more
}

/// Does it once it can be done.
async fn ready<T>(
    end: &AsyncFd<OwnedFd>,
    interest: Interest,
    mut what: impl FnMut(&OwnedFd) -> rustix::io::Result<T>,
) -> rustix::io::Result<T> {
    let failed = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    end.async_io(interest, |end| retry_on_intr(|| what(end)).map_err(std::io::Error::from))
        .await
        .map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{MemfdFlags, Mode, memfd_create};
    use rustix::pipe::{PipeFlags, pipe_with};
    use std::time::Duration;
    use tokio::runtime::{Builder, Runtime};

    fn runtime() -> Runtime {
        Builder::new_current_thread().enable_all().build().unwrap()
    }

    /// What the command reads from, and what is carried there.
    fn fed(from: Source) -> (OwnedFd, Fed) {
        let (given, to) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        rustix::fs::fcntl_setfl(&given, OFlags::NONBLOCK).unwrap();
        (given, Fed::start(Feed { from, to }).unwrap())
    }

    #[test]
    fn what_cannot_be_read_any_more_has_no_end_before_the_command_is_dead() {
        runtime().block_on(async {
            // Reading one fails.
            let folder = rustix::fs::open("/", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
            let (given, mut fed) = fed(Source::File(folder.unwrap(), 0));
            assert!(fed.broken().await.line().contains("EISDIR"));
            assert_eq!(rustix::io::read(&given, &mut [0; 1]), Err(Errno::AGAIN));
            drop(fed);
            assert_eq!(rustix::io::read(&given, &mut [0; 1]), Ok(0));
        });
    }

    #[test]
    fn a_file_is_carried_by_nobody_who_has_something_else_to_do() {
        let file = memfd_create("file", MemfdFlags::CLOEXEC).unwrap();
        let content: Vec<u8> = (0..3 * CHUNK).map(|place| place.to_le_bytes()[1]).collect();
        assert_eq!(rustix::io::write(&file, &content), Ok(content.len()));
        let (given, to) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        // Nothing drives a runtime here.
        let mut fed = Fed::start(Feed { from: Source::File(file, 5), to }).unwrap();
        let mut read = Vec::new();
        std::io::Read::read_to_end(&mut std::fs::File::from(given), &mut read).unwrap();
        assert!(read == content[5..]);
        // Nothing broke, however often that is asked.
        runtime().block_on(async {
            for _ in 0..2 {
                let broken = tokio::time::timeout(Duration::from_millis(20), fed.broken());
                assert!(broken.await.is_err());
            }
        });
    }

    #[test]
    fn of_a_pipe_a_page_is_taken_ahead_and_the_next_when_that_is_read() {
        let (pipe, source) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap();
        let holds = |end: &OwnedFd| {
            usize::try_from(rustix::io::ioctl_fionread(end).unwrap()).unwrap() / AHEAD
        };
        let takes = |given: &OwnedFd, count: usize| {
            assert_eq!(rustix::io::read(given, &mut vec![0; count]), Ok(count));
        };
        runtime().block_on(async {
            let (given, fed) = fed(Source::Pipe(pipe));
            let settled = || async {
                for _ in 0..20 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            rustix::io::write(&source, &[7; 4 * AHEAD]).unwrap();
            settled().await;
            assert_eq!((holds(&source), holds(&given)), (3, 1));
            takes(&given, AHEAD - 1);
            settled().await;
            assert_eq!(holds(&source), 3, "it was not read yet");
            takes(&given, 1);
            settled().await;
            assert_eq!((holds(&source), holds(&given)), (2, 1));
            drop(given);
            settled().await;
            assert_eq!(holds(&source), 2, "nobody is there to read it");
            drop(fed);
        });
    }
}
