use super::{Carrier, Owner, Pair, Said, Whose, now};
use crate::{
    approve::Approvals,
    relay::{ConnectionId, Endpoint, Input, InstanceId, Output, Relay},
};
use rustix::event::Timespec;
use rustix::fs::OFlags;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, socketpair};
use sandboxd_broker_plan::record::{Event, Record};
use sandboxd_broker_plan::{Approval, BrokerPlan, Instances, Millis, Name};
use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _, Seek as _, Write as _},
    os::{
        fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
        unix::{fs::OpenOptionsExt as _, net::UnixStream},
    },
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// An owner that starts a thread for each instance that is wanted, and is gone when the connections
/// are closed.
struct Threads {
    wake: OwnedFd,
    waker: OwnedFd,
    says: VecDeque<Said>,
    open: usize,
    instances: Vec<JoinHandle<()>>,
    stopped: usize,
    finished: usize,
    overfull: usize,
    waiting: Vec<usize>,
}

fn pair() -> (OwnedFd, OwnedFd) {
    socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap()
}

impl Threads {
    fn new() -> Self {
        let (wake, waker) = pair();
        Self {
            wake,
            waker,
            says: VecDeque::new(),
            open: 0,
            instances: vec![],
            stopped: 0,
            finished: 0,
            overfull: 0,
            waiting: vec![],
        }
    }

    fn say(&mut self, said: Said) {
        self.says.push_back(said);
        rustix::io::write(&self.waker, b"x").unwrap();
    }

    fn connect(&mut self, number: u64, caller: &str, pair: Pair) {
        self.open += 1;
        let (caller, edge) = (Name::try_from(caller).unwrap(), Name::try_from("fs").unwrap());
        let connection = ConnectionId(number);
        self.say(Said::Opened { connection, caller, edge: Some(edge), behalf: None, pair });
    }
}

impl Owner for Threads {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    fn hear(&mut self) -> io::Result<Option<Said>> {
        let said = self.says.pop_front();
        if said.is_some() {
            rustix::io::read(&self.wake, &mut [0; 1])?;
        }
        Ok(said)
    }

    fn tell(&mut self, output: Output) -> io::Result<()> {
        match output {
            Output::Start { instance, .. } => {
                let (ours, theirs) = pair();
                self.instances.push(thread::spawn(|| serve(theirs)));
                self.say(Said::Started { instance, pair: Pair::One(ours) });
            }
            Output::Stop(_) => self.stopped += 1,
            Output::Close(_) => {
                self.open -= 1;
                if self.open == 0 {
                    self.say(Said::Gone);
                }
            }
            // Nothing is kept here.
            Output::Seen(..) | Output::Meant(_) => {}
            Output::Record(_)
            | Output::ToCaller(..)
            | Output::ToCallee(..)
            | Output::Swapped(..)
            | Output::Durable(_)
            | Output::Ask(_)
            | Output::Withdraw(_)
            | Output::Revoked(_) => panic!("{output:?}"),
        }
        Ok(())
    }

    fn record(&mut self, records: &[Record]) -> io::Result<()> {
        let finished = |record: &&Record| matches!(record.event, Event::Finished { .. });
        self.finished += records.iter().filter(finished).count();
        self.overfull += records.iter().filter(|it| it.event == Event::Overfull).count();
        Ok(())
    }

    fn keep(&mut self, charged: &[(usize, crate::limit::Moment)]) -> io::Result<()> {
        assert!(!charged.is_empty());
        Ok(())
    }

    fn waits(&mut self, calls: usize) -> io::Result<()> {
        self.waiting.push(calls);
        Ok(())
    }

    fn load(&mut self, callee: usize, load: crate::relay::Load) -> io::Result<()> {
        assert_eq!((callee, load.breaker), (0, crate::limit::Position::Closed));
        Ok(())
    }
}

