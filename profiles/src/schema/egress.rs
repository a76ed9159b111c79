//! An entry of `[network].egress`: a destination, and what may be sent there.

use super::deadlines::{DEADLINES, EgressDeadlines};
use super::path::{asked_for, parted};
use super::{Key, Shape};
use crate::origin::{Written, replace};
use crate::quantity::{self, Amount};
use crate::reader::{Node, Reader};
use sandboxd_broker_plan::{Pattern, Rate};
use sandboxd_egress_plan::rule::Method;
use sandboxd_egress_plan::{Carries, HOST_INTERNAL, HostName, Network, Requests, Target, address};
use std::net::IpAddr;
use toml::de::DeValue;

/// The keys of an entry that is a table.
pub(crate) const KEYS: &[Key] = &[
    Key { name: "to", doc: "the entry as it is written without a table", shape: Shape::Text },
    Key {
        name: "within",
        doc: "networks that are not public but may be reached by its name: [\"10.0.0.0/8\"]",
        shape: Shape::Texts,
    },
    Key {
        name: "model",
        doc: "true if it is the API of a model: only requests whose tokens can be counted go there, and what it \
              reports as used is counted ([budget])",
        shape: Shape::Boolean,
    },
    LIMITS[0],
    LIMITS[1],
    LIMITS[2],
    LIMITS[3],
    DEADLINES[0],
    DEADLINES[1],
];

/// Those that `[network]` has too, for all entries together.
pub(crate) const LIMITS: [Key; 4] = [
    Key { name: "connections", doc: "concurrent connections", shape: Shape::Count },
    Key {
        name: "rate",
        doc: "rate limit of connections, and of requests if they are seen: \"600/min burst 60\"",
        shape: Shape::CallRate,
    },
    Key { name: "up", doc: "bytes sent in the whole run", shape: Shape::Size },
    Key { name: "down", doc: "bytes received in the whole run", shape: Shape::Size },
];

/// An entry of `egress`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Egress {
    /// As it is written.
    pub text: String,
    /// The destination.
    pub place: Place,
    /// Networks that are not public but may be reached by its name.
    pub within: Vec<Network>,
    /// Whether it is the API of a model, whose use is counted.
    pub model: bool,
    /// Its limits.
    pub limits: EgressLimits,
    /// Its timeouts.
    pub deadlines: EgressDeadlines,
}

/// A destination, and what may be sent there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The host or network.
    pub target: Target,
    /// The port.
    pub port: u16,
    /// The protocol.
    pub carries: Carries,
}

/// Limits of an entry, or of all together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EgressLimits {
    /// Concurrent connections.
    pub connections: Option<Written<Amount>>,
    /// Rate limit of new ones.
    pub rate: Option<Written<Rate>>,
    /// Bytes sent.
    pub up: Option<Written<Amount>>,
    /// Bytes received.
    pub down: Option<Written<Amount>>,
}

impl EgressLimits {
    pub(crate) fn lay(&mut self, over: Self) {
        replace(&mut self.connections, over.connections);
        replace(&mut self.rate, over.rate);
        replace(&mut self.up, over.up);
        replace(&mut self.down, over.down);
    }

    /// Reads one of them; false where it is none.
    pub(crate) fn read<'d>(&mut self, reader: &mut Reader<'d>, node: &Node<'d>) -> bool {
        match node.name() {
            "connections" => self.connections = reader.quantity(node, quantity::count),
            "rate" => self.rate = reader.quantity(node, quantity::calls),
            "up" => self.up = reader.quantity(node, quantity::size),
            "down" => self.down = reader.quantity(node, quantity::size),
            _ => return false,
        }
        true
    }
}

