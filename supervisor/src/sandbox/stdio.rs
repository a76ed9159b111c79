//! Standard input, output and error of the command.
//!
//! Pipes pass through; of a pipe the mode is widened, see [`by_name`], and the command has a description
//! of its own, so that what it sets there (not to wait, packets) is not set for whoever has the pipe next. A socket
//! is one of the network that it was made in, whoever holds it, and so what goes over it is carried. A terminal
//! never passes: what stands for it is decided in the plan, and carried by `terminal::console`. A
//! regular file passes as input only, for reading, and where the command may not change its mode or times;
//! else it is carried. One that is open for both is opened again. As output
//! it does not pass: whoever holds a descriptor of it can seek, truncate and read back what was there
//! before, so the command gets a pipe and the supervisor writes the file. A directory would be a way
//! into the host's tree, and is refused.

use super::by_name::{self, anew};
use super::error::StartError;
use super::fed::{Feed, Source};
use crate::service::pipes::Pipes as Ends;
use crate::terminal::console::Pipes;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Gid, Uid};
use sandboxd_plan::Identity;
use sandboxd_profiles::{Stream, Wire};

/// What the command gets as 0, 1 and 2, and what the supervisor carries for it.
pub(crate) struct Stdio {
    given: [OwnedFd; 3],
    /// What is carried to files, one for each pipe.
    relays: Vec<Relay>,
    /// What is carried to the command from its caller's standard input.
    feed: Option<Feed>,
    /// What is carried from and to the caller's terminal.
    pipes: Pipes,
}

/// A pipe of the command's, and what its content goes to.
pub(crate) struct Relay {
    /// The reading end.
    pub(crate) from: OwnedFd,
    /// The file, or the socket.
    pub(crate) to: OwnedFd,
    /// Whether somebody reads there, whose the limit of output is not.
    pub(crate) is_read: bool,
}

/// Standard output or error is the end to read from of a pipe that the command may not be given.
const ANOTHERS: Errno = Errno::BUSY;
/// A stream is opened for its name alone.
const NAME_ALONE: Errno = Errno::OPNOTSUPP;

/// Why standard output or error cannot be given.
fn ungiven(what: &str, errno: Errno) -> StartError {
    let error = StartError::call("dup", what, errno);
    match errno {
        ANOTHERS => error.with_remedy(
            "standard output or error is the read end of a pipe that others read: give the write end, a file or /dev/null",
        ),
        NAME_ALONE => error.with_remedy(
            "a standard stream was opened with O_PATH, which permits neither reading nor writing: open it for one of them",
        ),
        _ => error,
    }
}

impl Stdio {
    /// Looks at the supervisor's own 0, 1 and 2. What is made for the command belongs to `user`, so
    /// that `/dev/stdout` and `/dev/stderr` can be opened.
    ///
    /// # Errors
    /// Where one cannot be duplicated, a pipe cannot be made, one is a directory, standard input
    /// is open for writing only, or another is the end to read from of a pipe that the command may not be given.
    pub(crate) fn prepare(user: Identity, wires: [Wire; 3]) -> Result<Self, StartError> {
        let failed = |errno| match errno {
            Errno::BADF => StartError::call("fcntl", "standard input", errno).with_remedy(
                "standard input is open for writing only: open it for reading (< file)",
            ),
            Errno::ISDIR => StartError::call("fstat", "standard input or output", errno)
                .with_remedy("give the command a file, a pipe, a terminal or /dev/null instead"),
            errno => ungiven("standard input and output", errno),
        };
        let [read, written, complained] = wires;
        let (mut pipes, mut feed) = (Pipes::default(), None);
        let input = match read {
            Wire::Pass => input(user, &mut feed),
            Wire::Carried => typed(user, &mut pipes),
            Wire::Terminal | Wire::Nothing => null(OFlags::RDONLY),
        }
        .map_err(failed)?;
        let mut relays: Vec<Relay> = Vec::new();
        let mut given = |number: i32, wire: Wire, relays: &mut Vec<Relay>| match wire {
            Wire::Pass => self::output(number, user, relays),
            Wire::Carried => shown(user, &mut pipes),
            Wire::Terminal | Wire::Nothing => null(OFlags::WRONLY),
        };
        let output = given(1, written, &mut relays).map_err(failed)?;
        // `2>&1` stays one stream, in the order it was written.
        let is_one = match (written, complained, relays.first()) {
            (Wire::Carried, Wire::Carried, _) => true,
            (_, _, Some(relay)) => is_same_file(relay.to.as_fd(), 2).map_err(failed)?,
            (_, _, None) => false,
        };
        let error = if is_one {
            rustix::io::fcntl_dupfd_cloexec(&output, 3)
        } else {
            given(2, complained, &mut relays)
        }
        .map_err(failed)?;
        Ok(Self { given: [input, output, error], relays, feed, pipes })
    }

