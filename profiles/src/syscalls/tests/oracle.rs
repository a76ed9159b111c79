//! Every program of ours against what seccompiler makes of the same verdicts: one filter per errno,
//! stacked as the kernel stacks them.

use super::super::{Check, Rules, Verdict, compile, data::ENOSYS, data::Test, verdict};
use super::{
    everything,
    interpreter::{AARCH64, ALLOW, Call, I386, KILL, Quad, quads, run},
    plain,
    samples::{Random, arguments, refuses},
    words,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use std::collections::{BTreeMap, BTreeSet};

/// The numbers compared: every known one, every unknown one below 1024, and extremes below x32's
/// bit.
fn numbers() -> impl Iterator<Item = u32> {
    (0..=1024).chain([4096, 65_535, 0x0fff_ffff, 0x3fff_ffff, 0x8000_0000, 0xbfff_ffff])
}

/// Conditions that together say what one of ours says: any of the inner lists.
fn alternatives(condition: &super::super::Condition) -> Vec<Vec<SeccompCondition>> {
    let one = |operator, value: u32| {
        let (argument, length) = (condition.argument, SeccompCmpArgLen::Dword);
        SeccompCondition::new(argument, length, operator, u64::from(value)).unwrap()
    };
    let masked = |mask: u32, value| one(SeccompCmpOp::MaskedEq(u64::from(mask)), value);
    let whole = condition.mask == u32::MAX;
    match condition.test {
        Test::Given => {
            let (argument, length) = (condition.argument, SeccompCmpArgLen::Qword);
            vec![vec![SeccompCondition::new(argument, length, SeccompCmpOp::Ne, 0).unwrap()]]
        }
        Test::Is(values) if whole => {
            values.iter().map(|value| vec![one(SeccompCmpOp::Eq, *value)]).collect()
        }
        Test::Is(values) => {
            values.iter().map(|value| vec![masked(condition.mask, *value)]).collect()
        }
        Test::Not(values) if whole => {
            vec![values.iter().map(|value| one(SeccompCmpOp::Ne, *value)).collect()]
        }
        // seccompiler cannot say "and not equal": any bit set, or every other value of the mask.
        Test::Not([0]) => bits(condition.mask).map(|bit| vec![masked(bit, bit)]).collect(),
        Test::Not(values) => {
            let mut all = BTreeSet::from([0]);
            for bit in bits(condition.mask) {
                all.extend(all.clone().into_iter().map(|value: u32| value | bit));
            }
            let others = all.into_iter().filter(|value| !values.contains(value));
            others.map(|value| vec![masked(condition.mask, value)]).collect()
        }
    }
}

fn bits(mask: u32) -> impl Iterator<Item = u32> {
    (0..32).map(|bit| 1 << bit).filter(move |bit| mask & bit != 0)
}

fn rules_of(check: &Check) -> Vec<SeccompRule> {
    let mut lists: Vec<Vec<SeccompCondition>> = vec![vec![]];
    for condition in check.when {
        let choices = alternatives(condition);
        lists = lists
            .iter()
            .flat_map(|list| choices.iter().map(move |choice| [&list[..], choice].concat()))
            .collect();
    }
    lists.into_iter().map(|list| SeccompRule::new(list).unwrap()).collect()
}

fn filter(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> Vec<Quad> {
    let filter = SeccompFilter::new(rules, otherwise, matched, TargetArch::x86_64).unwrap();
    let program = BpfProgram::try_from(filter).unwrap();
    program.iter().map(|one| (one.code, one.jt, one.jf, one.k)).collect()
}

/// One filter that refuses with `ENOSYS` what no other answers, and one for each other errno.
fn stack(verdicts: &BTreeMap<u32, Verdict>) -> Vec<Vec<Quad>> {
    let enosys = i32::from(ENOSYS);
    let mut known = BTreeMap::new();
    let mut refused: BTreeMap<u32, BTreeMap<i64, Vec<SeccompRule>>> = BTreeMap::new();
    for (number, verdict) in verdicts {
        if *verdict == Verdict::Errno(enosys) {
            continue;
        }
        let number = i64::from(*number);
        known.insert(number, vec![]);
        match verdict {
            Verdict::Allow => {}
            Verdict::Errno(errno) => {
                let errno = u32::try_from(*errno).unwrap();
                refused.entry(errno).or_default().insert(number, vec![]);
            }
            Verdict::Conditional(checks) => {
                for check in checks {
                    let rules = refused.entry(u32::from(check.errno)).or_default();
                    rules.entry(number).or_default().extend(rules_of(check));
                }
            }
            Verdict::Kill => panic!("no call of a profile's filter kills"),
        }
    }
    let mut stack = vec![filter(known, SeccompAction::Errno(38), SeccompAction::Allow)];
    for (errno, rules) in refused {
        stack.push(filter(rules, SeccompAction::Allow, SeccompAction::Errno(errno)));
    }
    stack
}

/// The answers one of which takes precedence, seccomp(2): killing, then an errno, then allowing. Which errno, where
/// several checks of a call refuse it, says the first of them, and the oracle knows no order.
fn precedence(answers: impl Iterator<Item = u32>) -> BTreeSet<u32> {
    let mut answers: BTreeSet<u32> = answers.collect();
    if answers.contains(&KILL) {
        return BTreeSet::from([KILL]);
    }
    if answers.len() > 1 {
        answers.remove(&ALLOW);
    }
    answers
}

fn compare(rules: &Rules<'_>) {
    let ours = quads(&compile(rules).unwrap());
    let verdicts: BTreeMap<u32, Verdict> = super::super::table::NUMBERS
        .iter()
        .map(|(number, _)| (*number, verdict(rules, *number).unwrap()))
        .collect();
    let theirs = stack(&verdicts);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let unknown = Verdict::Errno(i32::from(ENOSYS));
    for number in numbers() {
        let known = verdicts.get(&number).unwrap_or(&unknown);
        for arguments in arguments(known, &mut random) {
            let call = Call::native(number, arguments);
            let (our, their) =
                (run(&ours, &call), precedence(theirs.iter().map(|f| run(f, &call))));
            assert!(their.contains(&our), "{our:x} and {their:x?}: {call:x?} under {rules:?}");
            let written = match known {
                Verdict::Allow => ALLOW,
                Verdict::Errno(errno) => 0x5_0000 | u32::try_from(*errno).unwrap(),
                Verdict::Kill => KILL,
                Verdict::Conditional(checks) => checks
                    .iter()
                    .find(|check| refuses(check, &arguments))
                    .map_or(ALLOW, |check| 0x5_0000 | u32::from(check.errno)),
            };
            assert_eq!(our, written, "{call:x?} under {rules:?}");
        }
        let call = Call::native(number, [random.next(); 6]);
        for arch in [I386, AARCH64, 0, u32::MAX] {
            let foreign = Call { arch, ..call };
            assert_eq!(run(&ours, &foreign), KILL, "{foreign:x?}");
            let their = precedence(theirs.iter().map(|f| run(f, &foreign)));
            assert_eq!(their, BTreeSet::from([KILL]));
        }
        // seccompiler does not know x32; an allow-list answers it like any unknown number.
        let x32 = Call { number: number | 0x4000_0000, ..call };
        assert_eq!(run(&ours, &x32), KILL, "{x32:x?}");
    }
}

#[test]
fn every_base_answers_as_seccompiler_does() {
    for rules in everything() {
        compare(&rules);
    }
}

#[test]
fn what_a_profile_adds_and_takes_answers_as_seccompiler_does() {
    let (allow, deny) =
        (words("@debug @sysv-ipc userfaultfd"), words("chmod copy_file_range @listening"));
    let rules = Rules { allow: &allow, deny: &deny, ..plain("strict", super::Sockets::Inet) };
    compare(&rules);
    compare(&Rules { last_syscall: 334, ..rules });
}

#[test]
fn jumps_that_a_byte_cannot_hold_arrive_all_the_same() {
    let alternating = |length: u32| -> Vec<Verdict> {
        (0..length)
            .map(|number| if number % 2 == 0 { Verdict::Allow } else { Verdict::Errno(1) })
            .collect()
    };
    let verdicts = alternating(1200);
    let program = quads(&super::super::emit::emit(&verdicts, &Verdict::Kill).unwrap());
    for number in 0..1200 {
        let wanted = if number % 2 == 0 { ALLOW } else { 0x5_0001 };
        assert_eq!(run(&program, &Call::native(number, [0; 6])), wanted, "{number}");
    }
    assert_eq!(run(&program, &Call::native(1200, [0; 6])), KILL);
    let problem = super::super::emit::emit(&alternating(3000), &Verdict::Kill).unwrap_err();
    assert!(problem.contains("4096"), "{problem}");
}
