//! What a command calls through: an endpoint, the program that leads a client to it, and a list for
//! clients that read one.

use super::Deciding;
use super::trees::Shown;
use super::view::{View, fixed};
use crate::schema::Call;
use crate::schema::reach::Reach;
use sandboxd_plan::{Arrives, HostPath, JailPath, Kind, Mount, RootOp};

/// The folder of all of it.
pub(super) const FOLDER: &str = "/run/sandboxd";
/// The socket of the broker: who connects to it is the command, whatever it says.
const ENDPOINT: &str = "/run/sandboxd/broker.sock";
/// Sandboxd's own executable, for `sandboxd connect` and `sandboxd call`.
const PROGRAM: &str = "/run/sandboxd/sandboxd";
/// For clients of MCP: each edge as a server of that name.
const SERVERS: &str = "/run/sandboxd/mcp.json";

/// What is there of it.
#[derive(Debug)]
pub(super) struct Carried {
    pub(super) endpoint: JailPath,
    pub(super) program: JailPath,
    pub(super) servers: JailPath,
}

impl Deciding<'_> {
    /// An edge that nothing carries would be a promise that nothing keeps.
    pub(super) fn calls_are_carried(&mut self, carried: bool) {
        let Some(call) = self.profile.calls.values().next() else { return };
        let origin = call.origin.clone();
        if self.is_bare() {
            self.refuse(
                &origin,
                "a caller is identified by a socket that no one else can see, and without a mount view everyone can",
                "run it with isolation = \"namespaces\", or remove [call.*]",
            );
        } else if !carried {
            self.refuse(
                &origin,
                "there is no broker here to relay calls",
                "start it with sandboxd run, or remove [call.*]",
            );
        }
    }

    /// Makes it, where there is something to call.
    pub(super) fn carried(
        &mut self,
        view: &mut View,
        shown: &Shown,
        program: Option<&HostPath>,
    ) -> Option<Carried> {
        let program = program.filter(|_| !self.profile.calls.is_empty())?;
        let (endpoint, inside) = (fixed(ENDPOINT)?, fixed(PROGRAM)?);
        if fixed(FOLDER).is_none_or(|folder| shown.covers(&folder)) {
            let origin = self.profile.calls.values().next().map(|call| call.origin.clone())?;
            self.refuse(
                &origin,
                format!("needs {FOLDER}, which a grant covers"),
                "do not grant /run as a whole",
            );
            return None;
        }
        view.directory(FOLDER);
        view.file(SERVERS, self.servers(), 0o444);
        view.file(PROGRAM, String::new(), 0o444);
        view.ops.push(RootOp::Bind {
            from: program.clone(),
            to: inside.clone(),
            kind: Kind::File,
            inode: None,
            mount: Mount { read_only: true, no_exec: false, no_dev: true },
            idmap: None,
        });
        view.ops.push(RootOp::Endpoint { path: endpoint.clone(), arrives: Arrives::Calls });
        Some(Carried { endpoint, program: inside, servers: fixed(SERVERS)? })
    }

    /// What `mcp.json` of a client looks like. Where only methods may be called there is no server of MCP.
    fn servers(&self) -> String {
        let server =
            |name: &str| serde_json::json!({ "command": PROGRAM, "args": ["connect", name] });
        let speaks = |call: &Call| {
            let Reach { tools, resources, prompts, .. } = &call.reach;
            [tools, resources, prompts].into_iter().any(|names| !names.is_empty())
        };
        let calls = self.profile.calls.iter().filter(|(_, call)| speaks(&call.value));
        let servers = calls.map(|(name, _)| (name.to_string(), server(name.as_str())));
        let servers: serde_json::Map<String, serde_json::Value> = servers.collect();
        format!("{:#}\n", serde_json::json!({ "mcpServers": servers }))
    }
}
