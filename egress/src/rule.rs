//! Which rules have what a client asks for. All that have it count, in whatever order they were
//! written.

use crate::{
    hello::Hello,
    http::{self, Authority, Head},
    model::api::{self, Looks},
};
use sandboxd_egress_plan::{Carries, HostName, Requests, Rule, Target, Verdict, address};
use std::net::IpAddr;

/// Whom a client asks for: a name, or an address where it named none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whom {
    /// This name.
    Name(HostName),
    /// This address.
    Address(IpAddr),
}

impl Whom {
    /// The name, where it is one.
    #[must_use]
    pub const fn name(&self) -> Option<&HostName> {
        match self {
            Self::Name(name) => Some(name),
            Self::Address(_) => None,
        }
    }
}

impl std::fmt::Display for Whom {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => write!(to, "{name}"),
            Self::Address(IpAddr::V4(address)) => write!(to, "{address}"),
            Self::Address(IpAddr::V6(address)) => write!(to, "[{address}]"),
        }
    }
}

/// Whom a client asks for, and on which port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Whom.
    pub whom: Whom,
    /// On which port.
    pub port: u16,
}

impl std::fmt::Display for Place {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "{}:{}", self.whom, self.port)
    }
}

fn has(target: &Target, whom: &Whom) -> bool {
    match (target, whom) {
        (target, Whom::Name(name)) => target.has_name(name),
        (Target::Network(network), Whom::Address(address)) => network.has(*address),
        (Target::Name(_) | Target::Below(_) | Target::Host, Whom::Address(_)) => false,
    }
}

/// How far a rule is from leading to an address: one that names it alone is nearer than one that has it in its network,
/// and that than one that is too wide to mean it. Where a name leads is not known yet.
fn distance(rule: &Rule, whom: &Whom) -> u8 {
    match whom {
        Whom::Address(one) if address::means(rule, *one) => 0,
        Whom::Address(one) if address::allows(rule, *one) => 1,
        Whom::Address(_) => 2,
        Whom::Name(_) => 0,
    }
}

/// Whether any rule has this name, on whatever port: whether it has an address inside.
#[must_use]
pub fn is_named(rules: &[Rule], name: &HostName) -> bool {
    rules.iter().any(|rule| rule.target.has_name(name))
}

/// What may be said to somebody on a port: the rules that have it, by their numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fitting {
    /// Whatever it is.
    pub tcp: Option<usize>,
    /// TLS.
    pub tls: Option<usize>,
    /// Requests in TLS, which is ended where there is one of these.
    pub https: Vec<usize>,
    /// Requests in plain text.
    pub http: Vec<usize>,
}

/// How requests come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cover {
    /// In plain text.
    Plain,
    /// In TLS that was ended.
    Tls,
}

/// What becomes of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// It is carried as it is, under this rule.
    Carried(usize),
    /// It is ended, and each request in it judged.
    Ended,
}

impl Fitting {
    /// The rules that have this place.
    ///
    /// # Errors
    /// Where there is none.
    pub fn find(rules: &[Rule], place: &Place) -> Result<Self, Verdict> {
        let mut found = Self::default();
        let fits = |rule: &Rule| rule.port == place.port && has(&rule.target, &place.whom);
        let mut fitting: Vec<_> = rules.iter().enumerate().filter(|(_, one)| fits(one)).collect();
        fitting.sort_by_key(|(_, rule)| distance(rule, &place.whom));
        for (number, rule) in fitting {
            match rule.carries {
                Carries::Tcp => found.tcp = found.tcp.or(Some(number)),
                Carries::Tls => found.tls = found.tls.or(Some(number)),
                Carries::Https(_) => found.https.push(number),
                Carries::Http(_) => found.http.push(number),
            }
        }
        if found == Self::default() { Err(Verdict::NoRule) } else { Ok(found) }
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = usize> + '_ {
        let seen = self.https.iter().chain(&self.http).copied();
        self.tcp.into_iter().chain(self.tls).chain(seen)
    }

    /// Whether any rule has TLS.
    #[must_use]
    pub const fn has_tls(&self) -> bool {
        self.tls.is_some() || !self.https.is_empty()
    }

