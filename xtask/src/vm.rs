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

use crate::{dist, process, tree::Tree};
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

/// How the Debian package is tried.
const PACKAGE: [&str; 2] = ["bash", "/vm/package.sh"];

#[derive(Args, Default)]
pub(crate) struct Typed {
    /// Only this kernel of xtask/vm/kernels.toml; can be given several times
    #[arg(long = "kernel", value_name = "NAME")]
    kernels: Vec<String>,
    /// What CI runs: of a few kernels, what no other one shows
    #[arg(long, conflicts_with_all = ["kernels", "command", "cases"])]
    short: bool,
    /// Build without waiting for the optimiser
    #[arg(long)]
    quick: bool,
    /// Install, use and remove the Debian package instead of running the cases
    #[arg(long, conflicts_with_all = ["command", "cases", "short"])]
    package: bool,
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
    let kernels = if typed.short { matrix.short() } else { matrix.named(&typed.kernels)? };
    tools::look()?;
    let bin = build(tree, typed.quick)?;
    let packaged = typed.package || kernels.iter().any(|kernel| is_packaged(typed, kernel));
    let package = packaged.then(|| dist::make(tree)).transpose()?.map(|made| made.deb);
    let cache = Cache::open(tree)?;
    let visit = |kernel: &Kernel| -> Result<Found> {
        let image = cache.prepare(tree, &matrix, kernel)?;
        let payload = Payload::pack(tree, &bin, &job(typed, kernel), package.as_deref())?;
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
    let part = typed.short || typed.package || typed.command.is_some();
    let whole = !part && typed.kernels.is_empty() && typed.cases.is_empty();
    verdict.judge(tree, whole)
}

/// As a step of CI.
pub(crate) fn short(tree: &Tree) -> Result<()> {
    run(tree, &Typed { short: true, ..Typed::default() })
}

fn is_packaged(typed: &Typed, kernel: &Kernel) -> bool {
    typed.short && kernel.short.as_ref().is_some_and(|short| short.package)
}

/// What is done in a guest.
fn job(typed: &Typed, kernel: &Kernel) -> Job {
    if let Some(command) = &typed.command {
        return Job::new().step("the command", &typed.user, ["bash", "-c", command.as_str()]);
    }
    if typed.package {
        return Job::new().step("the package", "root", PACKAGE);
    }
    let Some(short) = kernel.short.as_ref().filter(|_| typed.short) else {
        let given = if typed.cases.is_empty() { &kernel.cases } else { &typed.cases };
        return with_cases(Job::new(), &typed.user, given);
    };
    let mut job = with_cases(Job::new(), "root", &short.cases);
    if !short.users_cases.is_empty() {
        job = with_cases(job, "tester", &short.users_cases);
    }
    if short.package { job.step("the package", "root", PACKAGE) } else { job }
}

fn with_cases(job: Job, user: &str, cases: &[String]) -> Job {
    let slower = boot::slower().to_string();
    let words = [HARNESS, "--results", "/run/vm/results", "--slower", slower.as_str()];
    let given = cases.iter().map(String::as_str);
    job.step(&format!("the cases of {user}"), user, words.into_iter().chain(given))
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
