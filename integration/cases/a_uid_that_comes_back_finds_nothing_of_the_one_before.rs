//! A uid that is given out again finds nothing of what the sandbox that had it before left: no file, IPC
//! object, process or cgroup, and keys neither of them has; and it is not given out while anything of that lives.

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use sandboxd_integration::raw::{self, Argument};
use sandboxd_integration::{Case, Inside, Outside};
use std::ffi::CString;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

pub(crate) const CASE: Case = Case {
    rows: &["X09", "F29", "B18", "K05", "C08"],
    outside,
    probes: &[("leave", leave), ("seek", seek)],
    ..Case::NEW
};

/// Where a sandbox may leave things.
const OWN: &[&str] = &["/tmp", "/dev/shm", "/home/agent"];
/// Where programs do, elsewhere.
const OTHERS: &[&str] = &["/var/tmp", "/run", "/"];
const NAME: &str = "of-the-one-before";

fn outside(outside: &Outside) -> Result<()> {
    // One uid for commands, so that it must come back.
    let (first, _) = outside.uids();
    let uid = first + 1;
    let settings = fs::read_to_string("/etc/sandboxd/config.toml")?;
    let (_, cgroups) = settings.split_once("[cgroups]").context("the settings name no cgroup")?;
    let settings = format!("[uids]\nfirst = {first}\ncount = 2\n[cgroups]{cgroups}");
    fs::write("/etc/sandboxd/config.toml", settings)?;

    let ws = outside.workspace()?;
    let profile = format!(
        "extends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\n[syscalls]\nbase = \"network-server\"\n"
    );
    let place = ws.to_str().unwrap_or_default();
    let before = outside.sandbox(&profile).probe("leave", &[place]).run()?;
    before.ran()?.allowed("segment")?.allowed("queue")?;
    for place in OWN {
        before.allowed(place)?;
    }
    // What it made in the workspace is its owner's on disk, not the uid's.
    let made = fs::metadata(ws.join(NAME))?;
    ensure!(made.uid() != uid && made.gid() != uid, "the file on disk is of uid {}", made.uid());

    let after = outside.sandbox(&profile).probe("seek", &[]).run()?;
    after.ran()?.all_refused()?;
    ensure!(before.fact("uid")? == uid.to_string(), "uid {}", before.fact("uid")?);
    ensure!(after.fact("uid")? == before.fact("uid")?, "another uid came");
    for list in ["files", "segments", "processes"] {
        ensure!(after.fact(list)?.is_empty(), "{list}: {}", after.fact(list)?);
    }
    // No profile has calls for keys.
    before.refused("keyring", &[Errno::ENOSYS])?;
    after.refused("keyring", &[Errno::ENOSYS])?.refused("key", &[Errno::ENOSYS])?;
    held_back(outside, &profile, uid)
}

/// A process of that uid without a supervisor keeps it from being given out, where the lease says
/// that somebody may live.
fn held_back(outside: &Outside, profile: &str, uid: u32) -> Result<()> {
    fs::write(format!("/run/sandboxd/uids/{uid}"), "busy\n")?;
    let mut stray = Command::new("/bin/sleep").arg("600").uid(uid).gid(uid).spawn()?;
    let run = outside.sandbox(profile).command(&["/bin/echo", "ran"]).run();
    stray.kill()?;
    stray.wait()?;
    let run = run?;
    run.not_started()?;
    ensure!(run.stderr.contains("  remedy  "), "no remedy: {}", run.stderr);
    // With it gone the uid is free again.
    outside.sandbox(profile).command(&["/bin/true"]).run()?.exited(0)?;
    // Nor is it given out twice at a time.
    let mut first =
        outside.sandbox(profile).command(&["/bin/sh", "-c", "echo on; sleep 5"]).start()?;
    first.says("on")?;
    outside.sandbox(profile).command(&["/bin/echo", "ran"]).run()?.not_started()?;
    first.signal(nix::sys::signal::Signal::SIGTERM)?;
    first.wait()?;
    Ok(())
}

/// The number of the user's keyring.
fn keyring() -> nix::Result<i64> {
    // KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_KEYRING, create.
    raw::call_numbers(libc::SYS_keyctl, &[0, (-4_i64).cast_unsigned(), 1])
}

/// Both kinds, in the order in which they are tried.
fn places() -> impl Iterator<Item = &'static str> {
    OWN.iter().chain(OTHERS).copied()
}

fn leave(inside: &Inside) -> Result<()> {
    inside.fact("uid", &nix::unistd::getuid().to_string());
    inside.attempt("keyring", keyring());
    for place in places() {
        inside.attempt(place, fs::write(format!("{place}/{NAME}"), "x"));
    }
    fs::write(inside.path(0)?.join(NAME), "x")?;
    inside.attempt("segment", raw::call_numbers(libc::SYS_shmget, &[77, 4096, 0o1666]));
    inside.attempt("queue", raw::call_numbers(libc::SYS_msgget, &[77, 0o1666]));
    raw::fork(|| {
        std::thread::sleep(std::time::Duration::from_secs(30));
        0
    })?;
    Ok(())
}

fn seek(inside: &Inside) -> Result<()> {
    let uid = nix::unistd::getuid();
    inside.fact("uid", &uid.to_string());
    inside.attempt("keyring", keyring());
    let mut files = Vec::new();
    for place in places() {
        let path = format!("{place}/{NAME}");
        let found = fs::symlink_metadata(&path);
        inside.attempt(&path, found);
        for entry in fs::read_dir(place).into_iter().flatten().flatten() {
            if place != "/"
                && entry
                    .metadata()
                    .is_ok_and(|found| found.uid() == uid.as_raw() && found.is_file())
            {
                files.push(entry.path().to_string_lossy().into_owned());
            }
        }
    }
    inside.fact("files", &files.join(" "));
    inside.attempt("segment", raw::call_numbers(libc::SYS_shmget, &[77, 0, 0]));
    inside.attempt("queue", raw::call_numbers(libc::SYS_msgget, &[77, 0]));
    let name = CString::new(NAME)?;
    inside.attempt(
        "key",
        raw::call(
            libc::SYS_request_key,
            &mut [
                Argument::Text(c"user"),
                Argument::Text(&name),
                Argument::Number(0),
                Argument::Number(0),
            ],
        ),
    );
    let segments = fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    let segments: Vec<_> = segments.lines().skip(1).collect();
    inside.fact("segments", &segments.join(" "));
    let own = std::process::id().to_string();
    let processes: Vec<_> = fs::read_dir("/proc")?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| {
            name.bytes().all(|byte| byte.is_ascii_digit()) && *name != own && name != "1"
        })
        .collect();
    inside.fact("processes", &processes.join(" "));
    Ok(())
}
