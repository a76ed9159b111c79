//! Without a pid namespace, too, all that a command started dies with it, with the supervisor and with
//! init, whichever of them is killed: storms of forks, daemons in sessions of their own, processes that
//! are another one at every look.

use anyhow::{Context as _, Result, ensure};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;
use sandboxd_integration::{
    Case, Container, Inside, Need, Outside, Terminal, Victim, patience, raw,
};
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

pub(crate) const CASE: Case = Case {
    rows: &["P08", "P09", "P11", "X01", "E20"],
    needs: &[Need::Landlock(6)],
    seconds: 240,
    outside,
    probes: &[("storm", storm), ("flood", flood), ("crowd", crowd)],
    ..Case::NEW
};

const PROFILE: &str = "extends = [\"builtin:container\"]\n";
/// Children that fork in a loop, half of them so that each becomes its own child.
const FORKING: usize = 40;
/// Those that do it as fast as the machine lets them be reaped; the others leave it to whoever else is on it.
const HOT: usize = 2;
/// Most processes of the storm's user, should nothing of this end them; and how long one forks then.
const MOST: u64 = 1000;
const STORM: Duration = Duration::from_secs(60);
const DAEMONS: usize = 5;
/// Of the supervisor's; and processes that are left to it all at once.
const DESCRIPTORS: u64 = 200;
const CROWD: usize = 300;
/// Far more than it takes on a machine that has other things to do.
const WITHIN: Duration = Duration::from_secs(30);

fn outside(outside: &Outside) -> Result<()> {
    let mut victim = Victim::start()?;
    for container in [outside.user(), Container::Root] {
        let storm =
            |seconds| outside.sandbox(PROFILE).container(container).probe("storm", &[seconds]);
        let run = storm("0").run()?;
        run.ran()?;
        // Not a moment later: the supervisor says so only when all are gone.
        ensure!(living(outside)?.is_empty(), "{container:?}: left by the command");

        let mut running = storm("600").start()?;
        running.says("storm")?;
        ensure!(living(outside)?.len() > FORKING / 2, "{container:?}: there is no storm");
        running.signal(Signal::SIGKILL)?;
        running.wait()?;
        gone(outside).with_context(|| format!("{container:?}: the supervisor was killed"))?;
        if container == Container::Root {
            its_folder_is_told(outside, "--json")?;
        }

        // Init has more to tell than is heard, and nobody is there any more when it goes on.
        let probe = outside.sandbox(PROFILE).container(container).probe("flood", &[]);
        let mut running = probe.start()?;
        running.says("flood")?;
        running.signal(Signal::SIGSTOP)?;
        is_telling(init(running.pid())?)?;
        ensure!(living(outside)?.len() > DAEMONS, "{container:?}: there is no flood");
        running.signal(Signal::SIGKILL)?;
        running.wait()?;
        gone(outside).with_context(|| format!("{container:?}: killed while it was told"))?;
        if container == Container::Root {
            its_folder_is_told(outside, "--clean")?;
            ensure!(folders(outside)?.is_empty(), "still there: {:?}", folders(outside)?);
        }

        let mut running = storm("600").start()?;
        running.says("storm")?;
        kill(init(running.pid())?, Signal::SIGKILL).context("init")?;
        running.wait()?.exited(137)?;
        ensure!(living(outside)?.is_empty(), "{container:?}: left by an init that was killed");

        more_than_there_are_descriptors(outside, container)?;
        at_a_terminal(outside, container)?;

        let mut running = storm("600").start()?;
        running.says("storm")?;
        running.signal(Signal::SIGTERM)?;
        running.wait()?;
        ensure!(living(outside)?.is_empty(), "{container:?}: left by a stop");
        // That of the killed one is removed by the next.
        ensure!(folders(outside)?.is_empty(), "left: {:?}", folders(outside)?);
    }
    victim.lives()?;
    who_was_not_of_it_survives(outside)
}

