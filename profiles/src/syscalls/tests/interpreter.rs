//! Classic BPF as seccomp runs it: net/core/filter.c, without what seccomp does not let through.

/// `struct seccomp_data`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    pub(super) arch: u32,
    pub(super) number: u32,
    pub(super) arguments: [u64; 6],
}

pub(super) const X86_64: u32 = 0xc000_003e;
pub(super) const I386: u32 = 0x4000_0003;
pub(super) const AARCH64: u32 = 0xc000_00b7;

pub(super) const ALLOW: u32 = 0x7fff_0000;
pub(super) const KILL: u32 = 0x8000_0000;

impl Call {
    pub(super) fn native(number: u32, arguments: [u64; 6]) -> Self {
        Self { arch: X86_64, number, arguments }
    }

    fn word(&self, offset: u32) -> u32 {
        let [low, high] = match offset {
            0 => return self.number,
            4 => return self.arch,
            // The instruction pointer: no filter may look at it.
            16..64 => {
                let argument = self.arguments[usize::try_from((offset - 16) / 8).unwrap()];
                [argument & 0xffff_ffff, argument >> 32]
            }
            _ => panic!("load at {offset}"),
        };
        assert_eq!(offset % 4, 0, "unaligned load");
        u32::try_from(if offset.is_multiple_of(8) { low } else { high }).unwrap()
    }
}

/// An instruction as code, jt, jf, k.
pub(super) type Quad = (u16, u8, u8, u32);

/// What the program returns for the call.
pub(super) fn run(program: &[Quad], call: &Call) -> u32 {
    let (mut at, mut accumulator) = (0, 0);
    loop {
        let (code, jt, jf, k) = program[at];
        let fork = |holds: bool| usize::from(if holds { jt } else { jf });
        at += 1;
        match code {
            0x20 => accumulator = call.word(k),
            0x54 => accumulator &= k,
            0x05 => at += usize::try_from(k).unwrap(),
            0x15 => at += fork(accumulator == k),
            0x25 => at += fork(accumulator > k),
            0x35 => at += fork(accumulator >= k),
            0x45 => at += fork(accumulator & k != 0),
            0x06 => return k,
            _ => panic!("instruction {code:#x} at {}", at - 1),
        }
    }
}

/// A filter of ours.
pub(super) fn quads(filter: &sandboxd_plan::Filter) -> Vec<Quad> {
    filter.instructions().iter().map(|one| (one.code, one.jt, one.jf, one.k)).collect()
}

#[test]
fn both_halves_of_an_argument_are_where_the_kernel_has_them() {
    let call = Call::native(7, [0, 0x1111_2222_3333_4444, 0, 0, 0, 0]);
    assert_eq!([0, 4, 24, 28].map(|at| call.word(at)), [7, X86_64, 0x3333_4444, 0x1111_2222]);
}

#[test]
fn jumps_count_from_the_next_instruction() {
    let program = [(0x20, 0, 0, 0), (0x15, 1, 0, 9), (0x06, 0, 0, 1), (0x06, 0, 0, 2)];
    assert_eq!(run(&program, &Call::native(9, [0; 6])), 2);
    assert_eq!(run(&program, &Call::native(8, [0; 6])), 1);
}
