//! From a connection to the first answer of what runs for it alone: kept ready, started when somebody connects, and
//! the same program under bubblewrap. Then how many connections one after another are served in a second, since
//! what is kept ready is used up by the first.

use super::hop::{Bench, Hop, Way};
use super::{SHORT, median, micros};
use crate::bench::start::BWRAP;
use anyhow::{Context as _, Result, ensure};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// To be reached; what is reached stands in docs/book/figures.md.
const AGAINST_BWRAP: f64 = 0.4;

/// Before each, so that there is one ready, and nobody else has begun to start something.
const REST: Duration = Duration::from_millis(100);

/// Connections one after another.
const IN_A_ROW: u32 = 60;

pub(super) fn run(bench: &Bench, rounds: usize) -> Result<()> {
    let machine = bench.machine(false)?;
    let mut ready = bench.call(Way::Ready, false, (SHORT, 1))?;
    let mut own = bench.call(Way::Started, false, (SHORT, 1))?;
    let mut turns = Vec::new();
    for round in 0..rounds + 5 {
        let mut took = [Duration::ZERO; 3];
        for turn in 0..3 {
            sleep(REST);
            let which = (round + turn) % 3;
            let one = match which {
                0 => ready.open()?,
                1 => own.open()?,
                _ => bwrap(bench)?,
            };
            if let Some(place) = took.get_mut(which) {
                *place = one;
            }
        }
        // The first few warm up.
        if round >= 5 {
            turns.push(took);
        }
    }
    println!("a connection to a tool of its own, to its first answer");
    let [kept, started, other] =
        [0, 1, 2].map(|at| micros(median(turns.iter().filter_map(|turn| turn.get(at).copied()))));
    let ratio = |at: usize| {
        let pair = |turn: &[Duration; 3]| Some(turn.get(at)?.div_duration_f64(*turn.get(2)?));
        median(turns.iter().filter_map(pair)).unwrap_or(f64::NAN)
    };
    println!("{:<34}{kept:>9.0} µs{:>9.2}", "kept ready (ready = 1)", ratio(0));
    println!("{:<34}{started:>9.0} µs{:>9.2}", "started when somebody connects", ratio(1));
    println!("{:<34}{other:>9.0} µs{:>9.2}", "bwrap --unshare-all", 1.0);
    println!("to reach: {AGAINST_BWRAP} of the last\n");
    println!("connections one after another, each to a tool of its own, a second");
    println!("{:<34}{:>9.0}", "ready = 1", in_a_row(&mut ready)?);
    println!("{:<34}{:>9.0}\n", "ready = 0", in_a_row(&mut own)?);
    drop(machine);
    Ok(())
}

/// How many there are in a second. A sandbox is let in 50 times a second, and eight times at once.
fn in_a_row(hop: &mut Hop) -> Result<f64> {
    sleep(Duration::from_secs(1));
    let from = Instant::now();
    for _ in 0..IN_A_ROW {
        hop.open()?;
    }
    Ok(f64::from(IN_A_ROW) / from.elapsed().as_secs_f64())
}

fn bwrap(bench: &Bench) -> Result<Duration> {
    let words = BWRAP.iter().take(BWRAP.len().saturating_sub(1));
    let hop = bench.hop.to_str().context("its path is no text")?;
    let from = Instant::now();
    let mut child = Command::new("bwrap")
        .args(words)
        .args(["--ro-bind", hop, "/hop", "/hop", "tool"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("bench broker needs bubblewrap: apt-get install bubblewrap")?;
    let mut input = child.stdin.take().context("its input")?;
    let output = child.stdout.take().context("its output")?;
    input.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\"}\n")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    let took = from.elapsed();
    ensure!(line.contains("\"result\""), "the tool says {line:?}");
    drop(input);
    ensure!(child.wait()?.success(), "the tool failed under bubblewrap");
    Ok(took)
}
