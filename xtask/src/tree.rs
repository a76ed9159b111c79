//! The checkout: where it is and which files belong to it.

use crate::process;
use anyhow::{Context as _, Result};
use serde::Deserialize;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A checkout of this repository.
pub(crate) struct Tree {
    /// The folder of the workspace's Cargo.toml.
    pub(crate) root: PathBuf,
    /// Where cargo puts what it builds.
    pub(crate) target: PathBuf,
}

#[derive(Deserialize)]
struct Located {
    workspace_root: PathBuf,
    target_directory: PathBuf,
}

impl Tree {
    /// The checkout that this program was started in.
    pub(crate) fn find() -> Result<Self> {
        let here = std::env::current_dir().context("no current folder")?;
        let json = process::output(process::cargo(&here).args([
            "metadata",
            "--format-version=1",
            "--no-deps",
        ]))?;
        let Located { workspace_root: root, target_directory: target } =
            serde_json::from_str(&json).context("cargo metadata")?;
        Ok(Self { root, target })
    }

    /// Builds the product as it ships, which CI does once for whoever asks, and says where it lies.
    pub(crate) fn release(&self) -> Result<PathBuf> {
        process::run(process::cargo(&self.root).args([
            "build",
            "--locked",
            "--release",
            "-psandboxd",
        ]))?;
        Ok(self.released("sandboxd"))
    }

    /// Where the release build of a program lies: below the target that `.cargo/config.toml` names.
    pub(crate) fn released(&self, program: &str) -> PathBuf {
        self.target.join(process::TARGET).join("release").join(program)
    }

    /// Every file that is tracked or would be with the next `git add`, relative to the root and
    /// sorted. A file that was deleted but not yet committed is left out.
    pub(crate) fn files(&self) -> Result<Vec<String>> {
        // A checkout may belong to somebody else than root, who runs the tests; git asks for a word.
        let trusted = format!("safe.directory={}", self.root.display());
        let listed = process::output(Command::new("git").current_dir(&self.root).args([
            "-c",
            &trusted,
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
            "--deduplicate",
        ]))?;
        let mut files: Vec<String> = listed
            .split('\0')
            .filter(|name| !name.is_empty() && self.root.join(name).symlink_metadata().is_ok())
            .map(str::to_owned)
            .collect();
        files.sort();
        Ok(files)
    }

    /// The text of a file of the tree.
    pub(crate) fn read(&self, name: impl AsRef<Path>) -> Result<String> {
        let path = self.root.join(&name);
        fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", name.as_ref().display()))
    }
}