    /// What becomes of TLS that begins so.
    ///
    /// # Errors
    /// Where none has it: TLS for another name, or for one that is not seen.
    pub fn tls(&self, hello: &Hello, whom: &Whom) -> Result<Tls, Verdict> {
        let become_of = match (self.https.is_empty(), self.tls) {
            (false, _) => Tls::Ended,
            (true, Some(rule)) => Tls::Carried(rule),
            (true, None) => return Err(Verdict::NotHttp),
        };
        if hello.encrypted {
            return Err(Verdict::EncryptedHello);
        }
        match (whom, &hello.server_name) {
            (Whom::Name(name), Some(said)) if name == said => Ok(become_of),
            (Whom::Name(_), Some(_)) => Err(Verdict::ServerName),
            (Whom::Name(_), None) => Err(Verdict::NoServerName),
            // Whoever allows addresses allows all that answer there. No address has a rule for which TLS
            // would be ended.
            (Whom::Address(_), _) => Ok(become_of),
        }
    }

    /// The rule for this request.
    ///
    /// # Errors
    /// Where none has it: one to another host, or with another method or path.
    pub fn request(
        &self,
        rules: &[Rule],
        head: &Head,
        (place, cover): (&Place, Cover),
    ) -> Result<usize, Verdict> {
        // Where anything may be said, a request may be made.
        let (seen, unseen) = match cover {
            Cover::Plain => (&self.http, self.tcp),
            Cover::Tls => (&self.https, self.tls),
        };
        if seen.is_empty() && unseen.is_none() {
            return Err(Verdict::NotTls);
        }
        // A request in TLS is to whom that is with, and not to a proxy.
        if cover == Cover::Tls && head.absolute {
            return Err(Verdict::Malformed);
        }
        // What is said in a tunnel is no request.
        if head.target == http::Target::Tunnel {
            return Err(Verdict::Request);
        }
        if head.authority.as_ref().is_some_and(|authority| !is_at(authority, place)) {
            return Err(Verdict::HostHeader);
        }
        first(rules, seen, head).or(unseen).ok_or(Verdict::Request)
    }

    /// Whether a later request may be bounded by something else than the one before: then its answer is waited for first,
    /// so that each is borne by its own rule.
    #[must_use]
    pub fn bounds_differ(&self, rules: &[Rule]) -> bool {
        let numbers = self.http.iter().chain(&self.https);
        let mut bounds = numbers
            .filter_map(|number| rules.get(*number))
            .map(|rule| (&rule.accounts, &rule.deadlines));
        let first = bounds.next();
        bounds.any(|other| Some(other) != first)
    }

    /// Whether a rule for requests leads to a model API.
    #[must_use]
    pub fn has_model(&self, rules: &[Rule]) -> bool {
        self.http
            .iter()
            .chain(&self.https)
            .any(|number| rules.get(*number).is_some_and(|rule| rule.model))
    }
}

/// The first of these rules that has a request. Where some of them count, those have what looks like a
/// call to a model, whether it can be counted or not, and the others what does not.
fn first(rules: &[Rule], seen: &[usize], head: &Head) -> Option<usize> {
    let seen = seen.iter().filter_map(|number| Some((*number, rules.get(*number)?)));
    let looks = seen.clone().any(|(_, rule)| rule.model).then(|| api::looks(head));
    let has = |(_, rule): &(usize, &Rule)| {
        // Whichever path, or method, somebody may take it for.
        let odd = looks == Some(Looks::Odd) && rule.model;
        rule.carries.requests().is_some_and(|requests| match requests {
            Requests::Only { method, .. } if odd => {
                method.as_str() == head.method || head.overridden
            }
            Requests::All | Requests::Only { .. } => has_request(requests, head),
        })
    };
    let counts = looks.is_some_and(|looks| looks != Looks::Other);
    let mut having = seen.filter(has);
    let fits = having.clone().find(|(_, rule)| rule.model == counts);
    fits.or_else(|| having.next()).map(|(number, _)| number)
}

/// Whether a request is one of these.
fn has_request(requests: &Requests, head: &Head) -> bool {
    match requests {
        Requests::All => true,
        Requests::Only { method, path } => {
            head.is_plainly(method.as_str())
                && head.plain_path().is_some_and(|asked| path.matches(asked))
        }
    }
}

