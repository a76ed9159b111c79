//! A broker that is none: the other end of the channel, in the test's own hands.

use super::*;
use crate::calls::{Calls, Connection, Most};
use crate::control::{Approver, Approvers};
use crate::sandbox::nowhere;
use crate::service::channel::{receive, say_records};
use crate::service::gathered::{self, Gathered};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use sandboxd_broker_plan::record::{Event, Method, Outcome, Record, Rule, What};
use sandboxd_plan::HostPath;
use sandboxd_profiles::{Document, Folders, Graph, graph};
use std::sync::atomic::AtomicU64;
use std::sync::{Condvar, Mutex};

const AGENT: &str = "name = \"agent\"\ncommand.exec = [\"/bin/true\"]\nfiles.execute = [\"/usr\"]\n\
    [call.hub]\nprofile = \"hub.toml\"\ntools = [\"ask\"]";
const HUB: &str = "name = \"hub\"\ncommand.exec = [\"/bin/true\"]\nfiles.execute = [\"/usr\"]\n\
    serve.tools = [\"ask\"]\n[call.tool]\nprofile = \"tool.toml\"\ntools = [\"do\"]";
const TOOL: &str = "name = \"tool\"\ncommand.exec = [\"/bin/true\"]\nfiles.execute = [\"/usr\"]\n\
    serve.tools = [\"do\"]";

fn document(path: &str) -> Result<Document, String> {
    let files = [("agent.toml", AGENT), ("hub.toml", HUB), ("tool.toml", TOOL)];
    let found = files.into_iter().find(|(name, _)| path.ends_with(name));
    let (name, text) = found.ok_or_else(|| String::from("there is none"))?;
    let folder = Some(HostPath::try_from("/p").unwrap());
    Ok(Document { name: name.into(), folder, text: text.into() })
}

fn graph() -> Graph {
    let mut read = |path: &HostPath| document(path.as_str());
    let first = vec![document("agent.toml").unwrap()];
    graph::load(first, &Folders::default(), &mut read).unwrap()
}

/// The broker's end of the line, and of the pipe for records.
pub(in crate::calls) struct Broker {
    pub(in crate::calls) line: OwnedFd,
    gathers: OwnedFd,
}

/// A desk, and the broker's ends.
fn desk() -> (Desk, Broker) {
    let (shared, records, news, broker) = parts();
    (Desk::open(shared, records, None, news).unwrap(), broker)
}

/// What a desk has; connection 5 is the agent's.
fn parts() -> (Arc<Shared>, (Records, Gathered, Edges), Receiver<News>, Broker) {
    parts_of(Most { instances: 1, connections: 1 }, |_, _| unreachable!())
}

/// The same with so many at once, where this is told of what does not start.
pub(in crate::calls) fn parts_of(
    most: Most,
    refused: fn(&str, &StartError),
) -> (Arc<Shared>, (Records, Gathered, Edges), Receiver<News>, Broker) {
    let (kind, flags) = (SocketType::SEQPACKET, SocketFlags::CLOEXEC);
    let (line, brokers) = socketpair(AddressFamily::UNIX, kind, flags, None).unwrap();
    let (gathered, gathers) = Gathered::new().unwrap();
    let broker = Broker { line: brokers, gathers };
    let (bell, news) = Bell::new().unwrap();
    let calls = Calls {
        graph: graph(),
        under: Vec::new(),
        purses: crate::sandbox::Purses::default(),
        metrics: None,
        receipt: None,
        refused: Box::new(refused),
        waits: Box::new(|_| {}),
    };
    let agent = Connection {
        standing: calls.graph.first(),
        behalf: 0,
        room: None,
        sandbox: String::from("agent-1"),
    };
    let shared = Shared {
        line,
        calls,
        room: None,
        audit: nowhere(),
        most,
        callers: vec![String::from("agent"), String::from("hub")],
        last: AtomicU64::new(5),
        connections: Mutex::new(BTreeMap::from([(5, agent)])),
        called: Mutex::default(),
        fewer: Condvar::new(),
        bell,
    };
    let plan = graph().plan("case").unwrap();
    let records = Records::new(shared.audit.clone(), &plan, Approvers::default());
    let edges = Edges::new("agent-1", "agent", &plan, graph().expires()).unwrap();
    (Arc::new(shared), (records, gathered, edges), news, broker)
}

/// Waits for the end of the line, whatever is said before it.
fn is_cut(broker: &Broker) -> bool {
    let within = rustix::fs::Timespec { tv_sec: 10, tv_nsec: 0 };
    let mut fds = [PollFd::new(&broker.line, PollFlags::IN)];
    while poll(&mut fds, Some(&within)).unwrap() == 1 {
        if matches!(receive(&broker.line), Ok(None) | Err(Errno::CONNRESET)) {
            return true;
        }
    }
    false
}

