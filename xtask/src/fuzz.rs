//! `cargo xtask fuzz`: made-up bytes for whatever reads bytes it did not write.
//!
//! libFuzzer guides itself by which branches an input reaches. The compiler pass for that is part of
//! stable rustc; only the sanitizers are not, and code without `unsafe` gains little from them. The
//! targets are a workspace of their own (`integration/fuzz`), because libFuzzer needs a C++ compiler
//! and nothing else here does.

use crate::{process, tree::Tree};
use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use std::{fs, path::Path, process::Command};

/// The folder of the fuzz targets.
pub(crate) const FOLDER: &str = "integration/fuzz";

/// A target and the files of the tree that it starts from.
struct Target {
    name: &'static str,
    seeds: fn(&str) -> bool,
}

const TARGETS: &[Target] = &[
    Target { name: "dns", seeds: |file| is_in(file, FOLDER, ".dns") },
    Target { name: "envelope", seeds: |file| is_in(file, FOLDER, ".jsonl") },
    Target { name: "hello", seeds: |file| is_in(file, FOLDER, ".hello") },
    Target { name: "http", seeds: |file| is_in(file, FOLDER, ".http") },
    Target { name: "lists", seeds: |file| is_in(file, FOLDER, ".list") },
    Target { name: "model", seeds: |file| is_in(file, FOLDER, ".model") },
    Target { name: "packets", seeds: |file| is_in(file, FOLDER, ".packet") },
    Target {
        name: "plan",
        seeds: |file| is_in(file, FOLDER, ".json") || is_in(file, "profiles/tests", ".json"),
    },
    Target {
        name: "profile",
        seeds: |file| is_in(file, "profiles", ".toml") || is_in(file, "examples", ".toml"),
    },
    Target { name: "reply", seeds: |file| is_in(file, FOLDER, ".reply") },
    Target { name: "socks", seeds: |file| is_in(file, FOLDER, ".socks") },
    Target { name: "ssh", seeds: |file| is_in(file, FOLDER, ".ssh") },
    Target { name: "terminal", seeds: |file| is_in(file, FOLDER, ".txt") },
];

/// Branch counters, and the operands of comparisons, for libFuzzer to learn from.
const FLAGS: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
    "--cfg=fuzzing",
];

/// How the sum of what an input asks for is bounded, in MiB.
const MEMORY: u32 = 1024;

#[derive(Args)]
pub(crate) struct Typed {
    /// Only this target
    target: Option<String>,
    /// For how long, each
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// The same seed makes up the same bytes in the same order
    #[arg(long, default_value_t = 1)]
    seed: u32,
}

/// Every target for a minute, as CI runs it.
pub(crate) fn all(tree: &Tree) -> Result<()> {
    run(tree, &Typed { target: None, seconds: 60, seed: 1 })
}

pub(crate) fn run(tree: &Tree, typed: &Typed) -> Result<()> {
    let wanted: Vec<_> = TARGETS
        .iter()
        .filter(|target| typed.target.as_deref().is_none_or(|name| name == target.name))
        .collect();
    if wanted.is_empty() {
        let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        bail!("no such target; there are: {}", names.join(", "));
    }
    let folder = tree.target.join("fuzz");
    build(tree, &folder, &wanted)?;
    let files = tree.files()?;
    for target in wanted {
        println!("fuzz {}: {} s, seed {}", target.name, typed.seconds, typed.seed);
        let corpus = folder.join("corpus").join(target.name);
        let seeds: Vec<&String> = files.iter().filter(|file| (target.seeds)(file)).collect();
        ensure!(!seeds.is_empty(), "the target {} has no file to start from", target.name);
        plant(tree, &corpus, &seeds)?;
        let program = folder.join(process::TARGET).join("release").join(target.name);
        feed(&program, &corpus, typed).with_context(|| format!("fuzz {}", target.name))?;
    }
    Ok(())
}

fn build(tree: &Tree, folder: &Path, wanted: &[&Target]) -> Result<()> {
    process::run(
        process::cargo(&tree.root.join(FOLDER))
            // With a target named, build scripts and macros stay without counters.
            .args(["build", "--locked", "--release", "--target", process::TARGET])
            .args(wanted.iter().map(|target| format!("--bin={}", target.name)))
            .env("CARGO_TARGET_DIR", folder)
            .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}")),
    )
    .context("the fuzz targets were not built; libFuzzer needs a C++ compiler (Debian: g++)")
}

/// Each run begins with the files of the tree and nothing else, so that a seed says everything.
fn plant(tree: &Tree, corpus: &Path, seeds: &[&String]) -> Result<()> {
    if corpus.exists() {
        fs::remove_dir_all(corpus)?;
    }
    fs::create_dir_all(corpus)?;
    for seed in seeds {
        fs::copy(tree.root.join(seed), corpus.join(seed.replace('/', "-")))
            .with_context(|| format!("cannot copy {seed}"))?;
    }
    Ok(())
}

/// Ends with an error on a panic, on an input that takes more than a second, and on one that takes
/// more memory than any profile or plan is worth; libFuzzer leaves that input in the folder.
fn feed(program: &Path, corpus: &Path, typed: &Typed) -> Result<()> {
    let found = program.with_file_name("found");
    fs::create_dir_all(&found)?;
    let output = Command::new(program)
        .current_dir(&found)
        .arg(corpus)
        .args([
            format!("-max_total_time={}", typed.seconds),
            format!("-seed={}", typed.seed),
            format!("-rss_limit_mb={MEMORY}"),
            format!("-artifact_prefix={}/", found.display()),
            "-timeout=1".to_owned(),
            "-max_len=65536".to_owned(),
            "-print_final_stats=1".to_owned(),
            "-verbosity=0".to_owned(),
        ])
        .output()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("{}\n{said}", output.status);
    }
    let runs = stat(&said, "number_of_executed_units")?;
    let rate = stat(&said, "average_exec_per_sec")?;
    ensure!(runs > 0, "libFuzzer tried nothing");
    println!("  {runs} runs, {rate} runs/s, {} inputs kept", stat(&said, "new_units_added")?);
    Ok(())
}

/// A figure of libFuzzer's closing lines, `stat::name: figure`.
fn stat(said: &str, name: &str) -> Result<u64> {
    said.lines()
        .find_map(|line| line.strip_prefix("stat::")?.strip_prefix(name)?.strip_prefix(':'))
        .with_context(|| format!("libFuzzer did not say its {name}"))?
        .trim()
        .parse()
        .with_context(|| format!("libFuzzer's {name}"))
}

fn is_in(file: &str, folder: &str, ending: &str) -> bool {
    file.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/') && rest.ends_with(ending))
        && !file.ends_with("/Cargo.toml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_from_the_closing_lines() {
        let said = "Done\nstat::number_of_executed_units: 17\nstat::peak_rss_mb:   31\n";
        assert_eq!(stat(said, "number_of_executed_units").unwrap(), 17);
        assert_eq!(stat(said, "peak_rss_mb").unwrap(), 31);
        assert!(stat(said, "peak").is_err());
    }

    #[test]
    fn seeds_lie_in_the_folder_and_are_no_manifest() {
        assert!(is_in("profiles/builtin/base.toml", "profiles", ".toml"));
        assert!(!is_in("profiles/Cargo.toml", "profiles", ".toml"));
        assert!(!is_in("profiles2/a.toml", "profiles", ".toml"));
    }
}
