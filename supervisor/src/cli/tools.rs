//! What whoever started `sandboxd mcp` is told of tools that are named and not there: from what is kept of its server.

use super::output::warn;
use super::run::Says;
use crate::explain::printable;
use crate::lasting::{Server, Servers, server_key};
use sandboxd_broker_plan::Pattern;
use sandboxd_profiles::Profile;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// So many are named of what a server has; it says how many there are.
const NAMED: usize = 8;

/// The tools that are named of a server, and what was said of them.
pub(super) struct Tools {
    run: String,
    server: String,
    named: Vec<Pattern>,
    says: Says,
    said: Mutex<BTreeSet<String>>,
}

impl Tools {
    pub(super) fn of(profile: &Profile, says: Says) -> Self {
        let named = profile.serve.iter().flat_map(|serve| &serve.reach.tools);
        Self {
            run: profile.name().to_owned(),
            server: server_key(profile),
            named: named.map(|tool| tool.value.clone()).collect(),
            says,
            said: Mutex::default(),
        }
    }

    /// Says what is known by now, and was not said yet; of a server that was asked for its list, also that it has nothing
    /// that is named.
    pub(super) fn tell(&self, asked: bool) {
        let Self { run, server, named, says: Says { json, quiet }, said } = self;
        if *quiet {
            return;
        }
        // Where nothing of it can be kept, by leave of the profile, nothing is known of what it has.
        let Ok(kept) = Servers::open().and_then(|all| all.get(server)) else { return };
        // Whoever panics ends this process.
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        for line in lines(named, &kept.unwrap_or_default(), asked) {
            if !said.insert(line.clone()) {
                continue;
            }
            warn(&if *json {
                format!("{}\n", json!({ "run": run, "tools": line }))
            } else {
                format!("sandboxd: {}: {line}\n", printable(run))
            });
        }
    }
}

fn lines(named: &[Pattern], server: &Server, asked: bool) -> Vec<String> {
    // Of a server nothing is known but what is named.
    if server.tools.is_empty() && asked {
        let missing = named.iter().filter(|named| named.as_str() != "*").map(|named| {
            format!(
                "{}: the server has not offered this tool, nor any other that is listed",
                printable(named.as_str())
            )
        });
        return missing.collect();
    }
    let some = |tools: &mut dyn Iterator<Item = &String>| {
        let tools: Vec<String> = tools.map(|tool| printable(tool)).collect();
        let more = tools.len().saturating_sub(NAMED);
        let some = tools.get(..NAMED).unwrap_or(&tools).join(", ");
        if more == 0 { some } else { format!("{some} and {more} more") }
    };
    let changed = server.tools.iter().filter(|(tool, known)| {
        known.offered.is_some() && named.iter().any(|named| named.matches(tool))
    });
    let changed = some(&mut changed.map(|(tool, _)| tool));
    let hidden = (!changed.is_empty())
        .then(|| format!("{changed} changed, and is hidden until it is accepted: sandboxd pins"));
    let lacks = |named: &&Pattern| !server.tools.keys().any(|tool| named.matches(tool));
    let has = some(&mut server.tools.keys());
    let missing = named.iter().filter(lacks).filter(|_| !has.is_empty());
    let missing = missing.map(|named| {
        format!(
            "{}: the server has not offered this tool; of those listed it has {has}",
            printable(named.as_str())
        )
    });
    hidden.into_iter().chain(missing).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lasting::Pinned;

    #[test]
    fn what_is_named_and_not_there_is_said_and_nothing_else() {
        let pinned = |offered: Option<&str>| Pinned {
            accepted: String::from("a"),
            says: None,
            offered: offered.map(String::from),
            offers: None,
        };
        let mut server = Server::default();
        let lines = |named: &[&str], server: &Server| {
            let named = named.iter().map(|one| Pattern::try_from(String::from(*one)).unwrap());
            super::lines(&named.collect::<Vec<_>>(), server, false)
        };
        assert!(lines(&["read"], &server).is_empty(), "nothing is known yet");
        let named = ["*", "read"].map(|one| Pattern::try_from(String::from(one)).unwrap());
        let over = super::lines(&named, &server, true);
        assert!(
            over.len() == 1
                && over.concat().starts_with("read: the server has not offered this tool"),
            "{over:?}"
        );
        server.tools.insert(String::from("hello"), pinned(Some("b")));
        server.tools.insert(String::from("read_text"), pinned(None));
        assert!(lines(&["read_*"], &server).is_empty());
        assert_eq!(
            lines(&["*"], &server),
            ["hello changed, and is hidden until it is accepted: sandboxd pins"]
        );
        let missing = [
            "red_text: the server has not offered this tool; of those listed it has hello, read_text",
        ];
        assert_eq!(lines(&["red_text"], &server), missing);
        for number in 0..NAMED {
            server.tools.insert(format!("z{number}"), pinned(None));
        }
        assert!(lines(&["red"], &server).concat().ends_with("z5 and 2 more"));
    }
}
