//! The stages of the shim and the calls made in them: the names from the types, the words from the
//! comments above them.

use anyhow::{Context as _, Result};
use sandboxd_plan::{Call, Stage};
use std::fmt::Write as _;

/// Where both enums and their comments are.
pub(super) const SOURCE: &str = "shim/plan/src/stage.rs";

pub(super) fn stages(source: &str) -> Result<String> {
    let mut page = String::from(
        "# Stages\n\n\
         What the shim does between `clone` and `execve`, in this order. A failure names its stage.\n\n\
         | | stage | what it does |\n| --- | --- | --- |\n",
    );
    for stage in Stage::ALL {
        let (place, name) = (stage.position(), stage.name());
        writeln!(page, "| {place} | `{name}` | {} |", comment(source, "Stage", name)?)?;
    }
    Ok(page)
}

pub(super) fn calls(source: &str) -> Result<String> {
    let mut page = String::from(
        "# Calls\n\n\
         The names that a failure gives to the call it happened in.\n\n\
         | call | what it is |\n| --- | --- |\n",
    );
    for call in Call::ALL {
        let name = call.name();
        writeln!(page, "| `{name}` | {} |", comment(source, "Call", name)?)?;
    }
    Ok(page)
}

/// The doc comment of the variant that bears this name.
fn comment(source: &str, of: &str, name: &str) -> Result<String> {
    let (_, source) = source
        .split_once(&format!("\n    {of} {{\n"))
        .with_context(|| format!("{SOURCE} has no enum {of}"))?;
    let ending = format!(" = \"{name}\",");
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let at = lines
        .iter()
        .position(|line| line.ends_with(&ending))
        .with_context(|| format!("{SOURCE} has no variant named {name:?}"))?;
    let mut words: Vec<&str> = lines
        .get(..at)
        .unwrap_or_default()
        .iter()
        .rev()
        .map_while(|line| line.strip_prefix("/// "))
        .collect();
    words.reverse();
    anyhow::ensure!(!words.is_empty(), "{SOURCE}: {name:?} has no comment");
    Ok(words.join(" ").replace('|', "\\|"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
    One {
        /// One
        /// line.
        A = \"a\",
        B = \"b\",
    }
    Two {
        /// Another.
        A = \"a\",
    }
";

    #[test]
    fn a_comment_is_that_of_its_enum_joined_and_a_missing_one_is_an_error() {
        assert_eq!(comment(TEXT, "One", "a").unwrap(), "One line.");
        assert_eq!(comment(TEXT, "Two", "a").unwrap(), "Another.");
        assert!(comment(TEXT, "One", "b").is_err());
        assert!(comment(TEXT, "Two", "c").is_err());
        assert!(comment(TEXT, "Three", "a").is_err());
    }
}
