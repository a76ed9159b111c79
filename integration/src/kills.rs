//! Sandboxes that are killed: whom, when, what they were doing and whether they were frozen is drawn
//! from a seed, so that what went wrong once can be made to happen again.
//!
//! Some have more than a command: what they call, a way out, a terminal, and with these the sandboxes of
//! sandboxd's own services, and sockets where somebody outside is waited for.
//!
//! Several run at once, and all of a batch must be gone before the next. What is still there after a
//! while that no busy machine explains *remains*, and is a failure; what went later than a second is
//! *late*, and counted.
//!
//! Read in this order: `profiles` (what is run), `plan` (what is drawn), `victims` (finding and ending processes), this file.

mod plan;
mod profiles;
mod victims;

use crate::{Outside, Program, Run, Running, Sandbox, Step, Terminal, Then, left, sandbox};
use anyhow::{Context as _, Result, bail, ensure};
use plan::{Calls, Plan, When};
use profiles::{Has, Profiles};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use victims::{Sandboxed, is_service};

/// How many are started and killed at once.
const AT_ONCE: usize = 6;

/// How long what was killed may take on a machine that has a lot else to do.
const REMAINS_AFTER: Duration = Duration::from_secs(30);

/// What is late.
const SOON: Duration = Duration::from_secs(1);

/// How long a sandbox may take to say that it lives.
const STARTED_WITHIN: Duration = Duration::from_secs(60);

/// What came of all of them.
#[derive(Debug, Default)]
pub struct Tally {
    /// Killed.
    pub kills: usize,
    /// Ended by itself before its turn came.
    pub missed: usize,
    /// Batches of which something was still there after a second.
    pub late: usize,
    /// The longest that one took to be gone.
    pub longest: Duration,
}

/// Kills so many, one batch after another. The case's probe `live` is what they run: its arguments are
/// a folder, a file that is made once it lives, what it does, and what it has beside itself.
///
/// # Errors
/// The first thing that remains, ends otherwise than it must, or never ends; with the seed.
pub fn kill(outside: &Outside, seed: u64, count: usize) -> Result<Tally> {
    outside.leases_may_stay_busy();
    let profiles = Profiles::make(outside)?;
    let calls = Has::ALL.into_iter().map(|has| Ok((has, count_calls(outside, &profiles, has)?)));
    let calls = calls.collect::<Result<BTreeMap<_, _>>>()?;
    let before = left::mounts()?;
    let mut tally = Tally::default();
    let mut index = 0;
    while index < count {
        let end = count.min(index + AT_ONCE);
        let plans: Vec<Plan> = (index..end).map(|one| Plan::draw(seed, one, &calls)).collect();
        batch(outside, &profiles, &plans, &mut tally)
            .and_then(|()| is_gone(outside, &plans, &before, &mut tally))
            .with_context(|| {
                let drawn: Vec<_> = plans.iter().map(|plan| format!("\n  {plan:?}")).collect();
                format!("seed {seed}, drawn: {}\n", drawn.concat())
            })?;
        index = end;
    }
    Ok(tally)
}

/// How many calls either program makes in a whole run.
fn count_calls(outside: &Outside, profiles: &Profiles, has: Has) -> Result<Calls> {
    let mut calls = Calls { supervisor: 0, shim: 0 };
    let terminal = terminal(has)?;
    let arguments = [&*profiles.ws.to_string_lossy(), "counted", "end", has.word()];
    let sandbox = outside.sandbox(&profiles.text(0, has)).probe("live", &arguments);
    let run = at(sandbox, terminal.as_ref()).stepped(|step| {
        match step.program {
            Program::Supervisor => calls.supervisor += 1,
            Program::Shim => calls.shim += 1,
            Program::Other => {}
        }
        Then::Go
    })?;
    run.exited(0)?;
    ensure!(calls.shim > 100 && calls.supervisor > 100, "they make only {calls:?} calls");
    Ok(calls)
}

/// The terminal of one that has it.
fn terminal(has: Has) -> Result<Option<Terminal>> {
    (has == Has::Terminal).then(Terminal::new).transpose()
}