/// Whether a request's authority is this place. Where it has no port, that of plain HTTP is meant, or
/// the one that the client connected to: some leave it out.
fn is_at(authority: &Authority, place: &Place) -> bool {
    authority.whom == place.whom && authority.port.is_none_or(|port| port == place.port)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::Read;
    use sandboxd_broker_plan::Pattern;
    use sandboxd_egress_plan::{
        Bound, Deadlines, HOST_INTERNAL, Limits, Network, Rate, rule::Method,
    };

    pub(crate) const UNLIMITED: Limits = Limits {
        connections: Bound::Unlimited,
        rate: Rate::Unlimited,
        up: Bound::Unlimited,
        down: Bound::Unlimited,
    };

    pub(crate) fn rule(target: Target, port: u16, carries: Carries) -> Rule {
        Rule {
            written: format!("{target:?}:{port}"),
            target,
            port,
            carries,
            within: vec![],
            own: vec![],
            accounts: vec![0],
            deadlines: Deadlines { idle: Bound::Unlimited, total: Bound::Unlimited },
            model: false,
        }
    }

    pub(crate) fn host(text: &str) -> HostName {
        HostName::try_from(text).unwrap()
    }

    pub(crate) fn named(name: &str, port: u16, carries: Carries) -> Rule {
        rule(Target::Name(host(name)), port, carries)
    }

    fn place(name: &str, port: u16) -> Place {
        Place { whom: Whom::Name(host(name)), port }
    }

    fn only(method: &str, path: &str) -> Carries {
        Carries::Http(Requests::Only {
            method: Method::try_from(method.to_owned()).unwrap(),
            path: Pattern::try_from(path).unwrap(),
        })
    }

    fn head(text: &str) -> Head {
        match http::head(text.as_bytes()).unwrap() {
            Read::Done(head, _) => head,
            Read::More => panic!("{text:?} is not whole"),
        }
    }

    #[test]
    fn of_the_rules_for_an_address_the_one_that_leads_there_counts_wherever_it_stands() {
        let network = |text: &str| Network::try_from(text).unwrap();
        let to = |text: &str| rule(Target::Network(network(text)), 80, Carries::Tcp);
        let alone = |text: &str| {
            let within = network(text);
            Rule { within: vec![within], own: vec![within.first()], ..to(text) }
        };
        let near = Rule { within: vec![network("10.9.0.0/16")], ..to("10.9.0.0/16") };
        let rules = [to("0.0.0.0/0"), near, alone("10.9.0.2/32")];
        let found = |address: &str| {
            let place = Place { whom: Whom::Address(address.parse().unwrap()), port: 80 };
            Fitting::find(&rules, &place).unwrap().tcp
        };
        assert_eq!(found("8.8.8.8"), Some(0));
        assert_eq!(found("10.9.0.1"), Some(1));
        assert_eq!(found("10.9.0.2"), Some(2));
        // It is refused there.
        assert_eq!(found("10.8.0.1"), Some(0));
    }

    #[test]
    fn a_rule_has_its_name_and_port_and_nothing_else() {
        let rules = [
            named("api.example.com", 443, Carries::Tls),
            rule(Target::Below(host("pypi.example")), 443, Carries::Tls),
            rule(Target::Host, 8080, Carries::Tcp),
            rule(Target::Network(Network::try_from("192.0.2.0/24").unwrap()), 22, Carries::Tcp),
        ];
        let find = |name: &str, port| Fitting::find(&rules, &place(name, port)).ok();
        assert_eq!(find("api.example.com", 443).unwrap().tls, Some(0));
        assert_eq!(find("a.b.pypi.example", 443).unwrap().tls, Some(1));
        assert_eq!(find("host.internal", 8080).unwrap().tcp, Some(2));
        for (name, port) in [
            ("api.example.com", 80),
            ("example.com", 443),
            ("xapi.example.com", 443),
            ("api.example.com.evil.net", 443),
            ("pypi.example", 443),
            ("evil-pypi.example", 443),
            ("host.internal", 443),
            ("localhost", 8080),
        ] {
            assert_eq!(find(name, port), None, "{name}:{port}");
        }
        let at = |text: &str, port| Place { whom: Whom::Address(text.parse().unwrap()), port };
        assert_eq!(Fitting::find(&rules, &at("192.0.2.7", 22)).unwrap().tcp, Some(3));
        assert!(Fitting::find(&rules, &at("192.0.3.7", 22)).is_err());
        assert!(Fitting::find(&rules, &at("::ffff:192.0.2.7", 22)).is_err());
        assert!(Fitting::find(&rules, &at("127.0.0.1", 8080)).is_err());
        assert!(
            is_named(&rules, &host("x.pypi.example")) && !is_named(&rules, &host("example.com"))
        );
    }

    #[test]
    fn host_internal_is_the_host_and_lies_below_no_name() {
        let rules = [rule(Target::Below(host("internal")), 80, Carries::Tcp)];
        assert!(!is_named(&rules, &host(HOST_INTERNAL)));
        assert!(is_named(&rules, &host("db.internal")));
    }

    #[test]
    fn tls_is_for_the_name_that_was_asked_for() {
        let rules = [named("a.example", 443, Carries::Tls), named("b.example", 443, Carries::Tls)];
        let at = place("a.example", 443);
        let fitting = Fitting::find(&rules, &at).unwrap();
        let hello =
            |name: Option<&str>, encrypted| Hello { server_name: name.map(host), encrypted };
        assert_eq!(fitting.tls(&hello(Some("a.example"), false), &at.whom), Ok(Tls::Carried(0)));
        for (hello, why) in [
            (hello(Some("b.example"), false), Verdict::ServerName),
            (hello(None, false), Verdict::NoServerName),
            (hello(Some("a.example"), true), Verdict::EncryptedHello),
        ] {
            assert_eq!(fitting.tls(&hello, &at.whom), Err(why));
        }
    }

    #[test]
    fn each_request_is_to_the_host_and_of_a_rule() {
        let rules = [
            named("a.example", 80, only("POST", "/v1/*")),
            named("a.example", 80, only("GET", "/health")),
        ];
        let at = place("a.example", 80);
        let fitting = Fitting::find(&rules, &at).unwrap();
        let judge = |line: &str, to: &str| {
            let text = format!("{line} HTTP/1.1\r\nHost: {to}\r\n\r\n");
            fitting.request(&rules, &head(&text), (&at, Cover::Plain))
        };
        assert_eq!(judge("POST /v1/messages?x=1", "a.example"), Ok(0));
        assert_eq!(judge("GET /health", "A.example:80"), Ok(1));
        assert_eq!(judge("GET http://a.example/health", "a.example"), Ok(1));
        for (line, to, why) in [
            ("GET /v1/messages", "a.example", Verdict::Request),
            ("POST /v2", "a.example", Verdict::Request),
            ("POST /v1/../v2", "a.example", Verdict::Request),
            ("POST /v1/%2e%2e/v2", "a.example", Verdict::Request),
            ("POST /v1/..%2fv2", "a.example", Verdict::Request),
            ("POST /v1//x", "a.example", Verdict::Request),
            ("POST /v1/x", "b.example", Verdict::HostHeader),
            ("POST /v1/x", "a.example:81", Verdict::HostHeader),
            ("POST /v1/x", "127.0.0.1", Verdict::HostHeader),
        ] {
            assert_eq!(judge(line, to), Err(why), "{line} {to}");
        }
    }

    #[test]
    fn a_request_that_may_be_taken_for_another_is_none_of_a_method_and_path() {
        let rules = [named("a.example", 80, only("GET", "/open/*"))];
        let open = [named("a.example", 80, Carries::Http(Requests::All))];
        let at = place("a.example", 80);
        let judge = |rules: &[Rule], field: &str| {
            let text = format!("GET /open/x HTTP/1.1\r\nHost: a.example\r\n{field}\r\n\r\n");
            let fitting = Fitting::find(rules, &at).unwrap();
            fitting.request(rules, &head(&text), (&at, Cover::Plain))
        };
        assert_eq!(judge(&rules, "X-Other: DELETE"), Ok(0));
        for field in [
            "X-HTTP-Method-Override: DELETE",
            "x_http_method: DELETE",
            "X-Method-Override: DELETE",
            "X-Original-URL: /admin",
            "X-Rewrite-Url: /admin",
        ] {
            assert_eq!(judge(&rules, field), Err(Verdict::Request), "{field}");
            assert_eq!(judge(&open, field), Ok(0), "{field}");
        }
    }

    #[test]
    fn what_may_be_a_call_goes_by_the_rule_that_counts() {
        let counting = |requests| {
            let all = named("a.example", 80, Carries::Http(Requests::All));
            let mut rules = [all, named("a.example", 80, requests)];
            rules[1].model = true;
            rules
        };
        let at = place("a.example", 80);
        let judge = |rules: &[Rule], line: &str| {
            let text =
                format!("{line} HTTP/1.1\r\nHost: a.example\r\nContent-Encoding: gzip\r\n\r\n");
            let fitting = Fitting::find(rules, &at).unwrap();
            fitting.request(rules, &head(&text), (&at, Cover::Plain))
        };
        for requests in [Carries::Http(Requests::All), only("POST", "/v1/messages")] {
            let rules = counting(requests);
            for line in [
                "POST /v1/messages",
                "POST /v1//messages",
                "POST /v1/x/%2e%2e/messages",
                "POST /v1/%6Dessages",
                "POST /V1/MESSAGES",
            ] {
                assert_eq!(judge(&rules, line), Ok(1), "{line}");
            }
            for line in ["GET /", "POST /v1/files", "OPTIONS *"] {
                assert_eq!(judge(&rules, line), Ok(0), "{line}");
            }
        }
        // A rule has what its path has, where that has one meaning only.
        let rules = counting(only("POST", "/v1/messages"));
        assert_eq!(judge(&rules, "POST /v2/messages"), Ok(0));
        assert_eq!(judge(&rules, "GET //x"), Ok(0));
    }
}
