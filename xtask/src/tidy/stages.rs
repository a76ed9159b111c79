//! Whoever is told a stage finds it in the page on troubleshooting.

use super::Finding;
use crate::tree::Tree;
use anyhow::Result;
use sandboxd_plan::Stage;

const PAGE: &str = "docs/book/troubleshooting.md";

pub(super) fn check(tree: &Tree, found: &mut Vec<Finding>) -> Result<()> {
    let page = tree.read(PAGE)?;
    for stage in Stage::ALL {
        let heading = format!("## Stage `{}`", stage.name());
        if !page.lines().any(|line| line == heading) {
            found.push(Finding::new("stages", PAGE, format!("it has no heading {heading:?}")));
        }
    }
    Ok(())
}
