//! May the command connect to a port of a host?

use super::answer::{Answer, Line, allows, refuses};
use crate::resolve::Explained;
use crate::syscalls::{self, Action, evaluate};
use sandboxd_egress_plan::{
    Carries, EgressPlan, HOST_INTERNAL, HostName, Network, PROXY, Requests, Rule, Target, address,
};
use sandboxd_plan::{Layer, Namespace};
use std::net::IpAddr;

const AF_INET: u64 = 2;
const SOCK_STREAM: u64 = 1;
const CONNECT_TCP: u64 = 2;
const EACCES: i32 = 13;
const ENETUNREACH: i32 = 101;
const ECONNRESET: i32 = 104;

pub(super) fn answer(explained: &Explained, host: &str, port: u16) -> Answer {
    let mut answer = Answer::new(format!("connect to {host}:{port}"));
    let plan = &explained.resolved.plan;
    let lines: Vec<Line> = explained.sources.network.iter().map(Line::from).collect();
    let several = explained.sources.layers.len() > 1;
    let whose = |of: &str| if several { format!("{of}: ") } else { String::new() };
    let number = syscalls::number("socket").unwrap_or(0);
    for Layer { of, rules } in &plan.command.syscalls {
        match evaluate(rules, number, [AF_INET, SOCK_STREAM, 0, 0, 0, 0]) {
            Action::Allow => {}
            Action::Errno(errno) => {
                let what = format!("{}there are no internet sockets", whose(of));
                answer.say(refuses("seccomp", what, lines.clone()), Some(errno));
            }
            Action::Kill => {
                let what = format!("{}the process is killed", whose(of));
                answer.say(refuses("seccomp", what, lines.clone()), None);
            }
        }
    }
    if let Some(out) = &explained.resolved.outside.egress {
        return led(answer, explained, out, (host, port));
    }
    if plan.namespaces.own.contains(&Namespace::Net) {
        let what = "the network namespace is empty except for its own loopback";
        answer.say(refuses("network-namespace", what, lines.clone()), Some(ENETUNREACH));
    }
    for Layer { of, rules } in &plan.command.landlock {
        let given =
            rules.ports.iter().any(|rule| rule.port == port && rule.rights & CONNECT_TCP != 0);
        if rules.handled_net & CONNECT_TCP != 0 && !given {
            let what = format!("{}no rule grants the port", whose(of));
            answer.say(refuses("landlock", what, lines.clone()), Some(EACCES));
        }
    }
    if answer.allowed {
        answer.say(allows("network-namespace", "the network is the host's own", lines), None);
        answer.note("what the host reaches depends on its routes and packet filters");
    }
    answer
}

/// Everything is led to the egress process: what does that say?
fn led(
    mut answer: Answer,
    explained: &Explained,
    out: &EgressPlan,
    (host, port): (&str, u16),
) -> Answer {
    let whom = Whom::of(host);
    if whom.is_inside() {
        let what = "it is the sandbox's own loopback, where its own servers listen";
        answer.say(allows("network-namespace", what, Vec::new()), None);
        answer.note(format!("the host's loopback is {HOST_INTERNAL}"));
        return answer;
    }
    let meant = out.rules.iter().filter(|rule| whom.is_of(&rule.target));
    let (at_port, elsewhere): (Vec<&Rule>, Vec<&Rule>) = meant.partition(|rule| rule.port == port);
    let (leading, wide): (Vec<&Rule>, Vec<&Rule>) =
        at_port.into_iter().partition(|rule| whom.is_led_by(rule));
    if leading.is_empty() {
        let mode = explained.sources.network.iter().filter(|_| wide.is_empty()).map(Line::from);
        let lines = mode.chain(wide.iter().flat_map(|rule| written(explained, rule))).collect();
        let what = whom.why_not(!wide.is_empty());
        answer.say(refuses("egress", what, lines), whom.errno());
        for rule in elsewhere {
            answer.note(format!("{} names it, with another port", rule.written));
        }
        return answer;
    }
    for rule in &leading {
        let what = format!("it allows {}", said(&rule.carries));
        answer.say(allows("egress", what, written(explained, rule).collect()), None);
    }
    if !out.ways.redirects() {
        answer.note(format!(
            "only through the proxy, http://{PROXY}: direct connections of the command fail"
        ));
    }
    if let Some(but) = whom.but(&leading) {
        answer.note(but);
    }
    answer
}

