//! `sandboxd check`: the plan is made, and asked for what would end its start all the same. Nothing of the profile's is
//! run.

use super::load::Loaded;
use super::output::{say, say_json, warn};
use super::typed::Check;
use super::why::subject::Subject;
use super::{NOT_SET_UP, load, not_found, secret};
use crate::explain::printable;
use crate::sandbox::StartError;
use rustix::fd::AsRawFd as _;
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use rustix::io::Errno;
use sandboxd_plan::{Call, Failure, Stage};
use sandboxd_profiles::resolved::Waived;
use sandboxd_profiles::schema;
use sandboxd_profiles::why::{Access, Asked};
use sandboxd_profiles::{From, Outside};
use serde_json::{Value, json};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// The kernel reads so much of a program's first line, execve(2).
const FIRST_LINE: u64 = 256;

/// What is to be known of a profile that can be run here.
#[derive(PartialEq)]
struct Runs {
    waived: Vec<Waived>,
    notes: Vec<String>,
}

pub(crate) fn check(arguments: &Check) -> u8 {
    let name = load::name(&arguments.grants);
    let checked = load::load(&arguments.grants).and_then(|loaded| {
        let called = load::callees(&loaded, look);
        Ok((look(loaded)?, called?))
    });
    let said = match (&checked, arguments.json) {
        (Ok((Runs { waived, notes }, called)), true) => {
            let called = called.iter().map(|(name, Runs { waived, notes })| {
                json!({ "profile": name, "waived": waived, "notes": notes })
            });
            let called: Vec<Value> = called.collect();
            say_json(&json!({ "ok": true, "waived": waived, "notes": notes, "called": called }))
        }
        (Ok((runs, called)), false) => {
            let mut text = can_be_run(&name, runs);
            for (name, runs) in called {
                text.push_str(&format!("called {}", can_be_run(name, runs)));
            }
            say(&text)
        }
        (Err(error), true) => say_json(&error.json(&name)),
        (Err(error), false) => {
            warn(&error.text(&name));
            if let Some(hint) = not_found::hint(error) {
                warn(&format!("  host    {hint}\n"));
            }
            true
        }
    };
    if said && checked.is_ok() { 0 } else { NOT_SET_UP }
}

fn can_be_run(name: &str, Runs { waived, notes }: &Runs) -> String {
    let waived = waived.iter().map(|one| format!("  waived  {}: {}\n", one.key, one.what));
    let notes = notes.iter().map(|note| format!("  note    {}\n", printable(note)));
    format!("{}: can be run here\n{}", printable(name), waived.chain(notes).collect::<String>())
}

/// # Errors
/// Where it has problems, its program is not inside or may not be executed there, or a secret cannot be read.
fn look(loaded: Loaded) -> Result<Runs, StartError> {
    let named = loaded.profile.name().to_owned();
    let subject = Subject::of(loaded, named, Vec::new())?;
    let explained = subject.explained(&subject.profile, &subject.under)?;
    let asked = subject.asked(&explained);
    program(&asked)?;
    let mut notes = closed(&subject, &asked);
    notes.extend(secrets(&explained.resolved.outside)?);
    Ok(Runs { waived: explained.resolved.waived.clone(), notes })
}

/// The program is inside and can be executed, as the shim will try it.
fn program(asked: &Asked<'_>) -> Result<(), StartError> {
    let exec = &asked.explained.resolved.plan.exec;
    let failed = |subject: String, errno: Errno| {
        let (stage, call, errno) = (Stage::Exec, Call::Execve, errno.raw_os_error());
        Err(StartError::Failed(Failure { stage, call, subject, errno }))
    };
    let name = exec.argv.first().map(ToString::to_string).unwrap_or_default();
    let mut end = failed(name, Errno::NOENT);
    for candidate in exec.candidates.iter().map(ToString::to_string) {
        match refused(asked, &candidate) {
            None => return first_line(asked, &candidate),
            Some(Errno::NOENT | Errno::NOTDIR) => {}
            Some(errno) => end = failed(candidate, errno),
        }
    }
    end
}

