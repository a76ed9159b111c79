//! The head of a request.

use super::{Authority, FIELDS, MOST, Target, target::target};
use crate::{
    Read,
    put::Put,
    rule::{Cover, Place},
};
use sandboxd_broker_plan::plain::is_plain;
use sandboxd_egress_plan::Verdict;
use zeroize::Zeroizing;

/// The head of a request, as it was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its method.
    pub method: String,
    /// What it names.
    pub target: Target,
    /// Whom it is for: of the request line or of `Host`, which are the same where both are there.
    pub authority: Option<Authority>,
    /// Whether the request line has the authority, as those to a proxy have it.
    pub absolute: bool,
    /// How its body ends.
    pub framing: Framing,
    /// Whether the connection is to be closed after it.
    pub close: bool,
    /// Whether it is of HTTP/1.0.
    pub old: bool,
    /// Whether a field says that it is a request of another method or path.
    pub overridden: bool,
    /// The fields that go on, in their order.
    fields: Vec<(String, String)>,
}

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// After so many bytes.
    Length(u64),
    /// After the last chunk.
    Chunked,
}

/// The head that these bytes begin with.
///
/// # Errors
/// Where they begin with something else, or are malformed, or too long.
pub fn head(bytes: &[u8]) -> Result<Read<Head>, Verdict> {
    match bytes.first() {
        None => return Ok(Read::More),
        Some(_) if !super::begins(bytes) => return Err(Verdict::NotHttp),
        Some(_) => {}
    }
    let seen = bytes.get(..MOST).unwrap_or(bytes);
    let Some(end) = seen.windows(4).position(|four| four == b"\r\n\r\n") else {
        return if seen.len() < MOST { Ok(Read::More) } else { Err(Verdict::Malformed) };
    };
    let text = bytes.get(..end).and_then(|head| std::str::from_utf8(head).ok());
    let head = text.and_then(parse).ok_or(Verdict::Malformed)?;
    Ok(Read::Done(head, end + 4))
}

fn parse(text: &str) -> Option<Head> {
    let mut lines = text.split("\r\n");
    let line = lines.next()?;
    // A line feed or carriage return alone ends a line for some, and not for others.
    if text.replace("\r\n", "").contains(['\r', '\n']) {
        return None;
    }
    let mut words = line.split(' ');
    let (method, named, version) = (words.next()?, words.next()?, words.next()?);
    let old = match version {
        "HTTP/1.1" => false,
        "HTTP/1.0" => true,
        _ => return None,
    };
    let capital = method.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-');
    if words.next().is_some() || !capital || method.len() > 32 {
        return None;
    }
    let (target, authority) = target(method, named)?;
    let mut fields = Vec::new();
    for line in lines {
        if fields.len() >= FIELDS {
            return None;
        }
        fields.push(field(line)?);
    }
    Meaning::of(&fields, old)?.head(method, target, authority, fields)
}

/// A field; not the end of one that began on the line before.
pub(super) fn field(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let value = value.trim_matches([' ', '\t']);
    let fair = !name.is_empty()
        && name.bytes().all(token)
        && !value.chars().any(|letter| letter.is_control() && letter != '\t');
    fair.then(|| (name.to_owned(), value.to_owned()))
}

/// Whether two names are of one field. Some servers take `_` for `-`.
#[must_use]
pub fn is_same_field(one: &str, other: &str) -> bool {
    let plain = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    one.bytes().map(plain).eq(other.bytes().map(plain))
}

/// What the fields say of how the request is to be read.
struct Meaning {
    host: Option<Authority>,
    framing: Framing,
    close: bool,
    old: bool,
    /// Fields that are for this connection and do not go on.
    dropped: Vec<String>,
}

/// What is for one connection only; and what asks for another protocol, which nobody would see into.
const HOP: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "te",
    "trailer",
    "upgrade",
    "http2-settings",
    "host",
    "content-length",
    "transfer-encoding",
];

/// Fields by which some servers take a request for one of another method or path than its first line says.
const OTHERWISE: &[&str] = &[
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
];

