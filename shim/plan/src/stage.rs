//! The stages, the calls made in them, and how one fails.
//!
//! Both enums are closed: they are the wire, the documentation and the key of the remedy table.

use alloc::string::String;
use serde::{Deserialize, Serialize};

macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $text)] $variant,)*
        }

        impl $name {
            /// All of them, in order.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name that messages, receipts and documents use.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

named! {
    /// A step of the shim. The order of the variants is the order of the run.
    Stage {
        /// Descriptors, signals, umask, keyring, parent death.
        Session = "session",
        /// What is completed inside the namespaces the shim was cloned into.
        Namespaces = "namespaces",
        /// The new root: mounts, masks, `pivot_root`.
        Root = "root",
        /// Resource limits and the score of the OOM killer.
        Limits = "limits",
        /// The terminal that the command has, where it has one.
        Terminal = "terminal",
        /// PID 1 stays behind; the command goes on as its child.
        Split = "split",
        /// Capabilities, groups, ids, `no_new_privs`.
        Identity = "identity",
        /// The Landlock ruleset.
        Landlock = "landlock",
        /// The system call filter.
        Seccomp = "seccomp",
        /// What must be refused is tried.
        SelfTest = "self-test",
        /// `execve` of the command.
        Exec = "exec",
    }
}

impl Stage {
    /// Its place in the order, counted from 1.
    #[must_use]
    pub fn position(self) -> usize {
        Self::ALL.iter().take_while(|stage| **stage != self).count() + 1
    }
}

named! {
    /// A call made in a stage, by the name of its system call or of what it does.
    Call {
        /// Reading and decoding the plan.
        ReadPlan = "plan",
        /// `read(2)`.
        Read = "read",
        /// `write(2)`.
        Write = "write",
        /// `openat2(2)`.
        Open = "open",
        /// `fstat(2)` and its kin.
        Stat = "stat",
        /// `mkdirat(2)`.
        Mkdir = "mkdir",
        /// `symlinkat(2)`.
        Symlink = "symlink",
        /// `mknodat(2)`.
        Mknod = "mknod",
        /// `fchown(2)`.
        Chown = "fchown",
        /// `fchmod(2)`.
        Chmod = "chmod",
        /// `chdir(2)`, `fchdir(2)`.
        Chdir = "chdir",
        /// `close_range(2)`.
        CloseRange = "close_range",
        /// `fcntl(2)`.
        Fcntl = "fcntl",
        /// `ioctl(2)`.
        Ioctl = "ioctl",
        /// `poll(2)`.
        Poll = "poll",
        /// `rt_sigprocmask(2)`.
        Sigprocmask = "rt_sigprocmask",
        /// `rt_sigaction(2)`.
        Sigaction = "rt_sigaction",
        /// `prctl(2)`.
        Prctl = "prctl",
        /// `keyctl(2)`.
        Keyctl = "keyctl",
        /// `setsid(2)`.
        Setsid = "setsid",
        /// `setpgid(2)`.
        Setpgid = "setpgid",
        /// `setns(2)`.
        Setns = "setns",
        /// `unshare(2)`.
        Unshare = "unshare",
        /// `sethostname(2)`.
        Sethostname = "sethostname",
        /// `socket(2)`.
        Socket = "socket",
        /// `bind(2)`.
        Bind = "bind",
        /// `listen(2)`.
        Listen = "listen",
        /// `sendmsg(2)`.
        Sendmsg = "sendmsg",
        /// `fsopen(2)`.
        Fsopen = "fsopen",
        /// `fsconfig(2)`.
        Fsconfig = "fsconfig",
        /// `fsmount(2)`.
        Fsmount = "fsmount",
        /// `open_tree(2)`.
        OpenTree = "open_tree",
        /// `mount_setattr(2)`.
        MountSetattr = "mount_setattr",
        /// `move_mount(2)`.
        MoveMount = "move_mount",
        /// `pivot_root(2)`.
        PivotRoot = "pivot_root",
        /// `umount2(2)`.
        Umount = "umount2",
        /// `prlimit(2)`.
        Prlimit = "prlimit",
        /// `clone(2)`.
        Clone = "clone",
        /// `kill(2)`.
        Kill = "kill",
        /// `setgroups(2)`.
        Setgroups = "setgroups",
        /// `setresgid(2)`.
        Setresgid = "setresgid",
        /// `setresuid(2)`.
        Setresuid = "setresuid",
        /// `capset(2)`.
        Capset = "capset",
        /// `landlock_create_ruleset(2)`.
        LandlockCreateRuleset = "landlock_create_ruleset",
        /// `landlock_add_rule(2)`.
        LandlockAddRule = "landlock_add_rule",
        /// `landlock_restrict_self(2)`.
        LandlockRestrictSelf = "landlock_restrict_self",
        /// `seccomp(2)`.
        Seccomp = "seccomp",
        /// A probe of the self-test that did not give the planned answer.
        Probe = "probe",
        /// `execveat(2)`.
        Execve = "execve",
        /// Whatever the shim was at when the time of its start was over. The shim never says so
        /// itself: the supervisor does, who looked.
        Deadline = "deadline",
    }
}

/// The first thing that went wrong in the shim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// Where.
    pub stage: Stage,
    /// In which call.
    pub call: Call,
    /// On what: a path, a limit, a descriptor, a probe.
    pub subject: String,
    /// The kernel's answer, errno(3); 0 where the kernel was not asked.
    pub errno: i32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_stage_is_exec_and_positions_count_from_one() {
        assert_eq!(Stage::Session.position(), 1);
        assert_eq!(Stage::Landlock.position(), 8);
        assert_eq!(Stage::Exec.position(), Stage::ALL.len());
    }
}