/// With the supervisor its terminal hangs up, of which init is told before anybody.
fn at_a_terminal(outside: &Outside, container: Container) -> Result<()> {
    let terminal = Terminal::new()?;
    let storm = outside.sandbox(PROFILE).container(container).probe("storm", &["600"]);
    let running = storm.terminal(&terminal, &[0, 1, 2]).start()?;
    terminal.shows("storm")?;
    // Stopped, it is told of the hang-up before it sees anything else. The hang-up has it go on as well.
    let init = parent_of_a_probe(outside, running.pid())?;
    kill(init, Signal::SIGSTOP)?;
    running.signal(Signal::SIGKILL)?;
    running.wait()?;
    kill(init, Signal::SIGCONT).context("init ended by the hang-up of its terminal").or_else(
        |error| {
            if living(outside)?.is_empty() { Ok(()) } else { Err(error) }
        },
    )?;
    gone(outside).with_context(|| format!("{container:?}: killed at a terminal"))
}

fn more_than_there_are_descriptors(outside: &Outside, container: Container) -> Result<()> {
    let profile = format!("{PROFILE}[limits]\nopen_files = 64\n");
    let run = outside.sandbox(&profile).container(container).open_files(DESCRIPTORS);
    let mut running = run.probe("crowd", &[]).start()?;
    running.says("crowd")?;
    ensure!(living(outside)?.len() > CROWD, "{container:?}: there is no crowd");
    kill(init(running.pid())?, Signal::SIGKILL).context("init")?;
    let run = running.wait()?;
    ensure!(living(outside)?.is_empty(), "{container:?}: left for want of descriptors");
    run.exited(137).map(drop)
}

/// What a killed run left in the folder for temporary files is named by `doctor`.
fn its_folder_is_told(outside: &Outside, option: &str) -> Result<()> {
    let left = folders(outside)?;
    ensure!(left.len() == 1, "left: {left:?}");
    let told = outside.bare().verb("doctor").option(option).run()?.stdout;
    ensure!(left.iter().all(|name| told.contains(name)), "not named: {told}");
    Ok(())
}

/// The names of the folders of runs in that for temporary files.
fn folders(outside: &Outside) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(outside.dir().join("tmp"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        found.extend(name.starts_with("sandboxd-run-").then_some(name));
    }
    Ok(found)
}

/// A daemon of its caller's becomes a child of the supervisor, which adopts orphans: it is not the sandbox's.
fn who_was_not_of_it_survives(outside: &Outside) -> Result<()> {
    let (folder, profile) = (outside.dir().join("adopts"), outside.dir().join("adopts.toml"));
    fs::create_dir(&folder)?;
    fs::write(&profile, PROFILE)?;
    let daemon =
        "until [ -e ready ]; do sleep 0.1; done; setsid sh -c 'echo $$ > daemon; exec sleep 600' &";
    let command = "touch ready; until [ -s daemon ]; do sleep 0.1; done";
    let mut sh = Command::new("/bin/sh");
    sh.args(["-c", &format!("( {daemon} ) & exec \"$@\""), "sh"]);
    sh.arg(std::env::current_exe()?.with_file_name("sandboxd"));
    sh.args(["run", "-q", "-w", ".", "-p"]).arg(profile).args(["--", "/bin/sh", "-c", command]);
    sh.env("TMPDIR", outside.dir().join("tmp")).env("XDG_STATE_HOME", outside.state());
    sh.current_dir(&folder);
    let ended = sh.status()?;
    ensure!(ended.success(), "it ended with {ended}");
    let daemon = Pid::from_raw(fs::read_to_string(folder.join("daemon"))?.trim().parse()?);
    kill(daemon, Signal::SIGKILL).context("a process that was not the sandbox's was killed")
}

fn gone(outside: &Outside) -> Result<()> {
    let until = Instant::now() + patience(WITHIN);
    while !living(outside)?.is_empty() {
        ensure!(Instant::now() < until, "still there: {:?}", living(outside)?);
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Processes of the probe's program.
fn living(outside: &Outside) -> Result<Vec<i32>> {
    let program = outside.dir().join("bin/probe");
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Ok(pid) = entry?.file_name().to_string_lossy().parse::<i32>() else { continue };
        if fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == program) {
            found.push(pid);
        }
    }
    Ok(found)
}

