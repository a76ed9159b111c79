//! Where secrets of a caller stand in the arguments of its calls.

use super::{Edge, Graph};
use serde::Serialize;
use std::fmt;

/// A secret that stands in an argument of a tool.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Stands {
    secret: String,
    tool: String,
    argument: String,
}

impl fmt::Display for Stands {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { secret, tool, argument } = self;
        let argument = if argument.is_empty() { "every argument" } else { argument };
        write!(to, "{{{{secret:{secret}}}}} in {argument} of {tool}")
    }
}

impl Graph {
    /// Those of an edge, each once.
    pub(super) fn placed(&self, edge: &Edge) -> Vec<Stands> {
        let mut all = Vec::new();
        for (name, secret) in self.node(edge.caller).profile.placed() {
            let here = secret.placeholder.iter().filter(|one| one.value.call.value == edge.name);
            for placed in here {
                for tool in &placed.value.tools {
                    all.extend(placed.value.arguments.iter().map(|argument| Stands {
                        secret: name.to_string(),
                        tool: tool.value.clone(),
                        argument: argument.value.clone(),
                    }));
                }
            }
        }
        all.sort();
        all.dedup();
        all
    }
}
