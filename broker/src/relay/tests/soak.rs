//! N callers × M callees, in every order: no answer is lost, doubled or crossed, nothing is left
//! behind, and what was spent is what was passed on.

use crate::{
    json::{Value, parse, text},
    limit::Moment,
    relay::{ConnectionId, Endpoint, Input, InstanceId, Output, Relay},
};
use proptest::prelude::*;
use sandboxd_broker_plan::record::{Event, Method};
use sandboxd_broker_plan::{Bound, BrokerPlan, Instances, Millis};
use std::collections::{BTreeMap, VecDeque};

use super::world::{callee, caller, edge, name, plan};

/// What happens next; the numbers choose among what there is.
#[derive(Debug, Clone)]
enum Move {
    Call { connection: usize },
    Reply { pick: usize, cut: usize },
    Cancel { connection: usize },
    End { pick: usize },
    Wait { millis: u64 },
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        6 => (0_usize..6).prop_map(|connection| Move::Call { connection }),
        6 => (any::<usize>(), 0_usize..40).prop_map(|(pick, cut)| Move::Reply { pick, cut }),
        1 => (0_usize..6).prop_map(|connection| Move::Cancel { connection }),
        1 => any::<usize>().prop_map(|pick| Move::End { pick }),
        1 => (0_u64..3000).prop_map(|millis| Move::Wait { millis }),
    ];
    proptest::collection::vec(one, 1..200)
}

fn graph(mode: &Instances) -> BrokerPlan {
    let mut plan = plan();
    plan.callers = ["a", "b", "c"].map(caller).into();
    plan.callees = ["x", "y"].map(callee).into();
    for callee in &mut plan.callees {
        callee.instances = mode.clone();
        callee.in_flight = Bound::AtMost(3);
        callee.breaker.consecutive = u32::MAX;
        callee.breaker.calls = u32::MAX;
    }
    plan.edges.clear();
    for from in ["a", "b", "c"] {
        for to in ["x", "y"] {
            let mut edge = edge(from, to);
            edge.deadline = Millis(5000);
            plan.edges.push(edge);
        }
    }
    plan
}

#[derive(Default)]
struct Seen {
    asked: u64,
    /// Requests that wait for an answer, by connection and id.
    open: BTreeMap<(u64, u64), ()>,
    /// What callees have to answer.
    pending: Vec<(InstanceId, String)>,
    instances: Vec<InstanceId>,
    allowed: u64,
    closed: Vec<u64>,
}

struct Soak {
    relay: Relay,
    now: Moment,
    seen: Seen,
}

impl Soak {
    fn step(&mut self, input: Input<'_>) {
        let mut outputs: VecDeque<Output> = self.relay.step(self.now, input).into();
        while let Some(output) = outputs.pop_front() {
            match output {
                Output::Start { instance, .. } => {
                    self.seen.instances.push(instance);
                    outputs.extend(self.relay.step(self.now, Input::Started(instance)));
                }
                Output::ToCallee(instance, line) => self.served(instance, &line, &mut outputs),
                Output::ToCaller(connection, line) => self.heard(connection, &line),
                Output::Stop(instance) => {
                    self.seen.instances.retain(|known| *known != instance);
                    self.seen.pending.retain(|(known, _)| *known != instance);
                }
                Output::Close(connection) => {
                    self.seen.closed.push(connection.0);
                    self.seen.open.retain(|(known, _), ()| *known != connection.0);
                }
                Output::Record(record) => {
                    let call = matches!(&record.event, Event::Allowed(what) if what.method == Method::ToolsCall);
                    self.seen.allowed += u64::from(call);
                }
                Output::Seen(..) | Output::Meant(_) => {}
                Output::Swapped(..)
                | Output::Ask(_)
                | Output::Durable(_)
                | Output::Withdraw(_)
                | Output::Revoked(_) => panic!("not in this plan"),
            }
        }
    }

