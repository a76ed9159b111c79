//! Limits and deadlines, and many at once.

use super::world::*;

#[test]
fn limits_and_deadlines_end_a_connection() {
    let port = echo();
    let mut plan = plan(to_host(port, Carries::Tcp));
    plan.accounts[1] = Limits { up: Bound::AtMost(8), connections: Bound::AtMost(1), ..UNLIMITED };
    let running = start(plan, port);
    let mut first = running.led();
    first.write_all(b"1234").unwrap();
    first.read_exact(&mut [0; 4]).unwrap();
    assert!(rest(&mut running.led()).contains("ConnectionReset"));
    assert_eq!(running.record().verdict, Verdict::Connections);
    first.write_all(b"56789").unwrap();
    assert!(rest(&mut first).contains("ConnectionReset"));
    let record = running.record();
    assert_eq!((record.verdict, record.up), (Verdict::Spent, 8));
    drop(running);

    let mut rules = to_host(port, Carries::Tcp);
    rules[0].deadlines.idle = Bound::AtMost(50);
    let running = start(super::world::plan(rules), port);
    assert!(rest(&mut running.led()).contains("ConnectionReset"));
    assert_eq!(running.record().verdict, Verdict::Idle);
    drop(running);

    // An answer that ends with its connection, and is cut off.
    let port = upstream(|mut stream| {
        stream.read_exact(&mut [0; 20]).unwrap();
        stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nhalf and half").unwrap();
        io::copy(&mut stream, &mut io::sink()).ok();
    });
    let mut plan = super::world::plan(to_host(port, Carries::Http(Requests::All)));
    plan.accounts[1].down = Bound::AtMost(23);
    let running = start(plan, port);
    let mut stream = running.led();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    assert!(rest(&mut stream).ends_with("\nhalf[ConnectionReset]"));
    assert_eq!(running.record().verdict, Verdict::Spent);
    drop(running);

    let port = echo();
    let mut plan = super::world::plan(to_host(port, Carries::Tls));
    plan.waits.head = Millis(50);
    let running = start(plan, port);
    assert!(rest(&mut running.led()).contains("ConnectionReset"));
    assert_eq!(running.record().verdict, Verdict::Slow);
}

/// The heads of what is answered to each of these, asked for one after the other on this connection; none after
/// one that is refused.
fn statuses(stream: &mut TcpStream, paths: &[&str]) -> Vec<String> {
    let ask = |path: &&str| {
        write!(stream, "GET {path} HTTP/1.1\r\nHost: host.internal\r\n\r\n").ok()?;
        let (mut said, mut piece) = (String::new(), [0; 4096]);
        while !is_whole(&said) {
            let count = stream.read(&mut piece).ok().filter(|count| *count > 0)?;
            said.push_str(std::str::from_utf8(&piece[..count]).unwrap());
        }
        Some(said[9..12].to_owned())
    };
    paths.iter().map_while(ask).collect()
}

/// Whether an answer has all of its body, which may come after its head.
fn is_whole(said: &str) -> bool {
    let Some((head, body)) = said.split_once("\r\n\r\n") else { return false };
    let length = head
        .lines()
        .find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
    body.len() >= length.map_or(0, |length| length.parse().unwrap())
}

/// Requests to `/a` and to `/b`, each by a rule of its own.
fn apart(port: u16) -> EgressPlan {
    let only = |path: &str| {
        let path = sandboxd_broker_plan::Pattern::try_from(path).unwrap();
        let method = "GET".to_owned().try_into().unwrap();
        rule(Target::Host, port, Carries::Http(Requests::Only { method, path }))
    };
    plan(vec![only("/a"), only("/b")])
}

