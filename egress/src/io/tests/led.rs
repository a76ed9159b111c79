//! What is led here: names, bytes, TLS, requests.

use super::world::*;

#[test]
fn bytes_go_both_ways_and_are_counted() {
    let port = echo();
    let running = start(plan(to_host(port, Carries::Tcp)), port);
    let mut stream = running.led();
    let sent: Vec<u8> = (0_u32..1_000_000).flat_map(u32::to_le_bytes).collect();
    let mut writer = stream.try_clone().unwrap();
    let copy = sent.clone();
    let writing = thread::spawn(move || {
        writer.write_all(&copy).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut got = Vec::new();
    stream.read_to_end(&mut got).unwrap();
    writing.join().unwrap();
    assert!(got == sent);
    drop(stream);
    let record = running.record();
    assert_eq!((record.verdict, record.way), (Verdict::Carried, Way::Transparent));
    assert_eq!(
        (record.rule, record.name, record.port),
        (Some(0), Some(host("host.internal")), port)
    );
    assert_eq!((record.up, record.down), (4_000_000, 4_000_000));
    assert_eq!(record.address, Some(Ipv4Addr::LOCALHOST.into()));
}

#[test]
fn names_are_answered_on_both_sockets_and_others_do_not_exist() {
    let running = start(plan(to_host(1, Carries::Tcp)), 0);
    let first = Found::Addresses(vec!["127.18.0.1".parse().unwrap()]);
    assert_eq!(running.ask("host.internal"), Some(first.clone()));
    assert_eq!(running.ask("secret.evil.example"), Some(Found::NoName));
    let record = running.record();
    assert_eq!((record.verdict, record.way), (Verdict::NoRule, Way::Dns));
    assert_eq!(record.name, Some(host("secret.evil.example")));
    let mut stream = connect(running.dns_stream);
    for _ in 0..2 {
        let asked = question(9, &host("host.internal"), Family::Four);
        let length = u16::try_from(asked.len()).unwrap().to_be_bytes();
        stream.write_all(&[&length[..], &asked].concat()).unwrap();
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut answer).unwrap();
        let said = found(&answer, 9, &host("host.internal"), Family::Four);
        assert_eq!(said, Some(first.clone()));
    }
    stream.write_all(&[0xff, 0xff, 0]).unwrap();
    assert!(!rest(&mut stream).contains("host"), "nobody waits for 65,535 bytes");
}

#[test]
fn tls_goes_out_for_its_name_only() {
    let port = echo();
    let running = start(plan(to_host(port, Carries::Tls)), port);
    let hello = client_hello_for("host.internal");
    let mut stream = running.led();
    for piece in hello.chunks(7) {
        stream.write_all(piece).unwrap();
    }
    stream.write_all(b"more").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut got = Vec::new();
    stream.read_to_end(&mut got).unwrap();
    assert_eq!(got, [&hello[..], b"more"].concat());
    drop(stream);
    assert_eq!(running.record().verdict, Verdict::Carried);
    let alert = "\x15\x03\x03\0\x02\x02p";
    for (said, answer, why) in [
        (client_hello_for("evil.example"), alert, Verdict::ServerName),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "[ConnectionReset]", Verdict::NotTls),
        (b"SSH-2.0-x\r\n".to_vec(), "[ConnectionReset]", Verdict::NotTls),
    ] {
        let mut stream = running.led();
        stream.write_all(&said).unwrap();
        assert_eq!(rest(&mut stream), answer);
        let record = running.record();
        assert_eq!((record.verdict, record.up), (why, 0));
    }
}

#[test]
fn each_request_is_looked_at_anew() {
    let port = http();
    let running = start(plan(to_host(port, Carries::Http(Requests::All))), port);
    let mut stream = running.led();
    let one = format!("GET /one HTTP/1.1\r\nHost: HOST.internal:{port}\r\n\r\n");
    let other = "GET /two HTTP/1.1\r\nHost: evil.example\r\n\r\n";
    stream.write_all([&one, &one, other, &one].concat().as_bytes()).unwrap();
    let said = rest(&mut stream);
    assert_eq!(
        said.matches(&format!("GET /one HTTP/1.1\r\nHost: host.internal:{port}")).count(),
        2
    );
    assert!(
        said.contains("403 Forbidden")
            && said.contains("the request's Host header names another host")
    );
    assert!(!said.contains("/two"));
    drop(stream);
    assert_eq!(running.record().verdict, Verdict::HostHeader);
    let mut stream = running.led();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n").unwrap();
    assert!(rest(&mut stream).starts_with("HTTP/1.1 403 "));
    let record = running.record();
    assert_eq!((record.verdict, record.up), (Verdict::HostHeader, 0));
    let mut stream = running.led();
    stream.write_all(b"GET / HTTP/1.1\nHost: host.internal\r\n\r\n").unwrap();
    assert!(rest(&mut stream).starts_with("HTTP/1.1 400 "));
    assert_eq!(running.record().verdict, Verdict::Malformed);
}

