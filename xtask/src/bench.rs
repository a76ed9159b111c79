//! What things cost, measured beside others in the same run: `cargo xtask bench <which>`.
//!
//! Never a test: a figure depends on the machine and on what else it does. Runs are paired, one of
//! each in turn, and what is quoted is medians and the median of the ratios of each pair.

mod broker;
mod egress;
mod inside;
mod launch;
mod paired;
mod pty;
mod start;

use crate::{process, tree::Tree};
use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// What is measured.
#[derive(Args)]
pub(crate) struct Typed {
    #[command(subcommand)]
    which: Which,
    /// Rounds of runs, one of each kind in each
    #[arg(long, global = true, default_value_t = 200)]
    rounds: usize,
}

#[derive(Subcommand)]
enum Which {
    /// `sandboxd run -- /bin/true` beside bubblewrap and beside a bare clone3 and exec
    Start,
    /// Starts a second, with 1 and 2 launchers, beside bubblewrap and runc; then a thousand alive at once
    Launch {
        /// How many turns of a second each kind has, with either number of launchers
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// Leave out the thousand
        #[arg(long)]
        no_alive: bool,
    },
    /// Work inside a sandbox beside the same work outside: system calls, git status, gcc
    Inside,
    /// Output through a terminal of the sandbox's own beside script(1)
    Pty,
    /// Calls through the broker beside raw Unix sockets and dbus-broker; starts of what is called
    Broker {
        /// Starts of what is called, and nothing else
        #[arg(long)]
        starts: bool,
    },
    /// Connections, bytes and memory of the egress process beside tinyproxy, squid and sandbox-runtime; TLS that is ended
    Egress,
}

pub(crate) fn run(tree: &Tree, typed: &Typed) -> Result<()> {
    let built = Built::new(tree)?;
    // It is not measured there.
    if !matches!(typed.which, Which::Egress) {
        process::run(process::cargo(&tree.root).args(["build", "--release", "-p", "sandboxd"]))?;
    }
    match typed.which {
        Which::Start => start::run(&built, typed.rounds),
        Which::Launch { seconds, no_alive } => launch::run(&built, seconds, !no_alive),
        Which::Inside => inside::run(&built, typed.rounds),
        Which::Pty => pty::run(&built, typed.rounds),
        Which::Broker { starts } => broker::run(tree, &built, typed.rounds, starts),
        Which::Egress => egress::run(tree, &built, typed.rounds),
    }
}

/// What is measured with: the release build, and a folder for what is compiled for it.
struct Built {
    sandboxd: PathBuf,
    sources: PathBuf,
    folder: PathBuf,
}

impl Built {
    fn new(tree: &Tree) -> Result<Self> {
        let target = &tree.target;
        let folder = target.join("bench");
        std::fs::create_dir_all(&folder)?;
        Ok(Self {
            sandboxd: tree.released("sandboxd"),
            sources: tree.root.join("xtask/bench"),
            folder,
        })
    }

    /// Compiles a C program of `xtask/bench`.
    fn compile(&self, name: &str) -> Result<PathBuf> {
        let program = self.folder.join(name);
        let source = self.sources.join(name).with_extension("c");
        process::run(Command::new("cc").arg("-O2").arg("-o").arg(&program).arg(source))
            .context("bench needs a C compiler: apt-get install gcc libc6-dev")?;
        Ok(program)
    }

    /// `sandboxd run` under a profile of `xtask/bench`.
    fn run(&self, profile: &Path, command: &[&str]) -> Command {
        let mut run = Command::new(&self.sandboxd);
        run.arg("run").arg("--profile").arg(profile).arg("--").args(command);
        run
    }
}
