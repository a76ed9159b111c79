//! What the broker may ask, and who sees to it: a thread that holds each wish against the graph, starts
//! instances and ends them. A broker that asks for what no edge allows is not the one that we started.

mod told;

use super::durable::Durable;
use super::instance::{Instance, Wanted};
use super::records::{Knock, Records};
use super::{Connection, Shared};
use crate::sandbox::StartError;
use crate::service::channel::{Heard, Told, Wish};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use sandboxd_audit::AuditError;
use sandboxd_profiles::graph::{HOPS, Launch};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// How many different reasons are said of what does not run.
const MOST_TOLD: usize = 32;

/// What the desk is told by those who do not wait for it.
pub(super) enum News {
    /// An instance has every layer on, and is let go.
    Started {
        /// Which.
        instance: u64,
        /// The broker's end of its stream.
        stream: OwnedFd,
    },
    /// An instance is over, or does not run.
    Over {
        /// Which.
        instance: u64,
        /// Why it did not run, where it did not.
        refused: Option<(String, StartError)>,
    },
    /// This instance is over, and what it has called is to end.
    Left(u64),
    /// Somebody connected.
    Knocked(Knock),
    /// A record that a call waited for is not on the disk.
    Unwritten(AuditError),
}

/// Where the desk is told so.
#[derive(Clone)]
pub(super) struct Bell {
    teller: Sender<News>,
    /// Written to after each news.
    wake: Arc<OwnedFd>,
}

impl Bell {
    /// A bell, and what is heard of it.
    ///
    /// # Errors
    /// Where there is no descriptor to be had.
    pub(super) fn new() -> Result<(Self, Receiver<News>), StartError> {
        let (teller, news) = channel();
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|errno| StartError::call("eventfd2", "calls", errno))?;
        Ok((Self { teller, wake: Arc::new(wake) }, news))
    }

    /// Tells the desk. One that is closed hears nothing more.
    pub(super) fn ring(&self, news: News) {
        self.teller.send(news).ok();
        rustix::io::write(&*self.wake, &1_u64.to_ne_bytes()).ok();
    }
}

/// The thread.
pub(super) struct Desk {
    /// Its end is the desk's.
    closes: Option<OwnedFd>,
    thread: Option<JoinHandle<Vec<String>>>,
}

impl Desk {
    /// Opens it.
    ///
    /// # Errors
    /// Where there is no thread or descriptor to be had.
    pub(super) fn open(
        shared: Arc<Shared>,
        records: Records,
        news: Receiver<News>,
    ) -> Result<Self, StartError> {
        let failed = |call| move |errno| StartError::call(call, "calls", errno);
        let flags = rustix::pipe::PipeFlags::CLOEXEC;
        let (closed, closes) = rustix::pipe::pipe_with(flags).map_err(failed("pipe2"))?;
        let clerk = Clerk {
            shared,
            instances: BTreeMap::new(),
            news,
            records,
            durable: None,
            told: BTreeSet::new(),
            left: Vec::new(),
        };
        let thread = std::thread::Builder::new()
            .name(String::from("calls"))
            .spawn(move || clerk.work(&closed))
            .map_err(|error| StartError::io("clone3", "calls", &error))?;
        Ok(Self { closes: Some(closes), thread: Some(thread) })
    }

    /// Ends all instances, waits for them, and tells what could not be cleaned up.
    pub(super) fn close(&mut self) -> Vec<String> {
        self.closes = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(left)) => left,
            Some(Err(_)) => vec![String::from("not cleaned up: the thread for calls panicked")],
            None => Vec::new(),
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // Nobody is left to be told.
        drop(self.close());
    }
}

/// What the thread has.
struct Clerk {
    shared: Arc<Shared>,
    instances: BTreeMap<u64, Instance>,
    news: Receiver<News>,
    records: Records,
    /// Waits for the disk, once a call does.
    durable: Option<Durable>,
    /// What was said of those that do not run.
    told: BTreeSet<String>,
    left: Vec<String>,
}

/// Why the desk closes.
enum Closed {
    /// The run is over, or the broker is.
    Over,
    /// The broker asked for this.
    Violated(String),
}

