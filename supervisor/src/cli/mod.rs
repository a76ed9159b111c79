//! The command line: [`typed`] is what was typed, each other file is what one command does.

pub mod typed;

mod check;
mod doctor;
mod load;
mod man;
mod output;
mod plan;
mod profile;
mod run;

use clap::Parser;
use std::process::ExitCode;
use std::time::Instant;
use typed::{Command, Sandboxd};

/// The exit status for a setup that failed, as env(1) and timeout(1) have it.
pub(crate) const NOT_SET_UP: u8 = 125;

/// Reads the command line and does what it says.
#[must_use]
pub fn main() -> ExitCode {
    let since = Instant::now();
    let typed = match Sandboxd::try_parse() {
        Ok(typed) => typed,
        Err(error) => return usage(&error),
    };
    let status = match typed.command {
        Command::Run(arguments) => run::run(arguments, since),
        Command::Check(arguments) => check::check(&arguments),
        Command::Plan(arguments) => plan::plan(&arguments),
        Command::Profile(arguments) => profile::profile(arguments.command),
        Command::Doctor(arguments) => doctor::doctor(&arguments),
        Command::Completions { shell } => man::completions(shell),
        Command::Man { folder } => man::man(folder.as_deref()),
    };
    ExitCode::from(status)
}

/// Help and version are answers; anything else is a command line that was not understood.
fn usage(error: &clap::Error) -> ExitCode {
    let asked = !error.use_stderr();
    match error.print() {
        Ok(()) if asked => ExitCode::SUCCESS,
        _ => ExitCode::from(NOT_SET_UP),
    }
}
