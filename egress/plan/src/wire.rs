//! How a plan becomes bytes, and what must fit together in it.

use crate::{
    Carries, EgressPlan, HOST_INTERNAL, Inject, Network, Requests, Rule, Signer, Target, VERSION,
    ssh,
};
use alloc::format;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use sandboxd_broker_plan::{
    Pattern,
    bytes::{self, Versioned},
};

pub use sandboxd_broker_plan::bytes::{MOST, WireError, encode};

impl Versioned for EgressPlan {
    const WHO: &'static str = "egress process";
    const KNOWN: u32 = VERSION;

    fn version(&self) -> u32 {
        self.version
    }
}

/// The plan in these bytes.
///
/// # Errors
/// Those of [`bytes::decode`]; where the plan says what does not fit together.
pub fn decode(bytes: &[u8]) -> Result<EgressPlan, WireError> {
    let plan: EgressPlan = bytes::decode(bytes)?;
    plan.rules.iter().try_for_each(|rule| fits(rule).and_then(|()| borne(&plan, rule)))?;
    plan.injects.iter().try_for_each(|inject| injected(&plan, inject))?;
    plan.agent.signers.iter().try_for_each(|signer| signs(&plan, signer))?;
    fakes(&plan)?;
    Ok(plan)
}

fn fits(rule: &Rule) -> Result<(), WireError> {
    let wrong = |what: &str| Err(WireError(format!("rule {:?}: {what}", rule.written)));
    if rule.port == 0 {
        return wrong("there is no port 0");
    }
    if let Some(Requests::Only { path, .. }) = rule.carries.requests()
        && !is_path(path)
    {
        return wrong("a path begins with /, or is *");
    }
    if matches!((&rule.carries, &rule.target), (Carries::Https(_), Target::Network(_))) {
        return wrong("where TLS is ended, a name is what the server's certificate is for");
    }
    if rule.model && rule.carries.requests().is_none() {
        return wrong("what a model API answers is counted where it is seen");
    }
    let networks = rule.within.iter().copied().chain(match &rule.target {
        Target::Network(network) => Some(*network),
        Target::Name(_) | Target::Below(_) | Target::Host => None,
    });
    if networks.clone().any(is_loopback) {
        return wrong("the host's loopback has the name host.internal and no address");
    }
    if !rule.own.iter().all(|own| networks.clone().any(|network| network.has(*own))) {
        return wrong("an address of the host's own is in no network of it");
    }
    match &rule.target {
        Target::Name(name) if name.as_str() == crate::HOST_INTERNAL => {
            wrong("host.internal is the host's loopback and no name")
        }
        Target::Host | Target::Network(_) if !rule.within.is_empty() => {
            wrong("only what has a name lies within a network")
        }
        Target::Name(_) | Target::Below(_) | Target::Network(_) | Target::Host => Ok(()),
    }
}

fn is_path(path: &Pattern) -> bool {
    path.as_str().starts_with('/') || path.as_str() == "*"
}

/// Whether what is put in is there, and goes where nobody but the one that it is for can read it.
fn injected(plan: &EgressPlan, inject: &Inject) -> Result<(), WireError> {
    let Inject { secret, host, port, method, path, spot } = inject;
    let wrong = |what: &str| Err(WireError(format!("secret {secret} for {host}:{port}: {what}")));
    if !usize::try_from(*secret).is_ok_and(|secret| secret < plan.secrets.len()) {
        return wrong("there is none of that number");
    }
    if !path.has(is_path) {
        return wrong("a path begins with /, or is *");
    }
    if let Err(what) = spot.check() {
        return wrong(what);
    }
    let same = |other: &&Inject| {
        let requests = (&other.host, other.port, &other.method, &other.path);
        requests == (host, *port, method, path) && other.spot.is_at(spot)
    };
    if plan.injects.iter().filter(same).count() > 1 {
        return wrong("something else is put there too");
    }
    let leads = |rule: &&Rule| rule.port == *port && rule.target.has_name(host);
    let mut seen = false;
    for rule in plan.rules.iter().filter(leads) {
        match &rule.carries {
            Carries::Https(_) => seen = true,
            // In plain text it goes nowhere but to this host.
            Carries::Http(_) if host.as_str() == HOST_INTERNAL => seen = true,
            Carries::Http(_) => return wrong("a rule has it in plain text"),
            Carries::Tcp => return wrong("a rule has it for what nobody sees"),
            // All of it is ended where another rule has it so.
            Carries::Tls => {}
        }
    }
    if seen { Ok(()) } else { wrong("no rule has requests there that are seen") }
}

