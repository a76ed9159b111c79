//! What is asked of the proxy: CONNECT, plain HTTP, SOCKS.

use super::world::*;

#[test]
fn the_proxy_takes_connect_plain_http_and_socks() {
    let port = http();
    let running = start(plan(to_host(port, Carries::Http(Requests::All))), 0);
    let get = format!("GET /x HTTP/1.1\r\nHost: host.internal:{port}\r\nConnection: close\r\n\r\n");
    let said = running.proxied(
        format!("CONNECT host.internal:{port} HTTP/1.1\r\nHost: host.internal:{port}\r\n\r\n{get}")
            .as_bytes(),
    );
    assert!(
        said.starts_with("HTTP/1.1 200 Connection established\r\n\r\nHTTP/1.1 200 OK"),
        "{said}"
    );
    assert_eq!(running.record().verdict, Verdict::Carried);
    let absolute = get.replacen("/x", &format!("http://host.internal:{port}/x"), 1);
    let said = running.proxied(absolute.replacen("Connection: close\r\n", "", 1).as_bytes());
    assert!(said.contains("GET /x HTTP/1.1") && said.contains("Connection: close"), "{said}");
    assert_eq!(running.record().verdict, Verdict::Carried);
    let socks =
        [&[5, 1, 0, 5, 1, 0, 3, 13][..], b"host.internal", &port.to_be_bytes(), get.as_bytes()];
    let said = running.proxied(&socks.concat());
    assert!(said.contains("GET /x HTTP/1.1"), "{said}");
    let record = running.record();
    assert_eq!((record.verdict, record.way), (Verdict::Carried, Way::Proxy));
    // One that asked for the name itself has the address that it has inside.
    let socks = [&[5, 1, 0, 5, 1, 0, 1, 127, 18, 0, 1][..], &port.to_be_bytes(), get.as_bytes()];
    running.proxied(&socks.concat());
    assert_eq!(running.record().verdict, Verdict::UnknownAddress);
    running.ask("host.internal");
    assert!(running.proxied(&socks.concat()).contains("GET /x HTTP/1.1"));
    assert_eq!(running.record().name, Some(host("host.internal")));
}

#[test]
fn the_proxy_lets_nobody_out_whom_no_rule_names() {
    let port = echo();
    let rules = vec![
        rule(Target::Host, port, Carries::Tcp),
        named("rebound.example", port, Carries::Tcp),
        named("unknown.example", port, Carries::Tcp),
    ];
    let running = start(plan(rules), 0);
    for (whom, status, why) in [
        (format!("evil.example:{port}"), "403", Verdict::NoRule),
        ("host.internal:1".to_owned(), "403", Verdict::NoRule),
        (format!("127.0.0.1:{port}"), "403", Verdict::NoRule),
        (format!("[::1]:{port}"), "403", Verdict::NoRule),
        (format!("[::ffff:127.0.0.1]:{port}"), "403", Verdict::NoRule),
        (format!("localhost.:{port}"), "403", Verdict::NoRule),
        (format!("2130706433:{port}"), "400", Verdict::Malformed),
        (format!("0x7f.1:{port}"), "400", Verdict::Malformed),
        (format!("host.internal@evil.example:{port}"), "400", Verdict::Malformed),
        (format!("rebound.example:{port}"), "403", Verdict::PrivateAddress),
        (format!("unknown.example:{port}"), "502", Verdict::Unresolved),
    ] {
        let said =
            running.proxied(format!("CONNECT {whom} HTTP/1.1\r\nHost: {whom}\r\n\r\n").as_bytes());
        assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{whom}: {said}");
        assert_eq!(running.record().verdict, why, "{whom}");
    }
    assert_eq!(
        running.proxied(&[5, 1, 2]).as_bytes(),
        String::from_utf8_lossy(&[5, 0xff]).as_bytes()
    );
    assert_eq!(running.record().verdict, Verdict::Malformed);
    running.proxied(&[&[5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1][..], &port.to_be_bytes()].concat());
    assert_eq!(running.record().verdict, Verdict::NoRule);
    assert!(
        running
            .proxied(b"GET / HTTP/1.1\r\nHost: host.internal\r\n\r\n")
            .contains("this is a proxy")
    );
}

#[test]
fn a_tunnel_is_for_the_name_that_was_asked_for_and_bears_its_limits_at_once() {
    let port = echo();
    let mut plan = plan(to_host(port, Carries::Tls));
    plan.accounts[1].connections = Bound::AtMost(1);
    let running = start(plan, 0);
    let connects =
        format!("CONNECT host.internal:{port} HTTP/1.1\r\nHost: host.internal:{port}\r\n\r\n");
    let hello = client_hello_for("evil.example");
    let said = running.proxied(&[connects.as_bytes(), &hello].concat());
    assert!(said.ends_with("\r\n\r\n\x15\x03\x03\0\x02\x02p"), "{said:?}");
    assert_eq!(running.record().verdict, Verdict::ServerName);
    let mut stream = connect(running.proxy);
    stream.write_all(connects.as_bytes()).unwrap();
    assert!(stream.read(&mut [0; 100]).unwrap() > 12);
    assert!(running.proxied(connects.as_bytes()).starts_with("HTTP/1.1 429 "));
    assert_eq!(running.record().verdict, Verdict::Connections);
    let hello = client_hello_for("host.internal");
    stream.write_all(&hello).unwrap();
    let mut back = vec![0; hello.len()];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(back, hello);
    drop(stream);
    assert_eq!(running.record().verdict, Verdict::Carried);
}