    /// What a server gets whose client talks to it through the broker: these pipes, and standard error
    /// as any command.
    ///
    /// # Errors
    /// As [`Self::prepare`].
    pub(crate) fn served(
        user: Identity,
        wires: [Wire; 3],
        pipes: Ends,
    ) -> Result<Self, StartError> {
        let failed = |errno| ungiven("standard error", errno);
        let (mut shows, mut relays) = (Pipes::default(), Vec::new());
        let [.., complained] = wires;
        let error = match complained {
            Wire::Pass => output(2, user, &mut relays),
            Wire::Carried => shown(user, &mut shows),
            Wire::Terminal | Wire::Nothing => null(OFlags::WRONLY),
        }
        .map_err(failed)?;
        let [input, output] = owned(pipes, user).map_err(ungiven_pipes)?;
        Ok(Self { given: [input, output, error], relays, feed: None, pipes: shows })
    }

    /// What an instance gets that somebody called: these pipes, and where our own standard error leads,
    /// but for a terminal, which only filtered words may reach, and a socket of the network.
    ///
    /// # Errors
    /// As [`Self::prepare`].
    pub(crate) fn called(user: Identity, pipes: Ends) -> Result<Self, StartError> {
        let failed = |errno| ungiven("standard error", errno);
        let mut relays = Vec::new();
        let error = match callers() {
            [.., Stream::Terminal | Stream::Network] => null(OFlags::WRONLY),
            [.., Stream::Pipe | Stream::Other] => output(2, user, &mut relays),
        }
        .map_err(failed)?;
        let [input, output] = owned(pipes, user).map_err(ungiven_pipes)?;
        Ok(Self { given: [input, output, error], relays, feed: None, pipes: Pipes::default() })
    }

    /// What a service of ours gets: these, as they are.
    pub(crate) fn lent(given: [OwnedFd; 3]) -> Self {
        Self { given, relays: Vec::new(), feed: None, pipes: Pipes::default() }
    }

    /// What the command gets.
    pub(crate) fn given(&self) -> [BorrowedFd<'_>; 3] {
        let [input, output, error] = &self.given;
        [input.as_fd(), output.as_fd(), error.as_fd()]
    }

    /// Hands out the pipes that stand for the caller's terminal.
    pub(crate) fn take_pipes(&mut self) -> Pipes {
        std::mem::take(&mut self.pipes)
    }

    /// Hands out what is to be carried to the command.
    pub(crate) fn take_feed(&mut self) -> Option<Feed> {
        self.feed.take()
    }

    /// Hands out what is to be carried to files.
    pub(crate) fn take_relays(&mut self) -> Vec<Relay> {
        std::mem::take(&mut self.relays)
    }
}

/// What the caller's standard streams are.
#[must_use]
pub(crate) fn callers() -> [Stream; 3] {
    [0, 1, 2].map(|number| {
        let Ok(own) = sandboxd_kernel::fds::inherited(number) else { return Stream::Other };
        if rustix::termios::isatty(own) {
            return Stream::Terminal;
        }
        match rustix::fs::fstat(own).map(|stat| FileType::from_raw_mode(stat.st_mode)) {
            Ok(FileType::Fifo) => Stream::Pipe,
            // Whatever cannot be told is of the network, and what is connected to nobody reaches whom it names.
            Ok(FileType::Socket) => match rustix::net::sockopt::socket_domain(own) {
                Ok(AddressFamily::UNIX) if is_connected(own) => Stream::Pipe,
                Ok(_) | Err(_) => Stream::Network,
            },
            Ok(_) | Err(_) => Stream::Other,
        }
    })
}

