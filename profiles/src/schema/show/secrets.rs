//! `[secrets.NAME]` as text again.

use super::{Text, string};
use crate::origin::Written;
use crate::schema::{Injected, Placed, Profile, Secret, Source, Ssh};
use sandboxd_egress_plan::Spot;

impl Profile {
    pub(super) fn secret_tables(&self, text: &mut Text) {
        for (name, secret) in &self.secrets {
            text.table(&format!("secrets.{name}"));
            keys(&secret.value, text);
        }
    }
}

fn keys(secret: &Secret, text: &mut Text) {
    text.value("from", secret.from.as_ref(), |from| string(&shown(from)));
    if let Some(written) = &secret.from {
        match &written.value {
            Source::Program(_, arguments) if !arguments.is_empty() => {
                let arguments: Vec<String> = arguments.iter().map(|one| string(one)).collect();
                text.value("arguments", Some(written), |_| format!("[{}]", arguments.join(", ")));
            }
            Source::Age { identity, .. } => {
                text.value("identity", Some(written), |_| string(&identity.to_string()));
            }
            Source::Agent { socket: Some(socket), .. } => {
                text.value("socket", Some(written), |_| string(&socket.to_string()));
            }
            Source::File(_)
            | Source::Passed(_)
            | Source::Variable(_)
            | Source::Program(..)
            | Source::Agent { socket: None, .. } => {}
        }
    }
    let entries = secret.inject.iter();
    text.list("inject", entries.map(|one| (injected(&one.value), &one.origin)));
    let entries = secret.ssh.iter();
    text.list("ssh", entries.map(|one| (signs(&one.value), &one.origin)));
    let entries = secret.placeholder.iter();
    text.list("placeholder", entries.map(|one| (placed(&one.value), &one.origin)));
    text.value("credential", secret.credential.as_ref(), |name| string(name));
}

fn injected(inject: &Injected) -> String {
    let Injected { host, port, method, path, spot } = inject;
    let mut keys = vec![format!("host = {}", string(host.as_str())), format!("port = {port}")];
    keys.extend(method.iter().map(|one| format!("method = {}", string(one.as_str()))));
    keys.extend(path.iter().map(|one| format!("path = {}", string(one.as_str()))));
    match spot {
        Spot::Header { name, before, after } => {
            keys.push(format!("header = {}", string(name.as_str())));
            keys.push(format!("format = {}", string(&format!("{before}{{}}{after}"))));
        }
        Spot::Query { name } => keys.push(format!("query = {}", string(name))),
        Spot::Basic { user } => keys.push(format!("basic = {}", string(user))),
    }
    format!("{{ {} }}", keys.join(", "))
}

fn placed(Placed { call, tools, arguments }: &Placed) -> String {
    let list = |all: &[Written<String>]| texts(all.iter().map(|one| one.value.clone()).collect());
    let (call, tools, arguments) = (string(call.value.as_str()), list(tools), list(arguments));
    format!("{{ call = {call}, tools = {tools}, arguments = {arguments} }}")
}

fn texts(all: Vec<String>) -> String {
    let all: Vec<String> = all.iter().map(|one| string(one)).collect();
    format!("[{}]", all.join(", "))
}

fn signs(Ssh { hosts, host_keys, known_hosts, sign }: &Ssh) -> String {
    let mut keys = Vec::new();
    for (name, all) in [
        ("hosts", hosts.iter().map(|one| one.value.to_string()).collect::<Vec<_>>()),
        ("host_keys", host_keys.iter().map(|one| one.value.as_str().to_owned()).collect()),
        ("sign", sign.iter().map(|one| one.value.clone()).collect()),
    ] {
        if !all.is_empty() {
            keys.push(format!("{name} = {}", texts(all)));
        }
    }
    let file = known_hosts.iter();
    keys.extend(file.map(|one| format!("known_hosts = {}", string(&one.value.to_string()))));
    format!("{{ {} }}", keys.join(", "))
}

fn shown(from: &Source) -> String {
    match from {
        Source::File(place) => format!("file:{place}"),
        Source::Passed(name) => format!("systemd:{name}"),
        Source::Variable(name) => format!("env:{name}"),
        Source::Program(place, _) => format!("exec:{place}"),
        Source::Age { file, .. } => format!("age:{file}"),
        Source::Agent { key, .. } => format!("agent:{key}"),
    }
}
