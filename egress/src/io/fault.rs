//! What a client is answered that is not let out, in the words of what it speaks.

use crate::{hello, http, model::api::Format, rule::Place, socks::Reply};
use sandboxd_egress_plan::Verdict;

/// Whose doing it is.
enum Fault {
    /// The client said what is none.
    Words,
    /// No rule has it.
    Rules,
    /// There is too much of it.
    Much,
    /// Whoever is out there.
    Upstream,
}

const fn fault(verdict: Verdict) -> Fault {
    match verdict {
        Verdict::Malformed
        | Verdict::NotHttp
        | Verdict::NotTls
        | Verdict::Slow
        | Verdict::Distrusted
        | Verdict::NotHttp1 => Fault::Words,
        Verdict::Rate
        | Verdict::Connections
        | Verdict::Pending
        | Verdict::Spent
        | Verdict::Budget => Fault::Much,
        Verdict::Unresolved
        | Verdict::Unreachable
        | Verdict::Broken
        | Verdict::Broke
        | Verdict::Untrusted
        | Verdict::Encoded
        | Verdict::Partial
        | Verdict::Reply => Fault::Upstream,
        Verdict::Carried
        | Verdict::NoRule
        | Verdict::UnknownAddress
        | Verdict::NoServerName
        | Verdict::ServerName
        | Verdict::EncryptedHello
        | Verdict::HostHeader
        | Verdict::Request
        | Verdict::Uncounted
        | Verdict::PrivateAddress
        | Verdict::Idle
        | Verdict::Total
        | Verdict::Ended => Fault::Rules,
    }
}

/// As a status of HTTP.
const fn status(verdict: Verdict) -> &'static str {
    match fault(verdict) {
        Fault::Words => "400 Bad Request",
        Fault::Rules => "403 Forbidden",
        Fault::Much => "429 Too Many Requests",
        Fault::Upstream => "502 Bad Gateway",
    }
}

/// In HTTP.
pub(super) fn refusal(verdict: Verdict, place: Option<&Place>) -> Vec<u8> {
    let status = status(verdict);
    let whom = place.map(|place| format!("{place}: ")).unwrap_or_default();
    http::answer(status, &format!("sandboxd: {whom}{}", verdict.text()))
}

/// Why a request or an answer goes no further, and what the client is told of that.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) verdict: Verdict,
    pub(super) words: Vec<u8>,
}

impl Refused {
    pub(super) fn plain(verdict: Verdict, place: &Place) -> Self {
        Self { verdict, words: refusal(verdict, Some(place)) }
    }

    /// In the words of a model API.
    pub(super) fn of(format: Format, verdict: Verdict, why: &str) -> Self {
        Self { verdict, words: format.refusal(status(verdict), &format!("sandboxd: {why}")) }
    }
}

/// In SOCKS.
pub(super) const fn reply(verdict: Verdict) -> Reply {
    match fault(verdict) {
        Fault::Words => Reply::Malformed,
        Fault::Rules | Fault::Much => Reply::NotAllowed,
        Fault::Upstream => Reply::Unreachable,
    }
}

/// In TLS.
pub(super) const fn alert(verdict: Verdict) -> [u8; 7] {
    hello::alert(matches!(verdict, Verdict::ServerName | Verdict::NoServerName))
}
