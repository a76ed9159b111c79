//! Verdicts become a classic BPF program, seccomp(2).
//!
//! Architecture, x32 bit, then a tree over ranges of numbers with the same verdict, then the checks
//! of arguments at the leaves. Installing costs by the instruction, and a tree over ranges has a
//! tenth of the instructions that a list of numbers has. Calls that are allowed whatever their
//! arguments never reach the program on kernel 5.11 and newer (the kernel keeps a bitmap), so the
//! tree gives its short paths to the calls whose arguments are checked.

use super::{
    Verdict,
    data::{Check, Condition, Test},
};
use sandboxd_plan::{Filter, confinement::Instruction};
use seccompiler::SeccompAction;

/// `BPF_LD | BPF_W | BPF_ABS`: load a word of `struct seccomp_data`.
pub(super) const LOAD: u16 = 0x20;
/// `BPF_ALU | BPF_AND | BPF_K`.
pub(super) const AND: u16 = 0x54;
/// `BPF_JMP | BPF_JA`.
pub(super) const JUMP: u16 = 0x05;
/// `BPF_JMP | BPF_JEQ | BPF_K`.
pub(super) const JUMP_EQUAL: u16 = 0x15;
/// `BPF_JMP | BPF_JGE | BPF_K`.
pub(super) const JUMP_AT_LEAST: u16 = 0x35;
/// `BPF_JMP | BPF_JSET | BPF_K`.
pub(super) const JUMP_ANY_BIT: u16 = 0x45;
/// `BPF_RET | BPF_K`.
pub(super) const RETURN: u16 = 0x06;

/// Where `struct seccomp_data` has the number, the architecture and the first argument.
pub(super) const NUMBER_AT: u32 = 0;
pub(super) const ARCH_AT: u32 = 4;
pub(super) const ARGUMENTS_AT: u32 = 16;

/// `AUDIT_ARCH_X86_64`.
pub(super) const X86_64: u32 = 0xc000_003e;
/// `__X32_SYSCALL_BIT`: the same architecture value, another table of calls.
pub(super) const X32_BIT: u32 = 0x4000_0000;

/// How much nearer to the root of the tree a call is whose arguments are checked.
const CHECKED_WEIGHT: usize = 8;

/// Numbers from `start` up to the next range.
struct Range<'a> {
    start: u32,
    verdict: &'a Verdict,
}

/// The program for these verdicts, each at the index of its number, and one for all others.
pub(super) fn emit(verdicts: &[Verdict], others: &Verdict) -> Result<Filter, String> {
    let ranges = ranges(verdicts, others)?;
    let mut program = vec![
        load(ARCH_AT),
        jump(JUMP_EQUAL, X86_64, 1, 0),
        give(SeccompAction::KillProcess),
        load(NUMBER_AT),
        jump(JUMP_ANY_BIT, X32_BIT, 0, 1),
        give(SeccompAction::KillProcess),
    ];
    program.extend(tree(&ranges)?);
    Filter::try_from(program).map_err(|error| error.to_string())
}

fn ranges<'a>(verdicts: &'a [Verdict], others: &'a Verdict) -> Result<Vec<Range<'a>>, String> {
    let mut ranges: Vec<Range<'a>> = Vec::new();
    for (number, verdict) in verdicts.iter().chain([others]).enumerate() {
        if ranges.last().is_none_or(|last| last.verdict != verdict) {
            let start = u32::try_from(number).map_err(|_| String::from("too many calls"))?;
            ranges.push(Range { start, verdict });
        }
    }
    Ok(ranges)
}

