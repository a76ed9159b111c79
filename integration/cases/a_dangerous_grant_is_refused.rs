//! A profile that would hand over the host, its kernel, its services or sandboxd itself is refused,
//! and so is one that the command itself could rewrite.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Outside};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

pub(crate) const CASE: Case =
    Case { rows: &["X04", "E17", "E25"], outside, by: By::Anybody, ..Case::NEW };

/// With a reason beside it, these are refused all the same.
const NEVER: &[(&str, &str)] = &[
    ("read", "/"),
    ("write", "/"),
    ("execute", "/"),
    ("read", "/proc"),
    ("read", "/proc/1"),
    ("read", "/dev"),
    ("write", "/dev/shm"),
    ("write", "/sys"),
    ("write", "/sys/fs/cgroup"),
    ("execute", "/sys"),
    ("read", "/run/sandboxd"),
    ("read", "/run/sandboxd/uids"),
    ("write", "/run"),
    ("read", "/run"),
    ("read", "/var/run/sandboxd"),
    ("write", "/etc"),
    ("write", "/usr"),
    ("write", "/bin"),
    ("write", "/lib"),
    ("write", "/boot"),
];

/// These want one.
const REASONED: &[(&str, &str)] = &[
    ("read", "/sys"),
    ("write", "/etc/ssl"),
    ("write", "/usr/local"),
    ("read", "/tmp"),
    ("write", "/home"),
    ("read", "/root"),
];

fn outside(outside: &Outside) -> Result<()> {
    let profile = |files: &str| format!("extends = [\"builtin:base\"]\n[files]\n{files}\n");
    let run = |files: &str| outside.sandbox(&profile(files)).command(&["/bin/echo", "ran"]).run();
    // Also makes sandboxd's own folders, which some of these name.
    run("")?.exited(0)?;
    let mut looked = 0;
    for (access, path) in NEVER.iter().filter(|(_, path)| fs::metadata(path).is_ok()) {
        run(&format!("{access} = [{{ path = {path:?}, reason = \"a test\" }}]"))
            .and_then(|run| run.has_problem(&["profile.toml:3:"]).map(drop))
            .with_context(|| format!("{access} {path}"))?;
        let bind =
            format!("{{ from = {path:?}, to = \"/x\", access = {access:?}, reason = \"a test\" }}");
        run(&format!("bind = [{bind}]"))
            .and_then(|run| run.has_problem(&["profile.toml:3:"]).map(drop))
            .with_context(|| format!("bind {access} {path}"))?;
        looked += 1;
    }
    for (access, path) in REASONED.iter().filter(|(_, path)| fs::metadata(path).is_ok()) {
        run(&format!("{access} = [{path:?}]"))
            .and_then(|run| run.has_problem(&["profile.toml:3:", path]).map(drop))
            .with_context(|| format!("{access} {path}"))?;
        looked += 1;
    }
    ensure!(looked > 20, "this host has only {looked} of the paths");
    // What sandboxd makes inside cannot be covered.
    for to in ["/", "/proc", "/proc/self", "/dev", "/dev/null", "/run/sandboxd"] {
        run(&format!("bind = [{{ from = \"/usr/share\", to = {to:?} }}]"))
            .and_then(|run| run.has_problem(&["profile.toml:3:"]).map(drop))
            .with_context(|| format!("to {to}"))?;
    }
    rewritable(outside)
}

/// Profiles in reach of the command, or of others than root.
fn rewritable(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let path = ws.join("agent.toml");
    let run = |text: &str| {
        fs::write(&path, text)?;
        let option = path.display().to_string();
        let run = outside.bare().option("--profile").option(option);
        run.command(&["/bin/echo", "ran"]).run()
    };
    let plain = "extends = [\"builtin:base\"]\n";
    run(&format!("{plain}[files]\nwrite = [{ws:?}]\n"))?.has_problem(&["agent.toml"])?;
    let below =
        format!("{plain}[files]\nbind = [{{ from = \".\", to = \"/w\", access = \"write\" }}]\n");
    run(&below)?.has_problem(&["agent.toml"])?;
    run(plain)?.exited(0)?;
    for mode in [0o664, 0o646, 0o666] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        run(plain)?.has_problem(&["agent.toml"]).with_context(|| format!("{mode:o}"))?;
    }
    Ok(())
}
