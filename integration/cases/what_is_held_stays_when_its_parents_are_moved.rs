//! What is hidden or read-only deep in a workspace stays so, whatever is done to the folders above
//! it, and whoever races for it.

use anyhow::{Result, ensure};
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use sandboxd_integration::{By, Case, Inside, Outside};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// The mount view alone promises this: Landlock cannot take away inside what it gives.
pub(crate) const CASE: Case = Case {
    rows: &["F16", "F17", "F19", "E7"],
    outside,
    probes: &[("undo", undo), ("race", race)],
    by: By::Anybody,
    ..Case::NEW
};

/// How often the racing probe looks.
const LOOKS: u32 = 200_000;

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    // The owner's own, which the sandbox's user acts as: what refuses is not who owns them.
    for file in ["down/.env", "keys/.ssh/id", "fixed/notes"] {
        outside.file(&format!("ws/deep/{file}"), "")?;
    }
    let secrets = [outside.canary("ws/deep/down/.env")?, outside.canary("ws/deep/keys/.ssh/id")?];
    let fixed = outside.canary("ws/deep/fixed/notes")?;
    let profile = format!(
        "extends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\nread = [{:?}]\nhide = [{:?}, {:?}]\n",
        ws.join("deep/fixed"),
        ws.join("deep/down/.env"),
        ws.join("deep/keys/.ssh"),
    );
    let words = [ws.to_str().unwrap_or_default()];
    let run = outside.sandbox(&profile).probe("undo", &words).run()?;
    run.ran()?.all_refused()?;
    let raced = outside.sandbox(&profile).probe("race", &words).run()?;
    let looked: u32 = raced.ran()?.fact("looked")?.parse()?;
    ensure!(looked == LOOKS, "looked {looked} times");
    ensure!(raced.fact("unexpected").is_err(), "{}", raced.fact("unexpected")?);
    for run in [&run, &raced] {
        run.keeps(&secrets[0])?.keeps(&secrets[1])?;
    }
    for canary in secrets.iter().chain([&fixed]) {
        canary.unchanged()?;
    }
    Ok(())
}

fn undo(inside: &Inside) -> Result<()> {
    let ws = inside.path(0)?;
    fs::create_dir(ws.join("other"))?;
    fs::write(ws.join("mine"), "mine")?;
    for path in ["deep", "deep/down", "deep/down/.env", "deep/keys", "deep/keys/.ssh", "deep/fixed"]
    {
        let at = ws.join(path);
        inside.attempt(&format!("move {path}"), fs::rename(&at, ws.join("moved")));
        inside.attempt(&format!("swap {path}"), swap(&at, &ws.join("other")));
        inside.attempt(&format!("swap file {path}"), swap(&at, &ws.join("mine")));
        inside.attempt(&format!("replace {path}"), fs::rename(ws.join("other"), &at));
        inside.attempt(&format!("remove {path}"), fs::remove_dir(&at));
        inside.attempt(&format!("unlink {path}"), fs::remove_file(&at));
    }
    inside.attempt("link .env", fs::hard_link(ws.join("deep/down/.env"), ws.join("env")));
    let notes = ws.join("deep/fixed/notes");
    inside.attempt("write", fs::write(&notes, "mine"));
    inside.attempt("truncate", nix::unistd::truncate(&notes, 0));
    inside.attempt("link", fs::hard_link(&notes, ws.join("notes")));
    inside.attempt("take", fs::rename(&notes, ws.join("notes")));
    inside.attempt("swap", swap(&notes, &ws.join("mine")));
    inside.attempt("plant", fs::write(ws.join("deep/fixed/new"), "mine"));
    inside.attempt("plant in .ssh", fs::write(ws.join("deep/keys/.ssh/id"), "mine"));
    for path in ["deep/down/.env", "deep/keys/.ssh/id"] {
        if let Ok(text) = fs::read_to_string(ws.join(path)) {
            inside.fact("read", &text);
        }
    }
    Ok(())
}

/// One thread makes a link point here and there and moves what it can, another reads through it.
fn race(inside: &Inside) -> Result<()> {
    let ws = inside.path(0)?;
    fs::write(ws.join("plain"), "plain")?;
    let over = AtomicBool::new(false);
    let mut seen: Option<String> = None;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                for target in ["plain", "deep/down/.env", "deep/keys/.ssh/id"] {
                    let made = symlink(target, ws.join("next"))
                        .and_then(|()| fs::rename(ws.join("next"), ws.join("link")));
                    let moved = fs::rename(ws.join("deep"), ws.join("deep2"));
                    if made.is_err() || moved.is_ok() {
                        inside.fact("unexpected", &format!("{made:?} {moved:?}"));
                        return;
                    }
                }
            }
        });
        let mut looked = 0;
        for _ in 0..LOOKS {
            let read = fs::read_to_string(ws.join("link")).unwrap_or_default();
            if !matches!(read.as_str(), "" | "plain") {
                seen = Some(read);
            }
            looked += 1;
        }
        over.store(true, Ordering::Relaxed);
        inside.fact("looked", &looked.to_string());
    });
    if let Some(text) = seen {
        inside.fact("seen", &text);
    }
    Ok(())
}

fn swap(one: &Path, other: &Path) -> nix::Result<()> {
    renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE)
}
