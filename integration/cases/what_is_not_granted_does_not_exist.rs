//! What is not granted does not exist inside, whichever way it is named.

use anyhow::Result;
use nix::errno::Errno;
use sandboxd_integration::{By, Case, Inside, Outside};
use std::fs;
use std::path::Path;

pub(crate) const CASE: Case = Case {
    rows: &["F01", "F02", "F03", "F10"],
    outside,
    probes: &[("look", look)],
    by: By::Anybody,
    ..Case::NEW
};

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let canary = outside.canary("secret")?;
    std::os::unix::fs::symlink(canary.path(), ws.join("link"))?;
    let profile = format!("extends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\n");
    let secret = canary.path().to_string_lossy().into_owned();
    let run = outside
        .sandbox(&profile)
        .probe("look", &[&secret, ws.to_str().unwrap_or_default()])
        .run()?;
    run.ran()?.keeps(&canary)?.allowed("own")?;
    for attempt in ["open", "stat", "climb", "link", "shadow"] {
        run.refused(attempt, &[Errno::ENOENT])?;
    }
    canary.unchanged()
}

fn look(inside: &Inside) -> Result<()> {
    let (secret, ws) = (inside.path(0)?, inside.path(1)?);
    inside.attempt("own", fs::write(ws.join("own"), "x"));
    let read = |what: &str, path: &Path| {
        if let Some(text) = inside.attempt(what, fs::read_to_string(path)) {
            inside.fact(what, &text);
        }
    };
    read("open", secret);
    inside.attempt("stat", fs::symlink_metadata(secret));
    let climb = format!("{}{}", "../".repeat(40), secret.strip_prefix("/")?.display());
    read("climb", &ws.join(climb));
    read("link", &ws.join("link"));
    read("shadow", Path::new("/etc/shadow"));
    Ok(())
}
