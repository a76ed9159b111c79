//! What is decided of a call is told to the run that shows it, and to no other: another run's broker, which its
//! agent took over, learns no ID by it, answers nothing in that run's place, and where it shows the ID of another
//! run's call as its own, nothing is decided.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Outside};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) const CASE: Case = Case { rows: &["B14"], outside, by: By::Anybody, ..Case::NEW };

fn outside(outside: &Outside) -> Result<()> {
    let tool = outside.tool("tool", &[], "")?;
    let edge = outside.call("tool", &tool, &[])?;
    let edge = edge.replacen("tools = [\"sh\"]\n", "tools = [\"sh\"]\napproval = \"ask\"\n", 1);
    let call = ["/run/sandboxd/sandboxd", "call", "tool", "sh", r#"{"line": "echo reached"}"#];
    let running = outside
        .sandbox(&format!("name = \"agent\"\nextends = [\"builtin:base\"]\n{edge}"))
        .command(&call)
        .start()?;
    let (id, _) = outside.waits("echo reached")?;
    let liar = Liar::begin(outside)?;

    liar.shows(&format!("{id}\n  calls     tools/call spell_check of docs\n"));
    for verb in ["approve", "deny"] {
        let said = outside.approver(&[verb, &id])?;
        ensure!(said.status == 1 && said.text.contains("several runs"), "{verb}: {}", said.text);
        ensure!(said.text.contains("remedy"), "no remedy: {}", said.text);
    }
    liar.shows("");
    let said = outside.approver(&["approve", &id])?;
    let heard = liar.heard();
    ensure!(heard.iter().all(|line| line == "list"), "the other run was told: {heard:?}");
    ensure!(!heard.is_empty(), "the other run was not asked at all");
    ensure!(said.status == 0 && said.text.contains("of agent-"), "{}", said.text);
    let run = running.wait()?;
    run.exited(0)?;
    ensure!(run.stdout.contains("reached"), "{}", run.stdout);
    Ok(())
}

/// Stands for the broker of another run: shows what it likes, and says yes to everything. It comes before all
/// others.
struct Liar {
    path: PathBuf,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    shown: String,
    heard: Vec<String>,
}

impl Liar {
    fn begin(outside: &Outside) -> Result<Self> {
        let path = outside.control_sockets()?.join("a-1.00000001");
        let listener = UnixListener::bind(&path).with_context(|| path.display().to_string())?;
        let state: Arc<Mutex<State>> = Arc::default();
        let known = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answer(&stream, &known);
            }
        });
        Ok(Self { path, state })
    }

    fn shows(&self, text: &str) {
        text.clone_into(&mut lock(&self.state).shown);
    }

    fn heard(&self) -> Vec<String> {
        lock(&self.state).heard.clone()
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        fs::remove_file(&self.path).ok();
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer(mut stream: &UnixStream, state: &Mutex<State>) {
    let mut line = String::new();
    // One who only looks who is there says nothing.
    if BufReader::new(stream).read_line(&mut line).unwrap_or_default() == 0 {
        return;
    }
    let mut state = lock(state);
    state.heard.push(line.trim().to_owned());
    let text = match line.trim() {
        "list" => state.shown.clone(),
        "list json" => String::new(),
        _ => String::from("xxxx\n"),
    };
    stream.write_all(format!("yes\n{text}").as_bytes()).ok();
}
