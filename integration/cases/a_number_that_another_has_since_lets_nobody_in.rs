//! A process that connects to the endpoint of another sandbox and ends is nobody who may call, though its number is
//! by then that of a process which may: the supervisor looks only when that has come to be.

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Gid, Pid, Uid, mkfifo, setresgid, setresuid};
use sandboxd_integration::below::field;
use sandboxd_integration::{By, Case, Need, Outside, patience, raw, wait_for};
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The number after which the kernel looks for the next one: pid_namespaces(7).
const LAST: &str = "/proc/sys/kernel/ns_last_pid";

pub(crate) const CASE: Case = Case {
    rows: &["B06", "B07"],
    // Before it no kernel tells the pidfd of a peer (SO_PEERPIDFD), and the number is all there is.
    needs: &[Need::Path(LAST), Need::Linux(6, 5)],
    seconds: 120,
    outside,
    by: By::Root,
    ..Case::NEW
};

const ASKED: &str = "{\"jsonrpc\":\"2.0\",\"method\":\"dev.sandboxd/connect\",\"params\":{\"name\":\"tool\"}}\n\
    {\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n";
/// Another process of the machine may get the number first.
const TRIES: u32 = 100;

fn outside(outside: &Outside) -> Result<()> {
    let tool = outside.tool("tool", &[], "")?;
    let edge = outside.call("tool", &tool, &[])?;
    let ws = outside.workspace()?;
    let profile = format!(
        "name = \"agent\"\nextends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}, {{ path = {:?}, reason = \"turns\" }}]\n{edge}",
        ws.join("turns")
    );
    mkfifo(&ws.join("turns"), nix::sys::stat::Mode::from_bits_truncate(0o666))?;
    let (owner, group) = outside.owner();
    nix::unistd::chown(&ws.join("turns"), Some(Uid::from_raw(owner)), Some(Gid::from_raw(group)))?;
    // A process for each line, and none but those.
    let script = "/run/sandboxd/sandboxd call tool >/dev/null && echo answered; \
        while read turn; do sleep 60 & done <> turns";
    let mut running =
        outside.sandbox(&profile).cwd(&ws).command(&["/bin/sh", "-c", script]).start()?;
    running.says("answered")?;
    let agent = running.process(|command| command.starts_with("/bin/sh -c /run"))?;
    let socket = PathBuf::from(format!("/proc/{agent}/root/run/sandboxd/broker.sock"));
    let uid = field(agent, "Uid")?;
    let uid: u32 = uid.split_whitespace().next().unwrap_or_default().parse()?;
    let mut recycled = 0;
    for turn in 0..TRIES {
        let answer = outside.dir().join(format!("answer-{turn}"));
        running.signal(Signal::SIGSTOP)?;
        let ended = connect(&socket, uid, &answer)?;
        let again = is_recycled(&ws, ended, turn);
        running.signal(Signal::SIGCONT)?;
        wait_for(&answer)?;
        let said = fs::read_to_string(&answer)?;
        ensure!(said == "closed", "turn {turn}, its number is another's ({again:?}): it is {said}");
        recycled += u32::from(again?);
        if recycled == 3 {
            break;
        }
    }
    if recycled == 0 {
        outside.not_run(&format!("none of {TRIES} numbers came back to the sandbox"));
    }
    running.signal(Signal::SIGTERM)?;
    running.wait()?;
    Ok(())
}

/// Connects with this uid, leaves the connection to another process, which asks and writes down what becomes of it,
/// and ends: the number that is free now.
fn connect(socket: &Path, uid: u32, answer: &Path) -> Result<Pid> {
    let folder = socket.parent().context("no folder")?.to_owned();
    let (half, whole) = (answer.with_extension("half"), answer.to_owned());
    let child = raw::fork(move || {
        let asked = std::env::set_current_dir(&folder).and_then(|()| {
            let file = fs::File::create(&half)?;
            let id = (Uid::from_raw(uid), Gid::from_raw(uid));
            setresgid(id.1, id.1, id.1)?;
            setresuid(id.0, Uid::from_raw(uid), Uid::from_raw(0))?;
            Ok((file, UnixStream::connect("broker.sock")?))
        });
        let Ok((mut file, mut stream)) = asked else { return 1 };
        let left = raw::fork(move || {
            // It may be closed by now.
            stream.write_all(ASKED.as_bytes()).ok();
            let said = match stream.read(&mut [0; 1]) {
                Ok(0) | Err(_) => "closed",
                Ok(_) => "answered",
            };
            let id = Uid::from_raw(0);
            let told = setresuid(id, id, id).is_ok()
                && file.write_all(said.as_bytes()).is_ok()
                && fs::rename(&half, &whole).is_ok();
            u8::from(!told)
        });
        u8::from(left.is_err())
    })?;
    let ended = waitpid(child, None)?;
    ensure!(matches!(ended, WaitStatus::Exited(_, 0)), "it could not connect: {ended:?}");
    Ok(child)
}

/// Has the sandbox start a process, which gets this number where nobody is faster.
fn is_recycled(ws: &Path, number: Pid, turn: u32) -> Result<bool> {
    let turns = fs::OpenOptions::new().read(true).write(true).open(ws.join("turns"))?;
    fs::write(LAST, (number.as_raw() - 1).to_string())?;
    writeln!(&turns, "{turn}")?;
    std::thread::sleep(patience(Duration::from_millis(50)));
    let said = fs::read_to_string(format!("/proc/{number}/cmdline")).unwrap_or_default();
    Ok(said.starts_with("sleep"))
}
