//! The programs that prepare and boot a machine.

use anyhow::{Result, ensure};
use std::{collections::BTreeSet, env, path::Path};

/// A program, and the Debian package it comes in.
const PROGRAMS: &[(&str, &str)] = &[
    ("apt-cache", "apt"),
    ("apt-get", "apt"),
    ("bash", "bash"),
    ("dpkg", "dpkg"),
    ("flock", "util-linux"),
    ("mke2fs", "e2fsprogs"),
    ("mmdebstrap", "mmdebstrap"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("setpriv", "util-linux"),
    ("sha256sum", "coreutils"),
    ("tar", "tar"),
    ("timeout", "coreutils"),
    ("unshare", "util-linux"),
    ("xz", "xz-utils"),
];

/// What Debian signs its packages with, and the package it comes in.
pub(super) const KEYS: (&str, &str) =
    ("/usr/share/keyrings/debian-archive-keyring.gpg", "debian-archive-keyring");

/// Whether everything is there; what is not is named with what to install.
pub(super) fn look() -> Result<()> {
    let mut missing: BTreeSet<&str> = PROGRAMS
        .iter()
        .filter(|(program, _)| !is_there(program))
        .map(|(_, package)| *package)
        .collect();
    if !Path::new(KEYS.0).exists() {
        missing.insert(KEYS.1);
    }
    let missing: Vec<&str> = missing.into_iter().collect();
    ensure!(
        missing.is_empty(),
        "a machine cannot be made without {0}: apt-get install --no-install-recommends {1}",
        missing.join(", "),
        missing.join(" ")
    );
    Ok(())
}

fn is_there(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
