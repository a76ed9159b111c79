//! Which system calls a sandbox may make, and the filter that sees to it.
//!
//! The words: a *line* is a few calls with one reason; a *group* is named lines with one answer; a
//! *base* is a list of groups; a *check* looks at arguments of calls that are otherwise allowed. All
//! of them are data in `builtin/syscalls/*.toml`. `table` is made from them, so that no launch
//! parses TOML. Read in this order: [`data`], `compose` (rules to verdicts), `emit` (verdicts to
//! BPF), `disassemble`.
//!
//! There are three kinds of refusal. `ENOSYS` is for what nobody listed and for what programs probe:
//! they fall back as on an older kernel. `EPERM` is for what is recognised and refused. The process
//! is killed only where the call comes through another architecture's table (`int 0x80`, x32), which
//! no program of the sandbox does by accident: an agent that gets an errno can adapt.

mod compose;
pub mod data;
mod disassemble;
mod emit;
mod evaluate;
mod nearest;
mod shared;
mod table;
mod told;

#[cfg(test)]
mod generate;
#[cfg(test)]
mod tests;

pub use data::{Base, Check, Condition, Group, Sharing, Sockets, Test};
pub use disassemble::disassemble;
pub use evaluate::{Action, evaluate};

pub(crate) use told::told;

use compose::Cell;
use data::ENOSYS;
use sandboxd_plan::Filter;
use std::fmt;

/// What a profile says about system calls, and what it is resolved against.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// The name of a base.
    pub base: &'a str,
    /// Calls by name, or groups as `@name`, to allow beyond the base.
    pub allow: &'a [String],
    /// Likewise to deny; deny wins over allow.
    pub deny: &'a [String],
    /// Which sockets there are.
    pub sockets: Sockets,
    /// What the sandbox has in common with its host.
    pub sharing: Sharing,
    /// The highest number the host's kernel implements; the filter refuses everything above, so that
    /// a verdict never says more than a program gets.
    pub last_syscall: u32,
}

/// What happens to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The kernel does it.
    Allow,
    /// It returns this errno(3).
    Errno(i32),
    /// The first check that holds refuses it; the kernel does it where none holds.
    Conditional(Vec<&'static Check>),
    /// The process is killed with `SIGSYS`.
    Kill,
}

impl fmt::Display for Verdict {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allow => to.write_str("allow"),
            Self::Errno(errno) => match u16::try_from(*errno) {
                Ok(errno) => to.write_str(&data::errno_name(errno)),
                Err(_) => write!(to, "errno {errno}"),
            },
            Self::Conditional(checks) => {
                for check in checks {
                    write!(to, "{check}; ")?;
                }
                to.write_str("else allow")
            }
            Self::Kill => to.write_str("kill"),
        }
    }
}

/// A verdict, and who decided it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What happens.
    pub verdict: Verdict,
    /// The group that decided, or `profile`, or `unlisted`.
    pub group: &'static str,
    /// Why.
    pub reason: &'static str,
}

/// The filter for these rules.
///
/// # Errors
/// Every problem with the rules, each with what to do about it.
pub fn compile(rules: &Rules<'_>) -> Result<Filter, Vec<String>> {
    filter(&verdicts(rules)?).map_err(|problem| vec![problem])
}

/// What every call comes to under these rules, each at the index of its number.
pub(crate) fn verdicts(rules: &Rules<'_>) -> Result<Vec<Verdict>, Vec<String>> {
    let cells = compose::compose(rules)?;
    Ok((0..).zip(&cells).map(|(number, cell)| compose::verdict(number, cell, rules)).collect())
}

/// The filter for verdicts.
pub(crate) fn filter(verdicts: &[Verdict]) -> Result<Filter, String> {
    emit::emit(verdicts, &Verdict::Errno(i32::from(ENOSYS)))
}

/// The filter for PID 1, our own stub. What it does not list kills: no answer would be right, since
/// only somebody who has taken the stub over makes it call anything else, and with PID 1 the whole
/// sandbox ends.
#[must_use]
pub fn init() -> Filter {
    let mut verdicts = Vec::new();
    for (number, _) in table::NUMBERS {
        while verdicts.len() <= usize::try_from(*number).unwrap_or(usize::MAX) {
            verdicts.push(Verdict::Kill);
        }
    }
    for line in table::INIT.lines {
        for number in line.calls {
            if let Some(verdict) = usize::try_from(*number).ok().and_then(|at| verdicts.get_mut(at))
            {
                *verdict = Verdict::Allow;
            }
        }
    }
    #[expect(clippy::expect_used, reason = "the input is constant, and a test emits it")]
    emit::emit(&verdicts, &Verdict::Kill).expect("a filter from constant verdicts")
}

/// What happens to one call under these rules, whoever asks for it by its number in the x86_64
/// table.
///
/// # Errors
/// Every problem with the rules, as [`compile`].
pub fn verdict(rules: &Rules<'_>, number: u32) -> Result<Verdict, Vec<String>> {
    explain(rules, number).map(|explanation| explanation.verdict)
}

/// What happens to one call under these rules, and why.
///
/// # Errors
/// Every problem with the rules, as [`compile`].
pub fn explain(rules: &Rules<'_>, number: u32) -> Result<Explanation, Vec<String>> {
    let cells = compose::compose(rules)?;
    if number & emit::X32_BIT != 0 {
        let reason = "the x32 table of calls is another architecture";
        return Ok(Explanation { verdict: Verdict::Kill, group: "architecture", reason });
    }
    let cell = usize::try_from(number).ok().and_then(|at| cells.get(at)).copied();
    let cell = cell.unwrap_or(Cell::UNLISTED);
    let verdict = compose::verdict(number, &cell, rules);
    Ok(Explanation { verdict, group: cell.group, reason: cell.reason })
}

/// The number of a system call of x86_64.
#[must_use]
pub fn number(name: &str) -> Option<u32> {
    table::NUMBERS.iter().find(|(_, known)| *known == name).map(|(number, _)| *number)
}

/// The name of a system call of x86_64.
#[must_use]
pub fn name(number: u32) -> Option<&'static str> {
    let at = table::NUMBERS.binary_search_by_key(&number, |(known, _)| *known).ok()?;
    table::NUMBERS.get(at).map(|(_, name)| *name)
}

/// Every base: its name, and for whom it is.
pub fn bases() -> impl Iterator<Item = (&'static str, &'static str)> {
    table::BASES.iter().map(|base| (base.name, base.about))
}

/// Every group that `allow` and `deny` can name with `@`.
#[must_use]
pub fn groups() -> &'static [Group] {
    table::GROUPS
}
