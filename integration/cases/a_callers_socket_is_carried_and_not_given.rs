//! A Unix socket as standard stream is carried: the command has pipes, and no socket of the host's network. One that is
//! connected to nobody, or takes datagrams, reaches whom it names and is refused.

use anyhow::{Context as _, Result, ensure};
use nix::sys::socket::MsgFlags;
use sandboxd_integration::{By, Case, Outside};
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::{Command, Stdio};

pub(crate) const CASE: Case =
    Case { rows: &["N01", "N06", "N09"], outside, by: By::Anybody, ..Case::NEW };

/// More than a socket and two pipes hold.
const MUCH: usize = 3 << 20;

fn outside(outside: &Outside) -> Result<()> {
    let script = "readlink /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 >&2; exec cat";
    let (ours, theirs) = UnixStream::pair()?;
    let (mut told, complains) = UnixStream::pair()?;
    let mut run = command(outside, script)?
        .stdin(OwnedFd::from(theirs.try_clone()?))
        .stdout(OwnedFd::from(theirs))
        .stderr(OwnedFd::from(complains))
        .spawn()?;
    let mut writes = ours.try_clone()?;
    let writer = std::thread::spawn(move || {
        writes.write_all(&vec![7; MUCH])?;
        writes.shutdown(Shutdown::Write)
    });
    let mut answered = Vec::new();
    let read = (&ours).read_to_end(&mut answered);
    let status = run.wait()?;
    let mut complained = String::new();
    told.read_to_string(&mut complained)?;
    ensure!(status.success(), "{status}: {complained}");
    read?;
    writer.join().ok().context("the writer")??;
    ensure!(answered.len() == MUCH, "{} bytes came back of {MUCH}", answered.len());
    let pipes = complained.matches("pipe:[").count();
    ensure!(pipes == 3 && !complained.contains("socket:["), "{complained}");

    // Whoever leaves ends the command as the reader of a pipe does.
    let (ours, theirs) = UnixStream::pair()?;
    let mut run = command(outside, "while :; do echo more; done")?
        .stdin(Stdio::null())
        .stdout(OwnedFd::from(theirs))
        .spawn()?;
    (&ours).read_exact(&mut [0; 5])?;
    drop(ours);
    let status = run.wait()?;
    ensure!(status.code() == Some(141), "nobody read it: {status}");

    // One that leaves with something unread ends the input, and not the command.
    let (ours, theirs) = UnixStream::pair()?;
    let mut run = command(outside, "echo unread; cat > /dev/null; exit 7")?
        .stdin(OwnedFd::from(theirs.try_clone()?))
        .stdout(OwnedFd::from(theirs))
        .spawn()?;
    // What is there is left where it is.
    nix::sys::socket::recv(ours.as_raw_fd(), &mut [0; 1], MsgFlags::MSG_PEEK)?;
    drop(ours);
    let status = run.wait()?;
    ensure!(status.code() == Some(7), "its caller left: {status}");

    let mine = UnixDatagram::unbound()?;
    let refused = command(outside, ":")?.stdin(OwnedFd::from(mine)).output()?;
    let words = String::from_utf8_lossy(&refused.stderr);
    ensure!(refused.status.code() == Some(125) && words.contains("socket"), "{words}");
    Ok(())
}

/// The product as a program runs it.
fn command(outside: &Outside, script: &str) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?.with_file_name("sandboxd"));
    command.current_dir(outside.workspace()?).env("XDG_STATE_HOME", outside.state());
    command.args(["run", "--quiet"]);
    command.args(outside.waivers()).args(["--", "/bin/sh", "-c", script]);
    Ok(command)
}
