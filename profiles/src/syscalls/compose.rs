//! A base, what the profile adds and what it takes away become one verdict per number.

use super::{
    Rules, Sharing, Verdict,
    data::{Answer, Base, Check, ENOSYS, EPERM, Group},
    name,
    nearest::nearest,
    number, shared,
    table::{BASES, CHECKS, GROUPS, NUMBERS},
};

/// From this number (`getrandom`, Linux 3.17) on, C libraries ask for a call and use an older one
/// where the answer is `ENOSYS`; any other errno they pass on. So a denied call from here on is
/// answered with `ENOSYS`, an older one with `EPERM`.
const PROBED_FROM: u32 = 318;

/// What is decided about one number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    pub(super) answer: Answer,
    pub(super) group: &'static str,
    pub(super) reason: &'static str,
    pub(super) fixed: bool,
}

impl Cell {
    /// What nobody decided about.
    pub(super) const UNLISTED: Self = Self {
        answer: Answer::Errno(ENOSYS),
        group: "unlisted",
        reason: "neither the base nor the profile allows it",
        fixed: false,
    };

    /// What the host's kernel does not have.
    const NOT_ON_THIS_HOST: Self = Self {
        answer: Answer::Errno(ENOSYS),
        group: "unlisted",
        reason: "this host's kernel does not implement it",
        fixed: false,
    };
}

/// One entry of `allow` or `deny`.
enum Entry {
    Call(u32),
    Group(&'static Group),
}

/// The cells of all numbers that have one, or every problem with the rules.
pub(super) fn compose(rules: &Rules<'_>) -> Result<Vec<Cell>, Vec<String>> {
    let mut problems = Vec::new();
    let highest = NUMBERS.last().map_or(0, |(number, _)| *number);
    let mut cells = Vec::new();
    for _ in 0..=highest {
        cells.push(Cell::UNLISTED);
    }
    for group in GROUPS.iter().filter(|group| group.answer != Answer::Allow) {
        write(&mut cells, group);
    }
    let base = BASES.iter().find(|base| base.name == rules.base);
    if base.is_none() {
        problems.push(unknown_base(rules.base));
    }
    // Without the base that was meant, the entries are still judged, against another one.
    for group in base.or(BASES.first()).into_iter().flat_map(groups_of) {
        write(&mut cells, group);
    }
    for text in rules.allow {
        if rules.deny.contains(text) {
            problems.push(format!("{text} is in allow and in deny; remove it from one of them"));
        } else {
            match entry(text) {
                Ok(found) => allow(&mut cells, text, &found, &mut problems),
                Err(problem) => problems.push(problem),
            }
        }
    }
    for text in rules.deny {
        match entry(text) {
            Ok(found) => deny(&mut cells, text, &found, &mut problems),
            Err(problem) => problems.push(problem),
        }
    }
    shared::refuse(&mut cells, rules, &mut problems);
    for (_, cell) in (0..).zip(&mut cells).filter(|(number, _)| *number > rules.last_syscall) {
        *cell = Cell::NOT_ON_THIS_HOST;
    }
    if problems.is_empty() { Ok(cells) } else { Err(problems) }
}

/// The verdict that a cell comes to: its answer, and the checks of arguments where it allows.
pub(super) fn verdict(number: u32, cell: &Cell, rules: &Rules<'_>) -> Verdict {
    match cell.answer {
        Answer::Errno(errno) => Verdict::Errno(i32::from(errno)),
        Answer::Allow => {
            let checks: Vec<&'static Check> = CHECKS
                .iter()
                .filter(|check| check.calls.contains(&number))
                .filter(|check| check.sockets.is_none_or(|other| rules.sockets.includes(other)))
                .filter(|check| !check.shared || rules.sharing != Sharing::Nothing)
                .collect();
            if checks.is_empty() { Verdict::Allow } else { Verdict::Conditional(checks) }
        }
    }
}

/// The groups a base is composed of.
pub(super) fn groups_of(base: &Base) -> impl Iterator<Item = &'static Group> {
    base.groups.iter().filter_map(|wanted| GROUPS.iter().find(|group| group.name == *wanted))
}

