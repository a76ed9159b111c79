//! A case in a process of its own: its own mount namespace, with its own settings of sandboxd, uids,
//! leases and cgroups, so that what it leaves behind can be told from everybody else's.

use crate::who::Player;
use crate::{Named, Outside, left};
use anyhow::{Context as _, Result};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// The exit status of a case that ran and failed; what it says stands on its standard output.
pub(crate) const FAILED: u8 = 1;
/// Of one of which a part was not run; why is the last line of what it says.
pub(crate) const PARTLY: u8 = 3;

/// The uids of one case: init's, and those of its sandboxes.
const UIDS: u32 = 256;

pub(crate) fn play(cases: &'static [Named], name: &str) -> Result<ExitCode> {
    let named = cases.iter().find(|named| named.name == name).context("no such case")?;
    let own = std::process::id();
    let uids = match Player::this() {
        Player::Root => (1_000_000 + (own % 1_000_000) * UIDS, UIDS),
        // Root's sandboxes have uids; a user's have the user's, who has other processes too.
        Player::User => (0, 0),
    };
    let dir = dir(own);
    fs::create_dir(&dir).with_context(|| dir.display().to_string())?;
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755))?;
    fs::create_dir(dir.join("tmp"))?;
    set_apart(own, uids).context("a place of its own")?;
    let outside = Outside::new(named, dir, uids);

    let before = left::mounts()?;
    let outcome = (named.case.outside)(&outside);
    let mut wrong: Vec<String> =
        outcome.err().map(|error| format!("{error:#}")).into_iter().collect();
    match left::behind(&outside, own, &before) {
        Ok(remains) => wrong.extend(remains.iter().map(|what| format!("left behind: {what}"))),
        // As a rule for the same reason.
        Err(error) => wrong.push(format!("what is left: {error:#}")),
    }
    if wrong.is_empty() {
        let untried = outside.untried();
        if untried.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        println!("{untried}");
        return Ok(ExitCode::from(PARTLY));
    }
    println!("{}\n{}", wrong.join("; "), outside.transcript());
    Ok(ExitCode::from(FAILED))
}

/// The folder of the case that is this process.
pub(crate) fn dir(process: u32) -> PathBuf {
    std::env::temp_dir().join(format!("sandboxd-case-{process}"))
}

/// The directory that holds the cgroups of the case that is this process.
pub(crate) fn cgroup(process: u32) -> String {
    format!("sandboxd-test-{process}")
}

fn set_apart(process: u32, (first, count): (u32, u32)) -> Result<()> {
    nix::sys::prctl::set_child_subreaper(true)?;
    if Player::this() == Player::User {
        // Who can neither mount over the operator's settings nor is asked for any.
        return Ok(());
    }
    unshare(CloneFlags::CLONE_NEWNS)?;
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    cover("/run/sandboxd", "mode=0700")?;
    cover("/etc/sandboxd", "mode=0755")?;
    cover("/var/lib/sandboxd", "mode=0700")?;
    settle(process, first, count)
}

/// Writes the operator's settings: these uids, and the cgroups of this process's case.
pub(crate) fn settle(process: u32, first: u32, count: u32) -> Result<()> {
    let settings = format!(
        "[uids]\nfirst = {first}\ncount = {count}\n[cgroups]\nparent = \"{}\"\n",
        cgroup(process)
    );
    fs::write("/etc/sandboxd/config.toml", settings).context("the operator's settings")
}

/// Lays an empty directory over one of the host's, which is made where it is not there.
fn cover(path: &str, mode: &str) -> Result<()> {
    match fs::create_dir(path) {
        Ok(()) => fs::set_permissions(path, fs::Permissions::from_mode(0o700))?,
        // By the host, or by a case that began at the same time.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error).with_context(|| path.to_owned()),
    }
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("tmpfs"), path, Some("tmpfs"), flags, Some(mode))
        .with_context(|| format!("mount over {path}"))
}
