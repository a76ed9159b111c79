//! `sandboxd learn`: [`shown`] is the sandbox that the command is watched in, [`written`] the profile, [`linked`] what of
//! it was named through links, [`made`] the file that it is written to.

mod linked;
mod made;
mod shown;
mod written;

use super::output::{count, say, warn};
use super::typed::{Grants, Learn};
use super::{NOT_SET_UP, load, notice, run::Says};
use crate::audit_folder;
use crate::calls::Calls;
use crate::explain::printable;
use crate::learn::seen::{All, MOST_BYTES};
use crate::sandbox::{
    self, Ahead, Around, AuditLog, Finished, Purses, Request, RunResult, StartError, Then,
};
use made::Made;
use sandboxd_plan::HostPath;
use sandboxd_profiles::Listening;
use shown::Shown;
use std::io::Read;
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
    let output = &arguments.output;
    let grants = &extending(arguments);
    let mut file = Made::begin(output)?;
    let learnt = learnt_into(&mut file, arguments, grants, since);
    learnt.inspect_err(|_| file.forget())
}

fn learnt_into(
    file: &mut Made<'_>,
    Learn { output, quiet, .. }: &Learn,
    grants: &Grants,
    since: Instant,
) -> Result<u8, StartError> {
    let mut shown = Shown::new(grants)?;
    // Where the command or what it calls could write, it would be theirs: refused as any profile is there.
    let document = document(output)?;
    if let Some(graph) = &shown.graph {
        graph.leaves_alone(&document)?;
    }
    shown.profile.documents.insert(0, document);
    if !quiet {
        warn(&shown.words());
    }
    let (result, seen) = run(&mut shown, since)?;
    if let Some(why) = not_run(result.exit_status()) {
        file.forget();
        warn(&format!("sandboxd: nothing was learnt or written: {why}\n"));
        return Ok(result.exit_status());
    }
    if seen.cut {
        warn("sandboxd: it used more than can be recorded: the profile is incomplete\n");
    }
    let written = written::profile(grants, &seen, &result)?;
    let place = printable(&output.display().to_string());
    if let Err(error) = file.fill(&written.text) {
        // What was learnt is not lost with the room for it.
        file.forget();
        warn(&format!(
            "sandboxd: the command ran, but the profile could not be written to {place} and is printed instead: {}\n",
            error.line()
        ));
        say(&written.text);
        return Ok(NOT_SET_UP);
    }
    let lacks = written::lacks(&grants.set).map(|set| format!(" --set {}", super::quoted(set)));
    let lacks: String = lacks.collect();
    warn(&format!(
        "sandboxd: written: {place}: {}, {} left out\n  next    review it, then sandboxd run -p {place}{lacks}\n  unseen  refused system calls: after that run, see sandboxd why --last\n",
        count(u64::try_from(written.grants).unwrap_or(u64::MAX), "grant"),
        written.left_out
    ));
    if let Some(words) = too_small(result.exit_status(), result.oom) {
        warn(&words);
    }
    Ok(result.exit_status())
}

/// Why nothing was learnt, as shells and env(1) say it.
fn not_run(status: u8) -> Option<&'static str> {
    match status {
        126 => Some("the command, or one that it ended with, could not be executed (status 126)"),
        127 => Some(
            "the command, or one that it ended with, was not found (status 127): write its whole path, or learn with -x for its folder",
        ),
        _ => None,
    }
}

/// What is said of a command that did not succeed; nothing of one that was ended by whoever ran it, by a signal
/// that was passed on to it or `sandboxd stop`.
fn too_small(status: u8, oom: bool) -> Option<String> {
    // SIGHUP, SIGINT, SIGKILL and SIGTERM; the kernel's own SIGKILL, for want of memory, is nobody's wish.
    let ended = matches!(status, 129 | 130 | 137 | 143) && !oom;
    (status != 0 && !ended).then(|| {
        format!(
            "sandboxd: it ended with status {status}: if that is unexpected, the profile is probably too small: find out why, and learn again\n"
        )
    })
}

/// What is learnt upon, where nothing is said.
fn extending(Learn { grants, tty, .. }: &Learn) -> Grants {
    let profile = grants.profile.clone().or_else(|| Some(String::from("builtin:base")));
    let Grants { under, read, write, execute, egress, bind, env, set, command, .. } = grants;
    Grants {
        profile,
        under: under.clone(),
        read: read.clone(),
        write: write.clone(),
        execute: execute.clone(),
        egress: egress.clone(),
        bind: bind.clone(),
        env: env.clone(),
        set: set.iter().cloned().chain(tty.then(|| String::from(load::TTY))).collect(),
        command: command.clone(),
    }
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

fn unwritten(_: &sandboxd_audit::AuditError) {}

/// Runs it, and reads what the observer told.
fn run(shown: &mut Shown, since: Instant) -> Result<(RunResult, All), StartError> {
    let log = AuditLog::begin(audit_folder::open, unwritten)?;
    let ran = watched(shown, since, &log);
    if let Err(error) = &ran {
        log.refused(shown.profile.name(), error);
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
        receipt: None,
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
    fn of_a_command_that_was_ended_from_outside_nothing_is_said() {
        assert_eq!(
            [0, 129, 130, 137, 143].map(|status| too_small(status, false)),
            [const { None }; 5]
        );
        for (status, oom) in [(1, false), (139, false), (137, true)] {
            let said = too_small(status, oom).unwrap();
            assert!(said.contains(&format!("status {status}:")) && said.contains("too small"));
        }
    }
}
