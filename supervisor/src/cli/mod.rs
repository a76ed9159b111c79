//! The command line: [`typed`] is what was typed, each other file is what one command does.

pub mod typed;

mod approvals;
mod audit;
mod call;
mod check;
mod clean;
mod connect;
mod denied;
mod difference;
mod doctor;
mod graph;
mod learn;
mod living;
mod load;
mod man;
mod not_called;
mod not_found;
mod notice;
mod output;
mod pins;
mod plan;
mod profile;
mod receipt;
mod receipt_file;
mod revoke;
mod run;
mod secret;
pub mod service;
mod tools;
mod used_up;
mod went_out;
mod why;

use crate::explain;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, Parser as _};
use rustix::process::Signal;
use sandboxd_kernel::signals;
use std::any::Any;
use std::ffi::OsString;
use std::panic::Location;
use std::process::ExitCode;
use std::time::Instant;
use typed::{Command, Sandboxd};

/// The exit status for a setup that failed, as env(1) and timeout(1) have it.
pub(crate) const NOT_SET_UP: u8 = 125;

/// Reads the command line and does what it says.
#[must_use]
pub fn main() -> ExitCode {
    // First: to ask for the time panics where the kernel does not tell it.
    std::panic::set_hook(Box::new(panicked));
    let since = Instant::now();
    if let Err(errno) = settle() {
        failed(&format!("sigaction: {}", explain::errno(errno.raw_os_error())));
        return ExitCode::from(NOT_SET_UP);
    }
    let typed = match Sandboxd::try_parse() {
        Ok(typed) => typed,
        Err(error) => return usage(&without_hidden(error)),
    };
    let status = match typed.command {
        Command::Run(arguments) => run::run(arguments, since),
        Command::Mcp(arguments) => run::mcp(arguments, since),
        Command::Connect(arguments) => connect::connect(&arguments),
        Command::Call(arguments) => call::call(arguments, since),
        Command::Ps(arguments) => living::ps(&arguments),
        Command::Stop(arguments) => living::stop(&arguments),
        Command::Approvals(arguments) => approvals::approvals(&arguments),
        Command::Approve(arguments) => approvals::approve(&arguments),
        Command::Deny(arguments) => approvals::deny(&arguments),
        Command::Revoke(arguments) => revoke::revoke(&arguments),
        Command::Pins(arguments) => pins::pins(&arguments),
        Command::Check(arguments) => check::check(&arguments),
        Command::Plan(arguments) => plan::plan(&arguments),
        Command::Why(arguments) => why::why(&arguments),
        Command::Learn(arguments) => learn::learn(&arguments, since),
        Command::Profile(arguments) => profile::profile(arguments.command),
        Command::Receipt(arguments) => receipt::receipt(&arguments.command),
        Command::Graph(arguments) => graph::graph(&arguments),
        Command::Secret(arguments) => secret::secret(&arguments.command),
        Command::Doctor(arguments) => doctor::doctor(&arguments),
        Command::Audit(arguments) => audit::audit(arguments.command),
        Command::Service(service) => service::service(&service),
        Command::Completions { shell } => man::completions(shell),
        Command::Man { folder } => man::man(folder.as_deref()),
    };
    ExitCode::from(status)
}

/// Our caller may ignore the end of its children, as daemons do: the kernel would then take ours in before we
/// know how they ended (wait(2)). A file that reaches its limit of size is that file's failure (`EFBIG`), and
/// not our end (setrlimit(2)); a command has the default again.
fn settle() -> rustix::io::Result<()> {
    signals::default(Signal::CHILD)?;
    signals::ignore(Signal::XFSZ)
}

/// A panic is a defect, or a kernel that refuses what a library takes for granted. The end of this process
/// is the end of the sandbox; its status says that it was sandboxd that failed, and not the command.
#[expect(clippy::exit, reason = "nothing of this process can be relied on any more")]
fn panicked(panic: &std::panic::PanicHookInfo<'_>) {
    failed(&explain::printable(&of_panic(panic.location(), panic.payload())));
    std::process::exit(i32::from(NOT_SET_UP));
}

/// Says of what sandboxd itself has failed.
fn failed(call: &str) {
    output::warn(&format!(
        "sandboxd: failed\n  stage   sandboxd itself\n  call    {call}\n  remedy  {}\n",
        explain::last_resort(0)
    ));
}

/// Where it was, and why where that stands in the source. A text that was put together may hold what was at
/// hand, a secret even: of that, only the kernel's answer is told.
fn of_panic(at: Option<&Location<'_>>, why: &dyn Any) -> String {
    let at = at.map_or_else(|| String::from("somewhere"), ToString::to_string);
    if let Some(why) = why.downcast_ref::<&'static str>() {
        return format!("panicked at {at}: {why}");
    }
    match why.downcast_ref::<String>().and_then(|why| errno_in(why)) {
        Some(errno) => format!("panicked at {at}: {}", explain::errno(errno)),
        None => format!("panicked at {at}"),
    }
}

