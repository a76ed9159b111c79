//! Calls to a model API, and what is counted of them.

use super::world::*;
use crate::rule::tests::rule;
use rustix::net::{SendFlags, send};
use sandboxd_broker_plan::Pattern;
use sandboxd_egress_plan::{
    Bound, Budget, Carries, EgressPlan, Level, Price, Record, Requests, Spent, Target, Told, Use,
    Verdict,
};
use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

const EACH: u64 = 1_000_000_000;

fn budget(tokens: u64, bytes: Bound) -> Budget {
    let model = Pattern::try_from("*").unwrap();
    Budget {
        of: "agent".to_owned(),
        tokens: Bound::AtMost(tokens),
        cost: Bound::Unlimited,
        bytes,
        prices: vec![Price { model, input: EACH, cached: EACH, written: EACH, output: 2 * EACH }],
    }
}

fn counting(port: u16, tokens: u64) -> EgressPlan {
    let mut rule = rule(Target::Host, port, Carries::Http(Requests::All));
    rule.model = true;
    EgressPlan { budgets: vec![budget(tokens, Bound::Unlimited)], ..plan(vec![rule]) }
}

impl Running {
    /// What is told until a connection ends: of answers, how far the budget is used up, and its record.
    fn story(&self) -> (Vec<Use>, Spent, Record) {
        let (mut uses, mut spent) = (Vec::new(), Spent::default());
        loop {
            match self.told() {
                Told::Use(used) => uses.push(used),
                Told::Level(level) => spent = level.spent,
                Told::Record(record) => return (uses, spent, record),
                Told::Lost(lost) => panic!("{lost} lost"),
                Told::Signing(signing) => panic!("{signing:?}"),
            }
        }
    }
}

fn call(path: &str, body: &str, more: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: host.internal\r\n{more}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A head and the body it tells of.
fn heard(stream: &mut TcpStream) -> Option<String> {
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.split("Content-Length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return Some(text);
            }
        }
        match stream.read(&mut piece) {
            Ok(count) if count > 0 => bytes.extend(&piece[..count]),
            Ok(_) | Err(_) => return None,
        }
    }
}

/// A model API that answers so, and counts how often.
fn api(answer: &'static str) -> (u16, Arc<AtomicU64>) {
    let asked = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&asked);
    let port = upstream(move |mut stream| {
        while let Some(request) = heard(&mut stream) {
            count.fetch_add(1, Ordering::Relaxed);
            assert!(request.contains("Accept-Encoding: identity\r\n"), "{request}");
            assert!(!request.contains("gzip"), "{request}");
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length:";
            write!(stream, "{head} {}\r\n\r\n{answer}", answer.len()).unwrap();
        }
    });
    (port, asked)
}

const ANSWER: &str =
    r#"{"model":"small-1","choices":[],"usage":{"prompt_tokens":30,"completion_tokens":12}}"#;

#[test]
fn what_an_api_says_it_used_is_counted_until_there_is_no_more() {
    let (port, asked) = api(ANSWER);
    let running = start(counting(port, 100), port);
    let mut stream = running.led();
    for _ in 0..3 {
        let text =
            call("/v1/chat/completions", "{\"model\":\"small\"}", "Accept-Encoding: gzip, br\r\n");
        stream.write_all(text.as_bytes()).unwrap();
        assert!(heard(&mut stream).unwrap().ends_with(ANSWER));
    }
    stream.write_all(call("/v1/chat/completions", "{}", "").as_bytes()).unwrap();
    let refused = rest(&mut stream);
    assert!(refused.starts_with("HTTP/1.1 429 "), "{refused}");
    assert!(
        refused.contains("\"code\":\"insufficient_quota\"")
            && refused.contains("X-Should-Retry: false")
    );
    assert!(refused.contains("the budget of agent is used up: 126 of 100 tokens"), "{refused}");
    let (uses, spent, record) = running.story();
    assert_eq!(record.verdict, Verdict::Budget);
    assert_eq!(uses.len(), 3);
    assert!(uses.iter().all(|used| used.model == "small-1" && !used.estimated));
    assert_eq!((spent.tokens, spent.cost), (126, 3 * (30 + 2 * 12) * 1000));
    assert!(spent.bytes > 0);
    // Whoever begins anew gets no further, and in the words of the API that is asked.
    let mut stream = running.led();
    stream.write_all(call("/v1/messages", "{}", "").as_bytes()).unwrap();
    let refused = rest(&mut stream);
    assert!(
        refused.contains("{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\""),
        "{refused}"
    );
    assert_eq!(running.story().2.verdict, Verdict::Budget);
    assert_eq!(asked.load(Ordering::Relaxed), 3);
}

