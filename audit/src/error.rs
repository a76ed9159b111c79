//! Why the log could not be written or read.

use rustix::io::Errno;

/// A call that failed, on what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{call}({subject})")]
pub struct AuditError {
    /// The system call, or what was looked at.
    pub call: &'static str,
    /// The file.
    pub subject: String,
    /// errno(3); 0 where the kernel was not asked.
    pub errno: i32,
    /// What to do.
    pub remedy: String,
}

impl AuditError {
    pub(crate) fn call(call: &'static str, subject: impl Into<String>, errno: Errno) -> Self {
        let remedy = match errno {
            Errno::NOSPC | Errno::DQUOT => "free space on the disk that holds the audit log",
            Errno::ROFS | Errno::ACCESS | Errno::PERM => {
                "make the folder of the audit log writable for sandboxd"
            }
            _ => "check the folder of the audit log, and the kernel's log (dmesg)",
        };
        let errno = errno.raw_os_error();
        Self { call, subject: subject.into(), errno, remedy: remedy.to_owned() }
    }

    pub(crate) fn io(call: &'static str, subject: &str, error: &std::io::Error) -> Self {
        Self::call(call, subject, Errno::from_io_error(error).unwrap_or(Errno::IO))
    }

    /// A record that cannot be written as JSON.
    pub(crate) fn encode(error: &serde_json::Error) -> Self {
        Self::found("encode", error.to_string(), "report this: it is a bug in sandboxd")
    }

    /// Something found that must not be so.
    #[must_use]
    pub fn found(call: &'static str, subject: impl Into<String>, remedy: &str) -> Self {
        Self { call, subject: subject.into(), errno: 0, remedy: remedy.to_owned() }
    }
}

/// Records that could not be written, of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unwritten {
    /// How many.
    pub records: u64,
    /// Why the last of them could not.
    pub why: AuditError,
}

impl From<Unwritten> for AuditError {
    fn from(unwritten: Unwritten) -> Self {
        unwritten.why
    }
}
