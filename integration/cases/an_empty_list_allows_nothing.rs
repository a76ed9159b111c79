//! An empty list allows nothing, and taking an entry away never widens.

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use sandboxd_integration::{By, Case, Inside, Listener, Outside};
use std::fs;

pub(crate) const CASE: Case =
    Case { rows: &["E17"], outside, probes: &[("try", attempt)], by: By::Anybody, ..Case::NEW };

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let canary = outside.canary("ws/notes")?;
    let listener = Listener::open()?;
    let port = listener.port().to_string();
    let arguments = [ws.to_str().unwrap_or_default(), &port];
    let run = |text: &str| {
        let profile = format!("extends = [\"builtin:base\"]\n{text}");
        outside
            .sandbox(&profile)
            .env("SECRET_TOKEN", canary.secret())
            .probe("try", &arguments)
            .run()
    };
    let empty = run(
        "[files]\nread = []\nwrite = []\nexecute = []\nbind = []\n[env]\npass = []\nset = {}\n[syscalls]\nallow = []\ndeny = []\n",
    )?;
    empty.ran()?.all_refused()?.refused("read", &[Errno::ENOENT])?.keeps(&canary)?;
    ensure!(empty.fact("env")?.is_empty(), "SECRET_TOKEN was passed on");

    let silent = run("")?;
    silent.ran()?.all_refused()?.keeps(&canary)?;

    let whole = run(&format!("[files]\nread = [{ws:?}]\nwrite = [{ws:?}]\n"))?;
    whole.ran()?.allowed("read")?.allowed("write")?;
    fs::remove_file(ws.join("new"))?;
    let less = run(&format!("[files]\nread = [{ws:?}]\n"))?;
    less.ran()?.allowed("read")?;
    ensure!(less.errno("write")? != 0, "without files.write, it writes");
    listener.heard_nothing()?;

    // 0 is nothing too, which no command can live on, and not "no limit".
    for (key, words) in [
        ("memory = \"0\"", "memory"),
        ("processes = 0", "processes"),
        ("wall_time = \"0\"", "wall_time"),
        ("cpus = 0.0", "cpus"),
    ] {
        let run = run(&format!("[limits]\n{key}\n"))?;
        let unlimited = run.exit() == Some(0);
        ensure!(!unlimited, "{key} lets the command run");
        run.not_started().with_context(|| key.to_owned())?.has_problem(&[words])?;
    }
    Ok(())
}

fn attempt(inside: &Inside) -> Result<()> {
    let ws = inside.path(0)?;
    let port: u16 = inside.argument(1)?.parse()?;
    if let Some(text) = inside.attempt("read", fs::read_to_string(ws.join("notes"))) {
        inside.fact("text", &text);
    }
    inside.attempt("write", fs::write(ws.join("new"), "x"));
    inside.attempt("connect", std::net::TcpStream::connect(("127.0.0.1", port)));
    inside.fact("env", &std::env::var("SECRET_TOKEN").unwrap_or_default());
    Ok(())
}