fn refused(asked: &Asked<'_>, program: &str) -> Option<Errno> {
    let answer = asked.path(program, Access::Execute);
    (!answer.allowed).then(|| answer.errno.map_or(Errno::ACCESS, Errno::from_raw_os_error))
}

/// What its first line names can be executed too, where it is a script.
fn first_line(asked: &Asked<'_>, program: &str) -> Result<(), StartError> {
    let host = asked.leads(program, Access::Execute).and_then(|(_, host)| host);
    let Some(interpreter) = host.and_then(|host| interpreter(Path::new(host.as_str()))) else {
        return Ok(());
    };
    let Some(errno) = refused(asked, &interpreter) else { return Ok(()) };
    let subject = format!("{program}, whose first line names {interpreter}");
    Err(StartError::call("execve", subject, errno).with_remedy(
        "grant the interpreter's folder with -x or [files].execute, or name one that is inside",
    ))
}

/// What the first line of a script names; nothing where it is none, or cannot be read.
fn interpreter(program: &Path) -> Option<String> {
    // Whoever may rename it may put something in its place that leads elsewhere, is waited for, or does something when
    // it is opened.
    let named = OFlags::PATH | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let found = openat2(CWD, program, named, Mode::empty(), resolve).ok()?;
    if FileType::from_raw_mode(fstat(&found).ok()?.st_mode) != FileType::RegularFile {
        return None;
    }
    let program = File::open(format!("/proc/self/fd/{}", found.as_raw_fd())).ok()?;
    let mut start = Vec::new();
    program.take(FIRST_LINE).read_to_end(&mut start).ok()?;
    let line = start.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let word = std::str::from_utf8(line).ok()?.split([' ', '\t']).find(|word| !word.is_empty())?;
    Some(word.to_owned())
}

/// Grants that come to nothing, because of who owns what they name.
fn closed(subject: &Subject, asked: &Asked<'_>) -> Vec<String> {
    let profile = &subject.profile;
    let notes = profile.files.grants.iter().filter_map(|grant| {
        let path = grant.path.value.host(&profile.folders)?;
        let access = match grant.access {
            schema::Access::Read => Access::Read,
            schema::Access::Write => Access::Write,
            schema::Access::Execute => Access::Execute,
        };
        let answer = asked.path(path.as_str(), access);
        let refusing: Vec<_> = answer.layers.iter().filter(|judged| !judged.allows).collect();
        let [closed] = refusing.as_slice() else { return None };
        (closed.layer == "permissions").then(|| {
            format!(
                "{}: file permissions deny it to the command: {}",
                grant.path.origin.key, closed.what
            )
        })
    });
    notes.collect()
}

/// What is not tried of the secrets: a program is run by whoever asks for that.
///
/// # Errors
/// Where one of the others cannot be read, or is not what it is used as.
fn secrets(outside: &Outside) -> Result<Vec<String>, StartError> {
    let (programs, read): (Vec<_>, Vec<_>) = outside
        .secrets
        .iter()
        .partition(|held| matches!(held.from, From::Exec { .. } | From::Age { .. }));
    let mut notes = Vec::new();
    for held in read {
        let warned = secret::tried(outside, held)?;
        notes.extend(warned.map(|what| format!("secret {}: {what}", held.name)));
    }
    let untried = programs.into_iter().map(|held| {
        format!(
            "secret {}: a program provides it, which is not run here: sandboxd secret check",
            held.name
        )
    });
    notes.extend(untried);
    Ok(notes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_first_line_names_is_its_first_word() {
        let path = std::env::temp_dir().join(format!("sandboxd-line-{}", std::process::id()));
        let of = |text: &str| {
            std::fs::write(&path, text).unwrap();
            interpreter(&path)
        };
        let named =
            ["#!/bin/sh\r\n", "#! /usr/bin/env python3\n", "#!/bin/sh", "\u{7f}ELF", "#!\n"]
                .map(of);
        std::fs::remove_file(&path).unwrap();
        let words = named.map(Option::unwrap_or_default);
        assert_eq!(words, ["/bin/sh\r", "/usr/bin/env", "/bin/sh", "", ""]);
    }
}
