//! Man pages and completions, printed by the built `sandboxd` itself, so that they cannot say
//! anything else than the program does.

use super::Pages;
use crate::{process, tree::Tree};
use anyhow::{Context as _, Result, ensure};
use std::{fs, path::Path, process::Command};

/// The shells, and the name of the file each of them looks for.
const SHELLS: &[(&str, &str)] =
    &[("bash", "sandboxd.bash"), ("fish", "sandboxd.fish"), ("zsh", "_sandboxd")];

pub(super) fn add(tree: &Tree, pages: &mut Pages) -> Result<()> {
    let sandboxd = tree.release()?;
    for (shell, file) in SHELLS {
        let text = process::output(Command::new(&sandboxd).args(["completions", shell]))?;
        ensure!(text.contains("sandboxd"), "the completions for {shell} are empty");
        pages.insert(format!("docs/completions/{file}"), text);
    }
    manual(&sandboxd, &tree.target.join("xtask-man"), pages)
}

fn manual(sandboxd: &Path, folder: &Path, pages: &mut Pages) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    process::run(Command::new(sandboxd).arg("man").arg(folder))?;
    let before = pages.len();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let text = fs::read_to_string(entry.path()).context("a man page")?;
        // The generator leaves a blank behind some requests.
        let text: String = text.lines().map(|line| format!("{}\n", line.trim_end())).collect();
        pages.insert(format!("docs/man/{}", entry.file_name().to_string_lossy()), text);
    }
    ensure!(pages.len() > before, "`sandboxd man` wrote nothing");
    Ok(())
}
