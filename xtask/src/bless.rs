//! `cargo xtask bless`: the golden files become what the code says now. Review the difference.

use crate::{process, tree::Tree};
use anyhow::Result;

/// The tests of the packages that keep golden files rewrite them when this is set.
const BLESS: &str = "SANDBOXD_BLESS";

pub(crate) fn run(tree: &Tree) -> Result<()> {
    process::run(
        process::cargo(&tree.root)
            .args(["test", "--workspace", "--exclude", "sandboxd-shim"])
            .env(BLESS, "1"),
    )
}
