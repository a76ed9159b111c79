//! A filter in words, for `sandboxd plan`.

use super::{
    data::errno_name,
    emit::{
        AND, ARCH_AT, ARGUMENTS_AT, JUMP, JUMP_ANY_BIT, JUMP_AT_LEAST, JUMP_EQUAL, LOAD, NUMBER_AT,
        RETURN,
    },
    name,
};
use sandboxd_plan::{Filter, confinement::Instruction};
use std::fmt::Write;

/// The program, one instruction a line, targets of jumps as line numbers.
#[must_use]
pub fn disassemble(filter: &Filter) -> String {
    let mut text = String::new();
    for (place, instruction) in filter.instructions().iter().enumerate() {
        let line = line(place, *instruction);
        // Writing to a String has no way to fail.
        if writeln!(text, "{place:>4}  {line}").is_err() {
            break;
        }
    }
    text
}

fn line(place: usize, Instruction { code, jt, jf, k }: Instruction) -> String {
    let target = |distance: u8| place + 1 + usize::from(distance);
    let fork = |test: String| format!("if {test} go {} else {}", target(jt), target(jf));
    match code {
        LOAD => format!("load {}", field(k)),
        AND => format!("and {k:#x}"),
        JUMP => format!("go {}", usize::try_from(k).map_or(place, |k| place + 1 + k)),
        JUMP_EQUAL => fork(format!("= {k:#x}")),
        JUMP_ANY_BIT => fork(format!("& {k:#x}")),
        JUMP_AT_LEAST => fork(format!(">= {k} {}", name(k).unwrap_or("?"))),
        RETURN => answer(k),
        _ => format!("code {code:#06x} {jt} {jf} {k:#x}"),
    }
}

fn field(offset: u32) -> String {
    match offset {
        NUMBER_AT => String::from("number"),
        ARCH_AT => String::from("architecture"),
        _ if offset >= ARGUMENTS_AT => {
            let half = if offset.is_multiple_of(8) { "low" } else { "high" };
            format!("argument {} ({half} half)", (offset - ARGUMENTS_AT) / 8)
        }
        _ => format!("offset {offset}"),
    }
}

/// `SECCOMP_RET_*`, the upper half the action, the lower its data.
fn answer(k: u32) -> String {
    let errno = u16::try_from(k & 0xffff).map_or_else(|_| String::new(), errno_name);
    match k & 0xffff_0000 {
        0x7fff_0000 => String::from("allow"),
        0x0005_0000 => format!("refuse {errno}"),
        0x8000_0000 => String::from("kill"),
        _ => format!("return {k:#010x}"),
    }
}
