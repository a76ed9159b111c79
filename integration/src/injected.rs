//! A call of the product made to fail, each in turn, with each errno in turn: whatever fails, nothing
//! runs, or it runs behind every layer.
//!
//! One run nobody disturbs is listened to, and tells which calls there are. In a soak each of them fails
//! with each errno. Otherwise the first of each number does, and of the rest each with one of them.

use crate::{Inside, Outside, Program, Run, Step, Then, raw};
use anyhow::{Context as _, Result, bail, ensure};
use nix::errno::Errno;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a call fails with, in turn.
const ERRNOS: [Errno; 6] =
    [Errno::EPERM, Errno::ENOSYS, Errno::ENOSPC, Errno::EMFILE, Errno::ENOMEM, Errno::EINTR];

/// Calls that have no way to fail, of which nobody reads the answer as an errno.
const NEVER_FAIL: &[i64] = &[
    libc::SYS_umask,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_sched_yield,
    libc::SYS_set_tid_address,
    libc::SYS_arch_prctl,
];

/// What the credential holds.
const HELD: &[u8] = b"told";

/// How many are run at once.
const AT_ONCE: usize = 3;

/// A call of the program's: its number, and how often it was made before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Target {
    number: i32,
    before: usize,
    errno: Errno,
}

/// The command ran, and every layer held.
///
/// # Errors
/// Where one did not.
pub fn is_confined(run: &Run) -> Result<()> {
    run.ran()?.allowed("act")?.allowed("credential")?.allowed("second socket")?;
    run.refused("canary", &[Errno::ENOENT])?;
    run.refused("socket", &[Errno::EAFNOSUPPORT])?.refused("mount", &[Errno::EPERM])?;
    let status = run.fact("status")?;
    for line in
        ["CapBnd:\t0000000000000000", "CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"]
    {
        ensure!(status.contains(line), "not so: {line}");
    }
    Ok(())
}

/// The probe `act`: tries one thing for each layer.
///
/// # Errors
/// Where it cannot try.
pub fn act(inside: &Inside) -> Result<()> {
    inside.attempt("act", fs::write(inside.path(0)?.join(inside.argument(1)?), "x"));
    inside.attempt("canary", fs::read(inside.path(2)?));
    inside.attempt("socket", std::net::UdpSocket::bind("127.0.0.1:0"));
    // What it is given of a service manager's, in its place.
    let held = fs::read(PathBuf::from(std::env::var("CREDENTIALS_DIRECTORY")?).join("token"));
    let held =
        held.and_then(|held| if held == HELD { Ok(()) } else { Err(io::Error::from(Errno::EIO)) });
    inside.attempt("credential", held);
    // Only a socket that is bound can listen, and nobody minds if it does so again.
    inside.attempt("second socket", raw::call_numbers(libc::SYS_listen, &[4, 1]));
    let none: Option<&str> = None;
    inside.attempt(
        "mount",
        nix::mount::mount(none, "/tmp", Some("tmpfs"), nix::mount::MsFlags::empty(), none),
    );
    inside.fact("status", &fs::read_to_string("/proc/self/status")?);
    Ok(())
}

/// What came of all of them.
#[derive(Debug, Default)]
pub struct Tally {
    /// Ended without the command.
    pub refused: AtomicUsize,
    /// Ran behind every layer in spite of it.
    pub ran: AtomicUsize,
    /// That call was not made this time.
    pub missed: AtomicUsize,
}

/// Makes every call of one program fail, with [`act`] as the case's probe of that name, and as `judge`
/// whatever says of a run whose command ran that it is as it must be.
///
/// # Errors
/// Every call whose failure was not told, or after which the command ran with less.
pub fn inject(
    outside: &Outside,
    program: Program,
    judge: impl Fn(&Run) -> Result<()> + Sync,
) -> Result<Tally> {
    let ws = outside.workspace()?;
    let canary = outside.canary("secret")?;
    let sockets = [outside.dir().join("one.sock"), outside.dir().join("two.sock")];
    let [one, two] = sockets.map(UnixListener::bind);
    let token = outside.file("credentials/token", std::str::from_utf8(HELD)?)?;
    let trial = Trial {
        outside,
        ws,
        canary: canary.path().to_owned(),
        program,
        sockets: [one?, two?],
        credentials: token.parent().context("a folder")?.display().to_string(),
    };
    let (targets, receipt) = trial.whole(&judge)?;
    let tally = Tally::default();
    let next = AtomicUsize::new(0);
    let wrong = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                scope.spawn(|| {
                    let mut wrong = Vec::new();
                    while let Some(target) = targets.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let outcome = trial.one(*target, &receipt, &judge, &tally);
                        wrong.extend(outcome.err().map(|error| format!("{target:?}: {error:#}")));
                    }
                    wrong
                })
            })
            .collect();
        let joined = workers.into_iter().map(std::thread::ScopedJoinHandle::join);
        joined.collect::<std::thread::Result<Vec<_>>>()
    });
    let Ok(wrong) = wrong else { bail!("a thread of the observer panicked") };
    let wrong = wrong.concat();
    ensure!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), targets.len(), wrong.join("\n"));
    Ok(tally)
}

