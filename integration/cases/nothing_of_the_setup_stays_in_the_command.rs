//! Nothing of what set the sandbox up is left in the command: its memory holds no word of the
//! profile or the plan, no descriptor but the standard ones is open, and nothing of the shim is
//! mapped.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Inside, Outside};
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;

pub(crate) const CASE: Case = Case {
    rows: &["I10", "F06", "E23"],
    outside,
    probes: &[("search", search)],
    by: By::Anybody,
    ..Case::NEW
};

fn outside(outside: &Outside) -> Result<()> {
    // A word that stands in the profile, and, as part of a path, in the plan.
    let canary = outside.canary("secret")?;
    let word = canary.secret();
    let ws = outside.workspace()?;
    let hidden = outside.file(&format!("ws/{word}"), "x")?;
    let profile = format!(
        "# {word}\nextends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\nhide = [{hidden:?}]\n"
    );
    // Told backwards, so that the search does not find what it was told.
    let backwards: String = word.chars().rev().collect();
    let own = "a word that the probe was told as it is";
    let run = outside.sandbox(&profile).probe("search", &[&backwards, own]).run()?;
    run.ran()?;
    let found: u32 = run.fact("profile")?.parse()?;
    ensure!(found == 0, "{found} times the profile's word");
    // The same search finds what is there.
    ensure!(run.fact("own")? != "0", "the search finds nothing at all");
    ensure!(run.fact("descriptors")? == "0 1 2", "descriptors {}", run.fact("descriptors")?);
    for line in run.fact("maps")?.lines() {
        ensure!(!line.contains("memfd:"), "mapped: {line}");
        ensure!(!line.contains("sandboxd-shim"), "mapped: {line}");
    }
    ensure!(run.fact("executed")? == "/probe", "executed as {}", run.fact("executed")?);
    Ok(())
}

fn search(inside: &Inside) -> Result<()> {
    let maps = fs::read_to_string("/proc/self/maps")?;
    let memory = File::open("/proc/self/mem")?;
    let backwards = inside.argument(0)?.as_bytes();
    let own = inside.argument(1)?.as_bytes();
    let (mut profile, mut told) = (0, 0);
    for line in maps.lines() {
        let mut fields = line.split_whitespace();
        let (Some(range), Some(mode)) = (fields.next(), fields.next()) else { continue };
        // What is mapped from a file was in the file before.
        let (Some((start, end)), true) = (range.split_once('-'), mode.starts_with("rw")) else {
            continue;
        };
        let (start, end) = (u64::from_str_radix(start, 16)?, u64::from_str_radix(end, 16)?);
        let mut content = vec![0; usize::try_from(end - start)?];
        if memory.read_at(&mut content, start).is_err() {
            continue;
        }
        let holds = |window: &&[u8]| window.iter().eq(backwards.iter().rev());
        profile += content.windows(backwards.len()).filter(holds).count();
        told += content.windows(own.len()).filter(|window| *window == own).count();
    }
    inside.fact("profile", &profile.to_string());
    inside.fact("own", &told.to_string());
    inside.fact("maps", &maps);
    let mut open = Vec::new();
    for number in 0..1024 {
        if fs::symlink_metadata(format!("/proc/self/fd/{number}")).is_ok() {
            open.push(number.to_string());
        }
    }
    // The search itself has the memory open, as the lowest number that was free.
    open.retain(|number| *number != std::os::fd::AsRawFd::as_raw_fd(&memory).to_string());
    inside.fact("descriptors", &open.join(" "));
    let executed = fs::read_link("/proc/self/exe").context("/proc/self/exe")?;
    inside.fact("executed", &executed.display().to_string());
    Ok(())
}
