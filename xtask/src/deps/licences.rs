//! Each third-party crate can be used under a licence of the allow-list.

use super::{graph::Graph, rules::Rules};
use anyhow::{Context as _, Result};
use spdx::{Expression, ParseMode};

pub(crate) fn judge(graph: &Graph, rules: &Rules, wrong: &mut Vec<String>) -> Result<()> {
    for package in graph.packages.values() {
        let Some(text) = &package.license else {
            wrong.push(format!("{} names no licence", package.name));
            continue;
        };
        if !satisfies(text, &rules.licenses.allow)
            .with_context(|| format!("the licence of {}", package.name))?
        {
            wrong.push(format!(
                "{} is {text}, which deny.toml [licenses] does not allow",
                package.name
            ));
        }
    }
    Ok(())
}

/// Whether one of the ways to satisfy an SPDX expression uses allowed licences only. An id with an
/// exception is allowed by being written so.
fn satisfies(text: &str, allowed: &[String]) -> Result<bool> {
    // Some crates write `MIT/Apache-2.0`, which predates SPDX expressions in Cargo.toml.
    let expression = Expression::parse_mode(text, ParseMode::LAX)?;
    Ok(expression.evaluate(|part| allowed.contains(&part.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_allowed_side_is_enough_for_or_and_both_are_needed_for_and() {
        let allowed = ["MIT".to_owned(), "Unicode-3.0".to_owned()];
        for (text, answer) in [
            ("MIT", true),
            ("Apache-2.0", false),
            ("MIT OR GPL-3.0-only", true),
            ("MIT/Apache-2.0", true),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
            ("MIT AND GPL-3.0-only", false),
            ("Apache-2.0 WITH LLVM-exception", false),
        ] {
            assert_eq!(satisfies(text, &allowed).unwrap(), answer, "{text}");
        }
    }
}
