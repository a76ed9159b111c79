//! However a run ends, the caller's terminal is set as it was before, and nobody reads from it any more:
//! by the command's end, a signal, a limit, and when sandboxd itself is killed.

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use sandboxd_integration::{Case, Outside, Terminal};

pub(crate) const CASE: Case = Case { rows: &["T04", "T06"], seconds: 240, outside, ..Case::NEW };

/// Sets its terminal as full-screen programs do, and leaves behind who would read from it.
const COMMAND: &str =
    r"stty raw -echo; printf '\033[?1049h'; (setsid cat <&0 >/dev/null &) ; printf here";

fn outside(outside: &Outside) -> Result<()> {
    let profile = "extends = [\"builtin:base\"]\n[limits]\nwall_time = \"3s\"\n";
    let waits = format!("{COMMAND}; sleep 1000");
    let ends = |name: &str, text: &str, signal: Option<Signal>| -> Result<()> {
        let terminal = Terminal::new()?;
        let before = terminal.settings()?;
        let sandbox = outside.sandbox(profile).command(&["/bin/sh", "-c", text]);
        let mut running = sandbox.terminal(&terminal, &[0, 1, 2]).start()?;
        terminal.shows("here").context(name.to_owned())?;
        terminal.becomes(true)?;
        if let Some(signal) = signal {
            running.signal(signal)?;
        }
        // The screen is given back in each case.
        terminal.shows("\u{1b}[?1049l").with_context(|| name.to_owned())?;
        while running.lives()? {
            terminal.rest()?;
        }
        terminal.becomes(false).with_context(|| name.to_owned())?;
        ensure!(terminal.settings()? == before, "{name}: {:?}", terminal.settings()?);
        terminal.types("for the shell\n")?;
        let left = terminal.unread()?;
        ensure!(left == b"for the shell\n", "{name}: the shell reads {left:?}");
        Ok(())
    };
    ends("its end", &format!("{COMMAND}; sleep 0.2; exit 3"), None)?;
    ends("its own death", &format!("{COMMAND}; sleep 0.2; kill -KILL $$"), None)?;
    ends("wall time", &waits, None)?;
    ends("TERM", &waits, Some(Signal::SIGTERM))?;
    outside.leases_may_stay_busy();
    for _ in 0..5 {
        ends("KILL", &waits, Some(Signal::SIGKILL))?;
    }
    somebody_else_has_it(outside, profile)?;
    hang_up(outside)
}

/// Who has set the terminal otherwise meanwhile, a shell that is back, is not disturbed.
fn somebody_else_has_it(outside: &Outside, profile: &str) -> Result<()> {
    use nix::sys::termios::{LocalFlags, SetArg, tcsetattr};
    let terminal = Terminal::new()?;
    let sandbox = outside.sandbox(profile).command(&["/bin/sh", "-c", "printf here; sleep 1000"]);
    let running = sandbox.terminal(&terminal, &[0, 1, 2]).start()?;
    terminal.shows("here")?;
    terminal.becomes(true)?;
    let mut other = terminal.settings()?;
    other.local_flags.insert(LocalFlags::ISIG);
    tcsetattr(terminal.other_side()?, SetArg::TCSANOW, &other)?;
    running.signal(Signal::SIGKILL)?;
    running.wait()?;
    terminal.rest()?;
    ensure!(terminal.settings()? == other, "set back: {:?}", terminal.settings()?);
    Ok(())
}

/// A terminal that is closed tells the command so, which has its time to end.
fn hang_up(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let profile = format!("extends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\n");
    let told = ws.join("told");
    let text = format!(
        "trap 'echo hung up > {}; exit 6' HUP; echo here; while :; do sleep 0.05; done",
        told.display()
    );
    for (text, status) in [(text.as_str(), 6), ("trap '' HUP; echo here; sleep 1000", 137)] {
        let terminal = Terminal::new()?;
        let sandbox = outside.sandbox(&profile).command(&["/bin/sh", "-c", text]);
        let running = sandbox.terminal(&terminal, &[0, 1, 2]).start()?;
        terminal.shows("here")?;
        drop(terminal);
        running.wait()?.exited(status)?;
    }
    let told = std::fs::read_to_string(told)?;
    ensure!(told == "hung up\n", "it was told {told:?}");
    Ok(())
}
