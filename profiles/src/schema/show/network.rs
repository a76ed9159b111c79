//! `[network]` as text again.

use super::calls::{amount, rate};
use super::{Text, string};
use crate::quantity::Amount;
use crate::schema::Network;
use crate::schema::deadlines::EgressDeadlines;
use crate::schema::egress::{Egress, EgressLimits};

/// Its keys, each after this.
pub(super) fn keys(network: &Network, before: &str, text: &mut Text) {
    let key = |name: &str| format!("{before}{name}");
    text.value(&key("mode"), network.mode.as_ref(), |mode| string(mode.name()));
    text.value(&key("reason"), network.reason.as_ref(), |reason| string(reason));
    let entries = network.egress.iter();
    text.list(&key("egress"), entries.map(|entry| (shown(&entry.value), &entry.origin)));
    text.value(&key("way"), network.way.as_ref(), |way| string(way.name()));
    let EgressLimits { connections, rate: often, up, down } = &network.limits;
    text.value(&key("connections"), connections.as_ref(), amount);
    text.value(&key("rate"), often.as_ref(), rate);
    text.value(&key("up"), up.as_ref(), amount);
    text.value(&key("down"), down.as_ref(), amount);
    let EgressDeadlines { idle, total } = &network.deadlines;
    text.value(&key("idle"), idle.as_ref(), milliseconds);
    text.value(&key("total"), total.as_ref(), milliseconds);
}

fn shown(entry: &Egress) -> String {
    let mut more = Vec::new();
    let within: Vec<String> =
        entry.within.iter().map(|network| string(&network.to_string())).collect();
    if !within.is_empty() {
        more.push(format!("within = [{}]", within.join(", ")));
    }
    let EgressLimits { connections, rate: often, up, down } = &entry.limits;
    more.extend(connections.as_ref().map(|one| format!("connections = {}", amount(&one.value))));
    more.extend(often.as_ref().map(|one| format!("rate = {}", rate(&one.value))));
    more.extend(up.as_ref().map(|one| format!("up = {}", amount(&one.value))));
    more.extend(down.as_ref().map(|one| format!("down = {}", amount(&one.value))));
    more.extend(entry.model.then(|| "model = true".to_owned()));
    let EgressDeadlines { idle, total } = &entry.deadlines;
    more.extend(idle.as_ref().map(|time| format!("idle = {}", milliseconds(&time.value))));
    more.extend(total.as_ref().map(|time| format!("total = {}", milliseconds(&time.value))));
    let text = string(&entry.text);
    if more.is_empty() {
        return text;
    }
    format!("{{ to = {text}, {} }}", more.join(", "))
}

fn milliseconds(time: &Amount) -> String {
    match time {
        Amount::Unlimited => string("unlimited"),
        Amount::Limited(limit) => string(&format!("{limit}ms")),
    }
}
