//! The state of `sandboxd` is its own: `/run/sandboxd` with mode 0700 and files of 0600, a receipt of
//! 0600, and nothing of it shown inside or granted; one that somebody else could look into or replace
//! starts nothing.

use anyhow::{Result, ensure};
use nix::errno::Errno;
use sandboxd_integration::outside::OWNER;
use sandboxd_integration::{Case, Inside, Outside};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::Path;

pub(crate) const CASE: Case =
    Case { rows: &["X07", "X04", "X08"], outside, probes: &[("look", look)], ..Case::NEW };

const STATE: &str = "/run/sandboxd";
const UIDS: &str = "/run/sandboxd/uids";
const SETTINGS: &str = "/etc/sandboxd/config.toml";

fn outside(outside: &Outside) -> Result<()> {
    let profile = "extends = [\"builtin:base\"]\n";
    let run = outside.sandbox(profile).probe("look", &[]).run()?;
    run.ran()?.all_refused()?;
    for attempt in ["state", "leases", "settings"] {
        run.refused(attempt, &[Errno::ENOENT, Errno::EACCES])?;
    }
    // In view they are shut by their mode.
    fs::set_permissions(SETTINGS, fs::Permissions::from_mode(0o600))?;
    let shown = format!("{profile}[files]\nread = [\"/etc/sandboxd\"]\n");
    let run = outside.sandbox(&shown).probe("look", &[]).run()?;
    run.ran()?.refused("settings", &[Errno::EACCES])?;
    let mut files = 0;
    own(Path::new(STATE), &mut files)?;
    ensure!(files > 1, "only {files} files in {STATE}");
    let receipt = fs::metadata(outside.dir().join("run-1/receipt"))?;
    ensure!(receipt.mode() & 0o777 == 0o600, "the receipt's mode is {:o}", receipt.mode());

    for (key, path) in [("read", "/run/sandboxd"), ("read", "/run"), ("write", UIDS)] {
        let asking = format!("{profile}[files]\n{key} = [{path:?}]\n");
        let run = outside.sandbox(&asking).command(&["/bin/true"]).run()?;
        run.has_problem(&["/run/sandboxd"])?;
    }
    spoiled(outside, profile)
}

fn own(folder: &Path, files: &mut u32) -> Result<()> {
    let found = fs::symlink_metadata(folder)?;
    ensure!(
        found.uid() == 0 && found.mode() & 0o7777 == 0o700,
        "{} has mode {:o}",
        folder.display(),
        found.mode()
    );
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let found = fs::symlink_metadata(&path)?;
        if found.is_dir() {
            own(&path, files)?;
            continue;
        }
        *files += 1;
        ensure!(
            found.uid() == 0 && found.mode() & 0o7777 == 0o600,
            "{} has mode {:o}",
            path.display(),
            found.mode()
        );
    }
    Ok(())
}

/// What somebody else might have made of it.
fn spoiled(outside: &Outside, profile: &str) -> Result<()> {
    let refused = |what: &str| -> Result<()> {
        let run = outside.sandbox(profile).command(&["/bin/echo", "ran"]).run()?;
        run.not_started()?;
        ensure!(run.stderr.contains(UIDS), "{what}: the message names no place: {}", run.stderr);
        ensure!(run.stderr.contains("  remedy  "), "{what}: no remedy");
        Ok(())
    };
    fs::set_permissions(UIDS, fs::Permissions::from_mode(0o755))?;
    refused("open to all")?;
    fs::set_permissions(UIDS, fs::Permissions::from_mode(0o700))?;
    chown(UIDS, Some(OWNER), Some(OWNER))?;
    refused("another's")?;
    chown(UIDS, Some(0), Some(0))?;
    fs::rename(UIDS, "/run/sandboxd/aside")?;
    symlink("/run/sandboxd/aside", UIDS)?;
    refused("a link")?;
    fs::remove_file(UIDS)?;
    fs::rename("/run/sandboxd/aside", UIDS)?;
    outside.sandbox(profile).command(&["/bin/true"]).run()?.exited(0)?;
    Ok(())
}

fn look(inside: &Inside) -> Result<()> {
    inside.attempt("state", fs::read_dir(STATE));
    inside.attempt("leases", fs::read_dir(UIDS));
    inside.attempt("settings", fs::read(SETTINGS));
    Ok(())
}
