//! `xtask/vm/kernels.toml`: the kernels, and what each must offer.

use crate::tree::Tree;
use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

pub(super) const FOLDER: &str = "xtask/vm";
const FILE: &str = "xtask/vm/kernels.toml";

/// All kernels.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Matrix {
    /// Debian packages in the root file system of every guest.
    pub(super) packages: Vec<String>,
    #[serde(rename = "kernel")]
    kernels: Vec<Kernel>,
}

/// A kernel, what it is booted with and what it must offer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kernel {
    pub(super) name: String,
    /// Which one it is, in words.
    pub(super) what: String,
    /// The suite of Debian that has it.
    pub(super) suite: String,
    /// Its package; `*` stands for anything, and takes the newest that is named so.
    pub(super) package: String,
    /// The suite of the root file system.
    pub(super) root: String,
    /// Packages in the root file system beside those that every guest has.
    #[serde(default)]
    pub(super) programs: Vec<String>,
    /// Added to the kernel's command line.
    #[serde(default)]
    pub(super) command_line: String,
    /// Only these cases; all of them where there is none.
    #[serde(default)]
    pub(super) cases: Vec<String>,
    /// What of it is part of the short run; nothing where it is not said.
    pub(super) short: Option<Short>,
    pub(super) offers: Offers,
}

/// The part that CI runs: what no other kernel than this one shows.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Short {
    /// As root.
    pub(super) cases: Vec<String>,
    /// As the ordinary user, who has a login session.
    #[serde(default)]
    pub(super) users_cases: Vec<String>,
    /// Whether the Debian package is installed, used and removed here.
    #[serde(default)]
    pub(super) package: bool,
}

/// What a kernel must offer, as the harness tells it (`facts`).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Offers {
    /// How its release begins.
    pub(super) release: String,
    /// The ABI; 0 where a sandbox must find none.
    pub(super) landlock: Option<i64>,
    /// The least ABI, of a kernel that is replaced by newer ones.
    pub(super) landlock_or_newer: Option<i64>,
    pub(super) cgroups: String,
    pub(super) controllers: Vec<String>,
    pub(super) memfd_noexec: bool,
    pub(super) pidfd_process_group: bool,
    pub(super) systemd: u32,
}

impl Matrix {
    pub(super) fn read(tree: &Tree) -> Result<Self> {
        toml::from_str(&tree.read(FILE)?).context(FILE)
    }

    /// The packages of a root file system, as mmdebstrap takes them.
    pub(super) fn programs(&self, kernel: &Kernel) -> String {
        let packages: Vec<&str> =
            self.packages.iter().chain(&kernel.programs).map(String::as_str).collect();
        packages.join(",")
    }

    /// The kernels that have a part in the short run.
    pub(super) fn short(&self) -> Vec<&Kernel> {
        self.kernels.iter().filter(|kernel| kernel.short.is_some()).collect()
    }

    /// The kernels of these names; all of them where there is no name.
    pub(super) fn named(&self, names: &[String]) -> Result<Vec<&Kernel>> {
        for name in names {
            let known: Vec<&str> = self.kernels.iter().map(|one| one.name.as_str()).collect();
            ensure!(
                known.contains(&name.as_str()),
                "no kernel is named {name:?}; {FILE} has {}",
                known.join(", ")
            );
        }
        Ok(self
            .kernels
            .iter()
            .filter(|kernel| names.is_empty() || names.contains(&kernel.name))
            .collect())
    }
}
