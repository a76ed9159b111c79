//! A granted path that the sandbox's user cannot reach is served as planned or stops the run: it never
//! costs the other rules.

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use sandboxd_integration::{Case, Fault, Inside, Outside};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};

pub(crate) const CASE: Case =
    Case { rows: &["E4", "C06"], outside, probes: &[("look", look)], ..Case::NEW };

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let canary = outside.canary("secret")?;
    // Of the owner, and of root, both closed to everybody else, below a folder that is closed too.
    let owners = outside.file("closed/owners/file", "served")?;
    let roots = outside.file("closed/roots/file", "root's own")?;
    for path in [&roots, &outside.dir().join("closed/roots"), &outside.dir().join("closed")] {
        chown(path, Some(0), Some(0))?;
    }
    for (path, mode) in [
        ("owners/file", 0o600),
        ("owners", 0o700),
        ("roots/file", 0o600),
        ("roots", 0o700),
        ("", 0o700),
    ] {
        let path = outside.dir().join("closed").join(path);
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    }
    let profile = format!(
        "extends = [\"builtin:base\"]\n[files]\nread = [{:?}, {:?}]\nwrite = [{ws:?}]\n",
        owners.parent().context("no parent")?,
        roots.parent().context("no parent")?,
    );
    let words = [canary.path(), &owners, &roots].map(|path| path.to_str().unwrap_or_default());
    let run = outside.sandbox(&profile).probe("look", &words).run()?;
    run.ran()?.keeps(&canary)?.refused("canary", &[Errno::ENOENT])?;
    run.allowed("owners")?.refused("roots", &[Errno::EACCES])?;
    run.refused("unruled", &[Errno::EACCES])?;
    let receipt = run.receipt.as_ref().context("no receipt")?;
    let layers = receipt["layers"].as_array().context("no layers")?;
    let landlock = layers.iter().find(|layer| layer["name"] == "landlock");
    ensure!(landlock.is_some_and(|layer| layer["state"] == "enforced"), "{landlock:?}");

    // A rule that cannot be added, for whatever reason, is no rule less.
    for errno in [Errno::EACCES, Errno::ENOENT, Errno::EBADFD] {
        let number = std::io::Error::from(errno).raw_os_error().unwrap_or(libc::EIO);
        let fault = Fault::of(libc::SYS_landlock_add_rule, number);
        let run = outside.sandbox(&profile).probe("look", &words).fault(fault).run()?;
        run.failed_in("landlock", "landlock_add_rule", errno)?;
    }
    canary.unchanged()
}

fn look(inside: &Inside) -> Result<()> {
    for (at, what) in ["canary", "owners", "roots"].into_iter().enumerate() {
        if let Some(text) = inside.attempt(what, fs::read_to_string(inside.path(at)?)) {
            inside.fact(what, &text);
        }
    }
    // Its mode allows it to everybody, and the view has it: what refuses is Landlock.
    inside.attempt("unruled", fs::read("/.sandboxd"));
    Ok(())
}