/// A callee: one tool, whose answer is as long as it is asked to be.
fn serve(stream: OwnedFd) {
    let mut stream = UnixStream::from(stream);
    for line in BufReader::new(stream.try_clone().unwrap()).lines() {
        let Ok(line) = line else { return };
        let message: serde_json::Value = serde_json::from_str(&line).unwrap();
        let Some(id) = message.get("id") else { continue };
        let result = match message["method"].as_str().unwrap() {
            "tools/list" => {
                serde_json::json!({"tools": [{"name": "read", "inputSchema": {"type": "object"}}]})
            }
            _ => {
                let bytes = message["params"]["arguments"]["bytes"].as_u64().unwrap_or(1);
                serde_json::json!({"text": "x".repeat(usize::try_from(bytes).unwrap())})
            }
        };
        let reply = serde_json::json!({"jsonrpc": "2.0", "id": id, "result": result});
        if writeln!(stream, "{reply}").is_err() {
            return;
        }
    }
}

fn plan() -> sandboxd_broker_plan::BrokerPlan {
    let mut plan = crate::relay::tests::world::plan();
    plan.callers.push(crate::relay::tests::world::caller("b"));
    plan.edges.push(crate::relay::tests::world::edge("b", "fs"));
    for edge in &mut plan.edges {
        edge.max_result.0 = 8 << 20;
    }
    plan
}

fn carrier() -> Carrier {
    asking(plan(), Approvals::nobody())
}

fn asking(plan: BrokerPlan, approvals: Approvals) -> Carrier {
    Carrier::new(Relay::new(plan, now().unwrap()).unwrap(), approvals).unwrap()
}

fn call(id: usize, bytes: usize) -> String {
    format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"tools/call\",\"params\":{{\"name\":\"read\",\"arguments\":{{\"bytes\":{bytes}}}}}}}\n"
    )
}

#[test]
fn what_is_held_leaves_room_within_what_the_broker_may_take() {
    let profile = include_str!("../../../profiles/builtin/broker.toml");
    assert!(profile.contains("memory = \"256M\""));
    assert_eq!(carrier().most, (256 - 2 * 64 - 32) << 20);
}

#[test]
fn callers_at_once_each_get_their_answers_over_sockets() {
    let mut owner = Threads::new();
    let callers: Vec<_> = (1..=4)
        .map(|number| {
            let (ours, theirs) = pair();
            owner.connect(number, "a", Pair::One(theirs));
            thread::spawn(move || {
                let mut stream = UnixStream::from(ours);
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                for id in 0..200 {
                    let bytes = if id % 50 == 7 { 300_000 } else { id };
                    stream.write_all(call(id, bytes).as_bytes()).unwrap();
                    let line = lines.next().unwrap().unwrap();
                    let reply: serde_json::Value = serde_json::from_str(&line).unwrap();
                    assert_eq!(reply["id"], id, "{line}");
                    assert_eq!(reply["result"]["text"].as_str().map(str::len), Some(bytes));
                }
            })
        })
        .collect();
    carrier().run(&mut owner).unwrap();
    for caller in callers {
        caller.join().unwrap();
    }
    assert_eq!((owner.stopped, owner.instances.len()), (4, 4));
    assert_eq!(owner.finished, 4 * 200);
}

#[test]
fn what_is_piped_in_is_answered_to_its_end() {
    let (input, mut writes) = io::pipe().unwrap();
    let (mut reads, output) = io::pipe().unwrap();
    let mut owner = Threads::new();
    owner.connect(1, "a", Pair::Two { input: input.into(), output: output.into() });
    // Longer than a pipe, and read only at the end.
    for id in 0..4 {
        writes.write_all(call(id, 200_000).as_bytes()).unwrap();
    }
    drop(writes);
    let reader = thread::spawn(move || {
        let mut text = String::new();
        reads.read_to_string(&mut text).unwrap();
        text
    });
    carrier().run(&mut owner).unwrap();
    assert_eq!(reader.join().unwrap().lines().filter(|line| line.len() > 200_000).count(), 4);
}

#[test]
fn who_reads_late_is_waited_for_and_gets_all() {
    let (input, mut writes) = io::pipe().unwrap();
    let (mut reads, output) = io::pipe().unwrap();
    let mut owner = Threads::new();
    owner.connect(1, "a", Pair::Two { input: input.into(), output: output.into() });
    // More than may wait for somebody, so that nothing more is read of what is piped in.
    let piped = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&piped);
    let asks = thread::spawn(move || {
        let asked: String = (0..10).map(|id| call(id, 500_000)).collect();
        for piece in asked.as_bytes().chunks(4096) {
            writes.write_all(piece).unwrap();
            piped.fetch_add(piece.len(), Ordering::Relaxed);
        }
    });
    let reader = thread::spawn(move || {
        let mut before = 0;
        while before == 0 || before != seen.load(Ordering::Relaxed) {
            before = seen.load(Ordering::Relaxed);
            thread::sleep(Duration::from_secs(1));
        }
        let mut text = String::new();
        reads.read_to_string(&mut text).unwrap();
        text
    });
    let (mut carrier, mut held_up) = (carrier(), false);
    while carrier.turn(&mut owner).unwrap() {
        held_up |= carrier.holds_up;
    }
    assert!(held_up && !carrier.holds_up);
    drop(carrier);
    asks.join().unwrap();
    assert_eq!(reader.join().unwrap().lines().filter(|line| line.len() > 500_000).count(), 10);
}