/// The errno in the text of a panic, as `std::io::Error` writes it there.
fn errno_in(text: &str) -> Option<i32> {
    let after = |mark: &str| text.split_once(mark).map(|(_, after)| after);
    let after = after("Os { code: ").or_else(|| after("(os error "))?;
    after.split([',', ')']).next()?.parse().ok()
}

/// Help and version are answers; anything else is a command line that was not understood.
fn usage(error: &clap::Error) -> ExitCode {
    let asked = !error.use_stderr();
    let printed = error.print();
    let typed: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let Some(tip) = without_dashes(error, &typed) {
        output::warn(&format!("\n  remedy  {tip}\n"));
    }
    match printed {
        Ok(()) if asked => ExitCode::SUCCESS,
        _ => ExitCode::from(NOT_SET_UP),
    }
}

/// The same, without commands among its suggestions that are nobody's to type.
fn without_hidden(mut error: clap::Error) -> clap::Error {
    let suggested = error.remove(ContextKind::SuggestedSubcommand);
    if let Some(ContextValue::Strings(mut names)) = suggested {
        let ours = Sandboxd::command();
        names.retain(|name| ours.find_subcommand(name).is_none_or(|found| !found.is_hide_set()));
        if !names.is_empty() {
            error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(names));
        }
    }
    error
}

/// What to type where a command was typed as if it were an argument of ours.
fn without_dashes(error: &clap::Error, typed: &[OsString]) -> Option<String> {
    let takes = ["run", "mcp", "check", "plan", "learn"];
    let verb = typed.first()?.to_str().filter(|verb| takes.contains(verb))?;
    let unknown = error.kind() == ErrorKind::UnknownArgument;
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidArg) else { return None };
    if !unknown || word.starts_with('-') || typed.iter().any(|typed| typed == "--") {
        return None;
    }
    // Which of two of one name was meant is not known: the other may be what an option has.
    let mut places = typed.iter().enumerate().filter(|(_, typed)| typed.to_str() == Some(word));
    let ((from, _), None) = (places.next()?, places.next()) else { return None };
    let words = |typed: &[OsString]| {
        let words = typed.iter().map(|word| quoted(&word.to_string_lossy()));
        words.map(|word| format!(" {word}")).collect::<String>()
    };
    let (ours, command) = typed.split_at_checked(from)?;
    Some(format!(
        "write the command after --: sandboxd {verb}{} --{}",
        words(ours.get(1..)?),
        words(command)
    ))
}

/// A word as a shell takes it for that one word.
fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-./:=,@%+".contains(letter);
    let shown = explain::printable(word);
    if !word.is_empty() && word.chars().all(plain) {
        shown
    } else {
        format!("'{}'", shown.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_without_dashes_is_shown_with_them() {
        let tip = |line: &str| {
            let typed: Vec<OsString> =
                line.split(' ').map(|word| OsString::from(word.replace('~', " "))).collect();
            let words = std::iter::once(OsString::from("sandboxd")).chain(typed.iter().cloned());
            let error = Sandboxd::try_parse_from(words).unwrap_err();
            without_dashes(&error, &typed)
        };
        let said = tip("run -r data ls -la").unwrap();
        assert!(said.ends_with(": sandboxd run -r data -- ls -la"), "{said}");
        assert!(tip("learn -o a.toml make").unwrap().ends_with("learn -o a.toml -- make"));
        let said = tip("run -r my~data sh -c it's;").unwrap();
        assert!(said.ends_with("run -r 'my data' -- sh -c 'it'\\''s;'"), "{said}");
        assert_eq!(tip("run -p ls ls"), None);
        assert_eq!(tip("run --colour -- ls"), None);
        assert_eq!(tip("run ls -- ls"), None);
        assert_eq!(tip("ps ls"), None);
    }

    #[test]
    fn what_is_nobodys_to_type_is_not_suggested() {
        let said = |word: &str| {
            let error = Sandboxd::try_parse_from(["sandboxd", word]).unwrap_err();
            without_hidden(error).to_string()
        };
        assert!(said("servic").contains("unrecognized subcommand"), "{}", said("servic"));
        for word in ["serve", "servic", "services"] {
            assert!(!said(word).contains("'service'"), "{}", said(word));
        }
        assert!(said("doctr").contains("'doctor'"), "{}", said("doctr"));
    }

    #[test]
    fn a_panic_says_where_and_not_what() {
        let at = Location::caller();
        let held: Box<dyn Any> = Box::new(format!("no {} here", "s3cr3t"));
        let said = of_panic(Some(at), held.as_ref());
        assert!(said.contains("supervisor/src/cli/mod.rs:") && !said.contains("s3cr3t"), "{said}");
        let error = std::io::Error::from_raw_os_error(28);
        for text in [format!("no s3cr3t: {error:?}"), format!("no s3cr3t: {error}")] {
            let held: Box<dyn Any> = Box::new(text);
            let said = of_panic(Some(at), held.as_ref());
            assert!(said.ends_with("(ENOSPC)") && !said.contains("s3cr3t"), "{said}");
        }
        let held: Box<dyn Any> = Box::new("it stands in the source");
        assert!(of_panic(Some(at), held.as_ref()).ends_with(": it stands in the source"));
    }
}
