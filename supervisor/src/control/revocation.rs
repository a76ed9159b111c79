//! Edges of the call graph that are taken back while their run goes on. Whoever may have that done comes in by a socket of
//! the run, as who approves does, names one, and is answered once nothing goes over it any more.
//!
//! ```text
//!  sandboxd revoke ─▶ FOLDER/edges/RUN.socket ─▶ trusted? which? ─▶ desk: written down, nothing is started ─▶ broker
//! ```

use super::asked::{self, Asked};
use super::folder::REVOCATIONS;
use super::trusted::Approver;
use crate::sandbox::StartError;
use rustix::fd::OwnedFd;
use sandboxd_broker_plan::{BrokerPlan, Edge};
use serde_json::{Value, json};

pub(crate) use asked::answer;

/// A socket that is listened on, until this is let go of.
pub(crate) struct Revocations {
    asked: Asked,
}

/// Has the edge at this place of the plan taken back by whoever this is, who is answered on the stream.
pub(crate) type Revoke = Box<dyn Fn(usize, Approver, OwnedFd) + Send>;

impl Revocations {
    /// Listens for whoever may take back an edge of this run.
    ///
    /// # Errors
    /// Where there is no folder for it that is the user's alone.
    pub(crate) fn open(run: &str, plan: &BrokerPlan, revoke: Revoke) -> Result<Self, StartError> {
        let names: Vec<String> = plan.edges.iter().map(name).collect();
        let id = run.to_owned();
        let asked = Asked::listen(&REVOCATIONS, run, move |who, line, stream, _| {
            match meant(&names, &String::from_utf8_lossy(line)) {
                Ok(edge) => revoke(edge, who, stream),
                Err((why, remedy)) => answer(&stream, &refused(&id, &why, remedy)),
            }
        })?;
        Ok(Self { asked })
    }

    /// Lets nobody in any more, and tells what kept it from letting them in before.
    pub(crate) fn finish(self) -> Vec<String> {
        self.asked.finish()
    }
}

/// An edge as people name it.
pub(crate) fn name(edge: &Edge) -> String {
    format!("{}/{}", edge.caller, edge.name)
}

/// What is answered where an edge of a run was taken back.
pub(crate) fn revoked(run: &str, edge: &str) -> Value {
    json!({ "run": run, "edge": edge, "revoked": true })
}

/// What is answered where none was.
pub(crate) fn refused(run: &str, why: &str, remedy: &str) -> Value {
    json!({ "run": run, "revoked": false, "why": why, "remedy": remedy })
}

/// The place of the edge that somebody means by CALLER/NAME, or by NAME where no other has it.
fn meant(names: &[String], typed: &str) -> Result<usize, (String, &'static str)> {
    let is_it =
        |name: &str| name == typed || name.split_once('/').is_some_and(|(_, edge)| edge == typed);
    let found: Vec<usize> =
        names.iter().enumerate().filter(|(_, name)| is_it(name)).map(|(place, _)| place).collect();
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err((
            format!("it has no edge {typed}; it has {}", names.join(", ")),
            "name one of these; sandboxd graph shows what is called over them",
        )),
        several => {
            let all: Vec<&str> =
                several.iter().filter_map(|place| names.get(*place)).map(String::as_str).collect();
            let why = format!("several of its edges are called {typed}: {}", all.join(", "));
            Err((why, "name the one that you mean: CALLER/NAME"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_is_meant_by_its_name_where_no_other_has_it() {
        let names = ["agent/fs", "agent/hub", "hub/fs"].map(String::from);
        let meant = |typed| meant(&names, typed).map_err(|(why, _)| why);
        assert_eq!(meant("hub"), Ok(1));
        assert_eq!(meant("hub/fs"), Ok(2));
        assert_eq!(
            meant("fs").unwrap_err(),
            "several of its edges are called fs: agent/fs, hub/fs"
        );
        for none in ["", "agent", "agent/", "/fs", "agent/hub/fs", "f"] {
            let why = meant(none).unwrap_err();
            assert!(why.ends_with("; it has agent/fs, agent/hub, hub/fs"), "{none}: {why}");
        }
    }
}