/// A text, or a table with one and more.
pub(crate) fn entry<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Option<Written<Egress>> {
    if matches!(node.value, DeValue::String(_)) {
        return to(reader, node);
    }
    let fields = reader.fields(node, KEYS)?;
    let Some(named) = fields.get("to") else {
        let remedy = "write { to = \"api.example.com:443\", connections = 4 }";
        reader.refuse(node, "names no host", remedy);
        return None;
    };
    let written = to(reader, named);
    let mut limits = EgressLimits::default();
    let mut deadlines = EgressDeadlines::default();
    let (mut within, mut model) = (Vec::new(), false);
    for node in fields.all() {
        match node.name() {
            "within" => within = reader.list(node, network),
            "model" => model = reader.boolean(node).is_some_and(|model| model.value),
            _ if limits.read(reader, node) => {}
            _ => {
                deadlines.read(reader, node);
            }
        }
    }
    let written = written?;
    let named = matches!(written.value.place.target, Target::Name(_) | Target::Below(_));
    if let (Some(node), false) = (fields.get("within"), named) {
        let remedy = "remove it: an address needs no within";
        reader.refuse(node, "within applies only to a name", remedy);
        return None;
    }
    let seen = match written.value.place.carries {
        // TLS is ended for it.
        Carries::Tls => named || written.value.place.target == Target::Host,
        Carries::Https(_) | Carries::Http(_) => true,
        Carries::Tcp => false,
    };
    if let (Some(node), true, false) = (fields.get("model"), model, seen) {
        let remedy = "write its name and port, or http:// before it if the API is in plain text";
        reader.refuse(node, "its answers are not seen, so nothing could be counted", remedy);
        return None;
    }
    Some(written.map(|entry| Egress { within, model, limits, deadlines, ..entry }))
}

fn to<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Option<Written<Egress>> {
    let text = reader.text(node)?;
    match Egress::read(&text.value) {
        Ok(entry) => Some(text.map(|_| entry)),
        Err((what, remedy)) => {
            reader.refuse(node, what, remedy);
            None
        }
    }
}

fn network<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Option<Network> {
    let text = reader.text(node)?;
    match Network::try_from(text.value.as_str()) {
        Ok(network) if is_loopback(network.first()) => {
            reader.refuse(node, "is a loopback address", host_remedy());
            None
        }
        Ok(network) if !names_somebody(network) => {
            let what = format!(
                "{network} has no effect: a name may lie at any public address without it, and at others only by \
                 a network that is wholly not public"
            );
            reader.refuse(node, what, "write [\"10.0.0.0/8\"], or remove it");
            None
        }
        Ok(network) => Some(network),
        Err(error) => {
            reader.refuse(node, error.to_string(), "write [\"10.0.0.0/8\"]");
            None
        }
    }
}

/// Whether a name may lie there because of it: where it is not public, or one of the host's own.
fn names_somebody(network: Network) -> bool {
    let exact = network == Network::one(network.first());
    address::names_others(network) || (exact && address::has_public(network))
}

/// Why a text is no place, and what to write.
pub(super) type Wrong = (String, String);

pub(super) fn wrong(what: impl Into<String>, remedy: impl Into<String>) -> Wrong {
    (what.into(), remedy.into())
}

fn host_remedy() -> String {
    format!("write {HOST_INTERNAL}:PORT for the host's; localhost inside is the sandbox's own")
}

impl Egress {
    /// An entry without limits of its own.
    pub(crate) fn read(text: &str) -> Result<Self, Wrong> {
        Ok(Self {
            text: text.to_owned(),
            place: Place::read(text)?,
            within: Vec::new(),
            model: false,
            limits: EgressLimits::default(),
            deadlines: EgressDeadlines::default(),
        })
    }
}

