//! Who calls is the sandbox that the kernel says it is: a connection to its endpoint by a process of
//! another uid, or of the same uid in another cgroup, is closed before anybody reads a byte of it. Nothing
//! that the calling process knows or says plays a part.

#![expect(
    clippy::indexing_slicing,
    reason = "a member that is not there is null, and a record that is not there fails the case"
)]

use anyhow::{Result, bail, ensure};
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Uid, setresgid, setresuid};
use sandboxd_integration::below::field;
use sandboxd_integration::{By, Case, Outside, patience, raw};
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub(crate) const CASE: Case = Case { rows: &["B01", "B02"], outside, by: By::Root, ..Case::NEW };

const ASKED: &str = "{\"jsonrpc\":\"2.0\",\"method\":\"dev.sandboxd/connect\",\"params\":{\"name\":\"tool\"}}\n\
    {\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n";

/// What became of an attempt, as the exit status of the process that made it.
const ANSWERED: u8 = 10;
const CLOSED: u8 = 11;

fn outside(outside: &Outside) -> Result<()> {
    let tool = outside.tool("tool", &[], "")?;
    let edge = outside.call("tool", &tool, &[])?;
    let profile = format!("name = \"agent\"\nextends = [\"builtin:base\"]\n{edge}");
    // It is answered itself, again and again.
    let script =
        "while /run/sandboxd/sandboxd call tool >/dev/null; do echo answered; /bin/sleep 0.1; done";
    let mut running = outside.sandbox(&profile).command(&["/bin/sh", "-c", script]).start()?;
    running.says("answered")?;
    let agent = running.process(|command| command.starts_with("/bin/sh -c while"))?;
    let socket = PathBuf::from(format!("/proc/{agent}/root/run/sandboxd/broker.sock"));
    ensure!(socket.exists(), "there is no endpoint");
    ensure!(!Path::new("/run/sandboxd/broker.sock").exists(), "the host has it too");
    let uid = field(agent, "Uid")?;
    let uid: u32 = uid.split_whitespace().next().unwrap_or_default().parse()?;

    let root = attempt(&socket, 0)?;
    ensure!(root == CLOSED, "root of the host was let in: {root}");
    let twin = attempt(&socket, uid)?;
    ensure!(
        twin == CLOSED,
        "a process with the agent's uid, outside its cgroup, was let in: {twin}"
    );
    // And the agent is answered still.
    let before = running.stdout()?.matches("answered").count();
    let until = Instant::now() + patience(Duration::from_secs(20));
    while running.stdout()?.matches("answered").count() <= before + 1 {
        ensure!(Instant::now() < until, "the agent is not answered any more");
        std::thread::sleep(Duration::from_millis(20));
    }
    running.signal(Signal::SIGTERM)?;
    running.wait()?;
    // And it is written down who it was, and what gave it away.
    let records = outside.records()?;
    let refused =
        records.iter().filter(|one| one["kind"] == "connected" && one["decision"] == "refused");
    let refused: Vec<(&str, Option<u64>)> = refused
        .filter_map(|one| Some((one["rule"].as_str()?, one["actor"]["uid"].as_u64())))
        .collect();
    let told = [("uid", Some(0)), ("cgroup", Some(u64::from(uid)))];
    ensure!(refused == told, "not these are written down: {refused:?}");
    Ok(())
}

/// Connects with this uid and asks.
fn attempt(socket: &Path, uid: u32) -> Result<u8> {
    // The path leads through a folder that only root may enter, so that comes first.
    let folder = socket.parent().map(Path::to_owned).unwrap_or_default();
    let child = raw::fork(move || {
        let asked = std::env::set_current_dir(&folder).is_ok()
            && setresgid(Gid::from_raw(uid), Gid::from_raw(uid), Gid::from_raw(uid)).is_ok()
            && setresuid(Uid::from_raw(uid), Uid::from_raw(uid), Uid::from_raw(uid)).is_ok();
        if !asked {
            return 1;
        }
        let Ok(mut stream) = UnixStream::connect("broker.sock") else { return 2 };
        // It may be closed by now.
        stream.write_all(ASKED.as_bytes()).ok();
        let mut answer = [0; 1];
        match stream.read(&mut answer) {
            Ok(0) | Err(_) => CLOSED,
            Ok(_) => ANSWERED,
        }
    })?;
    let ended = nix::sys::wait::waitpid(child, None)?;
    let nix::sys::wait::WaitStatus::Exited(_, status) = ended else {
        bail!("it ended otherwise: {ended:?}")
    };
    Ok(u8::try_from(status)?)
}