/// Methods whose requests are what is in their body, so that whoever answers them has read it. For any other a body
/// says nothing (RFC 9110, section 9.3), and many answer without a look at it.
const WITH_BODY: &[&str] = &["PATCH", "POST", "PUT"];

/// Fields that are written anew: `Host`, how the body ends, `Connection` and `Accept-Encoding`.
const WRITTEN: usize = 4;

impl Meaning {
    fn of(fields: &[(String, String)], old: bool) -> Option<Self> {
        let all = |name: &str| {
            let same = fields.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
            same.map(|(_, value)| value.as_str()).collect::<Vec<&str>>()
        };
        let host = match all("host")[..] {
            [host] => Some(Authority::read(host)?),
            [] if old => None,
            _ => return None,
        };
        let framing = match (&all("content-length")[..], &all("transfer-encoding")[..]) {
            ([], []) => Framing::Length(0),
            ([length], []) => Framing::Length(digits(length)?),
            ([], [coding]) if coding.eq_ignore_ascii_case("chunked") && !old => Framing::Chunked,
            _ => return None,
        };
        let mut meaning = Self { host, framing, close: old, old, dropped: Vec::new() };
        for value in all("connection") {
            for option in value.split(',').map(|option| option.trim().to_ascii_lowercase()) {
                match option.as_str() {
                    "close" => meaning.close = true,
                    // Who may take these out may have the body read as another request.
                    "host" | "content-length" | "transfer-encoding" => return None,
                    _ => meaning.dropped.push(option),
                }
            }
        }
        Some(meaning)
    }

    fn head(
        self,
        method: &str,
        target: Target,
        named: Option<Authority>,
        mut fields: Vec<(String, String)>,
    ) -> Option<Head> {
        let absolute = named.is_some();
        let authority = match (named, self.host) {
            (Some(named), Some(host)) => {
                let same =
                    named.whom == host.whom && (host.port.is_none() || host.port == named.port);
                // Port 80 is the same whether it is written or not.
                let plain = (named.port, host.port) == (None, Some(80));
                (same || (named.whom == host.whom && plain)).then_some(Some(named))?
            }
            (named, host) => named.or(host),
        };
        fields.retain(|(name, _)| {
            let name = name.to_ascii_lowercase();
            !HOP.contains(&name.as_str()) && !self.dropped.contains(&name)
        });
        // What is let in can be written without going beyond what is let in.
        if fields.len() + WRITTEN > FIELDS {
            return None;
        }
        let is_other = |name: &str| OTHERWISE.iter().any(|other| is_same_field(name, other));
        let overridden = fields.iter().any(|(name, _)| is_other(name));
        let method = method.to_owned();
        let (framing, close, old) = (self.framing, self.close, self.old);
        Some(Head { method, target, authority, absolute, framing, close, old, overridden, fields })
    }
}

/// A length: digits, no sign, and no list of the same twice.
pub(super) fn digits(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}

