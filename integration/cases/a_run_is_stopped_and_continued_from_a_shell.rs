//! A shell's job control reaches through: ^Z stops the command and sandboxd, the shell gets its
//! terminal as it was, `fg` goes on; in the background it takes no key of the shell's; without a
//! terminal of its own too. A time limit is kept meanwhile, and what is stopped can be ended.

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use sandboxd_integration::{Case, Need, Outside, Terminal, patience};
use std::time::Duration;

pub(crate) const CASE: Case = Case {
    rows: &["T05", "P13"],
    needs: &[Need::Program("/bin/bash")],
    seconds: 240,
    outside,
    ..Case::NEW
};

const PROFILE: &str = "extends = [\"builtin:base\"]\n";

fn outside(outside: &Outside) -> Result<()> {
    from_a_shell(outside)?;
    in_the_background(outside)?;
    who_has_stopped_itself_is_stopped(outside)?;
    what_is_stopped_ends(outside)?;
    a_limit_of_time_is_kept(outside)?;
    a_command_that_stops_itself_stops_no_clock(outside)
}

fn from_a_shell(outside: &Outside) -> Result<()> {
    let terminal = Terminal::new()?;
    let shell = outside.sandbox(PROFILE).shell(&terminal)?;
    terminal.shows("ready> ")?;
    terminal.types("$RUN -- cat\n")?;
    terminal.becomes(true)?;
    terminal.types("one\n")?;
    terminal.shows("one\r\none\r\n")?;
    for round in ["two", "three"] {
        terminal.types("\u{1a}")?;
        terminal.shows("Stopped")?;
        terminal.shows("ready> ")?;
        terminal.becomes(false)?;
        terminal.types("stty -a | grep -c ' icanon'; echo asked\n")?;
        terminal.shows("\n1\r\nasked\r\nready> ")?;
        terminal.types("fg\n")?;
        terminal.becomes(true)?;
        terminal.types(&format!("{round}\n"))?;
        terminal.shows(&format!("{round}\r\n{round}\r\n"))?;
    }
    terminal.types("\u{4}")?;
    terminal.shows("ready> ")?;
    terminal.types("echo ended by $?\n")?;
    terminal.shows("ended by 0")?;
    // With a pipe instead of a terminal of its own, ^Z is a signal to everybody in front. Not dash: a
    // child of vfork(2) that is stopped before it executes keeps its parent from being stopped.
    terminal.types("$RUN -- bash -c 'echo begun; sleep 3; echo over' | cat\n")?;
    terminal.shows("begun\r\n")?;
    terminal.types("\u{1a}")?;
    terminal.shows("Stopped")?;
    terminal.shows("ready> ")?;
    terminal.types("fg\n")?;
    terminal.shows("over\r\n")?;
    terminal.shows("ready> ")?;
    terminal.types("exit\n")?;
    shell.wait()?.exited(0)?;
    Ok(())
}

fn in_the_background(outside: &Outside) -> Result<()> {
    let terminal = Terminal::new()?;
    let shell = outside.sandbox(PROFILE).shell(&terminal)?;
    terminal.shows("ready> ")?;
    terminal.types("$RUN -- sh -c 'echo here; read line; echo \"read $line\"' &\n")?;
    terminal.shows("here\r")?;
    for word in ["these", "are", "the", "keys", "of", "the", "shell"] {
        terminal.types(&format!("echo {word} all\n"))?;
        // Once as it is typed, and once as it is said.
        terminal.shows(&format!("echo {word} all\r\n"))?;
        terminal.shows(&format!("{word} all\r\n"))?;
    }
    terminal.becomes(false)?;
    terminal.types("fg\n")?;
    terminal.becomes(true)?;
    terminal.types("mine\n")?;
    terminal.shows("read mine\r\n")?;
    terminal.shows("ready> ")?;
    terminal.types("exit\n")?;
    shell.wait()?.exited(0)?;
    Ok(())
}

/// Without a terminal of its own, a command that has stopped itself has nothing more to tell at ^Z.
fn who_has_stopped_itself_is_stopped(outside: &Outside) -> Result<()> {
    let terminal = Terminal::new()?;
    let shell = outside.sandbox(PROFILE).shell(&terminal)?;
    terminal.shows("ready> ")?;
    terminal.types("$RUN -- bash -c 'echo begun; kill -STOP $$; echo over' | cat\n")?;
    terminal.shows("begun\r\n")?;
    std::thread::sleep(patience(Duration::from_secs(1)));
    terminal.types("\u{1a}")?;
    terminal.shows("Stopped")?;
    terminal.shows("ready> ")?;
    terminal.types("fg\n")?;
    terminal.shows("over\r\n")?;
    terminal.shows("ready> ")?;
    terminal.types("exit\n")?;
    shell.wait()?.exited(0)?;
    Ok(())
}

/// It ends in the background, where the terminal is not for it to set, though the command left focus reports on.
fn what_is_stopped_ends(outside: &Outside) -> Result<()> {
    let terminal = Terminal::new()?;
    let profile = format!("name = \"asleep\"\n{PROFILE}");
    let shell = outside.sandbox(&profile).shell(&terminal)?;
    terminal.shows("ready> ")?;
    for how in ["kill %1", "${RUN%% *} stop asleep"] {
        terminal.types("$RUN -- sh -c 'printf \"\\033[?1004h\"; echo begun; exec sleep 600'\n")?;
        terminal.shows("begun\r\n")?;
        terminal.types("\u{1a}")?;
        terminal.shows("Stopped")?;
        terminal.shows("ready> ")?;
        terminal.types(&format!("{how}; sleep 2; jobs\n"))?;
        terminal.shows("Exit 143")?;
        terminal.shows("ready> ")?;
    }
    terminal.types("exit\n")?;
    shell.wait()?.exited(0)?;
    Ok(())
}

/// Who is stopped looks at no clock, and the command's other processes may run on.
fn a_limit_of_time_is_kept(outside: &Outside) -> Result<()> {
    let terminal = Terminal::new()?;
    let profile = format!("{PROFILE}[limits]\nwall_time = \"4s\"\n");
    let shell = outside.sandbox(&profile).shell(&terminal)?;
    terminal.shows("ready> ")?;
    terminal.types("$RUN -- cat; echo ended by $?\n")?;
    terminal.becomes(true)?;
    terminal.types("\u{1a}")?;
    terminal.shows("Stopped")?;
    terminal.shows("ready> ")?;
    terminal.types("wait; jobs\n")?;
    terminal.shows("its wall time was used up")?;
    terminal.types("exit\nexit\n")?;
    shell.wait()?;
    Ok(())
}

/// With nobody at a terminal of its own, a command that stops itself does not stop sandboxd.
fn a_command_that_stops_itself_stops_no_clock(outside: &Outside) -> Result<()> {
    let profile = format!("{PROFILE}[limits]\nwall_time = \"2s\"\n");
    let run = outside.sandbox(&profile).command(&["/bin/sh", "-c", "kill -STOP $$"]).run()?;
    run.exited(124)?;
    // One that is stopped hears that it is to end.
    let text = "trap 'exit 9' TERM; echo ready; kill -STOP $$; sleep 1000";
    let mut running = outside.sandbox(PROFILE).command(&["/bin/sh", "-c", text]).start()?;
    running.says("ready")?;
    running.signal(Signal::SIGTERM)?;
    let status = running.wait()?.exit();
    ensure!(status == Some(9) || status == Some(143), "it ended with {status:?}");
    Ok(())
}