struct Trial<'a> {
    outside: &'a Outside,
    ws: PathBuf,
    canary: PathBuf,
    program: Program,
    sockets: [UnixListener; 2],
    credentials: String,
}

impl Trial<'_> {
    fn run(&self, name: &str, decide: impl FnMut(&Step) -> Then) -> Result<Run> {
        let profile = format!(
            "extends = [\"builtin:base\"]\n[files]\nwrite = [{:?}]\n[command]\n\
             sockets = [\"one\", \"two\"]\ncredentials = [\"token\"]\n",
            self.ws
        );
        let [one, two] = &self.sockets;
        let sockets = [("one", one.as_fd()), ("two", two.as_fd())];
        let arguments = [&*self.ws.to_string_lossy(), name, &*self.canary.to_string_lossy()];
        let sandbox = self.outside.sandbox(&profile).listening(&sockets)?;
        let sandbox = sandbox.env("CREDENTIALS_DIRECTORY", &self.credentials);
        sandbox.probe("act", &arguments).stepped(decide)
    }

    /// A run that nobody disturbs: the calls that are to fail, and the layers that are then on.
    fn whole(&self, judge: &impl Fn(&Run) -> Result<()>) -> Result<(Vec<Target>, Value)> {
        let done = self.ws.join("whole");
        let mut numbers = Vec::new();
        let whole = self.run("whole", |step| {
            // What is made once the command has begun is no part of the start.
            if step.program == self.program && !done.exists() {
                numbers.push(step.number);
            }
            Then::Go
        })?;
        judge(&whole)?;
        ensure!(numbers.len() > 100, "it makes only {} calls", numbers.len());
        let receipt = whole.receipt.as_ref().context("no receipt")?;
        Ok((targets(&numbers, self.outside.soaks()), layers(receipt)))
    }

    fn one(
        &self,
        target: Target,
        enforced: &Value,
        judge: &impl Fn(&Run) -> Result<()>,
        tally: &Tally,
    ) -> Result<()> {
        let name = format!("{}-{}-{:?}", target.number, target.before, target.errno);
        let done = self.ws.join(&name);
        let mut made = 0;
        let mut failed = false;
        let run = self.run(&name, |step| {
            if step.program != self.program || step.number != target.number {
                return Then::Go;
            }
            made += 1;
            // How many of one kind the start makes differs by what its threads do meanwhile: where this
            // one comes only after the command has begun, it is no call of the start.
            if made != target.before + 1 || done.exists() {
                return Then::Go;
            }
            failed = true;
            Then::Fail(target.errno)
        })?;
        let ran = done.exists();
        let count = match (failed, ran) {
            (false, _) => &tally.missed,
            (true, true) => &tally.ran,
            (true, false) => &tally.refused,
        };
        count.fetch_add(1, Ordering::Relaxed);
        if !ran {
            return did_not_run(&run, target);
        }
        if run.exit() == Some(125) {
            // The command had begun when sandboxd failed, and it was killed.
            ensure!(!run.stderr.is_empty(), "it does not say why");
        } else {
            judge(&run)?;
        }
        let receipt = run.receipt.as_ref().context("no receipt")?;
        ensure!(layers(receipt) == *enforced, "with less: {}", layers(receipt));
        Ok(())
    }
}

/// What a receipt says is on, and what was waived.
fn layers(receipt: &Value) -> Value {
    let one = |name: &str| receipt.get(name).cloned().unwrap_or(Value::Null);
    serde_json::json!([one("layers"), one("waived"), one("landlock_abi")])
}

