//! A filter that asks the supervisor wherever it refuses, so that what was refused is known.
//!
//! It refuses whatever the filter refuses that it is made of: an answer comes from the supervisor, which only
//! ever refuses, and where nobody answers, from the kernel, `ENOSYS`. The one way to have a call let through
//! would be a later filter of the command's own that asks somebody else, who says yes. So putting on a filter
//! that asks is refused by this one itself, and nobody is asked about that.

use super::emit::{ARGUMENTS_AT, JUMP_ANY_BIT, JUMP_EQUAL, LOAD, NUMBER_AT, RETURN};
use super::{Action, evaluate, number};
use sandboxd_plan::Filter;
use sandboxd_plan::confinement::Instruction;

const ACTION: u32 = 0xffff_0000;
/// `SECCOMP_RET_ERRNO`.
pub(super) const ERRNO: u32 = 0x0005_0000;
/// `SECCOMP_RET_USER_NOTIF`.
pub(super) const ASK: u32 = 0x7fc0_0000;
/// `SECCOMP_FILTER_FLAG_NEW_LISTENER`.
const NEW_LISTENER: u32 = 8;
/// What the kernel itself says to a second one.
const EBUSY: u32 = 16;
/// What stands before the first look at a number: architecture and x32, both of which kill.
const HEAD: usize = 6;

/// What C libraries ask for each time they start a thread or a process, and do otherwise where it is refused.
const UNASKED: &[&str] = &["clone3"];

/// The filter that asks; nothing where it would be longer than the kernel takes.
pub(crate) fn told(filter: &Filter) -> Option<Filter> {
    let (head, rest) = filter.instructions().split_at_checked(HEAD)?;
    let mut program = head.to_vec();
    for number in UNASKED.iter().filter_map(|name| number(name)) {
        if let Action::Errno(errno) = evaluate(filter, number, [0; 6]) {
            let refusal = ERRNO | u32::try_from(errno).ok()?;
            program.extend([is(number, 1), give(refusal)]);
        }
    }
    program.extend([
        is(number("seccomp")?, 4),
        load(ARGUMENTS_AT + 8),
        Instruction { code: JUMP_ANY_BIT, jt: 0, jf: 1, k: NEW_LISTENER },
        give(ERRNO | EBUSY),
        load(NUMBER_AT),
    ]);
    program.extend(rest.iter().map(|step| match step.code {
        // An errno of 0 is no refusal: the call is said to have been done.
        RETURN if step.k & ACTION == ERRNO && step.k != ERRNO => give(ASK),
        _ => *step,
    }));
    Filter::try_from(program).ok()
}

/// Goes on where the number is this one, else skips what follows.
fn is(number: u32, else_skip: u8) -> Instruction {
    Instruction { code: JUMP_EQUAL, jt: 0, jf: else_skip, k: number }
}

fn load(k: u32) -> Instruction {
    Instruction { code: LOAD, jt: 0, jf: 0, k }
}

fn give(k: u32) -> Instruction {
    Instruction { code: RETURN, jt: 0, jf: 0, k }
}

#[cfg(test)]
mod tests {
    use super::super::evaluate::{Call, X86_64, run};
    use super::super::{Rules, Sharing, Sockets, bases, compile};
    use super::*;

    fn answer(filter: &Filter, arch: u32, number: u32, arguments: [u64; 6]) -> Option<u32> {
        run(filter.instructions(), &Call { arch, number, arguments })
    }

    #[test]
    fn it_asks_where_the_other_refuses_and_lets_through_and_kills_nothing_else() {
        let junk = [[0; 6], [u64::MAX; 6], [2, 3, 0, 0, 0, 0], [1 << 32 | 40, 1, 9, 8, 7, 6]];
        for (base, _) in bases() {
            for sockets in [Sockets::UnixOnly, Sockets::Inet, Sockets::PairsOnly] {
                let sharing = Sharing::Nothing;
                let rules =
                    Rules { base, allow: &[], deny: &[], sockets, sharing, last_syscall: 469 };
                let filter = compile(&rules).unwrap();
                let asking = told(&filter).unwrap();
                for number in (0..600).chain([u32::MAX, 1 << 30]) {
                    for (arch, arguments) in
                        junk.iter().flat_map(|one| [(X86_64, *one), (0x4000_0003, *one)])
                    {
                        let plain = answer(&filter, arch, number, arguments).unwrap();
                        let asks = answer(&asking, arch, number, arguments).unwrap();
                        let listens = number == 317 && arguments[1] & 8 != 0 && arch == X86_64;
                        let quiet = number == 435 && arch == X86_64;
                        let right = if listens {
                            ERRNO | EBUSY
                        } else if plain & ACTION == ERRNO && !quiet {
                            ASK
                        } else {
                            plain
                        };
                        assert_eq!(asks, right, "{base} {number} {arguments:x?}");
                    }
                }
            }
        }
    }
}
