//! Neither `/proc` nor a descriptor that the caller left open leads out of the sandbox.

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use sandboxd_integration::raw::{self, Argument};
use sandboxd_integration::{By, Case, Inside, Outside};
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::os::fd::IntoRawFd as _;
use std::path::Path;

pub(crate) const CASE: Case = Case {
    rows: &["F05", "F06", "F07", "E23"],
    outside,
    probes: &[("leave", leave)],
    by: By::Anybody,
    ..Case::NEW
};

fn outside(outside: &Outside) -> Result<()> {
    let canary = outside.canary("secret/key")?;
    // Descriptors without close-on-exec, as a careless caller leaves them.
    raw::place(File::open("/")?.into_raw_fd(), 41)?;
    raw::place(File::open(outside.dir().join("secret"))?.into_raw_fd(), 42)?;
    raw::place(OpenOptions::new().write(true).open(canary.path())?.into_raw_fd(), 43)?;
    let run = outside
        .sandbox("extends = [\"builtin:base\"]\n")
        .cwd(&outside.dir().join("secret"))
        .probe("leave", &[canary.path().to_str().unwrap_or_default()])
        .run()?;
    run.ran()?.keeps(&canary)?;
    ensure!(run.fact("open")? == "0 1 2", "open inside: {}", run.fact("open")?);
    ensure!(run.fact("processes")?.split(' ').count() == 2, "{}", run.fact("processes")?);
    for (attempt, _) in run.attempts() {
        let answers = [
            Errno::EACCES,
            Errno::EPERM,
            Errno::ENOENT,
            Errno::ENOTDIR,
            Errno::EBADF,
            Errno::EROFS,
            Errno::ETXTBSY,
        ];
        run.refused(attempt, &answers)?;
    }
    canary.unchanged()
}

fn leave(inside: &Inside) -> Result<()> {
    let canary = inside.path(0)?;
    let below = canary.strip_prefix("/")?;
    let read = |what: &str, path: &Path| {
        if let Some(text) = inside.attempt(what, fs::read(path)) {
            inside.fact(what, &String::from_utf8_lossy(&text));
        }
    };
    let mut processes = numbers("/proc")?;
    processes.sort_unstable();
    for process in &processes {
        let process = Path::new("/proc").join(process.to_string());
        for part in ["root", "cwd", "fd/41", "fd/42/..", "map_files/.."] {
            read("canary", &process.join(part).join(below));
        }
        read("climb", &process.join("cwd").join("../".repeat(20)).join(below));
        // Its own pages are the probe's own affair; init's are not.
        if process.ends_with("1") {
            for part in ["environ", "mem", "auxv", "stack", "syscall", "maps"] {
                read(part, &process.join(part));
            }
            inside.attempt("init's descriptors", fs::read_dir(process.join("fd")));
        }
        let program = OpenOptions::new().write(true).open(process.join("exe"));
        inside.attempt("overwrite", program);
    }
    for number in (0..1024).chain([4095, 65535]) {
        for name in ["key", &"../".repeat(20), &format!("{}{}", "../".repeat(20), below.display())]
        {
            let name = CString::new(name)?;
            let flags = u64::try_from(libc::O_PATH)?;
            let opened = raw::call(
                libc::SYS_openat,
                &mut [Argument::Number(number), Argument::Text(&name), Argument::Number(flags)],
            );
            inside.attempt("through a descriptor", opened);
        }
    }
    inside.fact("processes", &words(&processes));
    let own = fs::read_dir("/proc/self/fd")?.count();
    let mut open = numbers("/proc/self/fd")?;
    open.sort_unstable();
    // The descriptor that lists them is the last.
    open.pop().context("nothing is open")?;
    ensure!(own == open.len() + 1, "{own} descriptors, {open:?}");
    inside.fact("open", &words(&open));
    Ok(())
}

fn numbers(folder: &str) -> Result<Vec<u64>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        found.extend(entry?.file_name().to_str().and_then(|name| name.parse::<u64>().ok()));
    }
    Ok(found)
}

fn words(numbers: &[u64]) -> String {
    numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(" ")
}
