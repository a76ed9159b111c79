//! A service manager is told when the command runs, and not before; that it ends, and why; and, where it
//! asks, that the supervisor still looks after it. It is told by sandboxd alone, and where it does not
//! listen nothing is started.

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use sandboxd_integration::{By, Case, Inside, NotifySocket, Outside, Running, Sandbox, patience};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

pub(crate) const CASE: Case = Case {
    rows: &["N05", "R08"],
    by: By::Anybody,
    seconds: 180,
    outside,
    probes: &[("speak", speak)],
    ..Case::NEW
};

const PROFILE: &str = "name = \"told\"\nextends = [\"builtin:base\"]\n";
const WAIT: &str = "while :; do /bin/sleep 0.05; done";
const BEGIN: &str = "STATUS=Setting up the sandbox";
const READY: &str = "READY=1\nSTATUS=Running told-*";

fn outside(outside: &Outside) -> Result<()> {
    let manager = NotifySocket::at(&outside.dir().join("notify"))?;
    let shell = |script: &str| outside.sandbox(PROFILE).command(&["/bin/sh", "-c", script]);
    an_end_of_its_own(&manager, &shell)?;
    an_end_that_is_asked_for(
        &manager,
        shell("trap 'exit 3' TERM; echo waits; while :; do /bin/sleep 0.05; done"),
    )?;
    nothing_that_does_not_run(outside, &manager)?;
    a_watchdog(&manager, shell(WAIT))?;

    let abstracted = NotifySocket::named(&format!("sandboxd-case-{}", std::process::id()))?;
    abstracted.starts(shell("exit 0")).run()?.exited(0)?;
    abstracted.is_told(BEGIN)?;
    abstracted.is_told("READY=1\n*")?;
    abstracted.heard()?;

    nobody_else(outside, &[&manager, &abstracted])
}

fn an_end_of_its_own<'a>(
    manager: &NotifySocket,
    shell: &dyn Fn(&str) -> Sandbox<'a>,
) -> Result<()> {
    // However soon: between the word to go and the news of its execve it may have ended.
    for _ in 0..10 {
        manager.starts(shell("exit 5")).run()?.exited(5)?;
        manager.is_told(BEGIN)?;
        let told = manager.heard()?;
        let text = told.join("\n");
        ensure!(text.starts_with("READY=1\n"), "told {told:?}");
        ensure!(text.matches("READY=1").count() == 1, "told {told:?}");
        ensure!(text.contains("STOPPING=1\nSTATUS=Ended with status 5: told-"), "told {told:?}");
    }
    let limited = shell(WAIT).option("--set").option("limits.wall_time=\"500ms\"");
    manager.starts(limited).run()?.exited(124)?;
    let told = manager.heard()?.join("\n");
    // On a busy machine it is over before the command runs, who then has nothing to stop.
    let stops = told.contains("STOPPING=1\nSTATUS=Stopping told-");
    ensure!(stops || !told.contains("READY=1"), "told {told:?}");
    ensure!(told.contains(", its wall time was used up: told-"), "told {told:?}");
    Ok(())
}

fn an_end_that_is_asked_for(manager: &NotifySocket, sandbox: Sandbox<'_>) -> Result<()> {
    let mut running = manager.starts(sandbox).start()?;
    manager.is_told(BEGIN)?;
    manager.is_told(READY)?;
    running.says("waits")?;
    running.signal(Signal::SIGTERM)?;
    running.wait()?.exited(3)?;
    manager.is_told("STOPPING=1\nSTATUS=Stopping told-*")?;
    manager.is_told("STOPPING=1\nSTATUS=Ended with status 3: told-*")
}

