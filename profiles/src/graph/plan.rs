//! From a graph to what the broker is told: complete, with every default written out.

use super::limits::Limits;
use super::{Edge, Graph, HOPS, Node};
use crate::Problem;
use crate::origin::{Origin, Written};
use crate::quantity::Amount;
use crate::schema::reach;
use crate::schema::{Access, Approval, Budget, Call, Instances, Profile, Reverse, Serve, Speaks};
use sandboxd_broker_plan::{
    self as broker, Bound, Breaker, BrokerPlan, Bytes, Callee, Caller, Durability, Instructions,
    Millis, Name, Pinning, Quarantine, Queue, Rate, Repeats, Root, VERSION,
};

const MINUTE: Millis = Millis(60_000);

/// How often a profile calls that does not say so.
const RATE: Rate = Rate::Per { count: 600, period: MINUTE, burst: 60 };

impl Graph {
    /// What a broker is told that serves this graph. Pure: same graph, same plan.
    ///
    /// # Errors
    /// Where it is more than a broker is told.
    pub fn plan(&self, id: &str) -> Result<BrokerPlan, Vec<Problem>> {
        let calls = |place: usize| self.from(place).next().is_some();
        let callers = self.nodes.iter().enumerate().filter(|(place, _)| calls(*place));
        let callers: Vec<Caller> =
            callers.map(|(_, node)| placing(caller(&node.name, &node.profile), node)).collect();
        let callees = self.nodes.iter().filter(|node| node.profile.serve.is_some());
        let plan = BrokerPlan {
            version: VERSION,
            id: id.to_owned(),
            generation: 1,
            limits: limits(&callers),
            callers,
            callees: callees
                .map(|node| callee(&node.name, &node.profile, node.instances()))
                .collect(),
            edges: self.edges.iter().map(|edge| self.edge_plan(edge)).collect(),
        };
        checked(plan, id)
    }

