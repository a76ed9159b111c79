//! A named pipe at whose other end a process of the host is, in a folder that may be written, takes nothing from inside and
//! gives nothing away; one that the profile names does.

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use nix::unistd::{Gid, Uid};
use sandboxd_integration::{By, Case, Inside, Outside};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;

pub(crate) const CASE: Case =
    Case { rows: &["E2"], outside, probes: &[("reach", reach)], by: By::Anybody, ..Case::NEW };

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    std::fs::create_dir_all(ws.join("sub/.husky"))?;
    let pipe = |name: &str| -> Result<File> {
        let at = ws.join(name);
        nix::unistd::mkfifo(&at, nix::sys::stat::Mode::from_bits_truncate(0o600))?;
        let (uid, gid) = outside.owner();
        nix::unistd::chown(&at, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
        opened(&at).with_context(|| format!("{name} outside"))
    };
    let mut to = [pipe("to")?, pipe("sub/.husky/to")?];
    let mut from = pipe("from")?;
    let mut named = pipe("named")?;
    from.write_all(b"mine")?;
    let profile = format!(
        "extends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}, {{ path = {:?}, reason = \"it is meant\" }}]\n",
        ws.join("named")
    );
    let words = [ws.to_str().unwrap_or_default()];
    let run = outside.sandbox(&profile).probe("reach", &words).run()?;
    run.ran()?.allowed("named")?.allowed("own")?;
    for attempt in ["to", "sub/.husky/to", "from", "move", "remove"] {
        run.refused(attempt, &[Errno::EACCES, Errno::EROFS, Errno::EBUSY])?;
    }
    for to in &mut to {
        let quiet = |error: io::Error| error.kind() == io::ErrorKind::WouldBlock;
        ensure!(to.read(&mut [0; 16]).is_err_and(quiet), "something came");
    }
    let mut line = [0; 16];
    let length = from.read(&mut line).context("what was written is gone")?;
    ensure!(line.get(..length) == Some(b"mine"), "it is {line:?}");
    ensure!(named.read(&mut line)? == 1, "the named one does not work");
    Ok(())
}

/// At both ends, so that neither is waited for.
fn opened(at: &std::path::Path) -> io::Result<File> {
    let options = nix::libc::O_NONBLOCK;
    OpenOptions::new().read(true).write(true).custom_flags(options).open(at)
}

fn reach(inside: &Inside) -> Result<()> {
    let ws = inside.path(0)?;
    for name in ["to", "sub/.husky/to", "named"] {
        let at = ws.join(name);
        inside.attempt(name, opened(&at).and_then(|mut pipe| pipe.write_all(b"x")));
    }
    let taken = opened(&ws.join("from")).and_then(|mut pipe| pipe.read_exact(&mut [0; 4]));
    inside.attempt("from", taken);
    inside.attempt("move", std::fs::rename(ws.join("to"), ws.join("away")));
    inside.attempt("remove", std::fs::remove_file(ws.join("to")));
    let own = ws.join("own");
    let rights = nix::sys::stat::Mode::S_IRWXU;
    let made = nix::unistd::mkfifo(&own, rights).map_err(io::Error::from);
    inside.attempt("own", made.and_then(|()| opened(&own)?.write_all(b"x")));
    Ok(())
}
