//! Where what the host executes is reached through a link (`.vscode`, `.git/modules/x`), or is one in a folder of it
//! (`.git/hooks/pre-commit`), what the link leads to is kept where it lies, the link is named at the end, as is one that comes into being, and `protect = "strict"` does not start.

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use sandboxd_integration::{By, Case, Inside, Outside, Run};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

pub(crate) const CASE: Case = Case {
    rows: &["F15", "F18", "E5"],
    outside,
    probes: &[("lead", lead)],
    by: By::Anybody,
    ..Case::NEW
};

/// A link, what it leads to, and a file behind it that the host executes.
const LINKS: &[(&str, &str, &str)] = &[
    (".vscode", "conf", "conf/tasks.json"),
    ("sub/.claude", "../agent", "agent/settings.json"),
    // Through another link, and to what is a link itself.
    (".github", "first", "ci/workflows/ci.yml"),
    ("first", "ci", "ci/workflows/ci.yml"),
    (".git/modules/lib", "../../module", "module/hooks/pre-commit"),
    // The whole name.
    (".husky", "scripts", "scripts/pre-push"),
    (".envrc", "conf/envrc", "conf/envrc"),
    // In a folder that is kept, at any depth; and in one that a link leads to.
    (".git/hooks/pre-commit", "../../tools/hook.sh", "tools/hook.sh"),
    ("sub/.husky/deep/pre-push", "../../../tools/h2.sh", "tools/h2.sh"),
    (".circleci/shared", "../parts", "parts/a/b.yml"),
    ("scripts/pre-commit", "../tools/h3.sh", "tools/h3.sh"),
    ("parts/more", "../tools/h4.sh", "tools/h4.sh"),
];

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let mut canaries = Vec::new();
    for (link, leads_to, file) in LINKS {
        outside.file(&format!("ws/{file}"), "mine")?;
        let link = ws.join(link);
        fs::create_dir_all(link.parent().context("no folder")?)?;
        symlink(leads_to, link)?;
    }
    for file in LINKS.iter().map(|(_, _, file)| file).collect::<BTreeSet<_>>() {
        canaries.push(outside.canary(&format!("ws/{file}"))?);
    }
    // Leads back to its own folder, and out of the workspace.
    symlink(".", ws.join(".hg"))?;
    symlink("/etc", ws.join("sub/.vscode"))?;
    symlink("..", ws.join("sub/.husky/up"))?;
    outside.file("ws/sub/free", "")?;
    // To what lies beside it in the same folder.
    fs::create_dir(ws.join(".circleci/again"))?;
    symlink("../shared/a/./b.yml", ws.join(".circleci/again/own"))?;
    let profile = |protect: &str| {
        format!("extends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\nprotect = {protect:?}\n")
    };
    let words = [ws.to_str().unwrap_or_default()];
    let run = outside.sandbox(&profile("default")).probe("lead", &words).run()?;
    run.ran()?.allowed("beside")?.allowed("plant")?.allowed("above a hook")?;
    run.refused("write through a hook", &[Errno::EROFS])?;
    for (_, _, file) in LINKS {
        run.refused(&format!("write {file}"), &[Errno::EROFS])?;
        run.refused(&format!("move away {file}"), &[Errno::EXDEV])?;
    }
    canaries.iter().try_for_each(|canary| canary.unchanged())?;
    links_are_named(&run, &ws)?;
    only_what_is_no_link_is_strict(outside, &ws, &profile("strict"))
}

fn links_are_named(run: &Run, ws: &Path) -> Result<()> {
    let result = run.result.as_ref().context("no result")?;
    let named = result["may_execute"].as_array().context("no may_execute")?;
    let is_named = |name: &str| {
        let path = ws.join(name).display().to_string();
        named.iter().any(|entry| entry.as_str() == Some(&path))
    };
    for name in [
        ".vscode",
        "sub/.claude",
        ".hg",
        "planted/.claude",
        "behind/settings.json",
        ".git/hooks/pre-commit",
        "sub/.husky/deep/pre-push",
        "sub/.husky/up",
        "scripts/pre-commit",
    ] {
        ensure!(is_named(name), "{name} is not named: {named:?}");
    }
    for name in [
        "conf/tasks.json",
        "behind/other",
        "first",
        ".circleci/again/own",
        "tools/hook.sh",
        ".git/hooks",
    ] {
        ensure!(!is_named(name), "{name} is named: {named:?}");
    }
    Ok(())
}

fn only_what_is_no_link_is_strict(outside: &Outside, ws: &Path, strict: &str) -> Result<()> {
    fs::remove_dir_all(ws)?;
    outside.workspace()?;
    outside.file("ws/conf/tasks.json", "mine")?;
    let run = || outside.sandbox(strict).command(&["/bin/true"]).run();
    run()?.exited(0)?;
    symlink("conf", ws.join(".vscode"))?;
    run()?.not_started()?.has_problem(&["profile.toml:", ".vscode", "link"])?;
    fs::remove_file(ws.join(".vscode"))?;
    outside.file("ws/.husky/deep/pre-push", "mine")?;
    symlink("deep/pre-push", ws.join(".husky/pre-push"))?;
    run()?.exited(0)?;
    symlink("../../conf/tasks.json", ws.join(".husky/deep/other"))?;
    run()?.not_started()?.has_problem(&["profile.toml:", ".husky/deep/other", "link"])?;
    Ok(())
}

fn lead(inside: &Inside) -> Result<()> {
    let ws = inside.path(0)?;
    for (_, _, file) in LINKS {
        inside.attempt(&format!("write {file}"), fs::write(ws.join(file), "evil"));
        inside
            .attempt(&format!("move away {file}"), fs::rename(ws.join(file), ws.join("elsewhere")));
    }
    inside.attempt("write through a hook", fs::write(ws.join(".git/hooks/pre-commit"), "evil"));
    inside.attempt("above a hook", fs::write(ws.join("sub/free"), "x"));
    inside.attempt("beside", fs::write(ws.join("conf/other"), "x"));
    let plant = || -> std::io::Result<()> {
        fs::create_dir(ws.join("planted"))?;
        fs::create_dir(ws.join("behind"))?;
        fs::write(ws.join("behind/settings.json"), "evil")?;
        fs::write(ws.join("behind/other"), "x")?;
        symlink("../behind", ws.join("planted/.claude"))
    };
    inside.attempt("plant", plant());
    Ok(())
}
