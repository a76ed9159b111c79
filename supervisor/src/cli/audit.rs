//! `sandboxd audit`.

mod export;
mod merged;
mod show;
mod source;
mod words;

use super::NOT_SET_UP;
use super::output::{count, say, say_json, say_json_line, warn};
use super::typed::{AuditCommand, AuditVerify};
use crate::audit_folder::{self, line};
use crate::explain::printable;
use sandboxd_audit::note::Note;
use sandboxd_audit::time::Stamp;
use sandboxd_audit::verify::{self, Expired, Report};
use sandboxd_audit::{AuditError, Folder};
use serde::Serialize;
pub(in crate::cli) use source::{Reader, Source, since};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

pub(crate) fn audit(command: AuditCommand) -> u8 {
    // Where each line is an object, so is this one.
    let (json, lines) = match &command {
        AuditCommand::Show(arguments) => (arguments.json, true),
        AuditCommand::Verify(arguments) => (arguments.json, false),
        AuditCommand::Export(_) => (false, false),
    };
    let done = match command {
        AuditCommand::Show(arguments) => show::show(&arguments),
        AuditCommand::Verify(arguments) => verify(&arguments),
        AuditCommand::Export(arguments) => export::export(&arguments),
    };
    done.unwrap_or_else(|error| {
        if json && lines {
            say_json_line(&unread_json(&error));
        } else {
            unread(&error, json);
        }
        NOT_SET_UP
    })
}

/// Says why a log could not be read.
pub(in crate::cli) fn unread(error: &AuditError, json: bool) {
    if json {
        say_json(&unread_json(error));
    } else {
        // What was typed is no fault of the log's.
        let what = if error.call == "parse" { "" } else { "the audit log could not be read: " };
        warn(&format!("sandboxd: {what}{}\n", line(error)));
        warn(&format!("  remedy  {}\n", error.remedy));
    }
}

/// Why a log could not be read, for programs.
pub(in crate::cli) fn unread_json(error: &AuditError) -> serde_json::Value {
    serde_json::json!({ "ok": false, "error": line(error), "remedy": error.remedy })
}

/// What was found, for programs.
#[derive(Serialize)]
struct Verified<'a> {
    ok: bool,
    #[serde(flatten)]
    report: &'a Report,
}

fn verify(arguments: &AuditVerify) -> Result<u8, AuditError> {
    let kept = arguments.from.as_deref().map(notes).transpose()?.unwrap_or_default();
    let report = match Source::find(arguments.place.as_deref())? {
        Source::Folder(folder) => verify::folder(&folder, &kept, Stamp::now())?,
        Source::File { name, path } => verify::file(&name, BufReader::new(file(&path)?), &kept)?,
    };
    let ok = report.troubles.is_empty();
    let said = if arguments.json {
        say_json(&Verified { ok, report: &report })
    } else {
        say(&found(&report))
    };
    Ok(match (said, ok) {
        (false, _) => NOT_SET_UP,
        (true, true) => 0,
        (true, false) => 1,
    })
}

fn file(path: &Path) -> Result<File, AuditError> {
    File::open(path).map_err(|error| unreadable("open", path, &error))
}

fn unreadable(call: &'static str, path: &Path, error: &std::io::Error) -> AuditError {
    AuditError {
        call,
        subject: path.display().to_string(),
        errno: error.raw_os_error().unwrap_or(0),
        remedy: String::from("name a folder of logs or one file of a log that you may read"),
    }
}

fn notes(path: &Path) -> Result<Vec<Note>, AuditError> {
    let text = std::fs::read_to_string(path).map_err(|error| unreadable("read", path, &error))?;
    Note::parse_all(&text).filter(|notes| !notes.is_empty()).ok_or_else(|| AuditError {
        call: "parse",
        subject: path.display().to_string(),
        errno: 0,
        remedy: String::from("give what `sandboxd audit export --format checkpoints` printed"),
    })
}

/// What was found, for people.
fn found(report: &Report) -> String {
    let mut text = format!(
        "{}, {}, {} of them signed ({})\n",
        count(u64::try_from(report.logs).unwrap_or(u64::MAX), "log"),
        count(report.records, "record"),
        report.signed,
        count(report.checkpoints, "checkpoint"),
    );
    if report.borne_out > 0 {
        text.push_str(&format!("agrees with {} that you kept\n", report.borne_out));
    }
    for Expired { day, removed, checkpoints } in &report.expired {
        text.push_str(&format!(
            "{} that you kept cannot be compared: the index says that what was under {} had been kept long enough and was removed on {}\n",
            count(u64::try_from(*checkpoints).unwrap_or(u64::MAX), "checkpoint"),
            printable(day),
            printable(removed)
        ));
    }
    if report.unwritten > 0 {
        text.push_str(&format!(
            "{} could not be written when they were made: the disk was full, or failed\n",
            count(report.unwritten, "record")
        ));
    }
    for log in &report.live {
        text.push_str(&format!("being written: {}\n", printable(log)));
    }
    for (log, bytes) in &report.recovered {
        let torn = match bytes {
            0 => String::from("no record was torn"),
            bytes => format!("{} of a torn record were moved aside", count(*bytes, "byte")),
        };
        text.push_str(&format!(
            "its supervisor was killed, or could not write; {torn}: {}\n",
            printable(log)
        ));
    }
    for log in &report.unfinished {
        text.push_str(&format!(
            "its supervisor was killed, or could not write; the next start closes it: {}\n",
            printable(log)
        ));
    }
    for trouble in &report.troubles {
        text.push_str(&format!("{}\n", printable(&trouble.to_string())));
    }
    text.push_str(match (report.troubles.len(), report.unwritten) {
        (0, 0) => "whole: nothing is missing and nothing was changed\n",
        (0, _) => "of what was written nothing is missing and nothing was changed\n",
        _ => "not whole\n",
    });
    text
}

/// The own folder of logs, to be read.
fn own() -> Result<Folder, AuditError> {
    let path = audit_folder::path()?;
    let folder = Folder::at(&path).map_err(|mut error| {
        if error.errno == rustix::io::Errno::NOENT.raw_os_error() {
            error.remedy = String::from("there is none before the first run: sandboxd run -- true");
        }
        error
    })?;
    Ok(folder.keeping(audit_folder::retention()?.time()))
}
