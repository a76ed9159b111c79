//! A file that the caller gives as standard input or output can be read or written on, and not
//! opened anew, truncated, read back or written where it was given for reading, and its mode and times stay.

use anyhow::{Context as _, Result, ensure};
use nix::sys::stat::{Mode, fchmod, fstat, futimens};
use nix::sys::time::TimeSpec;
use sandboxd_integration::{By, Case, Inside, Outside};
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

/// Standard output: the command's is a pipe of the supervisor's. Standard input: the mode of the
/// descriptor, and Landlock where it is opened anew, since its path is in no rule. Whoever owns a file sets
/// its mode by any descriptor, so where the command is its caller, that is a pipe too.
pub(crate) const CASE: Case = Case {
    rows: &["F35", "T07"],
    outside,
    probes: &[("reopen", reopen), ("touch", touch)],
    by: By::Anybody,
    ..Case::NEW
};

fn outside(outside: &Outside) -> Result<()> {
    let mut run = outside
        .sandbox("extends = [\"builtin:base\"]\n")
        .stdin(b"what the caller wrote")
        .probe("reopen", &[])
        .start()?;
    run.says("first line")?;
    // Whoever owns it allows everything: only the sandbox is to keep it.
    let (input, output) = (outside.dir().join("run-1/stdin"), outside.dir().join("run-1/stdout"));
    for path in [&input, &output] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
    }
    let run = run.wait()?;
    run.ran()?;
    ensure!(run.fact("read")? == "what the caller wrote", "standard input is not read");
    for (attempt, errno) in run.attempts() {
        ensure!(errno != 0, "{attempt}: was let through");
    }
    ensure!(fs::read(&input)? == b"what the caller wrote", "standard input was changed");
    let whole = fs::read_to_string(&output)?;
    ensure!(whole.contains("first line") && whole.contains("last line"), "cut: {whole}");

    let content: Vec<u8> = (0..MUCH).flat_map(u32::to_le_bytes).collect();
    let run = outside.sandbox("extends = [\"builtin:base\"]\n").stdin(&content).probe("touch", &[]);
    run.run()?.ran()?;
    let given = fs::metadata(outside.dir().join("run-2/stdin"))?;
    ensure!(given.permissions().mode() & 0o777 != 0o777, "its mode was changed");
    ensure!(given.modified()?.elapsed()? < Duration::from_secs(3600), "its times were changed");
    Ok(())
}

/// So many numbers of four bytes are more than a pipe holds.
const MUCH: u32 = 500_000;

fn touch(inside: &Inside) -> Result<()> {
    let (all, long_ago) = (Mode::from_bits_truncate(0o777), TimeSpec::new(1, 0));
    let mut numbers = Vec::new();
    for _ in 0..2 {
        inside.attempt("mode of input", fchmod(io::stdin(), all));
        inside.attempt("times of input", futimens(io::stdin(), &long_ago, &long_ago));
        io::stdin().read_to_end(&mut numbers)?;
    }
    let whole = (0..MUCH).flat_map(u32::to_le_bytes).eq(numbers);
    ensure!(whole, "standard input is not read whole");
    Ok(())
}

fn reopen(inside: &Inside) -> Result<()> {
    inside.fact("first line", "x");
    let given = fstat(io::stdin().as_fd())?.st_mode & libc::S_IFMT;
    let until = Instant::now() + Duration::from_secs(10);
    while given == libc::S_IFREG && fstat(io::stdin().as_fd())?.st_mode & 0o666 != 0o666 {
        ensure!(Instant::now() < until, "the observer did not let it");
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    inside.fact("read", &text);
    // A pipe opens, and has nothing of the file.
    let names = if given == libc::S_IFREG { &["/proc/self/fd/0", "/dev/stdin"][..] } else { &[] };
    for path in names {
        inside.attempt("write input", OpenOptions::new().write(true).open(path));
        inside.attempt("both on input", OpenOptions::new().read(true).write(true).open(path));
        inside.attempt("empty input", OpenOptions::new().write(true).truncate(true).open(path));
        inside.attempt("truncate input", nix::unistd::truncate(*path, 0));
    }
    inside.attempt("cut input", nix::unistd::ftruncate(io::stdin(), 0));
    inside.attempt("write to input", nix::unistd::write(io::stdin(), b"mine"));
    inside.attempt("cut output", nix::unistd::ftruncate(io::stdout(), 0));
    let start = nix::unistd::Whence::SeekSet;
    inside.attempt("seek output", nix::unistd::lseek(io::stdout(), 0, start));
    inside.attempt("read at the start", nix::sys::uio::pread(io::stdout(), &mut [0; 8], 0));
    // As programs do that log to /dev/stderr.
    for path in ["/dev/stdout", "/dev/stderr"] {
        OpenOptions::new().append(true).open(path).context(path)?.write_all(b"")?;
    }
    // A pipe can be opened anew, and then has nothing of the file.
    let again = fs::File::open("/proc/self/fd/1").context("standard output")?;
    ensure!(nix::sys::stat::fstat(&again)?.st_mode & libc::S_IFMT == libc::S_IFIFO, "no pipe");
    inside.fact("last line", "x");
    Ok(())
}
