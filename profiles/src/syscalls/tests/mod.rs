//! What the filters promise, checked on the programs themselves.
//!
//! [`interpreter`] runs a program as the kernel would; `oracle` compares every program with the one
//! seccompiler makes of the same verdicts; `matrix` keeps every verdict in a golden file; `data`
//! looks for lines nobody needs; `numbers` compares the table with the kernel's headers; `promises`
//! names what must hold.

mod data;
mod interpreter;
mod matrix;
mod numbers;
mod oracle;
mod promises;
mod samples;

use super::{Rules, Sharing, Sockets};

/// Rules without a profile's own additions, on the newest kernel.
fn plain(base: &str, sockets: Sockets) -> Rules<'_> {
    let sharing = Sharing::Nothing;
    Rules { base, allow: &[], deny: &[], sockets, sharing, last_syscall: u32::MAX }
}

/// Every base in both network modes.
fn everything() -> impl Iterator<Item = Rules<'static>> {
    let shared = |rules| {
        let sharing = Sharing::Host { fileless_exec: false, attributes: true };
        Rules { sharing, ..rules }
    };
    super::bases().flat_map(move |(base, _)| {
        [
            plain(base, Sockets::UnixOnly),
            plain(base, Sockets::Inet),
            shared(plain(base, Sockets::PairsOnly)),
            shared(plain(base, Sockets::InetOnly)),
        ]
    })
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(String::from).collect()
}

fn numbers_of(text: &str) -> Vec<u32> {
    text.split_whitespace()
        .map(|name| super::number(name).unwrap_or_else(|| panic!("no call {name}")))
        .collect()
}
