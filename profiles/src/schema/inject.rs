//! `[secrets.NAME].inject`: the requests that a secret is injected into, and where in them.

use super::path::asked_for;
use super::{Key, Shape};
use crate::graph::patterns::covers;
use crate::origin::Written;
use crate::quantity::{self, Amount};
use crate::reader::{Node, Reader};
use sandboxd_broker_plan::Pattern;
use sandboxd_egress_plan::rule::Method;
use sandboxd_egress_plan::{FieldName, HostName, Spot};

/// The keys of `inject`.
pub(crate) const KEYS: &[Key] = &[
    Key {
        name: "host",
        doc: "the only host whose requests get it, by name; network.egress must name it, too",
        shape: Shape::Text,
    },
    Key { name: "port", doc: "port; default 443", shape: Shape::Count },
    Key { name: "method", doc: "only requests of this method", shape: Shape::Text },
    Key { name: "path", doc: "only requests to this path, as in /v1/*", shape: Shape::Text },
    Key {
        name: "header",
        doc: "header field that it is injected into, such as authorization; replaces what the command wrote there",
        shape: Shape::Text,
    },
    Key {
        name: "format",
        doc: "value of the field, with {} for the secret, as in \"Bearer {}\"",
        shape: Shape::Text,
    },
    Key {
        name: "query",
        doc: "or the query parameter that it is injected into",
        shape: Shape::Text,
    },
    Key {
        name: "basic",
        doc: "or the user whose password it is (Authorization: Basic)",
        shape: Shape::Text,
    },
];

/// Which requests a secret is injected into, and where in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injected {
    /// The only host.
    pub host: HostName,
    /// The port.
    pub port: u16,
    /// Only requests of this method.
    pub method: Option<Method>,
    /// Only requests to this path.
    pub path: Option<Pattern>,
    /// Where in them.
    pub spot: Spot,
}

impl Injected {
    /// Whether both are injected into the same place of some request.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        let method = match (&self.method, &other.method) {
            (Some(one), Some(other)) => one == other,
            (None, _) | (_, None) => true,
        };
        let path = match (&self.path, &other.path) {
            (Some(one), Some(other)) => covers(one, other) || covers(other, one),
            (None, _) | (_, None) => true,
        };
        let same = (&self.host, self.port) == (&other.host, other.port);
        same && method && path && self.spot.is_at(&other.spot)
    }

    /// The host and port.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

const EXAMPLE: &str =
    "write { host = \"api.example.com\", header = \"authorization\", format = \"Bearer {}\" }";

pub(crate) fn read<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Option<Written<Injected>> {
    let fields = reader.fields(node, KEYS)?;
    let origin = reader.origin(node);
    let mut text =
        |name: &str| fields.get(name).and_then(|node| reader.text(node)).map(|text| text.value);
    let (host, method, path) = (text("host"), text("method"), text("path"));
    let spot = Wanted {
        header: text("header"),
        format: text("format"),
        query: text("query"),
        basic: text("basic"),
    };
    let port = match fields.get("port") {
        Some(node) => match reader.quantity(node, quantity::count)?.value {
            Amount::Limited(port) => u16::try_from(port).ok().filter(|port| *port != 0),
            Amount::Unlimited => None,
        },
        None => Some(443),
    };
    let read = || -> Result<Injected, (String, String)> {
        let plain = |what: &str| (what.to_owned(), EXAMPLE.to_owned());
        let host = host.as_deref().ok_or_else(|| plain("names no host"))?;
        let host = HostName::read(host.as_bytes())
            .map_err(|error| plain(&format!("its host: {error}")))?;
        let port = port.ok_or_else(|| plain("its port is not a number from 1 to 65535"))?;
        let method = method.map(Method::try_from).transpose();
        let method = method.map_err(|error| plain(&error.to_string()))?;
        let path = path.map(Pattern::try_from).transpose();
        let path = path.map_err(|error| plain(&error.to_string()))?;
        if path.as_ref().is_some_and(|path| !path.as_str().starts_with('/')) {
            return Err(plain("its path does not begin with /"));
        }
        path.as_ref().map_or(Ok(()), asked_for)?;
        let spot = spot.spot().map_err(|what| plain(&what))?;
        spot.check().map_err(plain)?;
        Ok(Injected { host, port, method, path, spot })
    };
    match read() {
        Ok(value) => Some(Written { value, origin }),
        Err((what, remedy)) => {
            reader.refuse(node, what, remedy);
            None
        }
    }
}

/// Where in a request, as it is written.
struct Wanted {
    header: Option<String>,
    format: Option<String>,
    query: Option<String>,
    basic: Option<String>,
}

impl Wanted {
    fn spot(self) -> Result<Spot, String> {
        match self {
            Self { header: Some(name), format, query: None, basic: None } => {
                let name = name.to_ascii_lowercase();
                let name = FieldName::try_from(name).map_err(|error| error.to_string())?;
                let format = format.unwrap_or_else(|| "{}".to_owned());
                match format.split("{}").collect::<Vec<&str>>()[..] {
                    [before, after] => {
                        let (before, after) = (before.to_owned(), after.to_owned());
                        Ok(Spot::Header { name, before, after })
                    }
                    _ => Err("format must have {} once, for the secret".into()),
                }
            }
            Self { header: None, format: None, query: Some(name), basic: None } => {
                Ok(Spot::Query { name })
            }
            Self { header: None, format: None, query: None, basic: Some(user) } => {
                Ok(Spot::Basic { user })
            }
            _ => Err("needs one place: header (with format), query or basic".into()),
        }
    }
}
