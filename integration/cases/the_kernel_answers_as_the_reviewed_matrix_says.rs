//! For every system call the kernel gives, inside, the answer that stands in the reviewed matrix, and
//! junk in the upper half of an argument changes none of them; a number without a line is unknown.
//!
//! What the matrix allows is compared with the answer that the same call gets outside, by a process
//! without any right: inside it must not be refused or unknown where it is neither there.

use anyhow::{Context as _, Result, bail, ensure};
use sandboxd_integration::{Case, Inside, Outside, Trial, raw};

pub(crate) const CASE: Case = Case {
    rows: &["K11", "K15", "K17"],
    seconds: 120,
    outside,
    probes: &[("ask", ask)],
    ..Case::NEW
};

/// Every call of each base: number, name, group and verdict, the verdict without a network on a line
/// of its own.
const MATRICES: &[(&str, &str)] = &[
    ("default", include_str!("../../profiles/tests/golden/syscalls.default.txt")),
    ("strict", include_str!("../../profiles/tests/golden/syscalls.strict.txt")),
    ("build", include_str!("../../profiles/tests/golden/syscalls.build.txt")),
    ("network-server", include_str!("../../profiles/tests/golden/syscalls.network-server.txt")),
];

/// The matrix of a base.
fn matrix(base: &str) -> Result<&'static str> {
    let found = MATRICES.iter().find(|(name, _)| *name == base);
    found.map(|(_, matrix)| *matrix).context("no such base")
}

/// Calls that cannot be tried so: they come back twice on one stack, do not come back, or wait for
/// the host's disks.
const UNTRIED: &[i64] = &[
    libc::SYS_rt_sigreturn,
    libc::SYS_vfork,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_sync,
];

/// uretprobe and uprobe, about which kernels since 6.14 ask no filter: a program that makes them
/// itself gets the kernel's own refusal.
const UNASKED: &[i64] = &[335, 336];

/// From here on the numbers are the same on every architecture, and every call comes back at once and
/// does nothing when all its arguments are zero: so it can be tried outside, whatever the verdict.
const COMMON: i64 = 424;

/// Numbers without a line.
fn unlisted(matrix: &'static str) -> impl Iterator<Item = i64> {
    let listed: Vec<i64> = lines(matrix).map(|(number, _)| number).collect();
    (0..1024).filter(move |number| !listed.contains(number)).chain([4095, 65535, 0x3fff_ffff])
}

/// A call to be made: its arguments, and the verdict on them.
struct Attempt {
    number: i64,
    words: [u64; 6],
    verdict: String,
}

impl Attempt {
    fn name(&self) -> String {
        let words = self.words.map(|word| format!("{word:x}"));
        format!("{} {}", self.number, words.join(" "))
    }

    fn make(&self) -> Result<Trial> {
        Ok(Trial::of(|| raw::call_numbers(self.number, &self.words))?)
    }
}

fn outside(outside: &Outside) -> Result<()> {
    for (base, matrix) in MATRICES {
        compare(outside, base, matrix).with_context(|| format!("base {base}"))?;
    }
    Ok(())
}