impl Head {
    /// Whether no other follows on its connection. One to the proxy may be of another host each time, and each gets a
    /// connection of its own.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.close || self.absolute || self.may_leave_its_body()
    }

    /// Whether it may be answered before its body was read by somebody who goes on reading there, and takes the body
    /// for another request, which nobody has looked at.
    fn may_leave_its_body(&self) -> bool {
        let reads = WITH_BODY.iter().any(|method| self.is_plainly(method));
        self.framing != Framing::Length(0) && !(reads && self.values("expect").next().is_none())
    }

    /// Whether everybody takes it for a request of this method.
    #[must_use]
    pub fn is_plainly(&self, method: &str) -> bool {
        self.method == method && !self.overridden
    }

    /// The path without its query, where it has one meaning: none that somebody who unescapes it, follows its dots
    /// or heeds a field would take for another.
    #[must_use]
    pub fn plain_path(&self) -> Option<&str> {
        let Target::Path(target) = &self.target else { return None };
        if self.overridden {
            return None;
        }
        let path = target.split('?').next().unwrap_or_default();
        is_plain(path).then_some(path)
    }

    /// The values of a field.
    pub fn values<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h str> {
        let same = self.fields.iter().filter(move |(other, _)| other.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.as_str())
    }

    /// Asks for an answer in which all can be seen: the whole of it, and in no coding.
    pub fn ask_plain(&mut self) {
        // Some take `Request-Range` for `Range`, and `A-IM` asks for what has changed.
        const OTHERWISE: [&str; 5] =
            ["accept-encoding", "range", "request-range", "if-range", "a-im"];
        let asks = |name: &str| OTHERWISE.iter().any(|other| name.eq_ignore_ascii_case(other));
        self.fields.retain(|(name, _)| !asks(name));
        self.fields.push(("Accept-Encoding".to_owned(), "identity".to_owned()));
    }

    /// The head as the upstream gets it: of this place, with nothing in it that was not understood, and
    /// with what is put into it.
    #[must_use]
    pub fn written(
        &self,
        (place, cover): (&Place, Cover),
        close: bool,
        puts: &[Put],
    ) -> Zeroizing<Vec<u8>> {
        let target = match &self.target {
            Target::Path(path) => path.as_bytes(),
            Target::Server | Target::Tunnel => b"*",
        };
        let target = Zeroizing::new(target.to_vec());
        let target = puts.iter().fold(target, |target, put| put.in_target(target));
        // Room for all of it at once, so that no part is left behind where it would grow.
        let fields = self.fields.iter().map(|(name, value)| name.len() + value.len() + 4);
        let room: usize =
            fields.sum::<usize>() + target.len() + puts.iter().map(Put::room).sum::<usize>();
        let mut text = Zeroizing::new(Vec::with_capacity(room + 512));
        let version = if self.old { "HTTP/1.0" } else { "HTTP/1.1" };
        push(&mut text, &[self.method.as_bytes(), b" ", &target, b" ", version.as_bytes()]);
        push(&mut text, &[b"\r\nHost: ", place.whom.to_string().as_bytes()]);
        let usual = match cover {
            Cover::Plain => 80,
            Cover::Tls => 443,
        };
        if place.port != usual {
            push(&mut text, &[b":", place.port.to_string().as_bytes()]);
        }
        push(&mut text, &[b"\r\n"]);
        for (name, value) in &self.fields {
            if !puts.iter().any(|put| put.replaces(name)) {
                push(&mut text, &[name.as_bytes(), b": ", value.as_bytes(), b"\r\n"]);
            }
        }
        for put in puts {
            if let Put::Field(name, value) = put {
                push(&mut text, &[name.as_bytes(), b": ", value, b"\r\n"]);
            }
        }
        match self.framing {
            Framing::Chunked => push(&mut text, &[b"Transfer-Encoding: chunked\r\n"]),
            // Whoever sends no body says so, where a body would be expected.
            Framing::Length(0) if matches!(self.method.as_str(), "GET" | "HEAD" | "OPTIONS") => {}
            Framing::Length(length) => {
                push(&mut text, &[b"Content-Length: ", length.to_string().as_bytes(), b"\r\n"]);
            }
        }
        push(&mut text, &[if close { b"Connection: close\r\n\r\n" } else { b"\r\n" }]);
        text
    }
}

