//! Paths of requests: where one begins in an entry, and whether any request has it.

use super::egress::{Wrong, wrong};
use sandboxd_broker_plan::{Pattern, plain::is_plain};
use std::net::Ipv4Addr;

/// The host with its port, and the path. What may be the length of a prefix after an address is one:
/// `10.20.0.0/16/v1`.
pub(super) fn parted(text: &str) -> Option<(&str, &str)> {
    let slash = |from: usize| text.get(from..)?.find('/').map(|at| from + at);
    let bracket = text.find(']').filter(|_| text.starts_with('['));
    let first = slash(bracket.unwrap_or(0))?;
    let (host, rest) = text.split_at_checked(first)?;
    let length = rest.get(1..)?.split(['/', ':']).next().unwrap_or_default();
    let is_length = length.parse::<u8>().is_ok_and(|bits| bits <= 32 && bits.to_string() == length);
    let place = if is_length && host.parse::<Ipv4Addr>().is_ok() {
        slash(first + 1 + length.len())?
    } else {
        first
    };
    text.split_at_checked(place)
}

/// Whether a request for such a path is ever let out: it is compared with what a client sends, without
/// the query, and one that can be read in two ways is refused.
pub(super) fn asked_for(path: &Pattern) -> Result<(), Wrong> {
    // What ends with a star is where some path begins.
    let beginning = path.as_str().strip_suffix('*').map(|beginning| format!("{beginning}x"));
    let path = beginning.as_deref().unwrap_or(path.as_str());
    if path.bytes().any(|byte| !byte.is_ascii_graphic() || matches!(byte, b'?' | b'#')) {
        return Err(wrong(
            "no request has such a path: it ends before ? and #, and special characters are escaped",
            "write it as it is sent, without the query, as in /v1/two%20words",
        ));
    }
    if !is_plain(path) {
        return Err(wrong(
            "ambiguous paths are never allowed (\"..\", //, ;, \\, %2e, %2f, %5c, %25, %00)",
            "write one without these, or an entry without a method and path, which allows all requests",
        ));
    }
    Ok(())
}
