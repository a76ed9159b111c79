//! `[call.NAME]`, `[serve]` and `[budget]` as text.

use super::{Text, entry, string};
use crate::origin::Written;
use crate::quantity::Amount;
use crate::schema::reach::Reach;
use crate::schema::{Access, Budget, Call, EdgeGrant, Instances, Network, Price, Profile};
use sandboxd_broker_plan::Rate;
use serde_json::Value;

impl Profile {
    pub(super) fn call_tables(&self, text: &mut Text) {
        for (name, call) in &self.calls {
            text.table(&format!("call.{name}"));
            call_table(&call.value, text);
        }
        if let Some(serve) = &self.serve {
            text.table("serve");
            text.value("speaks", serve.speaks.as_ref(), |speaks| string(speaks.name()));
            reach(&serve.reach, text);
            text.list("ask", serve.ask.iter().map(|one| (string(one.value.as_str()), &one.origin)));
            text.value("durable", serve.durable.as_ref(), bool::to_string);
            text.value("instances", serve.instances.as_ref(), |instances| match instances {
                Instances::Own(reason) => format!("{{ own = {} }}", string(reason)),
                Instances::PerCaller | Instances::Serial | Instances::Attenuate => {
                    string(instances.name())
                }
            });
            text.value("rate", serve.rate.as_ref(), rate);
            text.value("in_flight", serve.in_flight.as_ref(), amount);
            text.table("serve.client");
            call_table(&serve.client, text);
        }
        text.table("budget");
        let Budget { calls, rate: often, connections, tokens, cost, bytes, prices, of: _ } =
            &self.budget;
        text.value("calls", calls.as_ref(), amount);
        text.value("rate", often.as_ref(), rate);
        text.value("connections", connections.as_ref(), amount);
        text.value("tokens", tokens.as_ref(), amount);
        text.value("cost", cost.as_ref(), money);
        text.value("bytes", bytes.as_ref(), amount);
        for (model, written) in prices {
            text.value(&format!("prices.{}", name(model.as_str())), Some(written), price);
        }
    }
}

fn call_table(call: &Call, text: &mut Text) {
    text.value("profile", call.profile.as_ref(), |place| string(&place.to_string()));
    reach(&call.reach, text);
    arguments(call, text);
    text.value("rate", call.rate.as_ref(), rate);
    text.value("in_flight", call.in_flight.as_ref(), amount);
    text.value("deadline", call.deadline.as_ref(), |ms| string(&format!("{ms}ms")));
    text.value("max_request", call.max_request.as_ref(), u64::to_string);
    text.value("max_result", call.max_result.as_ref(), u64::to_string);
    text.value("approval", call.approval.as_ref(), |approval| string(approval.name()));
    text.value("approval_within", call.approval_within.as_ref(), |ms| string(&format!("{ms}ms")));
    text.value("expires", call.expires.as_ref(), |ms| string(&format!("{ms}ms")));
    text.value("durable", call.durable.as_ref(), bool::to_string);
    text.list("reverse", call.reverse.iter().map(|word| (string(word.value.name()), &word.origin)));
    text.value("instructions", call.instructions.as_ref(), bool::to_string);
    text.value("ready", call.ready.as_ref(), u64::to_string);
    text.value("cycle", call.cycle.as_ref(), |reason| string(reason));
    if let Some(written) = &call.grant {
        grant(written, text);
    }
}

fn reach(reach: &Reach, text: &mut Text) {
    for (key, list) in reach.lists() {
        text.list(key, list.iter().map(|one| (string(one.value.as_str()), &one.origin)));
    }
}

/// All the schemas of one tool hold, so that together they are one.
fn arguments(call: &Call, text: &mut Text) {
    for (index, (tool, written)) in call.arguments.iter().enumerate() {
        let of_tool = |(other, schema): &(String, Written<Value>)| {
            (other == tool).then(|| json(&schema.value))
        };
        let first = call.arguments.iter().position(|(other, _)| other == tool);
        if first != Some(index) {
            continue;
        }
        let all: Vec<String> = call.arguments.iter().filter_map(of_tool).collect();
        let shown = match all.as_slice() {
            [one] => one.clone(),
            several => format!("{{ allOf = [{}] }}", several.join(", ")),
        };
        text.value(&format!("arguments.{}", name(tool)), Some(written), |_| shown.clone());
    }
}

fn grant(written: &Written<EdgeGrant>, text: &mut Text) {
    let grant = &written.value;
    let network = &grant.network;
    if grant.files.is_empty() && *network == Network::default() {
        text.value("grant", Some(written), |_| "{}".to_owned());
    }
    for access in [Access::Read, Access::Write, Access::Execute] {
        let entries = grant.files.iter().filter(|grant| grant.access == access);
        text.list(
            &format!("grant.files.{}", access.name()),
            entries.map(|grant| {
                let path = string(&grant.path.value.to_string());
                let path = entry("path", &path, grant.optional, grant.reason.as_deref());
                (path, &grant.path.origin)
            }),
        );
    }
    super::network::keys(network, "grant.network.", text);
}

fn money(amount: &Amount) -> String {
    amount.limit().map_or_else(|| string("unlimited"), decimal)
}

/// Billionths as a number.
fn decimal(billionths: u64) -> String {
    let text = sandboxd_egress_plan::money(billionths);
    if text.contains('.') { text } else { format!("{text}.0") }
}

fn price(price: &Price) -> String {
    let Price { input, output, cached, cache_write } = price;
    let mut text = format!("{{ input = {}, output = {}", decimal(*input), decimal(*output));
    for (key, price) in [("cached", cached), ("cache_write", cache_write)] {
        if let Some(price) = price {
            text.push_str(&format!(", {key} = {}", decimal(*price)));
        }
    }
    text + " }"
}

pub(super) fn amount(amount: &Amount) -> String {
    match amount {
        Amount::Unlimited => string("unlimited"),
        Amount::Limited(limit) => limit.to_string(),
    }
}

pub(super) fn rate(rate: &Rate) -> String {
    match rate {
        Rate::Unlimited => string("unlimited"),
        Rate::Per { count: 0, .. } => string("0"),
        Rate::Per { count, period, burst } => {
            let period = match period.0 {
                1000 => "s".to_owned(),
                60_000 => "min".to_owned(),
                3_600_000 => "h".to_owned(),
                ms => format!("{}s", ms / 1000),
            };
            string(&format!("{count}/{period} burst {burst}"))
        }
    }
}

/// A key, in quotes where it needs them.
fn name(text: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !text.is_empty() && text.bytes().all(bare) { text.to_owned() } else { string(text) }
}

/// JSON as TOML, on one line.
fn json(value: &Value) -> String {
    match value {
        // A schema is read from TOML, which has no null.
        Value::Null => string(""),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => string(text),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(json).collect::<Vec<_>>().join(", "))
        }
        Value::Object(map) if map.is_empty() => "{}".to_owned(),
        Value::Object(map) => {
            let entries: Vec<String> =
                map.iter().map(|(key, value)| format!("{} = {}", name(key), json(value))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
    }
}
