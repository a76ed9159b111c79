//! Calls of an agent in a sandbox through the broker, beside two hops over Unix sockets that look at nothing and
//! beside dbus-broker: how long one takes, and how many there are in a second. Then the start of what is called
//! beside bubblewrap's, what a connection costs in memory, and who spends the time of a call.

mod hop;
mod starts;

use super::Built;
use super::paired::at;
use crate::{process, tree::Tree};
use anyhow::{Context as _, Result};
use hop::{Bench, Hop, Said, Way};
use std::time::Duration;

/// To be reached; what is reached stands in docs/book/figures.md.
const AGAINST_HOPS: f64 = 1.5;
const AGAINST_BUS: f64 = 2.0;
const KIB_EACH: u64 = 64;

/// Calls of a turn.
const CALLS: usize = 500;

/// A short message, and a long one, in bytes.
const SHORT: usize = 265;
const LONG: usize = 60_000;

/// Connected at once, to see what one costs: of the 1024 open files of a broker up to 280 are for other things.
const CONNECTED: usize = 700;

/// Connected and quiet, beside one who calls.
const QUIET: usize = 400;

pub(crate) fn run(tree: &Tree, built: &Built, rounds: usize, starts_alone: bool) -> Result<()> {
    let example = ["build", "--release", "-p", "sandboxd-broker", "--example", "hop"];
    process::run(process::cargo(&tree.root).args(example))?;
    let bench = Bench::new(tree, built)?;
    if starts_alone {
        return starts::run(&bench, rounds);
    }
    for pinned in [true, false] {
        let machine = bench.machine(pinned)?;
        for bytes in [SHORT, LONG] {
            let place = if pinned { "all on one core" } else { "on all cores" };
            println!("a call of {bytes} bytes and its answer, {place}");
            let ways = [Way::Socket, Way::Hops, Way::Broker, Way::Bus];
            let sides = sides(&bench, pinned, &ways, bytes, (1, rounds))?;
            table(&sides, 1);
            println!("to reach: {AGAINST_HOPS} of the second\n");
        }
        drop(machine);
    }
    quiet(&bench, rounds)?;
    let machine = bench.machine(false)?;
    for callers in [1, 8, 64] {
        println!("calls a second of {callers} at once, {SHORT} bytes");
        let ways = [Way::Bus, Way::Broker, Way::Hops];
        let sides = sides(&bench, false, &ways, SHORT, (callers, rounds))?;
        seconds(&sides, callers);
    }
    drop(machine);
    starts::run(&bench, rounds)?;
    memory(&bench)?;
    spent(&bench, rounds)
}

/// What one way said, turn by turn.
struct Side {
    way: Way,
    turns: Vec<Said>,
}

/// Turns of each way, another one first each time.
fn sides(
    bench: &Bench,
    pinned: bool,
    ways: &[Way],
    bytes: usize,
    (callers, rounds): (usize, usize),
) -> Result<Vec<Side>> {
    let mut hops = Vec::new();
    for way in ways {
        hops.push(bench.call(*way, pinned, (bytes, callers)).with_context(|| way.name())?);
    }
    take_turns(ways, &mut hops, rounds)
}

/// The same, of hops that are there.
fn take_turns(ways: &[Way], hops: &mut [Hop], rounds: usize) -> Result<Vec<Side>> {
    let mut sides: Vec<Side> =
        ways.iter().map(|way| Side { way: *way, turns: Vec::new() }).collect();
    for round in 0..=rounds {
        for turn in 0..ways.len() {
            let place = (round + turn) % ways.len();
            let (Some(hop), Some(side)) = (hops.get_mut(place), sides.get_mut(place)) else {
                continue;
            };
            let said = hop.round(CALLS).with_context(|| side.way.name())?;
            // The first is the one that warms up.
            if round > 0 {
                side.turns.push(said);
            }
        }
    }
    Ok(sides)
}

fn median<T: Copy + PartialOrd>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut values: Vec<T> = values.collect();
    values.sort_by(|one, other| one.partial_cmp(other).unwrap_or(std::cmp::Ordering::Equal));
    at(&values, 500).copied()
}

/// The median of the ratios of each turn to another way's.
fn ratio(one: &Side, other: &Side, of: impl Fn(&Said) -> Duration) -> f64 {
    let pairs = one.turns.iter().zip(&other.turns);
    median(pairs.map(|(one, other)| of(one).div_duration_f64(of(other)))).unwrap_or(f64::NAN)
}

