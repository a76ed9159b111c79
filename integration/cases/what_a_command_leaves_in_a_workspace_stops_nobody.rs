//! Pipes, sockets, closed folders, huge sparse files, many files and odd names that a command leaves
//! in a workspace neither stop the supervisor nor reach the terminal, then or in the next run. Of a folder that was closed
//! to a user's supervisor, that one says why it does not start, and what to do.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Inside, Outside, patience};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

pub(crate) const CASE: Case = Case {
    rows: &["F30", "X06"],
    outside,
    probes: &[("leave", leave)],
    by: By::Anybody,
    ..Case::NEW
};

const MANY: u32 = 20_000;
/// A search that waits for a pipe, or reads what is sparse, takes longer than this by far.
const AT_MOST: Duration = Duration::from_secs(20);

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let canary = outside.canary("elsewhere/.envrc")?;
    let profile = format!(
        "extends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\n[limits]\nfile_size = \"2048G\"\n"
    );
    let words = [
        ws.to_str().unwrap_or_default(),
        canary.path().parent().and_then(|folder| folder.to_str()).unwrap_or_default(),
    ];
    let begun = Instant::now();
    let run = outside.sandbox(&profile).probe("leave", &words).run()?;
    run.ran()?;
    for attempt in ["pipe", "socket", "closed", "sparse", "odd", "not UTF-8", "link"] {
        run.allowed(attempt)?;
    }
    let named = run.result.as_ref().context("no result")?["may_execute"].clone();
    let named: Vec<&str> =
        named.as_array().context("no list")?.iter().filter_map(|path| path.as_str()).collect();
    // Only root looks into a folder that the command closed; that it could not be, a user is told below.
    let closed = (!outside.is_user()).then_some("closed/.envrc");
    for name in [".envrc", "so/.envrc"].into_iter().chain(closed) {
        let path = ws.join(name).display().to_string();
        ensure!(named.contains(&path.as_str()), "{name} is not named: {named:?}");
    }
    let unseen = named.iter().any(|what| what.starts_with("not looked through: "));
    ensure!(unseen, "that all was seen is not true: {named:?}");
    // A link to a folder outside is not walked.
    ensure!(!named.iter().any(|path| path.contains("elsewhere")), "it went out: {named:?}");

    let next = || outside.sandbox(&profile).command(&["/bin/true"]).run();
    if outside.is_user() {
        next()?.not_started()?.has_problem(&["/closed cannot be read"])?;
        fs::set_permissions(ws.join("closed"), fs::Permissions::from_mode(0o755))?;
    }
    let next = next()?;
    next.exited(0)?;
    for text in [&run.stderr, &next.stderr] {
        let harmless = |letter: char| letter == '\n' || !letter.is_control();
        ensure!(text.chars().all(harmless), "reached the terminal: {text:?}");
        ensure!(!text.lines().any(|line| line.starts_with("forged")), "a line was forged");
    }
    let took = begun.elapsed();
    ensure!(took < patience(AT_MOST), "two runs took {took:?}");
    fs::set_permissions(ws.join("closed"), fs::Permissions::from_mode(0o755))?;
    canary.unchanged()
}

fn leave(inside: &Inside) -> Result<()> {
    let (ws, elsewhere) = (inside.path(0)?, inside.path(1)?);
    let rights = nix::sys::stat::Mode::S_IRWXU;
    inside.attempt("pipe", nix::unistd::mkfifo(&ws.join(".envrc"), rights));
    fs::create_dir(ws.join("so"))?;
    inside.attempt("socket", UnixListener::bind(ws.join("so/.envrc")));
    fs::create_dir(ws.join("closed"))?;
    fs::write(ws.join("closed/.envrc"), "x")?;
    let none = fs::Permissions::from_mode(0o000);
    inside.attempt("closed", fs::set_permissions(ws.join("closed"), none));
    let sparse = File::create(ws.join("sparse")).and_then(|file| file.set_len(1 << 40));
    inside.attempt("sparse", sparse);
    let odd = ws.join("odd\nforged: not enforced\n\u{1b}]52;c;eA==\u{7}\u{202e}");
    inside.attempt("odd", fs::create_dir(&odd));
    fs::write(odd.join(".envrc"), "x")?;
    inside.attempt("not UTF-8", fs::create_dir(ws.join(OsStr::from_bytes(b"\xff\xfe"))));
    inside.attempt("link", symlink(elsewhere, ws.join("linked")));
    fs::create_dir(ws.join("many"))?;
    for number in 0..MANY {
        File::create(ws.join(format!("many/{number}")))?;
    }
    Ok(())
}
