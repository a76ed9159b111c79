//! A run that is over, and what can be asserted of it.

use crate::Canary;
use crate::inside::Told;
use anyhow::{Context as _, Result, bail, ensure};
use nix::errno::Errno;
use serde_json::Value;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

/// What a run left: how it ended, what it said, and what its probe tried.
#[derive(Debug)]
pub struct Run {
    /// How `sandboxd` itself ended.
    pub status: ExitStatus,
    /// Standard output; what is not UTF-8 is replaced.
    pub stdout: String,
    /// Standard error; what is not UTF-8 is replaced.
    pub stderr: String,
    /// What `--result-fd` got of a command that was started.
    pub result: Option<Value>,
    /// What it got instead of one that was not.
    pub not_started: Option<Value>,
    /// What `--receipt` got.
    pub receipt: Option<Value>,
    told: Vec<Told>,
    folder: PathBuf,
}

impl Run {
    /// From the files that a run was given.
    pub(crate) fn read(status: ExitStatus, folder: &Path) -> Result<Self> {
        let text = |name: &str| -> Result<String> {
            Ok(String::from_utf8_lossy(&fs::read(folder.join(name))?).into_owned())
        };
        let json = |name: &str| -> Result<Option<Value>> {
            match fs::read_to_string(folder.join(name)) {
                Ok(text) if text.is_empty() => Ok(None),
                Ok(text) => serde_json::from_str(&text).map(Some).with_context(|| name.to_owned()),
                // What is there and cannot be read says something.
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error).with_context(|| name.to_owned()),
            }
        };
        let stdout = text("stdout")?;
        let result = json("result")?;
        let is_refusal = |told: &Value| told.get("not_started").is_some();
        let told = stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        Ok(Self {
            status,
            stderr: text("stderr")?,
            not_started: result.clone().filter(is_refusal),
            result: result.filter(|result| !is_refusal(result)),
            receipt: json("receipt")?,
            stdout,
            told,
            folder: folder.to_owned(),
        })
    }

    /// Where the files of the run are: `profile.toml`, `stdout`, `stderr`, `result`, `receipt`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The exit status, where it was not a signal that ended `sandboxd`.
    #[must_use]
    pub fn exit(&self) -> Option<i32> {
        self.status.code()
    }

    /// The signal that ended `sandboxd`.
    #[must_use]
    pub fn signal(&self) -> Option<i32> {
        self.status.signal()
    }

    /// The run ended with this exit status.
    ///
    /// # Errors
    /// Where it did not.
    pub fn exited(&self, status: i32) -> Result<&Self> {
        ensure!(self.exit() == Some(status), "exit {status} expected, not {}", self.status);
        Ok(self)
    }

    /// The probe ran to its end and tried something or told something.
    ///
    /// # Errors
    /// Where it did not.
    pub fn ran(&self) -> Result<&Self> {
        self.exited(0)?;
        ensure!(!self.told.is_empty(), "the probe tried nothing");
        Ok(self)
    }

    /// The errno that an attempt met; 0 where it was let through. The last, where tried repeatedly.
    ///
    /// # Errors
    /// Where the probe did not try it.
    pub fn errno(&self, attempt: &str) -> Result<i32> {
        self.attempts()
            .filter(|(what, _)| *what == attempt)
            .last()
            .map(|(_, errno)| errno)
            .with_context(|| format!("the probe did not try {attempt:?}"))
    }

    /// Everything tried, with its errno.
    pub fn attempts(&self) -> impl Iterator<Item = (&str, i32)> {
        self.told.iter().filter_map(|told| match told {
            Told::Attempt { what, errno } => Some((what.as_str(), *errno)),
            Told::Fact { .. } => None,
        })
    }

    /// What the probe saw, by the name it gave it.
    ///
    /// # Errors
    /// Where it told nothing by that name.
    pub fn fact(&self, wanted: &str) -> Result<&str> {
        self.told
            .iter()
            .find_map(|told| match told {
                Told::Fact { name, value } if name == wanted => Some(value.as_str()),
                Told::Fact { .. } | Told::Attempt { .. } => None,
            })
            .with_context(|| format!("the probe told no {wanted:?}"))
    }

    /// An attempt was refused, and by one of these answers.
    ///
    /// # Errors
    /// Where it was not.
    pub fn refused(&self, attempt: &str, answers: &[Errno]) -> Result<&Self> {
        let met = self.errno(attempt)?;
        let named = Errno::from_raw(met);
        ensure!(met != 0, "{attempt}: was let through");
        ensure!(answers.contains(&named), "{attempt}: refused by {named:?}, not {answers:?}");
        Ok(self)
    }

    /// Something was tried, and every attempt was refused.
    ///
    /// # Errors
    /// Where one was let through.
    pub fn all_refused(&self) -> Result<&Self> {
        ensure!(self.attempts().next().is_some(), "the probe tried nothing");
        let through: Vec<_> =
            self.attempts().filter(|(_, errno)| *errno == 0).map(|(what, _)| what).collect();
        ensure!(through.is_empty(), "let through: {}", through.join(", "));
        Ok(self)
    }

    /// An attempt was let through.
    ///
    /// # Errors
    /// Where it was refused.
    pub fn allowed(&self, attempt: &str) -> Result<&Self> {
        let met = self.errno(attempt)?;
        ensure!(met == 0, "{attempt}: refused by {:?}", Errno::from_raw(met));
        Ok(self)
    }

    /// Nothing the run said holds the secret of a canary.
    ///
    /// # Errors
    /// Where it does.
    pub fn keeps(&self, canary: &Canary) -> Result<&Self> {
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            ensure!(
                !text.contains(canary.secret()),
                "what stands in {} came out on {name}",
                canary.path().display()
            );
        }
        Ok(self)
    }

    /// No command was run: exit 125, nothing on standard output, a message that begins as it must,
    /// no result; and nothing panicked.
    ///
    /// # Errors
    /// Where any of that is not so.
    pub fn not_started(&self) -> Result<&Self> {
        self.exited(125)?;
        ensure!(self.stdout.is_empty(), "something was written to standard output");
        ensure!(self.result.is_none(), "a result was written");
        ensure!(self.stderr.starts_with("sandboxd: not started: "), "the message begins otherwise");
        ensure!(!self.stderr.contains("panicked"), "sandboxd panicked");
        Ok(self)
    }

    /// Not started, because this stage failed in this call with this errno; and there is a remedy.
    ///
    /// # Errors
    /// Where the message does not say so.
    pub fn failed_in(&self, stage: &str, call: &str, errno: Errno) -> Result<&Self> {
        self.not_started()?;
        let said = self.line("stage")?;
        ensure!(said.split_whitespace().next() == Some(stage), "stage {stage}, not {said}");
        let said = self.line("call")?;
        ensure!(said.starts_with(&format!("{call}(")), "call {call}, not {said}");
        let said = self.line("error")?;
        ensure!(said.ends_with(&format!("({errno:?})")), "error {errno:?}, not {said}");
        ensure!(!self.line("remedy")?.is_empty(), "the remedy is empty");
        Ok(self)
    }

    /// Not started, because of a problem whose line holds all of these words; and it has a remedy.
    ///
    /// # Errors
    /// Where no problem is told so.
    pub fn has_problem(&self, words: &[&str]) -> Result<&Self> {
        self.not_started()?;
        let Some((line, remedy)) = problem(&self.stderr, words) else {
            bail!("no problem is told with the words {words:?}");
        };
        ensure!(!remedy.is_empty(), "no remedy for: {line}");
        Ok(self)
    }

    fn line(&self, label: &str) -> Result<&str> {
        self.stderr
            .lines()
            .find_map(|line| line.strip_prefix("  ")?.strip_prefix(label)?.strip_prefix(' '))
            .map(str::trim)
            .with_context(|| format!("the message has no line {label:?}"))
    }
}

