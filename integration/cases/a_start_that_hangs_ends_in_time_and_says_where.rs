//! A start that hangs, in the supervisor or in any stage of the shim, in a call that never comes back
//! or because somebody stopped it, ends within its time, says where it was, and runs nothing.
//!
//! What hangs in the field is a path on a server, an automounter or a FUSE daemon; here it is an
//! observer who does not answer.

use anyhow::{Context as _, Result, bail, ensure};
use nix::errno::Errno;
use sandboxd_integration::{Case, Inside, Outside, Program, Run, Step, Then};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

pub(crate) const CASE: Case =
    Case { rows: &["P13"], seconds: 180, outside, probes: &[("act", act)], ..Case::NEW };

/// What a start may take, which the profile cannot change.
const WITHIN: Duration = Duration::from_secs(30);

/// Where it hangs: who, in which call, how often it was made before, what becomes of it; and what the
/// message must say.
struct Hang {
    program: Program,
    number: i64,
    before: usize,
    then: Then,
    stage: &'static str,
    says: &'static str,
}

const HANGS: &[Hang] = &[
    Hang {
        program: Program::Shim,
        number: libc::SYS_close_range,
        before: 0,
        then: Then::Hold,
        stage: "session",
        says: "close_range, for",
    },
    Hang {
        program: Program::Shim,
        number: libc::SYS_open_tree,
        before: 2,
        then: Then::Hold,
        stage: "root",
        says: "open_tree of /",
    },
    Hang {
        program: Program::Shim,
        number: libc::SYS_prlimit64,
        before: 3,
        then: Then::Stop,
        stage: "limits",
        says: ", for 30 s",
    },
    // Of both halves; it is the first to be waited for that is told.
    Hang {
        program: Program::Shim,
        number: libc::SYS_setresuid,
        before: 0,
        then: Then::Hold,
        stage: "identity",
        says: "setresuid, for",
    },
    Hang {
        program: Program::Shim,
        number: libc::SYS_execveat,
        before: 0,
        then: Then::Hold,
        stage: "exec",
        says: "execveat of /probe",
    },
    Hang {
        program: Program::Supervisor,
        number: libc::SYS_landlock_create_ruleset,
        before: 0,
        then: Then::Hold,
        stage: "preparation",
        says: "inspecting the host",
    },
    // Where the receipt gets its name.
    Hang {
        program: Program::Supervisor,
        number: libc::SYS_linkat,
        before: 0,
        then: Then::Hold,
        stage: "preparation",
        says: "writing the receipt",
    },
];

fn outside(outside: &Outside) -> Result<()> {
    // Where the supervisor itself hangs, all it can do is leave.
    outside.leases_may_stay_busy();
    let ws = outside.workspace()?;
    let ws = ws.as_path();
    std::thread::scope(|scope| {
        let tried: Vec<_> =
            (0..HANGS.len()).map(|index| scope.spawn(move || hang(outside, ws, index))).collect();
        for one in tried {
            match one.join() {
                Ok(outcome) => outcome?,
                Err(_) => bail!("a thread of the observer panicked"),
            }
        }
        Ok(())
    })?;
    // And the next start removes what could not be removed.
    outside.sandbox("extends = [\"builtin:base\"]\n").command(&["/bin/true"]).run()?.exited(0)?;
    Ok(())
}

fn hang(outside: &Outside, ws: &Path, index: usize) -> Result<()> {
    let Some(wanted) = HANGS.get(index) else { return Ok(()) };
    let done = ws.join(format!("done-{index}"));
    let profile = format!("extends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\n");
    let mut made = 0;
    let since = Instant::now();
    let run = outside.sandbox(&profile).probe("act", &[&done.to_string_lossy()]).stepped(
        |step: &Step| {
            if step.program != wanted.program || i64::from(step.number) != wanted.number {
                return Then::Go;
            }
            made += 1;
            if made > wanted.before { wanted.then } else { Then::Go }
        },
    )?;
    judge(&run, wanted, since.elapsed()).with_context(|| format!("hang {index}"))?;
    ensure!(!done.exists(), "hang {index}: the command ran");
    Ok(())
}

fn judge(run: &Run, wanted: &Hang, took: Duration) -> Result<()> {
    run.failed_in(wanted.stage, "deadline", Errno::ETIMEDOUT)?;
    ensure!(run.stderr.contains(wanted.says), "it does not say {:?}", wanted.says);
    ensure!(took >= WITHIN, "given up after {took:?}");
    Ok(())
}

fn act(inside: &Inside) -> Result<()> {
    inside.attempt("act", fs::write(inside.path(0)?, "x"));
    Ok(())
}
