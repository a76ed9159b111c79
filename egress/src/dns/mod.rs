//! DNS, both ends of it: the answers that a sandbox gets ([`answer`]) and the questions that are asked
//! outside ([`ask`]). They share only how a name is written ([`wire`]).

pub mod answer;
pub mod ask;
mod wire;

/// The kinds of records that are known here.
const A: u16 = 1;
const CNAME: u16 = 5;
const AAAA: u16 = 28;
const OPT: u16 = 41;
/// The only class.
const IN: u16 = 1;
/// The bytes of a header.
const HEADER: usize = 12;
