//! What the command itself says to the service manager, where its profile lets it. A service reads it
//! ([`crate::service::notify`]); here it is passed on.

use super::notify::ServiceManager;
use crate::sandbox::channel::watched;
use crate::sandbox::{Audit, StartError};
use crate::service::notify::{MOST_PACKET, NAME, Said};
use crate::service::{Service, Wanted};
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType, recv, send, shutdown,
    socketpair,
};
use sandboxd_profiles::Profile;
use std::fs::File;
use std::time::Duration;
use tokio::io::unix::AsyncFd;

/// How long the last words may take to come, once the command has ended.
const DRAIN: Duration = Duration::from_secs(2);

/// What is passed on of a command's words.
pub(crate) struct Words {
    manager: AsyncFd<OwnedFd>,
    run: Profile,
    audit: Audit,
    listening: Option<Listening>,
}

/// The service that reads them.
struct Listening {
    service: Service,
    said: AsyncFd<OwnedFd>,
    /// What was read of it and not yet told: whoever waits here may be called away.
    untold: Option<Said>,
    /// Where the command says them.
    socket: OwnedFd,
}

impl Words {
    /// Of a command that did not begin, to this manager, where it is to hear them. In the loop that is to
    /// wait for it.
    ///
    /// # Errors
    /// Where there is no descriptor to be had.
    pub(crate) fn to(
        manager: Option<&ServiceManager>,
        run: &Profile,
        audit: &Audit,
    ) -> Result<Option<Self>, StartError> {
        let Some(manager) = manager else { return Ok(None) };
        let manager = watched(manager.socket()?)?;
        Ok(Some(Self { manager, run: run.clone(), audit: audit.clone(), listening: None }))
    }

    /// Begins to listen at this socket, and waits until somebody does.
    ///
    /// # Errors
    /// Where the service does not run.
    pub(crate) fn begin(&mut self, socket: OwnedFd) -> Result<(), StartError> {
        let failed = |errno| StartError::call("socketpair", "messages to systemd", errno);
        let (said, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .map_err(failed)?;
        let nothing = File::options()
            .write(true)
            .open("/dev/null")
            .map_err(|error| StartError::io("open", "/dev/null", &error))?;
        let lent = rustix::io::fcntl_dupfd_cloexec(&socket, 3).map_err(failed)?;
        let service = Service::begin(Wanted {
            name: NAME,
            arguments: Vec::new(),
            run: self.run.clone(),
            audit: self.audit.clone(),
            streams: [lent, nothing.into(), theirs],
        })?;
        let listening = Listening { service, said: watched(said)?, untold: None, socket };
        self.listening.insert(listening).service.started()
    }

    /// Passes on, and returns once, when nobody reads any more what the command says.
    pub(crate) async fn over(&mut self) {
        let Some(Listening { service, said, untold, .. }) = &mut self.listening else {
            return std::future::pending().await;
        };
        let told = async {
            pass_on(said, untold, &self.manager).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = service.over() => {}
            () = told => {}
        }
    }

    /// Passes on what was said last.
    pub(crate) async fn hear_out(&mut self) {
        if let Some(Listening { said, untold, socket, .. }) = &mut self.listening {
            // What is there is read before the end shows.
            shutdown(socket.as_fd(), Shutdown::Read).ok();
            tokio::time::timeout(DRAIN, pass_on(said, untold, &self.manager)).await.ok();
        }
    }

    /// Ends it, and tells what could not be cleaned up.
    pub(crate) fn finish(&mut self) -> Vec<String> {
        self.listening.take().map_or_else(Vec::new, |mut listening| listening.service.finish(DRAIN))
    }
}

/// Until the end of what is said, or what is no packet, or nobody to tell.
async fn pass_on(said: &AsyncFd<OwnedFd>, untold: &mut Option<Said>, manager: &AsyncFd<OwnedFd>) {
    loop {
        if untold.is_none() {
            *untold = next(said).await;
        }
        let Some(word) = untold else { return };
        if !tell(manager, word.text().as_bytes()).await {
            return;
        }
        *untold = None;
    }
}

/// What was said next; nothing where there is no more.
async fn next(said: &AsyncFd<OwnedFd>) -> Option<Said> {
    loop {
        let mut ready = said.readable().await.ok()?;
        let mut packet = [0; MOST_PACKET];
        match recv(said.get_ref(), packet.as_mut_slice(), RecvFlags::DONTWAIT) {
            Ok((length, _)) => return packet.get(..length).and_then(Said::decode),
            Err(Errno::AGAIN) => ready.clear_ready(),
            Err(Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}

/// Tells a manager, once it has room for it: who waits meanwhile is the command.
async fn tell(manager: &AsyncFd<OwnedFd>, text: &[u8]) -> bool {
    loop {
        let Ok(mut ready) = manager.writable().await else { return false };
        match send(manager.get_ref(), text, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(_) => return true,
            Err(Errno::AGAIN) => ready.clear_ready(),
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}