/// The line of a message that holds all of these words, and the remedy right below it: not that of a problem after
/// it. Of a call that failed the error stands between.
fn problem<'t>(message: &'t str, words: &[&str]) -> Option<(&'t str, &'t str)> {
    let mut lines = message.lines().skip(1);
    let line = lines.find(|line| words.iter().all(|word| line.contains(word)))?;
    let below = lines.find(|line| !line.starts_with("  error   "));
    let remedy = below.and_then(|below| below.strip_prefix("  remedy  "));
    Some((line, remedy.unwrap_or_default().trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remedy_is_that_of_its_own_problem() {
        let told = "sandboxd: not started: x\np.toml: a: is wrong\np.toml: b: is worse\n  remedy  mend it\n2 problems\n";
        assert_eq!(problem(told, &["a:", "wrong"]), Some(("p.toml: a: is wrong", "")));
        assert_eq!(problem(told, &["worse"]), Some(("p.toml: b: is worse", "mend it")));
        assert_eq!(problem(told, &["not started"]), None);
        let call = "sandboxd: not started: x\n  stage   preparation\n  call    open(\"/x\")\n  error   gone (ENOENT)\n  remedy  make it\n";
        assert_eq!(problem(call, &["open("]).map(|(_, remedy)| remedy), Some("make it"));
    }

    #[test]
    fn a_result_that_cannot_be_read_is_not_none() {
        let folder = std::env::temp_dir().join(format!("sandboxd-run-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        ["stdout", "stderr"].iter().for_each(|name| fs::write(folder.join(name), "").unwrap());
        let read = || Run::read(ExitStatus::from_raw(0), &folder);
        assert!(read().unwrap().result.is_none());
        fs::create_dir(folder.join("result")).unwrap();
        let failed = read().is_err();
        fs::remove_dir_all(&folder).unwrap();
        assert!(failed);
    }
}
