//! What is said in TLS on a connection, on either side of it.

use super::{
    stream::{Stream, Tcp},
    world::World,
};
use crate::rule::{Cover, Place};
use rustls::{AlertDescription, Connection, Error};
use sandboxd_egress_plan::Verdict;
use std::{
    cell::{Cell, RefCell},
    io::{self, ErrorKind, Read as _, Write as _},
};
use tokio::{io::Interest, net::TcpStream, task::coop::consume_budget};

/// TLS on a connection. A borrow of it is never held over a wait.
#[derive(Debug)]
pub(super) struct Secure {
    tcp: Tcp,
    tls: RefCell<Connection>,
    /// The connection below ended, and TLS did not: who hears of that end may not take it for one.
    torn: Cell<bool>,
}

/// The connection below, as rustls reads and writes it: what would wait fails.
struct Below<'a>(&'a TcpStream);

impl io::Read for Below<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(to)
    }
}

impl io::Write for Below<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Secure {
    /// TLS on this connection, once both know with whom they speak; and what was read already.
    pub(super) async fn begin(
        tcp: Tcp,
        tls: impl Into<Connection>,
        mut read: &[u8],
    ) -> Result<Self, Verdict> {
        let this = Self { tcp, tls: RefCell::new(tls.into()), torn: Cell::new(false) };
        while !read.is_empty() {
            let taken = this.tls.borrow_mut().read_tls(&mut read);
            taken.map_err(|_| Verdict::Malformed)?;
            this.process().await?;
        }
        this.flush().await?;
        while this.tls.borrow().is_handshaking() {
            if !this.fill().await? {
                return Err(Verdict::Broke);
            }
            this.flush().await?;
        }
        Ok(this)
    }

    /// Takes what was said and is here; whether there was any, or will be none. Not where that waits, so
    /// that whoever does holds no room for it.
    fn take(&self, to: &mut Vec<u8>) -> Option<bool> {
        let mut bytes = [0; 16 << 10];
        match self.tls.borrow_mut().reader().read(&mut bytes) {
            Ok(count) => {
                to.extend_from_slice(bytes.get(..count).unwrap_or_default());
                Some(count > 0)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(_) => {
                self.torn.set(true);
                Some(false)
            }
        }
    }

    /// Reads from below; false where there will be no more. What there is to be written is written as it
    /// can be: whoever does not take it before all is heard that it says is heard.
    async fn fill(&self) -> Result<bool, Verdict> {
        loop {
            consume_budget().await;
            let writes = self.tls.borrow().wants_write();
            let both = Interest::READABLE | Interest::WRITABLE;
            let either = if writes { both } else { Interest::READABLE };
            let ready = self.tcp.ready(either).await.map_err(|_| Verdict::Broke)?;
            if writes && ready.is_writable() {
                self.write_some()?;
            }
            if !ready.is_readable() {
                continue;
            }
            let read = self.tls.borrow_mut().read_tls(&mut Below(&self.tcp));
            match read {
                Ok(count) => {
                    self.process().await?;
                    return Ok(count > 0);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return Err(Verdict::Broke),
            }
        }
    }

    /// Takes what was read. Where it is wrong, the other one is told what.
    async fn process(&self) -> Result<(), Verdict> {
        let taken = self.tls.borrow_mut().process_new_packets();
        match taken {
            Ok(_) => Ok(()),
            Err(error) => {
                self.flush().await.ok();
                Err(verdict(&error))
            }
        }
    }

    /// Writes what there is to be written.
    async fn flush(&self) -> Result<(), Verdict> {
        while self.tls.borrow().wants_write() {
            consume_budget().await;
            self.tcp.writable().await.map_err(|_| Verdict::Broke)?;
            self.write_some()?;
        }
        Ok(())
    }

    /// Writes what is taken now.
    fn write_some(&self) -> Result<(), Verdict> {
        let written = self.tls.borrow_mut().write_tls(&mut Below(&self.tcp));
        match written {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(Verdict::Broke),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

/// What a client's TLS, or an upstream's, came to.
fn verdict(error: &Error) -> Verdict {
    const NO_TRUST: [AlertDescription; 7] = [
        AlertDescription::UnknownCA,
        AlertDescription::BadCertificate,
        AlertDescription::CertificateUnknown,
        AlertDescription::CertificateExpired,
        AlertDescription::UnsupportedCertificate,
        AlertDescription::AccessDenied,
        AlertDescription::DecryptError,
    ];
    if let Error::AlertReceived(alert) = error {
        return if NO_TRUST.contains(alert) { Verdict::Distrusted } else { Verdict::Broke };
    }
    if matches!(error, Error::InvalidCertificate(_)) {
        Verdict::Untrusted
    } else if *error == Error::NoApplicationProtocol {
        Verdict::NotHttp1
    } else {
        Verdict::Malformed
    }
}

impl Stream for Secure {
    const COVER: Cover = Cover::Tls;

    async fn outward(world: &World, tcp: &Tcp, place: &Place) -> Result<Self, Verdict> {
        world.ends()?.upstream(world, tcp, place).await
    }

    fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    async fn read(&self, to: &mut Vec<u8>) -> Result<bool, Verdict> {
        loop {
            consume_budget().await;
            // What there is to be said, such as that a key is to be changed, is due now.
            if self.tls.borrow().wants_write() {
                self.write_some()?;
            }
            if let Some(more) = self.take(to) {
                return Ok(more);
            }
            self.fill().await?;
        }
    }

    async fn write(&self, mut bytes: &[u8]) -> Result<(), Verdict> {
        while !bytes.is_empty() {
            let written = self.tls.borrow_mut().writer().write(bytes);
            let count = written.map_err(|_| Verdict::Broke)?;
            bytes = bytes.get(count..).unwrap_or_default();
            self.flush().await?;
        }
        Ok(())
    }

    async fn end(&self, as_this: Option<&Self>) -> Result<(), Verdict> {
        if !as_this.is_some_and(|this| this.torn.get()) {
            self.tls.borrow_mut().send_close_notify();
            // Whoever is gone hears no end.
            self.flush().await.ok();
        }
        self.tcp.end(None).await
    }
}
