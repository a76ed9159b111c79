//! `sandboxd learn`: [`shown`] is the sandbox that the command is watched in, [`written`] the profile.

mod shown;
mod written;

use super::output::warn;
use super::typed::{Grants, Learn};
use super::{NOT_SET_UP, load, notice, run::Says};
use crate::audit_folder;
use crate::calls::Calls;
use crate::explain::printable;
use crate::learn::seen::{All, MOST_BYTES};
use crate::sandbox::{
    self, Ahead, Around, AuditLog, Finished, Purses, Request, RunResult, StartError, Then,
};
use sandboxd_plan::HostPath;
use sandboxd_profiles::Listening;
use shown::Shown;
use std::fs::File;
use std::io::{Read, Write};
use std::time::Instant;

pub(crate) fn learn(arguments: &Learn, since: Instant) -> u8 {
    match learnt(arguments, since) {
        Ok(status) => status,
        Err(error) => {
            warn(&error.text(&load::name(&arguments.grants)));
            NOT_SET_UP
        }
    }
}

fn learnt(arguments: &Learn, since: Instant) -> Result<u8, StartError> {
    let Learn { grants, output, quiet } = arguments;
    let grants = &extending(grants);
    let mut file = begin(output)?;
    let mut shown = Shown::new(grants).inspect_err(|_| forget(output))?;
    // Where the command or what it calls could write, it would be theirs: refused as any profile is there.
    let document = document(output).inspect_err(|_| forget(output))?;
    if let Some(graph) = &shown.graph {
        graph.leaves_alone(&document).inspect_err(|_| forget(output))?;
    }
    shown.profile.documents.insert(0, document);
    if !quiet {
        warn(&shown.words());
    }
    let seen = run(grants, &mut shown, since);
    let (result, seen) = seen.inspect_err(|_| forget(output))?;
    if seen.cut {
        warn("sandboxd: it used more than is looked at: the profile lacks some\n");
    }
    let written = written::profile(grants, &seen, &result).inspect_err(|_| forget(output))?;
    fill(&mut file, output, &written.text)?;
    let place = printable(&output.display().to_string());
    warn(&format!(
        "sandboxd: written: {place}: {} grants, {} left out\n  next    read it, then sandboxd run -p {place}\n",
        written.grants, written.left_out
    ));
    Ok(result.exit_status())
}

/// What is learnt upon, where nothing is said.
fn extending(grants: &Grants) -> Grants {
    let profile = grants.profile.clone().or_else(|| Some(String::from("builtin:base")));
    let Grants { under, read, write, execute, egress, bind, env, set, tty, command, .. } = grants;
    Grants {
        profile,
        under: under.clone(),
        read: read.clone(),
        write: write.clone(),
        execute: execute.clone(),
        egress: egress.clone(),
        bind: bind.clone(),
        env: env.clone(),
        set: set.clone(),
        tty: *tty,
        command: command.clone(),
    }
}

/// Makes the file before anything is run, so that what is learnt can be written.
fn begin(output: &std::path::Path) -> Result<File, StartError> {
    use std::os::unix::fs::OpenOptionsExt;
    let file = File::options().write(true).create_new(true).mode(0o644).open(output);
    file.map_err(|error| {
        StartError::io("open", output.display().to_string(), &error)
            .with_remedy("name a file that is not there yet, in a folder of yours")
    })
}

/// Writes the profile and nothing else into the file that was made, where that is still what lies there.
fn fill(file: &mut File, output: &std::path::Path, text: &str) -> Result<(), StartError> {
    use std::os::unix::fs::MetadataExt;
    let subject = output.display().to_string();
    let failed = |call: &'static str| {
        let subject = subject.clone();
        move |error: std::io::Error| StartError::io(call, subject, &error)
    };
    let made = file.metadata().map_err(failed("fstat"))?;
    let found = output.symlink_metadata().map_err(failed("lstat"))?;
    if (made.dev(), made.ino()) != (found.dev(), found.ino()) {
        let what = format!("{subject}: another file took its place meanwhile");
        return Err(StartError::found("lstat", what).with_remedy(
            "see who made that, and name a file in a folder that only you can write",
        ));
    }
    file.set_len(0).map_err(failed("ftruncate"))?;
    file.write_all(text.as_bytes()).map_err(failed("write"))
}

