//! What may be called: names and beginnings of names, in `[call.NAME]` and in `[serve]` alike.

use crate::origin::Written;
use crate::reader::{Node, Reader};
use sandboxd_broker_plan::Pattern;

/// Names of what may be called. A list without an entry allows nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// Of `tools/call`.
    pub tools: Vec<Written<Pattern>>,
    /// URIs of `resources/read`.
    pub resources: Vec<Written<Pattern>>,
    /// Of `prompts/get`.
    pub prompts: Vec<Written<Pattern>>,
    /// Of JSON-RPC, beyond those of MCP.
    pub methods: Vec<Written<Pattern>>,
}

impl Reach {
    pub(crate) fn lay(&mut self, over: Self) {
        self.tools.extend(over.tools);
        self.resources.extend(over.resources);
        self.prompts.extend(over.prompts);
        self.methods.extend(over.methods);
    }

    /// Whether it allows nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.lists().iter().all(|(_, list)| list.is_empty())
    }

    /// The lists with their keys.
    pub(crate) fn lists(&self) -> [(&'static str, &[Written<Pattern>]); 4] {
        [
            ("tools", &self.tools),
            ("resources", &self.resources),
            ("prompts", &self.prompts),
            ("methods", &self.methods),
        ]
    }

    /// Reads a key that is one of the lists; says whether it was.
    pub(crate) fn read<'d>(&mut self, reader: &mut Reader<'d>, node: &Node<'d>) -> bool {
        let list = match node.name() {
            "tools" => &mut self.tools,
            "resources" => {
                self.resources = reader.list(node, resource);
                return true;
            }
            "prompts" => &mut self.prompts,
            "methods" => &mut self.methods,
            _ => return false,
        };
        *list = reader.list(node, pattern);
        true
    }
}

pub(crate) fn pattern<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Option<Written<Pattern>> {
    let text = reader.text(node)?;
    match Pattern::try_from(text.value.as_str()) {
        Ok(pattern) => Some(text.map(|_| pattern)),
        Err(error) => {
            let remedy = "write a name, a prefix and * (\"read_*\"), or \"*\" for all";
            reader.refuse(node, error.to_string(), remedy);
            None
        }
    }
}

/// A pattern that some URI has: by its beginning none is read that may be read in two ways.
fn resource<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Option<Written<Pattern>> {
    let found = pattern(reader, node)?;
    let some = found.value.as_str().replace('*', "x");
    if !found.value.matches_uri(&some) {
        let remedy = "write a prefix without these, or the whole URI, or \"*\" for all";
        let what =
            "ambiguous prefixes of URIs are never allowed (\"..\", //, ;, \\, %2e, %2f, %5c, %25)";
        reader.refuse(node, what.to_owned(), remedy);
        return None;
    }
    Some(found)
}
