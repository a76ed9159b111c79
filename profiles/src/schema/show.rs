//! A profile as text again: what holds after everything is laid together, and where each value comes
//! from.

mod calls;
mod network;
mod secrets;

use super::command::ESCAPES;
use super::{Access, Must, Profile, Protect, Tty, User};
use crate::origin::{Origin, Written};
use crate::quantity::Amount;
use crate::resolved::Hangup;
use serde_json::{Map, json};
use toml::Value;

impl Profile {
    /// The effective profile as TOML, each value with a comment that says where it was written.
    #[must_use]
    pub fn to_toml(&self) -> String {
        self.text().text
    }

    /// The same for programs: `profile` is the document, and `from` says by each key where its value, or each item
    /// of its list, was written.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "it is written here, and a test reads each profile again"
    )]
    pub fn to_json(&self) -> serde_json::Value {
        let Text { text, from, .. } = self.text();
        let profile: serde_json::Value = toml::from_str(&text).expect("what is shown is TOML");
        json!({ "profile": profile, "from": from })
    }

    fn text(&self) -> Text {
        let mut text = Text::default();
        text.value("name", self.name.as_ref(), |name| string(name));
        text.value("isolation", self.isolation.as_ref(), |word| string(word.name()));
        self.command_table(&mut text);
        self.env_table(&mut text);
        self.files_table(&mut text);
        let syscalls = &self.syscalls;
        text.table("syscalls");
        text.value("base", syscalls.base.as_ref(), |base| string(base));
        for (key, list) in [("allow", &syscalls.allow), ("deny", &syscalls.deny)] {
            text.list(key, list.iter().map(|name| (string(&name.value), &name.origin)));
        }
        text.value("fileless_exec", syscalls.fileless_exec.as_ref(), bool::to_string);
        self.limits_table(&mut text);
        text.table("network");
        network::keys(&self.network, "", &mut text);
        self.call_tables(&mut text);
        self.secret_tables(&mut text);
        text.table("require");
        for (key, must) in &self.require.0 {
            text.value(key, Some(must), |must| match must {
                Must::Always => string("always"),
                Must::IfAvailable => string("if-available"),
            });
        }
        text
    }

    fn command_table(&self, text: &mut Text) {
        let command = &self.command;
        text.table("command");
        text.value("exec", command.exec.as_ref(), |words| {
            let words: Vec<String> = words.iter().map(|word| string(&word.to_string())).collect();
            format!("[{}]", words.join(", "))
        });
        text.value("sha256", command.sha256.as_ref(), |digest| string(digest));
        text.value("cwd", command.cwd.as_ref(), |cwd| string(&cwd.to_string()));
        text.value("user", command.user.as_ref(), |user| match user {
            User::Dynamic => string("dynamic"),
            User::Invoker => string("invoker"),
            User::Named(name) => string(name),
        });
        text.value("reason", command.reason.as_ref(), |reason| string(reason));
        text.value("tty", command.tty.as_ref(), |tty| match tty {
            Tty::Auto => string("auto"),
            Tty::Never => string("never"),
            Tty::Always => string("always"),
        });
        text.value("hangup", command.hangup.as_ref(), |hangup| match hangup {
            Hangup::Stop => string("stop"),
            Hangup::Forward => string("forward"),
        });
        let sockets = &command.sockets;
        text.list("sockets", sockets.iter().map(|name| (string(&name.value), &name.origin)));
        let credentials = &command.credentials;
        text.list(
            "credentials",
            credentials.iter().map(|name| (string(&name.value), &name.origin)),
        );
        text.value("notify", command.notify.as_ref(), bool::to_string);
        let word = |escape| ESCAPES.iter().find(|(_, known)| *known == escape);
        text.list(
            "escapes",
            command.escapes.iter().filter_map(|escape| {
                word(escape.value).map(|(name, _)| (string(name), &escape.origin))
            }),
        );
    }

    fn env_table(&self, text: &mut Text) {
        text.table("env");
        let pass = &self.env.pass;
        text.list(
            "pass",
            pass.iter().map(|passed| {
                let name = string(&passed.name.value);
                (entry("name", &name, false, passed.reason.as_deref()), &passed.name.origin)
            }),
        );
        for (index, (name, value)) in self.env.set.iter().enumerate() {
            let last = self.env.set.iter().rposition(|(other, _)| other == name);
            if last == Some(index) {
                text.value(&format!("set.{name}"), Some(value), |value| string(value));
            }
        }
    }

    fn files_table(&self, text: &mut Text) {
        let files = &self.files;
        text.table("files");
        for access in [Access::Read, Access::Write, Access::Execute] {
            let grants = files.grants.iter().filter(|grant| grant.access == access);
            text.list(
                access.name(),
                grants.map(|grant| {
                    let path = string(&grant.path.value.to_string());
                    let path = entry("path", &path, grant.optional, grant.reason.as_deref());
                    (path, &grant.path.origin)
                }),
            );
        }
        text.list(
            "hide",
            files.hide.iter().map(|hole| {
                let path = string(&hole.path.value.to_string());
                (entry("path", &path, hole.optional, None), &hole.path.origin)
            }),
        );
        text.value("protect", files.protect.as_ref(), |protect| match protect {
            Protect::Default => string("default"),
            Protect::Strict => string("strict"),
            Protect::Off(reason) => format!("{{ off = {} }}", string(reason)),
        });
        text.list(
            "bind",
            files.bind.iter().map(|bind| {
                let from = string(&bind.from.value.to_string());
                let to = string(&bind.to.value.to_string());
                let access = string(bind.access.name());
                let mut entry = format!("{{ from = {from}, to = {to}, access = {access}");
                extra(&mut entry, bind.optional, bind.reason.as_deref());
                (entry + " }", &bind.from.origin)
            }),
        );
        text.value("tmp", files.tmp.as_ref(), u64::to_string);
    }

    fn limits_table(&self, text: &mut Text) {
        let limits = &self.limits;
        text.table("limits");
        for (key, value, unit) in [
            ("memory", &limits.memory, ""),
            ("memory_high", &limits.memory_high, ""),
            ("swap", &limits.swap, ""),
            ("cpu_weight", &limits.cpu_weight, ""),
            ("io_read", &limits.io_read, "/s"),
            ("io_write", &limits.io_write, "/s"),
            ("processes", &limits.processes, ""),
            ("open_files", &limits.open_files, ""),
            ("file_size", &limits.file_size, ""),
            ("wall_time", &limits.wall_time, "ms"),
            ("cpu_time", &limits.cpu_time, "ms"),
            ("output", &limits.output, ""),
        ] {
            text.value(key, value.as_ref(), |amount| match amount {
                Amount::Unlimited => string("unlimited"),
                Amount::Limited(limit) if unit.is_empty() => limit.to_string(),
                Amount::Limited(limit) => string(&format!("{limit}{unit}")),
            });
        }
        text.value("cpus", limits.cpus.as_ref(), |amount| match amount {
            Amount::Unlimited => string("unlimited"),
            Amount::Limited(milli) => format!("{}.{:03}", milli / 1000, milli % 1000),
        });
    }
}

