//! The state of sandboxd and what it writes can be read by nobody else, whatever the umask, and a
//! state directory that others can enter is refused.

use anyhow::{Result, ensure};
use nix::sys::stat::{Mode, umask};
use sandboxd_integration::{Case, Outside};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

pub(crate) const CASE: Case = Case { rows: &["X07", "E21"], outside, ..Case::NEW };

fn outside(outside: &Outside) -> Result<()> {
    umask(Mode::empty());
    // umask(2) 0 makes the harness's own profile file writable for all, hence the builtin.
    let run = || outside.bare().option("--profile=builtin:base").command(&["/bin/true"]);
    let whole = run().run()?;
    private(&whole.exited(0)?.folder().join("receipt"), 0o600)?;
    for path in ["/run/sandboxd", "/run/sandboxd/uids"] {
        private(Path::new(path), 0o700)?;
    }
    for entry in fs::read_dir("/run/sandboxd/uids")? {
        private(&entry?.path(), 0o600)?;
    }
    for (path, mode) in [("/run/sandboxd", 0o755), ("/run/sandboxd/uids", 0o777)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        let refused = run().run()?;
        refused.not_started()?;
        ensure!(refused.stderr.contains(path) && refused.stderr.contains("remedy"), "no remedy");
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

fn private(path: &Path, mode: u32) -> Result<()> {
    let found = fs::symlink_metadata(path)?;
    let (has, owner) = (found.mode() & 0o7777, found.uid());
    ensure!(has == mode && owner == 0, "{}: mode {has:o}, owner {owner}", path.display());
    Ok(())
}
