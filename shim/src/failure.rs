//! How an errno becomes a failure: it is told where, in which call and on what.

use alloc::string::ToString;
use core::fmt::Display;
use rustix::io::Errno;
use sandboxd_plan::{Call, Failure, Stage};

/// The stage a file's calls are made in.
#[derive(Clone, Copy)]
pub(crate) struct At(pub(crate) Stage);

impl At {
    /// For `map_err`: the call failed on this subject.
    pub(crate) fn errno(self, call: Call, subject: impl Display) -> impl FnOnce(Errno) -> Failure {
        move |errno| Failure {
            stage: self.0,
            call,
            subject: subject.to_string(),
            errno: errno.raw_os_error(),
        }
    }

    /// We refuse, without having asked the kernel.
    pub(crate) fn because(self, call: Call, subject: impl Display) -> Failure {
        Failure { stage: self.0, call, subject: subject.to_string(), errno: 0 }
    }
}
