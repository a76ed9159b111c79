//! `deny.toml`, as far as this task judges by it.

use crate::tree::Tree;
use anyhow::{Context as _, Result};
use serde::Deserialize;

/// The rules for third-party crates.
#[derive(Deserialize)]
pub(crate) struct Rules {
    pub(crate) bans: Bans,
    pub(crate) licenses: Licenses,
}

#[derive(Deserialize)]
pub(crate) struct Bans {
    pub(crate) deny: Vec<Home>,
    pub(crate) skip: Vec<Skip>,
}

/// A crate and the packages that may depend on it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Home {
    #[serde(rename = "crate")]
    pub(crate) name: String,
    pub(crate) wrappers: Vec<String>,
    pub(crate) reason: String,
}

/// A version that may be there beside another.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Skip {
    /// `name@^version`.
    #[serde(rename = "crate")]
    pub(crate) spec: String,
    #[expect(dead_code, reason = "required, so that no double is without one")]
    reason: String,
}

impl Skip {
    pub(crate) fn name(&self) -> &str {
        self.spec.split_once('@').map_or(self.spec.as_str(), |(name, _)| name)
    }

    /// Whether this version is the one skipped: the same one, or one that begins with it.
    pub(crate) fn is(&self, version: &str) -> bool {
        let Some((_, wanted)) = self.spec.split_once("@^") else { return false };
        version.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

#[derive(Deserialize)]
pub(crate) struct Licenses {
    /// SPDX ids.
    pub(crate) allow: Vec<String>,
}

impl Rules {
    pub(crate) fn read(tree: &Tree) -> Result<Self> {
        toml::from_str(&tree.read("deny.toml")?).context("deny.toml")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skip_is_for_its_own_major_version_only() {
        let skip = Skip { spec: "syn@^2".into(), reason: String::new() };
        assert_eq!(skip.name(), "syn");
        assert!(skip.is("2") && skip.is("2.0.119"));
        assert!(!skip.is("20.0.0") && !skip.is("3.0.9"));
    }
}
