//! A file in a folder that may be written but not executed does not run, nor does one in memory; a
//! script still runs through its interpreter, as documented, and what is granted runs.

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::memfd::{MFdFlags, memfd_create};
use sandboxd_integration::{By, Case, Inside, Outside};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `noexec` of the mount, and Landlock's `EXECUTE`. Memory: `vm.memfd_noexec` of the pid namespace.
/// An interpreter that reads a script executes nothing that the kernel could see: no list of what may
/// be executed is a boundary against programs that run what they read.
pub(crate) const CASE: Case = Case {
    rows: &["F31", "F32", "E18"],
    outside,
    probes: &[("execute", execute), ("build", build)],
    by: By::Anybody,
    ..Case::NEW
};

const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let words = [ws.to_str().unwrap_or_default()];
    let write = format!("extends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\n");
    let run = outside.sandbox(&write).probe("execute", &words).run()?;
    run.ran()?.allowed("true")?.allowed("script through sh")?;
    for place in ["ws", "/tmp", "/dev/shm", "/home/agent"] {
        for attempt in ["program", "script", "link"] {
            run.refused(&format!("{attempt} in {place}"), &[Errno::EACCES])?;
        }
        let said = run.fact(&format!("loader in {place}"))?;
        ensure!(said.contains("failed to map segment"), "the loader in {place}: {said}");
    }
    // Only root can forbid it, and a user's run says that it does without.
    let said = run.stderr.contains("require.memfd_noexec");
    if !(outside.is_user() && said) {
        run.refused("memory to execute", &[Errno::EACCES])?;
        run.refused("memory", &[Errno::EACCES])?;
    }
    ensure!(ws.join("through-sh").exists(), "the script through sh did nothing");
    ensure!(!ws.join("by-itself").exists(), "the script ran");

    let both = format!("{write}execute = [{ws:?}]\n");
    outside.sandbox(&both).probe("build", &words).run()?.ran()?.allowed("program in ws")?;
    Ok(())
}

fn copied(folder: &Path) -> Result<PathBuf> {
    let path = folder.join("program");
    fs::copy("/usr/bin/true", &path)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

fn status(command: &mut Command) -> std::io::Result<()> {
    let ended = command.status()?;
    if ended.success() { Ok(()) } else { Err(std::io::Error::other(format!("{ended}"))) }
}

fn execute(inside: &Inside) -> Result<()> {
    let ws = inside.path(0)?;
    inside.attempt("true", status(&mut Command::new("/usr/bin/true")));
    for (place, folder) in [
        ("ws", ws),
        ("/tmp", Path::new("/tmp")),
        ("/dev/shm", Path::new("/dev/shm")),
        ("/home/agent", Path::new("/home/agent")),
    ] {
        let program = copied(folder)?;
        inside.attempt(&format!("program in {place}"), status(&mut Command::new(&program)));
        let link = folder.join("link");
        std::os::unix::fs::symlink(&program, &link)?;
        inside.attempt(&format!("link in {place}"), status(&mut Command::new(&link)));
        let script = folder.join("script");
        fs::write(&script, format!("#!/bin/sh\ntouch {}/by-itself\n", ws.display()))?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
        inside.attempt(&format!("script in {place}"), status(&mut Command::new(&script)));
        let loaded = Command::new(LOADER).arg(&program).output()?;
        ensure!(!loaded.status.success(), "the loader ran it");
        let said = String::from_utf8_lossy(&loaded.stderr).into_owned();
        inside.fact(&format!("loader in {place}"), &said);
    }
    fs::write(ws.join("read"), format!("touch {}/through-sh\n", ws.display()))?;
    let mut shell = Command::new("/bin/sh");
    inside.attempt("script through sh", status(shell.arg(ws.join("read"))));
    in_memory(inside)
}

fn in_memory(inside: &Inside) -> Result<()> {
    /// `MFD_EXEC`.
    const EXEC: u32 = 0x10;
    let asked = memfd_create(c"program", MFdFlags::from_bits_retain(EXEC));
    inside.attempt("memory to execute", asked);
    // A kernel whose setting refuses those that do not say seals them against it instead.
    let Some(memory) = inside.attempt("memory made", memfd_create(c"program", MFdFlags::empty()))
    else {
        inside.attempt("memory", Err::<(), _>(Errno::EACCES));
        return Ok(());
    };
    let mut file = fs::File::from(memory);
    file.write_all(&fs::read("/usr/bin/true").context("true")?)?;
    let executed = nix::unistd::execveat(&file, c"", &[c"x"], &[c"x"], AtFlags::AT_EMPTY_PATH);
    inside.attempt("memory", executed.map(drop));
    Ok(())
}

fn build(inside: &Inside) -> Result<()> {
    let program = copied(inside.path(0)?)?;
    inside.attempt("program in ws", status(&mut Command::new(program)));
    Ok(())
}