#[test]
fn a_broker_that_asks_for_what_no_edge_allows_is_ended() {
    let edges = graph().plan("case").unwrap().edges;
    let of = |name: &str| {
        let place = edges.iter().position(|edge| edge.caller.as_str() == name).unwrap();
        u64::try_from(place).unwrap()
    };
    let start = |instance, edge, connection| Wish::Start { instance, edge, connection };
    for (what, wish) in [
        ("an edge of somebody else's", start(1, of("hub"), 5)),
        ("an edge that is not there", start(1, 2, 5)),
        ("a number of no instance", start(0, of("agent"), 5)),
        ("a connection that is not there", start(1, of("agent"), 6)),
    ] {
        let (mut desk, broker) = desk();
        wish.say(broker.line.as_fd()).unwrap();
        assert!(is_cut(&broker), "{what}");
        let left = desk.close();
        assert!(left.iter().any(|left| left.contains("does not allow")), "{what}: {left:?}");
    }
}

#[test]
fn a_broker_that_tells_of_what_cannot_be_is_ended() {
    let edges = graph().plan("case").unwrap().edges;
    let of = |name: &str| {
        let place = edges.iter().position(|edge| edge.caller.as_str() == name).unwrap();
        u32::try_from(place).ok()
    };
    let what =
        What { method: Method::ToolsCall, name: None, digest: [0; 32], bytes: 1, secrets: 0 };
    let allowed = Event::Allowed(what);
    let ended = Event::Finished { outcome: Outcome::Answered, bytes: 1, millis: 1 };
    let named = |name| Event::Allowed(What { name: Some(name), ..what });
    for (what, edge, connection, event) in [
        ("an edge that is not there", Some(2), 5, allowed),
        ("an edge of somebody else's", of("hub"), 5, allowed),
        ("a connection that never was", of("agent"), 6, allowed),
        ("no edge", None, 5, allowed),
        ("a name that is not there", of("agent"), 5, named(1)),
        ("the end of no call", of("agent"), 5, ended),
        ("an approver who never came", of("agent"), 5, Event::Approved(what, 1)),
    ] {
        let record = Record { edge, connection, instance: 0, call: 1, event };
        for waits in [false, true] {
            let (mut desk, broker) = desk();
            if waits {
                say_records(&[record], broker.line.as_fd()).unwrap();
            } else {
                gathered::say(&[record], broker.gathers.as_fd()).unwrap();
            }
            assert!(is_cut(&broker), "{what}");
            let left = desk.close();
            assert!(left.iter().any(|left| left.contains("does not allow")), "{what}: {left:?}");
        }
    }
    let (mut desk, broker) = self::desk();
    let (edge, event) = (of("agent"), named(0));
    let record = Record { edge, connection: 5, instance: 0, call: 1, event };
    // Until it is ended for it.
    while gathered::say(&[record], broker.gathers.as_fd()).is_ok() {}
    assert!(desk.close().iter().any(|left| left.contains("more calls than are allowed")));
}

#[test]
fn what_was_told_before_the_end_is_heard() {
    let record =
        Record { edge: Some(2), connection: 5, instance: 0, call: 1, event: Event::NoEdge };
    for waits in [false, true] {
        let (shared, records, news, broker) = parts();
        if waits {
            say_records(&[record], broker.line.as_fd()).unwrap();
        } else {
            gathered::say(&[record], broker.gathers.as_fd()).unwrap();
        }
        // Over before it begins.
        let (closed, _) = rustix::pipe::pipe().unwrap();
        let left = Clerk::new(shared, records, None, news).work(&closed);
        assert!(left.iter().any(|left| left.contains("reported edge 2")), "{left:?}");
        assert!(is_cut(&broker));
    }
}

#[test]
fn what_is_no_message_is_told_at_the_end_too() {
    let (shared, records, news, broker) = parts();
    rustix::io::write(&broker.line, b"thread 'main' panicked").unwrap();
    let (closed, _) = rustix::pipe::pipe().unwrap();
    let left = Clerk::new(shared, records, None, news).work(&closed);
    assert_eq!(left, ["the broker sent an invalid message, which the graph does not allow"]);
}

#[test]
fn what_is_no_message_ends_the_broker_and_its_own_end_ends_nothing_else() {
    let (mut desk, broker) = desk();
    rustix::io::write(&broker.line, b"thread 'main' panicked").unwrap();
    assert!(is_cut(&broker));
    assert_eq!(desk.close().len(), 1);
    let (mut desk, broker) = self::desk();
    rustix::io::write(&broker.gathers, &[0xff; 200]).unwrap();
    assert!(is_cut(&broker));
    assert_eq!(desk.close().len(), 1);
    let (mut desk, broker) = self::desk();
    // What is not there need not be stopped or closed.
    Wish::Stop(9).say(broker.line.as_fd()).unwrap();
    Wish::Closed(9).say(broker.line.as_fd()).unwrap();
    drop(broker);
    assert_eq!(desk.close(), [""; 0]);
}

