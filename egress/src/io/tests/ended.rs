//! TLS that is ended here, with real TLS on both sides.

use super::world::*;
use crate::{
    authority::{Authority, Issuer},
    io::{
        secure::Secure,
        stream::{Stream as _, Tcp},
    },
};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, ServerConfig, ServerConnection,
    StreamOwned,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, ServerName},
    sign::SingleCertAndKey,
};
use sandboxd_egress_plan::{Inject, Spot, Which};
use std::{
    sync::{
        Arc,
        mpsc::{Receiver, channel},
    },
    time::SystemTime,
};

const SECRET: &str = "sk-live-0123456789";

/// What an upstream's connection is, once it is TLS.
type Served = StreamOwned<ServerConnection, TcpStream>;

fn authority() -> Authority {
    Authority::new("test-1", SystemTime::now()).unwrap()
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(default_provider())
}

/// A server of this name that speaks TLS; its port, and the authority that made its certificate.
fn tls_upstream(name: &str, serve: impl Fn(Served) + Send + Sync + 'static) -> (u16, Authority) {
    let own = authority();
    let config = server(name, &own);
    let port = upstream(move |stream| {
        let tls = ServerConnection::new(Arc::clone(&config)).unwrap();
        serve(StreamOwned::new(tls, stream));
    });
    (port, own)
}

/// What a server of this name shows of this authority.
fn server(name: &str, own: &Authority) -> Arc<ServerConfig> {
    let handed = Authority::handed("test-1", own.certificate(), own.key()).unwrap();
    let leaf = Issuer::new(handed).unwrap().leaf(&host(name), SystemTime::now()).unwrap();
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from((*leaf).clone())));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}

/// A server that tells what it hears of each request, and says that back.
fn mirror(name: &str) -> (u16, Authority, Receiver<String>) {
    let (told, heard) = channel();
    let (port, own) = tls_upstream(name, move |mut stream| {
        let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
        loop {
            while let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                let head: Vec<u8> = bytes.drain(..end + 4).collect();
                let text = String::from_utf8(head).unwrap();
                told.send(text.clone()).ok();
                let length = text.len();
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{text}");
                // In two pieces, so that what is said back is cut somewhere.
                let (first, second) = answer.split_at(answer.len() / 2);
                stream.write_all(first.as_bytes()).unwrap();
                stream.flush().unwrap();
                stream.write_all(second.as_bytes()).unwrap();
                stream.flush().unwrap();
                if text.contains("Connection: close") {
                    return;
                }
            }
            match stream.read(&mut piece) {
                Ok(0) | Err(_) => return,
                Ok(count) => bytes.extend(&piece[..count]),
            }
        }
    });
    (port, own, heard)
}

fn only(method: &str, path: &str) -> Requests {
    Requests::Only {
        method: method.to_owned().try_into().unwrap(),
        path: sandboxd_broker_plan::Pattern::try_from(path).unwrap(),
    }
}

fn inject(port: u16, requests: Requests, spot: Spot) -> Inject {
    let (method, path) = match requests {
        Requests::All => (Which::Any, Which::Any),
        Requests::Only { method, path } => (Which::Only(method), Which::Only(path)),
    };
    Inject { secret: 0, host: host("host.internal"), port, method, path, spot }
}

fn header(name: &str) -> Spot {
    let name = name.to_owned().try_into().unwrap();
    Spot::Header { name, before: "Bearer ".into(), after: String::new() }
}

/// What ends TLS for these rules, with one secret that is put in so.
fn running(rules: Vec<Rule>, injects: Vec<Inject>, roots: &Authority) -> (Running, Vec<u8>) {
    let port = rules[0].port;
    let own = authority();
    let certificate = own.certificate().to_vec();
    let mut plan = plan(rules);
    (plan.secrets, plan.injects) = (vec!["model".into()], injects);
    let mut secrets = Secrets::default();
    secrets.push(SECRET.as_bytes()).unwrap();
    let ends = Ends { authority: own, roots: roots.pem().into_bytes() };
    (
        start_with(plan, port, Handed { secrets, ends: Some(ends), renewals: None, lender: None }),
        certificate,
    )
}

/// A program in the sandbox that trusts this authority.
fn client(
    stream: TcpStream,
    trusts: &[u8],
    protocols: &[&[u8]],
) -> StreamOwned<ClientConnection, TcpStream> {
    client_with(stream, &trusting(trusts, protocols))
}

fn trusting(trusts: &[u8], protocols: &[&[u8]]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(trusts.to_vec())).unwrap();
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Arc::new(config)
}