impl Clerk {
    fn work(mut self, closed: &OwnedFd) -> Vec<String> {
        let why = self.serve(closed);
        if let Closed::Violated(what) = why {
            self.left.push(format!("the broker {what}, which the graph does not allow"));
            // The end of its channel is the broker's end.
            if let Err(errno) =
                rustix::net::shutdown(&self.shared.line, rustix::net::Shutdown::Both)
            {
                self.left.push(format!("not ended: the broker: {errno}"));
            }
        }
        self.hear_the_rest();
        for instance in self.instances.values_mut() {
            instance.end();
        }
        for (_, instance) in std::mem::take(&mut self.instances) {
            self.left.extend(instance.gone());
        }
        // It waits for what is on its way to the disk.
        self.durable = None;
        // What could not be started is said, however late, and so is what was not written down.
        while let Ok(news) = self.news.try_recv() {
            match news {
                News::Over { refused: Some(refused), .. } => self.refused(&refused),
                News::Knocked(knock) => self.records.knocked(knock),
                News::Unwritten(error) => self.records.failed(error),
                News::Started { .. } | News::Over { refused: None, .. } | News::Left(_) => {}
            }
        }
        self.left.extend(self.records.close());
        self.left
    }

    fn serve(&mut self, closed: &OwnedFd) -> Closed {
        loop {
            let mut fds = [
                PollFd::new(closed, PollFlags::IN),
                PollFd::new(&self.shared.line, PollFlags::IN),
                PollFd::new(&*self.shared.bell.wake, PollFlags::IN),
            ];
            match poll(&mut fds, None) {
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(errno) => return Closed::Violated(format!("cannot be heard: {errno}")),
            }
            let [over, wished, told] = fds.map(|fd| !fd.revents().is_empty());
            if over {
                return Closed::Over;
            }
            if told {
                self.hear_news();
            }
            if wished && let Err(closed) = self.hear_wishes() {
                return closed;
            }
        }
    }

    fn hear_wishes(&mut self) -> Result<(), Closed> {
        loop {
            let heard = match Heard::next(&self.shared.line) {
                Ok(Some(heard)) => heard,
                Ok(None) | Err(Errno::CONNRESET) => return Err(Closed::Over),
                Err(Errno::AGAIN) => return Ok(()),
                Err(errno) => return Err(Closed::Violated(format!("said what is none: {errno}"))),
            };
            match heard {
                Heard::Wish(Wish::Start { instance, edge, connection }) => {
                    self.start(instance, edge, connection)?;
                }
                Heard::Wish(Wish::Stop(instance)) => {
                    if let Some(instance) = self.instances.get_mut(&instance) {
                        instance.end();
                    }
                }
                Heard::Wish(Wish::Closed(connection)) => {
                    self.shared.connections().remove(&connection);
                }
                Heard::Wish(Wish::Waits(calls)) => (self.shared.calls.waits)(calls),
                Heard::Record(record) => self.record(&record).map_err(Closed::Violated)?,
            }
        }
    }

    /// Starts an instance, where the edge is one of whoever is at the connection.
    fn start(&mut self, instance: u64, edge: u64, connection: u64) -> Result<(), Closed> {
        let who = self.shared.connections().get(&connection).cloned();
        let called = who.and_then(|who| {
            let edge = usize::try_from(edge).ok()?;
            let launch = self.shared.calls.graph.launch(&who.standing, edge)?;
            Some((who, launch))
        });
        let Some((who, launch)) = called.filter(|_| instance != 0) else {
            let what = format!("asked for edge {edge} for connection {connection}");
            return Err(Closed::Violated(what));
        };
        if self.instances.contains_key(&instance) {
            return Err(Closed::Violated(format!("asked for instance {instance} twice")));
        }
        let name = launch.profile.name().to_owned();
        if let Err(why) = self.begin(instance, who, launch) {
            self.refused(&(name, why));
            self.ended(instance);
        }
        Ok(())
    }

    fn begin(
        &mut self,
        number: u64,
        who: Connection,
        mut launch: Launch,
    ) -> Result<(), StartError> {
        if launch.standing.hops() > HOPS {
            let what = format!("a chain of more than {HOPS} calls");
            return Err(StartError::found("calls", what).with_remedy(
                "calls go round: look at the edges with cycle in sandboxd graph, and take one out",
            ));
        }
        let most = self.shared.most.instances;
        if self.instances.len() >= most {
            let what = format!("{most} of what is called run already");
            return Err(StartError::found("calls", what).with_remedy(
                "let sandboxd open more files (ulimit -n, LimitNOFILE=), 256 run at most; or let the agent close connections",
            ));
        }
        launch.under.splice(0..0, self.shared.calls.under.iter().cloned());
        let caller = self.shared.caller(launch.standing.clone(), number);
        let from = self.shared.calls.graph.name(&who.standing).to_owned();
        // What is for several does not end with whoever called first.
        let (within, behalf) =
            if launch.shared { (self.shared.room.clone(), 0) } else { (who.room, who.behalf) };
        let instance = Instance::begin(Wanted {
            number,
            launch,
            from,
            caller,
            within,
            behalf,
            shared: Arc::clone(&self.shared),
        })?;
        self.instances.insert(number, instance);
        Ok(())
    }

