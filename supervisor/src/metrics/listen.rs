//! Where the numbers can be read: a Unix socket, or a port of the loopback device. Whoever connects is
//! answered, whatever it asks for: what it writes is thrown away unread.

use crate::sandbox::StartError;
use crate::thread::Thread;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, statat, unlinkat};
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};
use sandboxd_plan::HostPath;
use std::ffi::OsString;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

/// How long somebody may take to ask, to read, and to go. One is answered after the other.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long nobody is let in once nobody can be.
const PAUSE: Duration = Duration::from_millis(100);

/// Where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// At this path.
    Unix(PathBuf),
    /// At this port of the loopback device.
    Tcp(SocketAddr),
}

impl FromStr for To {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                "" => Err(String::from("unix: needs a path: unix:/run/agent.metrics")),
                path => Ok(Self::Unix(PathBuf::from(path))),
            };
        }
        match text.parse::<SocketAddr>() {
            Ok(address) if address.ip().is_loopback() => Ok(Self::Tcp(address)),
            Ok(_) => Err(String::from(
                "metrics are served on this machine only: give a loopback address, 127.0.0.1:9464",
            )),
            Err(_) => Err(String::from(
                "write unix:PATH, or an address with its port: 127.0.0.1:9464, [::1]:9464",
            )),
        }
    }
}

/// Answers, until this is let go of.
pub struct Scraped {
    /// Ended before the name is removed.
    _thread: Thread<()>,
    name: Option<Name>,
}

/// The name of a socket that was made, which is removed with this.
struct Name {
    /// The folder that it is in, by its real path.
    path: HostPath,
    folder: OwnedFd,
    name: OsString,
    /// Device and inode of what was made.
    made: (u64, u64),
}

impl Scraped {
    /// Begins to answer with what `text` makes.
    ///
    /// # Errors
    /// Where nobody can be listened to there.
    pub fn begin(to: &To, text: impl Fn() -> String + Send + 'static) -> Result<Self, StartError> {
        let (socket, name) = match to {
            To::Tcp(address) => (port(*address)?, None),
            To::Unix(path) => Name::listen(path).map(|(socket, name)| (socket, Some(name)))?,
        };
        // Whoever is gone before it is let in is not waited for.
        rustix::io::ioctl_fionbio(&socket, true)
            .map_err(|errno| StartError::call("ioctl", "the metrics socket", errno))?;
        let thread = Thread::begin("metrics", move |closed| serve(&closed, &socket, &text))?;
        Ok(Self { _thread: thread, name })
    }

    /// The folder that its socket is in, which no command may write: it could put another there.
    #[must_use]
    pub fn folder(&self) -> Option<&HostPath> {
        self.name.as_ref().map(|name| &name.path)
    }
}

impl Name {
    /// Makes a socket at this path.
    fn listen(path: &Path) -> Result<(OwnedFd, Self), StartError> {
        const REMEDY: &str = "name a path that does not exist yet, in a folder that does: --metrics unix:/run/agent.metrics";
        let subject = path.display().to_string();
        let failed =
            |call, errno| StartError::call(call, subject.as_str(), errno).with_remedy(REMEDY);
        let none = || StartError::found("bind", subject.as_str()).with_remedy(REMEDY);
        let (folder, name) = path.parent().zip(path.file_name()).ok_or_else(none)?;
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(folder, flags, Mode::empty())
            .map_err(|errno| failed("open", errno))?;
        let held = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()));
        let real = std::fs::read_link(&held).ok();
        let real = real.as_deref().and_then(Path::to_str).and_then(|it| it.try_into().ok());
        let real = real.ok_or_else(none)?;
        let found = || statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW);
        // What a killed supervisor left behind is a socket where nobody answers.
        let left = found().is_ok_and(|it| FileType::from_raw_mode(it.st_mode) == FileType::Socket);
        let refused = UnixStream::connect(held.join(name))
            .is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused);
        if left && refused {
            unlinkat(&folder, name, AtFlags::empty()).ok();
        }
        let socket = UnixListener::bind(held.join(name)).map_err(|error| {
            StartError::io("bind", subject.as_str(), &error).with_remedy(REMEDY)
        })?;
        let stat = found().map_err(|errno| failed("fstatat", errno))?;
        let made = (stat.st_dev, stat.st_ino);
        Ok((socket.into(), Self { path: real, folder, name: name.to_owned(), made }))
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        // What somebody else has put there since is theirs.
        let found = statat(&self.folder, &self.name, AtFlags::SYMLINK_NOFOLLOW);
        if found.is_ok_and(|found| (found.st_dev, found.st_ino) == self.made) {
            unlinkat(&self.folder, &self.name, AtFlags::empty()).ok();
        }
    }
}