fn client_with(
    stream: TcpStream,
    config: &Arc<ClientConfig>,
) -> StreamOwned<ClientConnection, TcpStream> {
    let name = ServerName::try_from("host.internal").unwrap();
    StreamOwned::new(ClientConnection::new(Arc::clone(config), name).unwrap(), stream)
}

/// What is answered to this, until the end; and how it ended where it did badly.
fn said(stream: &mut StreamOwned<ClientConnection, TcpStream>, text: &str) -> String {
    let mut bytes = Vec::new();
    let ended = stream
        .write_all(text.as_bytes())
        .and_then(|()| stream.read_to_end(&mut bytes))
        .map_or_else(|error| format!("[{error}]"), |_| String::new());
    String::from_utf8(bytes).unwrap() + &ended
}

fn https(port: u16, requests: Requests) -> Rule {
    rule(Target::Host, port, Carries::Https(requests))
}

#[test]
fn a_secret_is_put_in_and_what_the_client_put_there_goes() {
    let (port, roots, heard) = mirror("host.internal");
    let (running, own) = running(
        vec![https(port, Requests::All)],
        vec![
            inject(port, only("POST", "/v1/*"), header("authorization")),
            inject(port, only("GET", "/q"), Spot::Query { name: "key".into() }),
        ],
        &roots,
    );
    let at = format!("Host: host.internal:{port}\r\n");
    let mine = "AUTHORIZATION: mine\r\nauthorization: mine too\r\nX-Other: kept\r\n";
    let mut stream = client(running.led(), &own, &[b"h2", b"http/1.1"]);
    let answers = said(
        &mut stream,
        &format!(
            "POST /v1/x HTTP/1.1\r\n{at}{mine}Content-Length: 0\r\nAccept-Encoding: gzip\r\n\r\n\
             GET /q?KEY=mine&x=1 HTTP/1.1\r\n{at}Range: bytes=0-9\r\nif-range: x\r\n\r\n\
             GET /v1/x HTTP/1.1\r\n{at}{mine}Connection: close\r\n\r\n"
        ),
    );
    let first = heard.recv_timeout(PATIENCE).unwrap();
    assert_eq!(
        first,
        format!(
            "POST /v1/x HTTP/1.1\r\n{at}X-Other: kept\r\nAccept-Encoding: identity\r\n\
             authorization: Bearer {SECRET}\r\nContent-Length: 0\r\n\r\n"
        )
    );
    let second = heard.recv_timeout(PATIENCE).unwrap();
    assert!(second.starts_with(&format!("GET /q?x=1&key={SECRET} HTTP/1.1\r\n")), "{second}");
    // What is asked for in parts may be cut where nobody sees it.
    assert!(!second.to_ascii_lowercase().contains("range"), "{second}");
    // Another request than those that it is for.
    let third = heard.recv_timeout(PATIENCE).unwrap();
    assert!(third.contains("AUTHORIZATION: mine") && !third.contains(SECRET), "{third}");
    // What says it back says it to nobody.
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 3, "{answers}");
    assert!(!answers.contains(SECRET) && answers.contains("Bearer ****"), "{answers}");
    drop(stream);
    let record = running.record();
    assert_eq!((record.verdict, record.name), (Verdict::Carried, Some(host("host.internal"))));
}

#[test]
fn a_secret_is_put_into_all_that_only_its_method_or_only_its_path_says() {
    let (port, roots, heard) = mirror("host.internal");
    let put = |method: Option<&str>, path: Option<&str>| {
        let spot = header(if method.is_some() { "x-method" } else { "x-path" });
        let method = method.map(|method| method.to_owned().try_into().unwrap()).into();
        let path = path.map(|path| sandboxd_broker_plan::Pattern::try_from(path).unwrap()).into();
        Inject { method, path, ..inject(port, Requests::All, spot) }
    };
    let injects = vec![put(Some("GET"), None), put(None, Some("/v4/*"))];
    let (running, own) = running(vec![https(port, Requests::All)], injects, &roots);
    for (line, by_method, by_path) in [
        ("GET /v4/x", true, true),
        ("GET /v4/group%2Fproject", true, false),
        ("GET //x;y", true, false),
        ("PROPFIND /v4/x", false, true),
        ("PROPFIND /v5", false, false),
        ("POST /v4/group%2Fproject", false, false),
    ] {
        let asks = format!(
            "{line} HTTP/1.1\r\nHost: host.internal\r\nX-Method: mine\r\nX-Path: mine\r\n\
             Content-Length: 0\r\nConnection: close\r\n\r\n"
        );
        said(&mut client(running.led(), &own, &[]), &asks);
        let asked = heard.recv_timeout(PATIENCE).unwrap();
        for (name, puts) in [("x-method", by_method), ("x-path", by_path)] {
            let is_put = asked.contains(&format!("{name}: Bearer {SECRET}\r\n"));
            assert_eq!(
                (is_put, asked.to_lowercase().contains(&format!("{name}: mine"))),
                (puts, !puts),
                "{asked}"
            );
        }
        assert_eq!(running.record().verdict, Verdict::Carried);
    }
}

