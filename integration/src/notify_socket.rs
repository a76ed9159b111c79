//! A service manager as `sandboxd` meets one, played by the observer: it listens for what it is told.

use crate::{Sandbox, patience};
use anyhow::{Context as _, Result, bail, ensure};
use nix::fcntl::{FcntlArg, FdFlag};
use std::io::ErrorKind;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::time::Duration;

/// What sd_notify(3) speaks to.
#[derive(Debug)]
pub struct NotifySocket {
    socket: UnixDatagram,
    address: String,
}

impl NotifySocket {
    /// One that listens at a path, where everybody may speak to it.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn at(path: &Path) -> Result<Self> {
        let socket = UnixDatagram::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777))?;
        Ok(Self { socket, address: path.to_str().context("a path")?.to_owned() })
    }

    /// One that listens at an abstract name.
    ///
    /// # Errors
    /// Where it is taken.
    pub fn named(name: &str) -> Result<Self> {
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(name)?)?;
        Ok(Self { socket, address: format!("@{name}") })
    }

    /// As `$NOTIFY_SOCKET` has it.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A sandbox that this manager starts.
    pub fn starts<'a>(&self, sandbox: Sandbox<'a>) -> Sandbox<'a> {
        sandbox.env("NOTIFY_SOCKET", &self.address)
    }

    /// The next it is told.
    ///
    /// # Errors
    /// Where nothing comes for half a minute.
    pub fn hears(&self) -> Result<String> {
        self.socket.set_nonblocking(false)?;
        self.socket.set_read_timeout(Some(patience(Duration::from_secs(30))))?;
        self.receive()?.context("nothing was told for half a minute")
    }

    /// The next it is told is this, word for word or up to a `*` at its end.
    ///
    /// # Errors
    /// Where it is told something else, or nothing.
    pub fn is_told(&self, wanted: &str) -> Result<()> {
        let told = self.hears()?;
        let is = wanted.strip_suffix('*').map_or(told == wanted, |start| told.starts_with(start));
        ensure!(is, "told {told:?}, not {wanted:?}");
        Ok(())
    }

    /// Everything it was told and has not heard yet.
    ///
    /// # Errors
    /// Where the kernel does not say.
    pub fn heard(&self) -> Result<Vec<String>> {
        self.socket.set_nonblocking(true)?;
        let mut all = Vec::new();
        while let Some(told) = self.receive()? {
            all.push(told);
        }
        Ok(all)
    }

    fn receive(&self) -> Result<Option<String>> {
        let mut bytes = [0; 8192];
        match self.socket.recv(&mut bytes) {
            Ok(length) => {
                let told = bytes.get(..length).unwrap_or_default();
                Ok(Some(String::from_utf8_lossy(told).into_owned()))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => bail!("recv: {error}"),
        }
    }
}

impl Sandbox<'_> {
    /// With these sockets, as systemd passes what it listens at; a file is as good, for what is to be refused.
    ///
    /// # Errors
    /// Where one cannot be kept open.
    pub fn listening(mut self, sockets: &[(&str, BorrowedFd<'_>)]) -> Result<Self> {
        for (_, socket) in sockets {
            // The launcher finds it under the same number, and so does whoever else is started.
            nix::fcntl::fcntl(*socket, FcntlArg::F_SETFD(FdFlag::empty()))?;
            self.launch.sockets.push(socket.as_raw_fd());
        }
        let names: Vec<&str> = sockets.iter().map(|(name, _)| *name).collect();
        let passed = self.env("LISTEN_FDS", &names.len().to_string());
        Ok(passed.env("LISTEN_FDNAMES", &names.join(":")).own_number("LISTEN_PID"))
    }

    /// A variable that holds the number of the process that is `sandboxd`, as systemd has it.
    pub fn own_number(mut self, name: &str) -> Self {
        self.launch.own_number.push(name.to_owned());
        self
    }
}
