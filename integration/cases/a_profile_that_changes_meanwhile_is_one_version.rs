//! A profile that is replaced while it is read is read as one version or the other, never as parts of
//! both.

use anyhow::{Context as _, Result, bail, ensure};
use sandboxd_integration::{By, Case, Outside};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) const CASE: Case =
    Case { rows: &["C03"], seconds: 120, outside, by: By::Anybody, ..Case::NEW };

const STARTS: u32 = 60;

fn text(name: &str) -> String {
    // What stands between the two is longer than one read(2) of most programs.
    let filling = "# nothing\n".repeat(8000);
    format!(
        "name = \"{name}\"\nextends = [\"builtin:base\"]\n{filling}[env]\nset = {{ MARK = \"{name}\" }}\n"
    )
}

fn outside(outside: &Outside) -> Result<()> {
    let (path, new) = (outside.dir().join("p.toml"), outside.dir().join("new.toml"));
    let write = |name: &str| -> Result<()> {
        fs::write(&new, text(name))?;
        fs::set_permissions(&new, fs::Permissions::from_mode(0o644))?;
        Ok(fs::rename(&new, &path)?)
    };
    write("first")?;
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut turns = 0_u32;
            while !over.load(Ordering::Relaxed) {
                write(if turns.is_multiple_of(2) { "second" } else { "first" })?;
                turns += 1;
            }
            anyhow::Ok(turns)
        });
        let raced = (0..STARTS).try_for_each(|_| {
            let run = outside.bare().option("--profile").option(&path);
            let run = run.command(&["/usr/bin/printenv", "MARK"]).run()?;
            run.exited(0)?;
            let receipt = run.receipt.as_ref().context("no receipt")?;
            let id = receipt.get("sandbox").and_then(Value::as_str).unwrap_or_default();
            ensure!(id.starts_with(run.stdout.trim()), "{id} has the mark {}", run.stdout);
            Ok(())
        });
        over.store(true, Ordering::Relaxed);
        match writer.join() {
            Ok(turns) => ensure!(turns? > 100, "the race was not run"),
            Err(_) => bail!("the writer broke off"),
        }
        raced
    })
}