#[test]
fn a_secret_is_covered_however_an_answer_is_framed() {
    let half = SECRET.len() / 2;
    let (first, second) = SECRET.split_at(half);
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    let chunks = |texts: &[&str]| texts.iter().map(|text| chunk(text)).collect::<String>();
    let head = format!("HTTP/1.1 200 OK\r\nX-Key: {SECRET}\r\n");
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
    for (answer, heard, verdict) in [
        (
            chunked.clone() + &chunks(&["a", first, second, "b"]) + "0\r\n\r\n",
            "a****b",
            Verdict::Carried,
        ),
        (chunked + &chunks(&["a b", first]) + "0\r\n\r\n", first, Verdict::Carried),
        (format!("{head}\r\na{SECRET}b"), "a****b", Verdict::Carried),
        (
            format!("{head}Content-Length: {}\r\n\r\n{SECRET}", SECRET.len()),
            "****",
            Verdict::Carried,
        ),
        // What waited for more is heard where the answer breaks off, too.
        (format!("{head}Content-Length: 99\r\n\r\na{SECRET} end"), "a**** end", Verdict::Broke),
    ] {
        let (port, roots) = tls_upstream("host.internal", move |mut stream| {
            stream.read_exact(&mut [0; 20]).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            stream.conn.send_close_notify();
            stream.flush().unwrap();
            stream.sock.shutdown(Shutdown::Write).unwrap();
            io::copy(&mut stream.sock, &mut io::sink()).ok();
        });
        let injects = vec![inject(port, Requests::All, header("authorization"))];
        let (running, own) = running(vec![https(port, Requests::All)], injects, &roots);
        let get = "GET / HTTP/1.1\r\nHost: host.internal\r\nConnection: close\r\n\r\n";
        let said = said(&mut client(running.led(), &own, &[]), get);
        let (head, body) = said.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("X-Key: ****") && !head.contains(SECRET), "{said}");
        // However it is framed.
        let body: String = if head.contains("chunked") {
            body.split("\r\n").skip(1).step_by(2).collect()
        } else {
            body.to_owned()
        };
        let covered = heard.replace("****", &"*".repeat(SECRET.len()));
        // Where it broke off, that it did follows.
        let ends = verdict == Verdict::Broke || body.ends_with(&covered);
        assert!(ends && body.contains(&covered) && !body.contains(SECRET), "{said}");
        assert_eq!(running.record().verdict, verdict);
    }
}

#[test]
fn whoever_comes_back_need_not_begin_anew() {
    let (port, roots, _heard) = mirror("host.internal");
    let (running, own) = running(vec![https(port, Requests::All)], vec![], &roots);
    let config = trusting(&own, &[]);
    let get = "GET / HTTP/1.1\r\nHost: host.internal\r\nConnection: close\r\n\r\n";
    let kinds = [HandshakeKind::Full, HandshakeKind::Resumed];
    for kind in kinds {
        let mut stream = client_with(running.led(), &config);
        assert!(said(&mut stream, get).starts_with("HTTP/1.1 200 OK"));
        assert_eq!(stream.conn.handshake_kind(), Some(kind));
        drop(stream);
        assert_eq!(running.record().verdict, Verdict::Carried);
    }
}

#[test]
fn an_answer_in_which_a_secret_would_not_be_seen_does_not_come_back() {
    for (head, why) in [
        ("200 OK\r\nContent-Encoding: gzip", Verdict::Encoded),
        ("206 Partial Content", Verdict::Partial),
        ("200 OK\r\nContent-Range: bytes 0-2/9", Verdict::Partial),
    ] {
        let (port, roots) = tls_upstream("host.internal", move |mut stream| {
            stream.read_exact(&mut [0; 20]).unwrap();
            let answer = format!("HTTP/1.1 {head}\r\nContent-Length: 3\r\n\r\nabc");
            stream.write_all(answer.as_bytes()).unwrap();
            stream.flush().unwrap();
            io::copy(&mut stream, &mut io::sink()).ok();
        });
        // Whether it is put into this request or not, the host has it.
        for (path, injected_at) in [("/key", port), ("/other", port), ("/key", 1)] {
            let injects = vec![inject(injected_at, only("GET", "/key"), header("authorization"))];
            let rules = vec![https(port, Requests::All)];
            let (running, own) = running(rules, injects, &roots);
            let get =
                format!("GET {path} HTTP/1.1\r\nHost: host.internal\r\nConnection: close\r\n\r\n");
            let answer = said(&mut client(running.led(), &own, &[]), &get);
            assert!(answer.starts_with("HTTP/1.1 502 "), "{path} {injected_at}: {answer}");
            assert_eq!(running.record().verdict, why);
        }
    }
}

