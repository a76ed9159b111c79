//! `sandboxd audit show`.

use super::source::{Reader, Source};
use super::words::words;
use crate::cli::NOT_SET_UP;
use crate::cli::output::say;
use crate::cli::typed::AuditShow;
use sandboxd_audit::AuditError;
use sandboxd_audit::line::Line;
use std::collections::VecDeque;
use std::time::Duration;

/// How often is looked for more.
const EVERY: Duration = Duration::from_millis(250);

/// So many bytes are printed together.
pub(super) const AT_ONCE: usize = 64 << 10;

/// What the log says of itself: shown by name only.
const OF_ITSELF: [&str; 5] = ["header", "checkpoint", "rotated", "closed", "index"];

pub(super) fn show(arguments: &AuditShow) -> Result<u8, AuditError> {
    let mut reader = Reader::new(Source::find(arguments.place.as_deref())?, arguments.since);
    if let Some(last) = arguments.last {
        let told = the_last(&mut reader, arguments, last)?;
        if !(told && arguments.follow) {
            return Ok(if told { reader.status() } else { NOT_SET_UP });
        }
    }
    loop {
        let mut text = String::new();
        let heard = reader.each(|line| {
            if is_wanted(line, arguments) {
                text.push_str(&shown(line, arguments.json));
            }
            text.len() < AT_ONCE || say(&std::mem::take(&mut text))
        })?;
        if !heard || !(text.is_empty() || say(&text)) {
            return Ok(NOT_SET_UP);
        }
        if !arguments.follow {
            return Ok(reader.status());
        }
        std::thread::sleep(EVERY);
    }
}

/// Prints the newest of those that are wanted; says whether that worked. No more than these are held.
fn the_last(reader: &mut Reader, arguments: &AuditShow, last: usize) -> Result<bool, AuditError> {
    let mut lines: VecDeque<String> = VecDeque::new();
    reader.each(|line| {
        if is_wanted(line, arguments) {
            lines.push_back(shown(line, arguments.json));
        }
        if lines.len() > last {
            lines.pop_front();
        }
        true
    })?;
    Ok(lines.iter().all(|line| say(line)))
}

fn is_wanted(line: &Line, arguments: &AuditShow) -> bool {
    let kind = match &arguments.kind {
        Some(kind) => line.kind == *kind,
        None => !OF_ITSELF.contains(&line.kind.as_str()),
    };
    let agent = arguments.agent.as_deref().is_none_or(|agent| {
        let is = |path| line.text_at(path) == Some(agent);
        is("/actor/agent") || is("/actor/instance")
    });
    kind && agent
}

fn shown(line: &Line, json: bool) -> String {
    if json { format!("{}\n", line.text) } else { format!("{}\n", words(line)) }
}