/// TOML being written. A table that has nothing in it is not.
#[derive(Default)]
struct Text {
    text: String,
    /// The table that is written, with a dot behind it; nothing before the first.
    table: String,
    /// Whether nothing has been written into it yet.
    empty: bool,
    /// Where what was written is from, by its key.
    from: Map<String, serde_json::Value>,
}

impl Text {
    fn table(&mut self, name: &str) {
        (self.table, self.empty) = (format!("{name}."), true);
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        if std::mem::take(&mut self.empty) {
            let blank = if self.text.is_empty() { "" } else { "\n" };
            self.text += &format!("{blank}[{}]\n", self.table.trim_end_matches('.'));
        }
        self.text += &format!("{line}\n");
    }

    fn is_from(&mut self, key: &str, from: serde_json::Value) {
        self.from.insert(format!("{}{key}", self.table), from);
    }

    fn value<T>(&mut self, key: &str, value: Option<&Written<T>>, show: impl Fn(&T) -> String) {
        if let Some(value) = value {
            let (shown, from) = (show(&value.value), place(&value.origin));
            self.line(format_args!("{key} = {shown}  # {from}"));
            self.is_from(key, json!(from));
        }
    }

    fn list<'o>(&mut self, key: &str, items: impl Iterator<Item = (String, &'o Origin)>) {
        let mut items = items.peekable();
        if items.peek().is_none() {
            return;
        }
        self.line(format_args!("{key} = ["));
        let mut places = Vec::new();
        for (item, origin) in items {
            let from = place(origin);
            self.line(format_args!("    {item},  # {from}"));
            places.push(from);
        }
        self.line(format_args!("]"));
        self.is_from(key, json!(places));
    }
}

/// A name of a file may hold anything; a comment is one line.
fn place(origin: &Origin) -> String {
    let file = origin.file.escape_debug();
    match origin.at {
        Some((line, _)) => format!("{file}:{line}"),
        None => file.to_string(),
    }
}

fn string(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

fn entry(key: &str, path: &str, optional: bool, reason: Option<&str>) -> String {
    if !optional && reason.is_none() {
        return path.to_owned();
    }
    let mut entry = format!("{{ {key} = {path}");
    extra(&mut entry, optional, reason);
    entry + " }"
}

fn extra(entry: &mut String, optional: bool, reason: Option<&str>) {
    if optional {
        entry.push_str(", optional = true");
    }
    if let Some(reason) = reason {
        entry.push_str(", reason = ");
        entry.push_str(&string(reason));
    }
}
