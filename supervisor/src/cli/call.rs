//! `sandboxd call`: one call, for people and scripts.

use super::output::{refuse, say, say_json, warn};
use super::typed::{Call, Grants, Run};
use super::{NOT_SET_UP, connect, load, run};
use crate::explain::{self, printable, printable_lines};
use crate::sandbox::StartError;
use sandboxd_profiles::Problem;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Error, ErrorKind, Result, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Instant;

/// The version of MCP that it speaks.
const VERSION: &str = "2025-11-25";
/// What JSON-RPC says of a method that is not there.
const METHOD_NOT_FOUND: i64 = -32601;
/// The status that says "refused, or an error".
const NO: u8 = 1;
/// This program, inside.
const PROGRAM: &str = "/run/sandboxd/sandboxd";

pub(crate) fn call(typed: Call, since: Instant) -> u8 {
    if let Err(error) = serde_json::from_str::<serde_json::Map<String, Value>>(&typed.arguments) {
        warn(&format!(
            "sandboxd call: the arguments are not a JSON object: {error}\n  remedy  write them like '{{\"path\": \"/srv/notes\"}}'\n"
        ));
        return NOT_SET_UP;
    }
    match typed.profile {
        Some(_) => outside(typed, since),
        None => inside(&typed),
    }
}

/// The same call from inside a sandbox as the agent's, whose command it takes the place of.
fn outside(typed: Call, since: Instant) -> u8 {
    let Call { profile, json, method, name, tool, arguments } = typed;
    let mut command = vec![String::from(PROGRAM), String::from("call")];
    command.extend(json.then(|| String::from("--json")));
    command.extend(method.then(|| String::from("--method")));
    command.extend([String::from("--"), name.clone()]);
    if let Some(tool) = tool {
        command.extend([tool, arguments]);
    }
    if let Err(error) = has_edge(profile.as_deref(), &name) {
        refuse(&error, &printable(&name), json);
        return NOT_SET_UP;
    }
    let grants = Grants {
        profile,
        command: command.into_iter().map(OsString::from).collect(),
        ..Grants::default()
    };
    run::run(
        Run {
            grants,
            receipt: None,
            result_fd: None,
            metrics: None,
            tty: false,
            json: false,
            quiet: false,
        },
        since,
    )
}

/// A profile that calls nobody by this name starts nothing: inside there would be nobody to ask.
fn has_edge(profile: Option<&str>, name: &str) -> std::result::Result<(), StartError> {
    let grants = Grants { profile: profile.map(str::to_owned), ..Grants::default() };
    let calls = load::load(&grants)?.profile.calls;
    if calls.keys().any(|known| known.as_str() == name) {
        return Ok(());
    }
    let edges: Vec<String> = calls.keys().map(|known| format!("[call.{known}]")).collect();
    let (what, remedy) = match edges.as_slice() {
        [] => ("calls nobody: it has no [call.NAME]".to_owned(), "name a profile that has one"),
        edges => {
            let what = format!("has no [call.{name}]; it has {}", edges.join(", "));
            (what, "write one of these names, or add the edge to the profile")
        }
    };
    Err(StartError::Problems(vec![Problem {
        file: load::profile_name(&grants),
        at: None,
        key: String::from("call"),
        what,
        remedy: remedy.to_owned(),
    }]))
}

fn inside(typed: &Call) -> u8 {
    let broker = match connect::to(&typed.name) {
        Ok(broker) => broker,
        Err(status) => return status,
    };
    match Conversation::over(broker).and_then(|mut talk| talk.ask(typed)) {
        Ok(answer) => told(typed, &answer),
        Err(error) => {
            warn(&format!("sandboxd call: {}: {}\n", printable(&typed.name), explain::io(&error)));
            NOT_SET_UP
        }
    }
}

/// A client's side of a conversation.
struct Conversation {
    writer: UnixStream,
    reader: BufReader<UnixStream>,
    last: u64,
}

impl Conversation {
    fn over(broker: UnixStream) -> Result<Self> {
        let reader = BufReader::new(broker.try_clone()?);
        Ok(Self { writer: broker, reader, last: 0 })
    }

