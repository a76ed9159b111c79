//! What a connection that says nothing costs a proxy in memory.

use super::ways::Way;
use anyhow::{Context as _, Result};
use std::{fs, thread, time::Duration};

/// Held open at once.
const HELD: usize = 200;

/// What a process that does nothing any more may take to let go of what it had.
const REST: Duration = Duration::from_millis(500);

pub(super) fn run(ways: &[Way]) -> Result<()> {
    println!("\n| memory, {HELD} connections that say nothing | with none | with all | each |");
    println!("| --- | --- | --- | --- |");
    for way in ways {
        let Some(process) = way.process() else { continue };
        thread::sleep(REST);
        let none = own(process)?;
        let held: Vec<_> = (0..HELD).map(|_| way.open()).collect::<Result<_>>()?;
        thread::sleep(REST);
        let all = own(process)?;
        drop(held);
        let each = (all.saturating_sub(none) << 10) / u64::try_from(HELD)?;
        println!("| {} | {none} KiB | {all} KiB | {each} bytes |", way.name);
    }
    Ok(())
}

/// A process's memory, what it shares with others divided among them, in KiB.
fn own(process: u32) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).context("no Pss")?;
    Ok(line.trim_end_matches("kB").trim().parse()?)
}
