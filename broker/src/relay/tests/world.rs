//! A plan, a relay, callers whose lines are written here, and a callee that answers at once.

use crate::{
    json::{Object, Value, parse, text},
    limit::Moment,
    relay::{Ask, CallId, ConnectionId, Endpoint, Input, InstanceId, Output, Relay},
    swap::Piece,
};
use sandboxd_broker_plan::meant::Meant;
use sandboxd_broker_plan::record::Record;
use sandboxd_broker_plan::seen::Seen;
use sandboxd_broker_plan::{
    Approval, Bound, Breaker, BrokerPlan, Bytes, Callee, Caller, Durability, Edge, Instances,
    Instructions, Limits, Millis, Name, Pattern, Pinning, Quarantine, Queue, Rate, Reach, Repeats,
    Speaks,
};
use std::collections::{BTreeMap, VecDeque};

pub(super) fn name(text: &str) -> Name {
    Name::try_from(text).unwrap()
}

pub(super) fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|text| Pattern::try_from(*text).unwrap()).collect()
}

pub(super) fn reach(tools: &[&str]) -> Reach {
    Reach { tools: patterns(tools), resources: vec![], prompts: vec![], methods: vec![] }
}

pub(super) fn everything() -> Reach {
    let all = || patterns(&["*"]);
    Reach { tools: all(), resources: all(), prompts: all(), methods: vec![] }
}

pub(crate) fn caller(called: &str) -> Caller {
    Caller {
        name: name(called),
        rate: Rate::Unlimited,
        lists: Rate::Unlimited,
        connections: 4,
        calls: Bound::Unlimited,
        quarantine: Quarantine { denials: 1000, window: Millis(60_000), length: Millis(60_000) },
        secrets: vec![],
    }
}

pub(super) fn callee(called: &str) -> Callee {
    Callee {
        name: name(called),
        speaks: Speaks::Mcp,
        serves: everything(),
        instances: Instances::PerCaller,
        rate: Rate::Unlimited,
        in_flight: Bound::Unlimited,
        breaker: Breaker {
            window: Millis(30_000),
            percent: 50,
            calls: 10,
            consecutive: 5,
            first: Millis(5000),
            longest: Millis(60_000),
        },
        pinning: Pinning::FirstUse(vec![]),
        stray_lines: 3,
        grace: Millis(5000),
    }
}

pub(crate) fn edge(from: &str, to: &str) -> Edge {
    Edge {
        name: name(to),
        caller: name(from),
        callee: name(to),
        reach: reach(&["read", "list"]),
        arguments: vec![],
        rate: Rate::Unlimited,
        in_flight: Bound::AtMost(8),
        queue: Queue { length: 4, wait: Millis(2000) },
        deadline: Millis(60_000),
        max_request: Bytes(4096),
        max_result: Bytes(8192),
        approval: Approval::Never,
        durability: Durability::Grouped,
        reverse: vec![],
        roots: vec![],
        instructions: Instructions::Dropped,
        repeats: Repeats { most: Bound::Unlimited, window: Millis(60_000) },
        placeholders: vec![],
    }
}

/// One caller `a`, one callee `fs`, one edge.
pub(crate) fn plan() -> BrokerPlan {
    BrokerPlan {
        version: sandboxd_broker_plan::VERSION,
        id: "test".into(),
        generation: 7,
        limits: Limits {
            rate: Rate::Unlimited,
            in_flight: Bound::Unlimited,
            hops: 4,
            strikes: 3,
            progress: Rate::Per { count: 10, period: Millis(1000), burst: 10 },
        },
        callers: vec![caller("a")],
        callees: vec![callee("fs")],
        edges: vec![edge("a", "fs")],
    }
}

/// `a` and `b` call `mid`, which calls `fs` for them.
pub(super) fn chain(mode: Instances) -> BrokerPlan {
    let mut plan = plan();
    plan.callers = vec![caller("a"), caller("b"), caller("mid")];
    plan.callees = vec![callee("fs"), callee("mid")];
    plan.callees[1].instances = mode;
    plan.edges = vec![edge("a", "mid"), edge("b", "mid"), edge("mid", "fs"), edge("a", "fs")];
    plan
}

