//! The log of a supervisor that was killed is closed by the next one, and what it left half written is
//! moved aside and counted.

#![expect(
    clippy::indexing_slicing,
    reason = "a member that is not there is null, and a record that is not there fails the case"
)]

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use sandboxd_integration::{By, Case, Outside, patience};
use serde_json::Value;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::time::{Duration, Instant};

pub(crate) const CASE: Case =
    Case { rows: &["X01"], outside, by: By::Anybody, seconds: 120, ..Case::NEW };

const TORN: &[u8] = b"{\"v\":1,\"seq\":2,\"ts\":";

fn outside(outside: &Outside) -> Result<()> {
    outside.leases_may_stay_busy();
    let base = || outside.bare().option("--profile=builtin:base");
    let mut running = base().command(&["/bin/sh", "-c", "echo up; sleep 600"]).start()?;
    running.says("up")?;
    ensure!(found(outside)?["live"].as_array().is_some_and(|live| live.len() == 1), "not live");
    running.signal(Signal::SIGKILL)?;
    running.wait()?;
    let live = fs::read_dir(outside.audit().join("live"))?.flatten().next();
    let live = live.context("its log is gone")?.path();
    OpenOptions::new().append(true).open(&live)?.write_all(TORN)?;
    let until = Instant::now() + patience(Duration::from_secs(60));
    loop {
        base().command(&["/bin/sleep", "0.2"]).run()?.exited(0)?;
        let report = found(outside)?;
        if let Some(recovered) = report["recovered"].as_array().and_then(|all| all.first()) {
            ensure!(recovered[1] == TORN.len(), "{report}");
            ensure!(report["troubles"] == Value::Array(Vec::new()), "{report}");
            ensure!(!live.exists(), "it is still where living logs are");
            return Ok(());
        }
        ensure!(Instant::now() < until, "nobody closed it: {report}");
    }
}

fn found(outside: &Outside) -> Result<Value> {
    let verify = outside.bare().waiving_nothing().verb("audit").option("verify").option("--json");
    Ok(serde_json::from_str(&verify.run()?.stdout)?)
}
