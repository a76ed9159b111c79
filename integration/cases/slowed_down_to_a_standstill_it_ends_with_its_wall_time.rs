//! A command that is slowed down at `memory_high` until it all but stands still ends when its wall time
//! is used up, and not before somebody comes; what the kernel did stands in the result.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{Case, Inside, Need, Outside};
use serde_json::Value;

pub(crate) const CASE: Case = Case {
    rows: &["R19"],
    needs: &[Need::CgroupV2],
    outside,
    probes: &[("eat", eat)],
    ..Case::NEW
};

const PROFILE: &str = "extends = [\"builtin:base\"]\n[limits]\nmemory = \"256M\"\n\
    memory_high = \"32M\"\nwall_time = \"5s\"\n";

fn outside(outside: &Outside) -> Result<()> {
    let run = outside.sandbox(PROFILE).probe("eat", &[]).run()?;
    run.exited(124)?;
    let result = run.result.as_ref().context("no result")?;
    ensure!(result.get("timeout") == Some(&Value::Bool(true)), "no timeout: {result}");
    ensure!(result.get("oom") == Some(&Value::Bool(false)), "out of memory: {result}");
    let stalled = result.pointer("/pressure/memory/some_us").and_then(Value::as_u64);
    ensure!(stalled.is_none_or(|stalled| stalled > 0), "nothing held it up: {result}");

    let more = PROFILE.replace("32M", "300M");
    let refused = outside.sandbox(&more).command(&["/usr/bin/true"]).run()?;
    refused.exited(125)?;
    ensure!(refused.stderr.contains("limits.memory_high"), "not said: {}", refused.stderr);
    Ok(())
}

fn eat(inside: &Inside) -> Result<()> {
    let mut eaten = Vec::new();
    for _ in 0..240 {
        eaten.push(std::hint::black_box(vec![1_u8; 1 << 20]));
    }
    inside.fact("ate it all", &eaten.len().to_string());
    Ok(())
}
