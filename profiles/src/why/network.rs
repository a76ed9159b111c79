//! May the command connect to a port of a host?

use super::answer::{Answer, Line, allows, refuses};
use crate::resolve::Explained;
use crate::syscalls::{self, Action, evaluate};
use sandboxd_egress_plan::{
    Carries, EgressPlan, HOST_INTERNAL, HostName, PROXY, Requests, Rule, Target,
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
        let what = "the network is the sandbox's own, with nothing in it but its own loopback";
        answer.say(refuses("network-namespace", what, lines.clone()), Some(ENETUNREACH));
    }
    for Layer { of, rules } in &plan.command.landlock {
        let given =
            rules.ports.iter().any(|rule| rule.port == port && rule.rights & CONNECT_TCP != 0);
        if rules.handled_net & CONNECT_TCP != 0 && !given {
            let what = format!("{}no rule gives the port", whose(of));
            answer.say(refuses("landlock", what, lines.clone()), Some(EACCES));
        }
    }
    if answer.allowed {
        answer.say(allows("network-namespace", "the network is the host's own", lines), None);
        answer.note("what the host reaches, its routes and packet filters say");
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
    let address: Option<IpAddr> = host.parse().ok();
    if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
        let what = "it is the sandbox's own loopback, where its own servers listen";
        answer.say(allows("network-namespace", what, Vec::new()), None);
        answer.note(format!("the host's loopback is {HOST_INTERNAL}"));
        return answer;
    }
    let meant = out.rules.iter().filter(|rule| names(&rule.target, host, address));
    let (at_port, elsewhere): (Vec<&Rule>, Vec<&Rule>) = meant.partition(|rule| rule.port == port);
    if at_port.is_empty() {
        let lines = explained.sources.network.iter().map(Line::from).collect();
        // A name that is not named has no address.
        let errno = address.map(|_| ECONNRESET);
        answer.say(refuses("egress", "no entry names it", lines), errno);
        for rule in elsewhere {
            answer.note(format!("{} names it with another port", rule.written));
        }
        return answer;
    }
    for rule in at_port {
        let entries = explained.sources.egress.iter();
        let own = entries.filter(|(text, _)| rule.written.split(" under ").any(|one| one == text));
        let lines = own.map(|(_, origin)| Line::from(origin)).collect();
        answer.say(allows("egress", format!("it lets out {}", said(&rule.carries)), lines), None);
    }
    if !out.ways.redirects() {
        answer.note(format!(
            "by the proxy alone, http://{PROXY}: a connection of the command's own goes nowhere"
        ));
    }
    if address.is_none() && host != HOST_INTERNAL {
        answer.note(
            "an address that the name leads to is refused where it is not public and `within` does not name it",
        );
    }
    answer
}

fn names(target: &Target, host: &str, address: Option<IpAddr>) -> bool {
    let name = || HostName::read(host.as_bytes()).ok();
    match target {
        Target::Network(network) => address.is_some_and(|address| network.has(address)),
        Target::Host => host == HOST_INTERNAL,
        Target::Name(named) => name().is_some_and(|name| name == *named),
        Target::Below(above) => {
            name().is_some_and(|name| name.is_below(above) && name.as_str() != HOST_INTERNAL)
        }
    }
}

fn said(carries: &Carries) -> String {
    match carries {
        Carries::Tcp => String::from("whatever is said"),
        Carries::Tls => String::from("TLS that names it"),
        Carries::Http(requests) => format!("HTTP in plain text{}", which(requests)),
        Carries::Https(requests) => format!("HTTP in TLS that is ended here{}", which(requests)),
    }
}

fn which(requests: &Requests) -> String {
    match requests {
        Requests::All => String::new(),
        Requests::Only { method, path } => format!(", {} {path}", method.as_str()),
    }
}
