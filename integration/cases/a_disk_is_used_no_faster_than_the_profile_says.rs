//! A storm of writes that go past every cache is held to the rate of the profile, which stands in the
//! kernel for the disk that the folder lies on; a folder whose disk is not to be had starts nothing,
//! unless the profile says that it may.

use anyhow::{Context as _, Result, ensure};
use nix::fcntl::OFlag;
use nix::mount::{MsFlags, mount, umount};
use sandboxd_integration::{Case, Inside, Outside, facts};
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

pub(crate) const CASE: Case =
    Case { rows: &["R10"], outside, probes: &[("storm", storm)], ..Case::NEW };

const RATE: u64 = 1 << 20;
const WRITTEN: u64 = 3 << 20;

fn outside(outside: &Outside) -> Result<()> {
    // Only what is written: the probe itself may lie on something that tells no disk.
    let limits = "[limits]\nio_write = \"1M/s\"\n";
    on_a_disk(outside, limits)?;
    // The kernel limits disks, and this is memory.
    let memory = outside.dir().join("memory");
    fs::create_dir(&memory)?;
    let (none, flags) = (None::<&str>, MsFlags::empty());
    mount(Some("tmpfs"), &memory, Some("tmpfs"), flags, none).context("a tmpfs")?;
    let outcome = in_memory(outside, limits, &memory);
    umount(&memory)?;
    outcome
}

fn on_a_disk(outside: &Outside, limits: &str) -> Result<()> {
    let ws = outside.workspace()?;
    let probed = device(&ws)?;
    if probed.is_none() {
        outside.not_run("a rate; the case's folder lies on no disk");
        return Ok(());
    }
    let profile = format!("extends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\n{limits}");
    let run = outside.sandbox(&profile).probe("storm", &[ws.to_str().context("UTF-8")?]).run()?;
    run.exited(0)?;
    let took = Duration::from_millis(run.fact("took")?.parse()?);
    // What a rate takes at least, less what the kernel lets through before it begins to count.
    let least = Duration::from_millis((WRITTEN - RATE) * 1000 / RATE) * 3 / 4;
    ensure!(took >= least, "{WRITTEN} bytes took {took:?} at {RATE} a second");
    let result = run.result.as_ref().context("no result")?;
    let written = result.get("io_written_bytes").and_then(serde_json::Value::as_u64);
    ensure!(written.is_some_and(|written| written >= WRITTEN), "the result: {result}");
    Ok(())
}

/// The major number of the disk below a folder; nothing where the file system tells none.
fn device(path: &Path) -> Result<Option<u64>> {
    use std::os::unix::fs::MetadataExt as _;
    let major = nix::sys::stat::major(fs::metadata(path)?.dev());
    Ok((major != 0).then_some(major))
}

fn in_memory(outside: &Outside, limits: &str, memory: &Path) -> Result<()> {
    let mut profile =
        format!("extends = [\"builtin:base\"]\n[files]\nwrite = [{memory:?}]\n{limits}");
    let refused = outside.sandbox(&profile).command(&["/usr/bin/true"]).run()?;
    refused.exited(125)?;
    for words in ["require.cgroup.io", "is in memory"] {
        ensure!(refused.stderr.contains(words), "{words:?} is not in {}", refused.stderr);
    }
    profile.push_str("[require]\ncgroup.io = \"if-available\"\n");
    let waived = outside.sandbox(&profile).command(&["/usr/bin/true"]).run()?;
    if waived.stderr.contains("cannot be idmapped") && !facts::kernel_is_since(6, 3)? {
        outside.not_run("what the profile waives; no tmpfs can be idmapped here");
        return waived.exited(125).map(drop);
    }
    waived.exited(0)?;
    ensure!(waived.stderr.contains("is in memory"), "not said: {}", waived.stderr);
    Ok(())
}

fn storm(inside: &Inside) -> Result<()> {
    const BLOCK: usize = 256 << 10;
    let path = inside.path(0)?.join("storm");
    let mut file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags(OFlag::O_DIRECT.bits())
        .open(path)?;
    let begun = Instant::now();
    // O_DIRECT wants the bytes where a page begins.
    let room = vec![0_u8; BLOCK + 4096];
    let from = room.as_ptr().align_offset(4096);
    let block = room.get(from..from + BLOCK).context("no page in it")?;
    for _ in 0..WRITTEN / u64::try_from(BLOCK)? {
        file.write_all(block)?;
    }
    inside.fact("took", &begun.elapsed().as_millis().to_string());
    Ok(())
}
