//! What the operator can do about a failure, and how an errno and foreign text are written.

use rustix::io::Errno;
use sandboxd_broker_plan::letters::is_ignorable;
use sandboxd_plan::{Call, Failure, Stage};

/// What the operator can do, or nothing where we know no better than the error itself.
#[must_use]
pub fn remedy(failure: &Failure) -> Option<&'static str> {
    // Where the kernel was not asked there is no errno; this one stands in no row.
    let errno = match failure.errno {
        0 => Errno::ILSEQ,
        number => Errno::from_raw_os_error(number),
    };
    Some(match (failure.stage, failure.call, errno) {
        (_, Call::Deadline, _) => crate::sandbox::LATE,
        (Stage::Session, Call::CloseRange, Errno::NOSYS | Errno::INVAL) => {
            "close_range(2) needs kernel 5.11: run a newer kernel"
        }
        (Stage::Session, Call::ReadPlan, _) => {
            "the supervisor and the shim do not match: this is a bug in sandboxd; please report it"
        }
        (Stage::Session, Call::Keyctl, Errno::DQUOT) => {
            "the key quota is used up (one key per sandbox): raise kernel.keys.root_maxkeys for root, kernel.keys.maxkeys for a user"
        }
        (Stage::Namespaces, _, Errno::PERM) => {
            "the supervisor lacks CAP_SYS_ADMIN: run it as root, outside a container that drops it"
        }
        (Stage::Namespaces, Call::Write, Errno::NOSPC) => {
            "a cpuset of the host has no cpus or memory nodes: give the parent cgroup some"
        }
        (Stage::Root, Call::Open, Errno::NOENT) => {
            "create it, remove it from the profile, or write { path = \"…\", optional = true }"
        }
        (Stage::Root, Call::Open, Errno::LOOP) => {
            "a symbolic link appeared in the path after the profile was checked: write the real path"
        }
        (Stage::Root, Call::Open, Errno::ACCESS) => {
            "even the supervisor may not enter the path (a FUSE or NFS mount?): grant another path"
        }
        (Stage::Root, Call::MountSetattr, Errno::INVAL) => {
            "this file system cannot be idmapped: set [command].user to the owner of the folder, or move the folder to ext4, xfs, btrfs, or tmpfs of Linux 6.3 or later"
        }
        (Stage::Root, Call::Stat, Errno::STALE | Errno::NOTDIR | Errno::ISDIR) => {
            "the path changed during the start: run again; if it happens again, find out what changes it"
        }
        (
            Stage::Root,
            Call::Fsopen | Call::OpenTree | Call::MountSetattr | Call::MoveMount,
            Errno::NOSYS,
        ) => "the descriptor-based mount API needs kernel 5.12: run a newer kernel",
        (Stage::Root, _, Errno::PERM) => {
            "mounting is not permitted here: run as root, outside a container that forbids it"
        }
        (Stage::Root, _, Errno::NOSPC) => "the host's mount limit is reached: raise fs.mount-max",
        (Stage::Limits, Call::Prlimit, Errno::PERM) => {
            "the limit exceeds the supervisor's own hard limit: lower it in [limits], or raise the supervisor's (LimitNOFILE= and the like)"
        }
        (Stage::Terminal, Call::Open, Errno::NOSPC) => {
            "this host has no pseudoterminals left: raise kernel.pty.max, or write [command].tty = \"never\""
        }
        (Stage::Limits | Stage::Split, _, Errno::AGAIN | Errno::NOMEM) => {
            "the host or an outer cgroup is out of processes or memory: raise its limit, or run fewer sandboxes"
        }
        (Stage::Identity, Call::Setresuid, Errno::INVAL) => {
            "the uid does not exist in this user namespace: set [uids] in /etc/sandboxd/config.toml to a range that does"
        }
        (Stage::Identity, Call::Setresuid, Errno::AGAIN) => {
            "the user already runs as many processes as [limits].processes allows"
        }
        (Stage::Identity, _, Errno::PERM) => {
            "the supervisor lacks CAP_SETUID, CAP_SETGID or CAP_SETPCAP: run it as root"
        }
        (Stage::Landlock, Call::LandlockCreateRuleset, Errno::NOSYS | Errno::OPNOTSUPP) => {
            "Landlock is disabled in the kernel: boot with lsm=landlock,... (see `sandboxd doctor`)"
        }
        (Stage::Landlock, Call::LandlockRestrictSelf, Errno::TOOBIG) => {
            "sixteen Landlock layers are active already: start sandboxd outside other sandboxes"
        }
        (Stage::Landlock, Call::Open, Errno::NOENT | Errno::ACCESS) => {
            "the path is not in the sandbox, or its user may not reach it: check its permissions, or remove it from the profile"
        }
        (Stage::Seccomp, Call::Seccomp, Errno::NOMEM) => {
            "the active filters are too long in total: start sandboxd outside other sandboxes"
        }
        (Stage::Seccomp, Call::Seccomp, Errno::NOSYS | Errno::INVAL) => {
            "the kernel lacks seccomp filters: CONFIG_SECCOMP_FILTER=y"
        }
        (Stage::SelfTest, Call::Probe, _) => {
            "a layer does not hold on this host: run `sandboxd doctor`, and do not run anything untrusted here"
        }
        (Stage::Exec, Call::Execve, Errno::NOENT) => {
            "the program is not inside the sandbox: check its spelling, and grant its folder with -x or [files].execute"
        }
        (Stage::Exec, Call::Execve, Errno::ACCESS) => {
            "the sandbox's user may not execute the program: grant its folder with -x or [files].execute, make it executable, and let others enter its parent folders (chmod o+x)"
        }
        (Stage::Exec, Call::Execve, Errno::NOEXEC) => {
            "the file is not a program: give a script a first line such as #!/bin/sh"
        }
        (Stage::Exec, Call::Chdir, Errno::NOENT) => {
            "the working directory is not inside the sandbox: set [command].cwd, or grant the folder"
        }
        (Stage::Exec, Call::Chdir, Errno::ACCESS) => {
            "the sandbox's user may not enter the working directory: chmod o+x it, or grant it with -w"
        }
        _ => return None,
    })
}