#[test]
fn a_body_that_is_cut_off_or_not_wanted_ends_the_request() {
    // One that answers before it read the body, and one that waits for all of it.
    let early = upstream(|mut stream| {
        stream.read_exact(&mut [0; 20]).unwrap();
        stream.write_all(b"HTTP/1.1 413 Too much\r\nContent-Length: 0\r\n\r\n").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        io::copy(&mut stream, &mut io::sink()).ok();
    });
    let (told, ended) = std::sync::mpsc::channel();
    let waiting = upstream(move |mut stream| {
        let ended = io::copy(&mut stream, &mut io::sink()).map_err(|error| error.kind());
        told.send(ended.is_err()).unwrap();
    });
    let all = || Carries::Http(Requests::All);
    let rules = vec![rule(Target::Host, early, all()), rule(Target::Host, waiting, all())];
    let running = start(plan(rules), 0);
    let post = |port: u16| {
        format!(
            "POST http://host.internal:{port}/ HTTP/1.1\r\nHost: host.internal:{port}\r\nContent-Length: 1000\r\n\r\nabc"
        )
    };
    assert!(running.proxied(post(early).as_bytes()).starts_with("HTTP/1.1 413 "));
    assert_eq!(running.record().verdict, Verdict::Carried);
    let mut stream = connect(running.proxy);
    stream.write_all(post(waiting).as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert!(ended.recv_timeout(PATIENCE).unwrap(), "it is not told that this was all");
    assert_eq!(running.record().verdict, Verdict::Broke);
}

/// An upstream that answers heads and reads no body: what follows is another request to it. It tells what it heard
/// of each connection, of which a request that waits to be told so is told to go on.
fn heedless() -> (u16, std::sync::mpsc::Receiver<Vec<String>>) {
    let (told, heard) = std::sync::mpsc::channel();
    let port = upstream(move |mut stream| {
        let (mut bytes, mut piece, mut heads) = (Vec::new(), [0; 4096], Vec::new());
        while let Ok(count @ 1..) = stream.read(&mut piece) {
            bytes.extend(&piece[..count]);
            while let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                let head: Vec<u8> = bytes.drain(..end + 4).collect();
                let head = String::from_utf8(head).unwrap();
                let close = head.contains("Connection: close\r\n");
                if head.contains("Expect: 100-continue\r\n") {
                    stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
                }
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
                heads.push(head);
                if close {
                    stream.shutdown(Shutdown::Write).unwrap();
                    io::copy(&mut stream, &mut io::sink()).ok();
                    told.send(heads).unwrap();
                    return;
                }
            }
        }
        told.send(heads).unwrap();
    });
    (port, heard)
}

#[test]
fn a_body_that_nobody_reads_is_no_request() {
    let hidden = "DELETE /all HTTP/1.1\r\nHost: host.internal\r\n\r\n";
    let length = hidden.len();
    // Where answers go back as they are; and where they are looked at, since two entries bear them.
    for entries in [1, 2] {
        for (method, field) in [("GET", ""), ("DELETE", ""), ("POST", "Expect: 100-continue\r\n")] {
            let (port, heard) = heedless();
            let all = || rule(Target::Host, port, Carries::Http(Requests::All));
            let plan = plan(std::iter::repeat_with(all).take(entries).collect());
            let running = start(plan, port);
            let mut stream = running.led();
            let ask = |method: &str, more: &str| {
                format!("{method} / HTTP/1.1\r\nHost: host.internal\r\n{more}\r\n")
            };
            let more = format!("{field}Content-Length: {length}\r\n");
            let asked = [ask("GET", ""), ask(method, &more), hidden.into(), ask("GET", "")];
            stream.write_all(asked.concat().as_bytes()).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let said = rest(&mut stream);
            assert_eq!(said.matches("200 OK").count(), 2, "{method}: {said}");
            assert_eq!(said.contains("100 Continue"), !field.is_empty(), "{said}");
            let heads = heard.recv_timeout(PATIENCE).unwrap();
            assert_eq!(heads.len(), 2, "{heads:?}");
            assert!(heads[1].starts_with(method) && heads[1].contains("\r\nConnection: close"));
            assert_eq!(running.record().verdict, Verdict::Carried);
        }
    }
}

#[test]
fn what_stands_for_nothing_is_cut() {
    let port = echo();
    let running = start(plan(to_host(port, Carries::Tcp)), port);
    // Nobody asked for a name yet.
    assert!(rest(&mut connect(running.transparent)).contains("ConnectionReset"));
    let record = running.record();
    assert_eq!((record.verdict, record.name), (Verdict::UnknownAddress, None));
    assert_eq!(record.address, Some(running.transparent.ip()));
}
