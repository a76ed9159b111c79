//! What a caller writes: lines, messages, requests. What is none is answered here, and after so many
//! the connection is closed; no callee sees any of it.

use super::{
    CallId, ConnectionId, InstanceId, Output, Relay, rounds,
    state::{Call, Origin, Stage},
};
use crate::{
    frame::Frame,
    json::{self, JsonError, Object, Value},
    limit::{Moment, Wait},
    mcp::{
        Era,
        method::{self, Asks, Target},
        stamp::{self, Proof},
    },
    refusal::{Refusal, malformed, response},
    rpc::{self, Id, Kind, Message},
};
use sandboxd_broker_plan::record::Event;
use sandboxd_broker_plan::{Instances, Pattern, Speaks};

/// The method by which a connection says for which edge it is.
const CONNECT: &str = "dev.sandboxd/connect";

impl Relay {
    pub(super) fn caller_wrote(&mut self, id: ConnectionId, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(connection) = self.connections.get_mut(&id)
            && let Some((frame, after)) = connection.lines.push(rest)
        {
            rest = after;
            match frame {
                Frame::TooLong => self.strike(id, None, -32600, "the line is too long"),
                Frame::Line(line) if line.iter().all(u8::is_ascii_whitespace) => {}
                Frame::Line(line) => self.line(id, &line),
            }
        }
    }

    fn line(&mut self, id: ConnectionId, line: &[u8]) {
        let message = match json::parse(line) {
            Ok(value) => rpc::message(value),
            Err(error) => {
                let known = matches!(error, JsonError::Syntax | JsonError::Utf8);
                let code = if known { -32700 } else { -32600 };
                return self.strike(id, None, code, &error.to_string());
            }
        };
        let size = u64::try_from(line.len()).unwrap_or(u64::MAX);
        let Some(connection) = self.connections.get(&id) else { return };
        match message {
            Err(error) => {
                // An id that is in use would be taken for the answer of another request.
                let known = error.id.filter(|id| !connection.open.contains_key(id));
                self.strike(id, known, -32600, error.what);
            }
            Ok(message) => match connection.edge {
                None => self.first_line(id, &message),
                Some(edge) => self.message(id, edge, message, size),
            },
        }
    }

    /// A line that is no message. After so many the connection is closed.
    fn strike(&mut self, id: ConnectionId, answer: Option<Id>, code: i64, what: &str) {
        let record = self.connection_record(id, Event::Malformed);
        self.out.push(Output::Record(record));
        self.tell_caller(id, &malformed(answer, code, what));
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.strikes += 1;
        if connection.strikes >= self.plan.limits.strikes {
            let record = self.connection_record(id, Event::Struck);
            self.out.push(Output::Record(record));
            self.closed(id);
            self.out.push(Output::Close(id));
        }
    }

    /// The line that names the edge, and tools beyond which the connection wants none. A name that
    /// is no edge of this caller is answered alike, whether somebody else has one or nobody.
    fn first_line(&mut self, id: ConnectionId, message: &Message) {
        let (method, answer) = match &message.kind {
            Kind::Request { id, method } => (method, Some(id.clone())),
            Kind::Notification { method } => (method, None),
            Kind::Response { .. } => {
                return self.strike(id, None, -32600, "this responds to no request");
            }
        };
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let params = message.body.get("params").and_then(Value::as_object);
        let wanted = params.filter(|_| method == CONNECT).and_then(|params| params.str("name"));
        let only = params.and_then(|params| params.get("only")).map(patterns);
        let caller = connection.caller;
        let edge = wanted.and_then(|wanted| self.edge_named(caller, wanted));
        match (edge, &only) {
            (Some(edge), None | Some(Some(_))) => {
                self.choose(id, edge);
                if let Some(connection) = self.connections.get_mut(&id) {
                    connection.only = only.flatten();
                }
                if let Some(answer) = answer {
                    self.tell_caller(id, &response(answer, "result", Object::default().into()));
                }
            }
            _ => {
                let what = "the first line must name a callee that may be called from here";
                let record = self.connection_record(id, Event::NoEdge);
                self.out.push(Output::Record(record));
                self.denied(id, record);
                self.tell_caller(id, &malformed(answer, -31001, what));
                self.closed(id);
                self.out.push(Output::Close(id));
            }
        }
    }