impl Place {
    /// `HOST:PORT`, `tcp://HOST:PORT`, `http://HOST[:PORT]`, `METHOD HOST[:PORT]/PATH` or
    /// `METHOD http://HOST[:PORT]/PATH`.
    pub(crate) fn read(text: &str) -> Result<Self, Wrong> {
        let (method, rest) = match text.split_once(' ') {
            Some((method, rest)) => (Some(method), rest),
            None => (None, text),
        };
        let (scheme, rest) = match rest.split_once("://") {
            Some((scheme, rest)) => (Some(scheme), rest),
            None => (None, rest),
        };
        if method.is_none() {
            without_path(rest.trim_end_matches('/'), scheme == Some("http"))?;
        }
        match (method, scheme) {
            (Some(method), Some("http")) => Self::requests(method, rest, (80, Carries::Http)),
            (Some(method), Some("https") | None) => {
                Self::requests(method, rest, (443, Carries::Https))
            }
            (Some(_), Some(_)) => Err(wrong(
                "only HTTP has methods",
                "write METHOD HOST/PATH, or METHOD http://HOST/PATH for those in plain text",
            )),
            (None, Some("http")) => Self::at(rest, Some(80), Carries::Http(Requests::All)),
            (None, Some("tcp")) => Self::at(rest, None, Carries::Tcp),
            (None, None) => Self::at(rest, None, Carries::Tls),
            (None, Some("https")) => Err(wrong(
                "https:// is not a scheme here: an entry without a scheme is TLS",
                format!("write {}", with_port(rest, 443)),
            )),
            (None, Some(scheme)) => Err(wrong(
                format!("{scheme}:// is not a supported scheme"),
                format!(
                    "write tcp://{rest} to allow any traffic there, or http:// if it is HTTP in plain text"
                ),
            )),
        }
    }

    fn requests(
        method: &str,
        rest: &str,
        (port, carries): (u16, fn(Requests) -> Carries),
    ) -> Result<Self, Wrong> {
        let remedy = "write it as in \"GET api.example.com/v1/*\"";
        let (authority, path) =
            parted(rest).ok_or_else(|| wrong("has a method but no path", remedy))?;
        let method = Method::try_from(method.to_owned())
            .map_err(|error| wrong(error.to_string(), remedy))?;
        let path = Pattern::try_from(path).map_err(|error| wrong(error.to_string(), remedy))?;
        asked_for(&path)?;
        let place = Self::at(authority, Some(port), carries(Requests::Only { method, path }))?;
        if let (Carries::Https(_), Target::Network(_)) = (&place.carries, &place.target) {
            let what =
                "requests in TLS can be seen only at a name, for which a certificate is made";
            return Err(wrong(what, remedy));
        }
        Ok(place)
    }

    fn at(text: &str, usual: Option<u16>, carries: Carries) -> Result<Self, Wrong> {
        let text = text.strip_suffix('/').unwrap_or(text);
        let (host, port) = parts(text);
        let target = target(host)?;
        let port = match (port, usual) {
            (Some(port), _) => port_number(port)?,
            (None, Some(usual)) => usual,
            (None, None) => {
                let example = with_port(text, 443);
                return Err(wrong("names no port", format!("write {example}, or another port")));
            }
        };
        Ok(Self { target, port, carries })
    }
}

/// What is behind a host is the length of a network: a path goes with a method.
fn without_path(text: &str, plain: bool) -> Result<(), Wrong> {
    let is_length = |path: &str| path.bytes().all(|byte| byte.is_ascii_digit() || byte == b':');
    let parts = text.split_once('/').filter(|(_, path)| !is_length(path) && !text.starts_with('['));
    let Some((host, _)) = parts else { return Ok(()) };
    let (scheme, whole) =
        if plain { ("http://", format!("http://{host}")) } else { ("", with_port(host, 443)) };
    let what = format!("write \"GET {scheme}{text}\" for that path, or {whole} for the whole host");
    Err(wrong("a path needs a method", what))
}

/// The host, and the port where there is one.
fn parts(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        // The last colon of an IPv6 address is one of its own.
        Some((host, port))
            if !port.contains(']') && (host.ends_with(']') || !host.contains(':')) =>
        {
            (host, Some(port))
        }
        Some(_) | None => (text, None),
    }
}

fn with_port(text: &str, port: u16) -> String {
    let (host, written) = parts(text.trim_end_matches('/'));
    let host = if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    written.map_or_else(|| format!("{host}:{port}"), |written| format!("{host}:{written}"))
}

