//! How a plan becomes the bytes of the sealed memfd, and what must fit together in it.

use crate::bytes::{self, Versioned};
use crate::{BrokerPlan, VERSION};
use alloc::{collections::BTreeSet, format};

pub use bytes::{MOST, WireError, encode};

impl Versioned for BrokerPlan {
    const WHO: &'static str = "broker";
    const KNOWN: u32 = VERSION;

    fn version(&self) -> u32 {
        self.version
    }
}

/// The plan in these bytes.
///
/// # Errors
/// Those of [`bytes::decode`]; where the plan names somebody whom it does not have.
pub fn decode(bytes: &[u8]) -> Result<BrokerPlan, WireError> {
    let plan = bytes::decode(bytes)?;
    whole(&plan)?;
    Ok(plan)
}

/// Each name stands for one thing, and each edge joins two that are there.
fn whole(plan: &BrokerPlan) -> Result<(), WireError> {
    let twice = |what: &str, name: &str| Err(WireError(format!("{what} {name} is there twice")));
    let (mut callers, mut callees, mut edges) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for caller in &plan.callers {
        // A record has a bit for each.
        if caller.secrets.len() > 64 {
            return Err(WireError(format!("caller {} has more than 64 secrets", caller.name)));
        }
        if !callers.insert(&caller.name) {
            return twice("caller", caller.name.as_str());
        }
    }
    for callee in &plan.callees {
        if !callees.insert(&callee.name) {
            return twice("callee", callee.name.as_str());
        }
    }
    for edge in &plan.edges {
        if !callers.contains(&edge.caller) {
            return Err(WireError(format!("edge {} has no caller {}", edge.name, edge.caller)));
        }
        if !callees.contains(&edge.callee) {
            return Err(WireError(format!("edge {} has no callee {}", edge.name, edge.callee)));
        }
        if !edges.insert((&edge.caller, &edge.name)) {
            return twice("edge", &format!("{} of {}", edge.name, edge.caller));
        }
        let caller = plan.callers.iter().find(|caller| caller.name == edge.caller);
        let secrets = caller.map_or(0, |caller| caller.secrets.len());
        let there = |place: u32| usize::try_from(place).is_ok_and(|place| place < secrets);
        if edge.placeholders.iter().any(|placeholder| !there(placeholder.secret)) {
            return Err(WireError(format!("edge {} has a placeholder for nothing", edge.name)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Approval, Bound, Breaker, Bytes, Callee, Caller, Durability, Edge, Instances, Instructions,
        Limits, Millis, Name, Pinning, Placeholder, Quarantine, Queue, Rate, Reach, Repeats,
        Speaks,
    };
    use alloc::{string::String, vec};

    const RATE: Rate = Rate::Per { count: 600, period: Millis(60_000), burst: 60 };

    fn reach() -> Reach {
        Reach { tools: vec![], resources: vec![], prompts: vec![], methods: vec![] }
    }

    fn callee() -> Callee {
        Callee {
            name: Name::try_from("fs").unwrap(),
            speaks: Speaks::Mcp,
            serves: reach(),
            instances: Instances::PerCaller,
            rate: RATE,
            in_flight: Bound::AtMost(32),
            breaker: Breaker {
                window: Millis(30_000),
                percent: 50,
                calls: 10,
                consecutive: 5,
                first: Millis(5000),
                longest: Millis(60_000),
            },
            pinning: Pinning::FirstUse(vec![]),
            stray_lines: 100,
            grace: Millis(5000),
        }
    }

    fn edge() -> Edge {
        Edge {
            name: Name::try_from("fs").unwrap(),
            caller: Name::try_from("health").unwrap(),
            callee: Name::try_from("fs").unwrap(),
            reach: reach(),
            arguments: vec![],
            rate: RATE,
            in_flight: Bound::AtMost(8),
            queue: Queue { length: 32, wait: Millis(2000) },
            deadline: Millis(60_000),
            max_request: Bytes(1 << 20),
            max_result: Bytes(1 << 24),
            approval: Approval::Never,
            durability: Durability::Grouped,
            reverse: vec![],
            roots: vec![],
            instructions: Instructions::Dropped,
            repeats: Repeats { most: Bound::AtMost(20), window: Millis(60_000) },
            placeholders: vec![],
        }
    }

    fn name(text: &str) -> Name {
        Name::try_from(text).unwrap()
    }

    fn placeholder() -> Placeholder {
        Placeholder { secret: 0, tools: vec!["read".into()], arguments: vec!["/path".into()] }
    }

    fn plan() -> BrokerPlan {
        BrokerPlan {
            version: VERSION,
            id: "health-1".into(),
            generation: 1,
            limits: Limits {
                rate: RATE,
                in_flight: Bound::AtMost(256),
                hops: 4,
                strikes: 3,
                progress: RATE,
            },
            callers: vec![Caller {
                name: Name::try_from("health").unwrap(),
                rate: RATE,
                lists: RATE,
                connections: 16,
                calls: Bound::Unlimited,
                quarantine: Quarantine {
                    denials: 5,
                    window: Millis(60_000),
                    length: Millis(60_000),
                },
                secrets: vec![],
            }],
            callees: vec![callee()],
            edges: vec![edge()],
        }
    }

    #[test]
    fn what_is_encoded_decodes_to_the_same() {
        assert_eq!(decode(&encode(&plan()).unwrap()).unwrap(), plan());
    }

    #[test]
    fn a_plan_of_another_version_or_shape_is_refused() {
        let text = String::from_utf8(encode(&plan()).unwrap()).unwrap();
        let version = |version: u32| format!("\"version\":{version}");
        let other = text.replacen(&version(VERSION), &version(VERSION + 1), 1);
        let error = decode(other.as_bytes()).unwrap_err();
        assert!(error.0.contains(&format!("version {}", VERSION + 1)), "{error}");
        let more = text.replacen("\"generation\"", "\"new\":1,\"generation\"", 1);
        assert!(decode(more.as_bytes()).is_err());
        let less = text.replacen("\"generation\":1,", "", 1);
        assert!(decode(less.as_bytes()).is_err());
    }

    #[test]
    fn an_edge_joins_two_that_are_there() {
        type Change = fn(&mut BrokerPlan);
        let changes: [(Change, &str); 6] = [
            (|plan| plan.callees.clear(), "no callee fs"),
            (|plan| plan.callers.clear(), "no caller health"),
            (|plan| plan.edges.push(edge()), "is there twice"),
            (|plan| plan.callees.push(callee()), "callee fs is there twice"),
            (|plan| plan.edges[0].placeholders.push(placeholder()), "placeholder for nothing"),
            (|plan| plan.callers[0].secrets = vec![name("s"); 65], "more than 64 secrets"),
        ];
        for (change, says) in changes {
            let mut plan = plan();
            change(&mut plan);
            let bytes = encode(&plan).unwrap();
            assert!(decode(&bytes).unwrap_err().0.contains(says), "{says}");
        }
    }
}