/// The only child of the supervisor.
fn init(supervisor: Pid) -> Result<Pid> {
    let children = fs::read_to_string(format!("/proc/{supervisor}/task/{supervisor}/children"))?;
    let mut children = children.split_whitespace();
    let first = children.next().context("the supervisor has no child")?;
    ensure!(children.next().is_none(), "the supervisor has several children");
    Ok(Pid::from_raw(first.parse()?))
}

/// Of the children of the supervisor, the init of the command: what carries the terminal has one of its own.
fn parent_of_a_probe(outside: &Outside, supervisor: Pid) -> Result<Pid> {
    let children = fs::read_to_string(format!("/proc/{supervisor}/task/{supervisor}/children"))?;
    for probe in living(outside)? {
        let status = fs::read_to_string(format!("/proc/{probe}/status"))?;
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).context("PPid")?;
        if children.split_whitespace().any(|child| child == parent.trim()) {
            return Ok(Pid::from_raw(parent.trim().parse()?));
        }
    }
    anyhow::bail!("no probe is a child of init")
}

/// Waits until init waits for its word to be taken.
fn is_telling(init: Pid) -> Result<()> {
    let (until, sendto) = (Instant::now() + patience(WITHIN), format!("{} ", libc::SYS_sendto));
    let mut seen = 0;
    while seen < 10 {
        ensure!(Instant::now() < until, "init is never kept waiting");
        std::thread::sleep(Duration::from_millis(10));
        let call = fs::read_to_string(format!("/proc/{init}/syscall"))?;
        seen = if call.starts_with(&sendto) { seen + 1 } else { 0 };
    }
    Ok(())
}

fn storm(inside: &Inside) -> Result<()> {
    setrlimit(Resource::RLIMIT_NPROC, MOST, MOST)?;
    for number in 0..FORKING {
        raw::fork(|| {
            let until = Instant::now() + STORM;
            loop {
                let pause = if number < HOT { 1 } else { 50 };
                std::thread::sleep(Duration::from_millis(pause));
                if Instant::now() > until {
                    return 0;
                }
                // In a new process each time, or in the old one.
                let Ok(pid) = raw::call_numbers(libc::SYS_fork, &[]) else { continue };
                if (pid == 0) != (number % 2 == 0) {
                    return 0;
                }
                if pid > 0 && raw::call_numbers(libc::SYS_wait4, &[u64::MAX, 0, 0, 0]).is_err() {
                    return 1;
                }
            }
        })?;
    }
    daemons()?;
    inside.fact("storm", "on");
    std::thread::sleep(Duration::from_secs(inside.argument(0)?.parse()?));
    Ok(())
}

/// Stops and continues the command, as fast as it goes.
fn flood(inside: &Inside) -> Result<()> {
    daemons()?;
    inside.fact("flood", "on");
    let own = Pid::this();
    raw::fork(|| {
        let until = Instant::now() + STORM;
        while Instant::now() < until {
            if kill(own, Signal::SIGSTOP).and(kill(own, Signal::SIGCONT)).is_err() {
                return 1;
            }
        }
        0
    })?;
    std::thread::sleep(STORM);
    Ok(())
}

fn crowd(inside: &Inside) -> Result<()> {
    for _ in 0..CROWD {
        raw::fork(|| {
            std::thread::sleep(STORM);
            0
        })?;
    }
    inside.fact("crowd", "on");
    std::thread::sleep(STORM);
    Ok(())
}

fn daemons() -> Result<()> {
    for _ in 0..DAEMONS {
        raw::fork(|| {
            let blocked = SigSet::all().thread_block();
            let session = nix::unistd::setsid();
            match raw::fork(|| {
                std::thread::sleep(STORM);
                0
            }) {
                Ok(_) if blocked.is_ok() && session.is_ok() => 0,
                _ => 1,
            }
        })?;
    }
    Ok(())
}