/// epoll(7) takes no file.
#[test]
fn what_a_file_has_is_answered_into_a_file() {
    let file = || {
        let made = rustix::fs::memfd_create("a file", rustix::fs::MemfdFlags::CLOEXEC);
        File::from(made.unwrap())
    };
    let (mut input, mut output) = (file(), file());
    let mut owner = Threads::new();
    for id in 0..4 {
        input.write_all(call(id, 200_000).as_bytes()).unwrap();
    }
    input.rewind().unwrap();
    let pair = Pair::Two { input: input.into(), output: output.try_clone().unwrap().into() };
    owner.connect(1, "a", pair);
    carrier().run(&mut owner).unwrap();
    let mut text = String::new();
    output.rewind().unwrap();
    output.read_to_string(&mut text).unwrap();
    assert_eq!(text.lines().filter(|line| line.len() > 200_000).count(), 4);
}

#[test]
fn nobody_is_woken_for_a_stream_that_was_let_go_of_and_that_others_have_too() {
    let mut owner = Threads::new();
    let (ours, theirs) = pair();
    let others = theirs.try_clone().unwrap();
    owner.connect(1, "a", Pair::One(theirs));
    let (_stays, theirs) = pair();
    owner.connect(2, "b", Pair::One(theirs));
    let mut carrier = carrier();
    while carrier.streams.len() < 2 {
        carrier.turn(&mut owner).unwrap();
    }
    drop(ours);
    while owner.open > 1 {
        carrier.turn(&mut owner).unwrap();
    }
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    let woken = carrier.waits.wait(2, Some(at_once)).unwrap();
    assert!(woken.ready.is_empty(), "{:?}", woken.ready);
    drop(others);
}

#[test]
fn a_caller_that_vanishes_takes_its_instance_with_it() {
    let mut owner = Threads::new();
    let (ours, theirs) = pair();
    owner.connect(1, "a", Pair::One(theirs));
    let mut stream = UnixStream::from(ours);
    stream.write_all(call(1, 1).as_bytes()).unwrap();
    let mut carrier = carrier();
    while owner.finished < 1 {
        carrier.turn(&mut owner).unwrap();
    }
    drop(stream);
    while owner.stopped == 0 {
        carrier.turn(&mut owner).unwrap();
    }
    for instance in owner.instances {
        instance.join().unwrap();
    }
}

#[test]
fn a_caller_that_reads_nothing_holds_up_itself_and_takes_no_memory_without_end() {
    let mut owner = Threads::new();
    let (ours, theirs) = pair();
    owner.connect(1, "a", Pair::One(theirs));
    let (other, theirs) = pair();
    owner.connect(2, "b", Pair::One(theirs));
    // It asks and asks, and never reads.
    let flood = thread::spawn(move || {
        let mut stream = UnixStream::from(ours);
        let asked = (0..200).all(|id| stream.write_all(call(id, 500_000).as_bytes()).is_ok());
        assert!(asked, "so much fits into its socket");
        stream
    });
    let quick = thread::spawn(move || {
        let mut stream = UnixStream::from(other);
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        for id in 0..100 {
            stream.write_all(call(id, 10).as_bytes()).unwrap();
            lines.next().unwrap().unwrap();
        }
    });
    let mut carrier = carrier();
    while owner.open > 1 {
        carrier.turn(&mut owner).unwrap();
        let waits: usize = carrier.streams.values().map(super::Stream::unsent).sum();
        assert!(waits < 8 << 20, "{waits} bytes wait");
    }
    quick.join().unwrap();
    drop(flood.join().unwrap());
}