fn port_number(text: &str) -> Result<u16, Wrong> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    let number = text.parse().ok().filter(|_| plain);
    number.ok_or_else(|| wrong(format!("{text:?} is not a port"), "write a number from 1 to 65535"))
}

fn target(host: &str) -> Result<Target, Wrong> {
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = bracketed.unwrap_or(host);
    if let Ok(address) = address.parse::<IpAddr>() {
        if address.is_ipv6() != bracketed.is_some() {
            return Err(wrong("an IPv6 address needs brackets", format!("write [{address}]:PORT")));
        }
        return network_target(&format!("{address}/{}", if address.is_ipv4() { 32 } else { 128 }));
    }
    if address.contains('/') {
        return network_target(address);
    }
    if host == "*" {
        return Err(wrong(
            "* is not a host",
            "name the hosts, *.SUFFIX:PORT for all below a name, or tcp://0.0.0.0/0:PORT for connections by address",
        ));
    }
    let above = host.strip_prefix("*.");
    let text = above.unwrap_or(host);
    let name = HostName::read(text.as_bytes()).map_err(|error| {
        wrong(format!("{text:?}: {error}"), "write a name as in api.example.com:443")
    })?;
    // However they are spelled.
    match (above, name.as_str()) {
        (Some(_), _) => Ok(Target::Below(name)),
        (None, HOST_INTERNAL) => Ok(Target::Host),
        (None, "localhost") => {
            Err(wrong("localhost is not a host that can be reached", host_remedy()))
        }
        (None, _) => Ok(Target::Name(name)),
    }
}

fn network_target(text: &str) -> Result<Target, Wrong> {
    let network = Network::try_from(text).map_err(|error| {
        wrong(error.to_string(), "write it as in tcp://10.0.0.0/8:5432, and one address as /32")
    })?;
    let first = network.first();
    if is_loopback(first) || (first.is_unspecified() && address::is_never(network)) {
        return Err(wrong("a loopback address is not a host that can be reached", host_remedy()));
    }
    if !address::has_public(network) && !address::names_others(network) {
        return Err(wrong(
            format!("{network} leads to no host: none of it is public, or it is too wide"),
            "write the address of a host, or a network with hosts, as in tcp://10.0.0.0/8:5432",
        ));
    }
    Ok(Target::Network(network))
}

