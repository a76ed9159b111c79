//! A profile that others can write, that belongs to somebody else, or that lies in a tree which it
//! lets the command write, is refused; one that merely lies in the folder is never picked up.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::outside::OWNER;
use sandboxd_integration::{By, Case, Outside, Run};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;

pub(crate) const CASE: Case = Case { rows: &["E25"], outside, by: By::Anybody, ..Case::NEW };

const PLAIN: &str = "extends = [\"builtin:base\"]\n";

fn outside(outside: &Outside) -> Result<()> {
    let dir = outside.dir().join("profiles");
    fs::create_dir(&dir)?;
    for (mode, works) in [(0o644, true), (0o664, false), (0o646, false), (0o666, false)] {
        let path = written(&dir.join(format!("{mode:o}.toml")), PLAIN)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        let run = with(outside, &path)?;
        let judged = if works { run.exited(0) } else { run.has_problem(&["mode", "write"]) };
        judged.with_context(|| format!("mode {mode:o}"))?;
    }
    // Only root can give a file away.
    if !outside.is_user() {
        let foreign = written(&dir.join("foreign.toml"), PLAIN)?;
        chown(&foreign, Some(OWNER), Some(OWNER))?;
        with(outside, &foreign)?.has_problem(&["uid 1000"])?;
    }

    let ws = outside.workspace()?;
    let own = written(&ws.join("agent.toml"), &format!("{PLAIN}[files]\nwrite = [{ws:?}]\n"))?;
    with(outside, &own)?.not_started()?;
    let above = outside.dir().join("ws/sub");
    fs::create_dir(&above)?;
    let base = written(&above.join("base.toml"), PLAIN)?;
    let extending = format!("extends = [{base:?}]\n[files]\nwrite = [{ws:?}]\n");
    let extending = written(&dir.join("extending.toml"), &extending)?;
    with(outside, &extending)?.not_started().context("what it extends lies in the workspace")?;
    // The same by another name of the folder.
    std::os::unix::fs::symlink(&ws, outside.dir().join("alias"))?;
    with(outside, &outside.dir().join("alias/agent.toml"))?.not_started().context("by a link")?;

    nothing_is_picked_up(outside, &ws)
}

/// Names that other tools look for; each would grant what the default does not.
fn nothing_is_picked_up(outside: &Outside, ws: &Path) -> Result<()> {
    let canary = outside.canary("elsewhere/secret")?;
    let folder = outside.dir().join("elsewhere");
    let widening = format!("{PLAIN}[files]\nread = [{folder:?}]\n");
    for name in
        ["sandboxd.toml", ".sandboxd.toml", "agent.toml", "profile.toml", "builtin:untrusted"]
    {
        written(&ws.join(name), &widening)?;
    }
    fs::create_dir(ws.join(".sandboxd"))?;
    written(&ws.join(".sandboxd/profile.toml"), &widening)?;
    let words = ["/bin/cat", &canary.path().to_string_lossy()].map(str::to_owned);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let run = outside.bare().cwd(ws).command(&words).run()?;
    run.keeps(&canary)?;
    ensure!(run.exit() == Some(1), "cat ended with {}", run.status);
    Ok(())
}

fn with(outside: &Outside, profile: &Path) -> Result<Run> {
    outside.bare().option("--profile").option(profile).command(&["/bin/true"]).run()
}

fn written(path: &Path, text: &str) -> Result<std::path::PathBuf> {
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))?;
    Ok(path.to_owned())
}
