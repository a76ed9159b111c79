//! What it costs to end TLS: the same requests to the same server, with nothing between, with TLS that is carried
//! as it is, and with TLS that is ended and into which a secret is put. Each line of standard input is a way and
//! a work, `ended new`; answered is how many nanoseconds that took. For `cargo xtask bench egress`.
#![forbid(unsafe_code)]

mod served;

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    client::Resumption, pki_types::CertificateDer, pki_types::ServerName, sign::SingleCertAndKey,
};
use sandboxd_egress::{
    Ends, Handed, Sockets,
    authority::{Authority, Issuer},
    secret::Secrets,
    serve,
};
use sandboxd_egress_plan::{Carries, HOST_INTERNAL, HostName, Inject, Requests, Spot, Ways, Which};
use std::{
    io::{BufRead as _, Error, Read, Result, Write},
    net::{TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::{Instant, SystemTime},
};

/// Requests on a connection that is kept.
const KEPT: u32 = 500;
/// Connections with one request each.
const NEW: u32 = 50;
/// Bytes of one answer.
const BYTES: usize = 64 << 20;

/// A way to the server: its own port, where a proxy is, and whom one trusts on it.
struct Way {
    port: u16,
    proxy: Option<u16>,
    trusts: Arc<ClientConfig>,
}

impl Way {
    fn open(&self) -> Result<StreamOwned<ClientConnection, TcpStream>> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.proxy.unwrap_or(self.port)))?;
        stream.set_nodelay(true)?;
        if self.proxy.is_some() {
            let whom = format!("{HOST_INTERNAL}:{}", self.port);
            stream
                .write_all(format!("CONNECT {whom} HTTP/1.1\r\nHost: {whom}\r\n\r\n").as_bytes())?;
            head(&mut stream)?;
        }
        let name = ServerName::try_from(HOST_INTERNAL).map_err(Error::other)?;
        let tls = ClientConnection::new(Arc::clone(&self.trusts), name).map_err(Error::other)?;
        Ok(StreamOwned::new(tls, stream))
    }

    /// Asks for so many bytes, and reads them.
    fn ask(
        &self,
        stream: &mut StreamOwned<ClientConnection, TcpStream>,
        bytes: usize,
    ) -> Result<()> {
        let host = format!("{HOST_INTERNAL}:{}", self.port);
        let asked = format!("GET /{bytes} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        stream.write_all(asked.as_bytes())?;
        let said = head(stream)?;
        if !said.starts_with("HTTP/1.1 200") {
            return Err(Error::other(said));
        }
        let mut piece = vec![0; bytes.min(256 << 10)];
        let mut left = bytes;
        while left > 0 {
            let most = left.min(piece.len());
            let count = stream.read(piece.get_mut(..most).unwrap_or_default())?;
            if count == 0 {
                return Err(Error::other("it ended too soon"));
            }
            left -= count;
        }
        Ok(())
    }

    fn work(&self, work: &str) -> Result<()> {
        match work {
            "kept" => {
                let mut stream = self.open()?;
                (0..KEPT).try_for_each(|_| self.ask(&mut stream, 2))
            }
            "new" => (0..NEW).try_for_each(|_| self.ask(&mut self.open()?, 2)),
            "bytes" => self.ask(&mut self.open()?, BYTES),
            _ => Err(Error::other("kept, new or bytes")),
        }
    }
}

/// A head, byte by byte, so that nothing of what follows is taken.
fn head(stream: &mut impl Read) -> Result<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        bytes.extend(byte);
    }
    String::from_utf8(bytes).map_err(Error::other)
}

/// Answers each request for `/N` with so many bytes.
fn answer(mut stream: StreamOwned<ServerConnection, TcpStream>) -> Result<()> {
    let piece = vec![b'x'; 256 << 10];
    loop {
        let asked = head(&mut stream)?;
        let bytes = asked.split([' ', '/']).nth(2).and_then(|word| word.parse().ok());
        let mut left: usize = bytes.ok_or_else(|| Error::other("GET /N"))?;
        let mut said = format!("HTTP/1.1 200 OK\r\nContent-Length: {left}\r\n\r\n").into_bytes();
        while left > 0 {
            let most = left.min(piece.len());
            said.extend(piece.get(..most).unwrap_or_default());
            stream.write_all(&said)?;
            said.clear();
            left -= most;
        }
    }
}