#[test]
fn nothing_is_asked_for_in_which_a_secret_would_not_be_seen() {
    let (port, roots, heard) = mirror("host.internal");
    let injects = vec![inject(port, only("POST", "/key"), header("authorization"))];
    let (running, own) = running(vec![https(port, Requests::All)], injects, &roots);
    let get = format!(
        "GET /other?{SECRET} HTTP/1.1\r\nHost: host.internal\r\nAccept-Encoding: gzip\r\n\
         Range: bytes=0-9\r\nRequest-Range: bytes=0-9\r\nIf-Range: x\r\nA-IM: vcdiff\r\n\
         Connection: close\r\n\r\n"
    );
    let answer = said(&mut client(running.led(), &own, &[]), &get);
    let asked = heard.recv_timeout(PATIENCE).unwrap();
    let expected = format!(
        "GET /other?{SECRET} HTTP/1.1\r\nHost: host.internal:{port}\r\n\
         Accept-Encoding: identity\r\nConnection: close\r\n\r\n"
    );
    assert_eq!(asked, expected);
    assert!(!answer.contains(SECRET) && answer.contains("/other?****"), "{answer}");
    assert_eq!(running.record().verdict, Verdict::Carried);
}

#[test]
fn each_request_in_tls_is_judged() {
    let (port, roots, heard) = mirror("host.internal");
    let (running, own) = running(vec![https(port, only("GET", "/v1/*"))], vec![], &roots);
    let get = |path: &str, to: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n")
    };
    let own_host = format!("host.internal:{port}");
    for (path, to, status, why) in [
        ("/v1/x", own_host.as_str(), "200", Verdict::Carried),
        ("/v2", &own_host, "403", Verdict::Request),
        ("/v1/%2e%2e/v2", &own_host, "403", Verdict::Request),
        ("/v1/x", "evil.example", "403", Verdict::HostHeader),
        ("http://host.internal/v1/x", "host.internal", "400", Verdict::Malformed),
    ] {
        let mut stream = client(running.led(), &own, &[]);
        let answer = said(&mut stream, &get(path, to));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path} {to}: {answer}");
        drop(stream);
        assert_eq!(running.record().verdict, why, "{path} {to}");
    }
    assert!(heard.recv_timeout(PATIENCE).unwrap().starts_with("GET /v1/x"));
    assert!(heard.try_recv().is_err(), "what is refused does not arrive");
    // What is no request at all.
    let mut stream = client(running.led(), &own, &[]);
    assert!(said(&mut stream, "GET /\n\n\r\n\r\n").starts_with("HTTP/1.1 400 "));
    assert_eq!(running.record().verdict, Verdict::Malformed);
}

#[test]
fn nothing_is_said_to_an_upstream_whose_certificate_is_not_trusted() {
    let get = "GET / HTTP/1.1\r\nHost: host.internal\r\n\r\n";
    let all = || header("authorization");
    // One of another authority, and one of another name.
    for name in ["host.internal", "evil.example"] {
        let (port, own_roots, heard) = mirror(name);
        let roots = if name == "evil.example" { own_roots } else { authority() };
        let (running, own) = running(
            vec![https(port, Requests::All)],
            vec![inject(port, Requests::All, all())],
            &roots,
        );
        let answer = said(&mut client(running.led(), &own, &[]), get);
        assert!(answer.starts_with("HTTP/1.1 502 ") && answer.contains("certificate"), "{answer}");
        assert_eq!(running.record().verdict, Verdict::Untrusted);
        assert!(heard.try_recv().is_err());
    }
}

#[test]
fn a_client_that_trusts_another_or_speaks_another_protocol_is_told_so() {
    let (port, roots, heard) = mirror("host.internal");
    let (running, own) = running(vec![https(port, Requests::All)], vec![], &roots);
    let get = "GET / HTTP/1.1\r\nHost: host.internal\r\n\r\n";
    let pinned = said(&mut client(running.led(), roots.certificate(), &[]), get);
    assert!(pinned.contains("certificate"), "{pinned}");
    assert_eq!(running.record().verdict, Verdict::Distrusted);
    let newer = said(&mut client(running.led(), &own, &[b"h2"]), get);
    assert!(newer.contains("alert") || newer.contains("Alert"), "{newer}");
    assert_eq!(running.record().verdict, Verdict::NotHttp1);
    // In plain text, too, nobody gets there.
    let mut stream = running.led();
    stream.write_all(get.as_bytes()).unwrap();
    rest(&mut stream);
    assert_eq!(running.record().verdict, Verdict::NotTls);
    assert!(heard.try_recv().is_err());
}

