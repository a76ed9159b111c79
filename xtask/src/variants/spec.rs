//! A variant: a layer, and the words of the source that make it.

use crate::tree::Tree;
use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

/// One file per variant.
pub(super) const FOLDER: &str = "xtask/break";

/// A product without one layer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Spec {
    /// The name of its file.
    pub(super) name: String,
    /// What is taken out, in words.
    pub(super) layer: String,
    /// The cases that must notice, by name. They alone are run, unless others are asked for.
    pub(super) cases: Vec<String>,
    /// The cases that must not notice, because another layer keeps their promise alone.
    #[serde(default)]
    pub(super) still: Vec<String>,
    /// All of them together take the layer out.
    pub(super) edit: Vec<Edit>,
}

/// Words of one file and what stands there instead.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Edit {
    /// Relative to the root of the tree.
    pub(super) file: String,
    find: String,
    replace: String,
}

impl Spec {
    /// What it is called where people read.
    pub(super) fn title(&self) -> String {
        format!("{} (without {})", self.name, self.layer)
    }

    /// The cases that say whether it is noticed.
    pub(super) fn named(&self) -> Vec<String> {
        self.cases.iter().chain(&self.still).cloned().collect()
    }
}

impl Edit {
    /// The text with the words replaced.
    ///
    /// An error where they are not there exactly once: the source has moved on, and the variant would
    /// be the whole product.
    pub(super) fn applied(&self, text: &str) -> Result<String> {
        ensure!(!self.find.is_empty() && self.find != self.replace, "the edit changes nothing");
        let times = text.matches(&self.find).count();
        ensure!(times == 1, "these words are there {times} times, not once: {:?}", self.find);
        Ok(text.replacen(&self.find, &self.replace, 1))
    }
}

/// Every variant, in the order of their names.
pub(super) fn read(tree: &Tree) -> Result<Vec<Spec>> {
    let mut specs = Vec::new();
    for file in tree.files()? {
        let name = file
            .strip_prefix(FOLDER)
            .and_then(|name| name.strip_prefix('/')?.strip_suffix(".toml"));
        let Some(name) = name else { continue };
        let spec: Spec = toml::from_str(&tree.read(&file)?).with_context(|| file.clone())?;
        ensure!(spec.name == name, "{file}: it calls itself {:?}", spec.name);
        ensure!(!spec.edit.is_empty(), "{file}: it changes nothing");
        ensure!(!spec.cases.is_empty(), "{file}: it names no case that must notice");
        for case in spec.cases.iter().chain(&spec.still) {
            let file_of_case = tree.root.join(format!("integration/cases/{case}.rs"));
            ensure!(file_of_case.exists(), "{file}: there is no case {case}");
        }
        specs.push(spec);
    }
    Ok(specs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(find: &str, replace: &str) -> Edit {
        Edit { file: "a.rs".into(), find: find.into(), replace: replace.into() }
    }

    #[test]
    fn words_that_are_there_once_are_replaced() {
        assert_eq!(edit("seal();", "").applied("a();\nseal();\n").unwrap(), "a();\n\n");
    }

    #[test]
    fn words_that_are_gone_or_ambiguous_and_edits_that_change_nothing_are_errors() {
        assert!(edit("seal();", "").applied("a();\n").is_err());
        assert!(edit("a();", "").applied("a();\na();\n").is_err());
        assert!(edit("a();", "a();").applied("a();\n").is_err());
        assert!(edit("", "b").applied("").is_err());
    }
}
