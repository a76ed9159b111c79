//! What a command writes to its caller's terminal is read by a process that has no right, no file and
//! no third party to talk to: neither the supervisor's, nor the caller's, nor the command's. Where that
//! process ends, the run ends, and nothing more is shown.

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sandboxd_integration::below::field;
use sandboxd_integration::{By, Case, Outside, Terminal};
use std::fs;
use std::os::unix::fs::MetadataExt as _;

pub(crate) const CASE: Case =
    Case { rows: &["T05", "X06"], seconds: 120, outside, by: By::Anybody, ..Case::NEW };

/// Shows more and more once it is told to.
const COMMAND: &str = "echo here; read word; while :; do echo unfiltered; sleep 0.05; done";

fn outside(outside: &Outside) -> Result<()> {
    let terminal = Terminal::new()?;
    let sandbox = outside
        .sandbox("extends = [\"builtin:base\"]\n")
        .command(&["/bin/sh", "-c", COMMAND])
        .terminal(&terminal, &[0, 1, 2]);
    let running = sandbox.start()?;
    terminal.shows("here")?;
    let filter = running.process(|command| command.ends_with("service terminal"))?;
    let command = running.process(|command| command.ends_with(COMMAND))?;
    has_no_right(outside, filter, command)?;
    sees_nothing(filter)?;

    kill(Pid::from_raw(filter), Signal::SIGKILL)?;
    terminal.types("go\n")?;
    let run = running.wait()?;
    run.exited(125)?;
    let shown = String::from_utf8_lossy(&terminal.rest()?).into_owned();
    ensure!(shown.contains("the terminal's filter ended"), "it is not said why: {shown:?}");
    ensure!(!shown.contains("unfiltered"), "it was shown past the filter: {shown:?}");
    Ok(())
}

fn has_no_right(outside: &Outside, filter: i32, command: i32) -> Result<()> {
    if !outside.is_user() {
        let (own, others) = (field(filter, "Uid")?, field(command, "Uid")?);
        for uid in own.split_whitespace() {
            ensure!(
                uid != "0" && !others.split_whitespace().any(|other| other == uid),
                "uid {uid}"
            );
        }
    }
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        let set = field(filter, set)?;
        ensure!(set.chars().all(|digit| digit == '0'), "capabilities {set}");
    }
    ensure!(field(filter, "NoNewPrivs")? == "1", "no_new_privs is not set");
    ensure!(field(filter, "Seccomp")? == "2", "there is no filter");
    for namespace in ["mnt", "pid", "net", "ipc", "uts"] {
        let inode = |pid: &str| {
            let path = format!("/proc/{pid}/ns/{namespace}");
            fs::metadata(&path).map(|found| found.ino()).context(path)
        };
        let own = inode(&filter.to_string())?;
        for other in ["self", &command.to_string()] {
            ensure!(own != inode(other)?, "its {namespace} namespace is {other}'s");
        }
    }
    Ok(())
}

/// Nothing is open but two pipes and a socket, and of the host's tree there is nothing but the program.
fn sees_nothing(filter: i32) -> Result<()> {
    let mut open = Vec::new();
    for entry in fs::read_dir(format!("/proc/{filter}/fd"))? {
        open.push(fs::read_link(entry?.path())?.to_string_lossy().into_owned());
    }
    let of = |kind: &str| open.iter().filter(|target| target.starts_with(kind)).count();
    ensure!((open.len(), of("pipe:"), of("socket:")) == (3, 2, 1), "open: {open:?}");
    let mut there = Vec::new();
    for entry in fs::read_dir(format!("/proc/{filter}/root"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        // Those that stand for what is hidden in a view.
        if !name.starts_with('.') {
            there.push(name);
        }
    }
    there.sort_unstable();
    // What every sandbox has of its own, and the program.
    let own = ["dev", "etc", "home", "proc", "run", "sandboxd", "tmp"];
    ensure!(there == own, "it sees {there:?}");
    Ok(())
}
