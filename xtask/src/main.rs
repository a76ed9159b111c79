//! What a developer and CI run: `cargo xtask <task>`, one file or folder per task.
#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a developer's tool talks on the terminal"
)]

mod bench;
mod bless;
mod ci;
mod deps;
mod dist;
mod docs;
mod fuzz;
mod process;
mod shim_budget;
mod soak;
mod test;
mod tidy;
mod tree;
mod variants;
mod vm;

use clap::{Parser, Subcommand};
use std::process::ExitCode;
use tree::Tree;

/// What a developer and CI run.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Typed {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Everything a change needs, cheapest first; what CI runs
    Ci(ci::Typed),
    /// All tests: beside the code, then every case inside a real sandbox (needs root)
    Test(test::Typed),
    /// Thousands of random kills, and every fault there is: hours, not minutes (needs root)
    Soak(soak::Typed),
    /// What can be counted: sizes, headers, names, SAFETY wording, promises, stray spaces and paths
    Tidy,
    /// Third-party crates: homes, licences, sources, doubles, and what the shim links (deny.toml)
    Deps,
    /// Build the shim and hold it to its size, its crates and its lines
    ShimBudget,
    /// Write the generated pages; with --check, fail where one is out of date
    Docs(docs::Typed),
    /// Feed made-up bytes to whatever reads untrusted bytes (needs a C++ compiler)
    Fuzz(fuzz::Typed),
    /// Take one layer out of a copy of the tree and show which cases notice (needs root)
    Break(variants::Typed),
    /// What things cost, beside others in the same run (needs root)
    Bench(bench::Typed),
    /// The cases on other kernels, in virtual machines (needs root and QEMU)
    Vm(vm::Typed),
    /// Make a Debian package and a tarball, below target/dist
    Dist(dist::Typed),
    /// Run the unit tests and let them rewrite their golden files
    Bless,
}

fn main() -> ExitCode {
    match Tree::find().and_then(|tree| perform(Typed::parse().task, &tree)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(task: Task, tree: &Tree) -> anyhow::Result<()> {
    match task {
        Task::Ci(typed) => ci::run(tree, &typed),
        Task::Test(typed) => test::run(tree, &typed),
        Task::Soak(typed) => soak::run(tree, &typed),
        Task::Tidy => tidy::run(tree),
        Task::Deps => deps::run(tree),
        Task::ShimBudget => shim_budget::run(tree),
        Task::Docs(typed) => docs::run(tree, &typed),
        Task::Fuzz(typed) => fuzz::run(tree, &typed),
        Task::Break(typed) => variants::run(tree, &typed),
        Task::Bench(typed) => bench::run(tree, &typed),
        Task::Vm(typed) => vm::run(tree, &typed),
        Task::Dist(typed) => dist::run(tree, &typed),
        Task::Bless => bless::run(tree),
    }
}