/// Where the entries of a rule are written.
fn written<'e>(explained: &'e Explained, rule: &'e Rule) -> impl Iterator<Item = Line> + 'e {
    let entries = explained.sources.egress.iter();
    let own = entries.filter(|(text, _)| rule.written.split(" under ").any(|one| one == text));
    own.map(|(_, origin)| Line::from(origin))
}

/// Whom a question is about, as the egress process would read it.
struct Whom {
    name: Option<HostName>,
    address: Option<IpAddr>,
}

impl Whom {
    fn of(host: &str) -> Self {
        let address = host.parse().ok().map(|address: IpAddr| address.to_canonical());
        Self { name: HostName::read(host.as_bytes()).ok(), address }
    }

    fn is_called(&self, name: &str) -> bool {
        self.name.as_ref().is_some_and(|own| own.as_str() == name)
    }

    /// Whether it is whom the kernel leads to nobody else: it takes the address of nobody for a loopback.
    fn is_inside(&self) -> bool {
        let inside = |address: IpAddr| address.is_loopback() || address.is_unspecified();
        self.is_called("localhost") || self.address.is_some_and(inside)
    }

    fn is_of(&self, target: &Target) -> bool {
        match (target, self.address) {
            (Target::Network(network), Some(address)) => network.has(address),
            (Target::Name(_) | Target::Below(_) | Target::Host, Some(_)) => false,
            (_, None) => self.name.as_ref().is_some_and(|name| target.has_name(name)),
        }
    }

    fn is_led_by(&self, rule: &Rule) -> bool {
        self.address.is_none_or(|address| address::allows(rule, address))
    }

    /// Whether no entry can name it, whatever else is written.
    fn is_never(&self) -> bool {
        self.address.is_some_and(|address| address::is_never(Network::one(address)))
    }

    /// What a client of it sees: a name that is not named has no address, and what is no host the kernel
    /// refuses in its own ways.
    fn errno(&self) -> Option<i32> {
        self.address.filter(|_| !self.is_never()).map(|_| ECONNRESET)
    }

    /// Why no entry lets it out, where one has it in it and where none has.
    fn why_not(&self, wide: bool) -> &'static str {
        if self.is_never() {
            return "it is not a host, and no entry can name it";
        }
        if wide {
            "it is not public, and an entry with a wider network does not name it"
        } else {
            "no entry names it"
        }
    }

    /// Where it is refused all the same.
    fn but(&self, leading: &[&Rule]) -> Option<&'static str> {
        match self.address {
            Some(address) if leading.iter().any(|rule| address::means(rule, address)) => None,
            Some(_) => Some(
                "if it is one of this host's own addresses, it is refused: no entry names only it",
            ),
            None if self.is_called(HOST_INTERNAL) => None,
            None => Some(
                "an address of the name is refused if it is not public and `within` does not name it",
            ),
        }
    }
}

fn said(carries: &Carries) -> String {
    match carries {
        Carries::Tcp => String::from("any traffic"),
        Carries::Tls => String::from("TLS that names it"),
        Carries::Http(requests) => format!("HTTP in plain text{}", which(requests)),
        Carries::Https(requests) => {
            format!("HTTP in TLS that sandboxd decrypts{}", which(requests))
        }
    }
}

fn which(requests: &Requests) -> String {
    match requests {
        Requests::All => String::new(),
        Requests::Only { method, path } => format!(", {} {path}", method.as_str()),
    }
}