#[test]
fn what_nobody_asked_for_answers_nobody() {
    // Once with its answer, once a while after it.
    for pause in [false, true] {
        let (said, heard_it) = std::sync::mpsc::channel();
        let port = upstream(move |mut stream| {
            heard(&mut stream);
            let answer =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{ANSWER}", ANSWER.len());
            let stale = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstale";
            if pause {
                stream.write_all(answer.as_bytes()).unwrap();
                thread::sleep(Duration::from_millis(100));
                stream.write_all(stale.as_bytes()).unwrap();
            } else {
                stream.write_all([&answer, stale].concat().as_bytes()).unwrap();
            }
            said.send(()).unwrap();
            heard(&mut stream);
        });
        let running = start(counting(port, 1000), port);
        let mut stream = running.led();
        let text = call("/v1/chat/completions", "{}", "");
        stream.write_all(text.as_bytes()).unwrap();
        assert!(heard(&mut stream).unwrap().ends_with(ANSWER));
        heard_it.recv_timeout(PATIENCE).unwrap();
        if pause {
            // It is ended by that alone.
            assert_eq!(rest(&mut stream), "");
        } else {
            stream.write_all(text.as_bytes()).ok();
            assert!(!rest(&mut stream).contains("stale"));
        }
        assert_eq!(running.story().2.verdict, Verdict::Carried);
    }
}