#[test]
fn however_many_read_nothing_all_together_is_held_within_a_bound_and_the_others_are_answered() {
    for mode in [Instances::PerCaller, Instances::Attenuate] {
        let mut plan = plan();
        plan.callees[0].instances = mode;
        let mut owner = Threads::new();
        let greedy: Vec<UnixStream> = (1..=4)
            .map(|number| {
                let (ours, theirs) = pair();
                owner.connect(number, "a", Pair::One(theirs));
                let mut stream = UnixStream::from(ours);
                (0..4).for_each(|id| stream.write_all(call(id, 1_500_000).as_bytes()).unwrap());
                stream
            })
            .collect();
        let (other, theirs) = pair();
        owner.connect(5, "b", Pair::One(theirs));
        let quick = thread::spawn(move || {
            let mut stream = UnixStream::from(other);
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            for id in 0..100 {
                stream.write_all(call(id, 10_000).as_bytes()).unwrap();
                assert!(lines.next().unwrap().unwrap().contains("xxx"));
            }
        });
        let mut carrier = asking(plan, Approvals::nobody());
        carrier.most = 4 << 20;
        while !quick.is_finished() || owner.overfull == 0 {
            // So that a turn ends though nothing else happens.
            owner.say(Said::Ended(InstanceId(u64::MAX)));
            carrier.turn(&mut owner).unwrap();
            carrier.count();
            assert!(carrier.held <= carrier.most, "{}", carrier.held);
        }
        quick.join().unwrap();
        drop(greedy);
    }
}

#[test]
fn who_holds_most_by_many_connections_is_let_go_of_before_who_holds_most_by_one() {
    let mut owner = Threads::new();
    let mut carrier = carrier();
    let (a, b) = (Name::try_from("a").unwrap(), Name::try_from("b").unwrap());
    let edge = Name::try_from("fs").unwrap();
    let mut theirs = vec![];
    for (number, caller, begun) in [(1, &a, 900), (2, &b, 2000), (3, &a, 1500), (4, &a, 1400)] {
        let (ours, stream) = pair();
        theirs.push(stream);
        let connection = ConnectionId(number);
        carrier.add(Whose::Caller(connection), Pair::One(ours)).unwrap();
        let endpoint = Endpoint::Edge(&edge);
        carrier
            .step(Input::Opened { connection, caller, endpoint, behalf: None }, &mut owner)
            .unwrap();
        carrier.step(Input::FromCaller(connection, &vec![b' '; begun]), &mut owner).unwrap();
    }
    for (most, gone) in [(5000, 3), (4000, 4), (2500, 2)] {
        carrier.most = most;
        carrier.held = usize::MAX;
        carrier.relieve(&mut owner).unwrap();
        let closing = carrier.written.pop();
        assert_eq!((closing, carrier.written.len()), (Some(Whose::Caller(ConnectionId(gone))), 0));
    }
}

#[test]
fn who_writes_much_at_once_is_heard_to_its_end_and_holds_up_nobody() {
    let mut owner = Threads::new();
    let mut ends = [(1, "a"), (2, "b")].map(|(number, caller)| {
        let (ours, theirs) = pair();
        owner.connect(number, caller, Pair::One(theirs));
        UnixStream::from(ours)
    });
    let mut carrier = carrier();
    // As if each line took as long as a caller has.
    carrier.share = 0;
    carrier.turn(&mut owner).unwrap();
    let line = |id| format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"none\"}}\n");
    let many: String = (0..50).map(line).collect();
    ends[0].write_all(many.as_bytes()).unwrap();
    ends[0].shutdown(std::net::Shutdown::Write).unwrap();
    ends[1].write_all(line(7).as_bytes()).unwrap();
    let mut turns = 0;
    while is_empty(&ends[1]) {
        carrier.turn(&mut owner).unwrap();
        turns += 1;
    }
    assert!(turns < 4, "{turns}");
    carrier.count();
    let left = carrier.left.values().map(Vec::len).sum::<usize>();
    assert!(left > 40 * line(10).len() && carrier.held >= left, "{left} of {}", carrier.held);
    // All of it, in its order, and only then that nothing more comes.
    while owner.open > 1 {
        carrier.turn(&mut owner).unwrap();
        turns += 1;
    }
    assert!((50..60).contains(&turns), "{turns}");
    let mut heard = String::new();
    ends[0].read_to_string(&mut heard).unwrap();
    let ids: Vec<i64> = heard
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].as_i64().unwrap()
        })
        .collect();
    assert_eq!(ids, (0..50).collect::<Vec<i64>>());
    assert!(carrier.left.is_empty());
}