/// Whether a key is there, and signs for nobody but hosts that are let out and are known.
fn signs(plan: &EgressPlan, signer: &Signer) -> Result<(), WireError> {
    let Signer { secret, kept: _, logins, texts } = signer;
    let wrong = |what: &str| Err(WireError(format!("ssh key {secret}: {what}")));
    if !usize::try_from(*secret).is_ok_and(|secret| secret < plan.secrets.len()) {
        return wrong("there is none of that number");
    }
    if plan.agent.signers.iter().filter(|other| other.secret == *secret).count() > 1 {
        return wrong("it is there twice");
    }
    if logins.is_empty() && texts.is_empty() {
        return wrong("it signs nothing");
    }
    let users = logins.iter().map(|login| &login.user);
    if !users.chain(texts).all(|name| ssh::is_name(name)) {
        return wrong("a user or namespace has 1 to 64 letters, and no space");
    }
    let has_key = |login: &ssh::Login| !login.keys.is_empty();
    if !logins.iter().all(has_key) {
        return wrong("a host has no key that it is known by");
    }
    let leads = |login: &ssh::Login| {
        let to = |rule: &&Rule| rule.port == login.port && rule.target.has_name(&login.host);
        plan.rules.iter().filter(to).any(|rule| rule.carries == Carries::Tcp)
    };
    if logins.iter().all(leads) { Ok(()) } else { wrong("no rule leads to a host of it") }
}

/// Whether there is an account that bears it.
fn borne(plan: &EgressPlan, rule: &Rule) -> Result<(), WireError> {
    let known = |place: &u32| usize::try_from(*place).is_ok_and(|at| at < plan.accounts.len());
    if rule.accounts.is_empty() || !rule.accounts.iter().all(known) {
        return Err(WireError(format!("rule {:?}: it has no account", rule.written)));
    }
    Ok(())
}

/// Whether all of a network is somebody's own loopback.
fn is_loopback(network: Network) -> bool {
    let four = Network::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8);
    four.is_ok_and(|four| four.contains(network))
        || network == Network::one(IpAddr::V6(Ipv6Addr::LOCALHOST))
}