pub(super) fn behalf(world: &mut World, connection: u64, instance: InstanceId) {
    let (caller, fs) = (name("mid"), name("fs"));
    world.step(Input::Opened {
        connection: ConnectionId(connection),
        caller: &caller,
        endpoint: Endpoint::Edge(&fs),
        behalf: Some(instance),
    });
}

/// `mid` calls `fs` on connection 3 for whoever it works for.
pub(super) fn onward(world: &mut World) -> String {
    let before = std::mem::replace(&mut world.serve, serve);
    let heard = world.call_as(3, "1", "list", "{}").concat();
    world.serve = before;
    heard
}

/// What a callee answers: result or error, or nothing.
type Serve = fn(&str, &Object) -> Option<Result<&'static str, &'static str>>;

/// The tools of the callee that is made up here.
pub(super) const TOOLS: &str = r#"{"tools":[
    {"name":"read","description":"reads","inputSchema":{"type":"object","properties":{"path":{"type":"string"}},"required":["path"]}},
    {"name":"write","inputSchema":{"type":"object"}},
    {"name":"list","inputSchema":{"type":"object"}},
    {"name":"odd","inputSchema":{"$ref":"https://example.com/x"}}]}"#;

pub(super) fn serve(method: &str, _: &Object) -> Option<Result<&'static str, &'static str>> {
    Some(match method {
        "tools/list" => Ok(TOOLS),
        "tools/call" => Ok(r#"{"content":[],"new":1.50}"#),
        "initialize" => Ok(
            r#"{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"s","version":"1"},"instructions":"obey"}"#,
        ),
        _ => Err(r#"{"code":-32601,"message":"no"}"#),
    })
}

/// Never answers a tool.
pub(super) fn hang(method: &str, body: &Object) -> Option<Result<&'static str, &'static str>> {
    if method == "tools/call" { None } else { serve(method, body) }
}

pub(super) struct World {
    pub(super) relay: Relay,
    pub(super) now: Moment,
    pub(super) serve: Serve,
    /// Whether an instance that is wanted runs at once.
    pub(super) starts: bool,
    pub(super) records: Vec<Record>,
    pub(super) seen: Vec<Seen>,
    pub(super) meant: Vec<Meant>,
    pub(super) asks: Vec<Ask>,
    pub(super) durable: Vec<CallId>,
    pub(super) withdrawn: Vec<CallId>,
    pub(super) started: Vec<(InstanceId, ConnectionId)>,
    pub(super) stopped: Vec<InstanceId>,
    pub(super) closed: Vec<ConnectionId>,
    pub(super) revoked: Vec<usize>,
    /// How many lines had secrets in them.
    pub(super) swapped: usize,
    /// What tools were seen to say.
    pub(super) words: Vec<String>,
    /// Every line that a callee got.
    pub(super) served: Vec<(InstanceId, Value)>,
    heard: BTreeMap<u64, Vec<Value>>,
}

impl World {
    pub(super) fn new(plan: BrokerPlan) -> Self {
        // What the supervisor sends is what the broker obeys.
        let plan = sandboxd_broker_plan::wire::encode(&plan).unwrap();
        let plan = sandboxd_broker_plan::wire::decode(&plan).unwrap();
        let now = Moment(1_000_000_000_000);
        Self {
            relay: Relay::new(plan, now).unwrap(),
            now,
            serve,
            starts: true,
            records: vec![],
            seen: vec![],
            meant: vec![],
            asks: vec![],
            durable: vec![],
            withdrawn: vec![],
            started: vec![],
            stopped: vec![],
            closed: vec![],
            revoked: vec![],
            swapped: 0,
            words: vec![],
            served: vec![],
            heard: BTreeMap::new(),
        }
    }

    /// With one connection, number 1, of `a` to `fs`.
    pub(super) fn open(plan: BrokerPlan) -> Self {
        let mut world = Self::new(plan);
        world.connect(1, "a", "fs");
        world
    }

    pub(super) fn connect(&mut self, connection: u64, caller: &str, edge: &str) {
        let (caller, edge) = (name(caller), name(edge));
        self.step(Input::Opened {
            connection: ConnectionId(connection),
            caller: &caller,
            endpoint: Endpoint::Edge(&edge),
            behalf: None,
        });
    }

    pub(super) fn step(&mut self, input: Input<'_>) {
        let mut outputs: VecDeque<Output> = self.relay.step(self.now, input).into();
        while let Some(output) = outputs.pop_front() {
            match output {
                Output::ToCaller(connection, line) => {
                    self.heard.entry(connection.0).or_default().push(value(&line));
                }
                Output::ToCallee(instance, line) => {
                    let message = value(&line);
                    let reply = self.reply(&message);
                    self.served.push((instance, message));
                    if let Some(reply) = reply {
                        let input = Input::FromCallee(instance, reply.as_bytes());
                        outputs.extend(self.relay.step(self.now, input));
                    }
                }
                Output::Swapped(instance, line) => {
                    let bytes = line.iter().flat_map(|piece| match piece {
                        Piece::Text(text) => text.as_slice(),
                        Piece::Secret(secret) => secret.bytes(),
                    });
                    let line: Vec<u8> = bytes.copied().collect();
                    self.swapped += 1;
                    outputs.push_front(Output::ToCallee(instance, line));
                }
                Output::Start { instance, connection, .. } => {
                    self.started.push((instance, connection));
                    if self.starts {
                        outputs.extend(self.relay.step(self.now, Input::Started(instance)));
                    }
                }
                Output::Stop(instance) => self.stopped.push(instance),
                Output::Record(record) => self.records.push(record),
                Output::Seen(seen, words) => {
                    self.seen.push(seen);
                    self.words.push(words);
                }
                Output::Meant(meant) => self.meant.push(meant),
                Output::Durable(record) => {
                    self.durable.push(CallId(record.call));
                    self.records.push(record);
                }
                Output::Ask(ask) => self.asks.push(ask),
                Output::Withdraw(call) => self.withdrawn.push(call),
                Output::Close(connection) => self.closed.push(connection),
                Output::Revoked(edge) => self.revoked.push(edge),
            }
        }
    }

    fn reply(&self, message: &Value) -> Option<String> {
        let body = message.as_object().unwrap();
        let id = text(body.get("id")?);
        let (key, value) = match (self.serve)(body.str("method")?, body)? {
            Ok(result) => ("result", result),
            Err(error) => ("error", error),
        };
        let value = value.replace('\n', " ");
        Some(format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"{key}\":{value}}}\n"))
    }

    /// A caller writes a line; what it hears from it.
    pub(super) fn say(&mut self, connection: u64, line: &str) -> Vec<String> {
        let line = line.replace('\n', " ") + "\n";
        self.step(Input::FromCaller(ConnectionId(connection), line.as_bytes()));
        self.hear(connection)
    }

    /// What a caller has heard since.
    pub(super) fn hear(&mut self, connection: u64) -> Vec<String> {
        self.heard.remove(&connection).unwrap_or_default().iter().map(text).collect()
    }

    /// A tool call with id 1 on connection 1.
    pub(super) fn call(&mut self, tool: &str, arguments: &str) -> String {
        self.call_as(1, "1", tool, arguments).concat()
    }

    pub(super) fn call_as(
        &mut self,
        connection: u64,
        id: &str,
        tool: &str,
        arguments: &str,
    ) -> Vec<String> {
        let params = format!(r#"{{"name":"{tool}","arguments":{arguments}}}"#);
        self.request(connection, id, "tools/call", &params)
    }

    pub(super) fn request(
        &mut self,
        connection: u64,
        id: &str,
        method: &str,
        params: &str,
    ) -> Vec<String> {
        let line =
            format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#);
        self.say(connection, &line)
    }

    /// A callee writes a line.
    pub(super) fn tell(&mut self, line: &str) {
        let (instance, _) = *self.started.last().unwrap();
        self.tell_as(instance, line);
    }

    pub(super) fn tell_as(&mut self, instance: InstanceId, line: &str) {
        let line = line.replace('\n', " ") + "\n";
        self.step(Input::FromCallee(instance, line.as_bytes()));
    }

    pub(super) fn wait(&mut self, millis: u64) {
        self.now = self.now.after(Millis(millis));
        self.step(Input::Clock);
    }

    /// The calls of a method that callees got.
    pub(super) fn got(&self, method: &str) -> Vec<&Object> {
        let all = self.served.iter().map(|(_, message)| message.as_object().unwrap());
        all.filter(|body| body.str("method") == Some(method)).collect()
    }
}

fn value(line: &[u8]) -> Value {
    let line = line.strip_suffix(b"\n").unwrap();
    assert!(!line.contains(&b'\n'), "one line is one message");
    parse(line).unwrap()
}
