//! What is refused where the sandbox has no namespaces: objects of the kernel that it would then share
//! with whoever else is on the host, and what Landlock, alone, does not judge.

use super::compose::{Cell, cell, refusal};
use super::data::{Answer, EAFNOSUPPORT, Sharing, Sockets};
use super::{Rules, name, number};

/// A few calls, and the reason for all of them.
struct Line {
    calls: &'static [&'static str],
    reason: &'static str,
}

/// There is one table of these for the whole ipc namespace.
const QUEUES: Line = Line {
    calls: &[
        "shmget",
        "shmat",
        "shmctl",
        "shmdt",
        "semget",
        "semop",
        "semctl",
        "semtimedop",
        "msgget",
        "msgsnd",
        "msgrcv",
        "msgctl",
        "mq_open",
        "mq_unlink",
    ],
    reason: "without an ipc namespace, these queues and segments are shared with everyone",
};

/// Landlock judges the execution of files, and memory is none.
const FROM_MEMORY: Line = Line {
    calls: &["memfd_create"],
    reason: "without a pid namespace, only the filter prevents executing programs from memory",
};

/// Landlock does not judge these, so that whoever owns a file could change it without a grant.
const ATTRIBUTES: Line = Line {
    calls: &[
        "chmod",
        "fchmod",
        "fchmodat",
        "fchmodat2",
        "chown",
        "fchown",
        "fchownat",
        "lchown",
        "utime",
        "utimes",
        "futimesat",
        "utimensat",
        "setxattr",
        "lsetxattr",
        "fsetxattr",
        "setxattrat",
        "removexattr",
        "lremovexattr",
        "fremovexattr",
        "removexattrat",
        "file_setattr",
    ],
    reason: "Landlock does not check it, and nothing that may be written needs it",
};

/// Takes away what no namespace keeps apart.
pub(super) fn refuse(cells: &mut [Cell], rules: &Rules<'_>, problems: &mut Vec<String>) {
    if matches!(rules.sockets, Sockets::PairsOnly)
        && let Some(cell) = number("socket").and_then(|call| cell(cells, call))
    {
        let reason =
            "no sockets: there is no network namespace, and Landlock does not check Unix sockets";
        *cell = Cell { answer: Answer::Errno(EAFNOSUPPORT), group: "shared", reason, fixed: false };
    }
    let Sharing::Host { fileless_exec, attributes } = rules.sharing else { return };
    take(cells, &QUEUES, problems);
    if !fileless_exec {
        take(cells, &FROM_MEMORY, problems);
    }
    if !attributes {
        take(cells, &ATTRIBUTES, problems);
    }
}

fn take(cells: &mut [Cell], line: &Line, problems: &mut Vec<String>) {
    for call in line.calls.iter().filter_map(|name| number(name)) {
        let Some(cell) = cell(cells, call) else { continue };
        if cell.answer != Answer::Allow {
            continue;
        }
        if cell.group == "profile" {
            let text = name(call).unwrap_or_default();
            let reason = line.reason;
            problems.push(format!(
                "{text} cannot be allowed here ({reason}); remove {text} from allow"
            ));
        }
        *cell = Cell { answer: refusal(call), group: "shared", reason: line.reason, fixed: false };
    }
}