#[test]
fn what_cannot_be_counted_is_not_asked() {
    let (port, asked) = api(ANSWER);
    let running = start(counting(port, 100), port);
    for (path, body, status) in [
        ("/v1/files", "{}", "403"),
        ("/v1/responses", "{\"input\":1,\"background\":true}", "403"),
        ("/v1/responses", "no json", "403"),
    ] {
        let mut stream = running.led();
        stream.write_all(call(path, body, "").as_bytes()).unwrap();
        let refused = rest(&mut stream);
        assert!(refused.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {refused}");
        assert_eq!(running.story().2.verdict, Verdict::Uncounted, "{path}");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 0);
}

/// Serves a stream that goes on until nobody takes it.
fn endless(kind: &'static str, event: &'static str) -> u16 {
    upstream(move |mut stream| {
        if heard(&mut stream).is_none() {
            return;
        }
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n";
        write!(stream, "{head}{kind}\r\n").unwrap();
        loop {
            let wrote = if kind.is_empty() {
                stream.write_all(event.as_bytes())
            } else {
                // Cut in the middle of an event, and of a chunk.
                let (one, two) = event.split_at(event.len() / 2);
                write!(stream, "{:x}\r\n{one}\r\n{:x}\r\n{two}\r\n", one.len(), two.len())
            };
            if wrote.is_err() {
                return;
            }
        }
    })
}

#[test]
fn a_stream_ends_where_there_is_no_more_with_an_error_that_is_read() {
    let chat = "data: {\"choices\":[{\"delta\":{\"content\":\"abcdefgh\"}}]}\n\n";
    for kind in ["Transfer-Encoding: chunked\r\n", ""] {
        let port = endless(kind, chat);
        let running = start(counting(port, 1000), port);
        let mut stream = running.led();
        stream.write_all(call("/v1/chat/completions", "{\"model\":\"m\"}", "").as_bytes()).unwrap();
        let said = rest(&mut stream);
        let events = said.matches("abcdefgh").count();
        assert_eq!(events, 500);
        let tail = &said[said.len() - 400..];
        assert!(tail.contains("}]}\n\n"), "{tail}");
        assert!(
            tail.contains("data: {\"error\":{\"message\":\"sandboxd: the budget of agent"),
            "{tail}"
        );
        let end = if kind.is_empty() { "}}\n\n" } else { "}}\n\n\r\n0\r\n\r\n" };
        assert!(said.ends_with(end), "{tail}");
        let (uses, spent, record) = running.story();
        assert_eq!(record.verdict, Verdict::Budget);
        assert!(uses.len() == 1 && uses[0].estimated && uses[0].model == "m", "{uses:?}");
        assert_eq!(spent.tokens, 1004);
    }
}

#[test]
fn whoever_leaves_before_the_end_is_counted_all_the_same() {
    let event = "event: content_block_delta\ndata: {\"delta\":{\"text\":\"abcdefgh\"}}\n\n";
    let port = endless("Transfer-Encoding: chunked\r\n", event);
    let running = start(counting(port, 1 << 40), port);
    let mut stream = running.led();
    stream.write_all(call("/v1/messages", "{\"model\":\"m\"}", "").as_bytes()).unwrap();
    stream.read_exact(&mut [0; 2000]).unwrap();
    drop(stream);
    let (uses, spent, _) = running.story();
    assert!(uses.len() == 1 && uses[0].estimated, "{uses:?}");
    assert!(spent.tokens > 40, "{spent:?}");
    // So is whoever hears no answer at all.
    let silent = upstream(|mut stream| {
        heard(&mut stream);
    });
    let running = start(counting(silent, 1 << 40), silent);
    let mut stream = running.led();
    stream.write_all(call("/v1/messages", "{\"model\":\"m2\"}", "").as_bytes()).unwrap();
    rest(&mut stream);
    let (uses, spent, _) = running.story();
    assert_eq!((uses[0].model.as_str(), uses[0].estimated, spent.tokens), ("m2", true, 4));
}

/// An upstream that begins an answer, and goes on once its client is gone.
fn pausing(first: String, then: String) -> (u16, std::sync::mpsc::Sender<()>) {
    let (gone, wait) = std::sync::mpsc::channel();
    let wait = std::sync::Mutex::new(wait);
    let port = upstream(move |mut stream| {
        heard(&mut stream);
        stream.write_all(first.as_bytes()).unwrap();
        wait.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        // In pieces, so that it is noticed that nobody takes them.
        for piece in then.as_bytes().chunks(4096) {
            stream.write_all(piece).unwrap();
            thread::sleep(Duration::from_millis(1));
        }
    });
    (port, gone)
}

#[test]
fn what_an_answer_used_is_heard_though_its_client_is_gone() {
    let json = format!("{{{}{}", " ".repeat(100_000), &ANSWER[1..]);
    let (first, then) = json.split_at(3);
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", json.len());
    let whole = (format!("{head}{first}"), then.to_owned());
    let event = |text: &str| format!("data: {text}\n\n");
    let word = event(r#"{"choices":[{"delta":{"content":"abcdefgh"}}]}"#);
    let usage = event(r#"{"choices":[],"usage":{"prompt_tokens":30,"completion_tokens":12}}"#);
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    let stream = (format!("{head}{word}"), word.repeat(1000) + &usage);
    for (first, then) in [whole, stream] {
        let (port, gone) = pausing(first, then);
        let running = start(counting(port, 1 << 40), port);
        let mut client = running.led();
        client.write_all(call("/v1/chat/completions", "{}", "").as_bytes()).unwrap();
        client.read_exact(&mut [0; 20]).unwrap();
        drop(client);
        gone.send(()).unwrap();
        let (uses, spent, record) = running.story();
        assert_eq!(record.verdict, Verdict::Broke);
        assert!(uses.len() == 1 && !uses[0].estimated, "{uses:?}");
        assert_eq!(spent.tokens, 42);
    }
}

#[test]
fn what_an_answer_used_is_heard_though_its_client_was_cut_off() {
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{ANSWER}", ANSWER.len());
    let (port, gone) = pausing(String::new(), answer);
    let mut plan = counting(port, 1 << 40);
    plan.rules[0].deadlines.idle = Bound::AtMost(50);
    let running = start(plan, port);
    let mut client = running.led();
    client.write_all(call("/v1/chat/completions", "{}", "").as_bytes()).unwrap();
    // It sees that at once, and as the failure that it is.
    assert_eq!(rest(&mut client), "[ConnectionReset]");
    gone.send(()).unwrap();
    let (uses, spent, record) = running.story();
    assert_eq!(record.verdict, Verdict::Idle);
    assert!(uses.len() == 1 && !uses[0].estimated, "{uses:?}");
    assert_eq!(spent.tokens, 42);
}

#[test]
fn what_others_use_is_used_here_too() {
    let (port, asked) = api(ANSWER);
    let running = start(counting(port, 100), port);
    let level = Level { budget: 0, spent: Spent { tokens: 100, cost: 0, bytes: 0 } };
    send(running.control.as_ref().unwrap(), &level.encode(), SendFlags::empty()).unwrap();
    // It hears that in its own time.
    loop {
        let mut stream = running.led();
        stream
            .write_all(call("/v1/chat/completions", "{}", "Connection: close\r\n").as_bytes())
            .unwrap();
        let said = rest(&mut stream);
        let before = asked.load(Ordering::Relaxed);
        if said.contains("used up") {
            break;
        }
        assert!(before < 3, "it never heard: {said}");
    }
}

#[test]
fn bytes_are_used_up_whatever_they_are() {
    let port = echo();
    let rule = rule(Target::Host, port, Carries::Tcp);
    let bytes = Bound::AtMost(100_000);
    let plan = EgressPlan { budgets: vec![budget(0, bytes)], ..plan(vec![rule]) };
    let running = start(plan, port);
    let mut stream = running.led();
    stream.write_all(&[7; 90_000]).ok();
    stream.shutdown(std::net::Shutdown::Write).ok();
    let said = rest(&mut stream);
    assert!(said.len() <= 100_000, "{}", said.len());
    let (_, spent, record) = running.story();
    assert_eq!((record.verdict, spent.bytes), (Verdict::Budget, 100_000));
    let mut stream = running.led();
    assert!(rest(&mut stream).len() < 64);
    assert_eq!(running.story().2.verdict, Verdict::Budget);
}
