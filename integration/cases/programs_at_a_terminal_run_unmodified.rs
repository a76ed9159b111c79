//! Programs that live at a terminal run unmodified, at one of the sandbox's own: an editor, a pager, a
//! table that redraws itself, an interpreter, a shell with jobs. Keys, sizes and ends arrive as always.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{Case, Need, Outside, Run, Terminal};
use std::fs;

pub(crate) const CASE: Case = Case {
    rows: &["T05"],
    needs: &[
        Need::Program("/usr/bin/vi"),
        Need::Program("/usr/bin/less"),
        Need::Program("/usr/bin/top"),
        Need::Program("/usr/bin/python3"),
        Need::Program("/bin/bash"),
    ],
    seconds: 240,
    outside,
    ..Case::NEW
};

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let profile = format!(
        "extends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\n[command]\ncwd = {ws:?}\n\
         [env]\nset = {{ TERM = \"xterm\" }}\n"
    );
    let desk = Desk { outside, profile };
    asked(&desk)?;
    screens(&desk)?;
    interpreter(&desk)?;
    shell(&desk)?;
    for (key, signal) in [("\u{3}", 2), ("\u{1c}", 3)] {
        let run = desk.at(&["/bin/sh", "-c", "echo here; exec sleep 1000"], &|terminal| {
            terminal.shows("here")?;
            terminal.types(key)
        })?;
        run.exited(128 + signal)?;
    }
    Ok(())
}

/// Where somebody sits at a terminal.
struct Desk<'a> {
    outside: &'a Outside,
    profile: String,
}

impl Desk<'_> {
    fn at(&self, command: &[&str], person: &dyn Fn(&Terminal) -> Result<()>) -> Result<Run> {
        let terminal = Terminal::new()?;
        let sandbox = self.outside.sandbox(&self.profile).command(command);
        let sandbox = sandbox.terminal(&terminal, &[0, 1, 2]).option("--quiet");
        let running = sandbox.start()?;
        person(&terminal).with_context(|| command.join(" "))?;
        let run = running.wait()?;
        terminal.becomes(false)?;
        Ok(run)
    }
}

/// What programs ask about their terminal.
fn asked(desk: &Desk<'_>) -> Result<()> {
    let asks = "tty; stty size; echo to-it > /dev/tty; test -t 0 -a -t 1 -a -t 2 && echo all; \
                cat /dev/stdin; echo over";
    desk.at(&["/bin/sh", "-c", asks], &|terminal| {
        for words in ["/dev/pts/0\r\n", "24 80\r\n", "to-it\r\n", "all\r\n"] {
            terminal.shows(words)?;
        }
        terminal.types("a line\n\u{4}")?;
        terminal.shows("a line\r\na line\r\nover\r\n").map(drop)
    })?
    .exited(0)?;
    Ok(())
}

/// What draws on the whole of it.
fn screens(desk: &Desk<'_>) -> Result<()> {
    let ws = desk.outside.workspace()?;
    desk.at(&["/usr/bin/vi", "-u", "NONE", "-n", "letter"], &|terminal| {
        terminal.shows("letter")?;
        terminal.types("iDear harbour master\u{1b}:wq\r")?;
        Ok(())
    })?
    .exited(0)?;
    let letter = fs::read_to_string(ws.join("letter"))?;
    ensure!(letter == "Dear harbour master\n", "the editor saved {letter:?}");

    let pages: String = (1..200).map(|number| format!("line {number}.\n")).collect();
    desk.outside.file("ws/pages", &pages)?;
    desk.at(&["/usr/bin/less", "pages"], &|terminal| {
        let first = terminal.shows("line 23.")?;
        ensure!(!first.contains("line 24."), "it shows more than a page: {first:?}");
        terminal.types(" ")?;
        terminal.shows("line 46.")?;
        terminal.types("q")
    })?
    .exited(0)?;

    desk.at(&["/usr/bin/top"], &|terminal| {
        terminal.shows("PID")?;
        terminal.shows("agent")?;
        terminal.types("q")
    })?
    .exited(0)?;
    Ok(())
}

/// What reads a line, and learns of sizes and signals.
fn interpreter(desk: &Desk<'_>) -> Result<()> {
    desk.at(&["/usr/bin/python3", "-q"], &|terminal| {
        terminal.shows(">>> ")?;
        terminal.types("import os; print(6 * 7, os.get_terminal_size())\n")?;
        terminal.shows("42 os.terminal_size(columns=80, lines=24)")?;
        terminal.resize(132, 43)?;
        // The size is there when the signal is.
        terminal.types("while os.get_terminal_size() != (132, 43): pass\n\nprint('wi' 'der')\n")?;
        terminal.shows("wider")?;
        terminal.types("import time; print('wa' 'iting'); time.sleep(1000)\n")?;
        terminal.shows("waiting")?;
        terminal.types("\u{3}")?;
        terminal.shows("KeyboardInterrupt")?;
        terminal.shows(">>> ")?;
        terminal.types("\u{4}")
    })?
    // So it says that it was once interrupted.
    .exited(130)?;
    Ok(())
}

/// Jobs of its own.
fn shell(desk: &Desk<'_>) -> Result<()> {
    desk.at(&["/bin/bash", "--norc", "--noediting", "-i"], &|terminal| {
        terminal.shows("$ ")?;
        terminal.types("PS1='in''ner> '\n")?;
        terminal.shows("inner> ")?;
        // What a job has written, it has written in front.
        terminal.types("cat -u\n")?;
        terminal.types("job\n")?;
        terminal.shows("job\r\njob\r\n")?;
        terminal.types("\u{1a}")?;
        terminal.shows("Stopped")?;
        // What is typed before the shell asks is shown before it asks, and its prompt between.
        terminal.shows("inner> ")?;
        terminal.types("fg\n")?;
        terminal.shows("fg\r\ncat -u\r\n")?;
        terminal.types("again\n")?;
        terminal.shows("again\r\nagain\r\n")?;
        terminal.types("\u{3}")?;
        terminal.shows("inner> ")?;
        terminal.types("echo ended by $?\n")?;
        terminal.shows("ended by 130")?;
        terminal.types("exit 7\n")
    })?
    .exited(7)?;
    Ok(())
}
