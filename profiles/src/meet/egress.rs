//! The way out: what two profiles both let out. Each counts it.

use crate::graph::patterns::covers;
use crate::quantity::Amount;
use crate::schema::{Egress, EgressDeadlines, EgressLimits, Network};
use sandboxd_broker_plan::{Bound, Pattern, Rate};
use sandboxd_egress_plan::{
    Carries, Deadlines, HOST_INTERNAL, Limits, Network as Addresses, Requests, Rule, Target,
    address,
};
use std::net::IpAddr;

/// Connections that are open at the same time, where a profile is silent.
const CONNECTIONS: Bound = Bound::AtMost(256);
/// How often one is opened, where a profile is silent: no client that works opens more.
const RATE: Rate =
    Rate::Per { count: 6000, period: sandboxd_broker_plan::Millis(60_000), burst: 600 };
/// Milliseconds that a connection may carry nothing, where an entry is silent.
const IDLE: Bound = Bound::AtMost(3_600_000);

/// What is let out, and who counts it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct WayOut {
    pub(crate) rules: Vec<Rule>,
    pub(crate) accounts: Vec<Limits>,
}

impl WayOut {
    /// What one profile lets out: the first account bears all of it, and an entry with limits of its own
    /// has one.
    pub(crate) fn of(network: &Network) -> Self {
        let mut way = Self { rules: Vec::new(), accounts: vec![all(&network.limits)] };
        for entry in &network.egress {
            let entry = &entry.value;
            let mut accounts = vec![0];
            if entry.limits != EgressLimits::default() {
                accounts.push(crate::resolve::count(way.accounts.len()));
                way.accounts.push(limits(&entry.limits, Bound::Unlimited, Rate::Unlimited));
            }
            let mut rule = rule(entry, accounts);
            rule.deadlines =
                sooner(rule.deadlines, deadlines(&network.deadlines, Bound::Unlimited));
            way.rules.push(rule);
        }
        way
    }

    /// The rules that let out something that the other does not.
    pub(crate) fn beyond<'r>(&'r self, other: &'r Self) -> impl Iterator<Item = &'r Rule> {
        self.rules.iter().filter(|rule| other.covering(rule).next().is_none())
    }

    /// Those that let out all that this one of another does.
    pub(crate) fn covering<'r>(&'r self, narrow: &Rule) -> impl Iterator<Item = &'r Rule> {
        self.rules.iter().filter(move |wide| covers_all(wide, narrow))
    }

    /// What bears all that one profile lets out.
    pub(crate) fn all(&self) -> Option<&Limits> {
        self.accounts.first()
    }

    /// What bears one rule of one profile alone.
    pub(crate) fn own(&self, rule: &Rule) -> Limits {
        let place = rule.accounts.get(1).and_then(|place| usize::try_from(*place).ok());
        let own = place.and_then(|place| self.accounts.get(place)).copied();
        own.unwrap_or_else(|| limits(&EgressLimits::default(), Bound::Unlimited, Rate::Unlimited))
    }

    /// Whether there is somebody whom both rules lead to.
    pub(crate) fn share_somebody(one: &Rule, other: &Rule) -> bool {
        target(&one.target, &other.target).is_some()
    }

    /// What both let out.
    pub(crate) fn meet(&self, over: &Self) -> Self {
        let first = crate::resolve::count(self.accounts.len());
        let mut rules: Vec<Rule> = Vec::new();
        for one in &self.rules {
            for other in &over.rules {
                let shifted = other.accounts.iter().map(|place| place.saturating_add(first));
                let found = both(one, other, shifted);
                rules.extend(found.filter(|found| !rules.contains(found)));
            }
        }
        Self { rules, accounts: [self.accounts.clone(), over.accounts.clone()].concat() }
    }
}

fn all(written: &EgressLimits) -> Limits {
    limits(written, CONNECTIONS, RATE)
}

fn limits(written: &EgressLimits, connections: Bound, rate: Rate) -> Limits {
    let amount = |amount: &Option<crate::Written<Amount>>, silent| {
        amount.as_ref().map_or(silent, |amount| bound(amount.value))
    };
    Limits {
        connections: amount(&written.connections, connections),
        rate: written.rate.as_ref().map_or(rate, |rate| rate.value),
        up: amount(&written.up, Bound::Unlimited),
        down: amount(&written.down, Bound::Unlimited),
    }
}