fn fakes(plan: &EgressPlan) -> Result<(), WireError> {
    let wrong = |what: &str| Err(WireError(format!("fakes: {what}")));
    let four = plan.fakes.ranges.iter().filter(|range| range.first().is_ipv4()).count();
    if four > 1 || plan.fakes.ranges.len() > four + 1 {
        return wrong("not more than one range of each family");
    }
    // The first of a range stands for nothing: it has the look of the network itself.
    if plan.fakes.ranges.iter().any(|range| range.nth(plan.fakes.names).is_none()) {
        return wrong("a range has fewer addresses than there may be names");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Agent, Bound, Breaker, Budget, Deadlines, Fakes, HostKey, HostName, Kept, Known, Limits,
        Login, Millis, Price, Rate, Resolver, Waits,
        inject::{FieldName, Spot, Which},
        rule::Method,
    };
    use alloc::{string::String, vec, vec::Vec};

    fn network(text: &str) -> Network {
        Network::try_from(text).unwrap()
    }

    fn limits() -> Limits {
        Limits {
            connections: Bound::AtMost(64),
            rate: Rate::Per { count: 600, period: Millis(60_000), burst: 60 },
            up: Bound::Unlimited,
            down: Bound::Unlimited,
        }
    }

    fn rule() -> Rule {
        Rule {
            written: "GET http://api.example.com:80/v1/*".into(),
            target: Target::Name(HostName::try_from("api.example.com").unwrap()),
            port: 80,
            carries: Carries::Http(Requests::Only {
                method: Method::try_from(String::from("GET")).unwrap(),
                path: Pattern::try_from("/v1/*").unwrap(),
            }),
            within: vec![network("10.0.0.0/8")],
            own: vec!["10.0.0.5".parse().unwrap()],
            accounts: vec![0, 1],
            deadlines: Deadlines { idle: Bound::AtMost(300_000), total: Bound::Unlimited },
            model: true,
        }
    }

    /// A rule for which TLS is ended.
    fn ended() -> Rule {
        let mut rule = rule();
        (rule.port, rule.carries) = (443, Carries::Https(Requests::All));
        rule.model = false;
        rule
    }

    fn inject(host: &str, port: u16) -> Inject {
        Inject {
            secret: 0,
            host: HostName::try_from(host).unwrap(),
            port,
            method: Which::Any,
            path: Which::Any,
            spot: Spot::Header {
                name: FieldName::try_from(String::from("authorization")).unwrap(),
                before: "Bearer ".into(),
                after: String::new(),
            },
        }
    }

    fn plan() -> EgressPlan {
        EgressPlan {
            version: VERSION,
            id: "health-1".into(),
            ways: crate::Ways::Both,
            rules: vec![rule(), ended()],
            secrets: vec!["model".into()],
            injects: vec![inject("api.example.com", 443)],
            agent: Agent {
                signers: vec![],
                connections: 64,
                rate: limits().rate,
                patience: Millis(1000),
            },
            accounts: vec![limits(), limits()],
            budgets: vec![Budget {
                of: "agent".into(),
                tokens: Bound::AtMost(50_000),
                cost: Bound::AtMost(2_500_000_000),
                bytes: Bound::Unlimited,
                prices: vec![Price {
                    model: Pattern::try_from("small-*").unwrap(),
                    input: 1_000_000_000,
                    cached: 100_000_000,
                    written: 1_250_000_000,
                    output: 4_000_000_000,
                }],
            }],
            waits: Waits { head: Millis(10_000), connect: Millis(10_000) },
            pending: 128,
            breaker: Breaker {
                window: Millis(30_000),
                percent: 50,
                calls: 10,
                consecutive: 5,
                first: Millis(5000),
                longest: Millis(60_000),
            },
            fakes: Fakes {
                ranges: vec![network("198.18.0.0/15"), network("fd73:616e:6462:6f78::/64")],
                names: 4096,
                ttl: 60,
            },
            resolver: Resolver {
                hosts: vec![Known {
                    name: HostName::try_from("db.internal").unwrap(),
                    addresses: vec![IpAddr::V4(Ipv4Addr::new(10, 0, 0, 5))],
                }],
                servers: vec!["127.0.0.53:53".parse().unwrap()],
                wait: Millis(2000),
                rounds: 2,
            },
        }
    }

    #[test]
    fn what_is_encoded_decodes_to_the_same() {
        assert_eq!(decode(&encode(&plan()).unwrap()).unwrap(), plan());
    }

    #[test]
    fn a_secret_goes_only_where_it_can_be_put_in_and_read_by_one() {
        type Change = fn(&mut EgressPlan);
        let with = |change: Change| {
            let mut plan = plan();
            change(&mut plan);
            decode(&encode(&plan).unwrap())
        };
        let changes: [(Change, &str); 11] = [
            (|plan| plan.secrets.clear(), "none of that number"),
            (
                |plan| plan.injects[0].path = Which::Only(Pattern::try_from("v1").unwrap()),
                "begins with /",
            ),
            (|plan| plan.injects.push(inject("api.example.com", 443)), "something else"),
            (|plan| plan.injects.push(inject("api.example.com", 80)), "plain text"),
            (|plan| plan.injects.push(inject("example.com", 443)), "no rule"),
            (|plan| plan.rules[1].carries = Carries::Tls, "no rule"),
            (
                |plan| {
                    plan.rules.push(ended());
                    plan.rules[2].carries = Carries::Tcp;
                },
                "nobody sees",
            ),
            (
                |plan| {
                    plan.rules[1].target = Target::Network(network("192.0.2.0/24"));
                    plan.rules[1].within.clear();
                },
                "a name",
            ),
            (|plan| plan.injects[0].spot = Spot::Basic { user: "a:b".into() }, "a user"),
            (|plan| plan.injects[0].spot = Spot::Query { name: "a=b".into() }, "a parameter"),
            (
                |plan| {
                    let name = FieldName::try_from(String::from("authorization")).unwrap();
                    let (before, after) = ("x\r\n".into(), String::new());
                    plan.injects[0].spot = Spot::Header { name, before, after };
                },
                "a field",
            ),
        ];
        for (change, what) in changes {
            let error = with(change).unwrap_err();
            assert!(error.0.contains(what), "{what}: {error}");
        }
        let fine: [Change; 3] = [
            |plan| {
                plan.rules.push(ended());
                plan.rules[2].carries = Carries::Tls;
            },
            |plan| {
                plan.injects.push(Inject {
                    spot: Spot::Query { name: "key".into() },
                    ..inject("api.example.com", 443)
                })
            },
            |plan| {
                plan.rules.push(Rule {
                    target: Target::Host,
                    within: Vec::new(),
                    own: Vec::new(),
                    ..rule()
                });
                plan.injects.push(inject(HOST_INTERNAL, 80));
            },
        ];
        for change in fine {
            with(change).unwrap();
        }
    }

    #[test]
    fn a_key_signs_for_hosts_that_are_let_out_and_known() {
        type Change = fn(&mut EgressPlan);
        let key = HostKey::read("ssh-rsa AAAAB3NzaC1yc2EAAAADAQAB").unwrap();
        let login = Login {
            user: "git".into(),
            host: HostName::try_from("git.example.com").unwrap(),
            port: 22,
            keys: vec![key],
        };
        let with = |change: Change| {
            let mut plan = plan();
            let mut leads = rule();
            leads.target = Target::Name(login.host.clone());
            (leads.port, leads.carries, leads.model) = (22, Carries::Tcp, false);
            plan.rules.push(leads);
            let (logins, texts) = (vec![login.clone()], vec!["git".into()]);
            plan.agent.signers.push(Signer { secret: 0, kept: Kept::Here, logins, texts });
            change(&mut plan);
            decode(&encode(&plan).unwrap())
        };
        with(|_| {}).unwrap();
        with(|plan| plan.agent.signers[0].logins.clear()).unwrap();
        let changes: [(Change, &str); 8] = [
            (|plan| plan.agent.signers[0].secret = 1, "none of that number"),
            (|plan| plan.agent.signers.push(plan.agent.signers[0].clone()), "twice"),
            (
                |plan| {
                    plan.agent.signers[0] =
                        Signer { secret: 0, kept: Kept::Here, logins: vec![], texts: vec![] }
                },
                "signs nothing",
            ),
            (|plan| plan.agent.signers[0].logins[0].user = "a b".into(), "no space"),
            (|plan| plan.agent.signers[0].texts[0].clear(), "no space"),
            (|plan| plan.agent.signers[0].logins[0].keys.clear(), "no key"),
            (|plan| plan.agent.signers[0].logins[0].port = 2222, "no rule"),
            (|plan| plan.rules[2].carries = Carries::Tls, "no rule"),
        ];
        for (change, what) in changes {
            let error = with(change).unwrap_err();
            assert!(error.0.contains(what), "{what}: {error}");
        }
    }

    #[test]
    fn a_plan_of_another_version_or_shape_is_refused() {
        let text = String::from_utf8(encode(&plan()).unwrap()).unwrap();
        let version = |version: u32| format!("\"version\":{version}");
        let other = text.replacen(&version(VERSION), &version(VERSION + 1), 1);
        let error = decode(other.as_bytes()).unwrap_err();
        assert!(error.0.contains(&format!("version {}", VERSION + 1)), "{error}");
        let more = text.replacen("\"pending\"", "\"new\":1,\"pending\"", 1);
        assert!(decode(more.as_bytes()).is_err());
        let less = text.replacen("\"pending\":128,", "", 1);
        assert!(decode(less.as_bytes()).is_err());
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        type Change = fn(&mut EgressPlan);
        let changes: [(Change, &str); 12] = [
            (|plan| plan.rules[0].own.push("11.0.0.5".parse().unwrap()), "in no network of it"),
            (|plan| plan.rules[0].accounts.clear(), "no account"),
            (|plan| plan.rules[0].accounts.push(2), "no account"),
            (|plan| plan.rules[0].port = 0, "no port 0"),
            (|plan| plan.rules[0].carries = Carries::Tls, "counted where it is seen"),
            (|plan| plan.rules[0].within.push(network("127.0.0.0/16")), "loopback"),
            (|plan| plan.rules[0].target = Target::Network(network("::1/128")), "loopback"),
            (|plan| plan.rules[0].target = Target::Host, "only what has a name"),
            (
                |plan| {
                    let name = HostName::try_from("host.internal").unwrap();
                    plan.rules[0].target = Target::Name(name);
                },
                "no name",
            ),
            (|plan| plan.fakes.ranges.push(network("192.0.2.0/24")), "one range of each family"),
            (|plan| plan.fakes.names = 0x2_0000, "fewer addresses"),
            (
                |plan| {
                    plan.rules[0].carries = Carries::Http(Requests::Only {
                        method: Method::try_from(String::from("GET")).unwrap(),
                        path: Pattern::try_from("v1").unwrap(),
                    });
                },
                "begins with /",
            ),
        ];
        for (change, says) in changes {
            let mut plan = plan();
            change(&mut plan);
            let bytes = encode(&plan).unwrap();
            assert!(decode(&bytes).unwrap_err().0.contains(says), "{says}");
        }
    }
}
