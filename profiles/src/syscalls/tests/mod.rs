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

use super::{Rules, Sockets};

/// Rules without a profile's own additions, on the newest kernel.
fn plain(base: &str, sockets: Sockets) -> Rules<'_> {
    Rules { base, allow: &[], deny: &[], sockets, last_syscall: u32::MAX }
}

/// Every base in both network modes.
fn everything() -> impl Iterator<Item = Rules<'static>> {
    super::bases()
        .flat_map(|(base, _)| [Sockets::UnixOnly, Sockets::Inet].map(|mode| plain(base, mode)))
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(String::from).collect()
}

fn numbers_of(text: &str) -> Vec<u32> {
    text.split_whitespace()
        .map(|name| super::number(name).unwrap_or_else(|| panic!("no call {name}")))
        .collect()
}
