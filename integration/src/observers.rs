//! What an observer looks at to judge: files that must stay secret or unchanged, processes that must
//! stay alive, listeners that must hear nothing.

use anyhow::{Context as _, Result, ensure};
use std::fs;
use std::io::{self, Read as _};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A file of the host with content that stands nowhere else.
#[derive(Debug)]
pub struct Canary {
    path: PathBuf,
    secret: String,
    /// Inode, mode, owner, group, and both times of change.
    state: [i64; 8],
}

impl Canary {
    /// Makes the file, readable and writable for everybody: only the sandbox is to keep it.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn make(path: &Path) -> Result<Self> {
        let mut random = [0; 16];
        fs::File::open("/dev/urandom")?.read_exact(&mut random)?;
        let secret: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        fs::write(path, &secret).with_context(|| path.display().to_string())?;
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o666))?;
        let state = state(path)?;
        Ok(Self { path: path.to_owned(), secret, state })
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What stands in it and nowhere else.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// It is the same file with the same content, owner, mode and times.
    ///
    /// # Errors
    /// Where it is not.
    pub fn unchanged(&self) -> Result<()> {
        let place = self.path.display();
        let now = state(&self.path).with_context(|| format!("{place} is gone"))?;
        ensure!(now == self.state, "{place} was changed: {:?} became {now:?}", self.state);
        ensure!(fs::read_to_string(&self.path)? == self.secret, "{place} was overwritten");
        Ok(())
    }
}

fn state(path: &Path) -> io::Result<[i64; 8]> {
    let found = fs::symlink_metadata(path)?;
    Ok([
        found.ino().cast_signed(),
        i64::from(found.mode()),
        i64::from(found.uid()),
        i64::from(found.gid()),
        found.mtime(),
        found.mtime_nsec(),
        found.ctime(),
        found.ctime_nsec(),
    ])
}

/// A process of the host, which nothing inside may signal or look into. Ends with this value.
#[derive(Debug)]
pub struct Victim(Child);

impl Victim {
    /// Starts it.
    ///
    /// # Errors
    /// Where no process can be made.
    pub fn start() -> Result<Self> {
        let mut sleep = Command::new("/bin/sleep");
        sleep.arg("600").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        sleep.spawn().map(Self).context("/bin/sleep")
    }

    /// Starts it as this user.
    ///
    /// # Errors
    /// Where no process can be made.
    pub fn start_as(uid: u32) -> Result<Self> {
        use std::os::unix::process::CommandExt as _;
        let mut sleep = Command::new("/bin/sleep");
        sleep.arg("600").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        sleep.uid(uid).gid(uid).spawn().map(Self).context("/bin/sleep")
    }

    /// Its number on the host.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// It lives, and was not stopped.
    ///
    /// # Errors
    /// Where it does not.
    pub fn lives(&mut self) -> Result<()> {
        ensure!(self.0.try_wait()?.is_none(), "the victim was ended");
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid()))?;
        ensure!(!stat.contains(") T "), "the victim was stopped");
        Ok(())
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        if let Err(error) = self.0.kill().and_then(|()| self.0.wait().map(drop)) {
            eprintln!("the victim could not be ended: {error}");
        }
    }
}

/// Listens on the host's loopback, TCP and UDP on the same port.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    udp: UdpSocket,
    port: u16,
}

impl Listener {
    /// Listens on a port that was free.
    ///
    /// # Errors
    /// Where none can be had.
    pub fn open() -> Result<Self> {
        let tcp = TcpListener::bind("127.0.0.1:0")?;
        let port = tcp.local_addr()?.port();
        let udp = UdpSocket::bind(("127.0.0.1", port))?;
        tcp.set_nonblocking(true)?;
        udp.set_nonblocking(true)?;
        Ok(Self { tcp, udp, port })
    }

    /// Where it listens.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Nobody connected and nothing came.
    ///
    /// # Errors
    /// Where somebody did.
    pub fn heard_nothing(&self) -> Result<()> {
        let nothing = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
        match self.tcp.accept() {
            Err(error) if nothing(&error) => {}
            accepted => anyhow::bail!("somebody connected to the host's loopback: {accepted:?}"),
        }
        match self.udp.recv_from(&mut [0; 64]) {
            Err(error) if nothing(&error) => Ok(()),
            received => anyhow::bail!("the host's loopback received {received:?}"),
        }
    }
}