/// Says a line to the broker as an approver, and gives what is heard.
fn approve(owner: &mut Threads, line: &str) -> JoinHandle<String> {
    let (ours, theirs) = pair();
    owner.say(Said::Approver { number: 1, stream: theirs });
    let line = format!("{line}\n");
    thread::spawn(move || {
        let mut stream = UnixStream::from(ours);
        stream.write_all(line.as_bytes()).unwrap();
        let mut heard = String::new();
        // What is too long is not read to its end.
        stream.read_to_string(&mut heard).ok();
        heard
    })
}

/// An agent whose call is asked about, and its stream.
fn held(approvals: Approvals) -> (Carrier, Threads, BufReader<UnixStream>) {
    let mut plan = plan();
    plan.edges[0].approval = Approval::Ask { expires: Millis(60_000) };
    let mut owner = Threads::new();
    let (ours, theirs) = pair();
    owner.connect(1, "a", Pair::One(theirs));
    let mut agent = UnixStream::from(ours);
    agent.write_all(call(1, 3).as_bytes()).unwrap();
    (asking(plan, approvals), owner, BufReader::new(agent))
}

/// Carries until this thread has heard what it waits for.
fn until(carrier: &mut Carrier, owner: &mut Threads, heard: JoinHandle<String>) -> String {
    while !heard.is_finished() {
        // So that a turn ends though nothing else happens.
        owner.say(Said::Ended(InstanceId(u64::MAX)));
        carrier.turn(owner).unwrap();
    }
    heard.join().unwrap()
}

fn answer(mut agent: BufReader<UnixStream>) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut line = String::new();
        agent.read_line(&mut line).unwrap();
        line
    })
}

#[test]
fn who_is_gone_is_let_go_of_whatever_it_closed_first_and_whatever_it_waits_for() {
    let (mut carrier, mut owner, agent) = held(Approvals::somebody([7; 32]));
    while owner.waiting != [1] {
        carrier.turn(&mut owner).unwrap();
    }
    agent.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
    carrier.turn(&mut owner).unwrap();
    assert_eq!(owner.open, 1);
    drop(agent);
    // For as long as it is not, it is told of in each turn.
    carrier.turn(&mut owner).unwrap();
    assert_eq!(owner.open, 0);
}

#[test]
fn a_held_call_is_carried_once_an_approver_says_so() {
    let (mut carrier, mut owner, agent) = held(Approvals::somebody([7; 32]));
    while owner.waiting != [1] {
        carrier.turn(&mut owner).unwrap();
    }
    let heard = approve(&mut owner, "list");
    let listed = until(&mut carrier, &mut owner, heard);
    let id = listed.lines().nth(1).unwrap().to_owned();
    assert!(listed.starts_with("yes\n") && listed.contains("\"bytes\": 3"), "{listed}");
    let heard = approve(&mut owner, &format!("approve {id}"));
    let approved = until(&mut carrier, &mut owner, heard);
    assert!(approved.contains("\"bytes\": 3"), "{approved}");
    assert!(until(&mut carrier, &mut owner, answer(agent)).contains("xxx"));
    assert_eq!(owner.waiting, [1, 0]);
    for line in [format!("approve {id}"), format!("deny {id}"), String::new()] {
        let heard = approve(&mut owner, &line);
        assert!(until(&mut carrier, &mut owner, heard).starts_with("no\n"), "{line}");
    }
    let heard = approve(&mut owner, &"x".repeat(1 << 16));
    assert_eq!(until(&mut carrier, &mut owner, heard), "");
}

#[test]
fn where_nobody_can_be_asked_a_call_is_denied_at_once() {
    let (mut carrier, mut owner, agent) = held(Approvals::nobody());
    let answer = until(&mut carrier, &mut owner, answer(agent));
    assert!(answer.contains("nobody can be asked") && answer.contains("isError"), "{answer}");
    assert!(owner.waiting.is_empty());
}

/// An owner that sees whether anything goes on before it is told. It has the other ends of all streams.
struct Watcher {
    threads: Threads,
    caller: UnixStream,
    callee: Option<UnixStream>,
    /// What was told at a time.
    told: Vec<Vec<Event>>,
}

