//! `sandboxd ps` lists the runs that go on, with what they called, and `sandboxd stop` ends one with all of that,
//! whatever its command ignores. Neither takes another process for a run, whatever a log says.

use anyhow::{Context as _, Result, bail, ensure};
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::Signal;
use sandboxd_integration::below::field;
use sandboxd_integration::{By, Case, Outside, Run, Running, patience};
use serde_json::{Value, json};
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

pub(crate) const CASE: Case = Case {
    rows: &["P08", "P13", "R17", "X01"],
    seconds: 180,
    outside,
    by: By::Anybody,
    ..Case::NEW
};

/// It is not ended by being asked, and neither is what it leaves behind.
const STUBBORN: &str = "trap '' TERM INT HUP; setsid sh -c 'trap \"\" TERM; exec /bin/sleep 1000' & echo ready; \
     while :; do /bin/sleep 0.1; done";

fn outside(outside: &Outside) -> Result<()> {
    outside.leases_may_stay_busy();
    let tool = outside.tool("tool", &[], "")?;
    let edge = outside.call("tool", &tool, &[])?;
    let caller = format!("name = \"agent\"\nextends = [\"builtin:base\"]\n{edge}");
    ensure!(all(outside)?.is_empty(), "a run is listed before there is one");
    let (agent, plain) = (caller.as_str(), "name = \"plain\"\nextends = [\"builtin:base\"]\n");
    let asked = json!({ "line": "exec sleep 1000" });
    let calls = format!("/run/sandboxd/sandboxd call tool sh '{asked}' & {STUBBORN}");
    let start = |profile: &str, script: &str| {
        outside.sandbox(profile).command(&["/bin/sh", "-c", script]).start()
    };
    let mut running = start(agent, &calls)?;
    running.says("ready")?;
    // A script that starts it in the background has it ignore SIGINT.
    let other = outside.sandbox(plain).ignoring(&[nix::libc::SIGINT]);
    let mut other = other.command(&["/bin/sh", "-c", STUBBORN]).start()?;
    other.says("ready")?;

    let (agent, command) = is_listed(outside, &running)?;

    // A log that somebody else has open is not its run's.
    let forged = forge(outside)?;
    ensure!(all(outside)?.len() == 2, "a copy of a log counts as a run");
    is_named(outside)?;

    an_unknown_name_ends_none(outside)?;
    // One is ended, whatever it ignores, with all that it called and left behind; and no other.
    let left = running.process_to_come(|command| command == "/bin/sleep 1000")?;
    let id = agent.get("id").and_then(Value::as_str).context("no id")?.to_owned();
    let from = Instant::now();
    let stopped = ask(outside, "stop", &[&id])?;
    let asked = from.elapsed();
    stopped.exited(0)?;
    ensure!(stopped.stdout == format!("{id}: ended\n"), "{}", stopped.stdout);
    running.wait()?.exited(137)?;
    for process in [command, left] {
        ensure!(field(process, "State").is_err(), "{process} goes on");
    }
    ensure!(other.lives()?, "the other one ended too");
    ensure!(find(&all(outside)?, "agent").is_none(), "what has ended is listed");

    // The other at once, by the name of its profile.
    let from = Instant::now();
    ask(outside, "stop", &["--now", "plain"])?.exited(0)?;
    let killed = from.elapsed();
    ensure!(killed + Duration::from_secs(1) < asked, "{killed:?} at once, {asked:?} when asked");
    other.wait()?.exited(137)?;
    ensure!(all(outside)?.is_empty(), "what has ended is listed");

    what_is_held_elsewhere_has_not_ended(outside, &id)?;
    one_that_was_killed_is_none(outside, plain)?;
    drop(forged);
    ask(outside, "stop", &["--all"])?.exited(0)?;
    a_name_that_several_have_ends_none(outside, plain)?;
    learning_is_a_run(outside)?;
    Ok(())
}

