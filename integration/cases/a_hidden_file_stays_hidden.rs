//! A hidden file inside a writable tree cannot be read, changed, moved or reached by another name, and where its folder
//! is shown a second time, it is hidden there too. A folder is not hidden while a file in it has a name outside of it.

use anyhow::{Result, ensure};
use sandboxd_integration::{By, Case, Inside, Outside};
use std::fs;
use std::path::Path;

pub(crate) const CASE: Case = Case {
    rows: &["F17", "F19"],
    outside,
    probes: &[("reveal", reveal)],
    by: By::Anybody,
    ..Case::NEW
};

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let canary = outside.canary("ws/.env")?;
    let profile = format!(
        "extends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\nhide = [{:?}]\nbind = [{{ from = {ws:?}, to = \"/second\" }}]\n",
        canary.path()
    );
    let run =
        outside.sandbox(&profile).probe("reveal", &[ws.to_str().unwrap_or_default()]).run()?;
    run.ran()?.keeps(&canary)?;
    for attempt in ["remove", "rename", "replace", "link", "write"] {
        ensure!(run.errno(attempt)? != 0, "{attempt}: was let through");
    }
    canary.unchanged()?;
    a_folder_hides_what_has_no_name_outside_of_it(outside, &ws)
}

fn a_folder_hides_what_has_no_name_outside_of_it(outside: &Outside, ws: &Path) -> Result<()> {
    let secret = outside.file("ws/folder/deep/secret", "SECRET\n")?;
    let folder = ws.join("folder");
    let other = ws.join("other");
    let run = || {
        let profile = format!(
            "extends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\nhide = [{folder:?}]\n"
        );
        let script = format!("cat {other:?} {secret:?}; true");
        outside.sandbox(&profile).command(&["/bin/sh", "-c", &script]).run()
    };
    fs::hard_link(&secret, folder.join("second"))?;
    let within = run()?;
    within.exited(0)?;
    fs::hard_link(&secret, &other)?;
    let outside_of_it = run()?;
    for run in [&within, &outside_of_it] {
        ensure!(!run.stdout.contains("SECRET"), "it was read: {}", run.stdout);
    }
    outside_of_it.not_started()?.has_problem(&["profile.toml:", "folder/", "hard link"])?;
    Ok(())
}

fn reveal(inside: &Inside) -> Result<()> {
    let ws = inside.path(0)?;
    let hidden = ws.join(".env");
    // Whether it opens as an empty file or not at all is the product's choice; what stands in it is
    // the observer's to look for.
    if let Some(text) = inside.attempt("read", fs::read_to_string(&hidden)) {
        inside.fact("text", &text);
    }
    inside.attempt("remove", fs::remove_file(&hidden));
    inside.attempt("rename", fs::rename(&hidden, ws.join("moved")));
    fs::write(ws.join("mine"), "mine")?;
    inside.attempt("replace", fs::rename(ws.join("mine"), &hidden));
    inside.attempt("link", fs::hard_link(&hidden, ws.join("linked")));
    inside.attempt("write", fs::write(&hidden, "mine"));
    for name in ["moved", "linked"] {
        if let Ok(text) = fs::read_to_string(ws.join(name)) {
            inside.fact(name, &text);
        }
    }
    ensure!(fs::read_dir("/second")?.count() > 0, "it is not shown a second time");
    if let Some(text) = inside.attempt("second", fs::read_to_string("/second/.env")) {
        inside.fact("text of the second", &text);
    }
    Ok(())
}