    fn message(&mut self, id: ConnectionId, edge: usize, message: Message, size: u64) {
        match message.kind {
            Kind::Request { id: answer, method } => {
                let open = self.connections.get(&id);
                if open.is_some_and(|connection| connection.open.contains_key(&answer)) {
                    return self.strike(id, None, -32600, "the id of a request is in use");
                }
                let token = token(&message.body);
                let origin = Origin::Caller { connection: id, id: answer, token };
                self.request(origin, edge, &method, message.body, size);
            }
            Kind::Notification { method } => {
                self.notification(id, edge, &method, message.body, size)
            }
            Kind::Response { id: answer } => self.answered(id, &answer, message.body),
        }
    }

    fn request(&mut self, origin: Origin, edge: usize, method: &str, body: Object, size: u64) {
        let Some(by) = origin.connection() else { return };
        let Some((call, asks)) = self.call(origin, edge, method, body, size) else { return };
        let id = CallId(self.number());
        if let Some(connection) = self.connections.get_mut(&by)
            && let Origin::Caller { id: answer, .. } = &call.origin
        {
            connection.open.insert(answer.clone(), id);
        }
        self.calls.insert(id, call);
        let fits = self.counts(by);
        if self.is_revoked(edge) {
            return self.answer_revoked(id);
        }
        if let Err(wait) = self.is_heard(by) {
            return self.refuse(id, Refusal::Quarantined(wait));
        }
        // However long a callee takes to be there, until which nothing else is counted.
        if !fits {
            return self.refuse(id, Refusal::Busy(Wait::Seconds(1)));
        }
        match asks.and_then(|asks| self.prepare(id, asks)) {
            Ok(()) => self.begin(id),
            Err(refusal) => self.refuse(id, refusal),
        }
        self.weigh(id);
    }

