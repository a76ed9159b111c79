//! `cargo xtask ci`: everything a change needs, cheapest first, so that what is wrong shows early.

use crate::{deps, dist, docs, fuzz, process, shim_budget, test, tidy, tree::Tree, variants, vm};
use anyhow::{Context as _, Result, bail};
use clap::Args;
use std::{io::Write as _, process::Command, time::Instant};

#[derive(Args)]
pub(crate) struct Typed {
    /// Begin with this step
    #[arg(long, value_name = "STEP")]
    from: Option<String>,
}

/// A step's name and what it does.
type Step = (&'static str, fn(&Tree) -> Result<()>);

const STEPS: &[Step] = &[
    ("fmt", fmt),
    ("tidy", tidy::run),
    ("deps", deps::run),
    ("break --check", variants::check),
    ("clippy", clippy),
    ("clippy shim", clippy_shim),
    ("clippy fuzz", clippy_fuzz),
    ("shim-budget", shim_budget::run),
    ("test", test::all),
    ("docs --check", docs::check),
    ("dist --check", dist::check),
    ("vm --short", vm::short),
    ("fuzz", fuzz::all),
];

pub(crate) fn run(tree: &Tree, typed: &Typed) -> Result<()> {
    let steps = remaining(typed.from.as_deref())?;
    let mut spent = Vec::new();
    for (name, step) in steps {
        println!("\n==> {name}");
        // The step's own output comes from other processes; the header must stand before it.
        std::io::stdout().flush()?;
        let begun = Instant::now();
        step(tree).with_context(|| format!("ci: {name}"))?;
        let seconds = begun.elapsed().as_secs_f64();
        println!("==> {name}: ok, {seconds:.1} s");
        spent.push((name, seconds));
    }
    println!();
    for (name, seconds) in &spent {
        println!("{seconds:>8.1} s  {name}");
    }
    println!("{:>8.1} s  ci: ok", spent.iter().map(|(_, seconds)| seconds).sum::<f64>());
    Ok(())
}

fn remaining(from: Option<&str>) -> Result<&'static [Step]> {
    let Some(from) = from else { return Ok(STEPS) };
    match STEPS.iter().position(|(name, _)| *name == from) {
        Some(at) => Ok(STEPS.get(at..).unwrap_or_default()),
        None => {
            let names: Vec<_> = STEPS.iter().map(|(name, _)| *name).collect();
            bail!("no step {from:?}; there are: {}", names.join(", "))
        }
    }
}

fn fmt(tree: &Tree) -> Result<()> {
    process::run(process::cargo(&tree.root).args(["fmt", "--all", "--check"]))?;
    process::run(process::cargo(&tree.root.join(fuzz::FOLDER)).args(["fmt", "--check"]))?;
    // The cases are no module of a crate that cargo would follow.
    let cases = tree.files()?.into_iter().filter(|file| is_case(file));
    let mut rustfmt = Command::new("rustfmt");
    process::run(rustfmt.current_dir(&tree.root).args(["--check", "--edition", "2024"]).args(cases))
}

fn is_case(file: &str) -> bool {
    file.starts_with("integration/cases/") && file.ends_with(".rs")
}

fn clippy(tree: &Tree) -> Result<()> {
    process::run(process::cargo(&tree.root).args([
        "clippy",
        "--locked",
        "--workspace",
        "--exclude=sandboxd-shim",
        "--all-targets",
        "--",
        "-Dwarnings",
    ]))
}

/// The shim brings its own start code and panic handler, so it is linted for its own target and
/// profile, with the flags that it is built with.
fn clippy_shim(tree: &Tree) -> Result<()> {
    process::run(
        shim_budget::cargo(tree, "clippy")?
            .env("CARGO_TARGET_DIR", tree.target.join("clippy-shim"))
            .args(["--", "-Dwarnings"]),
    )
}

fn clippy_fuzz(tree: &Tree) -> Result<()> {
    process::run(
        process::cargo(&tree.root.join(fuzz::FOLDER))
            .env("CARGO_TARGET_DIR", tree.target.join("fuzz"))
            .args(["clippy", "--locked", "--", "-Dwarnings"]),
    )
}