fn is_loopback(address: IpAddr) -> bool {
    address.is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Target {
        Target::Name(HostName::try_from(text).unwrap())
    }

    fn net(text: &str) -> Target {
        Target::Network(Network::try_from(text).unwrap())
    }

    #[test]
    fn every_form_is_read() {
        let only = Requests::Only {
            method: Method::try_from("POST".to_owned()).unwrap(),
            path: Pattern::try_from("/v1/*").unwrap(),
        };
        let (only, in_tls) = (Carries::Http(only.clone()), Carries::Https(only));
        let all = Carries::Http(Requests::All);
        for (text, target, port, carries) in [
            ("api.example.com:443", name("api.example.com"), 443, Carries::Tls),
            ("API.Example.com.:443", name("api.example.com"), 443, Carries::Tls),
            (
                "*.pypi.example:443",
                Target::Below(HostName::try_from("pypi.example").unwrap()),
                443,
                Carries::Tls,
            ),
            ("http://host.internal:8080", Target::Host, 8080, all.clone()),
            ("http://Host.Internal.:8080", Target::Host, 8080, all.clone()),
            ("http://a.example", name("a.example"), 80, all),
            ("tcp://db.internal:5432", name("db.internal"), 5432, Carries::Tcp),
            ("tcp://10.0.0.0/8:5432", net("10.0.0.0/8"), 5432, Carries::Tcp),
            ("192.0.2.1:443", net("192.0.2.1/32"), 443, Carries::Tls),
            ("[2001:db8::1]:443", net("2001:db8::1/128"), 443, Carries::Tls),
            ("tcp://[fd00::/8]:22", net("fd00::/8"), 22, Carries::Tcp),
            ("POST a.example/v1/*", name("a.example"), 443, in_tls.clone()),
            ("POST https://a.example:8443/v1/*", name("a.example"), 8443, in_tls),
            ("POST http://10.20.0.0/16/v1/*", net("10.20.0.0/16"), 80, only.clone()),
            ("POST http://10.20.0.0/16:8080/v1/*", net("10.20.0.0/16"), 8080, only.clone()),
            ("POST http://10.20.0.7/v1/*", net("10.20.0.7/32"), 80, only.clone()),
            ("POST http://10.20.0.7/32/v1/*", net("10.20.0.7/32"), 80, only.clone()),
            ("POST http://[fd00::/8]:8080/v1/*", net("fd00::/8"), 8080, only.clone()),
            ("POST http://a.example:81/v1/*", name("a.example"), 81, only),
        ] {
            assert_eq!(Place::read(text), Ok(Place { target, port, carries }), "{text}");
        }
    }

    #[test]
    fn what_is_no_place_says_what_to_write() {
        for (text, remedy) in [
            ("api.example.com", "api.example.com:443"),
            ("https://api.example.com", "write api.example.com:443"),
            ("https://api.example.com:8443/", "write api.example.com:8443"),
            ("https://api.example.com/v1", "\"GET api.example.com/v1\""),
            (
                "http://a.example/v1",
                "\"GET http://a.example/v1\" for that path, or http://a.example ",
            ),
            ("a.example:443/v1", "a.example:443 for the whole host"),
            ("ssh://git.example:22", "tcp://git.example:22"),
            ("tcp://db.internal", "db.internal:443"),
            ("localhost:8080", "host.internal:PORT"),
            ("LocalHost.:8080", "host.internal:PORT"),
            ("127.0.0.1:8080", "host.internal:PORT"),
            ("[::1]:8080", "host.internal:PORT"),
            ("127.0.0.0/8:80", "host.internal:PORT"),
            ("2001:db8::1", "[2001:db8::1]:PORT"),
            ("a.example:0", "1 to 65535"),
            ("a.example:+80", "1 to 65535"),
            ("a.example:65536", "1 to 65535"),
            ("*:443", "*.SUFFIX"),
            ("a.*.example:443", "api.example.com:443"),
            ("user@a.example:443", "api.example.com:443"),
            ("2130706433:443", "api.example.com:443"),
            ("10.1.0.0/8:443", "10.0.0.0/8"),
            ("POST tcp://api.example.com/v1/*", "METHOD HOST/PATH"),
            ("POST 192.0.2.1/v1/*", "GET api"),
            ("post http://a.example/x", "GET api.example.com/v1/*"),
            ("GET http://a.example", "GET api.example.com/v1/*"),
            ("GET a.example/*/x", "GET api.example.com/v1/*"),
            ("GET a.example/v1?key=x", "without the query"),
            ("GET a.example/v1#top", "as it is sent"),
            ("GET a.example/two words", "as it is sent"),
            ("GET a.example/\u{e9}", "as it is sent"),
            ("GET a.example/../v1", "without a method and path"),
            ("GET a.example/v1/..", "without a method and path"),
            ("GET a.example/v1//x", "without a method and path"),
            ("GET a.example/v1;x/*", "without a method and path"),
            ("GET a.example/p/a%2Fb", "without a method and path"),
            ("GET http://10.20.0.0/16", "GET api"),
            ("GET http://10.20.0.7/16/v1", "/32"),
            ("tcp://224.0.0.0/4:80", "the address of a host"),
            ("tcp://255.255.255.255:80", "the address of a host"),
            ("tcp://[ff02::1]:80", "the address of a host"),
            ("tcp://[fc00::/6]:80", "the address of a host"),
            ("tcp://0.0.0.0:80", "host.internal:PORT"),
            ("tcp://[::]:80", "host.internal:PORT"),
            ("", "api.example.com:443"),
        ] {
            let wrong = Place::read(text).unwrap_err();
            assert!(wrong.1.contains(remedy), "{text}: {wrong:?}");
        }
    }
}
