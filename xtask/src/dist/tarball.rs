//! The tarball: one folder, laid out as below `/`.

use super::{Release, files::Files};
use crate::process;
use anyhow::Result;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

pub(super) fn make(release: &Release<'_>, files: &Files, folder: &Path) -> Result<PathBuf> {
    let name = format!("sandboxd-{}-x86_64-linux", release.version);
    let root = folder.join(&name);
    files.lay_out(release, &root, false)?;
    release.settle(&root)?;
    let tarball = folder.join(format!("{name}.tar.gz"));
    process::run(
        Command::new("tar")
            .args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--format=gnu"])
            // gzip's own -n keeps the name and time of its input out.
            .args(["--use-compress-program", "gzip -9 -n"])
            .arg("-C")
            .arg(folder)
            .arg("-cf")
            .args([tarball.as_os_str(), name.as_ref()]),
    )?;
    fs::remove_dir_all(&root)?;
    Ok(tarball)
}