#[test]
fn the_numbers_of_instances_rise() {
    for (first, second) in [(1, 1), (2, 1), (u64::MAX, 7)] {
        // There is room for none, so that each is over as soon as it was asked for.
        let most = Most { instances: 0, connections: 1 };
        let (shared, records, news, broker) = parts_of(most, |_, _| {});
        let mut desk = Desk::open(shared, records, None, news).unwrap();
        let ask = |instance| {
            let wish = Wish::Start { instance, edge: 0, connection: 5 };
            wish.say(broker.line.as_fd()).unwrap();
        };
        ask(first);
        ask(second);
        assert!(is_cut(&broker), "{second} after {first}");
        let left = desk.close();
        assert!(left.iter().any(|left| left.contains("again")), "{second}: {left:?}");
    }
}

#[test]
fn of_wishes_without_end_so_many_are_heard_at_a_time() {
    use rustix::net::sockopt;
    let (shared, records, news, broker) = parts();
    sockopt::set_socket_send_buffer_size(&broker.line, 1 << 20).unwrap();
    rustix::io::ioctl_fionbio(&broker.line, true).unwrap();
    let mut said = 0;
    while Wish::Stop(9).say(broker.line.as_fd()).is_ok() {
        said += 1;
    }
    assert!(said > PACKETS, "no more than {said} fit");
    let mut clerk = Clerk::new(shared, records, None, news);
    assert!(clerk.hear_wishes().is_ok());
    let mut left = 0;
    while let Ok(Some(_)) = Heard::next(&clerk.shared.line) {
        left += 1;
    }
    assert_eq!(said - left, PACKETS);
}

#[test]
fn of_records_without_end_so_many_pieces_are_heard_at_a_time() {
    let (shared, records, news, broker) = parts();
    let mut clerk = Clerk::new(shared, records, None, news);
    rustix::pipe::fcntl_setpipe_size(&broker.gathers, 1 << 20).unwrap();
    rustix::io::ioctl_fionbio(&broker.gathers, true).unwrap();
    let record =
        Record { edge: Some(0), connection: 5, instance: 0, call: 1, event: Event::Malformed };
    let piece = [0; 256].map(|_: u8| record.encode()).concat();
    let mut said = 0;
    while let Ok(sent) = rustix::io::write(&broker.gathers, &piece[said % piece.len()..]) {
        said += sent;
    }
    assert!(said > PIECES * piece.len(), "no more than {said} bytes fit");
    assert!(clerk.hear_gathered().is_ok_and(|heard| heard));
    let mut fds = [PollFd::new(&clerk.gathered, PollFlags::IN)];
    assert_eq!(poll(&mut fds, Some(&Timespec::default())), Ok(1), "all of it was heard");
}

#[test]
fn what_one_for_several_calls_is_recorded_for_nobody_who_called_it() {
    for (shared, chain) in [(false, &["agent", "hub"][..]), (true, &["hub"])] {
        let (all, records, news, _broker) = parts();
        let agent = all.connections().get(&5).cloned().unwrap();
        let mut launch = all.calls.graph.launch(&agent.standing, 0).unwrap();
        launch.shared = shared;
        let hub = Connection { standing: launch.standing.clone(), behalf: 1, ..agent.clone() };
        all.connections().insert(4, hub);
        let mut clerk = Clerk::new(all, records, None, news);
        let wanted = clerk.wanted(&agent, (0, launch)).unwrap();
        clerk.instances.insert(1, Instance::idle(wanted));
        let event = Event::Malformed;
        let record = Record { edge: Some(1), connection: 4, instance: 0, call: 1, event };
        let known = clerk.known(&record).unwrap();
        assert_eq!(known.chain, chain);
        assert_eq!(known.for_several, shared);
    }
}

/// What the supervisor said next, in time.
fn heard(broker: &Broker) -> Option<Told> {
    let within = rustix::fs::Timespec { tv_sec: 10, tv_nsec: 0 };
    let mut fds = [PollFd::new(&broker.line, PollFlags::IN)];
    assert_eq!(poll(&mut fds, Some(&within)).unwrap(), 1, "nothing was said");
    Told::heard(receive(&broker.line).unwrap()?).map(|(told, _)| told)
}

/// Somebody who takes an edge back, and what that one is answered.
fn revoker() -> (Approver, OwnedFd, std::os::unix::net::UnixStream) {
    let (theirs, ours) = std::os::unix::net::UnixStream::pair().unwrap();
    (Approver { uid: 7, pid: 8 }, ours.into(), theirs)
}