/// What the operator can do about an errno of which no row of [`remedy`] knows more.
#[must_use]
pub fn last_resort(number: i32) -> &'static str {
    // As above: where the kernel was not asked, one that stands in no row.
    let errno = if number == 0 { Errno::ILSEQ } else { Errno::from_raw_os_error(number) };
    match errno {
        Errno::NOMEM => {
            "the host or an outer cgroup is out of memory: free some, or raise its limit"
        }
        Errno::MFILE => "sandboxd's open file limit is reached: raise it (ulimit -n, LimitNOFILE=)",
        Errno::NFILE => "the host has too many files open: raise fs.file-max",
        Errno::NOSPC => {
            "a resource of the host is used up: check the free space in /run, fs.mount-max and user.max_*_namespaces"
        }
        Errno::PERM | Errno::ACCESS => {
            "the host does not permit this: run sandboxd as root, outside a container or a filter that forbids it (see `sandboxd doctor`)"
        }
        Errno::NOSYS | Errno::OPNOTSUPP => {
            "this kernel lacks the call, or a filter around sandboxd hides it: see `sandboxd doctor`"
        }
        _ => {
            "run it again; if it fails again, something on the host changes during the start, or this is a bug in sandboxd: please report it with the output of `sandboxd doctor --json`"
        }
    }
}

/// An errno in words and by name: `no such file or directory (ENOENT)`.
#[must_use]
pub fn errno(number: i32) -> String {
    let name = nix::errno::Errno::from_raw(number);
    let text = name.desc();
    let mut letters = text.chars();
    let lower = letters.next().map(char::to_lowercase).into_iter().flatten();
    format!("{}{} ({name:?})", lower.collect::<String>(), letters.as_str())
}

/// An error of the standard library in the same form; in its own words where the kernel did not give it.
#[must_use]
pub fn io(error: &std::io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), errno)
}

/// Foreign text on one line, without anything a terminal would act on.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|letter| {
            let escape = letter.is_control() || is_invisible(letter);
            let escaped = escape.then(|| letter.escape_default());
            let plain = (!escape).then_some(letter);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}

/// What a terminal shows as nothing, or as an order to the text around it: line and paragraph
/// separators, marks of annotation and of direction, joiners, fillers, tags.
const fn is_invisible(letter: char) -> bool {
    is_ignorable(letter) || matches!(letter, '\u{2028}' | '\u{2029}' | '\u{fff9}'..='\u{fffb}')
}

/// The same, with line ends kept.
#[must_use]
pub fn printable_lines(text: &str) -> String {
    text.split('\n').map(printable).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_standard_library_has_the_same_form() {
        let error = std::io::Error::from_raw_os_error(2);
        assert_eq!(io(&error), "no such file or directory (ENOENT)");
        assert_eq!(io(&std::io::Error::other("closed")), "closed");
    }

    #[test]
    fn what_a_terminal_acts_on_is_escaped() {
        assert_eq!(printable("a\x1b]52;c;x\x07b\nc"), "a\\u{1b}]52;c;x\\u{7}b\\nc");
        assert_eq!(printable("\u{202e}exe"), "\\u{202e}exe");
        assert_eq!(printable("/srv/größe"), "/srv/größe");
        assert_eq!(printable("\u{9b}31m"), "\\u{9b}31m");
        for unseen in
            ["\u{ad}", "\u{34f}", "\u{3164}", "\u{2028}", "\u{fe0f}", "\u{fffa}", "\u{e0041}"]
        {
            assert!(printable(unseen).is_ascii(), "{}", unseen.escape_unicode());
        }
    }

    #[test]
    fn an_errno_has_words_and_a_name() {
        assert_eq!(errno(2), "no such file or directory (ENOENT)");
    }

    #[test]
    fn a_missing_program_and_a_missing_path_have_different_remedies() {
        let failure = |stage, call| Failure { stage, call, subject: String::new(), errno: 2 };
        let program = remedy(&failure(Stage::Exec, Call::Execve));
        let path = remedy(&failure(Stage::Root, Call::Open));
        assert!(program.is_some() && path.is_some() && program != path);
        assert_eq!(remedy(&failure(Stage::Session, Call::Fcntl)), None);
        assert!(!last_resort(0).is_empty() && last_resort(0) == last_resort(2));
    }
}