fn an_unknown_name_ends_none(outside: &Outside) -> Result<()> {
    let refused = ask(outside, "stop", &["agen"])?;
    refused.exited(1)?;
    ensure!(refused.stderr.contains("sandboxd ps"), "{}", refused.stderr);
    let refused = ask(outside, "stop", &["--json", "agen"])?;
    refused.exited(1)?;
    let told: Value = serde_json::from_str(refused.stdout.trim_end())?;
    ensure!(
        refused.stdout.lines().count() == 1
            && told.get("run") == Some(&json!("agen"))
            && told.get("ended") == Some(&json!(false)),
        "{}",
        refused.stdout
    );
    Ok(())
}

/// What is held where it is not seen is not said to have ended, asked for by its id or with all others.
fn what_is_held_elsewhere_has_not_ended(outside: &Outside, id: &str) -> Result<()> {
    for words in [["--all"].as_slice(), &[id]] {
        let stopped = ask(outside, "stop", words)?;
        stopped.exited(1)?;
        ensure!(stopped.stderr.contains("is not visible here"), "{words:?}: {}", stopped.stderr);
    }
    Ok(())
}

/// Without a word more: whoever typed it meant one of them, most likely.
fn a_name_that_several_have_ends_none(outside: &Outside, plain: &str) -> Result<()> {
    let start = || {
        let mut running = outside.sandbox(plain).command(&["/bin/sh", "-c", STUBBORN]).start()?;
        running.says("ready")?;
        Ok::<_, anyhow::Error>(running)
    };
    let (mut one, mut other) = (start()?, start()?);
    let refused = ask(outside, "stop", &["plain"])?;
    ensure!(refused.exit() == Some(1) && refused.stderr.contains("--all"), "{}", refused.stderr);
    ensure!(one.lives()? && other.lives()?, "one of the two was ended");
    let runs = all(outside)?;
    let ids: Vec<&str> = runs.iter().filter_map(|run| run.get("run")?.as_str()).collect();
    ensure!(
        ids.len() == 2 && ids.iter().all(|id| refused.stderr.contains(id)),
        "{}",
        refused.stderr
    );
    ask(outside, "stop", &["--now", "--all", "plain"])?.exited(0)?;
    one.wait()?.exited(137)?;
    other.wait()?.exited(137)?;
    Ok(())
}

/// Nobody writes the log of one that was killed.
fn one_that_was_killed_is_none(outside: &Outside, plain: &str) -> Result<()> {
    let killed = outside.sandbox(plain).command(&["/bin/sh", "-c", STUBBORN]);
    let mut killed = killed.start()?;
    killed.says("ready")?;
    ensure!(all(outside)?.len() == 1, "it is not listed");
    killed.signal(Signal::SIGKILL)?;
    killed.wait()?;
    ensure!(all(outside)?.is_empty(), "one that was killed is listed");
    // Sweeps up after it.
    outside.sandbox(plain).command(&["/bin/true"]).run()?.exited(0)?;
    Ok(())
}

/// So is one that is learnt from, whose command sandboxd watches inside.
fn learning_is_a_run(outside: &Outside) -> Result<()> {
    let file = outside.dir().join("learnt.toml");
    let learn = outside.bare().verb("learn").option("--output").option(file.as_path());
    let mut learn = learn.command(&["/bin/sh", "-c", STUBBORN]).start()?;
    learn.says("ready")?;
    let runs = all(outside)?;
    let ids: Vec<&str> = runs.iter().filter_map(|run| run.get("run")?.as_str()).collect();
    let [id] = ids.as_slice() else { bail!("{runs:#?}") };
    ask(outside, "stop", &["--now", id])?.exited(0)?;
    learn.wait()?;
    ensure!(all(outside)?.is_empty(), "it is still listed");
    Ok(())
}

