//! The product's own evaluation of filters, on any program, a panic where it has no answer.

pub(super) use crate::syscalls::evaluate::{Call, X86_64};
use sandboxd_plan::confinement::Instruction;

pub(super) const I386: u32 = 0x4000_0003;
pub(super) const AARCH64: u32 = 0xc000_00b7;

pub(super) const ALLOW: u32 = 0x7fff_0000;
pub(super) const KILL: u32 = 0x8000_0000;

impl Call {
    pub(super) fn native(number: u32, arguments: [u64; 6]) -> Self {
        Self { arch: X86_64, number, arguments }
    }
}

/// An instruction as code, jt, jf, k.
pub(super) type Quad = (u16, u8, u8, u32);

/// What the program returns for the call.
pub(super) fn run(program: &[Quad], call: &Call) -> u32 {
    let program: Vec<Instruction> =
        program.iter().map(|&(code, jt, jf, k)| Instruction { code, jt, jf, k }).collect();
    crate::syscalls::evaluate::run(&program, call).expect("a program that seccomp takes")
}

/// A filter of ours.
pub(super) fn quads(filter: &sandboxd_plan::Filter) -> Vec<Quad> {
    filter.instructions().iter().map(|one| (one.code, one.jt, one.jf, one.k)).collect()
}

#[test]
fn both_halves_of_an_argument_are_where_the_kernel_has_them() {
    let call = Call::native(7, [0, 0x1111_2222_3333_4444, 0, 0, 0, 0]);
    assert_eq!(
        [0, 4, 24, 28].map(|at| call.word(at)),
        [7, X86_64, 0x3333_4444, 0x1111_2222].map(Some)
    );
    assert_eq!([8, 12, 17, 64].map(|at| call.word(at)), [None; 4]);
}

#[test]
fn jumps_count_from_the_next_instruction() {
    let program = [(0x20, 0, 0, 0), (0x15, 1, 0, 9), (0x06, 0, 0, 1), (0x06, 0, 0, 2)];
    assert_eq!(run(&program, &Call::native(9, [0; 6])), 2);
    assert_eq!(run(&program, &Call::native(8, [0; 6])), 1);
}
