//! What serves calls has pipes to the broker. A socket would be one of the host's network: it tells of its interfaces,
//! and takes a name there.

use anyhow::{Result, ensure};
use sandboxd_integration::{By, Case, Outside};
use serde_json::json;

pub(crate) const CASE: Case =
    Case { rows: &["N01", "N09", "B01"], outside, by: By::Anybody, ..Case::NEW };

fn outside(outside: &Outside) -> Result<()> {
    let tool = outside.tool("tool", &[], "")?;
    let edge = outside.call("tool", &tool, &[])?;
    let profile = format!("name = \"agent\"\nextends = [\"builtin:base\"]\n{edge}");
    let line = json!({ "line": "readlink /proc/$PPID/fd/0 /proc/$PPID/fd/1" });
    let call = format!("/run/sandboxd/sandboxd call tool sh '{line}'");
    let run = outside.sandbox(&profile).command(&["/bin/sh", "-c", &call]).run()?;
    run.exited(0)?;
    are_pipes(&run.stdout)?;

    let (client, end) = nix::unistd::pipe()?;
    drop(end);
    let script = "readlink /proc/self/fd/0 /proc/self/fd/1 >&2";
    let profile = "extends = [\"builtin:base\"]\n[serve]\ntools = [\"*\"]\n";
    let server = outside.sandbox(profile).verb("mcp").client(client);
    let run = server.command(&["/bin/sh", "-c", script]).run()?;
    are_pipes(&run.stderr)
}

fn are_pipes(told: &str) -> Result<()> {
    ensure!(told.matches("pipe:[").count() == 2 && !told.contains("socket:["), "{told}");
    Ok(())
}
