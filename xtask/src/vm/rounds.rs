//! The cases of one kernel, over as many boots as it takes.

use super::{
    boot::{BOOTS, Guest},
    found::{Found, Outcome, Part, Told},
    matrix::Kernel,
    payload::{Job, Payload},
    prepare::Image,
    results::Results,
};
use crate::process;
use anyhow::{Result, ensure};
use std::{process::Command, time::Instant};

/// Where the harness is in a guest.
const HARNESS: &str = "/vm/bin/sandboxd-integration";
/// In a guest, the cases of this boot.
const THESE: &str = "/run/vm/these";
/// So many cases a boot. A boot costs seconds, and has to be over within an hour.
const BATCH: usize = 20;

/// What is run, and where.
pub(super) struct Rounds<'a> {
    pub(super) kernel: &'a Kernel,
    pub(super) image: &'a Image,
    pub(super) payload: &'a Payload,
    pub(super) results: &'a Results,
    pub(super) user: &'a str,
    /// Words and options of the harness.
    pub(super) given: &'a [String],
    pub(super) slower: u32,
    pub(super) console: bool,
}

/// The cases that are named so, as this user runs them in a guest.
pub(super) fn list(payload: &Payload, user: &str, given: &[String]) -> Result<Vec<Part>> {
    let mut command = Command::new(payload.harness());
    command.arg("--list-json").args(given);
    if user != "root" {
        command.args(["--as", "user"]);
    }
    let listed = process::output(&mut command)?;
    listed.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// A step of a job: the harness, and what it is given.
pub(super) fn step(job: Job, user: &str, slower: u32, given: &[String]) -> Job {
    let slower = slower.to_string();
    let words = [HARNESS, "--results", "/run/vm/results", "--slower", slower.as_str()];
    let given = given.iter().map(String::as_str);
    job.step(&format!("the cases of {user}"), user, words.into_iter().chain(given))
}

impl Rounds<'_> {
    /// Boots until each of these has a result.
    pub(super) fn finish(&self, mut left: Vec<Part>) -> Result<()> {
        let all = left.len();
        let mut deaths = 0;
        while !left.is_empty() {
            // Where one died, it is looked for what of: one by one.
            let most = if deaths == 0 { BATCH } else { 1 };
            let these = left.get(..most.min(left.len())).unwrap_or_default();
            let found = self.boot(these, all - left.len(), all)?;
            let before = left.len();
            left.retain(|part| !found.cases.contains_key(part));
            if found.is_whole() {
                ensure!(left.len() < before, "the harness told nothing: {:?}", found.steps);
                deaths = 0;
                continue;
            }
            // One that told something did not die of the first of what is left: that is tried alone.
            deaths = if left.len() < before { 1 } else { deaths + 1 };
            println!("    the guest died during the cases ({deaths} of {BOOTS})");
            if deaths == BOOTS {
                let why = String::from("the guest died of it");
                let part = left.remove(0);
                println!("FAILED {part}: {why}");
                self.results.add(&Told { part, outcome: Outcome::Failed, why, seconds: 0.0 })?;
                deaths = 0;
            }
        }
        Ok(())
    }

    /// Says of each that it is the so manieth, `done` being over.
    fn boot(&self, these: &[Part], done: usize, all: usize) -> Result<Found> {
        let lines: Result<Vec<String>, _> = these.iter().map(serde_json::to_string).collect();
        let mut given = vec!["--these".to_owned(), THESE.to_owned()];
        given.extend_from_slice(self.given);
        let job = Job::new().file(THESE, &format!("{}\n", lines?.join("\n")));
        let job = step(job, self.user, self.slower, &given);
        let guest = Guest {
            kernel: self.kernel,
            image: self.image,
            payload: self.payload,
            disk: self.payload.disk(&job)?,
            results: self.results.next()?,
            console: self.console,
        };
        let (begun, mut done) = (Instant::now(), done);
        let found = guest.begin(|line| {
            if ["ok   ", "FAILED ", "not run: "].iter().any(|word| line.starts_with(word)) {
                done += 1;
                println!("    [{done}/{all}] {line}");
            } else {
                println!("    {line}");
            }
        })?;
        println!("    the machine ran for {:.0} s", begun.elapsed().as_secs_f64());
        if !found.is_whole() {
            println!("{}", guest.last_words());
        }
        Ok(found)
    }
}