    /// A call, as it was written, and what it asks for.
    fn call(
        &self,
        origin: Origin,
        edge: usize,
        method: &str,
        body: Object,
        size: u64,
    ) -> Option<(Call, Result<Asks, Refusal>)> {
        let (rules, _, callee) = self.rules(edge)?;
        let named = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(method));
        let named = named(&rules.reach.methods)
            && named(&callee.serves.methods)
            && !method.starts_with("dev.sandboxd/");
        let asks = match callee.speaks {
            Speaks::Mcp => Asks::of(method).or(named.then_some(Asks::Named)),
            Speaks::JsonRpc => named.then_some(Asks::Named),
        };
        // It ends when its caller wishes, and nobody else would have a turn.
        let asks =
            asks.filter(|asks| *asks != Asks::Listen || callee.instances != Instances::Serial);
        let (digest, first) = rounds::digests(&body, callee.speaks);
        let call = Call {
            chains: self.chains(origin.connection()?),
            origin,
            edge,
            instance: None,
            asks: asks.unwrap_or(Asks::Named),
            era: Era::of(body.get("params").and_then(Value::as_object)),
            method: method.to_owned(),
            target: Target::Method(method.to_owned()),
            body,
            size,
            held: 0,
            digest,
            first,
            secrets: 0,
            again: None,
            stage: Stage::Starting,
            approved: false,
            timer: None,
            began: self.now,
            sent: self.now,
            deadline: self.now,
            whole: true,
            slot: false,
            trial: false,
            progress: Moment(0),
        };
        Some((call, asks.ok_or(Refusal::Method)))
    }

    /// Looks at the parameters, and writes into them who calls.
    fn prepare(&mut self, id: CallId, asks: Asks) -> Result<(), Refusal> {
        let call = self.calls.get_mut(&id).ok_or(Refusal::Gone)?;
        // Taken out and put back: of a request that is refused nobody needs them any more.
        let params = match call.body.get_mut("params") {
            None => None,
            Some(Value::Object(params)) => Some(std::mem::take(params)),
            Some(_) => return Err(Refusal::Params("params must be an object")),
        };
        let had = params.is_some();
        let mut params = params.unwrap_or_default();
        let target = method::target(asks, &call.method, Some(&params)).map_err(Refusal::Params)?;
        let edge = call.edge;
        let (_, _, callee) = self.rules(edge).ok_or(Refusal::Gone)?;
        let again = match callee.speaks {
            Speaks::Mcp => self.made_again(id, &mut params)?,
            Speaks::JsonRpc => None,
        };
        let call = self.calls.get(&id).ok_or(Refusal::Gone)?;
        let (rules, _, callee) = self.rules(call.edge).ok_or(Refusal::Gone)?;
        // Of one process that answers several, nobody knows for whom it calls.
        let chain: Vec<&str> = match call.chains.as_slice() {
            [chain] => self.names(chain).collect(),
            _ => vec![rules.caller.as_str()],
        };
        let proof = Proof { chain: &chain };
        match callee.speaks {
            Speaks::Mcp => stamp::mcp(asks, call.era, &mut params, rules, proof),
            Speaks::JsonRpc => stamp::json_rpc(&mut params, proof),
        }
        if asks == Asks::Listen {
            params.change("notifications", |wanted| self.listenable(id, wanted));
        }
        let Some(call) = self.calls.get_mut(&id) else { return Err(Refusal::Gone) };
        if had || !params.is_empty() {
            call.body.set("params", params.into());
        }
        (call.target, call.again) = (target, again);
        Ok(())
    }

    /// Takes out of a wish for notifications the resources that the edge does not have.
    fn listenable(&self, id: CallId, wanted: &mut Object) {
        let Some(call) = self.calls.get(&id) else { return };
        if let Some(Value::Array(uris)) = wanted.get_mut("resourceSubscriptions") {
            uris.retain(|uri| {
                uri.as_str()
                    .is_some_and(|uri| self.reaches(call, &Target::Resource(uri.to_owned())))
            });
        }
    }

    fn notification(
        &mut self,
        id: ConnectionId,
        edge: usize,
        method: &str,
        body: Object,
        size: u64,
    ) {
        let Some((_, _, callee)) = self.rules(edge) else { return };
        if callee.speaks == Speaks::JsonRpc {
            return self.request(Origin::Note(id), edge, method, body, size);
        }
        match method {
            "notifications/cancelled" => {
                let params = body.get("params").and_then(Value::as_object);
                let answer = params.and_then(|params| Id::of(params.get("requestId")?));
                let connection = self.connections.get(&id);
                let call = answer.and_then(|answer| connection?.open.get(&answer).copied());
                if let Some(call) = call {
                    self.cancel(call, "the caller cancelled it");
                }
            }
            "notifications/initialized" => self.initialized(id),
            // The roots are the plan's; progress of an answer to what was asked back tells a callee
            // nothing it needs; nothing else is the protocol's.
            _ => {}
        }
    }

    /// The handshake is complete: told once to each instance.
    fn initialized(&mut self, id: ConnectionId) {
        let instance = self.connections.get(&id).and_then(|connection| connection.instance);
        if let Some(instance) = instance {
            self.initialize(instance);
        }
    }

    /// Tells an instance so, once.
    pub(super) fn initialize(&mut self, instance: InstanceId) {
        let Some(known) = self.instances.get_mut(&instance) else { return };
        if known.running && !std::mem::replace(&mut known.initialized, true) {
            let told = [("jsonrpc", "2.0".into()), ("method", "notifications/initialized".into())];
            self.tell_callee(instance, &told.into());
        }
    }
}

/// Under which token a request wants to hear of its progress.
fn token(body: &Object) -> Option<Value> {
    let meta = body.get("params")?.as_object()?.get("_meta")?.as_object()?;
    let token = meta.get("progressToken")?;
    Id::of(token).map(|_| token.clone())
}

/// A list of patterns; nothing where it is none.
fn patterns(value: &Value) -> Option<Vec<Pattern>> {
    value.as_array()?.iter().map(|text| Pattern::try_from(text.as_str()?).ok()).collect()
}
