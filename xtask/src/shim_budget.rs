//! `cargo xtask shim-budget`: the shim stays small enough to be read.
//!
//! It is built as `supervisor/build.rs` builds it, with the flags read from there, because what is
//! measured must be what is shipped.

mod elf;

use crate::{deps, process, tidy::sizes, tree::Tree};
use anyhow::{Context as _, Result, ensure};
use std::{fs, process::Command};

/// The shim's file, in bytes.
const MOST_BYTES: u64 = 600_000;
/// Lines of code over everything between clone and execve that is ours. Tests, comments and blank
/// lines do not count: a ceiling must not be a reason to explain less.
const MOST_LINES: usize = 3_210;
/// What runs between clone and execve.
const FOLDER: &str = "shim/";
/// Modules of `shim/kernel` that the supervisor and its services alone call, and that are there because all unsafe code
/// is: nothing between clone and execve names them, and they are not counted.
const OTHERS: &[&str] = &["guard", "interfaces", "locked", "peer"];

/// Where the shim's flags are.
const BUILD: &str = "supervisor/build.rs";

pub(crate) fn run(tree: &Tree) -> Result<()> {
    let folder = tree.target.join("shim-budget");
    process::run(cargo(tree, "build")?.env("CARGO_TARGET_DIR", &folder))?;
    let built = folder.join(process::TARGET).join("shim/sandboxd-shim");
    let image = fs::read(&built).with_context(|| format!("cannot read {}", built.display()))?;

    let bytes = u64::try_from(image.len())?;
    println!("size   {bytes} of {MOST_BYTES} bytes");
    ensure!(bytes <= MOST_BYTES, "the shim takes {bytes} bytes; {MOST_BYTES} are allowed");

    elf::judge_static(&image)?;
    println!("static yes");

    let lines = lines(tree)?;
    println!("lines  {lines} of {MOST_LINES}, without tests, comments and blank lines");
    ensure!(lines <= MOST_LINES, "the shim has {lines} lines of code; {MOST_LINES} are allowed");

    let crates = deps::shim::check(tree)?;
    println!("crates {crates}, as in {}", deps::shim::LIST);
    Ok(())
}

/// Cargo for the shim alone, with its own profile, target and flags. The caller sets a target
/// folder of its own: with the common one the flags would make everything else build again.
pub(crate) fn cargo(tree: &Tree, verb: &str) -> Result<Command> {
    let mut command = process::cargo(&tree.root);
    command
        .args([verb, "--locked", "--package=sandboxd-shim", "--profile=shim"])
        .args(["--target", process::TARGET])
        .env("CARGO_ENCODED_RUSTFLAGS", flags(&tree.read(BUILD)?)?.join("\u{1f}"));
    Ok(command)
}

/// The strings of `const FLAGS … = […];`.
fn flags(source: &str) -> Result<Vec<&str>> {
    let (_, rest) =
        source.split_once("const FLAGS").with_context(|| format!("{BUILD}: no FLAGS"))?;
    let (_, rest) = rest.split_once("= [").with_context(|| format!("{BUILD}: FLAGS is no list"))?;
    let (list, _) = rest.split_once("];").with_context(|| format!("{BUILD}: FLAGS has no end"))?;
    let flags: Vec<&str> = list.split('"').skip(1).step_by(2).collect();
    ensure!(!flags.is_empty(), "{BUILD}: FLAGS is empty");
    Ok(flags)
}

fn lines(tree: &Tree) -> Result<usize> {
    let mut sum = 0;
    let is_others =
        |name: &str| OTHERS.iter().any(|one| name == format!("{FOLDER}kernel/src/{one}.rs"));
    for name in tree.files()? {
        let is_ours = name.starts_with(FOLDER) && !is_others(&name);
        if name.ends_with(".rs") && is_ours && !sizes::is_test(&name) {
            let text = tree.read(&name)?;
            let named = OTHERS.iter().find(|one| text.contains(&format!("{one}::")));
            ensure!(
                named.is_none(),
                "{name} names {}, which counts as not the shim's",
                named.unwrap_or(&"")
            );
            sum += sizes::code_lines(&text);
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_are_those_of_the_list_and_a_list_that_is_gone_is_an_error() {
        let source = "const FLAGS: [&str; 2] = [\n    \"-Ca=b\",\n    \"-Cc\",\n];\nconst B: &str = \"x\";\n";
        assert_eq!(flags(source).unwrap(), ["-Ca=b", "-Cc"]);
        assert!(flags("const B: &str = \"x\";").is_err());
    }
}
