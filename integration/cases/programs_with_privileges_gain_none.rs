//! Programs that carry privileges, the host's own (su, sudo, mount, newuidmap …) and any that are
//! granted with a setuid bit or file capabilities, gain nothing by them.
//!
//! Layers: `no_new_privs`; mounts without setuid; the empty bounding set.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::raw::{self, Argument};
use sandboxd_integration::{Case, Inside, Outside};
use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;
use std::process::{Command, Stdio};

pub(crate) const CASE: Case =
    Case { rows: &["V01", "V04"], outside, probes: &[("gain", gain)], ..Case::NEW };

/// Programs that hosts have with a setuid bit or capabilities, and words that make them do something.
const PRIVILEGED: &[(&str, &[&str])] = &[
    ("/usr/bin/su", &["-c", "id -u"]),
    ("/usr/bin/sudo", &["-n", "id", "-u"]),
    ("/usr/bin/pkexec", &["id", "-u"]),
    ("/usr/bin/mount", &["-t", "tmpfs", "none", "/tmp"]),
    ("/usr/bin/umount", &["/tmp"]),
    ("/usr/bin/newgrp", &["root"]),
    ("/usr/bin/passwd", &["-d", "root"]),
    ("/usr/bin/newuidmap", &["1", "0", "0", "1"]),
    ("/usr/bin/newgidmap", &["1", "0", "0", "1"]),
    ("/usr/bin/fusermount", &["-u", "/tmp"]),
    ("/usr/bin/fusermount3", &["-u", "/tmp"]),
    ("/usr/bin/dbus-send", &["--system", "--dest=org.freedesktop.systemd1", "/", "a.b"]),
    ("/usr/bin/systemd-run", &["--user", "true"]),
];

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    for name in ["setuid", "setgid", "capable"] {
        let copy = ws.join(name);
        fs::copy("/usr/bin/cat", &copy)?;
        chown(&copy, Some(0), Some(0))?;
        let bits = match name {
            "setuid" => 0o4755,
            "setgid" => 0o2755,
            _ => 0o755,
        };
        fs::set_permissions(&copy, fs::Permissions::from_mode(bits))?;
    }
    give_capabilities(&ws.join("capable"))?;
    // A secret of root's, which the programs would read if they gained what they carry.
    let canary = outside.canary("ws/secret")?;
    chown(canary.path(), Some(0), Some(0))?;
    fs::set_permissions(canary.path(), fs::Permissions::from_mode(0o400))?;
    check_that_they_gain_outside(&ws)?;

    let profile = format!("extends = [\"builtin:base\"]\n[files]\nexecute = [{ws:?}]\n");
    let run = outside.sandbox(&profile).probe("gain", &[ws.to_str().unwrap_or_default()]).run()?;
    run.ran()?.keeps(&canary)?;
    let own = run.fact("uid")?;
    for name in ["setuid", "setgid", "capable"] {
        let status = run.fact(name)?;
        for (field, ids) in [("Uid:", true), ("Gid:", true), ("CapPrm:", false), ("CapEff:", false)]
        {
            let line = status.lines().find_map(|line| line.strip_prefix(field));
            let line = line.with_context(|| format!("{name} has no {field} in {status:?}"))?;
            let expected = if ids { own } else { "0000000000000000" };
            let same = line.split_whitespace().all(|value| value == expected);
            ensure!(same, "{name}: {field}{line}");
        }
    }
    let tried: Vec<&str> = run.fact("tried")?.split(' ').collect();
    ensure!(tried.contains(&"/usr/bin/su") && tried.contains(&"/usr/bin/mount"), "{tried:?}");
    for program in tried {
        ensure!(run.fact(program)? != "0", "{program} did what it was asked");
        let said = run.fact(&format!("{program} said"))?;
        ensure!(!said.lines().any(|line| line.trim() == "0"), "{program} became root: {said}");
    }
    Ok(())
}

/// The adversary's programs do gain where nothing keeps them from it, to a user who is nobody.
fn check_that_they_gain_outside(ws: &Path) -> Result<()> {
    use std::os::unix::process::CommandExt as _;
    for name in ["setuid", "capable"] {
        let mut read = Command::new(ws.join(name));
        read.arg(ws.join("secret")).uid(65534).gid(65534);
        let gained = read.stderr(Stdio::null()).output()?.status.success();
        // A file system may be mounted without them; then only inside is judged.
        let without = nix::sys::statvfs::statvfs(ws)?;
        let off = without.flags().contains(nix::sys::statvfs::FsFlags::ST_NOSUID);
        ensure!(gained || off, "{name} gains nothing outside either");
    }
    Ok(())
}

/// The capabilities to pass by the modes of files (`CAP_DAC_OVERRIDE`, `CAP_DAC_READ_SEARCH`),
/// permitted and effective: `struct vfs_cap_data` of revision 2.
fn give_capabilities(file: &Path) -> Result<()> {
    const REVISION_2_EFFECTIVE: u32 = 0x0200_0001;
    let words = [REVISION_2_EFFECTIVE, 0b110, 0, 0, 0];
    let data: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let path = CString::new(file.as_os_str().as_bytes())?;
    let mut words = [
        Argument::Text(&path),
        Argument::Text(c"security.capability"),
        Argument::Bytes(&data),
        Argument::Number(20),
        Argument::Number(0),
    ];
    raw::call(libc::SYS_setxattr, &mut words).context("file capabilities")?;
    Ok(())
}

fn gain(inside: &Inside) -> Result<()> {
    let ws = inside.path(0)?;
    inside.fact("uid", &nix::unistd::getuid().to_string());
    for name in ["setuid", "setgid", "capable"] {
        let mut program = Command::new(ws.join(name));
        let output = program.args(["/proc/self/status"]).arg(ws.join("secret")).output()?;
        inside.fact(name, &String::from_utf8_lossy(&output.stdout));
    }
    let mut tried = Vec::new();
    for (program, words) in PRIVILEGED {
        if !Path::new(program).exists() {
            continue;
        }
        tried.push(*program);
        let output = Command::new(program).args(*words).stdin(Stdio::null()).output()?;
        let code = output.status.code().unwrap_or(-1);
        inside.fact(program, &code.to_string());
        inside.fact(&format!("{program} said"), &String::from_utf8_lossy(&output.stdout));
    }
    inside.fact("tried", &tried.join(" "));
    // That the bits are there to be ignored.
    inside.fact("mode", &format!("{:o}", fs::metadata(ws.join("setuid"))?.mode()));
    Ok(())
}