/// Nothing ran, which is 126 where it was the execve(2) itself that failed; and the message names the
/// stage, the call, the errno and a remedy, or what the profile asks for and this host then lacks.
fn did_not_run(run: &Run, target: Target) -> Result<()> {
    let Target { number, errno, .. } = target;
    if BEFORE_MAIN.contains(&i64::from(number)) && run.signal() == Some(libc::SIGABRT) {
        return Ok(());
    }
    if BEFORE_MAIN.contains(&i64::from(number)) && run.exit() == Some(127) {
        return Ok(());
    }
    // Init that cannot wait any more ends, and everything with it: where the word to go was given by
    // then, that is the end of a command behind every layer, and no refusal.
    if i64::from(number) == libc::SYS_ppoll && run.exit() == Some(137) {
        return Ok(());
    }
    let said = &run.stderr;
    ensure!(matches!(run.exit(), Some(125 | 126)), "{}: {said}", run.status);
    for line in ["  stage   ", "  call    ", "  remedy  "] {
        let problem = said.contains(" problem") && line != "  remedy  ";
        let killed = said.contains("it was killed, because sandboxd failed: ");
        ensure!(said.contains(line) || problem || killed, "the message has no line{line}: {said}");
    }
    let raw = io::Error::from(errno).raw_os_error().unwrap_or(0);
    let named = [format!("({errno:?})"), format!("code: {raw}"), format!("(os error {raw})")];
    let known = named.iter().any(|name| said.contains(name)) || said.contains(" problem");
    let told = known
        || TOLD_OTHERWISE
            .iter()
            .any(|(call, words)| *call == i64::from(number) && said.contains(words));
    ensure!(told, "the message does not name {errno:?}: {said}");
    Ok(())
}

/// Calls by which the C library and the standard library begin, who end the process themselves where one
/// fails: nothing of sandboxd's has run by then.
const BEFORE_MAIN: &[i64] = &[
    libc::SYS_poll,
    libc::SYS_rt_sigaction,
    libc::SYS_mprotect,
    libc::SYS_prlimit64,
    libc::SYS_rseq,
    libc::SYS_set_robust_list,
    libc::SYS_sigaltstack,
    libc::SYS_uname,
];

/// Calls whose failure is told by what it leads to, and the words that tell it.
const TOLD_OTHERWISE: &[(i64, &str)] = &[
    // Capabilities that cannot be read count as lacking, and so does the map of a user namespace.
    (libc::SYS_capget, "root lacks"),
    (libc::SYS_read, "root here is root of a user namespace"),
    (libc::SYS_openat, "root here is root of a user namespace"),
    // The helper of an id map ends where it cannot see to its own end.
    (libc::SYS_prctl, "user namespace"),
    (libc::SYS_close_range, "user namespace"),
    // The answer of a probe is that a state does not hold.
    (libc::SYS_prlimit64, "probe(\"descriptors"),
    // A limit that cannot be read counts as too low.
    (libc::SYS_prlimit64, "RLIMIT_NOFILE"),
    // The standard library waits on where its lock does not answer; the clock ends that.
    (libc::SYS_futex, "deadline("),
    // Init has let go of the socket it could tell it by.
    (libc::SYS_ppoll, "the shim ended without a report"),
    // The standard library does not say which.
    (libc::SYS_getrandom, "random data"),
    // The C library says so of any failure to make a thread.
    (libc::SYS_mprotect, "a thread"),
    (libc::SYS_mmap, "a thread"),
    (libc::SYS_clone3, "a thread"),
];

fn targets(numbers: &[i32], all: bool) -> Vec<Target> {
    let mut seen: BTreeMap<i32, usize> = BTreeMap::new();
    let mut firsts = BTreeSet::new();
    let mut found = Vec::new();
    for (at, &number) in numbers.iter().enumerate() {
        let times = seen.entry(number).or_default();
        let before = *times;
        *times += 1;
        if NEVER_FAIL.contains(&i64::from(number)) {
            continue;
        }
        let whole = all || firsts.insert(number);
        let errnos =
            ERRNOS.iter().enumerate().filter(|(turn, _)| whole || at % ERRNOS.len() == *turn);
        found.extend(errnos.map(|(_, &errno)| Target { number, before, errno }));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_a_number_fails_with_every_errno_and_the_rest_in_turn() {
        let found = targets(&[5, 5, 5], false);
        let of = |before| found.iter().filter(|one| one.before == before).count();
        assert_eq!([of(0), of(1), of(2)], [ERRNOS.len(), 1, 1]);
        assert_eq!(targets(&[5, 5, 5], true).len(), 3 * ERRNOS.len());
        let umask = i32::try_from(libc::SYS_umask).unwrap();
        assert_eq!(targets(&[umask], true), []);
    }
}