    fn edge_plan(&self, edge: &Edge) -> broker::Edge {
        let ends = Ends {
            edge: &edge.name,
            caller: &self.node(edge.caller).name,
            callee: &self.node(edge.callee).name,
        };
        let serve = self.node(edge.callee).profile.serve.as_ref();
        let caller = &self.node(edge.caller).profile;
        broker::Edge {
            roots: self.roots(edge),
            placeholders: placeholders(caller, &edge.name),
            ..edge_plan(&ends, &edge.call, serve)
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

/// What the broker of `sandboxd mcp` is told: a client outside, of which nothing is known, calls what
/// this profile serves, and nothing else is there. Pure.
///
/// # Errors
/// Where the profile serves nothing, or more than a broker is told.
pub fn client(profile: &Profile) -> Result<BrokerPlan, Vec<Problem>> {
    const OUTSIDE: &str = "client";
    let origin = Origin::named("this profile", "serve");
    let Some(serve) = profile.serve.as_ref().filter(|serve| !serve.reach.is_empty()) else {
        return Err(vec![origin.problem(
            "it serves nothing, so nothing can be called",
            "list what may be called: [serve] tools = [\"read_file\"], or --tool read_file; \"*\" for all",
        )]);
    };
    let name = |name: &str| {
        Name::try_from(name)
            .map_err(|error| vec![origin.problem(error.to_string(), "name it [a-z0-9-]")])
    };
    let (client, server) = (name(OUTSIDE)?, name(profile.name())?);
    let ends = Ends { edge: &server, caller: &client, callee: &server };
    let callers = vec![caller(&client, profile)];
    let plan = BrokerPlan {
        version: VERSION,
        id: profile.name().to_owned(),
        generation: 1,
        limits: limits(&callers),
        callers,
        callees: vec![callee(&server, profile, &Instances::PerCaller)],
        edges: vec![edge_plan(&ends, &serve.of_client(), Some(serve))],
    };
    checked(plan, profile.name())
}

fn checked(plan: BrokerPlan, id: &str) -> Result<BrokerPlan, Vec<Problem>> {
    match broker::wire::encode(&plan) {
        Ok(_) => Ok(plan),
        Err(error) => {
            let origin = Origin::named(id, "call");
            Err(vec![origin.problem(error.to_string(), "call fewer, or write shorter schemas")])
        }
    }
}

/// Those of a whole run, which is let do ten times what the busiest of its callers is.
fn limits(callers: &[Caller]) -> broker::Limits {
    let rates = || callers.iter().map(|caller| caller.rate);
    let at_once = rates().map(Rate::at_once).max().unwrap_or(RATE.at_once()).saturating_mul(10);
    broker::Limits {
        rate: match rates().max_by_key(|rate| rate.a_day()).unwrap_or(RATE) {
            Rate::Per { count, period, .. } => {
                let count = count.saturating_mul(10);
                Rate::Per {
                    count,
                    period,
                    burst: u32::try_from(at_once).map_or(count, |most| most.min(count)),
                }
            }
            Rate::Unlimited => Rate::Unlimited,
        },
        in_flight: Bound::AtMost(256),
        hops: u32::try_from(HOPS).unwrap_or(0),
        strikes: 3,
        progress: Rate::Per { count: 10, period: Millis(1000), burst: 10 },
    }
}

/// Whose edge, and whose it leads to.
struct Ends<'a> {
    edge: &'a Name,
    caller: &'a Name,
    callee: &'a Name,
}

fn edge_plan(ends: &Ends<'_>, call: &Call, serve: Option<&Serve>) -> broker::Edge {
    let limits = Limits::of(call);
    let says = |word: &Option<Written<bool>>| word.as_ref().is_some_and(|word| word.value);
    let mut asked: Vec<Reverse> = call.reverse.iter().map(|one| one.value).collect();
    asked.sort_unstable();
    asked.dedup();
    let arguments = call.arguments.iter().map(|(tool, schema)| broker::Arguments {
        tool: tool.clone(),
        schema: schema.value.to_string(),
    });
    broker::Edge {
        name: ends.edge.clone(),
        caller: ends.caller.clone(),
        callee: ends.callee.clone(),
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
        approval: approval(call, serve, Millis(limits.approval_within)),
        durability: if says(&call.durable) || serve.is_some_and(|it| says(&it.durable)) {
            Durability::Durable
        } else {
            Durability::Grouped
        },
        reverse: asked
            .into_iter()
            .map(|one| match one {
                Reverse::Elicitation => broker::Reverse::Elicitation,
                Reverse::Sampling => broker::Reverse::Sampling,
            })
            .collect(),
        roots: Vec::new(),
        instructions: if says(&call.instructions) {
            Instructions::Forwarded
        } else {
            Instructions::Dropped
        },
        repeats: Repeats { most: Bound::AtMost(20), window: MINUTE },
        // A client outside has none.
        placeholders: Vec::new(),
    }
}

/// Where secrets of a caller stand in the arguments of its calls over this edge.
fn placeholders(caller: &Profile, edge: &Name) -> Vec<broker::Placeholder> {
    let texts = |list: &[Written<String>]| list.iter().map(|one| one.value.clone()).collect();
    let mut placeholders = Vec::new();
    for (place, (_, secret)) in caller.placed().enumerate() {
        let here = secret.placeholder.iter().filter(|placed| placed.value.call.value == *edge);
        placeholders.extend(here.map(|placed| broker::Placeholder {
            secret: crate::resolve::count(place),
            tools: texts(&placed.value.tools),
            arguments: texts(&placed.value.arguments),
        }));
    }
    placeholders
}

/// Whom the edge asks about, and whom the callee does: both do.
fn approval(call: &Call, serve: Option<&Serve>, expires: Millis) -> broker::Approval {
    let asked = serve.map(|serve| serve.ask.as_slice()).unwrap_or_default();
    match call.approval.as_ref().map_or(Approval::Never, |word| word.value) {
        Approval::Ask => broker::Approval::Ask { expires },
        Approval::Never if asked.is_empty() => broker::Approval::Never,
        Approval::Never => broker::Approval::AskFor { names: patterns(asked), expires },
    }
}

pub(super) fn caller(name: &Name, profile: &Profile) -> Caller {
    let Budget { calls, rate, connections, .. } = &profile.budget;
    let rate = rate.as_ref().map_or(RATE, |rate| rate.value);
    let amount = |written: &Option<Written<Amount>>, default| {
        written.as_ref().map_or(Amount::Limited(default), |written| written.value)
    };
    let connections = amount(connections, 16).limit();
    Caller {
        name: name.clone(),
        rate,
        lists: match rate {
            // Whoever may call at all may ask what there is.
            Rate::Per { count, period, burst } => {
                Rate::Per { count: count.div_ceil(10), period, burst }
            }
            Rate::Unlimited => Rate::Unlimited,
        },
        connections: connections.map_or(u32::MAX, |most| u32::try_from(most).unwrap_or(u32::MAX)),
        calls: bound(amount(calls, 10_000)),
        quarantine: Quarantine { denials: 5, window: MINUTE, length: MINUTE },
        secrets: Vec::new(),
    }
}

/// The same, with its secrets that stand in arguments.
fn placing(caller: Caller, node: &Node) -> Caller {
    let secrets = node.profile.placed().map(|(name, _)| name.clone());
    Caller { secrets: secrets.collect(), ..caller }
}

pub(super) fn callee(name: &Name, profile: &Profile, instances: &Instances) -> Callee {
    let serve = profile.serve.as_ref();
    let rate = serve.and_then(|serve| serve.rate.as_ref());
    let in_flight = serve.and_then(|serve| serve.in_flight.as_ref());
    let speaks = serve.and_then(|serve| serve.speaks.as_ref());
    Callee {
        name: name.clone(),
        speaks: match speaks.map_or(Speaks::Mcp, |speaks| speaks.value) {
            Speaks::Mcp => broker::Speaks::Mcp,
            Speaks::JsonRpc => broker::Speaks::JsonRpc,
        },
        serves: reach_plan(&serve.map(|serve| serve.reach.clone()).unwrap_or_default()),
        instances: match instances {
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
    broker::Reach {
        tools: patterns(&reach.tools),
        resources: patterns(&reach.resources),
        prompts: patterns(&reach.prompts),
        methods: patterns(&reach.methods),
    }
}

fn patterns(list: &[Written<broker::Pattern>]) -> Vec<broker::Pattern> {
    list.iter().map(|one| one.value.clone()).collect()
}

/// `file:` with all but plain letters escaped, RFC 8089.
fn uri(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let letter = |byte: u8| {
        if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    format!("file://{}", path.bytes().map(letter).collect::<String>())
}
