//! A proxy's work, beside a connection with nothing between, tinyproxy, squid, the npm package
//! `@anthropic-ai/sandbox-runtime` and a relay that looks at nothing: connections to their first byte, one after the
//! other and several at once; bytes; what a connection that says nothing costs in memory. All on the loopback, with
//! `CONNECT`, none of them looking inside. Then what it costs to look: TLS that is ended beside TLS that is carried.

mod ended;
mod memory;
mod upstream;
mod ways;

use super::{
    Built,
    paired::{self, Runner, WARM_UP, at},
};
use crate::{process, tree::Tree};
use anyhow::{Result, ensure};
use std::{
    cell::RefCell,
    fs,
    io::{Read as _, Write as _},
    ops::Range,
    thread,
    time::{Duration, Instant},
};
use ways::Way;

/// To be reached, at least, against the better of the two; what is reached stands in
/// docs/book/figures.md.
const AGAINST_BETTER: f64 = 1.5;

/// Connections of a turn.
const CONNECTIONS: usize = 200;

/// Clients at once.
const AT_ONCE: usize = 8;

/// Bytes of a turn.
const BYTES: usize = 256 << 20;

pub(crate) fn run(tree: &Tree, built: &Built, rounds: usize) -> Result<()> {
    for example in ["proxy", "ended"] {
        let build = ["build", "--release", "-p", "sandboxd-egress", "--example", example];
        process::run(process::cargo(&tree.root).args(build))?;
    }
    let upstream = upstream::start(BYTES)?;
    let ways = ways::all(tree, built, upstream)?;
    // BBR sends no faster than it believes that a line takes it, on the loopback too.
    let congestion = fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control")?;
    println!("TCP's way of sending here: {}\n", congestion.trim());
    one_by_one(&ways, rounds)?;
    at_once(&ways, rounds)?;
    bytes(&ways, rounds)?;
    memory::run(&ways)?;
    ended::run(tree, rounds)
}

/// Opens a connection, and has a byte come back on it.
fn first_byte(way: &Way) -> Result<()> {
    let mut stream = way.open()?;
    stream.write_all(b"x")?;
    Ok(stream.read_exact(&mut [0])?)
}

fn one_by_one(ways: &[Way], rounds: usize) -> Result<()> {
    let each: Vec<RefCell<Vec<Duration>>> = ways.iter().map(|_| RefCell::default()).collect();
    let mut runners: Vec<Runner<'_>> = Vec::new();
    for (way, each) in ways.iter().zip(&each) {
        runners.push(Runner::new(way.name, move || {
            let turn = Instant::now();
            for _ in 0..CONNECTIONS {
                let from = Instant::now();
                first_byte(way)?;
                each.borrow_mut().push(from.elapsed());
            }
            Ok(turn.elapsed())
        }));
    }
    paired::run(&mut runners, rounds)?;
    println!("| a connection to its first byte | median | p99 | a second | time to ours |");
    println!("| --- | --- | --- | --- | --- |");
    for ((runner, each), way) in runners.iter().zip(&each).zip(ways) {
        let mut each = each.take().split_off(WARM_UP * CONNECTIONS);
        each.sort();
        let micros = |permille| at(&each, permille).map_or(0, Duration::as_micros);
        let [median, p99] = [micros(500), micros(990)];
        let second = per_second(runner);
        println!(
            "| {} | {median} µs | {p99} µs | {second:.0} | {} |",
            way.name,
            to_ours(&runners, runner)
        );
    }
    better(&runners);
    Ok(())
}

fn at_once(ways: &[Way], rounds: usize) -> Result<()> {
    let mut runners: Vec<Runner<'_>> = Vec::new();
    for way in ways {
        runners.push(Runner::new(way.name, move || {
            let turn = Instant::now();
            thread::scope(|scope| {
                let client = || (0..CONNECTIONS / AT_ONCE).try_for_each(|_| first_byte(way));
                let clients: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(client)).collect();
                clients.into_iter().try_for_each(|one| {
                    one.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a client panicked")))
                })
            })?;
            Ok(turn.elapsed())
        }));
    }
    paired::run(&mut runners, rounds)?;
    println!("\n| connections of {AT_ONCE} clients at once | a second | time to ours |");
    println!("| --- | --- | --- |");
    for (runner, way) in runners.iter().zip(ways) {
        println!("| {} | {:.0} | {} |", way.name, per_second(runner), to_ours(&runners, runner));
    }
    better(&runners);
    Ok(())
}

fn bytes(ways: &[Way], rounds: usize) -> Result<()> {
    let mut runners: Vec<Runner<'_>> = Vec::new();
    for way in ways {
        runners.push(Runner::new(way.name, move || {
            let from = Instant::now();
            let mut stream = way.open()?;
            stream.write_all(b"D")?;
            let mut bytes = vec![0; 256 << 10];
            let mut left = BYTES;
            while left > 0 {
                let count = stream.read(&mut bytes)?;
                ensure!(count > 0, "it ended {left} bytes too soon");
                left = left.saturating_sub(count);
            }
            Ok(from.elapsed())
        }));
    }
    paired::run(&mut runners, rounds)?;
    println!("\n| {} MiB | median | MiB a second | time to ours |", BYTES >> 20);
    println!("| --- | --- | --- | --- |");
    for (runner, way) in runners.iter().zip(ways) {
        let took = runner.median();
        #[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "a few hundred")]
        let speed = (BYTES >> 20) as f64 / took.as_secs_f64();
        let ours = to_ours(&runners, runner);
        println!("| {} | {} ms | {speed:.0} | {ours} |", way.name, took.as_millis());
    }
    better(&runners);
    Ok(())
}

/// Connections a second, in the median turn.
fn per_second(runner: &Runner<'_>) -> f64 {
    #[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "a few hundred")]
    let connections = CONNECTIONS as f64;
    connections / runner.median().as_secs_f64()
}

/// The ratio of the times of each round to those of our proxy.
fn to_ours(runners: &[Runner<'_>], runner: &Runner<'_>) -> String {
    let ours = runners.get(ways::OURS);
    ours.map_or_else(String::new, |ours| format!("{:.2}", runner.ratio(ours)))
}

/// What is to be reached, and what is.
fn better(runners: &[Runner<'_>]) {
    let of = |range: Range<usize>| runners.iter().skip(range.start).take(range.len());
    let better =
        |than: &Runner<'_>| of(ways::TWO).map(|one| one.ratio(than)).fold(f64::INFINITY, f64::min);
    let Some(ours) = runners.get(ways::OURS).map(better) else { return };
    let floor = of(ways::FLOOR).map(better).fold(0.0, f64::max);
    println!("\nthe better of tinyproxy and squid / ours: {ours:.2} (to reach: {AGAINST_BETTER})");
    println!("the same / what looks at nothing: {floor:.2}");
}
