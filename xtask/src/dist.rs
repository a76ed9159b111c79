//! `cargo xtask dist`: a Debian package and a tarball, the same byte for byte whenever they are made
//! from one commit.
//!
//! Read in this order: [`files`] (what goes where), [`deb`], [`tarball`].

mod deb;
mod files;
mod tarball;

use crate::{process, tree::Tree};
use anyhow::{Context as _, Result, ensure};
use clap::Args;
use files::Files;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

#[derive(Args)]
pub(crate) struct Typed {
    /// Make everything twice, and fail where one byte differs
    #[arg(long)]
    check: bool,
}

/// What was made.
pub(crate) struct Made {
    pub(crate) deb: PathBuf,
    pub(crate) tarball: PathBuf,
}

/// What both are made of.
struct Release<'a> {
    tree: &'a Tree,
    version: String,
    /// Seconds since 1970 of the commit: the time of every file.
    time: String,
}

pub(crate) fn run(tree: &Tree, typed: &Typed) -> Result<()> {
    let made = make(tree)?;
    if typed.check {
        same_again(tree)?;
    }
    for path in [&made.deb, &made.tarball] {
        println!("{} ({} KiB)", path.display(), fs::metadata(path)?.len() / 1024);
    }
    Ok(())
}

/// As a step of CI.
pub(crate) fn check(tree: &Tree) -> Result<()> {
    run(tree, &Typed { check: true })
}

/// Builds the product and makes both, below `target/dist`.
pub(crate) fn make(tree: &Tree) -> Result<Made> {
    tree.release()?;
    pack(tree, &tree.target.join("dist"))
}

fn pack(tree: &Tree, folder: &Path) -> Result<Made> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    fs::create_dir_all(folder)?;
    let trusted = format!("safe.directory={}", tree.root.display());
    let log = ["-c", &trusted, "log", "-1", "--format=%ct"];
    let time = process::output(Command::new("git").current_dir(&tree.root).args(log))?;
    let release = Release {
        tree,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        time: time.trim().to_owned(),
    };
    let files = Files::of(&release)?;
    let made = Made {
        deb: deb::make(&release, &files, folder)?,
        tarball: tarball::make(&release, &files, folder)?,
    };
    let names = [&made.deb, &made.tarball].map(|path| path.file_name().unwrap_or_default());
    let sums = process::output(Command::new("sha256sum").current_dir(folder).args(names))?;
    fs::write(folder.join("SHA256SUMS"), sums)?;
    Ok(made)
}

/// Made again, elsewhere and later, it is the same.
fn same_again(tree: &Tree) -> Result<()> {
    let (first, again) = (tree.target.join("dist"), tree.target.join("dist-again"));
    pack(tree, &again)?;
    let [one, other] = [&first, &again].map(|folder| fs::read_to_string(folder.join("SHA256SUMS")));
    let (one, other) = (one?, other?);
    ensure!(one == other, "made twice, it is not the same:\n{one}{other}");
    fs::remove_dir_all(again)?;
    println!("made twice, it is the same");
    Ok(())
}

impl Release<'_> {
    /// Gives everything below a folder the time of the commit.
    fn settle(&self, folder: &Path) -> Result<()> {
        let time = format!("--date=@{}", self.time);
        process::run(Command::new("find").arg(folder).args([
            "-exec",
            "touch",
            "--no-dereference",
            &time,
            "{}",
            "+",
        ]))
    }
}