const fn bound(amount: Amount) -> Bound {
    match amount {
        Amount::Limited(limit) => Bound::AtMost(limit),
        Amount::Unlimited => Bound::Unlimited,
    }
}

fn rule(entry: &Egress, accounts: Vec<u32>) -> Rule {
    Rule {
        written: entry.text.clone(),
        target: entry.place.target.clone(),
        port: entry.place.port,
        carries: entry.place.carries.clone(),
        within: entry.within.clone(),
        own: exact(entry),
        accounts,
        deadlines: deadlines(&entry.deadlines, IDLE),
        model: entry.model,
    }
}

fn deadlines(written: &EgressDeadlines, idle: Bound) -> Deadlines {
    let time = |time: &Option<crate::Written<Amount>>, silent| {
        time.as_ref().map_or(silent, |time| bound(time.value))
    };
    Deadlines { idle: time(&written.idle, idle), total: time(&written.total, Bound::Unlimited) }
}

/// The addresses that an entry writes exactly: those may be the host's own.
fn exact(entry: &Egress) -> Vec<IpAddr> {
    let target = match entry.place.target {
        Target::Network(network) => Some(network),
        Target::Name(_) | Target::Below(_) | Target::Host => None,
    };
    let networks = target.iter().chain(&entry.within);
    let one = |network: &&Addresses| **network == Addresses::one(network.first());
    networks.filter(one).map(|network| network.first()).collect()
}

fn both(one: &Rule, other: &Rule, accounts: impl Iterator<Item = u32>) -> Option<Rule> {
    if one.port != other.port {
        return None;
    }
    let written = if one.written == other.written {
        one.written.clone()
    } else {
        format!("{} under {}", other.written, one.written)
    };
    Some(Rule {
        written,
        target: target(&one.target, &other.target)?.clone(),
        port: one.port,
        carries: carries(&one.carries, &other.carries)?,
        within: within(&one.within, &other.within),
        own: one.own.iter().copied().filter(|own| other.own.contains(own)).collect(),
        accounts: one.accounts.iter().copied().chain(accounts).collect(),
        deadlines: sooner(one.deadlines, other.deadlines),
        // What one of them counts is counted: with it, only what is seen is let out.
        model: one.model || other.model,
    })
}

/// Whether what the narrow one lets out the wide one lets out too, and no more of it uncounted.
fn covers_all(wide: &Rule, narrow: &Rule) -> bool {
    let lies = |one: &Addresses| wide.within.iter().any(|other| address::covers(*other, *one));
    both(wide, narrow, std::iter::empty()).is_some_and(|both| {
        (&both.target, &both.carries, both.model) == (&narrow.target, &narrow.carries, narrow.model)
            && narrow.within.iter().all(lies)
            && narrow.own.iter().all(|own| both.own.contains(own))
    })
}

fn sooner(one: Deadlines, other: Deadlines) -> Deadlines {
    Deadlines { idle: smaller(one.idle, other.idle), total: smaller(one.total, other.total) }
}

fn smaller(one: Bound, other: Bound) -> Bound {
    match (one, other) {
        (Bound::AtMost(one), Bound::AtMost(other)) => Bound::AtMost(one.min(other)),
        (Bound::Unlimited, bound) | (bound, Bound::Unlimited) => bound,
    }
}

/// Of two targets one lies in the other, or they share nobody.
fn target<'t>(one: &'t Target, other: &'t Target) -> Option<&'t Target> {
    if holds(one, other) {
        Some(other)
    } else if holds(other, one) {
        Some(one)
    } else {
        None
    }
}

fn holds(wide: &Target, narrow: &Target) -> bool {
    match (wide, narrow) {
        (Target::Below(above), Target::Name(name)) => {
            name.is_below(above) && name.as_str() != HOST_INTERNAL
        }
        (Target::Below(above), Target::Below(below)) => below == above || below.is_below(above),
        (Target::Network(wide), Target::Network(narrow)) => address::covers(*wide, *narrow),
        (Target::Name(_), Target::Name(_)) | (Target::Host, Target::Host) => wide == narrow,
        (Target::Name(_) | Target::Below(_) | Target::Network(_) | Target::Host, _) => false,
    }
}