#[test]
fn whoever_speaks_before_it_hears_is_heard_while_it_is_spoken_to() {
    const MUCH: usize = 16 << 20;
    let own = authority();
    let tls = ServerConnection::new(server("host.internal", &own)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = connect(listener.local_addr().unwrap());
    let peer = thread::spawn(move || {
        let mut stream = client(stream, own.certificate(), &[]);
        stream.write_all(&vec![1; MUCH]).unwrap();
        stream.flush().unwrap();
        stream.read_exact(&mut vec![0; MUCH]).unwrap();
    });
    let (accepted, _) = listener.accept().unwrap();
    accepted.set_nonblocking(true).unwrap();
    let both = async {
        let tcp = Tcp::new(tokio::net::TcpStream::from_std(accepted).unwrap());
        let secure = Secure::begin(tcp, tls, &[]).await?;
        let bytes = vec![2; MUCH];
        let read = async {
            let mut heard = Vec::new();
            while heard.len() < MUCH && secure.read(&mut heard).await? {}
            Ok(heard.len())
        };
        tokio::try_join!(secure.write(&bytes), read)
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ended = runtime.block_on(async { tokio::time::timeout(PATIENCE, both).await });
    assert_eq!(ended.expect("each waits for the other"), Ok(((), MUCH)));
    peer.join().unwrap();
}

#[test]
fn the_proxy_leads_there_too_and_an_end_that_is_none_stays_none() {
    // It breaks off after what it said, as some do, and says no end.
    let (port, roots) = tls_upstream("host.internal", |mut stream| {
        stream.read_exact(&mut [0; 20]).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nhalf").unwrap();
        stream.flush().unwrap();
        stream.sock.shutdown(Shutdown::Write).unwrap();
        io::copy(&mut stream.sock, &mut io::sink()).ok();
    });
    let (running, own) = running(vec![https(port, Requests::All)], vec![], &roots);
    let mut stream = connect(running.proxy);
    let to = format!("host.internal:{port}");
    stream.write_all(format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n").as_bytes()).unwrap();
    let mut established = [0; 39];
    stream.read_exact(&mut established).unwrap();
    let answer =
        said(&mut client(stream, &own, &[]), &format!("GET / HTTP/1.1\r\nHost: {to}\r\n\r\n"));
    assert!(answer.contains("half") && answer.ends_with(']'), "{answer}");
    assert_eq!(running.record().verdict, Verdict::Carried);
}

#[test]
fn what_is_handed_over_has_to_be_what_the_plan_wants() {
    type Change = fn(&mut EgressPlan, &mut Handed);
    let wanted = |change: Change| {
        let mut plan = plan(vec![https(443, Requests::All)]);
        (plan.secrets, plan.injects) =
            (vec!["model".into()], vec![inject(443, Requests::All, header("x-key"))]);
        let mut secrets = Secrets::default();
        secrets.push(SECRET.as_bytes()).unwrap();
        let ends = Ends { authority: authority(), roots: authority().pem().into_bytes() };
        let mut handed = Handed { secrets, ends: Some(ends), renewals: None, lender: None };
        change(&mut plan, &mut handed);
        let (_ours, control) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .unwrap();
        let (transparent, proxy, agent) = (vec![], vec![], vec![]);
        let (dns_datagram, dns_stream) = (vec![], vec![]);
        let sockets = Sockets { transparent, proxy, dns_datagram, dns_stream, agent, control };
        serve(plan, sockets, handed).unwrap_err().to_string()
    };
    let changes: [(Change, &str); 5] = [
        (|_, handed| handed.ends = None, "authority"),
        (|plan, _| plan.rules.clear(), "authority"),
        (|_, handed| handed.secrets = Secrets::default(), "0 secrets"),
        (|_, handed| handed.ends.as_mut().unwrap().roots.clear(), "trusts no"),
        (
            |_, handed| {
                handed.secrets = Secrets::default();
                handed.secrets.push(b"two\r\nlines").unwrap();
            },
            "\"model\"",
        ),
    ];
    for (change, what) in changes {
        let error = wanted(change);
        assert!(error.contains(what) && !error.contains("lines"), "{error}");
    }
}