/// Where the server is whose TLS is carried, where the one whose TLS is ended, and who answers for both.
struct Server {
    carried: u16,
    ended: u16,
    certificate: Vec<u8>,
    pem: String,
}

fn server(host: &HostName) -> Result<Server> {
    let authority = Authority::new("upstream", SystemTime::now()).map_err(Error::other)?;
    let (certificate, pem) = (authority.certificate().to_vec(), authority.pem());
    let leaf = Issuer::new(authority).and_then(|mut issuer| issuer.leaf(host, SystemTime::now()));
    let leaf = SingleCertAndKey::from((*leaf.map_err(Error::other)?).clone());
    let config = ServerConfig::builder().with_no_client_auth().with_cert_resolver(Arc::new(leaf));
    let config = Arc::new(config);
    let (carried, ended) = (listen(&config)?, listen(&config)?);
    Ok(Server { carried, ended, certificate, pem })
}

/// Serves at a port.
fn listen(config: &Arc<ServerConfig>) -> Result<u16> {
    let (listener, config) = (TcpListener::bind("127.0.0.1:0")?, Arc::clone(config));
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let config = Arc::clone(&config);
            thread::spawn(move || {
                stream.set_nodelay(true)?;
                let tls = ServerConnection::new(config).map_err(Error::other)?;
                answer(StreamOwned::new(tls, stream))
            });
        }
    });
    Ok(port)
}

/// Trusts this authority, and begins each connection from the beginning.
fn trusting(certificate: &[u8]) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(certificate.to_vec())).map_err(Error::other)?;
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// The egress process, as a thread: a proxy at this port's listener.
fn egress(listener: TcpListener, server: &Server, own: Authority) -> Result<()> {
    let name = "authorization".to_owned().try_into().map_err(Error::other)?;
    let mut plan = served::plan([
        (server.carried, Carries::Tls),
        (server.ended, Carries::Https(Requests::All)),
    ])?;
    plan.ways = Ways::Proxy;
    plan.secrets = vec!["key".into()];
    plan.injects = vec![Inject {
        secret: 0,
        host: HostName::try_from(HOST_INTERNAL).map_err(Error::other)?,
        port: server.ended,
        method: Which::Any,
        path: Which::Any,
        spot: Spot::Header { name, before: "Bearer ".into(), after: String::new() },
    }];
    let mut secrets = Secrets::default();
    secrets.push(b"sk-live-0123456789abcdef").map_err(Error::other)?;
    let ends = Some(Ends { authority: own, roots: server.pem.clone().into_bytes() });
    let sockets = Sockets {
        transparent: vec![],
        proxy: vec![listener.into()],
        dns_datagram: vec![],
        dns_stream: vec![],
        agent: vec![],
        // It ends with the process.
        control: served::supervisor(|| {
            loop {
                thread::park();
            }
        })?,
    };
    thread::spawn(move || {
        serve(plan, sockets, Handed { secrets, ends, renewals: None, lender: None })
    });
    Ok(())
}

fn main() -> Result<()> {
    let server = server(&HostName::try_from(HOST_INTERNAL).map_err(Error::other)?)?;
    let own = Authority::new("example", SystemTime::now()).map_err(Error::other)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let proxy = Some(listener.local_addr()?.port());
    let [theirs, ours] = [trusting(&server.certificate)?, trusting(own.certificate())?];
    egress(listener, &server, own)?;
    let carried = Way { port: server.carried, proxy, trusts: Arc::clone(&theirs) };
    let direct = Way { port: server.carried, proxy: None, trusts: theirs };
    let ended = Way { port: server.ended, proxy, trusts: ours };
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (way, work) = line.split_once(' ').unwrap_or_default();
        let way = match way {
            "direct" => &direct,
            "carried" => &carried,
            "ended" => &ended,
            _ => return Err(Error::other("direct, carried or ended")),
        };
        let from = Instant::now();
        way.work(work)?;
        writeln!(std::io::stdout(), "{}", from.elapsed().as_nanos())?;
    }
    Ok(())
}