fn carries(one: &Carries, other: &Carries) -> Option<Carries> {
    match (one, other) {
        (Carries::Tcp, both) | (both, Carries::Tcp) => Some(both.clone()),
        // Requests that are seen are some of what is said in TLS.
        (Carries::Tls, both @ (Carries::Tls | Carries::Https(_)))
        | (both @ Carries::Https(_), Carries::Tls) => Some(both.clone()),
        (Carries::Https(one), Carries::Https(other)) => requests(one, other).map(Carries::Https),
        (Carries::Http(one), Carries::Http(other)) => requests(one, other).map(Carries::Http),
        (Carries::Tls | Carries::Https(_), Carries::Http(_))
        | (Carries::Http(_), Carries::Tls | Carries::Https(_)) => None,
    }
}

fn requests(one: &Requests, other: &Requests) -> Option<Requests> {
    match (one, other) {
        (Requests::All, both) | (both, Requests::All) => Some(both.clone()),
        (
            Requests::Only { method, path },
            Requests::Only { method: other_method, path: other_path },
        ) => {
            let path = narrower(path, other_path).filter(|_| method == other_method)?;
            Some(Requests::Only { method: method.clone(), path: path.clone() })
        }
    }
}

fn narrower<'p>(one: &'p Pattern, other: &'p Pattern) -> Option<&'p Pattern> {
    if covers(one, other) {
        Some(other)
    } else if covers(other, one) {
        Some(one)
    } else {
        None
    }
}

