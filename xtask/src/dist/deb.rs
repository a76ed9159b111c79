//! The Debian package, made by dpkg-deb(1).

use super::{Release, files::Files};
use crate::process;
use anyhow::{Context as _, Result};
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

/// What dpkg runs.
const SCRIPTS: &[&str] = &["postinst", "postrm"];

pub(super) fn make(release: &Release<'_>, files: &Files, folder: &Path) -> Result<PathBuf> {
    let root = folder.join("deb");
    files.lay_out(release, &root, true)?;
    let doc = root.join("usr/share/doc/sandboxd");
    fs::write(doc.join("copyright"), copyright(release)?)?;
    let control = root.join("DEBIAN");
    fs::create_dir_all(&control)?;
    fs::write(control.join("control"), text(release, &root)?)?;
    fs::write(control.join("md5sums"), sums(&root)?)?;
    for name in SCRIPTS {
        let to = control.join(name);
        fs::write(&to, release.tree.read(format!("packaging/deb/{name}"))?)?;
        fs::set_permissions(&to, fs::Permissions::from_mode(0o755))?;
    }
    release.settle(&root)?;
    let deb = folder.join(format!("sandboxd_{}_amd64.deb", release.version));
    process::output(
        Command::new("dpkg-deb")
            .env("SOURCE_DATE_EPOCH", &release.time)
            .args(["--root-owner-group", "-Zxz", "--build"])
            .args([&root, &deb]),
    )
    .context("dpkg-deb is of Debian's package dpkg")?;
    fs::remove_dir_all(&root)?;
    Ok(deb)
}

fn text(release: &Release<'_>, root: &Path) -> Result<String> {
    let size = process::output(Command::new("du").args(["-sk", "--apparent-size"]).arg(root))?;
    let kibibytes = size.split_whitespace().next().context("du")?.to_owned();
    Ok(format!(
        "Package: sandboxd\n\
         Version: {version}\n\
         Architecture: amd64\n\
         Maintainer: the sandboxd authors <authors@sandboxd.invalid>\n\
         Installed-Size: {kibibytes}\n\
         Recommends: dbus\n\
         Suggests: bash-completion\n\
         Section: admin\n\
         Priority: optional\n\
         Homepage: {homepage}\n\
         Description: sandbox supervisor for AI agents and their tools\n \
         Runs a command so that the kernel decides what it can touch: it sees the files\n \
         that its profile names and nothing else, has a uid, a network namespace and\n \
         limits of its own, and may make the system calls of a list.\n \
         .\n \
         Every layer is tried before the command starts. What the host cannot enforce\n \
         stops the run.\n",
        version = release.version,
        homepage = env!("CARGO_PKG_REPOSITORY"),
    ))
}

/// What dpkg --verify compares with.
fn sums(root: &Path) -> Result<String> {
    let find = "find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum";
    process::output(Command::new("sh").current_dir(root).args(["-c", find]))
}

/// In the form of Debian's machine-readable copyright files.
fn copyright(release: &Release<'_>) -> Result<String> {
    let mut mit = String::new();
    for line in release.tree.read("LICENSE-MIT")?.lines() {
        mit.push_str(if line.is_empty() { " ." } else { " " });
        mit.push_str(line);
        mit.push('\n');
    }
    Ok(format!(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\
         Source: {}\n\
         \n\
         Files: *\n\
         Copyright: 2026 The sandboxd authors\n\
         License: Apache-2.0 or MIT\n\
         \n\
         License: Apache-2.0\n \
         On Debian systems the text is in /usr/share/common-licenses/Apache-2.0.\n\
         \n\
         License: MIT\n{mit}",
        env!("CARGO_PKG_REPOSITORY"),
    ))
}