fn micros(time: Option<Duration>) -> f64 {
    time.unwrap_or_default().as_secs_f64() * 1e6
}

/// A line for each way, with its ratio to one of them.
fn table(sides: &[Side], reference: usize) {
    println!("{:<30}{:>12}{:>12}{:>9}", "", "p50", "p99", "ratio");
    let Some(other) = sides.get(reference) else { return };
    for side in sides {
        let p50 = micros(median(side.turns.iter().map(|said| said.p50)));
        let p99 = micros(median(side.turns.iter().map(|said| said.p99)));
        let ratio = ratio(side, other, |said| said.p50);
        println!("{:<30}{p50:>9.1} µs{p99:>9.1} µs{ratio:>9.2}", side.way.name());
    }
}

fn seconds(sides: &[Side], callers: usize) {
    println!("{:<30}{:>12}{:>12}{:>9}", "", "a second", "p99", "ratio");
    let Some(bus) = sides.first() else { return };
    for side in sides {
        let took = median(side.turns.iter().map(|said| said.took)).unwrap_or_default();
        let calls = f64::from(u32::try_from(callers * CALLS).unwrap_or(0));
        let p99 = micros(median(side.turns.iter().map(|said| said.p99)));
        let ratio = ratio(bus, side, |said| said.took);
        let rate = calls / took.as_secs_f64();
        println!("{:<30}{rate:>12.0}{p99:>9.1} µs{ratio:>9.2}", side.way.name());
    }
    println!("to reach: {AGAINST_BUS} of the first\n");
}

/// What others who are connected and say nothing cost a call.
fn quiet(bench: &Bench, rounds: usize) -> Result<()> {
    let open = |quiet| {
        let mut hop = bench.call(Way::Broker, true, (SHORT, 1))?;
        hop.quiet(quiet)?;
        anyhow::Ok(hop)
    };
    let mut hops = [open(0)?, open(QUIET)?];
    let sides = take_turns(&[Way::Broker; 2], &mut hops, rounds)?;
    println!("a call of {SHORT} bytes through the broker, all on one core");
    println!("{:<30}{:>12}{:>9}", "", "p50", "ratio");
    for (words, side) in ["alone", "beside quiet ones"].iter().zip(&sides) {
        let p50 = micros(median(side.turns.iter().map(|said| said.p50)));
        let ratio = sides.first().map_or(f64::NAN, |alone| ratio(side, alone, |said| said.p50));
        println!("{words:<30}{p50:>9.1} µs{ratio:>9.2}");
    }
    println!("{QUIET} are quiet\n");
    Ok(())
}

/// What a connection costs the broker.
fn memory(bench: &Bench) -> Result<()> {
    let few = bench.call(Way::Broker, false, (SHORT, 1))?;
    let before = few.broker()?.resident()?;
    drop(few);
    let many = bench.call(Way::Broker, false, (SHORT, CONNECTED))?;
    let after = many.broker()?.resident()?;
    let each = after.saturating_sub(before) / u64::try_from(CONNECTED)?;
    println!("the broker's memory: {before} KiB with one connection, {after} KiB with {CONNECTED}");
    println!("{each} KiB each  (to reach: {KIB_EACH})\n");
    Ok(())
}

/// Who spends how much of a processor on a call.
fn spent(bench: &Bench, rounds: usize) -> Result<()> {
    let mut hop = bench.call(Way::Broker, false, (SHORT, 1))?;
    hop.round(CALLS)?;
    let (broker, supervisor) = (hop.broker()?, hop.supervisor());
    let before = (broker.spent()?, supervisor.spent()?);
    let mut took = Duration::ZERO;
    for _ in 0..rounds {
        took += hop.round(CALLS)?.took;
    }
    let calls = u32::try_from(rounds * CALLS)?.max(1);
    let broker = broker.spent()?.saturating_sub(before.0) / calls;
    let supervisor = supervisor.spent()?.saturating_sub(before.1) / calls;
    println!("of a call of {:.1} µs", micros(Some(took / calls)));
    println!("{:<30}{:>9.1} µs", "the broker", micros(Some(broker)));
    println!("{:<30}{:>9.1} µs", "the supervisor: records, chain", micros(Some(supervisor)));
    Ok(())
}