/// Whether there is nothing to read.
fn is_empty(stream: &UnixStream) -> bool {
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    rustix::net::recv(stream, &mut [0_u8; 1], flags).is_err()
}

impl Owner for Watcher {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.threads.descriptor()
    }

    fn hear(&mut self) -> io::Result<Option<Said>> {
        self.threads.hear()
    }

    fn tell(&mut self, output: Output) -> io::Result<()> {
        if let Output::Start { instance, .. } = output {
            let (ours, theirs) = pair();
            rustix::io::ioctl_fionbio(&ours, true)?;
            self.callee = Some(theirs.into());
            self.threads.say(Said::Started { instance, pair: Pair::One(ours) });
        }
        Ok(())
    }

    fn record(&mut self, records: &[Record]) -> io::Result<()> {
        let calls = records.iter().filter(|record| record.call > 0);
        let told: Vec<Event> = calls.map(|record| record.event).collect();
        for event in &told {
            if let Event::Allowed(_) = event {
                assert!(self.callee.as_ref().is_some_and(is_empty));
            } else if let Event::Finished { .. } = event {
                assert!(is_empty(&self.caller));
            }
        }
        self.told.push(told);
        Ok(())
    }

    fn keep(&mut self, charged: &[(usize, crate::limit::Moment)]) -> io::Result<()> {
        self.threads.keep(charged)
    }

    fn waits(&mut self, calls: usize) -> io::Result<()> {
        self.threads.waits(calls)
    }

    fn load(&mut self, callee: usize, load: crate::relay::Load) -> io::Result<()> {
        self.threads.load(callee, load)
    }
}

#[test]
fn nothing_goes_on_before_it_is_told_and_what_happens_together_is_told_together() {
    let (caller, theirs) = pair();
    rustix::io::ioctl_fionbio(&theirs, true).unwrap();
    let mut owner =
        Watcher { threads: Threads::new(), caller: caller.into(), callee: None, told: vec![] };
    owner.threads.connect(1, "a", Pair::One(theirs));
    let calls: String = (0..4).map(|id| call(id, 3)).collect();
    owner.caller.write_all(calls.as_bytes()).unwrap();
    let mut carrier = carrier();
    // Asked for its tools, the callee is asked for nothing else until they are known.
    while owner.callee.as_ref().is_none_or(is_empty) {
        carrier.turn(&mut owner).unwrap();
    }
    let lines = |owner: &Watcher, count: usize| {
        let mut lines = BufReader::new(owner.callee.as_ref().unwrap()).lines();
        let lines = (0..count).map(|_| lines.next().unwrap().unwrap());
        lines.map(|line| serde_json::from_str(&line).unwrap()).collect::<Vec<serde_json::Value>>()
    };
    let answer = |id: &serde_json::Value, result: &str| {
        format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}\n")
    };
    let asked = lines(&owner, 1);
    let tools = answer(&asked[0]["id"], r#"{"tools":[{"name":"read","inputSchema":{}}]}"#);
    owner.callee.as_mut().unwrap().write_all(tools.as_bytes()).unwrap();
    carrier.turn(&mut owner).unwrap();
    let asked = lines(&owner, 4);
    let answers: String = asked.iter().map(|line| answer(&line["id"], "{}")).collect();
    owner.callee.as_mut().unwrap().write_all(answers.as_bytes()).unwrap();
    carrier.turn(&mut owner).unwrap();
    let answered = BufReader::new(&owner.caller).lines().take(4);
    assert_eq!(answered.filter(|line| line.as_ref().unwrap().contains("result")).count(), 4);
    let of = |told: &[Event], kind: fn(&Event) -> bool| told.iter().filter(|it| kind(it)).count();
    let counts = owner.told.iter().map(|told| {
        let allowed = of(told, |it| matches!(it, Event::Allowed(_)));
        (allowed, of(told, |it| matches!(it, Event::Finished { .. })))
    });
    let counts: Vec<_> = counts.filter(|counts| *counts != (0, 0)).collect();
    assert_eq!(counts, [(4, 0), (0, 4)]);
}

/// An owner that is told by this, and gives away the ends of instances that are wanted.
struct Hears<F> {
    threads: Threads,
    callees: mpsc::Sender<UnixStream>,
    told: F,
}

