//! Killed at any step of its start, the shim leaves nothing behind, and the command is not run.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Inside, Outside, Program, Sandbox, Then, steps};
use std::fs;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixListener;
use std::path::Path;

pub(crate) const CASE: Case = Case {
    rows: &["C04", "E33"],
    seconds: 240,
    outside,
    probes: &[("act", act)],
    by: By::Anybody,
    ..Case::NEW
};

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let profile = format!(
        "extends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\n[command]\nsockets = [\"web\"]\n\
         credentials = [\"token\"]\n"
    );
    let web = UnixListener::bind(outside.dir().join("web.sock"))?;
    let token = outside.file("credentials/token", "told")?;
    let folder = token.parent().and_then(Path::to_str).context("a folder")?;
    let done = ws.join("done");
    let act = || -> Result<Sandbox<'_>> {
        let sandbox = outside.sandbox(&profile).listening(&[("web", web.as_fd())])?;
        let sandbox = sandbox.env("CREDENTIALS_DIRECTORY", folder);
        Ok(sandbox.probe("act", &[ws.to_str().unwrap_or_default()]))
    };
    let mut numbers = Vec::new();
    let whole = act()?.stepped(|step| {
        if step.program == Program::Shim && !done.exists() {
            numbers.push(step.number);
        }
        Then::Go
    })?;
    whole.ran()?.allowed("act")?;
    fs::remove_file(&done)?;
    ensure!(numbers.len() > 100, "the shim makes only {} calls", numbers.len());
    for wanted in steps::chosen(&numbers) {
        let mut at = 0;
        let run = act()?.stepped(|step| {
            at += usize::from(step.program == Program::Shim);
            if at == wanted + 1 && step.program == Program::Shim { Then::Kill } else { Then::Go }
        })?;
        ensure!(!done.exists(), "killed at step {wanted}, and the command ran");
        // Killed on its way out, init took the command with it.
        if run.exit() != Some(137) {
            run.not_started().with_context(|| format!("killed at step {wanted}"))?;
        }
    }
    Ok(())
}

fn act(inside: &Inside) -> Result<()> {
    inside.attempt("act", fs::write(inside.path(0)?.join("done"), "x"));
    Ok(())
}