fn compare(outside: &Outside, base: &str, matrix: &'static str) -> Result<()> {
    let attempts = attempts(matrix)?;
    let expected = attempts.iter().filter(|attempt| attempt.verdict != "allow").count();
    ensure!(attempts.len() > 400 && expected > 100, "the matrix was not read");
    let outside_answers = answers_outside(outside, &attempts)?;
    let profile = format!("extends = [\"builtin:base\"]\n[syscalls]\nbase = \"{base}\"\n");
    let run = outside.sandbox(&profile).probe("ask", &[base]).run()?;
    run.ran()?;
    let last = last_call(&attempts, &outside_answers)?;
    let mut wrong = Vec::new();
    for (attempt, outside) in attempts.iter().zip(&outside_answers) {
        let name = attempt.name();
        let met = run.fact(&name)?;
        let right = match attempt.verdict.as_str() {
            // The filter's own answers may be the kernel's as well, but then outside too.
            "allow" => met == outside || !matches!(met, "EPERM" | "ENOSYS" | "SIGSYS"),
            "ENOSYS" if UNASKED.contains(&attempt.number) => {
                ["ENOSYS", "ENXIO", "SIGILL"].contains(&met)
            }
            // What the kernel does not have is unknown, whatever the matrix says of it.
            _ if attempt.number > last => met == "ENOSYS",
            // Said to have been done, and not done.
            "0" => met == "done",
            verdict => met == verdict,
        };
        if !right {
            wrong.push(format!("{name}: {}, not {met} (outside: {outside})", attempt.verdict));
        }
    }
    for number in unlisted(matrix) {
        let met = run.fact(&format!("unlisted {number}"))?;
        if met != "ENOSYS" {
            wrong.push(format!("{number}: ENOSYS, not {met}"));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    Ok(())
}

/// The number of the last call that this kernel has.
fn last_call(attempts: &[Attempt], answers: &[String]) -> Result<i64> {
    let tried = attempts.iter().zip(answers).filter(|(_, answer)| !answer.is_empty());
    let there = tried.filter(|(_, answer)| *answer != "ENOSYS").map(|(attempt, _)| attempt.number);
    let last = there.max().context("nothing was tried outside")?;
    // 450 is set_mempolicy_home_node of Linux 5.17; no kernel that has Landlock's second ABI is older.
    ensure!(last >= 450, "call {last} is the last that was found outside");
    Ok(last)
}

/// The kernel's own answers to what the matrix allows, and to all that is new, to a process that is
/// nobody.
fn answers_outside(outside: &Outside, attempts: &[Attempt]) -> Result<Vec<String>> {
    let path = outside.file("answers", "")?;
    let file = std::fs::File::options().append(true).open(&path)?;
    let child = raw::fork(|| u8::from(answer_as_nobody(attempts, &file).is_err()))?;
    let status = nix::sys::wait::waitpid(child, None)?;
    ensure!(
        matches!(status, nix::sys::wait::WaitStatus::Exited(_, 0)),
        "the trial outside: {status:?}"
    );
    let answers: Vec<String> = std::fs::read_to_string(path)?.lines().map(str::to_owned).collect();
    ensure!(answers.len() == attempts.len(), "{} answers", answers.len());
    Ok(answers)
}

fn answer_as_nobody(attempts: &[Attempt], mut file: &std::fs::File) -> Result<()> {
    use std::io::Write as _;
    const NOBODY: u32 = 65534;
    // Queues that are made stay, but for those of an IPC namespace that ends.
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWIPC)?;
    nix::unistd::setgroups(&[])?;
    let (user, group) = (nix::unistd::Uid::from_raw(NOBODY), nix::unistd::Gid::from_raw(NOBODY));
    nix::unistd::setresgid(group, group, group)?;
    nix::unistd::setresuid(user, user, user)?;
    nix::sys::prctl::set_no_new_privs()?;
    for attempt in attempts {
        let tried = attempt.verdict == "allow" || attempt.number >= COMMON;
        let answer = if tried { attempt.make()?.to_string() } else { String::new() };
        writeln!(file, "{answer}")?;
    }
    Ok(())
}

fn ask(inside: &Inside) -> Result<()> {
    let matrix = matrix(inside.argument(0)?)?;
    for attempt in attempts(matrix)? {
        inside.fact(&attempt.name(), &attempt.make()?.to_string());
    }
    for number in unlisted(matrix) {
        let met = Trial::of(|| raw::call_numbers(number, &[]))?;
        inside.fact(&format!("unlisted {number}"), &met.to_string());
    }
    Ok(())
}

/// Numbers and verdicts, those of the network mode `none` where they differ.
fn lines(matrix: &'static str) -> impl Iterator<Item = (i64, &'static str)> {
    let mut lines = matrix.lines().filter(|line| !line.starts_with('#')).peekable();
    std::iter::from_fn(move || {
        let line = lines.next()?;
        let mut words = line.split_whitespace();
        let number = words.next()?.parse().ok()?;
        let without = lines.next_if(|next| next.trim_start().starts_with("mode none"));
        lines.next_if(|next| next.trim_start().starts_with("landlock"));
        Some((number, verdict(without.unwrap_or(line))))
    })
}

/// What stands behind the first two or three words, which are in columns.
fn verdict(line: &str) -> &str {
    const VERDICT: usize = 46;
    line.get(VERDICT..).unwrap_or_default().trim()
}

/// Zeros for every call, and for every condition something that meets it, with and without junk.
fn attempts(matrix: &'static str) -> Result<Vec<Attempt>> {
    let mut attempts = Vec::new();
    for (number, verdict) in lines(matrix).filter(|(number, _)| !UNTRIED.contains(number)) {
        let clauses = clauses(verdict).with_context(|| format!("{number}: {verdict}"))?;
        let mut tries = vec![[0; 6]];
        for clause in &clauses {
            let mut words = [0; 6];
            for condition in &clause.conditions {
                let at = words.get_mut(condition.argument).context("an argument")?;
                *at = condition.example();
            }
            tries.push(words);
            if !clause.conditions.is_empty() {
                tries.push(words.map(|word| word | 0xabcd_0123_0000_0000));
            }
        }
        tries.dedup();
        for words in tries {
            let clause =
                clauses.iter().find(|clause| clause.holds(&words)).context("no verdict")?;
            // What is let through is tried with zeros only, which do no harm.
            if clause.answer != "allow" || words == [0; 6] {
                attempts.push(Attempt { number, words, verdict: clause.answer.to_owned() });
            }
        }
    }
    Ok(attempts)
}

/// `ANSWER if CONDITION and CONDITION`.
struct Clause {
    answer: &'static str,
    conditions: Vec<Condition>,
}

impl Clause {
    fn holds(&self, words: &[u64; 6]) -> bool {
        self.conditions.iter().all(|condition| {
            words.get(condition.argument).is_some_and(|word| condition.holds(*word))
        })
    }
}

/// `arg0 in {0x1, 0x2}`, `arg0&0xf not in {0x1}`, `arg2 != 0`, `arg2 is given`.
struct Condition {
    argument: usize,
    mask: u64,
    values: Vec<u64>,
    within: bool,
}

impl Condition {
    fn holds(&self, word: u64) -> bool {
        self.values.contains(&(word & self.mask)) == self.within
    }

    /// A word that meets it: a bit of the mask, or a number near the values.
    fn example(&self) -> u64 {
        let bits = (0..32).map(|bit| 1 << bit);
        self.values.iter().copied().chain(bits).find(|word| self.holds(*word)).unwrap_or_default()
    }
}

fn clauses(verdict: &'static str) -> Result<Vec<Clause>> {
    verdict
        .split("; ")
        .map(|clause| {
            let clause = clause.strip_prefix("else ").unwrap_or(clause);
            let Some((answer, conditions)) = clause.split_once(" if ") else {
                return Ok(Clause { answer: clause, conditions: Vec::new() });
            };
            let conditions = conditions.split(" and ").map(condition).collect::<Result<_>>()?;
            Ok(Clause { answer, conditions })
        })
        .collect()
}

fn condition(text: &str) -> Result<Condition> {
    let (argument, rest) = text.split_once(' ').context("a condition")?;
    let (argument, mask) = match argument.split_once('&') {
        Some((argument, mask)) => (argument, hexadecimal(mask)?),
        None => (argument, u64::from(u32::MAX)),
    };
    let argument = argument.strip_prefix("arg").context("argN")?.parse()?;
    if rest == "is given" {
        return Ok(Condition { argument, mask: u64::MAX, values: vec![0], within: false });
    }
    let (within, values) = if let Some(values) = rest.strip_prefix("not in {") {
        (false, values)
    } else if let Some(values) = rest.strip_prefix("in {") {
        (true, values)
    } else if let Some(value) = rest.strip_prefix("!= ") {
        (false, value)
    } else if let Some(value) = rest.strip_prefix("== ") {
        (true, value)
    } else {
        bail!("a condition of another kind: {text}")
    };
    let values =
        values.trim_end_matches('}').split(", ").map(hexadecimal).collect::<Result<_>>()?;
    Ok(Condition { argument, mask, values, within })
}

fn hexadecimal(text: &str) -> Result<u64> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    u64::from_str_radix(digits, 16).with_context(|| text.to_owned())
}