impl<F: FnMut(&[Record])> Owner for Hears<F> {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.threads.descriptor()
    }

    fn hear(&mut self) -> io::Result<Option<Said>> {
        self.threads.hear()
    }

    fn tell(&mut self, output: Output) -> io::Result<()> {
        let Output::Start { instance, .. } = output else { return self.threads.tell(output) };
        let (ours, theirs) = pair();
        rustix::io::ioctl_fionbio(&ours, true)?;
        self.callees.send(theirs.into()).unwrap();
        self.threads.say(Said::Started { instance, pair: Pair::One(ours) });
        Ok(())
    }

    fn record(&mut self, records: &[Record]) -> io::Result<()> {
        (self.told)(records);
        Ok(())
    }

    fn keep(&mut self, charged: &[(usize, crate::limit::Moment)]) -> io::Result<()> {
        self.threads.keep(charged)
    }

    fn waits(&mut self, calls: usize) -> io::Result<()> {
        self.threads.waits(calls)
    }

    fn load(&mut self, callee: usize, load: crate::relay::Load) -> io::Result<()> {
        self.threads.load(callee, load)
    }
}

/// One line, and nothing after it.
fn line(mut stream: &UnixStream) -> serde_json::Value {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while byte != *b"\n" {
        stream.read_exact(&mut byte).unwrap();
        line.push(byte[0]);
    }
    serde_json::from_slice(&line).unwrap()
}

/// Answers a request with this.
fn result(mut stream: &UnixStream, asked: &serde_json::Value, result: &str) {
    let id = &asked["id"];
    writeln!(stream, "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}").unwrap();
}

const TOOLS: &str = r#"{"tools":[{"name":"read","inputSchema":{}}]}"#;