/// At its terminal, where it has one. What sandboxd says is read elsewhere.
fn at<'a>(sandbox: Sandbox<'a>, terminal: Option<&Terminal>) -> Sandbox<'a> {
    match terminal {
        Some(terminal) => sandbox.terminal(terminal, &[0, 1]),
        None => sandbox,
    }
}

fn batch(outside: &Outside, profiles: &Profiles, plans: &[Plan], tally: &mut Tally) -> Result<()> {
    std::thread::scope(|scope| {
        let started: Vec<_> =
            plans.iter().map(|plan| scope.spawn(move || one(outside, profiles, plan))).collect();
        for one in started {
            let Ok(killed) = one.join() else { bail!("a thread of the observer panicked") };
            if killed? {
                tally.kills += 1;
            } else {
                tally.missed += 1;
            }
        }
        Ok(())
    })
}

/// Starts one and kills it as planned; says whether it came to that.
fn one(outside: &Outside, profiles: &Profiles, plan: &Plan) -> Result<bool> {
    let lives = format!("lives-{}", plan.index);
    let arguments = [&*profiles.ws.to_string_lossy(), &lives, plan.life.word(), plan.has.word()];
    let sandbox = outside.sandbox(&profiles.text(plan.index, plan.has)).probe("live", &arguments);
    let terminal = terminal(plan.has)?;
    let sandbox = at(sandbox, terminal.as_ref());
    let mut killed = false;
    let run = match plan.when {
        When::AtCall { of, nth } => {
            let mut seen = 0;
            let mut supervisor = None;
            sandbox.stepped(|step: &Step| {
                if step.program == Program::Supervisor {
                    supervisor.get_or_insert(step.process);
                }
                seen += usize::from(step.program == of);
                if killed || step.program != of || seen != nth {
                    return Then::Go;
                }
                killed = true;
                let Some(supervisor) = supervisor else { return Then::Kill };
                Sandboxed { supervisor, plan }.kill();
                // Should whoever was to be killed not be there yet, it is whoever makes the call.
                Then::Kill
            })?
        }
        When::After(pause) => {
            let running = sandbox.start()?;
            std::thread::sleep(pause);
            killed = Sandboxed { supervisor: running.pid(), plan }.kill();
            ended(running)?
        }
        When::Living(pause) => {
            let mut running = sandbox.start()?;
            let until = Instant::now() + STARTED_WITHIN;
            while !profiles.ws.join(&lives).exists() && running.lives()? {
                ensure!(Instant::now() < until, "kill {} does not come to life", plan.index);
                std::thread::sleep(Duration::from_millis(2));
            }
            std::thread::sleep(pause);
            killed = Sandboxed { supervisor: running.pid(), plan }.kill();
            ended(running)?
        }
    };
    judge(&run, killed).with_context(|| format!("kill {}", plan.index))?;
    Ok(killed)
}

/// Waits for the supervisor, who must not wait for what is dead.
fn ended(mut running: Running<'_>) -> Result<Run> {
    let until = Instant::now() + REMAINS_AFTER;
    while running.lives()? {
        ensure!(Instant::now() < until, "the supervisor does not end");
        std::thread::sleep(Duration::from_millis(2));
    }
    running.wait()
}

/// A supervisor that lived on said what became of the rest, in its own words.
fn judge(run: &Run, killed: bool) -> Result<()> {
    ensure!(!run.stderr.contains("panicked"), "sandboxd panicked: {}", run.stderr);
    match (run.signal(), run.exit()) {
        (Some(libc::SIGKILL), _) | (_, Some(137 | 0)) => Ok(()),
        (_, Some(125)) if killed => {
            let words = ["  remedy  ", "the service ", "sandboxd failed"];
            let told = words.iter().any(|words| run.stderr.contains(words));
            ensure!(told, "neither a remedy nor who ended: {}", run.stderr);
            Ok(())
        }
        _ => bail!("it ended with {}: {}", run.status, run.stderr),
    }
}