fn port(address: SocketAddr) -> Result<OwnedFd, StartError> {
    let socket = TcpListener::bind(address).map_err(|error| {
        StartError::io("bind", address.to_string(), &error)
            .with_remedy("name a port that nothing else listens on: --metrics 127.0.0.1:9464")
    })?;
    Ok(socket.into())
}

fn serve(closed: &OwnedFd, socket: &OwnedFd, text: &impl Fn() -> String) {
    loop {
        let mut fds = [PollFd::new(closed, PollFlags::IN), PollFd::new(socket, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
        let [over, connected] = fds.map(|fd| !fd.revents().is_empty());
        if over {
            return;
        }
        if !connected {
            continue;
        }
        match rustix::net::accept_with(socket, rustix::net::SocketFlags::CLOEXEC) {
            Ok(stream) => answer(closed, &stream, &text()),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            // Without a descriptor left, as a rule.
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

/// Answers once something was asked, and lets go once that was read.
fn answer(closed: &OwnedFd, stream: &OwnedFd, text: &str) {
    let until = Instant::now() + PATIENCE;
    let mut unread = [0; 4096];
    let mut read = || {
        waits(closed, stream.as_fd(), PollFlags::IN, until)
            && recv(stream, &mut unread[..], RecvFlags::DONTWAIT)
                .is_ok_and(|(length, _)| length > 0)
    };
    read();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    );
    let mut rest = answer.as_bytes();
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    while !rest.is_empty() && waits(closed, stream.as_fd(), PollFlags::OUT, until) {
        match send(stream, rest, flags) {
            Ok(sent) => rest = rest.get(sent..).unwrap_or_default(),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
    }
    // What it wrote beyond that is taken in, because TCP would else take the answer back.
    shutdown(stream, Shutdown::Write).ok();
    while read() {}
}

/// Waits until the stream is ready; false where it takes too long, or all is over.
fn waits(closed: &OwnedFd, stream: BorrowedFd<'_>, flags: PollFlags, until: Instant) -> bool {
    let left = until.saturating_duration_since(Instant::now());
    let Ok(left) = Timespec::try_from(left) else { return false };
    let mut fds = [PollFd::new(closed, PollFlags::IN), PollFd::from_borrowed_fd(stream, flags)];
    match poll(&mut fds, Some(&left)) {
        Ok(0) | Err(_) => false,
        Ok(_) => fds[0].revents().is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;

    #[test]
    fn only_this_machine_is_told() {
        assert_eq!("unix:/a".parse(), Ok(To::Unix(PathBuf::from("/a"))));
        assert!("127.0.0.1:1".parse::<To>().is_ok() && "[::1]:1".parse::<To>().is_ok());
        for text in ["0.0.0.0:1", "10.0.0.1:1", "unix:", "/a", "localhost:1", "[::]:1"] {
            assert!(text.parse::<To>().is_err(), "{text}");
        }
    }

    #[test]
    fn whoever_connects_is_answered_whatever_it_asks() {
        let folder = std::env::temp_dir().join(format!("metrics-{}", std::process::id()));
        let to = To::Unix(folder.clone());
        let listening = Scraped::begin(&to, || "a 1\n".repeat(100_000)).unwrap();
        for asked in [&b"GET /metrics HTTP/1.1\r\n\r\n"[..], &[0xff; 60_000], b"x"] {
            let mut stream = UnixStream::connect(&folder).unwrap();
            stream.write_all(asked).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("a 1\n"));
            assert!(answer.contains("Content-Length: 400000\r\n"));
        }
        assert!(Scraped::begin(&to, String::new).is_err(), "it is in use");
        drop(listening);
        assert!(!folder.exists());
        // One that was killed leaves it behind.
        drop(UnixListener::bind(&folder).unwrap());
        let listening = Scraped::begin(&to, String::new).unwrap();
        assert_eq!(
            listening.folder().unwrap().as_str(),
            folder.parent().unwrap().to_str().unwrap()
        );
        // What another has put there since is not removed.
        std::fs::remove_file(&folder).unwrap();
        let other = UnixListener::bind(&folder).unwrap();
        drop(listening);
        assert!(UnixStream::connect(&folder).is_ok());
        drop(other);
        std::fs::remove_file(&folder).unwrap();
    }

    #[test]
    fn a_port_is_answered_too() {
        // Which port is free, the kernel says.
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let Ok(_listening) = Scraped::begin(&To::Tcp(free), || String::from("a 1\n")) else {
            return;
        };
        let mut stream = TcpStream::connect(free).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("a 1\n"), "{answer}");
    }
}