fn nothing_that_does_not_run(outside: &Outside, manager: &NotifySocket) -> Result<()> {
    let absent = || outside.sandbox(PROFILE).command(&["/bin/no-such-program"]);
    manager.starts(absent()).run()?.exited(127)?;
    manager.is_told(BEGIN)?;
    manager.is_told("STOPPING=1\nSTATUS=Not started, stage exec failed: told-*")?;

    // What lies below a service inherits its variables, and is not whom it waits for.
    let other = absent().command(&["/bin/echo", "runs"]).env("SYSTEMD_EXEC_PID", "1");
    let run = manager.starts(other).run()?;
    run.exited(0)?;
    ensure!(manager.heard()?.is_empty(), "somebody else's manager was told");

    let own = absent().command(&["/bin/echo", "runs"]).own_number("SYSTEMD_EXEC_PID");
    manager.starts(own).run()?.exited(0)?;
    manager.is_told(BEGIN)?;
    manager.is_told("READY=1\n*")?;
    manager.heard()?;

    let deaf = outside.dir().join("nobody").display().to_string();
    for (name, value) in [("NOTIFY_SOCKET", deaf.as_str()), ("NOTIFY_SOCKET", "vsock:2:1")] {
        let run = absent().command(&["/bin/echo", "runs"]).env(name, value).run()?;
        run.exited(125)?;
        ensure!(run.stderr.contains(&format!("NOTIFY_SOCKET={value}")), "{}", run.stderr);
        ensure!(run.stdout.is_empty(), "it ran, and nobody was told");
    }
    let run = manager.starts(absent().env("WATCHDOG_USEC", "soon")).run()?;
    run.exited(125)?;
    ensure!(manager.heard()?.is_empty(), "told before what it wants was read");
    Ok(())
}

/// It hears from a supervisor that looks, and from none that does not.
fn a_watchdog(manager: &NotifySocket, sandbox: Sandbox<'_>) -> Result<()> {
    let running = manager.starts(sandbox.env("WATCHDOG_USEC", "200000")).start()?;
    manager.is_told(BEGIN)?;
    for _ in 0..5 {
        let told = manager.hears()?;
        ensure!(told == "WATCHDOG=1" || told.starts_with("READY=1"), "told {told:?}");
    }
    running.signal(Signal::SIGSTOP)?;
    is_stopped(&running)?;
    manager.heard()?;
    std::thread::sleep(Duration::from_millis(500));
    ensure!(manager.heard()?.is_empty(), "somebody else says that the supervisor looks");
    running.signal(Signal::SIGCONT)?;
    manager.is_told("WATCHDOG=1")?;
    running.signal(Signal::SIGTERM)?;
    running.wait()?.exited(143)?;
    manager.heard()?;
    Ok(())
}

fn is_stopped(running: &Running<'_>) -> Result<()> {
    let until = Instant::now() + patience(Duration::from_secs(30));
    let status = format!("/proc/{}/status", running.pid());
    while !std::fs::read_to_string(&status)?.contains("State:\tT") {
        ensure!(Instant::now() < until, "it does not stop");
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// The command has neither the variables nor a way to the sockets.
fn nobody_else(outside: &Outside, managers: &[&NotifySocket; 2]) -> Result<()> {
    let [manager, other] = managers;
    let sandbox = outside.sandbox(PROFILE).probe("speak", &[manager.address(), other.address()]);
    let sandbox = sandbox.env("WATCHDOG_USEC", "60000000").env("MANAGERPID", "1");
    let run = manager.starts(sandbox).run()?;
    run.ran()?;
    ensure!(run.fact("variables")?.is_empty(), "it has {}", run.fact("variables")?);
    let tries = run.attempts().count();
    ensure!(tries == 4, "{tries} tries");
    for (what, errno) in run.attempts() {
        ensure!(errno != 0, "{what} was let through");
    }
    manager.is_told(BEGIN)?;
    manager.is_told("READY=1\n*")?;
    let more = [manager.heard()?, other.heard()?].concat();
    ensure!(!more.iter().any(|told| told.contains("MAINPID")), "told {more:?}");
    Ok(())
}

fn speak(inside: &Inside) -> Result<()> {
    let names =
        ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "SYSTEMD_EXEC_PID", "MANAGERPID"];
    let there = names.iter().filter(|name| std::env::var_os(name).is_some());
    inside.fact("variables", &there.copied().collect::<Vec<_>>().join(" "));
    for place in inside.arguments() {
        let address = match place.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(place)?,
        };
        let socket = UnixDatagram::unbound()?;
        inside.attempt(&format!("send {place}"), socket.send_to_addr(b"MAINPID=1", &address));
        inside.attempt(&format!("connect {place}"), socket.connect_addr(&address));
    }
    Ok(())
}
