//! `cargo xtask vm`: the cases on other kernels, in virtual machines with systemd and cgroup v2.
//!
//! A machine is made of Debian packages alone and thrown away after one boot. KVM is used where it
//! works; where it does not, the processor is emulated, which takes many times as long, so everything
//! is built outside. Read in this order: [`matrix`], [`tools`], [`prepare`] with [`apt`],
//! [`payload`], [`boot`], [`found`].

mod apt;
mod boot;
mod found;
mod matrix;
mod payload;
mod prepare;
mod tools;

use crate::{process, tree::Tree};
use anyhow::{Context as _, Result};
use boot::Guest;
use clap::Args;
use found::{Found, Verdict};
use matrix::{Kernel, Matrix};
use payload::{Job, Payload};
use prepare::Cache;
use std::{path::PathBuf, time::Instant};

/// Where the harness is in a guest.
const HARNESS: &str = "/vm/bin/sandboxd-integration";

#[derive(Args)]
pub(crate) struct Typed {
    /// Only this kernel of xtask/vm/kernels.toml; can be given several times
    #[arg(long = "kernel", value_name = "NAME")]
    kernels: Vec<String>,
    /// Build without waiting for the optimiser
    #[arg(long)]
    quick: bool,
    /// Run this shell command in the guest instead of the cases; /vm/bin has the product
    #[arg(long, value_name = "COMMAND", conflicts_with = "cases")]
    command: Option<String>,
    /// Who runs it: root, or tester, who has a login session and a user manager
    #[arg(long, value_name = "NAME", default_value = "root", value_parser = ["root", "tester"])]
    user: String,
    /// Show what the guest's kernel and systemd say
    #[arg(long)]
    console: bool,
    /// Given to the harness: names of cases and its own options
    #[arg(last = true)]
    cases: Vec<String>,
}

pub(crate) fn run(tree: &Tree, typed: &Typed) -> Result<()> {
    let matrix = Matrix::read(tree)?;
    let kernels = matrix.named(&typed.kernels)?;
    tools::look()?;
    let bin = build(tree, typed.quick)?;
    let cache = Cache::open(tree)?;
    let job = job(typed);
    let visit = |kernel: &Kernel| -> Result<Found> {
        let image = cache.prepare(tree, &matrix, kernel)?;
        let payload = Payload::pack(tree, &bin, &job)?;
        let begun = Instant::now();
        let guest = Guest { kernel, image: &image, payload: &payload, console: typed.console };
        let found = guest.boot()?;
        println!("    the machine ran for {:.0} s", begun.elapsed().as_secs_f64());
        Ok(found)
    };
    let mut verdict = Verdict::default();
    for kernel in kernels {
        println!("\n==> {}: {}", kernel.name, kernel.what);
        let found = visit(kernel).with_context(|| format!("kernel {}", kernel.name))?;
        verdict.add(kernel, found);
    }
    let whole = typed.kernels.is_empty() && typed.cases.is_empty() && typed.command.is_none();
    verdict.judge(tree, whole)
}

/// What is done in a guest.
fn job(typed: &Typed) -> Job {
    let slower = boot::slower().to_string();
    match &typed.command {
        Some(command) => {
            Job::new().step("the command", &typed.user, ["bash", "-c", command.as_str()])
        }
        None => {
            let words = [HARNESS, "--results", "/run/vm/results", "--slower", slower.as_str()];
            let given = typed.cases.iter().map(String::as_str);
            Job::new().step("the cases", &typed.user, words.into_iter().chain(given))
        }
    }
}

/// The folder with the product and the harness, built here because a guest would take ages.
fn build(tree: &Tree, quick: bool) -> Result<PathBuf> {
    let mut cargo = process::cargo(&tree.root);
    cargo.env("CARGO_TARGET_DIR", &tree.target);
    cargo.args(["build", "--locked", "-psandboxd", "-psandboxd-integration"]);
    let (words, folder): (&[&str], _) =
        if quick { (&[], "debug") } else { (&["--release"], "release") };
    process::run(cargo.args(words))?;
    Ok(tree.target.join(process::TARGET).join(folder))
}
