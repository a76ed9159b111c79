//! `sandboxd pins`.

use super::output::{count, refuse, say, warn};
use super::typed::{Pins, PinsCommand};
use super::{NOT_SET_UP, difference};
use crate::audit_folder;
use crate::explain::printable;
use crate::lasting::{Pinned, Server, Servers};
use crate::sandbox::{AuditLog, StartError};
use sandboxd_audit::record::Actor;
use sandboxd_audit::{Kind, Record};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A tool is hidden, or is not there.
const NO: u8 = 1;

pub(crate) fn pins(typed: &Pins) -> u8 {
    let done = match &typed.command {
        None => list(typed),
        Some(PinsCommand::Accept { server, tools }) => accept(server, tools),
        Some(PinsCommand::Forget { server }) => forget(server),
    };
    done.unwrap_or_else(|error| {
        refuse(&error, "pins", typed.json);
        NOT_SET_UP
    })
}

fn list(typed: &Pins) -> Result<u8, StartError> {
    let servers = Servers::open()?;
    let (mut text, mut changed) = (String::new(), 0);
    for name in servers.names()? {
        let Some(server) = servers.get(&name)? else { continue };
        changed += server.tools.values().filter(|tool| is_hidden(tool)).count();
        text.push_str(&if typed.json {
            format!("{}\n", told(&name, &server))
        } else {
            words(&name, &server, typed.all)
        });
    }
    if text.is_empty() && !typed.json {
        text = String::from("no tools seen yet\n");
    }
    let said = say(&text);
    Ok(if !said { NOT_SET_UP } else { u8::from(changed > 0) })
}

/// A server in JSON, with what differs.
fn told(name: &str, server: &Server) -> Value {
    let differs = server.tools.iter().filter_map(|(tool, it)| Some((tool, difference(it)?)));
    let differs: BTreeMap<_, _> = differs.collect();
    json!({
        "server": name, "program": server.program, "tools": server.tools, "differences": differs,
    })
}

/// What a tool says now that it did not say when it was accepted; nothing where one of the two is not kept.
fn difference(tool: &Pinned) -> Option<Vec<String>> {
    Some(difference::lines(tool.says.as_ref()?, tool.offers.as_ref()?))
}

/// The same for people.
fn differs(tool: &Pinned) -> String {
    let lines = difference(tool).unwrap_or_else(|| {
        vec![String::from("the definition is too long to be kept: ask the server for it")]
    });
    lines.iter().map(|line| format!("    {line}\n")).collect()
}

const fn is_hidden(tool: &Pinned) -> bool {
    tool.offered.is_some()
}

fn words(name: &str, server: &Server, all: bool) -> String {
    let tools = count(u64::try_from(server.tools.len()).unwrap_or(u64::MAX), "tool");
    let mut text = format!("{name}  {}, {tools}\n", printable(&server.program));
    for (tool, pinned) in &server.tools {
        let short = |digest: &str| digest.get(..12).unwrap_or(digest).to_owned();
        match &pinned.offered {
            Some(offered) => text.push_str(&format!(
                "  {tool}  changed from {} to {}, and is hidden\n{}    if this change is intended: sandboxd pins accept {name} {tool}\n",
                short(&pinned.accepted),
                short(offered),
                differs(pinned),
            )),
            None if all => text.push_str(&format!("  {tool}  {}\n", short(&pinned.accepted))),
            None => {}
        }
    }
    text
}

fn accept(name: &str, tools: &[String]) -> Result<u8, StartError> {
    let servers = Servers::open()?;
    let Some(mut server) = known(&servers, name)? else { return Ok(no_server(name)) };
    let wanted = |tool: &str| tools.is_empty() || tools.iter().any(|one| one == tool);
    if let Some(absent) = tools.iter().find(|tool| !server.tools.contains_key(*tool)) {
        warn(&format!("sandboxd pins: {name} has no tool {}\n", printable(absent)));
        return Ok(NO);
    }
    let (mut text, mut records) = (String::new(), Vec::new());
    for (tool, pinned) in server.tools.iter_mut().filter(|(tool, _)| wanted(tool)) {
        let difference = differs(pinned);
        if let Some(offered) = pinned.offered.take() {
            text.push_str(&format!("accepted: {tool} of {name}, as {offered}\n{difference}"));
            let what = json!({ "by": by(), "before": pinned.accepted, "now": offered });
            records.push(Record { tool: Some(tool.clone()), ..record(name, "accepted", what) });
            pinned.accepted = offered;
            pinned.says = pinned.offers.take();
        }
    }
    if text.is_empty() {
        text = String::from("no changed tool to accept\n");
    } else {
        written(records)?;
        servers.put(name, server)?;
        text.push_str("available from the next run on\n");
    }
    Ok(if say(&text) { 0 } else { NOT_SET_UP })
}

fn forget(name: &str) -> Result<u8, StartError> {
    let servers = Servers::open()?;
    // Not whether it is whole: this is the way out where it is not.
    if !servers.names()?.iter().any(|one| one == name) {
        return Ok(no_server(name));
    }
    written(vec![record(name, "forgotten", json!({ "by": by() }))])?;
    servers.forget(name)?;
    let text = format!("forgotten: {name}; its tools are pinned again when next seen\n");
    Ok(if say(&text) { 0 } else { NOT_SET_UP })
}

/// What whoever calls this does with a server's tools.
fn record(server: &str, rule: &str, result: Value) -> Record {
    Record {
        actor: Some(Actor { agent: server.to_owned(), ..Actor::default() }),
        rule: Some(rule.to_owned()),
        result,
        ..Record::of(Kind::Pins)
    }
}

fn by() -> Value {
    json!({ "uid": rustix::process::getuid().as_raw(), "pid": std::process::id() })
}

/// Has it in the audit log, on the disk, before it holds.
fn written(records: Vec<Record>) -> Result<(), StartError> {
    // What is told below is of no run that could go on.
    let log = AuditLog::begin(audit_folder::open, |_| {})?;
    let told = records.into_iter().try_for_each(|record| log.told(record));
    let ended = log.end();
    told.and(ended)
}

fn known(servers: &Servers, name: &str) -> Result<Option<Server>, StartError> {
    if servers.names()?.iter().any(|one| one == name) { servers.get(name) } else { Ok(None) }
}

fn no_server(name: &str) -> u8 {
    warn(&format!(
        "sandboxd pins: there is no server {}\n  remedy  use a name that sandboxd pins lists\n",
        printable(name)
    ));
    NO
}