    fn served(&mut self, instance: InstanceId, line: &[u8], outputs: &mut VecDeque<Output>) {
        let message = parse(line.strip_suffix(b"\n").unwrap()).unwrap();
        let body = message.as_object().unwrap();
        let Some(id) = body.get("id").map(text) else { return };
        if body.str("method") == Some("tools/list") {
            let tools = r#"{"tools":[{"name":"read","inputSchema":{}}]}"#;
            let reply = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{tools}}}\n");
            outputs
                .extend(self.relay.step(self.now, Input::FromCallee(instance, reply.as_bytes())));
            return;
        }
        // The answer carries what was asked, so that a crossed one shows.
        let params = body.get("params").unwrap().as_object().unwrap();
        let echo = text(params.get("arguments").unwrap());
        let reply = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"echo":{echo}}}}}"#) + "\n";
        self.seen.pending.push((instance, reply));
    }

    fn heard(&mut self, connection: ConnectionId, line: &[u8]) {
        let message = parse(line.strip_suffix(b"\n").unwrap()).unwrap();
        let body = message.as_object().unwrap();
        let Some(id) = body.get("id").and_then(Value::as_u64) else { return };
        assert!(self.seen.open.remove(&(connection.0, id)).is_some(), "doubled: {body:?}");
        let echo = body.get("result").and_then(|result| result.as_object()?.get("echo"));
        if let Some(echo) = echo {
            let wanted = format!(r#"{{"from":{},"id":{id}}}"#, connection.0);
            assert_eq!(text(echo), wanted, "crossed");
        }
    }

    fn play(&mut self, step: &Move) {
        match step {
            Move::Call { connection } => {
                let connection = u64::try_from(*connection).unwrap();
                if self.seen.closed.contains(&connection) {
                    return;
                }
                self.seen.asked += 1;
                let id = self.seen.asked;
                self.seen.open.insert((connection, id), ());
                let line = format!(
                    r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"read","arguments":{{"from":{connection},"id":{id}}}}}}}"#
                ) + "\n";
                self.step(Input::FromCaller(ConnectionId(connection), line.as_bytes()));
            }
            Move::Reply { pick, cut } => {
                if self.seen.pending.is_empty() {
                    return;
                }
                let pick = pick % self.seen.pending.len();
                let (instance, reply) = self.seen.pending.remove(pick);
                let (head, tail) = reply.split_at((*cut).min(reply.len()));
                self.step(Input::FromCallee(instance, head.as_bytes()));
                self.step(Input::FromCallee(instance, tail.as_bytes()));
            }
            Move::Cancel { connection } => {
                let connection = u64::try_from(*connection).unwrap();
                let mut open = self.seen.open.keys();
                let Some((_, id)) = open.find(|(known, _)| *known == connection).copied() else {
                    return;
                };
                self.seen.open.remove(&(connection, id));
                let line = format!(
                    r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#
                ) + "\n";
                self.step(Input::FromCaller(ConnectionId(connection), line.as_bytes()));
            }
            Move::End { pick } => {
                if self.seen.instances.is_empty() {
                    return;
                }
                let instance = self.seen.instances.remove(pick % self.seen.instances.len());
                self.seen.pending.retain(|(known, _)| *known != instance);
                self.step(Input::Ended(instance));
            }
            Move::Wait { millis } => {
                self.now = self.now.after(Millis(*millis));
                self.step(Input::Clock);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn no_answer_is_lost_doubled_or_crossed(
        moves in moves(),
        mode in prop_oneof![
            Just(Instances::PerCaller), Just(Instances::Attenuate), Just(Instances::Serial),
        ],
    ) {
        let now = Moment(1_000_000_000_000);
        let relay = Relay::new(graph(&mode), now).unwrap();
        let mut soak = Soak { relay, now, seen: Seen::default() };
        for connection in 0_u64..6 {
            let from = name(["a", "b", "c"][usize::try_from(connection % 3).unwrap()]);
            let to = name(["x", "y"][usize::try_from(connection / 3).unwrap()]);
            soak.step(Input::Opened {
                connection: ConnectionId(connection),
                caller: &from,
                endpoint: Endpoint::Edge(&to),
                behalf: None,
            });
        }
        for step in &moves {
            soak.play(step);
        }
        // Past every deadline, everybody has an answer, and nothing is remembered of any call.
        for _ in 0..4 {
            soak.play(&Move::Wait { millis: 6000 });
        }
        prop_assert!(soak.seen.open.is_empty(), "lost: {:?}", soak.seen.open);
        prop_assert_eq!(soak.relay.wakes_at(), None);
        prop_assert!(soak.relay.calls.is_empty() && soak.relay.in_flight == 0);
        prop_assert!(soak.relay.edges.iter().all(|edge| edge.in_flight == 0 && edge.queued == 0));
        prop_assert!(soak.relay.callees.iter().all(|callee| callee.in_flight == 0));
        let spent: u64 = soak.relay.spent().iter().sum();
        prop_assert!(soak.seen.allowed <= spent);
    }
}