    fn hear_news(&mut self) {
        let mut count = [0; 8];
        // It only wakes; what there is to hear says the channel.
        rustix::io::read(&*self.shared.bell.wake, &mut count).ok();
        while let Ok(news) = self.news.try_recv() {
            match news {
                News::Started { instance, stream } => {
                    let told =
                        Told::Started(instance).say(self.shared.line.as_fd(), Some(stream.as_fd()));
                    if told.is_err()
                        && let Some(instance) = self.instances.get_mut(&instance)
                    {
                        instance.end();
                    }
                }
                News::Over { instance, refused } => {
                    if let Some(refused) = refused {
                        self.refused(&refused);
                    }
                    if let Some(gone) = self.instances.remove(&instance) {
                        self.left.extend(gone.gone());
                    }
                    self.ended(instance);
                }
                News::Knocked(knock) => self.records.knocked(knock),
                News::Unwritten(error) => self.records.failed(error),
                News::Left(caller) => {
                    let called = self.instances.values_mut();
                    called.filter(|one| one.behalf == caller).for_each(Instance::end);
                }
            }
        }
    }

    /// Says why, but nothing twice: whoever calls could go on for ever.
    fn refused(&mut self, (name, why): &(String, StartError)) {
        self.shared.audit.refused(name, why);
        let text = why.text(name);
        if self.told.len() < MOST_TOLD && self.told.insert(text) {
            (self.shared.calls.refused)(name, why);
        }
    }

    fn ended(&self, instance: u64) {
        // A broker that is gone or does not read loses it, and with it what waits for it.
        Told::Ended(instance).say(self.shared.line.as_fd(), None).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Calls, Most};
    use super::*;
    use crate::sandbox::{Audit, AuditLog};
    use crate::service::channel::{receive, say_record};
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
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

    /// A desk, and the broker's end of its line; connection 5 is the agent's.
    fn desk() -> (Desk, OwnedFd) {
        let flags = SocketFlags::CLOEXEC;
        let (line, broker) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        let (bell, news) = Bell::new().unwrap();
        let calls = Calls {
            graph: graph(),
            under: Vec::new(),
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
        let records = Records::new(shared.audit.clone(), &graph().plan("case").unwrap());
        (Desk::open(Arc::new(shared), records, news).unwrap(), broker)
    }

    /// Waits for the end of the line.
    fn is_cut(broker: &OwnedFd) -> bool {
        let mut fds = [PollFd::new(broker, PollFlags::IN)];
        let within = rustix::fs::Timespec { tv_sec: 10, tv_nsec: 0 };
        poll(&mut fds, Some(&within)).unwrap() == 1
            && matches!(receive(broker), Ok(None) | Err(Errno::CONNRESET))
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
            wish.say(broker.as_fd()).unwrap();
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
        ] {
            let (mut desk, broker) = desk();
            let record = Record { edge, connection, instance: 0, call: 1, event };
            say_record(&record, broker.as_fd()).unwrap();
            assert!(is_cut(&broker), "{what}");
            let left = desk.close();
            assert!(left.iter().any(|left| left.contains("does not allow")), "{what}: {left:?}");
        }
        let (mut desk, broker) = self::desk();
        let (edge, event) = (of("agent"), named(0));
        let record = Record { edge, connection: 5, instance: 0, call: 1, event };
        // Until it is ended for it.
        while say_record(&record, broker.as_fd()).is_ok() {}
        assert!(desk.close().iter().any(|left| left.contains("more calls than there may be")));
    }

    #[test]
    fn what_is_no_message_ends_the_broker_and_its_own_end_ends_nothing_else() {
        let (mut desk, broker) = desk();
        rustix::io::write(&broker, b"thread 'main' panicked").unwrap();
        assert!(is_cut(&broker));
        assert_eq!(desk.close().len(), 1);
        let (mut desk, broker) = self::desk();
        // What is not there need not be stopped or closed.
        Wish::Stop(9).say(broker.as_fd()).unwrap();
        Wish::Closed(9).say(broker.as_fd()).unwrap();
        drop(broker);
        assert_eq!(desk.close(), [""; 0]);
    }
}
