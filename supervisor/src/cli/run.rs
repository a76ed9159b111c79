//! `sandboxd run`.

use super::load::Loaded;
use super::output::{tell_last, warn, warn_last};
use super::tools::Tools;
use super::typed::{Grants, Mcp, Run};
use super::{NOT_SET_UP, denied, load, not_found, notice, receipt_file, used_up, went_out};
use crate::audit_folder;
use crate::calls::Calls;
use crate::explain::{self, printable};
use crate::metrics::Scraped;
use crate::sandbox::{
    self, Ahead, Around, AuditLog, Finished, Late, Purses, Request, RunResult, StartError, Then,
};
use crate::systemd::credentials;
use crate::systemd::sockets::{self, Sockets};
use sandboxd_audit::AuditError;
use sandboxd_profiles::{Listening, Stream};
use serde_json::json;
use std::cell::OnceCell;
use std::fs::File;
use std::sync::Arc;
use std::time::Instant;

/// How much is said on standard error, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Says {
    pub(super) json: bool,
    pub(super) quiet: bool,
}

/// Who calls the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    /// Nobody but sandboxd's caller, as any program.
    Caller,
    /// A client, through the broker.
    Client,
}

pub(crate) fn run(mut arguments: Run, since: Instant) -> u8 {
    arguments.grants.set.extend(arguments.tty.then(|| String::from(load::TTY)));
    told(arguments, Who::Caller, since)
}

/// `sandboxd mcp`.
pub(crate) fn mcp(arguments: Mcp, since: Instant) -> u8 {
    let Mcp { mut grants, tools, ask, receipt, result_fd, metrics, json, quiet } = arguments;
    grants.profile.get_or_insert_with(|| String::from("builtin:mcp-server"));
    if !tools.is_empty() {
        grants.set.push(format!("serve.tools={}", json!(tools)));
    }
    if !ask.is_empty() {
        grants.set.push(format!("serve.ask={}", json!(ask)));
    }
    let run = Run { grants, receipt, result_fd, metrics, tty: false, json, quiet };
    told(run, Who::Client, since)
}

fn told(arguments: Run, who: Who, since: Instant) -> u8 {
    let name = load::name(&arguments.grants);
    let json = arguments.json;
    // Taken before anything else is opened; that it could not be is written down like any other reason.
    let (sockets, result) = match Told::begin(arguments.result_fd) {
        Ok(Told { sockets, result }) => (Ok(sockets), result),
        Err(error) => (Err(error), None),
    };
    let log = match AuditLog::begin(audit_folder::open, unwritten) {
        Ok(log) => log,
        Err(error) => return not_run(&error, &name, json, result.as_ref()),
    };
    let agent = OnceCell::new();
    let started = sockets.and_then(|sockets| {
        start(arguments, (who, since), (&log, &agent), (sockets, result.as_ref()))
    });
    let started = started.map_err(|error| {
        let status = not_run(&error, &name, json, result.as_ref());
        log.refused(agent.get().unwrap_or(&name), &error);
        status
    });
    // What a run that was not started leaves in the log is no reason to say more than why.
    let untended = log.untended(false).filter(|_| started.is_ok());
    let kept = log.end();
    // No fault of this run: it is said, and its status stays what it is.
    if let Some(error) = untended {
        warn(&format!("sandboxd: {}: {}", printable(&name), untended_words(&error)));
    }
    match (started, kept) {
        (Err(status), _) | (Ok(status), Ok(())) => status,
        (Ok(_), Err(error)) => {
            warn(&format!("sandboxd: {name}: the audit log was not closed: {}\n", error.line()));
            NOT_SET_UP
        }
    }
}

/// What was passed by whoever started it.
struct Told {
    sockets: Sockets,
    /// Where the result is told.
    result: Option<File>,
}

impl Told {
    fn begin(result_fd: Option<i32>) -> Result<Self, StartError> {
        let sockets = sockets::take(result_fd)?;
        // Before anything is started: a result that cannot be told is found out now.
        Ok(Self { sockets, result: result_fd.map(take_result_fd).transpose()? })
    }
}

/// Calls go on, and are not written down.
fn unwritten(error: &AuditError) {
    let why = printable(&audit_folder::line(error));
    warn(&format!(
        "sandboxd: records of calls cannot be written to the audit log: {why}\n  remedy  {}\n",
        error.remedy
    ));
}

/// What is left of the audit log that is not this run's.
fn untended_words(error: &StartError) -> String {
    format!(
        "earlier logs cannot be closed or removed: {}\n  remedy  {}\n",
        printable(&error.line()),
        printable(&error.remedy().unwrap_or_default())
    )
}

fn not_started(error: &StartError, name: &str, json: bool) -> u8 {
    if json {
        warn(&format!("{}\n", error.json(name)));
    } else {
        warn(&error.text(name));
        if let Some(hint) = not_found::hint(error) {
            warn(&format!("  host    {hint}\n"));
        }
    }
    error.exit_status()
}