/// Whether a socket is a stream to one other, which can be carried. Any other there is only where the command has the
/// host's network, and is given.
fn is_connected(socket: BorrowedFd<'_>) -> bool {
    let is_stream = rustix::net::sockopt::socket_type(socket) == Ok(SocketType::STREAM);
    is_stream && rustix::net::getpeername(socket).is_ok()
}

/// Standard input: read-only where it is a file that was opened for writing too.
fn input(user: Identity, feed: &mut Option<Feed>) -> rustix::io::Result<OwnedFd> {
    let own = match duplicate(0) {
        Ok(own) => own,
        // Closed, which a program may expect to read nothing of. Anything else is a failure.
        Err(Errno::BADF) => return null(OFlags::RDONLY),
        Err(errno) => return Err(errno),
    };
    let stat = rustix::fs::fstat(&own)?;
    let access = rustix::fs::fcntl_getfl(&own)? & OFlags::RWMODE;
    let kind = FileType::from_raw_mode(stat.st_mode);
    if kind == FileType::Directory {
        return Err(Errno::ISDIR);
    }
    if kind == FileType::RegularFile && access == OFlags::WRONLY {
        return Err(Errno::BADF);
    }
    if kind == FileType::RegularFile && may_change(&stat, user) {
        let at = rustix::fs::tell(&own)?;
        return fed(user, Source::File(own, at), feed);
    }
    if kind == FileType::RegularFile && access == OFlags::RDWR {
        return reopen_for_reading(&own);
    }
    if kind == FileType::Fifo && !opens(&own, user)? {
        let source = Source::Pipe(anew(&own, OFlags::RDONLY | OFlags::NONBLOCK)?);
        return fed(user, source, feed);
    }
    if kind == FileType::Socket && is_connected(own.as_fd()) {
        return fed(user, Source::Socket(own), feed);
    }
    if kind == FileType::Fifo { apart(own) } else { Ok(own) }
}

/// The same pipe through a description of its own, with the flags that it has. Where it cannot be opened again, because
/// it is another user's or nobody is at its other end any more, it is given as it is.
fn apart(own: OwnedFd) -> rustix::io::Result<OwnedFd> {
    let flags = rustix::fs::fcntl_getfl(&own)?;
    match anew(&own, (flags & OFlags::RWMODE) | OFlags::NONBLOCK) {
        Ok(opened) => {
            rustix::fs::fcntl_setfl(&opened, flags)?;
            Ok(opened)
        }
        Err(Errno::ACCESS | Errno::PERM | Errno::NXIO) => Ok(own),
        Err(errno) => Err(errno),
    }
}

/// Lets the command open a pipe by name as it has it, whichever of its streams that is: a shell can give the end to
/// read from as standard output. Whether it may be given this one at all.
fn opens(pipe: &OwnedFd, user: Identity) -> rustix::io::Result<bool> {
    let access = rustix::fs::fcntl_getfl(pipe)? & OFlags::RWMODE;
    if access == OFlags::RDONLY {
        return by_name::may_read(pipe, user);
    }
    if access == OFlags::WRONLY {
        by_name::may_write(pipe, user)?;
    }
    Ok(true)
}

/// Whether the command sets a file's mode, times or attributes by whatever descriptor it has of it. The kernel asks who
/// owns the file and who may write it, and neither how it was opened nor Landlock.
fn may_change(stat: &Stat, user: Identity) -> bool {
    let is_group = stat.st_gid == user.gid && stat.st_mode & 0o020 != 0;
    let is_theirs = by_name::is_caller(user) || stat.st_uid == user.uid;
    is_theirs || is_group || stat.st_mode & 0o002 != 0
}

/// A pipe of the command's own to read from.
fn fed(user: Identity, from: Source, feed: &mut Option<Feed>) -> rustix::io::Result<OwnedFd> {
    let (given, to) = pipe_of(user)?;
    *feed = Some(Feed { from, to });
    Ok(given)
}

fn output(number: i32, user: Identity, relays: &mut Vec<Relay>) -> rustix::io::Result<OwnedFd> {
    let own = match duplicate(number) {
        Ok(own) => own,
        Err(Errno::BADF) => return null(OFlags::WRONLY),
        Err(errno) => return Err(errno),
    };
    let stat = rustix::fs::fstat(&own)?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    if kind == FileType::Directory {
        return Err(Errno::ISDIR);
    }
    if kind == FileType::Fifo && !opens(&own, user)? {
        return Err(ANOTHERS);
    }
    if kind == FileType::Fifo {
        return apart(own);
    }
    let is_read = kind == FileType::Socket && is_connected(own.as_fd());
    if kind != FileType::RegularFile && !is_read {
        return Ok(own);
    }
    let (from, given) = pipe_of(user)?;
    relays.push(Relay { from, to: own, is_read });
    Ok(given)
}