fn is_violated(closed: Result<(), Closed>, words: &str) -> bool {
    matches!(closed, Err(Closed::Violated(what)) if what.contains(words))
}

#[test]
fn what_is_taken_back_is_started_no_more_and_who_wants_that_hears_once_it_holds() {
    use std::io::Read as _;
    let most = Most { instances: 0, connections: 1 };
    let (shared, records, news, broker) = parts_of(most, |_, _| panic!("it was to start"));
    let mut clerk = Clerk::new(shared, records, None, news);
    let (who, stream, mut theirs) = revoker();
    assert!(is_violated(clerk.obeyed(0), "on its own"), "nobody has told the broker");
    assert!(clerk.revoke(0, Some((who, stream))).is_ok());
    assert_eq!(heard(&broker), Some(Told::Revoked(0)));
    // What the broker wanted before it heard of that is not started, and is no fault of its.
    assert!(clerk.start(1, 0, 5).is_ok());
    assert_eq!(heard(&broker), Some(Told::Ended(1)));
    theirs.set_nonblocking(true).unwrap();
    let mut said = String::new();
    assert!(theirs.read_to_string(&mut said).is_err() && said.is_empty(), "{said}");
    theirs.set_nonblocking(false).unwrap();
    let wish = Wish::Revoked(0);
    wish.say(broker.line.as_fd()).unwrap();
    assert!(clerk.hear_wishes().is_ok());
    theirs.read_to_string(&mut said).unwrap();
    assert_eq!(said, r#"{"edge":"agent/hub","revoked":true,"run":"agent-1"}"#);
    // From here on it is one.
    assert!(is_violated(clerk.start(2, 0, 5), "asked for edge 0, which is revoked"));
    assert!(is_violated(clerk.obeyed(0), "on its own"));
    let what =
        What { method: Method::ToolsCall, name: None, digest: [0; 32], bytes: 1, secrets: 0 };
    let record = |event| Record { edge: Some(0), connection: 5, instance: 0, call: 1, event };
    let told = clerk.record(&record(Event::Allowed(what)));
    assert!(told.is_err_and(|why| why.contains("over edge 0, which is revoked")));
    assert!(clerk.record(&record(Event::Refused(what, Rule::Revoked))).is_ok());
    // Whoever wants it once more is told at once.
    let (who, stream, mut theirs) = revoker();
    assert!(clerk.revoke(0, Some((who, stream))).is_ok());
    said.clear();
    theirs.read_to_string(&mut said).unwrap();
    assert!(said.contains(r#""revoked":true"#), "{said}");
}

#[test]
fn a_broker_that_does_not_take_it_back_in_time_is_ended() {
    use std::io::Read as _;
    let (shared, records, news, broker) = parts();
    let mut clerk = Clerk::new(shared, records, None, news);
    // It has no room for it.
    while Told::Ended(9).say(clerk.shared.line.as_fd(), &[]).is_ok() {}
    let (who, stream, mut theirs) = revoker();
    assert!(clerk.revoke(0, Some((who, stream))).is_ok());
    while receive(&broker.line).is_ok_and(|packet| packet.is_some()) {}
    std::thread::sleep(std::time::Duration::from_millis(30));
    assert!(clerk.time_is_over().is_ok());
    assert_eq!(heard(&broker), Some(Told::Revoked(0)), "it was not told again");
    let late = clerk.press(0, sandboxd_broker::limit::Moment(u64::MAX));
    let why = late.err().map(|late| late.cut_off(&clerk.shared.line, "the graph"));
    assert_eq!(
        why,
        Some(vec![String::from("the broker was ended: it did not revoke edge 0 in time")])
    );
    let mut said = String::new();
    theirs.set_nonblocking(true).unwrap();
    theirs.read_to_string(&mut said).ok();
    assert!(said.contains(r#""revoked":false"#) && said.contains("were ended"), "{said}");
}

#[test]
fn an_edge_that_is_for_a_time_is_taken_back_once_that_is_over() {
    let (shared, (records, gathered, _), news, broker) = parts();
    let plan = graph().plan("case").unwrap();
    let edges = Edges::new("agent-1", "agent", &plan, [(1, 100), (0, 3_600_000)].into_iter());
    let records = (records, gathered, edges.unwrap());
    let began = std::time::Instant::now();
    let mut desk = Desk::open(shared, records, None, news).unwrap();
    assert_eq!(heard(&broker), Some(Told::Revoked(1)));
    assert!(began.elapsed() >= std::time::Duration::from_millis(90));
    Wish::Revoked(1).say(broker.line.as_fd()).unwrap();
    drop(broker);
    assert_eq!(desk.close(), [""; 0]);
}