/// The same, and where the result would have been told.
fn not_run(error: &StartError, name: &str, json: bool, result: Option<&File>) -> u8 {
    let status = not_started(error, name, json);
    if let Some(Err(error)) = result.map(|file| tell_last(file, &format!("{}\n", error.json(name))))
    {
        unwritten_result(name, &error);
    }
    status
}

fn unwritten_result(name: &str, error: &std::io::Error) {
    warn(&format!(
        "sandboxd: {}: the result could not be written: {}\n",
        printable(name),
        explain::io(error)
    ));
}

/// What is said where the start takes too long.
fn late(grants: &Grants, json: bool, result: Option<&File>) -> Result<Late, StartError> {
    let name = load::name(grants);
    let result = result
        .map(File::try_clone)
        .transpose()
        .map_err(|error| StartError::io("dup", "result-fd", &error))?;
    Ok(Box::new(move |error| not_run(error, &name, json, result.as_ref())))
}

fn start(
    arguments: Run,
    (who, since): (Who, Instant),
    (log, agent): (&AuditLog, &OnceCell<String>),
    (Sockets { passed, fds: sockets }, result_file): (Sockets, Option<&File>),
) -> Result<u8, StartError> {
    let Run { grants, receipt, result_fd: _, metrics, tty: _, json, quiet } = arguments;
    sandbox::check_descriptors()?;
    let scraped = metrics.map(|to| Scraped::begin(&to, log.metrics())).transpose()?;
    let ahead = Ahead::begin(since, Then::Sweep, late(&grants, json, result_file)?)?;
    let mut loaded = load::load(&grants)?;
    // As its records have it from here on.
    agent.get_or_init(|| loaded.profile.name().to_owned());
    if !json && !quiet {
        warn(&notice::unset(&grants.env));
    }
    loaded.invocation.listening = Listening::Passed(passed);
    loaded.invocation.credentials = credentials::passed()?;
    loaded.invocation.metrics = scraped.as_ref().and_then(Scraped::folder).cloned();
    loaded.invocation.receipt = receipt.as_deref().and_then(receipt_file::folder);
    let purses = Purses::default();
    let says = Says { json, quiet };
    let tools = (who == Who::Client).then(|| Arc::new(Tools::of(&loaded.profile, says)));
    let around = around(tools.as_ref(), &mut loaded, (log, &purses), says)?;
    let Loaded { profile, under, invocation, .. } = loaded;
    let mut write_receipt = receipt.map(receipt_file::writer);
    let request = Request {
        profile: &profile,
        under: &under,
        invocation: &invocation,
        since,
        ahead,
        audit: log.of(&profile),
        digest: json || result_file.is_some(),
        around,
        within: None,
        sockets,
        purses,
    };
    let receipt = write_receipt.as_mut().map(|write| -> sandbox::WriteReceipt<'_> { write });
    let finished = sandbox::run(request, receipt)?;
    Ok(ended(finished, &grants, (who, says), result_file))
}

/// Says what became of it, and gives the status.
fn ended(
    Finished { result, waived, absent, starts, left }: Finished,
    grants: &Grants,
    (who, Says { json, quiet }): (Who, Says),
    result_file: Option<&File>,
) -> u8 {
    let starts = starts.filter(|_| who == Who::Caller && concerns(grants, &result));
    let mut said = match (json, quiet) {
        (true, _) => format!(
            "{}\n",
            json!({ "result": result, "waived": waived, "absent": absent, "starts": starts, "left": left })
        ),
        (false, true) => String::new(),
        (false, false) => words(&result, &waived, &absent),
    };
    let kept = denied::keep(&result, grants);
    if !json && !quiet {
        said.extend(starts.map(|starts| line(&result, &starts)));
        said.push_str(&denied::words(&result, grants, (kept.as_ref(), who)));
    }
    said.extend(left.iter().filter(|_| !json).map(|what| line(&result, what)));
    warn_last(&said);
    // Last, because a reader that is gone must not keep the rest from being said.
    let told = result_file.is_none_or(|file| match tell_result(file, &result) {
        Ok(()) => true,
        Err(error) => {
            unwritten_result(&result.sandbox, &error);
            false
        }
    });
    if told && left.is_empty() { result.exit_status() } else { NOT_SET_UP }
}

fn line(result: &RunResult, what: &str) -> String {
    format!("sandboxd: {}: {}\n", result.sandbox, printable(what))
}

/// Whether where a command started may be why it came out otherwise than its caller meant.
fn concerns(grants: &Grants, result: &RunResult) -> bool {
    let Grants { under, read, write, execute, bind, command, .. } = grants;
    let granted = [under, read, write, execute, bind].into_iter().any(|list| !list.is_empty());
    !command.is_empty() && (granted || result.exit_status() != 0)
}

/// The streams of a client's: its own two are pipes.
fn clients([input, output, complained]: [Stream; 3]) -> Result<[Stream; 3], StartError> {
    if [input, output].contains(&Stream::Terminal) {
        return Err(StartError::found("isatty", "standard input or output is a terminal")
            .with_remedy("let a client start it (\"command\" in mcp.json), or pipe requests in and answers out"));
    }
    Ok([Stream::Pipe, Stream::Pipe, complained])
}

/// Whose run it is, and whom the command calls.
fn around(
    client: Option<&Arc<Tools>>,
    loaded: &mut Loaded,
    (log, purses): (&AuditLog, &Purses),
    says: Says,
) -> Result<Around, StartError> {
    let Loaded { profile, under, graph, invocation } = loaded;
    let (count, tell) = (log.waiting(), notice::waiting(profile.name().to_owned(), says));
    let waits = Box::new(move |calls| {
        count(calls);
        tell(calls);
    });
    match client {
        None => {
            let calls = graph.take().map(|graph| Calls {
                graph,
                under: under.clone(),
                purses: purses.clone(),
                metrics: invocation.metrics.clone(),
                receipt: invocation.receipt.clone(),
                refused: Box::new(move |name, error| {
                    not_started(error, name, says.json);
                }),
                waits,
            });
            Ok(Around::Caller { calls: calls.map(Box::new) })
        }
        Some(tools) => {
            invocation.streams = clients(invocation.streams)?;
            // One client and one server are all that its broker knows.
            invocation.program = None;
            let plan = sandboxd_profiles::graph::client(profile)?;
            tools.tell(false);
            let tools = Arc::clone(tools);
            let listed = Box::new(move || tools.tell(true));
            Ok(Around::Client { plan: Box::new(plan), waits, listed })
        }
    }
}

/// What a person should know of how it ended; nothing where it just ended.
fn words(result: &RunResult, waived: &[String], absent: &[String]) -> String {
    let mut text = String::new();
    if !absent.is_empty() {
        text.push_str(&format!(
            "sandboxd: {}: the profile chose Landlock and the filter alone (isolation): no {}\n",
            result.sandbox,
            absent.join(", no ")
        ));
    }
    for what in waived {
        text.push_str(&format!(
            "sandboxd: waived by the profile (this host cannot enforce it): {what}\n"
        ));
    }
    for what in used_up::limits(result) {
        text.push_str(&format!("sandboxd: {}: {what}\n", result.sandbox));
    }
    if let Some(used) = &result.egress {
        text.push_str(&went_out::words(&result.sandbox, used));
    }
    if let Some(used) = &result.budget {
        text.push_str(&used_up::words(&result.sandbox, used));
    }
    text.push_str(&executable(&result.may_execute));
    text
}

/// What the host may execute now, and where it was not looked for.
fn executable(may_execute: &[String]) -> String {
    let (unseen, seen): (Vec<&String>, Vec<&String>) =
        may_execute.iter().partition(|path| path.starts_with(sandbox::NOT_LOOKED_THROUGH));
    let (opened, seen): (Vec<&String>, Vec<&String>) =
        seen.into_iter().partition(|path| path.starts_with(sandbox::OPENED));
    let (unkept, made): (Vec<&String>, Vec<&String>) =
        seen.into_iter().partition(|path| path.starts_with(sandbox::NOT_KEPT_AGAIN));
    let mut text = String::new();
    if !made.is_empty() {
        text.push_str(
            "sandboxd: the command created or changed files that the host may execute; review them before use:\n",
        );
    }
    for path in made {
        text.push_str(&format!("  {}\n", printable(path)));
    }
    if !unkept.is_empty() {
        text.push_str(
            "sandboxd: the command removed what makes these protected, as HEAD makes a repository; restore it before the next run:\n",
        );
    }
    for path in unkept {
        text.push_str(&format!("  {}\n", printable(path)));
    }
    if !opened.is_empty() {
        text.push_str(
            "sandboxd: the command set who may open what is created in these folders, whatever your umask says; setfacl -k undoes that:\n",
        );
    }
    for path in opened {
        text.push_str(&format!("  {}\n", printable(path)));
    }
    for path in unseen {
        text.push_str(&format!("sandboxd: files that the host may execute: {}\n", printable(path)));
    }
    text
}

/// Takes the descriptor that was named, which must be open and not one of the standard three.
fn take_result_fd(number: i32) -> Result<File, StartError> {
    let remedy = "give a descriptor that is open for writing: --result-fd 3, and 3>result.json after the command";
    if number < 3 {
        return Err(StartError::found("result-fd", number.to_string()).with_remedy(remedy));
    }
    let fd = sandboxd_kernel::fds::take(number).map_err(|errno| {
        StartError::call("fcntl", format!("result-fd {number}"), errno).with_remedy(remedy)
    })?;
    let access = rustix::fs::fcntl_getfl(&fd)
        .map_err(|errno| StartError::call("fcntl", format!("result-fd {number}"), errno))?;
    if access & rustix::fs::OFlags::RWMODE == rustix::fs::OFlags::RDONLY {
        return Err(StartError::found("result-fd", number.to_string()).with_remedy(remedy));
    }
    Ok(File::from(fd))
}

fn tell_result(file: &File, result: &RunResult) -> std::io::Result<()> {
    let text = serde_json::to_string(result)?;
    tell_last(file, &format!("{text}\n"))
}
