//! What it costs to end TLS, put a secret into each request and look for it in each answer: the same requests with
//! nothing between, with TLS that is carried as it is, and with TLS that is ended. Each is a connection with a full
//! handshake of the client's; what is said on to the server resumes, as it does outside a measurement.

use super::super::paired::{self, Runner};
use crate::tree::Tree;
use anyhow::{Context as _, Result};
use std::{
    cell::RefCell,
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

/// What is measured: its name at the example, what it is, and how many of it there are in a turn.
const WORKS: [(&str, &str, u32); 3] = [
    ("kept", "a request on a connection that is kept", 500),
    ("new", "a connection with one request", 50),
    ("bytes", "64 MiB in one answer", 1),
];

/// The example, which has all of them in it.
struct Example {
    child: Child,
    asked: ChildStdin,
    said: BufReader<ChildStdout>,
}

impl Drop for Example {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Example {
    fn start(tree: &Tree) -> Result<Self> {
        let mut command = Command::new(tree.released("examples/ended"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let asked = child.stdin.take().context("no stdin")?;
        let said = BufReader::new(child.stdout.take().context("no stdout")?);
        Ok(Self { child, asked, said })
    }

    fn turn(&mut self, way: &str, work: &str) -> Result<Duration> {
        writeln!(self.asked, "{way} {work}")?;
        let mut line = String::new();
        self.said.read_line(&mut line)?;
        let nanoseconds = line.trim().parse().with_context(|| format!("{way} {work} failed"))?;
        Ok(Duration::from_nanos(nanoseconds))
    }
}

pub(super) fn run(tree: &Tree, rounds: usize) -> Result<()> {
    let example = RefCell::new(Example::start(tree)?);
    let example = &example;
    println!(
        "\n| with TLS | nothing between | carried | ended | ended / carried | ended / nothing |"
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    for (work, what, times) in WORKS {
        let mut runners = ["direct", "carried", "ended"]
            .map(|way| Runner::new(way, move || example.borrow_mut().turn(way, work)));
        paired::run(&mut runners, rounds)?;
        let [direct, carried, ended] = &runners;
        let [one, two, three] =
            [direct, carried, ended].map(|way| (way.median() / times).as_micros());
        let (beside, alone) = (ended.ratio(carried), ended.ratio(direct));
        println!("| {what} | {one} µs | {two} µs | {three} µs | {beside:.2} | {alone:.2} |");
    }
    Ok(())
}
