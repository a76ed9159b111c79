//! `cargo xtask vm`: the cases on other kernels, in virtual machines with systemd and cgroup v2.
//!
//! A machine is made of Debian packages alone and thrown away after one boot. KVM is used where it
//! works; where it does not, the processor is emulated, which takes many times as long, so everything
//! is built outside, and what came of each case is kept: a run taken up again does what is left. Read in
//! this order: [`matrix`], [`tools`], [`prepare`] with [`apt`], [`payload`], [`boot`], [`found`],
//! [`results`], [`rounds`], [`here`], [`report`].

mod apt;
mod boot;
mod found;
mod here;
mod matrix;
mod payload;
mod prepare;
mod report;
mod results;
mod rounds;
mod tools;

use crate::{dist, process, tree::Tree};
use anyhow::{Context as _, Result};
use boot::Guest;
use clap::Args;
use found::{Found, Part};
use matrix::{Kernel, Matrix};
use payload::{Job, Payload};
use prepare::{Cache, Image};
use report::{Column, Report};
use results::Results;
use rounds::Rounds;
use std::{path::PathBuf, time::Instant};

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
    /// Also run the cases that have a result
    #[arg(long, conflicts_with_all = ["short", "package", "command"])]
    anew: bool,
    /// Boot nothing, and show what is known of each case on each kernel
    #[arg(long, conflicts_with_all = ["short", "package", "command", "anew"])]
    report: bool,
    /// How many times longer than usual to wait [default: 2 with KVM, 10 without]
    #[arg(long, value_name = "N")]
    slower: Option<u32>,
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
    let machines = Machines {
        tree,
        matrix: &matrix,
        typed,
        cache: Cache::open(tree)?,
        payload: Payload::gather(tree, &bin, package.as_deref())?,
    };
    let mut report = Report::default();
    for kernel in kernels {
        let columns = machines.visit(kernel).with_context(|| format!("kernel {}", kernel.name))?;
        report.0.extend(columns);
    }
    let part = typed.short || typed.package || typed.command.is_some();
    let whole = !part && typed.kernels.is_empty() && typed.cases.is_empty();
    if whole {
        let here = machines.here(&report)?;
        report.0.push(here);
    }
    if typed.report {
        report.show();
    }
    report.judge(whole)
}

/// What all machines of a run share.
struct Machines<'a> {
    tree: &'a Tree,
    matrix: &'a Matrix,
    typed: &'a Typed,
    cache: Cache,
    payload: Payload,
}

impl Machines<'_> {
    /// Runs what is asked for on this kernel, or only tells what is known.
    fn visit<'k>(&self, kernel: &'k Kernel) -> Result<Vec<Column<'k>>> {
        if self.typed.report {
            let mut tester = self.column(kernel, "tester")?;
            // Root has to run everything; of the user it is told what there is.
            tester.wanted.retain(|part| tester.found.cases.contains_key(part));
            let mut columns = vec![self.column(kernel, "root")?, tester];
            columns.retain(|column| !column.wanted.is_empty());
            return Ok(columns);
        }
        println!("\n==> {}: {}", kernel.name, kernel.what);
        let image = self.cache.prepare(self.tree, self.matrix, kernel)?;
        if let Some(job) = job(self.typed, kernel) {
            let found = self.finish(kernel, &image, &job)?;
            let name = kernel.name.clone();
            let offers = Some(&kernel.offers);
            return Ok(vec![Column { name, offers, wanted: Vec::new(), found }]);
        }
        self.rounds(kernel, &image)?;
        Ok(vec![self.column(kernel, &self.typed.user)?])
    }

    /// A job that is done in one boot, and not remembered.
    fn finish(&self, kernel: &Kernel, image: &Image, job: &Job) -> Result<Found> {
        let begun = Instant::now();
        let guest = Guest {
            kernel,
            image,
            payload: &self.payload,
            disk: self.payload.disk(job)?,
            results: self.payload.folder.join("results"),
            console: self.typed.console,
        };
        let found = guest.finish()?;
        println!("    the machine ran for {:.0} s", begun.elapsed().as_secs_f64());
        Ok(found)
    }

    /// The cases that have no result yet.
    fn rounds(&self, kernel: &Kernel, image: &Image) -> Result<()> {
        let user = &self.typed.user;
        let results = self.results(kernel, user)?;
        let mut left = self.wanted(kernel, user)?;
        let all = left.len();
        if !self.typed.anew {
            let known = results.read()?;
            left.retain(|part| !known.cases.contains_key(part));
        }
        println!("    {all} cases as {user}, {} without a result", left.len());
        let rounds = Rounds {
            kernel,
            image,
            payload: &self.payload,
            results: &results,
            user,
            given: self.given(kernel),
            slower: self.typed.slower.unwrap_or_else(boot::slower),
            console: self.typed.console,
        };
        rounds.finish(left)
    }

    /// What is known.
    fn column<'k>(&self, kernel: &'k Kernel, user: &str) -> Result<Column<'k>> {
        let found = self.results(kernel, user)?.read()?;
        let name = match user {
            "root" => kernel.name.clone(),
            _ => format!("{} {user}", kernel.name),
        };
        let wanted = self.wanted(kernel, user)?;
        Ok(Column { name, offers: Some(&kernel.offers), wanted, found })
    }

    /// What no guest could run, on this machine, or what is known of it.
    fn here<'k>(&self, report: &Report<'_>) -> Result<Column<'k>> {
        let results = Results::here(&self.cache, &self.payload);
        let found = if self.typed.report {
            results.read()?
        } else {
            here::finish(&self.payload, &results, &report.nowhere(), self.typed.anew)?
        };
        Ok(Column { name: "here".to_owned(), offers: None, wanted: Vec::new(), found })
    }

    fn results(&self, kernel: &Kernel, user: &str) -> Result<Results> {
        let image = Cache::name(self.tree, self.matrix, kernel)?;
        Ok(Results::of(&self.cache, &self.payload, kernel, &image, user))
    }

    fn wanted(&self, kernel: &Kernel, user: &str) -> Result<Vec<Part>> {
        rounds::list(&self.payload, user, self.given(kernel))
    }

    fn given<'k>(&'k self, kernel: &'k Kernel) -> &'k [String] {
        if self.typed.cases.is_empty() { &kernel.cases } else { &self.typed.cases }
    }
}

/// As a step of CI.
pub(crate) fn short(tree: &Tree) -> Result<()> {
    run(tree, &Typed { short: true, ..Typed::default() })
}

fn is_packaged(typed: &Typed, kernel: &Kernel) -> bool {
    typed.short && kernel.short.as_ref().is_some_and(|short| short.package)
}

/// What is done in one boot; nothing where cases are to be run over several.
fn job(typed: &Typed, kernel: &Kernel) -> Option<Job> {
    if let Some(command) = &typed.command {
        return Some(Job::new().step("the command", &typed.user, ["bash", "-c", command.as_str()]));
    }
    if typed.package {
        return Some(Job::new().step("the package", "root", PACKAGE));
    }
    let short = kernel.short.as_ref().filter(|_| typed.short)?;
    let slower = typed.slower.unwrap_or_else(boot::slower);
    let mut job = rounds::step(Job::new(), "root", slower, &short.cases);
    if !short.users_cases.is_empty() {
        job = rounds::step(job, "tester", slower, &short.users_cases);
    }
    Some(if short.package { job.step("the package", "root", PACKAGE) } else { job })
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