/// A pipe that the sandbox's user may open by name: the end to read and the end to write.
fn pipe_of(user: Identity) -> rustix::io::Result<(OwnedFd, OwnedFd)> {
    let (from, to) = pipe_with(PipeFlags::CLOEXEC)?;
    own(&to, user)?;
    Ok((from, to))
}

/// A server's pipes, which the sandbox's user may open by name.
fn owned(Ends { input, output }: Ends, user: Identity) -> rustix::io::Result<[OwnedFd; 2]> {
    own(&input, user)?;
    own(&output, user)?;
    Ok([input, output])
}

fn own(pipe: &OwnedFd, user: Identity) -> rustix::io::Result<()> {
    rustix::fs::fchown(pipe, Some(Uid::from_raw(user.uid)), Some(Gid::from_raw(user.gid)))
}

fn ungiven_pipes(errno: Errno) -> StartError {
    StartError::call("fchown", "a server's pipes", errno)
}

/// What the command reads instead of the caller's terminal.
fn typed(user: Identity, pipes: &mut Pipes) -> rustix::io::Result<OwnedFd> {
    let (given, to) = pipe_of(user)?;
    rustix::fs::fcntl_setfl(&to, OFlags::NONBLOCK)?;
    pipes.typed = Some(to);
    Ok(given)
}

/// What the command writes instead of the caller's terminal.
fn shown(user: Identity, pipes: &mut Pipes) -> rustix::io::Result<OwnedFd> {
    let (from, given) = pipe_of(user)?;
    rustix::fs::fcntl_setfl(&from, OFlags::NONBLOCK)?;
    pipes.shown = Some(from);
    Ok(given)
}

/// The same file through a description of its own, at the same offset, without the right to write.
fn reopen_for_reading(own: &OwnedFd) -> rustix::io::Result<OwnedFd> {
    let reopened = anew(own, OFlags::RDONLY)?;
    let offset = rustix::fs::tell(own)?;
    rustix::fs::seek(&reopened, rustix::fs::SeekFrom::Start(offset))?;
    Ok(reopened)
}

fn is_same_file(one: BorrowedFd<'_>, number: i32) -> rustix::io::Result<bool> {
    let other = match duplicate(number) {
        Ok(other) => other,
        Err(Errno::BADF) => return Ok(false),
        Err(errno) => return Err(errno),
    };
    let (one, other) = (rustix::fs::fstat(one)?, rustix::fs::fstat(&other)?);
    Ok((one.st_dev, one.st_ino) == (other.st_dev, other.st_ino))
}

fn duplicate(number: i32) -> rustix::io::Result<OwnedFd> {
    let own = sandboxd_kernel::fds::inherited(number)?;
    if rustix::fs::fcntl_getfl(own)?.contains(OFlags::PATH) {
        return Err(NAME_ALONE);
    }
    rustix::io::fcntl_dupfd_cloexec(own, 3)
}

fn null(access: OFlags) -> rustix::io::Result<OwnedFd> {
    rustix::fs::open("/dev/null", access | OFlags::CLOEXEC, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{getegid, geteuid};
    use sandboxd_plan::Groups;

    #[test]
    fn a_pipe_opens_by_name_as_it_is_held_and_not_by_which_stream_it_is() {
        let mode = |pipe: &OwnedFd| rustix::fs::fstat(pipe).unwrap().st_mode & 0o777;
        // Of no sandbox, and so nobody's whom a pipe is made readable for.
        let id = geteuid().as_raw() + 1;
        let user = Identity { uid: id, gid: getegid().as_raw(), groups: Groups::Kept };
        let (from, to) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let before = mode(&from);
        assert!(!opens(&from, user).unwrap());
        assert_eq!(mode(&from), before);
        assert!(opens(&to, user).unwrap());
        assert_eq!(mode(&to), before | 0o002);
        let text = ungiven("standard error", ANOTHERS).text("case");
        assert!(text.contains("EBUSY") && text.contains("the write end"), "{text}");
    }
}
