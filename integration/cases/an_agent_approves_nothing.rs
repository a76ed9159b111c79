//! No command approves its own call, though it was told the call's ID: not from inside, where there is no way to
//! whoever is asked; not though its profile gives it the very folder of the control sockets, and it has its
//! caller's uid; and neither does another user of the machine. Nor does it take an edge back.

use anyhow::{Context as _, Result, bail, ensure};
use nix::unistd::{Gid, Uid, setresgid, setresuid};
use sandboxd_integration::approver::FOLDER;
use sandboxd_integration::{By, Case, Inside, Outside, patience, raw};
use std::fs::{self, Permissions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) const CASE: Case = Case {
    rows: &["B01", "B03"],
    outside,
    probes: &[("approves", approves)],
    by: By::Anybody,
    ..Case::NEW
};

/// sandboxd, inside.
const PROGRAM: &str = "/run/sandboxd/sandboxd";
/// Where the folder is shown.
const SHOWN: &str = "/control";

fn outside(outside: &Outside) -> Result<()> {
    let tool = outside.tool("tool", &[], "")?;
    let edge = outside.call("tool", &tool, &[])?;
    let edge = edge.replacen("tools = [\"sh\"]\n", "tools = [\"sh\"]\napproval = \"ask\"\n", 1);
    let (sockets, told) = (outside.control_sockets()?, outside.workspace()?);
    let folder = sockets.parent().context("no parent")?;
    if !folder.exists() {
        fs::create_dir(folder)?;
        fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    }
    // What no operator would write, and what root's profiles may not hold.
    let shown = if outside.is_user() {
        format!(
            "[[files.bind]]\nfrom = {folder:?}\nto = \"{SHOWN}/sandboxd\"\naccess = \"write\"\n"
        )
    } else {
        String::new()
    };
    let profile = format!(
        "name = \"agent\"\nextends = [\"builtin:base\"]\n[files]\nread = [{told:?}]\n{shown}{edge}"
    );
    let mut running =
        outside.sandbox(&profile).probe("approves", &[&told.to_string_lossy()]).start()?;
    let (id, _) = outside.waits("echo reached")?;
    if !outside.is_user() {
        another_user_is_not_heard(outside, &sockets)?;
    }
    outside.file("ws/id", &id)?;
    running.says("tried")?;
    // It waits as before, for somebody who may.
    ensure!(outside.waits("echo reached")?.0 == id, "another call waits");
    let denied = outside.approver(&["deny", &id])?;
    ensure!(denied.status == 0, "it was answered already: {}", denied.text);
    let run = running.wait()?;
    run.ran()?;
    if outside.is_user() {
        for folder in ["approvals", "edges"] {
            run.fact(&format!("reached {folder}")).context("no socket was tried")?;
        }
    }
    let heard = run.fact("heard")?;
    ensure!(heard == "nothing", "the agent was heard: {heard}");
    let approved = run.fact("approved")?;
    ensure!(approved != "0", "the agent's own command approved it");
    let answer = run.fact("answer")?;
    ensure!(answer.contains("not approved") && !answer.contains("reached"), "{answer}");
    Ok(())
}

/// In the sandbox: calls, and tries to approve that.
fn approves(inside: &Inside) -> Result<()> {
    let told = inside.path(0)?.join("id");
    let call = [PROGRAM, "call", "tool", "sh", r#"{"line": "echo reached"}"#];
    let called = Command::new(PROGRAM)
        .args(&call[1..])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let until = Instant::now() + patience(Duration::from_secs(30));
    let id = loop {
        match fs::read_to_string(&told) {
            Ok(id) if !id.is_empty() => break id,
            _ if Instant::now() > until => bail!("nobody told the ID"),
            _ => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    let names = |folder: &str| {
        let folder = PathBuf::from(format!("{SHOWN}/sandboxd/{folder}"));
        let all = fs::read_dir(&folder).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
        inside.attempt("list", all).unwrap_or_default()
    };
    let approves = [String::from("list"), format!("approve {id}")];
    let revokes = [String::from("tool")];
    let mut heard = String::new();
    for (folder, lines) in [("approvals", &approves[..]), ("edges", &revokes[..])] {
        for (name, line) in
            names(folder).iter().flat_map(|name| lines.iter().map(move |line| (name, line)))
        {
            let Some(mut stream) = inside.attempt("connect", UnixStream::connect(name.path()))
            else {
                continue;
            };
            inside.fact(&format!("reached {folder}"), "yes");
            stream.write_all(format!("{line}\n").as_bytes()).ok();
            stream.read_to_string(&mut heard).ok();
        }
    }
    inside.fact("heard", if heard.is_empty() { "nothing" } else { &heard });
    let typed = Command::new(PROGRAM).args(["approve", &id]).env(FOLDER, SHOWN).output()?;
    inside.fact("approved", &typed.status.code().unwrap_or(-1).to_string());
    inside.fact("tried", "everything");
    let output = called.wait_with_output()?;
    let answer = [output.stdout, output.stderr].concat();
    inside.fact("answer", String::from_utf8_lossy(&answer).trim());
    Ok(())
}

/// Even where the folder and the socket let it.
fn another_user_is_not_heard(outside: &Outside, sockets: &Path) -> Result<()> {
    let name = fs::read_dir(sockets)?.next().context("no socket")??.path();
    let mode = fs::metadata(&name)?.permissions().mode() & 0o7777;
    ensure!(mode == 0o600, "the socket has mode {mode:o}");
    let folders = [sockets, sockets.parent().context("no parent")?];
    for folder in folders {
        let mode = fs::metadata(folder)?.permissions().mode() & 0o7777;
        ensure!(mode == 0o700, "others may look into {}: {mode:o}", folder.display());
    }
    fs::set_permissions(&name, Permissions::from_mode(0o666))?;
    fs::set_permissions(sockets, Permissions::from_mode(0o711))?;
    // Nobody's.
    let uid = outside.uids().0 + 9;
    let child = raw::fork(|| {
        let inside = std::env::set_current_dir(name.parent().unwrap_or(Path::new("/"))).is_ok()
            && setresgid(Gid::from_raw(uid), Gid::from_raw(uid), Gid::from_raw(uid)).is_ok()
            && setresuid(Uid::from_raw(uid), Uid::from_raw(uid), Uid::from_raw(uid)).is_ok();
        let Some(name) = name.file_name().filter(|_| inside) else { return 1 };
        let Ok(mut stream) = UnixStream::connect(name) else { return 2 };
        stream.write_all(b"list\n").ok();
        let mut heard = [0; 1];
        match stream.read(&mut heard) {
            Ok(0) | Err(_) => 0,
            Ok(_) => 3,
        }
    })?;
    let ended = nix::sys::wait::waitpid(child, None)?;
    fs::set_permissions(sockets, Permissions::from_mode(0o700))?;
    ensure!(
        matches!(ended, nix::sys::wait::WaitStatus::Exited(_, 0)),
        "another user was heard, or could not try: {ended:?}"
    );
    Ok(())
}