#[test]
fn where_nobody_reads_what_is_told_nothing_goes_on_until_there_is_room() {
    let (mut reads, writes) = io::pipe().unwrap();
    let (caller, theirs) = pair();
    rustix::io::ioctl_fionbio(&theirs, true).unwrap();
    let (to, callees) = mpsc::channel();
    // Another description of the same pipe, which does not wait: that of the broker does.
    let name = format!("/proc/self/fd/{}", writes.as_raw_fd());
    let mut fills =
        File::options().write(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(name);
    let fills = fills.as_mut().unwrap();
    let mut broker_writes = writes;
    let told = move |records: &[Record]| {
        records.iter().for_each(|it| broker_writes.write_all(&it.encode()).unwrap());
    };
    let mut owner = Hears { threads: Threads::new(), callees: to, told };
    owner.threads.connect(1, "a", Pair::One(theirs));
    let broker = thread::spawn(move || carrier().run(&mut owner).unwrap());
    let mut caller = UnixStream::from(caller);
    caller.write_all(call(0, 3).as_bytes()).unwrap();
    let callee = callees.recv().unwrap();
    result(&callee, &line(&callee), TOOLS);
    result(&callee, &line(&callee), "{}");
    assert_eq!(line(&caller)["id"], 0);
    let mut fill = || {
        let mut filled = 0;
        while let Ok(more) = fills.write(&[0; 4096]) {
            filled += more;
        }
        assert!(filled > 4096);
        vec![0; filled]
    };
    let is_still_empty = |stream: &UnixStream| {
        thread::sleep(Duration::from_millis(300));
        is_empty(stream)
    };
    let mut filled = fill();
    let calls: String = (1..4).map(|id| call(id, 3)).collect();
    caller.write_all(calls.as_bytes()).unwrap();
    assert!(is_still_empty(&callee), "calls went on before they were told");
    reads.read_exact(&mut filled).unwrap();
    let asked: Vec<serde_json::Value> = (1..4).map(|_| line(&callee)).collect();
    let mut filled = fill();
    asked.iter().for_each(|asked| result(&callee, asked, "{}"));
    assert!(is_still_empty(&caller), "answers went on before they were told");
    reads.read_exact(&mut filled).unwrap();
    for id in 1..4 {
        assert_eq!(line(&caller)["id"], id);
    }
    drop(caller);
    broker.join().unwrap();
}

#[test]
fn what_a_callee_wrote_before_it_closed_is_an_answer_whatever_it_left_unread() {
    let (caller, theirs) = pair();
    let caller = UnixStream::from(caller);
    let (to, callees) = mpsc::channel();
    let mut owner = Hears { threads: Threads::new(), callees: to, told: |_: &[Record]| {} };
    owner.threads.connect(1, "a", Pair::One(theirs));
    let mut carrier = carrier();
    let turns = |carrier: &mut Carrier, owner: &mut Hears<_>, stream: &UnixStream| {
        while is_empty(stream) {
            carrier.turn(owner).unwrap();
        }
    };
    (&caller).write_all(call(1, 3).as_bytes()).unwrap();
    let callee = loop {
        match callees.try_recv() {
            Ok(callee) => break callee,
            Err(_) => assert!(carrier.turn(&mut owner).unwrap()),
        }
    };
    turns(&mut carrier, &mut owner, &callee);
    result(&callee, &line(&callee), TOOLS);
    turns(&mut carrier, &mut owner, &callee);
    let asked = line(&callee);
    (&caller).write_all(call(2, 3).as_bytes()).unwrap();
    turns(&mut carrier, &mut owner, &callee);
    result(&callee, &asked, r#"{"text":"it is"}"#);
    // With the second call in its socket, so that ours breaks with what it wrote still in it.
    drop(callee);
    turns(&mut carrier, &mut owner, &caller);
    let answer = line(&caller);
    assert_eq!(
        (&answer["id"], &answer["result"]["text"]),
        (&1.into(), &"it is".into()),
        "{answer}"
    );
}

#[test]
fn what_waits_from_before_takes_nothing_along_that_was_not_told() {
    let (caller, theirs) = pair();
    rustix::io::ioctl_fionbio(&theirs, true).unwrap();
    let caller = UnixStream::from(caller);
    caller.set_nonblocking(true).unwrap();
    let drained = |caller: &UnixStream| {
        let (mut caller, mut bytes) = (caller, Vec::new());
        caller.read_to_end(&mut bytes).unwrap_err();
        String::from_utf8(bytes).unwrap()
    };
    let (to, callees) = mpsc::channel();
    let ends = caller.try_clone().unwrap();
    let mut seen = 0;
    // What has come until it is told that the second is answered.
    let told = |records: &[Record]| {
        let of_calls = records.iter().filter(|record| record.call > 0);
        if of_calls.filter(|it| matches!(it.event, Event::Finished { .. })).count() > 0 {
            seen += 1;
            if seen == 2 {
                let come = drained(&ends);
                assert!(!come.contains("second"), "an answer went on before it was told");
                assert!(come.contains("yyy"), "nothing waited");
            }
        }
    };
    let mut owner = Hears { threads: Threads::new(), callees: to, told };
    owner.threads.connect(1, "a", Pair::One(theirs));
    let mut carrier = carrier();
    (&caller).write_all((call(1, 3) + &call(2, 3)).as_bytes()).unwrap();
    let turns = |carrier: &mut Carrier, owner: &mut Hears<_>, stream: &UnixStream| {
        while is_empty(stream) {
            carrier.turn(owner).unwrap();
        }
    };
    let callee = loop {
        carrier.turn(&mut owner).unwrap();
        if let Ok(callee) = callees.try_recv() {
            break callee;
        }
    };
    turns(&mut carrier, &mut owner, &callee);
    result(&callee, &line(&callee), TOOLS);
    turns(&mut carrier, &mut owner, &callee);
    let (first, second) = (line(&callee), line(&callee));
    // More than fits into a socket, and less than fits twice.
    let (ours, _theirs) = pair();
    rustix::io::ioctl_fionbio(&ours, true).unwrap();
    let fits = UnixStream::from(ours).write(&[0; 8 << 20]).unwrap();
    let answer = format!("{{\"text\":\"{}\"}}", "y".repeat(fits + fits / 4));
    let writes = callee.try_clone().unwrap();
    let writer = thread::spawn(move || result(&writes, &first, &answer));
    while carrier.streams.values().all(|stream| stream.unsent() == 0) {
        carrier.turn(&mut owner).unwrap();
    }
    writer.join().unwrap();
    result(&callee, &second, "{\"text\":\"second\"}");
    // Now there is room for both.
    assert!(drained(&caller).len() > fits / 2);
    carrier.turn(&mut owner).unwrap();
    drop(owner);
    assert_eq!(seen, 2);
    assert!(drained(&caller).contains("second"));
}
