//! An empty list grants nothing, and taking entries out of a profile never allows more than before.

use anyhow::{Result, ensure};
use nix::errno::Errno;
use sandboxd_integration::{By, Canary, Case, Inside, Need, Outside};
use std::collections::BTreeSet;
use std::fs;

pub(crate) const CASE: Case = Case {
    rows: &["E17", "E28"],
    // The profiles extend nothing, and so waive nothing.
    needs: &[Need::Landlock(6)],
    seconds: 120,
    outside,
    probes: &[("look", look)],
    by: By::Anybody,
};

/// Folders, and what each profile in turn has left of them.
const FOLDERS: &[&str] = &["a", "a/b", "a/b/c", "d", "d/e"];
const PROFILES: &[[&[&str]; 3]] = &[
    // read, write, hide
    [&["a", "d/e"], &["a/b", "d"], &["a/b/c"]],
    [&["a", "d/e"], &["a/b"], &["a/b/c"]],
    [&["a"], &["a/b"], &["a/b/c"]],
    [&["a"], &[], &["a/b/c"]],
    [&["a/b"], &[], &["a/b/c"]],
    [&[], &[], &[]],
];
/// The order in which the probe tries; what the kernel must let through for each profile.
const LET_THROUGH: &[&[&str]] = &[
    &["read a", "read a/b", "read d", "read d/e", "write a/b", "write d"],
    &["read a", "read a/b", "read d/e", "write a/b"],
    &["read a", "read a/b", "write a/b"],
    &["read a", "read a/b"],
    &["read a/b"],
    &[],
];

fn outside(outside: &Outside) -> Result<()> {
    let mut canaries = Vec::new();
    for folder in FOLDERS {
        outside.file(&format!("ws/{folder}/secret"), "")?;
        outside.file(&format!("ws/{folder}/note"), "")?;
        canaries.push(outside.canary(&format!("ws/{folder}/secret"))?);
    }
    let ws = outside.workspace()?;
    let list = |names: &[&str]| {
        let paths: Vec<_> = names.iter().map(|name| format!("{:?}", ws.join(name))).collect();
        format!("[{}]", paths.join(", "))
    };
    let mut before: Option<BTreeSet<String>> = None;
    for ([read, write, hide], wanted) in PROFILES.iter().zip(LET_THROUGH) {
        let profile = format!(
            "[files]\nexecute = [\"/usr\"]\nread = {}\nwrite = {}\nhide = {}\n\
             [env]\npass = []\n[syscalls]\nallow = []\n",
            list(read),
            list(write),
            list(hide)
        );
        let words = [ws.to_str().unwrap_or_default()];
        let run = outside.sandbox(&profile).env("SECRET", "x").probe("look", &words).run()?;
        let through: BTreeSet<String> = run
            .ran()?
            .attempts()
            .filter(|(_, errno)| *errno == 0)
            .map(|(what, _)| what.to_owned())
            .collect();
        let wanted: BTreeSet<String> = wanted.iter().map(|&what| what.to_owned()).collect();
        ensure!(through == wanted, "let through {through:?}, not {wanted:?}, by\n{profile}");
        if let Some(before) = &before {
            ensure!(through.is_subset(before), "{through:?} is more than {before:?}");
        }
        agree(&canaries, &through, &run)?;
        ensure!(run.fact("environment")?.is_empty(), "SECRET came in");
        before = Some(through);
    }
    // Nothing at all: not even a program.
    let nothing = "[files]\nexecute = []\nread = []\nwrite = []\n";
    let run = outside.sandbox(nothing).command(&["/bin/true"]).run()?;
    ensure!(run.exit().is_some_and(|exit| exit == 127 || exit == 125), "{}", run.status);
    // No room is no room, and not all there is.
    let run = outside
        .sandbox("[files]\nexecute = [\"/usr\"]\ntmp = \"0\"\n")
        .probe("look", &[ws.to_str().unwrap_or_default(), "tmp"])
        .run()?;
    run.ran()?.refused("tmp", &[Errno::EROFS, Errno::EACCES, Errno::ENOENT, Errno::ENOSPC])?;
    Ok(())
}

/// What came out is what was let through; the secrets were read by nobody else.
fn agree(
    canaries: &[Canary],
    through: &BTreeSet<String>,
    run: &sandboxd_integration::Run,
) -> Result<()> {
    for (folder, canary) in FOLDERS.iter().zip(canaries) {
        let told = run.stdout.contains(canary.secret());
        let allowed = through.contains(&format!("read {folder}"));
        ensure!(told == allowed, "{folder}: told {told}, allowed {allowed}");
        canary.unchanged()?;
    }
    Ok(())
}

fn look(inside: &Inside) -> Result<()> {
    let ws = inside.path(0)?;
    for folder in FOLDERS {
        let folder_of = ws.join(folder);
        let read = fs::read_to_string(folder_of.join("secret"));
        if let Some(text) = inside.attempt(&format!("read {folder}"), read) {
            inside.fact(folder, &text);
        }
        // Not by making a file in a folder of the sandbox's own on the way there.
        let opened = fs::OpenOptions::new().write(true).open(folder_of.join("note"));
        inside.attempt(&format!("write {folder}"), opened);
    }
    if inside.argument(1).is_ok() {
        inside.attempt("tmp", fs::write("/tmp/x", "x"));
    }
    inside.fact("environment", &std::env::var("SECRET").unwrap_or_default());
    Ok(())
}
