//! What the broker writes into a request: who is calling, as the kernel proved it, and what the
//! callee may expect of that caller. What the caller said about itself is overwritten. And what it says on its own
//! account, where no word is a caller's: nobody is held to what comes of it.

use super::{Era, MODERN, VERSION, method::Asks};
use crate::json::{Object, Value};
use sandboxd_broker_plan::{Edge, Reverse, Speaks};

/// Keys that only the broker writes.
const OURS: &str = "dev.sandboxd/";
const CALLER: &str = "dev.sandboxd/caller";
const CHAIN: &str = "dev.sandboxd/chain";
const CLIENT: &str = "io.modelcontextprotocol/clientInfo";
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const TOKEN: &str = "progressToken";

/// What the broker calls itself.
const BROKER: &str = "sandboxd";

/// Versions up to 2025-11-25, which a handshake is for; the newest last.
const LEGACY: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

/// What a client may declare, and in how many ways.
const DECLARED: &[(&str, &[&str])] =
    &[("roots", &[]), ("elicitation", &["form", "url"]), ("sampling", &["context", "tools"])];

/// Keys of `_meta` that something is decided by, here or at a callee.
pub(super) const MEANT: &[&str] = &[CALLER, CHAIN, CLIENT, CAPABILITIES, VERSION, TOKEN];

/// Who is calling.
#[derive(Debug, Clone, Copy)]
pub struct Proof<'c> {
    /// Those on whose behalf it is, the first first, and the caller itself last.
    pub chain: &'c [&'c str],
}

impl Proof<'_> {
    fn caller(&self) -> &str {
        self.chain.last().copied().unwrap_or_default()
    }
}

/// Stamps the parameters of a request for a callee that speaks MCP.
pub fn mcp(asks: Asks, era: Era, params: &mut Object, edge: &Edge, proof: Proof<'_>) {
    if params.get("_meta").is_some() {
        let is_ours = |key: &str| key.starts_with(OURS) || (key == CLIENT && era == Era::Legacy);
        params.change("_meta", |meta| meta.retain(|key, _| !is_ours(key)));
    }
    if era == Era::Modern {
        params.change("_meta", |meta| {
            meta.set(CLIENT, info(proof.caller()));
            meta.change(CAPABILITIES, |capabilities| allowed(capabilities, edge));
        });
    }
    // One that says that it is of the newer era is a handshake nevertheless.
    if asks == Asks::Handshake {
        params.set("clientInfo", info(proof.caller()));
        params.change("capabilities", |capabilities| allowed(capabilities, edge));
    }
}

/// What `_meta` says in a request that the broker makes for itself, whoever made that necessary. A process that is for
/// one caller knows the broker by the name of that one.
pub fn own(edge: &Edge, is_for_one: bool) -> Value {
    let mut capabilities = declared(|_, _| true);
    allowed(&mut capabilities, edge);
    let name = if is_for_one { edge.caller.as_str() } else { BROKER };
    [(VERSION, MODERN.into()), (CLIENT, info(name)), (CAPABILITIES, capabilities.into())].into()
}

/// The parameters of a handshake that the broker makes as one was made before: the version and the capabilities of
/// that one, where they have a name here.
pub fn greeting(before: &Object) -> Object {
    let [.., newest] = LEGACY;
    let said = before.str("protocolVersion");
    let version = LEGACY.into_iter().find(|known| said == Some(known)).unwrap_or(newest);
    let given = before.get("capabilities").and_then(Value::as_object);
    let has = |name: &str, way: Option<&str>| {
        let of = given.and_then(|given| given.get(name));
        of.is_some_and(|of| {
            way.is_none_or(|way| of.as_object().is_some_and(|of| of.get(way).is_some()))
        })
    };
    [
        ("protocolVersion", version.into()),
        ("capabilities", declared(has).into()),
        ("clientInfo", info(BROKER)),
    ]
    .into()
}

/// The known ones of these capabilities, each in the known ones of its ways, and of those no more than that.
fn declared(has: impl Fn(&str, Option<&str>) -> bool) -> Object {
    let mut capabilities = Object::default();
    for (name, ways) in DECLARED.iter().filter(|(name, _)| has(name, None)) {
        let mut known = Object::default();
        for way in ways.iter().filter(|way| has(name, Some(way))) {
            known.set(way, Object::default().into());
        }
        capabilities.set(name, known.into());
    }
    capabilities
}

fn info(name: &str) -> Value {
    [("name", name.into()), ("version", env!("CARGO_PKG_VERSION").into())].into()
}

/// Stamps the parameters of a request for a callee that speaks JSON-RPC of its own.
pub fn json_rpc(params: &mut Object, proof: Proof<'_>) {
    let chain = proof.chain.iter().map(|name| Value::from(*name)).collect();
    params.change("_meta", |meta| {
        meta.retain(|key, _| !key.starts_with(OURS));
        meta.set(CALLER, proof.caller().into());
        meta.set(CHAIN, Value::Array(chain));
    });
}

/// What of stamped parameters their caller wrote, for whoever is asked about them: `_meta` is without what the
/// broker wrote or will, and without what every request of the newer era has and nobody can say anything by.
pub fn as_written(params: &mut Object, speaks: Speaks) {
    let Some(Value::Object(meta)) = params.get_mut("_meta") else { return };
    meta.retain(|key, value| match key {
        TOKEN => false,
        CLIENT => speaks != Speaks::Mcp,
        // Another is shown, also where it may be one some day: digits say something too.
        VERSION => value.as_str() != Some(MODERN),
        CAPABILITIES => value.as_object().is_none_or(|all| !all.is_empty()),
        _ => !key.starts_with(OURS),
    });
    if meta.is_empty() {
        params.remove("_meta");
    }
}

/// What the caller declared and the edge gives leave to.
fn allowed(capabilities: &mut Object, edge: &Edge) {
    capabilities.retain(|key, _| match key {
        "roots" => !edge.roots.is_empty(),
        "elicitation" => edge.reverse.contains(&Reverse::Elicitation),
        "sampling" => edge.reverse.contains(&Reverse::Sampling),
        // `tasks`, `extensions` and `experimental` have methods that no edge has.
        _ => false,
    });
    if capabilities.get("roots").is_some() {
        // The roots are the plan's, and do not change.
        capabilities.set("roots", Value::Object(Object::default()));
    }
}
