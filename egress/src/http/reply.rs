//! The head of an answer: how the body after it ends, and whether what it says can be seen.

use super::head::{digits, field};
use super::{Body, FIELDS, Framing, MOST};
use crate::Read;
use sandboxd_egress_plan::Verdict;

/// The head of an answer, as it was understood. It goes on as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// How its body ends.
    pub ends: Ends,
    /// Whether nothing follows on this connection.
    pub close: bool,
    /// Whether its body is in no coding.
    pub plain: bool,
    /// Whether its body is all of what was asked for, and no part of it or change to it.
    pub whole: bool,
    /// Whether its body is a stream of events.
    pub events: bool,
}

/// How the body of an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// As its head says.
    With(Framing),
    /// With the connection.
    AtClose,
}

impl Reply {
    /// The body that follows.
    #[must_use]
    pub const fn body(&self) -> Body {
        match self.ends {
            Ends::With(framing) => Body::new(framing),
            Ends::AtClose => Body::until_the_end(),
        }
    }

    /// Whether another head follows that answers the same request.
    #[must_use]
    pub const fn is_interim(&self) -> bool {
        self.status < 200
    }
}

/// The head that these bytes begin with: an answer to a request of this method.
///
/// # Errors
/// Where they begin with something else, or are malformed, or too long, or may be read in two ways.
pub fn reply(bytes: &[u8], method: &str) -> Result<Read<Reply>, Verdict> {
    let seen = bytes.get(..MOST).unwrap_or(bytes);
    let Some(end) = seen.windows(4).position(|four| four == b"\r\n\r\n") else {
        return if seen.len() < MOST { Ok(Read::More) } else { Err(Verdict::Reply) };
    };
    // Some write names of files and the like as they have them.
    let text = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default());
    let reply = parse(&text, method).ok_or(Verdict::Reply)?;
    Ok(Read::Done(reply, end + 4))
}

fn parse(text: &str, method: &str) -> Option<Reply> {
    let mut lines = text.split("\r\n");
    let line = lines.next()?;
    if text.replace("\r\n", "").contains(['\r', '\n']) {
        return None;
    }
    let (version, rest) = line.split_once(' ')?;
    let old = match version {
        "HTTP/1.1" => false,
        "HTTP/1.0" => true,
        _ => return None,
    };
    let code = rest.split(' ').next()?;
    let status = digits(code).filter(|_| code.len() == 3)?;
    let status = u16::try_from(status).ok().filter(|status| (100..600).contains(status))?;
    // Nothing that was passed on asks for another protocol.
    if status == 101 {
        return None;
    }
    let fields = lines.map(field).collect::<Option<Vec<_>>>()?;
    if fields.len() > FIELDS {
        return None;
    }
    let all = |name: &str| {
        let same = fields.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.as_str()).collect::<Vec<&str>>()
    };
    let ends = match (&all("content-length")[..], &all("transfer-encoding")[..]) {
        ([], []) => Ends::AtClose,
        ([length], []) => Ends::With(Framing::Length(digits(length)?)),
        ([], [coding]) if coding.eq_ignore_ascii_case("chunked") && !old => {
            Ends::With(Framing::Chunked)
        }
        _ => return None,
    };
    let bodiless = method == "HEAD" || status < 200 || matches!(status, 204 | 304);
    let ends = if bodiless { Ends::With(Framing::Length(0)) } else { ends };
    let options = all("connection").join(",");
    let has = |word: &str| options.split(',').any(|one| one.trim().eq_ignore_ascii_case(word));
    let close = has("close") || (old && !has("keep-alive")) || ends == Ends::AtClose;
    let plain =
        all("content-encoding").iter().all(|coding| coding.eq_ignore_ascii_case("identity"));
    let whole = !matches!(status, 206 | 226) && all("content-range").is_empty();
    let kind = all("content-type").concat().to_ascii_lowercase();
    let events = kind.split(';').next().is_some_and(|kind| kind.trim() == "text/event-stream");
    Some(Reply { status, ends, close, plain, whole, events })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(text: &str, method: &str) -> Reply {
        match reply(text.as_bytes(), method) {
            Ok(Read::Done(reply, length)) => {
                assert_eq!(length, text.len());
                reply
            }
            other => panic!("{text:?}: {other:?}"),
        }
    }

    #[test]
    fn a_body_ends_as_its_head_says() {
        let length = done("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "GET");
        assert_eq!(length.ends, Ends::With(Framing::Length(3)));
        assert!(!length.close && length.plain && length.whole && !length.events);
        let chunked = "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\nContent-Type: Text/Event-Stream; charset=utf-8\r\n\r\n";
        let chunked = done(chunked, "POST");
        assert_eq!(chunked.ends, Ends::With(Framing::Chunked));
        assert!(chunked.events);
        for (head, method) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "HEAD"),
            ("HTTP/1.1 204\r\n\r\n", "POST"),
            ("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "GET"),
            ("HTTP/1.1 100 Continue\r\n\r\n", "POST"),
        ] {
            let reply = done(head, method);
            assert_eq!(
                (reply.ends, reply.close),
                (Ends::With(Framing::Length(0)), false),
                "{head:?}"
            );
        }
        let at_close =
            done("HTTP/1.0 200 OK\r\nContent-Encoding: gzip\r\nX: \u{e9}\r\n\r\n", "GET");
        assert!(at_close.ends == Ends::AtClose && at_close.close && !at_close.plain);
        assert!(
            done("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: x, Close\r\n\r\n", "GET")
                .close
        );
        assert!(
            !done("HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n", "GET")
                .close
        );
        assert_eq!(reply(b"HTTP/1.1 200 OK\r\nContent-Le", "GET"), Ok(Read::More));
    }

    #[test]
    fn a_part_is_not_the_whole() {
        for head in [
            "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-2/9\r\n\r\n",
            "HTTP/1.1 206 Partial Content\r\nContent-Type: multipart/byteranges\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-range: bytes 0-2/9\r\n\r\n",
            "HTTP/1.1 226 IM Used\r\nIM: vcdiff\r\n\r\n",
        ] {
            assert!(!done(head, "GET").whole, "{head:?}");
        }
    }

    #[test]
    fn what_two_may_read_differently_is_refused() {
        for text in [
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: a\nContent-Length: 3\r\n\r\n",
            "HTTP/1.1 200 OK\r\n folded: 3\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1 099 OK\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\n\r\n",
            "HTTP/2 200 OK\r\n\r\n",
            "ICY 200 OK\r\n\r\n",
            "\r\n\r\n",
        ] {
            assert_eq!(reply(text.as_bytes(), "GET"), Err(Verdict::Reply), "{text:?}");
        }
        assert_eq!(reply(&[b'A'; MOST], "GET"), Err(Verdict::Reply));
    }
}