fn push(text: &mut Vec<u8>, parts: &[&[u8]]) {
    parts.iter().for_each(|part| text.extend_from_slice(part));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::{Whom, tests::host};
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Read<Head>, Verdict> {
        head(text.as_bytes())
    }

    fn done(text: &str) -> Head {
        match read(text) {
            Ok(Read::Done(head, length)) => {
                assert_eq!(length, text.len());
                head
            }
            other => panic!("{text:?}: {other:?}"),
        }
    }

    fn place() -> Place {
        Place { whom: Whom::Name(host("a.example")), port: 8080 }
    }

    #[test]
    fn a_head_is_read_and_written_anew() {
        let text = "POST http://A.Example:8080/v1?x=1 HTTP/1.1\r\nhost: a.example:8080\r\nX-Mine: \t1 \r\n\
                    Proxy-Authorization: Basic eA==\r\nConnection: keep-alive, x-gone\r\nX-Gone: 1\r\n\
                    Upgrade: h2c\r\nHTTP2-Settings: x\r\nContent-Length: 3\r\n\r\n";
        let head = done(text);
        assert!(head.absolute && !head.close && head.framing == Framing::Length(3));
        assert_eq!(
            std::str::from_utf8(&head.written((&place(), Cover::Plain), true, &[])).unwrap(),
            "POST /v1?x=1 HTTP/1.1\r\nHost: a.example:8080\r\nX-Mine: 1\r\nContent-Length: 3\r\n\
             Connection: close\r\n\r\n"
        );
        let chunked =
            done("PUT / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: Chunked\r\n\r\n");
        assert_eq!(chunked.framing, Framing::Chunked);
        assert!(done("GET / HTTP/1.0\r\n\r\n").close);
        for end in 1..text.len() {
            assert_eq!(read(&text[..end]), Ok(Read::More));
        }
    }

    #[test]
    fn no_other_follows_where_a_body_may_be_left_lying() {
        let is_last = |method: &str, fields: &str| {
            done(&format!("{method} / HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n")).is_last()
        };
        let bodies = ["Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n"];
        for method in ["GET", "HEAD", "OPTIONS", "DELETE", "TRACE", "BREW"] {
            assert_eq!(bodies.map(|body| is_last(method, body)), [true; 2], "{method}");
            assert!(!is_last(method, "") && !is_last(method, "Content-Length: 0\r\n"), "{method}");
        }
        for method in ["POST", "PUT", "PATCH"] {
            for body in bodies {
                let with = |field: &str| is_last(method, &format!("{field}{body}"));
                assert!(!with(""), "{method}");
                // Who answers finally to that need not read it, nor who takes it for a GET.
                assert!(with("EXPECT: 100-continue\r\n"), "{method}");
                assert!(with("X-HTTP-Method-Override: GET\r\n"), "{method}");
            }
            assert!(!is_last(method, "Expect: 100-continue\r\n"), "{method}");
        }
    }

    #[test]
    fn what_two_may_read_differently_is_refused() {
        for text in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n folded: b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: b\nY: c\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: b\rY: c\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: b\0\r\n\r\n",
            "GET / HTTP/1.1\nHost: a\r\n\r\n",
            "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
            "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\n",
            "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://a:81/ HTTP/1.1\r\nHost: a:80\r\n\r\n",
            "GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n",
            "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: content-length\r\nContent-Length: 1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: allowed@evil\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n",
        ] {
            assert_eq!(read(text), Err(Verdict::Malformed), "{text:?}");
        }
        assert_eq!(read("\r\nGET / HTTP/1.1\r\n\r\n"), Err(Verdict::NotHttp));
        assert_eq!(head(&[b'A'; MOST]), Err(Verdict::Malformed));
        let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(FIELDS));
        assert_eq!(read(&many), Err(Verdict::Malformed));
        // As many as can be written together with ours, and one more.
        let fields = |count| {
            let fields = "X: y\r\n".repeat(count);
            read(&format!("POST / HTTP/1.0\r\n{fields}Content-Length: 1\r\n\r\n"))
        };
        let Ok(Read::Done(most, _)) = fields(FIELDS - WRITTEN) else { panic!("too many") };
        assert!(matches!(
            head(&most.written((&place(), Cover::Plain), true, &[])),
            Ok(Read::Done(..))
        ));
        assert_eq!(fields(FIELDS - WRITTEN + 1), Err(Verdict::Malformed));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_as_the_same(
            method in "[A-Z]{1,8}", path in "/[!-\"$-~]{0,20}",
            fields in proptest::collection::vec(("[A-Za-z-]{1,12}", "[ -~\t]{0,20}"), 0..8),
        ) {
            let lines: String =
                fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            let text = format!("{method} {path} HTTP/1.1\r\nHost: a.example:8080\r\n{lines}\r\n");
            if let Ok(Read::Done(first, _)) = read(&text) {
                let written = first.written((&place(), Cover::Plain), false, &[]);
                let Ok(Read::Done(again, length)) = head(&written) else { panic!("{written:?}") };
                prop_assert_eq!(length, written.len());
                prop_assert_eq!(&again.fields, &first.fields);
                prop_assert_eq!((again.framing, &again.target), (first.framing, &first.target));
                prop_assert_eq!(again.written((&place(), Cover::Plain), false, &[]), written);
            }
        }
    }
}
