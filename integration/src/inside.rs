//! The adversary's side: what it tries, told line by line on standard output.

use crate::Named;
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

/// What a probe was started with, and where it tells what it found.
#[derive(Debug)]
pub struct Inside {
    arguments: Vec<String>,
}

/// One line of a probe.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Told {
    /// Something tried; 0 where it was let through.
    Attempt {
        what: String,
        errno: i32,
    },
    Fact {
        name: String,
        value: String,
    },
}

impl Inside {
    /// The argument at this position, counted from 0.
    ///
    /// # Errors
    /// Where the observer gave fewer.
    pub fn argument(&self, at: usize) -> Result<&str> {
        self.arguments.get(at).map(String::as_str).with_context(|| format!("no argument {at}"))
    }

    /// [`Self::argument`] as a path.
    ///
    /// # Errors
    /// Where the observer gave fewer.
    pub fn path(&self, at: usize) -> Result<&Path> {
        self.argument(at).map(Path::new)
    }

    /// All of them.
    #[must_use]
    pub fn arguments(&self) -> &[String] {
        &self.arguments
    }

    /// Tells what came of something tried, and hands on what it gave.
    pub fn attempt<T, E: Into<io::Error>>(&self, what: &str, outcome: Result<T, E>) -> Option<T> {
        let (errno, value) = match outcome {
            Ok(value) => (0, Some(value)),
            Err(error) => (number(&error.into()), None),
        };
        tell(&Told::Attempt { what: what.to_owned(), errno });
        value
    }

    /// Tells something seen, for the observer to judge.
    pub fn fact(&self, name: &str, value: &str) {
        tell(&Told::Fact { name: name.to_owned(), value: value.to_owned() });
    }
}

/// The errno of an error; one that is no kernel's answer counts as `EILSEQ`.
fn number(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EILSEQ)
}

/// Written at once, so that it is told whatever happens to the probe next.
fn tell(told: &Told) {
    match serde_json::to_string(told) {
        Ok(line) => println!("{line}"),
        Err(error) => eprintln!("cannot tell: {error}"),
    }
    if let Err(error) = io::stdout().flush() {
        eprintln!("cannot tell: {error}");
    }
}

/// Plays a probe of a case.
pub(crate) fn play(
    cases: &'static [Named],
    case: &str,
    name: &str,
    arguments: &[&str],
) -> Result<ExitCode> {
    let named = cases.iter().find(|named| named.name == case).context("no such case")?;
    let (_, probe) =
        named.case.probes.iter().find(|(known, _)| *known == name).context("no such probe")?;
    let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
    probe(&Inside { arguments })?;
    Ok(ExitCode::SUCCESS)
}