fn write(cells: &mut [Cell], group: &'static Group) {
    for line in group.lines {
        for call in line.calls {
            if let Some(cell) = cell(cells, *call) {
                let (answer, fixed) = (group.answer, group.fixed);
                *cell = Cell { answer, group: group.name, reason: line.reason, fixed };
            }
        }
    }
}

pub(super) fn cell(cells: &mut [Cell], number: u32) -> Option<&mut Cell> {
    cells.get_mut(usize::try_from(number).ok()?)
}

fn allow(cells: &mut [Cell], text: &str, entry: &Entry, problems: &mut Vec<String>) {
    each(entry, |call| {
        let Some(cell) = cell(cells, call) else { return };
        if cell.answer == Answer::Allow {
            return;
        }
        if cell.fixed {
            problems.push(format!(
                "{} is never allowed in a sandbox ({}); remove {text} from allow",
                name(call).unwrap_or(text),
                cell.reason
            ));
            return;
        }
        let reason = "the profile allows it";
        *cell = Cell { answer: Answer::Allow, group: "profile", reason, fixed: false };
    });
}

fn deny(cells: &mut [Cell], text: &str, entry: &Entry, problems: &mut Vec<String>) {
    each(entry, |call| {
        let Some(cell) = cell(cells, call) else { return };
        // What is refused already keeps its errno: EPERM for clone3 would break every thread.
        if cell.answer != Answer::Allow {
            return;
        }
        if cell.fixed {
            problems.push(format!(
                "{} cannot be denied ({}: a failed exec must still be reported); remove {text} from deny",
                name(call).unwrap_or(text),
                cell.reason
            ));
            return;
        }
        let reason = "the profile denies it";
        *cell = Cell { answer: refusal(call), group: "profile", reason, fixed: false };
    });
}

/// What a call is answered with that the kernel has and the sandbox may not make.
pub(super) fn refusal(call: u32) -> Answer {
    Answer::Errno(if call < PROBED_FROM { EPERM } else { ENOSYS })
}

fn each(entry: &Entry, mut act: impl FnMut(u32)) {
    match entry {
        Entry::Call(call) => act(*call),
        Entry::Group(group) => {
            group.lines.iter().flat_map(|line| line.calls).for_each(|call| act(*call));
        }
    }
}

fn entry(text: &str) -> Result<Entry, String> {
    if let Some(wanted) = text.strip_prefix('@') {
        let known = GROUPS.iter().map(|group| group.name);
        return GROUPS.iter().find(|group| group.name == wanted).map(Entry::Group).ok_or_else(
            || match nearest(wanted, known) {
                Some(near) => {
                    format!("{text} is not a group of system calls; did you mean @{near}?")
                }
                None => {
                    format!("{text} is not a group of system calls; {}", list("@", group_names()))
                }
            },
        );
    }
    number(text).map(Entry::Call).ok_or_else(|| {
        let group = GROUPS.iter().find(|group| group.name == text).map(|group| group.name);
        match (group, nearest(text, NUMBERS.iter().map(|(_, name)| *name))) {
            (Some(group), _) => format!("{text} is not a system call; the group is written @{group}"),
            (None, Some(near)) => {
                format!("{text} is not a system call of x86_64; did you mean {near}?")
            }
            (None, None) => format!(
                "{text} is not a system call of x86_64; write a name from syscalls(2), or @ and a group"
            ),
        }
    })
}

fn unknown_base(text: &str) -> String {
    match nearest(text, BASES.iter().map(|base| base.name)) {
        Some(near) => format!("{text} is not a base; did you mean {near}?"),
        None => format!("{text} is not a base; {}", list("", BASES.iter().map(|base| base.name))),
    }
}

fn group_names() -> impl Iterator<Item = &'static str> {
    GROUPS.iter().map(|group| group.name)
}

fn list(prefix: &str, names: impl Iterator<Item = &'static str>) -> String {
    let names: Vec<String> = names.map(|name| format!("{prefix}{name}")).collect();
    format!("write one of {}", names.join(", "))
}
