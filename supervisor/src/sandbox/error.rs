//! Why a command was not started, always in the same shape.

use crate::cgroup::CgroupError;
use crate::explain;
use crate::lease::LeaseError;
use rustix::io::Errno;
use sandboxd_plan::{Call, Failure, Stage};
use sandboxd_profiles::Problem;
use serde_json::{Value, json};

/// Why a command was not started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The profile has problems, or asks for what this host lacks.
    #[error("the profile has problems")]
    Problems(Vec<Problem>),
    /// A stage of the shim failed.
    #[error("stage {} failed", .0.stage.name())]
    Failed(Failure),
    /// A call of the supervisor's failed before there was a shim.
    #[error("{call} failed")]
    Call {
        /// The system call, or what was looked at.
        call: &'static str,
        /// On what.
        subject: String,
        /// errno(3); 0 where the kernel was not asked.
        errno: i32,
        /// What to do; empty where nothing better than the error is known.
        remedy: String,
    },
}

/// The part of a message that is neither heading nor remedy.
struct Told {
    place: String,
    call: String,
    errno: i32,
    remedy: Option<String>,
}

impl StartError {
    /// The shim is gone, and nobody knows why.
    pub(crate) fn silent() -> Self {
        Self::found("waitid", "the shim ended without a report").with_remedy(
            "something killed it: look for the OOM killer or a filter around sandboxd in the kernel's log",
        )
    }

    /// A call that the kernel refused.
    pub(crate) fn call(call: &'static str, subject: impl Into<String>, errno: Errno) -> Self {
        let errno = errno.raw_os_error();
        Self::Call { call, subject: subject.into(), errno, remedy: String::new() }
    }

    /// A call that the standard library or the run loop made.
    pub(crate) fn io(
        call: &'static str,
        subject: impl Into<String>,
        error: &std::io::Error,
    ) -> Self {
        match Errno::from_io_error(error) {
            Some(errno) => Self::call(call, subject, errno),
            None => Self::found(call, format!("{}: {error}", subject.into())),
        }
    }

    /// Something found that must not be so.
    pub(crate) fn found(call: &'static str, subject: impl Into<String>) -> Self {
        Self::Call { call, subject: subject.into(), errno: 0, remedy: String::new() }
    }

    /// The same, with what to do.
    pub(crate) fn with_remedy(mut self, what: impl Into<String>) -> Self {
        if let Self::Call { remedy, .. } = &mut self {
            *remedy = what.into();
        }
        self
    }

    /// The same, and whose it is.
    pub(crate) fn of(mut self, name: &str) -> Self {
        if let Self::Failed(Failure { subject, .. }) | Self::Call { subject, .. } = &mut self {
            *subject = format!("{name}: {subject}");
        }
        self
    }

    /// The exit status that says this, as env(1), nohup(1) and timeout(1) have it.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Failed(Failure { stage: Stage::Exec, call: Call::Execve, errno, .. }) => {
                if *errno == Errno::NOENT.raw_os_error() { 127 } else { 126 }
            }
            Self::Failed(_) | Self::Problems(_) | Self::Call { .. } => 125,
        }
    }

    /// The message, for people.
    #[must_use]
    pub fn text(&self, name: &str) -> String {
        let mut text = format!("sandboxd: not started: {}\n", explain::printable(name));
        match self {
            Self::Problems(problems) => {
                for problem in problems {
                    text.push_str(&format!("{}\n", explain::printable_lines(&problem.to_string())));
                }
                let count = problems.len();
                let plural = if count == 1 { "problem" } else { "problems" };
                text.push_str(&format!("{count} {plural}\n"));
            }
            Self::Failed(_) | Self::Call { .. } => {
                let Told { place, call, errno, remedy } = self.told();
                text.push_str(&format!("  stage   {place}\n  call    {call}\n"));
                if errno != 0 {
                    text.push_str(&format!("  error   {}\n", explain::errno(errno)));
                }
                if let Some(remedy) = remedy {
                    text.push_str(&format!("  remedy  {remedy}\n"));
                }
            }
        }
        text
    }

    /// The message on one line, for a run whose command had begun.
    pub(crate) fn line(&self) -> String {
        let Told { place, call, errno, .. } = self.told();
        if errno == 0 {
            return format!("{place}: {call}");
        }
        format!("{place}: {call}: {}", explain::errno(errno))
    }

    /// What to do; nothing of problems, which have a remedy each.
    pub(crate) fn remedy(&self) -> Option<String> {
        self.told().remedy
    }

    /// The message, for programs.
    #[must_use]
    pub fn json(&self, name: &str) -> Value {
        match self {
            Self::Problems(problems) => {
                json!({ "ok": false, "not_started": name, "problems": problems })
            }
            Self::Failed(_) | Self::Call { .. } => {
                let Told { place, call, errno, remedy } = self.told();
                json!({
                    "ok": false, "not_started": name, "stage": place, "call": call, "errno": errno,
                    "error": (errno != 0).then(|| explain::errno(errno)), "remedy": remedy,
                })
            }
        }
    }

    fn told(&self) -> Told {
        match self {
            Self::Failed(failure) => Told {
                place: format!(
                    "{} ({} of {})",
                    failure.stage.name(),
                    failure.stage.position(),
                    Stage::ALL.len()
                ),
                call: format!(
                    "{}(\"{}\")",
                    failure.call.name(),
                    explain::printable(&failure.subject)
                ),
                errno: failure.errno,
                remedy: Some(
                    explain::remedy(failure)
                        .unwrap_or_else(|| explain::last_resort(failure.errno))
                        .to_owned(),
                ),
            },
            Self::Call { call, subject, errno, remedy } => Told {
                place: String::from("preparation"),
                call: format!("{call}(\"{}\")", explain::printable(subject)),
                errno: *errno,
                remedy: Some(match remedy.as_str() {
                    "" => explain::last_resort(*errno).to_owned(),
                    known => known.to_owned(),
                }),
            },
            Self::Problems(_) => {
                Told { place: String::from("profile"), call: String::new(), errno: 0, remedy: None }
            }
        }
    }
}

impl From<Vec<Problem>> for StartError {
    fn from(problems: Vec<Problem>) -> Self {
        Self::Problems(problems)
    }
}

impl From<CgroupError> for StartError {
    fn from(CgroupError { call, subject, errno, remedy }: CgroupError) -> Self {
        Self::Call { call, subject, errno, remedy }
    }
}

impl From<LeaseError> for StartError {
    fn from(LeaseError { call, subject, errno, remedy }: LeaseError) -> Self {
        Self::Call { call, subject, errno, remedy }
    }
}
