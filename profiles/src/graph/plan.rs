//! From a graph to what the broker is told: complete, with every default written out.

use super::limits::Limits;
use super::{Edge, Graph, HOPS, Node};
use crate::Problem;
use crate::origin::{Origin, Written};
use crate::quantity::Amount;
use crate::schema::reach;
use crate::schema::{Access, Approval, Instances, Reverse, Speaks};
use sandboxd_broker_plan::{
    self as broker, Bound, Breaker, BrokerPlan, Bytes, Callee, Caller, Durability, Instructions,
    Millis, Pinning, Quarantine, Queue, Rate, Repeats, Root, VERSION,
};

const MINUTE: Millis = Millis(60_000);

impl Graph {
    /// What a broker is told that serves this graph. Pure: same graph, same plan.
    ///
    /// # Errors
    /// Where it is more than a broker is told.
    pub fn plan(&self, id: &str) -> Result<BrokerPlan, Vec<Problem>> {
        let calls = |place: usize| self.from(place).next().is_some();
        let callers = self.nodes.iter().enumerate().filter(|(place, _)| calls(*place));
        let callees = self.nodes.iter().filter(|node| node.profile.serve.is_some());
        let plan = BrokerPlan {
            version: VERSION,
            id: id.to_owned(),
            generation: 1,
            limits: broker::Limits {
                rate: Rate::Per { count: 6000, period: MINUTE, burst: 600 },
                in_flight: Bound::AtMost(256),
                hops: u32::try_from(HOPS).unwrap_or(0),
                strikes: 3,
                progress: Rate::Per { count: 10, period: Millis(1000), burst: 10 },
            },
            callers: callers.map(|(_, node)| caller(node)).collect(),
            callees: callees.map(callee).collect(),
            edges: self.edges.iter().map(|edge| self.edge_plan(edge)).collect(),
        };
        match broker::wire::encode(&plan) {
            Ok(_) => Ok(plan),
            Err(error) => {
                let origin = Origin::named(id, "call");
                Err(vec![origin.problem(error.to_string(), "call fewer, or write shorter schemas")])
            }
        }
    }

    fn edge_plan(&self, edge: &Edge) -> broker::Edge {
        let call = &edge.call;
        let limits = Limits::of(call);
        let asks = call.approval.as_ref().is_some_and(|word| word.value == Approval::Ask);
        let says = |word: &Option<Written<bool>>| word.as_ref().is_some_and(|word| word.value);
        let mut asked: Vec<Reverse> = call.reverse.iter().map(|one| one.value).collect();
        asked.sort_unstable();
        asked.dedup();
        let arguments = call.arguments.iter().map(|(tool, schema)| broker::Arguments {
            tool: tool.clone(),
            schema: schema.value.to_string(),
        });
        broker::Edge {
            name: edge.name.clone(),
            caller: self.node(edge.caller).name.clone(),
            callee: self.node(edge.callee).name.clone(),
            reach: reach_plan(&call.reach),
            arguments: arguments.collect(),
            rate: limits.rate,
            in_flight: match limits.in_flight {
                u64::MAX => Bound::Unlimited,
                most => Bound::AtMost(most),
            },
            queue: Queue { length: 32, wait: Millis(2000) },
            deadline: Millis(limits.deadline),
            max_request: Bytes(limits.max_request),
            max_result: Bytes(limits.max_result),
            // As long as clients were measured to wait for an answer.
            approval: if asks {
                broker::Approval::Ask { expires: Millis(210_000) }
            } else {
                broker::Approval::Never
            },
            durability: if says(&call.durable) { Durability::Durable } else { Durability::Grouped },
            reverse: asked
                .into_iter()
                .map(|one| match one {
                    Reverse::Elicitation => broker::Reverse::Elicitation,
                    Reverse::Sampling => broker::Reverse::Sampling,
                })
                .collect(),
            roots: self.roots(edge),
            instructions: if says(&call.instructions) {
                Instructions::Forwarded
            } else {
                Instructions::Dropped
            },
            repeats: Repeats { most: Bound::AtMost(20), window: MINUTE },
        }
    }

    /// The folders of the grant that hold data; none where no grant is written.
    fn roots(&self, edge: &Edge) -> Vec<Root> {
        let folders = &self.node(edge.caller).profile.folders;
        let files = edge.call.grant.iter().flat_map(|grant| &grant.value.files);
        let data = files.filter(|entry| entry.access != Access::Execute);
        let paths = data.filter_map(|entry| entry.path.value.host(folders));
        paths
            .map(|path| Root {
                uri: uri(path.as_str()),
                name: path.as_str().rsplit('/').next().unwrap_or_default().to_owned(),
            })
            .collect()
    }
}

fn caller(node: &Node) -> Caller {
    let calls = node.profile.budget.calls.as_ref();
    Caller {
        name: node.name.clone(),
        rate: Rate::Per { count: 600, period: MINUTE, burst: 60 },
        lists: Rate::Per { count: 60, period: MINUTE, burst: 60 },
        connections: 16,
        calls: bound(calls.map_or(Amount::Limited(10_000), |calls| calls.value)),
        quarantine: Quarantine { denials: 5, window: MINUTE, length: MINUTE },
    }
}

fn callee(node: &Node) -> Callee {
    let serve = node.profile.serve.as_ref();
    let rate = serve.and_then(|serve| serve.rate.as_ref());
    let in_flight = serve.and_then(|serve| serve.in_flight.as_ref());
    let speaks = serve.and_then(|serve| serve.speaks.as_ref());
    Callee {
        name: node.name.clone(),
        speaks: match speaks.map_or(Speaks::Mcp, |speaks| speaks.value) {
            Speaks::Mcp => broker::Speaks::Mcp,
            Speaks::JsonRpc => broker::Speaks::JsonRpc,
        },
        serves: reach_plan(&serve.map(|serve| serve.reach.clone()).unwrap_or_default()),
        instances: match node.instances() {
            Instances::PerCaller => broker::Instances::PerCaller,
            Instances::Serial => broker::Instances::Serial,
            Instances::Attenuate => broker::Instances::Attenuate,
            Instances::Own(reason) => broker::Instances::Own { reason: reason.clone() },
        },
        rate: rate.map_or(Rate::Per { count: 1200, period: MINUTE, burst: 200 }, |rate| rate.value),
        in_flight: bound(in_flight.map_or(Amount::Limited(32), |most| most.value)),
        breaker: Breaker {
            window: Millis(30_000),
            percent: 50,
            calls: 10,
            consecutive: 5,
            first: Millis(5000),
            longest: MINUTE,
        },
        pinning: Pinning::FirstUse(Vec::new()),
        stray_lines: 100,
        grace: Millis(5000),
    }
}

fn bound(amount: Amount) -> Bound {
    amount.limit().map_or(Bound::Unlimited, Bound::AtMost)
}

fn reach_plan(reach: &reach::Reach) -> broker::Reach {
    let list =
        |list: &[Written<broker::Pattern>]| list.iter().map(|one| one.value.clone()).collect();
    broker::Reach {
        tools: list(&reach.tools),
        resources: list(&reach.resources),
        prompts: list(&reach.prompts),
        methods: list(&reach.methods),
    }
}

/// `file:` with all but plain letters escaped, RFC 8089.
fn uri(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let letter = |byte: u8| {
        if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    format!("file://{}", path.bytes().map(letter).collect::<String>())
}
