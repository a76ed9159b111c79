//! What went wrong with a cgroup.

use crate::{host, systemd};
use rustix::io::Errno;
use std::fmt;

/// A call on a cgroup that failed, in the shape of every failure: call, subject, errno, remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CgroupError {
    /// The system call, or `compare` where a limit read back is not the one written.
    pub call: &'static str,
    /// The file or directory, and what was written to it.
    pub subject: String,
    /// The kernel's answer, errno(3); 0 where the kernel accepted and still does otherwise, or was
    /// not asked.
    pub errno: i32,
    /// What to do.
    pub remedy: String,
}

impl CgroupError {
    /// A call that the kernel refused.
    pub(crate) fn refused(call: &'static str, subject: impl Into<String>, errno: Errno) -> Self {
        let remedy = match errno {
            Errno::ROFS => {
                "the cgroup file system is read-only here: mount it writable or run outside this container"
            }
            Errno::ACCESS | Errno::PERM => {
                elsewhere(host::is_root_of_the_machine(), systemd::is_booted())
            }
            Errno::NOENT => "this kernel lacks the file or controller: see sandboxd doctor",
            Errno::INVAL | Errno::RANGE => {
                "the kernel rejects this value: it may exceed what an outer cgroup allows"
            }
            Errno::AGAIN | Errno::NOSPC => {
                "an outer cgroup's cgroup.max.depth or cgroup.max.descendants is reached: raise it"
            }
            Errno::BUSY => "something in this cgroup is still alive: end it and try again",
            _ => "see cgroups(7) for this call",
        };
        Self {
            call,
            subject: subject.into(),
            errno: errno.raw_os_error(),
            remedy: remedy.to_owned(),
        }
    }

    /// Something that cannot be so, found without a refusal of the kernel.
    pub(crate) fn found(
        call: &'static str,
        subject: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { call, subject: subject.into(), errno: 0, remedy: remedy.into() }
    }
}

/// Where groups can be made that cannot be made here; that it can be waived stands beside it.
const fn elsewhere(is_root: bool, is_booted: bool) -> &'static str {
    match (is_root, is_booted) {
        (true, true) => {
            "run it where the cgroup is delegated: systemd-run --scope -p Delegate=yes sandboxd …"
        }
        (false, true) => {
            "run it where the cgroup is delegated: systemd-run --user --scope -p Delegate=yes sandboxd …; or as root"
        }
        (true, false) => "run it where root may write this cgroup",
        (false, false) => "run it as root, or in a cgroup that you own (chown)",
    }
}

impl std::error::Error for CgroupError {}

impl fmt::Display for CgroupError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}\n  remedy  {}", self.why(), self.remedy)
    }
}

impl CgroupError {
    /// What went wrong, without what to do.
    pub(crate) fn why(&self) -> String {
        let call = match self.call {
            // Asked of a directory that groups would be made in.
            "faccessat" => format!("no cgroup can be created in {}", self.subject),
            call => format!("{call}(\"{}\")", self.subject),
        };
        if self.errno == 0 {
            return call;
        }
        format!("{call}: {}", crate::explain::errno(self.errno))
    }
}

#[cfg(test)]
mod tests {
    use super::elsewhere;

    #[test]
    fn systemd_is_asked_where_it_runs_and_a_users_own_by_a_user() {
        for (is_root, is_booted) in [(true, true), (true, false), (false, true), (false, false)] {
            let said = elsewhere(is_root, is_booted);
            assert_eq!(said.contains("systemd-run"), is_booted, "{said}");
            assert_eq!(said.contains("systemd-run --user"), !is_root && is_booted, "{said}");
        }
    }
}
