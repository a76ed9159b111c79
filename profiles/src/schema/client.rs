//! `[serve.client]`: how the client of `sandboxd mcp` calls, in the words of `[call.NAME]`.
//!
//! It has no profile of its own. What `[serve]` says for all callers is not repeated here.

use super::call::{self, Call};
use super::{Key, Shape};
use crate::reader::{Node, Reader};

/// The keys of `[serve.client]`, and where those of a call are said that are none.
pub(crate) const KEYS: &[Key] = &[
    call::ARGUMENTS,
    call::DEADLINE,
    call::MAX_REQUEST,
    call::MAX_RESULT,
    call::APPROVAL_WITHIN,
    call::REVERSE,
    call::INSTRUCTIONS,
    not_here("tools", IN_SERVE),
    not_here("resources", IN_SERVE),
    not_here("prompts", IN_SERVE),
    not_here("methods", IN_SERVE),
    not_here("rate", IN_SERVE),
    not_here("in_flight", IN_SERVE),
    not_here("durable", IN_SERVE),
    not_here("approval", "list in [serve] ask what needs approval; \"*\" for all"),
    not_here("profile", OF_AN_EDGE),
    not_here("ready", OF_AN_EDGE),
    not_here("cycle", OF_AN_EDGE),
    not_here("expires", "remove it: the client's access ends with its run (sandboxd stop)"),
    not_here(
        "grant",
        "remove it: this profile already says what the server may do, for a client, too",
    ),
];

const IN_SERVE: &str = "write it into [serve], which applies to all callers, including a client";
const OF_AN_EDGE: &str = "remove it: the one client is there from the start, and serves nothing";

const fn not_here(name: &'static str, remedy: &'static str) -> Key {
    Key { name, doc: "", shape: Shape::Refused("does not apply to a client", remedy) }
}

pub(super) fn read<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Call {
    call::read(reader, node, KEYS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_of_a_call_is_one_of_a_client_or_says_where_it_is_said() {
        for key in call::KEYS {
            assert!(KEYS.iter().any(|own| own.name == key.name), "{}", key.name);
        }
    }
}