fn tree(ranges: &[Range<'_>]) -> Result<Vec<Instruction>, String> {
    if let [leaf] = ranges {
        return block(leaf.verdict);
    }
    let (left, right) = ranges.split_at(middle(ranges));
    let boundary = right.first().map_or(u32::MAX, |range| range.start);
    let (left, right) = (tree(left)?, tree(right)?);
    // A conditional jump reaches 255 instructions; an unconditional one reaches everything.
    let mut program = match u8::try_from(left.len()) {
        Ok(distance) => vec![jump(JUMP_AT_LEAST, boundary, distance, 0)],
        Err(_) => {
            let distance = u32::try_from(left.len()).map_err(|_| String::from("too long"))?;
            let over = Instruction { code: JUMP, jt: 0, jf: 0, k: distance };
            vec![jump(JUMP_AT_LEAST, boundary, 0, 1), over]
        }
    };
    program.extend(left);
    program.extend(right);
    Ok(program)
}

/// The split that puts about the same weight on both sides; at least 1, below the length.
fn middle(ranges: &[Range<'_>]) -> usize {
    let weight = |range: &Range<'_>| match range.verdict {
        Verdict::Conditional(_) => CHECKED_WEIGHT,
        Verdict::Allow | Verdict::Errno(_) | Verdict::Kill => 1,
    };
    let total: usize = ranges.iter().map(weight).sum();
    let mut left = 0;
    let mut best = (usize::MAX, 1);
    for (place, range) in ranges.iter().enumerate().take(ranges.len() - 1) {
        left += weight(range);
        best = best.min((left.abs_diff(total - left), place + 1));
    }
    best.1
}

fn block(verdict: &Verdict) -> Result<Vec<Instruction>, String> {
    let mut program = Vec::new();
    match verdict {
        Verdict::Allow => program.push(give(SeccompAction::Allow)),
        Verdict::Errno(errno) => program.push(refuse(*errno)?),
        Verdict::Kill => program.push(give(SeccompAction::KillProcess)),
        Verdict::Conditional(checks) => {
            for check in checks {
                program.extend(refusal(check)?);
            }
            program.push(give(SeccompAction::Allow));
        }
    }
    Ok(program)
}

/// Returns the check's errno where all its conditions hold, else ends behind its own last
/// instruction.
fn refusal(check: &Check) -> Result<Vec<Instruction>, String> {
    let mut program = vec![refuse(i32::from(check.errno))?];
    for condition in check.when.iter().rev() {
        let mut with = comparison(condition, program.len())?;
        with.extend(program);
        program = with;
    }
    Ok(program)
}

/// Goes on where the condition holds, else skips the `rest` instructions behind it.
fn comparison(condition: &Condition, rest: usize) -> Result<Vec<Instruction>, String> {
    // Little endian: the low half of a 64-bit argument comes first.
    let low = ARGUMENTS_AT + u32::from(condition.argument) * 8;
    let mut program = vec![load(low)];
    let any_bit = |mask, holds, fails| jump(JUMP_ANY_BIT, mask, holds, fails);
    let (values, within) = match condition.test {
        Test::Not([0]) => {
            program.push(any_bit(condition.mask, 0, near(rest)?));
            return Ok(program);
        }
        Test::Given => {
            let high = any_bit(u32::MAX, 0, near(rest)?);
            program.extend([any_bit(u32::MAX, 2, 0), load(low + 4), high]);
            return Ok(program);
        }
        Test::Is(values) => (values, true),
        Test::Not(values) => (values, false),
    };
    if condition.mask != u32::MAX {
        program.push(Instruction { code: AND, jt: 0, jf: 0, k: condition.mask });
    }
    for (place, value) in values.iter().enumerate() {
        let behind = values.len() - place - 1;
        program.push(match within {
            true if behind == 0 => jump(JUMP_EQUAL, *value, 0, near(rest)?),
            true => jump(JUMP_EQUAL, *value, near(behind)?, 0),
            false => jump(JUMP_EQUAL, *value, near(behind + rest)?, 0),
        });
    }
    Ok(program)
}

fn near(distance: usize) -> Result<u8, String> {
    u8::try_from(distance)
        .map_err(|_| format!("a check of arguments jumps over {distance} instructions; 255 fit"))
}

fn load(k: u32) -> Instruction {
    Instruction { code: LOAD, jt: 0, jf: 0, k }
}

fn jump(code: u16, k: u32, jt: u8, jf: u8) -> Instruction {
    Instruction { code, jt, jf, k }
}

fn give(action: SeccompAction) -> Instruction {
    Instruction { code: RETURN, jt: 0, jf: 0, k: u32::from(action) }
}

fn refuse(errno: i32) -> Result<Instruction, String> {
    let errno = u16::try_from(errno).map_err(|_| format!("{errno} is no errno"))?;
    Ok(give(SeccompAction::Errno(u32::from(errno))))
}
