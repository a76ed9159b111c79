//! What stands in the mount view without being granted stays shut, whatever its permissions: Landlock
//! holds where the view shows something.
//!
//! Layers: Landlock alone; the file is there and its mode would let everybody in.

use anyhow::Result;
use nix::errno::Errno;
use sandboxd_integration::{By, Case, Inside, Outside};
use std::fs::{self, File};

pub(crate) const CASE: Case = Case {
    rows: &["F01", "F08", "E28"],
    outside,
    probes: &[("open", open)],
    by: By::Anybody,
    ..Case::NEW
};

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let profile = format!("extends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\n");
    let run = outside.sandbox(&profile).probe("open", &[]).run()?;
    run.ran()?
        .refused("read", &[Errno::EACCES])?
        .refused("list the root", &[Errno::EACCES])?
        .refused("make a file in the root", &[Errno::EACCES, Errno::EROFS])?
        .allowed("look at it")?;
    Ok(())
}

fn open(inside: &Inside) -> Result<()> {
    // The file that the self-test of every start opens, mode 0666.
    let file = "/.sandboxd";
    inside.attempt("look at it", fs::metadata(file));
    inside.attempt("read", File::open(file));
    inside.attempt("list the root", fs::read_dir("/"));
    inside.attempt("make a file in the root", File::create("/new"));
    Ok(())
}
