//! TLS that is ended here, for a name that a rule has so: the client is shown a certificate of the
//! sandbox's authority, and the upstream shows one that the host trusts, or nothing is said to it.

use super::{
    Ends,
    client::{Client, until},
    dial::Upstream,
    fault::refusal,
    requests,
    secure::Secure,
    story::Story,
    stream::{Stream as _, Tcp},
    world::{Open, World},
};
use crate::{
    authority::Issuer,
    http,
    rule::{Fitting, Place},
};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use sandboxd_egress_plan::{HostName, Verdict};
use std::{
    io,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};
use tokio::time::timeout_at;

/// The only protocol that is spoken in it.
const PROTOCOL: &[u8] = b"http/1.1";

/// What a client is shown: the certificate for the name that it asks for, which is the one that it is
/// at.
#[derive(Debug)]
struct Shown(Mutex<Issuer>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = HostName::try_from(hello.server_name()?).ok()?;
        // A thread that panicked ends the process.
        let mut issuer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        issuer.leaf(&name, SystemTime::now()).ok()
    }
}

/// What TLS is ended with, and begun anew.
#[derive(Debug)]
pub(super) struct Ending {
    inward: Arc<ServerConfig>,
    outward: Arc<ClientConfig>,
}

impl Ending {
    pub(super) fn new(ends: Ends) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        let certificates = CertificateDer::pem_slice_iter(&ends.roots).flatten();
        // Some hosts have one or the other that is none any more.
        let (good, _) = roots.add_parsable_certificates(certificates);
        if good == 0 {
            return Err(io::Error::other("this host trusts no certificate authority"));
        }
        let provider = Arc::new(ring::default_provider());
        let issuer = Issuer::new(ends.authority).map_err(io::Error::other)?;
        let mut inward = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Shown(Mutex::new(issuer))));
        let mut outward = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        for protocols in [&mut inward.alpn_protocols, &mut outward.alpn_protocols] {
            *protocols = vec![PROTOCOL.to_vec()];
        }
        Ok(Self { inward: Arc::new(inward), outward: Arc::new(outward) })
    }

    /// TLS with the upstream, which shows a certificate for the name that was asked for.
    pub(super) async fn upstream(
        &self,
        world: &World,
        tcp: &Tcp,
        place: &Place,
    ) -> Result<Secure, Verdict> {
        let name = place.whom.name().map(|name| ServerName::try_from(name.as_str().to_owned()));
        let Some(Ok(name)) = name else { return Err(Verdict::NoServerName) };
        let tls = ClientConnection::new(Arc::clone(&self.outward), name);
        let tls = tls.map_err(|_| Verdict::Broke)?;
        let begun = Secure::begin(Tcp::clone(tcp), tls, &[]);
        match timeout_at(until(world.plan.waits.connect), begun).await {
            Ok(Err(Verdict::Untrusted)) => Err(Verdict::Untrusted),
            // Whatever it says of ours.
            Ok(Err(_)) | Err(_) => Err(Verdict::Unreachable),
            Ok(begun) => begun,
        }
    }
}

/// Ends the client's TLS, and carries its requests; on the connection that was made already, where one
/// was.
pub(super) async fn carry(
    world: &Rc<World>,
    story: &mut Story,
    client: &mut Client,
    fitting: &Fitting,
    made: Option<(Open, Upstream)>,
) -> Result<(), Verdict> {
    let pending = world.pend()?;
    let until = until(world.plan.waits.head);
    let place = story.place.clone().ok_or(Verdict::Broke)?;
    let tls = ServerConnection::new(Arc::clone(&world.ends()?.inward));
    let tls = tls.map_err(|_| Verdict::Broke)?;
    let read = std::mem::take(&mut client.buffer);
    // What the client made of it is said in TLS, by the alert of whoever gave up.
    client.answered = true;
    let begun = timeout_at(until, Secure::begin(Tcp::clone(&client.stream), tls, &read)).await;
    let mut inner = Client::new(begun.map_err(|_| Verdict::Slow)??);
    client.answered = false;
    let ended = match inner.find(until, http::head).await {
        Ok((head, length)) => {
            inner.take(length);
            drop(pending);
            requests::carry(world, story, &mut inner, (fitting, head), made).await
        }
        Err(verdict @ (Verdict::Malformed | Verdict::NotHttp)) => {
            inner.answer(&refusal(verdict, Some(&place))).await.map_or_else(Err, |()| Err(verdict))
        }
        Err(verdict) => Err(verdict),
    };
    if inner.answered {
        // It has been told all that there is.
        inner.stream.end(None).await.ok();
    }
    client.answered = inner.answered;
    ended
}
