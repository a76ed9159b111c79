//! May the command make this system call?

use super::access::Access;
use super::answer::{Answer, Judged, Line, allows, refuses};
use crate::resolve::Sources;
use crate::syscalls::{self, Action, Verdict, evaluate};
use sandboxd_plan::{Filter, Layers};

const SECCOMP: &str = "seccomp";

/// The calls that programs make for an access, one beside the other, with the arguments that a filter
/// looks at: where any is answered, a program has a way.
pub(super) fn calls_of(access: Access) -> &'static [(&'static str, [u64; 6])] {
    const REGULAR: u64 = 0o100_000;
    const PIPE: u64 = 0o010_000;
    const CHARACTER: u64 = 0o020_000;
    const BLOCK: u64 = 0o060_000;
    const NONE: [u64; 6] = [0; 6];
    match access {
        Access::Execute => &[("execve", NONE), ("execveat", NONE)],
        Access::Truncate => {
            &[("truncate", NONE), ("ftruncate", NONE), ("open", NONE), ("openat", NONE)]
        }
        Access::MakeReg => &[
            ("open", NONE),
            ("openat", NONE),
            ("creat", NONE),
            ("mknod", [0, REGULAR, 0, 0, 0, 0]),
            ("mknodat", [0, 0, REGULAR, 0, 0, 0]),
        ],
        Access::MakeFifo => &[("mknod", [0, PIPE, 0, 0, 0, 0]), ("mknodat", [0, 0, PIPE, 0, 0, 0])],
        Access::MakeChar => {
            &[("mknod", [0, CHARACTER, 0, 0, 0, 0]), ("mknodat", [0, 0, CHARACTER, 0, 0, 0])]
        }
        Access::MakeBlock => {
            &[("mknod", [0, BLOCK, 0, 0, 0, 0]), ("mknodat", [0, 0, BLOCK, 0, 0, 0])]
        }
        Access::MakeDir => &[("mkdir", NONE), ("mkdirat", NONE)],
        Access::MakeSym => &[("symlink", NONE), ("symlinkat", NONE)],
        Access::MakeSock => &[("bind", NONE)],
        Access::RemoveFile => &[("unlink", NONE), ("unlinkat", NONE)],
        Access::RemoveDir => &[("rmdir", NONE), ("unlinkat", NONE)],
        Access::IoctlDev => &[("ioctl", NONE)],
        Access::ResolveUnix => &[("connect", NONE), ("sendto", NONE), ("sendmsg", NONE)],
        Access::Read | Access::ReadFile | Access::ReadDir | Access::Write | Access::WriteFile => {
            &[("open", NONE), ("openat", NONE), ("openat2", NONE)]
        }
    }
}

/// Says which filter refuses, where one refuses every one of these calls.
pub(super) fn all_refused(
    filters: &Layers<Filter>,
    sources: &Sources,
    calls: &[(&'static str, [u64; 6])],
    answer: &mut Answer,
) {
    for layer in filters {
        let refused = calls.iter().filter_map(|(name, arguments)| {
            let number = syscalls::number(name)?;
            let action = evaluate(&layer.rules, number, *arguments);
            (action != Action::Allow).then_some((*name, number, action))
        });
        let refused: Vec<_> = refused.collect();
        if let (true, Some((_, number, action))) = (refused.len() == calls.len(), refused.first()) {
            let names: Vec<&str> = refused.iter().map(|(name, _, _)| *name).collect();
            let what = format!("the filter of {} refuses {}", layer.of, names.join(", "));
            let lines = reasons(sources, *number, true).into_iter().flat_map(|one| one.lines);
            answer.say(refuses(SECCOMP, what, lines.collect()), errno(*action));
        }
    }
}

fn errno(action: Action) -> Option<i32> {
    match action {
        Action::Errno(errno) => Some(errno),
        Action::Allow | Action::Kill => None,
    }
}

/// What each profile says of a call; of those that refuse alone, where that is asked for.
fn reasons(sources: &Sources, number: u32, refusing: bool) -> Vec<Judged> {
    let mut all = Vec::new();
    let several = sources.calls.len() > 1;
    for calls in &sources.calls {
        let of = if several { format!("{}: ", calls.of) } else { String::new() };
        let Some((explanation, written)) = calls.explain(number) else { continue };
        let refused = matches!(explanation.verdict, Verdict::Errno(_) | Verdict::Kill);
        if refusing && !refused {
            continue;
        }
        let lines: Vec<Line> = written.map(Line::from).into_iter().collect();
        let what = match explanation.group {
            "profile" | "shared" | "architecture" | "unlisted" => {
                format!("{of}{}", explanation.reason)
            }
            group => format!("{of}@{group}: {}", explanation.reason),
        };
        all.push(if refused {
            refuses(SECCOMP, what, lines)
        } else {
            allows(SECCOMP, what, lines)
        });
    }
    all
}

/// The answer for a call by its name.
pub(super) fn answer(filters: &Layers<Filter>, sources: &Sources, name: &str) -> Option<Answer> {
    let number = syscalls::number(name)?;
    let mut answer = Answer::new(format!("system call {name}"));
    let conditional = sources.calls.iter().filter_map(|calls| {
        let (explanation, _) = calls.explain(number)?;
        if let Verdict::Conditional(checks) = explanation.verdict {
            return Some((calls.of.clone(), checks));
        }
        None
    });
    let conditional: Vec<_> = conditional.collect();
    // The program that the kernel runs decides. With these arguments no check of a flag holds; one that
    // wants a flag to be there is told of below.
    let refusing: Vec<Action> = filters
        .iter()
        .map(|layer| evaluate(&layer.rules, number, [0; 6]))
        .filter(|action| *action != Action::Allow)
        .collect();
    let refused = conditional.is_empty() && !refusing.is_empty();
    // Of two that refuse alike the kernel takes the answer of the one put on last, seccomp(2).
    let errno = refusing.iter().rev().copied().find_map(errno);
    for judged in reasons(sources, number, false) {
        answer.say(judged, errno);
    }
    answer.allowed = !refused;
    answer.errno = if refused { errno } else { None };
    for (of, checks) in conditional {
        for check in checks {
            answer.note(format!("{of}: {check}: {}", check.reason));
        }
    }
    if answer.allowed {
        answer.note("the kernel checks what the filter allows: the command has no capabilities");
    }
    Some(answer)
}