/// What messages call it, and the folder it lies in.
fn document(output: &std::path::Path) -> Result<(String, HostPath), StartError> {
    let subject = output.display().to_string();
    let real = output
        .canonicalize()
        .map_err(|error| StartError::io("realpath", subject.as_str(), &error))?;
    let folder = real.parent().and_then(|folder| HostPath::try_from(folder.to_str()?).ok());
    let folder = folder.ok_or_else(|| {
        StartError::found("realpath", format!("{subject}: its folder has no name in UTF-8"))
    })?;
    Ok((subject, folder))
}

/// Nothing was learnt.
fn forget(output: &std::path::Path) {
    // An empty file that stays is no profile, and is said to be there the next time.
    std::fs::remove_file(output).ok();
}

fn unwritten(_: &sandboxd_audit::AuditError) {}

/// Runs it, and reads what the observer told.
fn run(grants: &Grants, shown: &mut Shown, since: Instant) -> Result<(RunResult, All), StartError> {
    let log = AuditLog::begin(audit_folder::open, unwritten)?;
    let ran = watched(shown, since, &log);
    if let Err(error) = &ran {
        log.refused(&load::name(grants), error);
    }
    let closed = log.end();
    let Finished { result, left, .. } = ran?;
    closed?;
    for what in left {
        warn(&format!("sandboxd: {}: {}\n", result.sandbox, printable(&what)));
    }
    let mut bytes = Vec::new();
    (&shown.record)
        .take(MOST_BYTES)
        .read_to_end(&mut bytes)
        .map_err(|error| StartError::io("read", "what was seen", &error))?;
    Ok((result, All::read(&bytes)))
}

fn watched(shown: &mut Shown, since: Instant, log: &AuditLog) -> Result<Finished, StartError> {
    // Along the edges as they are written, and within what the profile gives without what is shown meanwhile.
    let graph = shown.graph.take();
    let profile = &shown.profile;
    let late = Box::new(|error: &StartError| error.exit_status());
    let ahead = Ahead::begin(since, Then::Sweep, late)?;
    // Only one filter can ask, and it is the observer's.
    let invocation = sandboxd_profiles::Invocation {
        told: false,
        listening: Listening::default(),
        ..sandbox::invocation(profile)?
    };
    let purses = Purses::default();
    let name = profile.name().to_owned();
    let calls = graph.map(|graph| Calls {
        graph,
        under: Vec::new(),
        purses: purses.clone(),
        metrics: None,
        refused: Box::new(|name, error| warn(&error.text(name))),
        waits: Box::new(notice::waiting(name, Says { json: false, quiet: false })),
    });
    let request = Request {
        profile,
        under: &[],
        invocation: &invocation,
        since,
        ahead,
        audit: log.of(profile),
        digest: false,
        around: Around::Caller { calls: calls.map(Box::new) },
        within: None,
        sockets: Vec::new(),
        purses,
    };
    sandbox::run(request, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_meanwhile_is_no_part_of_it_nor_is_another_file() {
        let name = format!("sandboxd-learnt-{}.toml", std::process::id());
        let output = std::env::temp_dir().join(name);
        let mut file = begin(&output).unwrap();
        std::fs::write(&output, "[files]\nwrite = [\"/srv\"] # longer than what is learnt\n")
            .unwrap();
        fill(&mut file, &output, "learnt\n").unwrap();
        assert_eq!(std::fs::read_to_string(&output).unwrap(), "learnt\n");
        std::fs::remove_file(&output).unwrap();
        std::fs::write(&output, "another\n").unwrap();
        assert!(fill(&mut file, &output, "learnt\n").is_err());
        let kept = std::fs::read_to_string(&output).unwrap();
        std::fs::remove_file(&output).unwrap();
        assert_eq!(kept, "another\n");
    }
}