    /// The handshake of MCP; the answer where that is refused.
    fn begin(&mut self) -> Result<Option<Value>> {
        let params = json!({
            "protocolVersion": VERSION,
            "capabilities": {},
            "clientInfo": { "name": "sandboxd", "version": env!("CARGO_PKG_VERSION") },
        });
        let answer = self.request("initialize", &params)?;
        if answer.get("error").is_some() {
            return Ok(Some(answer));
        }
        let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        writeln!(self.writer, "{initialized}").map_err(told_closed)?;
        Ok(None)
    }

    fn ask(&mut self, typed: &Call) -> Result<Value> {
        let arguments: Value = serde_json::from_str(&typed.arguments)?;
        match &typed.tool {
            Some(method) if typed.method => return self.request(method, &arguments),
            Some(_) | None => {
                if let Some(refused) = self.begin()? {
                    return Ok(refused);
                }
            }
        }
        match &typed.tool {
            Some(tool) => {
                self.request("tools/call", &json!({ "name": tool, "arguments": arguments }))
            }
            None => self.request("tools/list", &json!({})),
        }
    }

    /// A request, and the answer to it; what else comes meanwhile is not asked for.
    fn request(&mut self, method: &str, params: &Value) -> Result<Value> {
        self.last += 1;
        let id = self.last;
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        writeln!(self.writer, "{request}").map_err(told_closed)?;
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line).map_err(told_closed)? == 0 {
                return Err(closed());
            }
            let answer: Value = serde_json::from_str(&line)?;
            if answer.get("id") == Some(&json!(id)) && answer.get("method").is_none() {
                return Ok(answer);
            }
        }
    }
}

/// The broker lets go of whoever asks for what is not there.
fn closed() -> Error {
    Error::other(
        "the broker closed the connection\n  remedy  check that the profile has a [call.NAME] of this name, and that sandboxd reports no failed start",
    )
}

/// The same, where it is found in another way.
fn told_closed(error: Error) -> Error {
    let kinds = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
    if kinds.contains(&error.kind()) { closed() } else { error }
}

fn told(typed: &Call, answer: &Value) -> u8 {
    let status = match (answer.get("error"), answer.pointer("/result/isError")) {
        (None, None | Some(Value::Bool(false))) => 0,
        _ => NO,
    };
    if typed.json {
        return if say_json(answer) { status } else { NOT_SET_UP };
    }
    if let Some(error) = answer.get("error") {
        // What speaks JSON-RPC alone has no such handshake.
        let unknown = error.get("code").and_then(Value::as_i64) == Some(METHOD_NOT_FOUND);
        let remedy = if unknown && !typed.method {
            "\n  remedy  if it does not speak MCP, name one of its methods: sandboxd call --method NAME METHOD"
        } else {
            ""
        };
        warn(&format!("sandboxd call: {}: {}{remedy}\n", printable(&typed.name), words(error)));
        return status;
    }
    let text = match &typed.tool {
        Some(_) if typed.method => result(answer),
        Some(_) => content(answer),
        None => listed(answer),
    };
    if say(&text) { status } else { NOT_SET_UP }
}

fn words(error: &Value) -> String {
    let message = error.get("message").and_then(Value::as_str);
    printable(message.unwrap_or("an error without a message"))
}

/// What a method answered with, on one line.
fn result(answer: &Value) -> String {
    format!("{}\n", printable(&answer.get("result").unwrap_or(&Value::Null).to_string()))
}

/// The text of an answer; what is no text is named.
fn content(answer: &Value) -> String {
    let parts = answer.pointer("/result/content").and_then(Value::as_array);
    let mut text = String::new();
    for part in parts.into_iter().flatten() {
        match part.get("text").and_then(Value::as_str) {
            Some(words) => text.push_str(&printable_lines(words)),
            None => {
                let kind = part.get("type").and_then(Value::as_str).unwrap_or("nothing");
                text.push_str(&format!("[{}; --json shows it]", printable(kind)));
            }
        }
        text.push('\n');
    }
    text
}

fn listed(answer: &Value) -> String {
    let tools = answer.pointer("/result/tools").and_then(Value::as_array);
    let mut text = String::new();
    for tool in tools.into_iter().flatten() {
        let word = |key| tool.get(key).and_then(Value::as_str).unwrap_or_default();
        let first = word("description").lines().next().unwrap_or_default();
        text.push_str(&format!("{:<28} {}\n", printable(word("name")), printable(first)));
    }
    text
}