/// Nothing of the batch is left: at once but for what only a supervisor removes, where that was killed;
/// and that goes with the next start, or with `sandboxd doctor --clean`.
fn is_gone(
    outside: &Outside,
    plans: &[Plan],
    before: &BTreeSet<String>,
    tally: &mut Tally,
) -> Result<()> {
    let since = Instant::now();
    let mut left = remains(outside, plans, before, false)?;
    while !left.is_empty() {
        ensure!(since.elapsed() < REMAINS_AFTER, "remains: {}", left.join("; "));
        std::thread::sleep(Duration::from_millis(5));
        left = remains(outside, plans, before, false)?;
    }
    tally.longest = tally.longest.max(since.elapsed());
    tally.late += usize::from(since.elapsed() > SOON);
    let next = plans.first().is_some_and(|plan| (plan.index / AT_ONCE).is_multiple_of(2));
    if next {
        outside
            .sandbox("extends = [\"builtin:base\"]\n")
            .command(&["/bin/true"])
            .run()?
            .exited(0)?;
    } else {
        clean()?;
    }
    // The sweep of a start goes on beside its command, and ends with it: the next one goes on.
    let left = remains(outside, plans, before, true)?;
    if !left.is_empty() && next {
        clean()?;
    }
    let left = remains(outside, plans, before, true)?;
    ensure!(left.is_empty(), "remains after the next start: {}", left.join("; "));
    Ok(())
}

/// `sandboxd doctor --clean`. What it says of others on this machine is not for this case to judge.
fn clean() -> Result<()> {
    let status = Command::new(sandbox::product()?)
        .args(["doctor", "--clean", "--json"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    ensure!(matches!(status.code(), Some(0 | 1)), "doctor --clean: {status}");
    Ok(())
}

/// What there is that should not be. `swept` is after whatever removes what dead supervisors left.
fn remains(
    outside: &Outside,
    plans: &[Plan],
    before: &BTreeSet<String>,
    swept: bool,
) -> Result<Vec<String>> {
    let own = std::process::id();
    // One that was frozen before it could ask to die with its supervisor can do nothing by itself.
    let frozen = |pid: i32| {
        let cgroup = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        let mut excused = plans.iter().filter(|plan| plan.frozen && plan.may_end_supervisor());
        !swept && excused.any(|plan| cgroup.contains(&format!("/{}", plan.group())))
    };
    let mut found: Vec<String> = left::living(outside, own)?
        .into_iter()
        .filter(|(pid, _)| !frozen(*pid))
        .map(|(pid, what)| format!("process {pid} ({what})"))
        .collect();
    found.extend(left::mounts()?.difference(before).map(|mount| format!("mount {mount}")));
    for file in left::temporary(outside)? {
        found.push(format!("file {}", file.display()));
    }
    let ended = || plans.iter().filter(|plan| plan.may_end_supervisor());
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let excused = |group: &Path| {
        let name = name(group);
        ended().any(|plan| {
            name.starts_with(&plan.group()) || (plan.has != Has::Nothing && is_service(&name))
        })
    };
    let groups: Vec<PathBuf> = left::groups(own)?;
    let shown = groups.iter().filter(|group| swept || !excused(group));
    found.extend(shown.map(|group| format!("cgroup {}", group.display())));
    let busy = left::busy()?;
    if swept || busy.len() > ended().map(|plan| plan.has.sandboxes()).sum::<usize>() {
        found.extend(busy);
    }
    let excused = |socket: &Path| {
        let name = name(socket);
        ended().any(|plan| name.trim_start_matches('.').starts_with(&plan.id()))
    };
    let sockets: Vec<PathBuf> = left::sockets(outside)?;
    let shown = sockets.iter().filter(|socket| swept || !excused(socket));
    found.extend(shown.map(|socket| format!("socket {}", socket.display())));
    if swept || ended().count() == 0 {
        let partial = left::partial(outside)?;
        found.extend(partial.iter().map(|file| format!("file {}", file.display())));
    }
    Ok(found)
}
