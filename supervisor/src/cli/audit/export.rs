//! `sandboxd audit export`.

use super::show::AT_ONCE;
use super::source::{Reader, Source};
use crate::cli::NOT_SET_UP;
use crate::cli::output::say;
use crate::cli::typed::{AuditExport, AuditFormat};
use sandboxd_audit::AuditError;
use sandboxd_audit::line::Line;
use sandboxd_audit::note::Note;
use sandboxd_audit::time::Stamp;
use serde_json::Value;
use std::collections::BTreeMap;

pub(super) fn export(arguments: &AuditExport) -> Result<u8, AuditError> {
    let mut reader = Reader::new(Source::find(arguments.place.as_deref())?, arguments.since);
    let (mut text, mut last) = (String::new(), Checkpoints::new());
    let heard = reader.each(|line| {
        match arguments.format {
            AuditFormat::Jsonl => text.push_str(&format!("{}\n", line.text)),
            AuditFormat::Cef => text.extend(cef(line)),
            AuditFormat::Checkpoints => checkpoint(line, &mut last),
        }
        text.len() < AT_ONCE || say(&std::mem::take(&mut text))
    })?;
    text.push_str(&notes(last));
    Ok(if heard && say(&text) { reader.status() } else { NOT_SET_UP })
}

/// Of each segment, how many records its last checkpoint signs, and the note.
type Checkpoints = BTreeMap<String, (u64, String)>;

/// An empty line ends each, so that another export may be written behind it.
fn notes(last: Checkpoints) -> String {
    last.into_values().map(|(_, note)| format!("{note}\n")).collect()
}

/// Keeps the last checkpoint of each segment.
fn checkpoint(line: &Line, last: &mut Checkpoints) {
    let Some(text) = line.text_at("/detail/note") else { return };
    let Some(note) = Note::parse(text) else { return };
    let known = last.entry(note.origin).or_default();
    if known.0 <= note.size {
        *known = (note.size, text.to_owned());
    }
}

/// Texts of a record for which the format has no name of its own. It has room for six.
const LABELS: [(&str, &str); 6] = [
    ("sandbox", "/actor/instance"),
    ("profile", "/actor/agent"),
    ("error", "/result/error"),
    ("edge", "/edge"),
    ("callee", "/call/callee"),
    ("tool", "/tool"),
];

/// A line of the Common Event Format; nothing for what the log says of itself.
fn cef(line: &Line) -> Option<String> {
    let (name, severity) = match line.kind.as_str() {
        "started" => ("Sandbox started", 3),
        "refused" => ("Sandbox refused", 6),
        "ended" => ("Sandbox ended", 3),
        "connected" if line.text_at("/decision") == Some("refused") => ("Connection denied", 8),
        "connected" => ("Connection accepted", 1),
        "call" if line.text_at("/decision") == Some("refused") => ("Call refused", 6),
        "call" => ("Call allowed", 2),
        "answered" => ("Call ended", 2),
        "noticed" => ("Call notice", 5),
        "egress" if line.text_at("/decision") == Some("refused") => ("Egress denied", 6),
        "egress" => ("Egress allowed", 2),
        "signature" if line.text_at("/decision") == Some("refused") => ("Signature refused", 6),
        "signature" => ("Signature made", 2),
        _ => return None,
    };
    let mut pairs = Vec::new();
    let mut add = |key: &str, value: Option<String>| {
        pairs.extend(value.map(|value| format!("{key}={}", escaped(&value))));
    };
    let text = |path| line.text_at(path).map(str::to_owned);
    let number = |path| line.at(path).and_then(Value::as_u64).map(|number| number.to_string());
    add("rt", Stamp::parse(&line.ts).map(|at| at.0.to_string()));
    add("externalId", Some(line.seq.to_string()));
    add("sproc", text("/method"));
    add("spid", number("/actor/pid"));
    add("suid", number("/actor/uid"));
    add("reason", text("/rule"));
    add("dhost", text("/result/name"));
    add("dst", text("/result/address"));
    add("dpt", number("/result/port"));
    add("out", number("/result/up_bytes"));
    add("in", number("/result/down_bytes"));
    add("outcome", number("/result/exit").map(|exit| format!("exit {exit}")));
    for (number, (label, path)) in LABELS.iter().enumerate() {
        if let Some(value) = text(path) {
            add(&format!("cs{}", number + 1), Some(value));
            add(&format!("cs{}Label", number + 1), Some((*label).to_owned()));
        }
    }
    let version = env!("CARGO_PKG_VERSION");
    let kind = &line.kind;
    Some(format!(
        "CEF:0|sandboxd|sandboxd|{version}|{kind}|{name}|{severity}|{}\n",
        pairs.join(" ")
    ))
}

/// What a value of an extension must not hold as it is.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('=', "\\=").replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_export_of_checkpoints_may_be_written_behind_another() {
        let note = |number| format!("x/{number}\n7\n{0}=\n\n— x/{number} {0}=\n", "A".repeat(43));
        let last = || (0..2).map(|number| (number.to_string(), (7, note(number)))).collect();
        let text = notes(last()) + &notes(last());
        assert_eq!(Note::parse_all(&text).map(|notes| notes.len()), Some(4), "{text}");
        // Notes that are read by what ends at an empty line.
        assert_eq!(text.matches("=\n\nx/").count(), 3, "{text}");
    }
}