/// Networks of both.
fn within(one: &[Addresses], other: &[Addresses]) -> Vec<Addresses> {
    let mut both = Vec::new();
    for one in one {
        for other in other {
            if address::covers(*one, *other) {
                both.push(*other);
            } else if address::covers(*other, *one) {
                both.push(*one);
            }
        }
    }
    both
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::{Origin, Written};
    use proptest::prelude::*;

    /// What somebody tries.
    #[derive(Debug, Clone, Copy)]
    struct Try {
        whom: &'static str,
        /// Where that leads, and whether it is one of the host's own.
        address: (IpAddr, bool),
        port: u16,
        says: &'static str,
    }

    const PLACES: [&str; 23] = [
        "a.x.example:443",
        "x.example:443",
        "*.x.example:443",
        "*.example:443",
        "tcp://*.example:443",
        "tcp://a.x.example:443",
        "http://a.x.example:443",
        "http://*.example:443",
        "GET http://a.x.example:443/v1/*",
        "GET http://*.example:443/*",
        "GET http://a.x.example:443/v1/y",
        "POST http://a.x.example:443/*",
        "tcp://10.0.0.0/8:443",
        "10.1.0.0/16:443",
        "tcp://0.0.0.0/0:443",
        "8.8.8.0/24:443",
        "8.8.8.8:443",
        "169.254.169.254:443",
        "a.x.example:443 10.0.0.0/8",
        "tcp://*.example:443 10.1.2.3/32 8.8.8.8/32",
        "tcp://*.x.example:443 0.0.0.0/0",
        "tcp://a.x.example:80",
        "host.internal:443",
    ];
    const WHOM: [(&str, &str); 12] = [
        ("a.x.example", "1.1.1.1"),
        ("a.x.example", "8.8.8.8"),
        ("a.x.example", "10.1.2.3"),
        ("a.x.example", "10.1.2.4"),
        ("x.example", "1.1.1.1"),
        ("b.example", "10.1.2.3"),
        ("10.1.2.3", "10.1.2.3"),
        ("10.2.2.3", "10.2.2.3"),
        ("8.8.8.8", "8.8.8.8"),
        ("8.8.8.9", "8.8.8.9"),
        ("169.254.169.254", "169.254.169.254"),
        ("host.internal", "127.0.0.1"),
    ];
    const SAYS: [&str; 7] =
        ["bytes", "tls", "GET /v1/y", "GET /v1/z", "POST /v1/y", "tls GET /v1/y", "tls POST /v1/y"];

    /// What is after a place is what it lies within.
    fn entry(text: &str) -> Egress {
        // A method comes before its place, and a network after.
        let (place, within) = match text.rsplit_once("443 ") {
            Some((place, within)) => (format!("{place}443"), within),
            None => (text.to_owned(), ""),
        };
        let within = within.split_whitespace().map(|text| text.try_into().unwrap()).collect();
        Egress { within, ..Egress::read(&place).unwrap() }
    }

    fn network(texts: &[&str]) -> Network {
        let entry =
            |text: &&str| Written { value: entry(text), origin: Origin::named("test", "egress") };
        Network { egress: texts.iter().map(entry).collect(), ..Network::default() }
    }

    /// Written without a look at the meet: what the words of a rule mean, and what the egress process asks
    /// of each address.
    fn lets(rule: &Rule, tried: Try) -> bool {
        let (address, is_own) = tried.address;
        let whom = match &rule.target {
            Target::Name(name) => tried.whom == name.as_str(),
            Target::Below(above) => {
                tried.whom.ends_with(&format!(".{above}")) && tried.whom != HOST_INTERNAL
            }
            Target::Network(network) => {
                tried.whom.parse().is_ok_and(|whom: IpAddr| network.has(whom))
            }
            Target::Host => tried.whom == HOST_INTERNAL,
        };
        let requested = |requests: &Requests, said: &str| match requests {
            Requests::All => said.contains('/'),
            Requests::Only { method, path } => said
                .split_once(' ')
                .is_some_and(|(said, asked)| said == method.as_str() && path.matches(asked)),
        };
        let in_tls = tried.says.strip_prefix("tls ");
        let said = match &rule.carries {
            Carries::Tcp => true,
            Carries::Tls => tried.says.starts_with("tls"),
            Carries::Https(requests) => in_tls.is_some_and(|said| requested(requests, said)),
            Carries::Http(requests) => in_tls.is_none() && requested(requests, tried.says),
        };
        let led = address::allows(rule, address) && (address::means(rule, address) || !is_own);
        whom && led && said && rule.port == tried.port
    }

    proptest! {
        #[test]
        fn the_meet_lets_out_what_both_let_out(
            one in proptest::sample::subsequence(&PLACES[..], 0..6),
            other in proptest::sample::subsequence(&PLACES[..], 0..6),
            third in proptest::sample::subsequence(&PLACES[..], 0..6),
        ) {
            let [one, other, third] = [one, other, third].map(|texts| WayOut::of(&network(&texts)));
            let met = one.meet(&other);
            let deeper = met.meet(&third);
            for tried in WHOM.iter().flat_map(|(whom, address)| {
                let address: IpAddr = address.parse().unwrap();
                SAYS.iter().flat_map(move |says| {
                    [(443, false), (80, false), (443, true)].map(|(port, is_own)| {
                        Try { whom, address: (address, is_own), port, says }
                    })
                })
            }) {
                let by = |way: &WayOut| way.rules.iter().any(|rule| lets(rule, tried));
                prop_assert_eq!(by(&met), by(&one) && by(&other), "{:?}", tried);
                prop_assert_eq!(by(&other.meet(&one)), by(&met));
                prop_assert_eq!(by(&deeper), by(&met) && by(&third));
            }
            for rule in &deeper.rules {
                // Each of the three counts it.
                prop_assert_eq!(&rule.accounts, &vec![0, 1, 2]);
            }
            prop_assert_eq!(deeper.accounts.len(), 3);
        }
    }

    #[test]
    fn an_entry_with_limits_has_an_account_of_its_own() {
        let mut network = network(&["a.example:443", "b.example:443"]);
        let origin = Origin::named("test", "egress");
        let up = Some(Written { value: Amount::Limited(10), origin });
        network.egress[1].value.limits.up = up;
        let way = WayOut::of(&network);
        assert_eq!(way.rules[0].accounts, [0]);
        assert_eq!(way.rules[1].accounts, [0, 1]);
        assert_eq!(way.accounts[1].up, Bound::AtMost(10));
        assert_eq!(way.accounts[1].connections, Bound::Unlimited);
        assert_eq!(way.accounts[0].connections, CONNECTIONS);
    }
}