#[test]
fn a_later_request_is_bounded_by_its_own_rule() {
    let port = http();
    let mut plan = apart(port);
    plan.accounts[0].connections = Bound::AtMost(2);
    plan.accounts[2].connections = Bound::AtMost(1);
    let running = start(plan, port);
    let mut first = running.led();
    assert_eq!(statuses(&mut first, &["/b"]), ["200"]);
    assert_eq!(statuses(&mut running.led(), &["/a", "/b"]), ["200", "429"]);
    assert_eq!(running.record().verdict, Verdict::Connections);
    // What went on under the other made room, and each of them is one of two.
    assert_eq!(statuses(&mut first, &["/a"]), ["200"]);
    assert_eq!(statuses(&mut running.led(), &["/a", "/b", "/b", "/a", "/b"]), ["200"; 5]);
    assert_eq!(running.record().verdict, Verdict::Carried);
    drop((first, running));

    let mut plan = apart(port);
    plan.rules[1].deadlines.idle = Bound::AtMost(50);
    let running = start(plan, port);
    let mut stream = running.led();
    assert_eq!(statuses(&mut stream, &["/a", "/b"]), ["200"; 2]);
    assert!(rest(&mut stream).contains("ConnectionReset"));
    assert_eq!(running.record().verdict, Verdict::Idle);
    drop(running);

    let mut plan = apart(port);
    plan.rules[1].deadlines.total = Bound::AtMost(1);
    let running = start(plan, port);
    let mut stream = running.led();
    assert_eq!(statuses(&mut stream, &["/a"]), ["200"]);
    thread::sleep(Duration::from_millis(5));
    assert_eq!(statuses(&mut stream, &["/a", "/b"]), ["200", "403"]);
    assert_eq!(running.record().verdict, Verdict::Total);
}

#[test]
fn a_request_is_bounded_by_its_own_rule_until_it_is_answered() {
    // It answers nothing.
    let port = upstream(|mut stream| drop(io::copy(&mut stream, &mut io::sink())));
    let mut plan = apart(port);
    plan.accounts[1].connections = Bound::AtMost(1);
    let running = start(plan, port);
    let mut first = running.led();
    let ask = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: host.internal\r\n\r\n");
    first.write_all(format!("{}{}", ask("/a"), ask("/b")).as_bytes()).unwrap();
    thread::sleep(Duration::from_millis(100));
    let mut second = running.led();
    second.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    assert_eq!(statuses(&mut second, &["/a"]), ["429"], "the first has the place yet");
}

#[test]
fn one_that_carries_much_does_not_hold_up_the_others() {
    let zeros = upstream(|mut stream| while stream.write_all(&[0; 1 << 16]).is_ok() {});
    let small = echo();
    let rules =
        vec![rule(Target::Host, zeros, Carries::Tcp), rule(Target::Host, small, Carries::Tcp)];
    let running = start(plan(rules), 0);
    let open = |port: u16| {
        let mut stream = connect(running.proxy);
        let whom = format!("host.internal:{port}");
        write!(stream, "CONNECT {whom} HTTP/1.1\r\nHost: {whom}\r\n\r\n").unwrap();
        stream.read_exact(&mut [0; 39]).unwrap();
        stream
    };
    let mut greedy = open(zeros);
    let reading =
        thread::spawn(move || while greedy.read(&mut [0; 1 << 16]).is_ok_and(|count| count > 0) {});
    for _ in 0..20 {
        let mut stream = open(small);
        stream.write_all(b"x").unwrap();
        stream.read_exact(&mut [0]).unwrap();
    }
    drop(running);
    reading.join().unwrap();
}

#[test]
fn those_who_say_nothing_leave_room_for_others() {
    let port = echo();
    let mut plan = super::world::plan(to_host(port, Carries::Tls));
    plan.pending = 2;
    let running = start(plan, port);
    let silent = [running.led(), running.led()];
    assert!(rest(&mut running.led()).contains("ConnectionReset"));
    assert_eq!(running.record().verdict, Verdict::Pending);
    drop(silent);
    assert_eq!(running.record().verdict, Verdict::Broke);
    assert_eq!(running.record().verdict, Verdict::Broke);
    let mut stream = running.led();
    stream.write_all(&client_hello_for("host.internal")).unwrap();
    assert!(stream.read(&mut [0; 16]).unwrap() > 0);
}

#[test]
fn what_is_refused_crowds_out_no_other_record_and_each_is_counted() {
    const FLOOD: u32 = 3000;
    let port = echo();
    let running = start(plan(to_host(port, Carries::Tcp)), port);
    for _ in 0..FLOOD {
        assert_eq!(running.ask("unknown.example"), Some(Found::NoName));
    }
    let mut stream = running.led();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&mut stream), "");
    // Nobody has listened until now.
    let (mut refused, mut lost, mut carried) = (0, 0, 0);
    while refused + lost < FLOOD || carried == 0 {
        match running.told() {
            Told::Record(record) if record.verdict == Verdict::Carried => carried += 1,
            Told::Record(record) if record.verdict == Verdict::NoRule => refused += 1,
            Told::Lost(more) => lost += more,
            told @ (Told::Record(_) | Told::Use(_) | Told::Level(_) | Told::Signing(_)) => {
                panic!("{told:?}")
            }
        }
    }
    assert_eq!((refused + lost, carried), (FLOOD, 1));
    assert!(lost > 0, "all of them fitted");
}
