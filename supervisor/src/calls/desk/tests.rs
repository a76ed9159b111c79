//! A broker that is none: the other end of the channel, in the test's own hands.

use super::*;
use crate::calls::{Calls, Most};
use crate::control::Approvers;
use crate::sandbox::{Audit, AuditLog};
use crate::service::channel::{receive, say_record};
use crate::service::gathered;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use sandboxd_audit::AuditError;
use sandboxd_broker_plan::record::{Event, Method, Outcome, Record, What};
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

/// What is written down nowhere.
fn audit(graph: &Graph) -> Audit {
    let nowhere = AuditError::found("open", "an audit log", "none");
    let log = AuditLog::begin(|| Err(nowhere), |_| {}).unwrap();
    log.of(&graph.launch(&graph.first(), 0).unwrap().profile)
}

/// The broker's end of the line, and of the stream for records.
struct Broker {
    line: OwnedFd,
    gathers: OwnedFd,
}

/// A desk, and the broker's ends.
fn desk() -> (Desk, Broker) {
    let (shared, records, news, broker) = parts();
    (Desk::open(shared, records, None, news).unwrap(), broker)
}

/// What a desk has; connection 5 is the agent's.
fn parts() -> (Arc<Shared>, (Records, OwnedFd), Receiver<News>, Broker) {
    let pair = |kind| socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).unwrap();
    let (line, brokers) = pair(SocketType::SEQPACKET);
    let (gathered, gathers) = pair(SocketType::STREAM);
    let broker = Broker { line: brokers, gathers };
    let (bell, news) = Bell::new().unwrap();
    let calls = Calls {
        graph: graph(),
        under: Vec::new(),
        purses: crate::sandbox::Purses::default(),
        metrics: None,
        refused: Box::new(|_, _| unreachable!()),
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
        audit: audit(&graph()),
        most: Most { instances: 1, connections: 1 },
        callers: vec![String::from("agent"), String::from("hub")],
        last: AtomicU64::new(5),
        connections: Mutex::new(BTreeMap::from([(5, agent)])),
        called: Mutex::default(),
        fewer: Condvar::new(),
        bell,
    };
    let records =
        Records::new(shared.audit.clone(), &graph().plan("case").unwrap(), Approvers::default());
    (Arc::new(shared), (records, gathered), news, broker)
}

/// Waits for the end of the line.
fn is_cut(broker: &Broker) -> bool {
    let mut fds = [PollFd::new(&broker.line, PollFlags::IN)];
    let within = rustix::fs::Timespec { tv_sec: 10, tv_nsec: 0 };
    poll(&mut fds, Some(&within)).unwrap() == 1
        && matches!(receive(&broker.line), Ok(None) | Err(Errno::CONNRESET))
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
    let what = What { method: Method::ToolsCall, name: None, digest: [0; 32], bytes: 1 };
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
                say_record(&record, broker.line.as_fd()).unwrap();
            } else {
                gathered::say(&record, broker.gathers.as_fd()).unwrap();
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
    while gathered::say(&record, broker.gathers.as_fd()).is_ok() {}
    assert!(desk.close().iter().any(|left| left.contains("more calls than there may be")));
}

#[test]
fn what_was_told_before_the_end_is_heard() {
    let record =
        Record { edge: Some(2), connection: 5, instance: 0, call: 1, event: Event::NoEdge };
    for waits in [false, true] {
        let (shared, records, news, broker) = parts();
        if waits {
            say_record(&record, broker.line.as_fd()).unwrap();
        } else {
            gathered::say(&record, broker.gathers.as_fd()).unwrap();
        }
        // Over before it begins.
        let (closed, _) = rustix::pipe::pipe().unwrap();
        let left = Clerk::new(shared, records, None, news).work(&closed);
        assert!(left.iter().any(|left| left.contains("tells of edge 2")), "{left:?}");
        assert!(is_cut(&broker));
    }
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
