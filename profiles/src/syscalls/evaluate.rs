//! What a filter answers: classic BPF as seccomp runs it, net/core/filter.c, without what seccomp does not
//! let through.

use sandboxd_plan::Filter;
use sandboxd_plan::confinement::Instruction;

pub(crate) const X86_64: u32 = 0xc000_003e;

/// `struct seccomp_data`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub(crate) arch: u32,
    pub(crate) number: u32,
    pub(crate) arguments: [u64; 6],
}

/// What the kernel does with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It is done.
    Allow,
    /// It is not, and this errno(3) is returned.
    Errno(i32),
    /// The process is killed.
    Kill,
}

/// What a filter does with a call of a program of x86_64.
#[must_use]
pub fn evaluate(filter: &Filter, number: u32, arguments: [u64; 6]) -> Action {
    const ACTION: u32 = 0xffff_0000;
    const ALLOW: u32 = 0x7fff_0000;
    const ERRNO: u32 = 0x0005_0000;
    let call = Call { arch: X86_64, number, arguments };
    match run(filter.instructions(), &call) {
        Some(ALLOW) => Action::Allow,
        Some(answer) if answer & ACTION == ERRNO => {
            Action::Errno(i32::try_from(answer & !ACTION).unwrap_or(i32::MAX))
        }
        // No filter of ours returns anything else; the kernel takes what it does not know for this.
        Some(_) | None => Action::Kill,
    }
}

impl Call {
    pub(crate) fn word(&self, offset: u32) -> Option<u32> {
        let [low, high] = match offset {
            0 => return Some(self.number),
            4 => return Some(self.arch),
            // The instruction pointer: no filter may look at it.
            16..64 if offset.is_multiple_of(4) => {
                let at = usize::try_from((offset - 16) / 8).ok()?;
                let argument = self.arguments.get(at)?;
                [argument & 0xffff_ffff, argument >> 32]
            }
            _ => return None,
        };
        u32::try_from(if offset.is_multiple_of(8) { low } else { high }).ok()
    }
}

/// What the program returns for the call; nothing where it does what the kernel would not have let in.
pub(crate) fn run(program: &[Instruction], call: &Call) -> Option<u32> {
    let (mut at, mut accumulator) = (0_usize, 0);
    loop {
        let Instruction { code, jt, jf, k } = *program.get(at)?;
        let fork = |holds: bool| usize::from(if holds { jt } else { jf });
        at += 1;
        match code {
            0x20 => accumulator = call.word(k)?,
            0x54 => accumulator &= k,
            0x05 => at += usize::try_from(k).ok()?,
            0x15 => at += fork(accumulator == k),
            0x25 => at += fork(accumulator > k),
            0x35 => at += fork(accumulator >= k),
            0x45 => at += fork(accumulator & k != 0),
            0x06 => return Some(k),
            _ => return None,
        }
    }
}