/// The run, with its command's process and what it called; and another one. Gives it, and that process.
fn is_listed(outside: &Outside, running: &Running<'_>) -> Result<(Value, i32)> {
    let tool =
        patiently(|| Ok(find(&all(outside)?, "tool")))?.context("what is called is not listed")?;
    let runs = all(outside)?;
    ensure!(runs.len() == 2, "{runs:#?}");
    let agent = find(&runs, "agent").context("the run is not listed")?;
    let command = running.process(|command| command.starts_with("/bin/sh -c /run/sandboxd"))?;
    ensure!(agent.get("pid").and_then(Value::as_i64) == Some(i64::from(command)), "{agent}");
    ensure!(agent.get("depth") == Some(&Value::from(0)), "{agent}");
    if agent.get("memory").is_some_and(Value::is_number) {
        ensure!(tool.get("depth") == Some(&Value::from(1)), "{tool}");
        ensure!(agent.get("processes").and_then(Value::as_u64) > Some(4), "{agent}");
    }
    let words = ask(outside, "ps", &[])?.stdout;
    ensure!(words.contains("agent") && words.contains("plain"), "{words}");
    Ok((agent, command))
}

/// The runs, as they are told to programs.
fn all(outside: &Outside) -> Result<Vec<Value>> {
    let told = ask(outside, "ps", &["--json"])?;
    told.exited(0)?;
    Ok(serde_json::from_str(&told.stdout)?)
}

fn ask(outside: &Outside, verb: &'static str, words: &[&str]) -> Result<Run> {
    let asking = outside.bare().waiving_nothing().verb(verb);
    words.iter().fold(asking, |asking, word| asking.option(*word)).run()
}

/// Two copies are held, of which `ps` says so; and in a container with the same log, all four logs.
fn is_named(outside: &Outside) -> Result<()> {
    let held = ask(outside, "ps", &[])?;
    ensure!(
        held.stderr.matches("not visible here").count() == 2,
        "it is not said: {}",
        held.stderr
    );
    if !outside.is_user() {
        // In a container with the same log, numbers are others', and none of them is.
        let product = std::env::current_exe()?.with_file_name("sandboxd");
        let apart = ["--pid", "--fork", "--mount-proc"];
        let asked = Command::new("unshare").args(apart).arg(product).arg("ps").output()?;
        let [said, told] =
            [asked.stdout, asked.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        ensure!(said.starts_with("you have no running sandboxes"), "{said}");
        ensure!(told.matches("not visible here").count() == 4, "it is not said: {told}");
    }
    Ok(())
}

/// The sandbox of a profile.
fn find(runs: &[Value], profile: &str) -> Option<Value> {
    let sandboxes = runs.iter().filter_map(|run| run.get("sandboxes")?.as_array()).flatten();
    let is = |one: &&Value| one.get("profile").and_then(Value::as_str) == Some(profile);
    sandboxes.cloned().collect::<Vec<_>>().iter().find(is).cloned()
}

fn patiently(mut look: impl FnMut() -> Result<Option<Value>>) -> Result<Option<Value>> {
    let until = Instant::now() + patience(Duration::from_secs(10));
    loop {
        let found = look()?;
        if found.is_some() || Instant::now() > until {
            return Ok(found);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Copies of the logs that are written now, which name the same processes, and which this process holds.
fn forge(outside: &Outside) -> Result<Vec<Flock<fs::File>>> {
    let live = outside.audit().join("live");
    let mut held = Vec::new();
    for entry in fs::read_dir(&live)?.collect::<Result<Vec<_>, _>>()? {
        let name = entry.file_name().into_string().ok().context("a name")?;
        let copy = live.join(name.replace(".0000.", "f.0000."));
        fs::copy(entry.path(), &copy)?;
        let file = fs::OpenOptions::new().read(true).write(true).open(&copy)?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock);
        held.push(lock.map_err(|(_, errno)| errno).context("a log's copy")?);
    }
    ensure!(held.len() == 2, "{} logs are written", held.len());
    Ok(held)
}
