//! A key is changed at its host and in its file while a program that uses it runs: once `sandboxd secret rotate`
//! has said so, the next request of the very same process has the new one, over the connection that it has had
//! all along, too. Neither is told to it, before or after, nor in any record. A file that cannot be read changes
//! nothing, and neither does one for which no memory can be locked; it is said what to do about either. The profile and the log say who may use it, and who did how often.

#![expect(
    clippy::indexing_slicing,
    reason = "a member that is not there is null, and a record that is not there fails the case"
)]

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Inside, Outside, Run, Running, wait_for};
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) const CASE: Case =
    Case { rows: &["N17"], outside, probes: &[("ask", ask)], by: By::Anybody, ..Case::NEW };

const OLD: &str = "sk-old-hunter2-0123456789";
const NEW: &str = "sk-new-hunter3-9876543210";
const ROUNDS: usize = 3;

fn outside(outside: &Outside) -> Result<()> {
    let host = TcpListener::bind("127.0.0.1:0")?;
    let port = host.local_addr()?.port();
    // The last is the one that is taken; those before are said back as well.
    let keys = Arc::new(Mutex::new(vec![OLD]));
    let known = Arc::clone(&keys);
    std::thread::spawn(move || {
        for stream in host.incoming().flatten() {
            let known = Arc::clone(&known);
            std::thread::spawn(move || serve(&stream, &known));
        }
    });
    let workspace = outside.workspace()?;
    let key = outside.dir().join("key");
    fs::write(&key, OLD)?;
    let mode = |mode| fs::set_permissions(&key, fs::Permissions::from_mode(mode));
    mode(0o600)?;
    let profile = profile(&workspace, port, &key);
    let words = [port.to_string(), workspace.display().to_string()];
    let sandbox = outside.sandbox(&profile).probe("ask", &[&words[0], &words[1]]);
    let mut running =
        sandbox.env("XDG_RUNTIME_DIR", &outside.login_folder()?.display().to_string()).start()?;
    let go_on = |round: usize| fs::write(workspace.join(format!("go-{round}")), "");
    running.says("\"round 0\"")?;

    keys.lock().unwrap_or_else(PoisonError::into_inner).push(NEW);
    mode(0o600)?;
    fs::write(&key, NEW)?;
    let said = outside.approver(&["secret", "rotate"])?;
    ensure!(said.status == 0 && said.text.contains("model: changed"), "{}", said.text);
    go_on(0)?;
    running.says("\"round 1\"")?;

    // Whose limits its own user may set.
    if outside.is_user() {
        finds_no_memory(outside, &running)?;
    }
    // What others can read is no secret, and the old value goes on to be used.
    mode(0o644)?;
    let said = outside.approver(&["secret", "rotate", "--json"])?;
    let answers: Value = serde_json::from_str(&said.text).context("the answers")?;
    ensure!(said.status == 1 && answers[0]["ok"] == false, "{}", said.text);
    let remedy = answers[0]["remedy"].as_str().unwrap_or_default();
    ensure!(remedy.contains("chmod"), "it is not said what to do: {}", said.text);
    mode(0o600)?;
    go_on(1)?;
    running.says("\"round 2\"")?;
    let said = outside.approver(&["secret", "rotate"])?;
    ensure!(said.status == 0 && said.text.contains("model: unchanged"), "{}", said.text);
    go_on(2)?;
    let run = running.wait()?;
    run.exited(0)?;
    answered(&run)?;
    let said = outside.approver(&["secret", "rotate"])?;
    ensure!(said.status == 1 && said.text.contains("no run"), "it is over: {}", said.text);
    told(outside, &profile)
}

fn profile(workspace: &Path, port: u16, key: &Path) -> String {
    format!(
        "name = \"agent\"\nextends = [\"builtin:base\"]\n[files]\nwrite = [{workspace:?}]\n\
         [network]\nmode = \"egress\"\negress = [\"http://host.internal:{port}\"]\n\
         [secrets.model]\nfrom = \"file:{}\"\n\
         inject = {{ host = \"host.internal\", port = {port}, header = \"x-api-key\" }}\n",
        key.display()
    )
}

/// The process that uses it may lock no more memory.
fn finds_no_memory(outside: &Outside, running: &Running<'_>) -> Result<()> {
    let egress = running.process_to_come(|command| command.ends_with("service egress"))?;
    let may_lock = |most: &str| -> Result<()> {
        let limit = format!("--memlock={most}:");
        let set = Command::new("prlimit").args(["--pid", &egress.to_string(), &limit]).output()?;
        ensure!(set.status.success(), "{}", String::from_utf8_lossy(&set.stderr));
        Ok(())
    };
    may_lock("0")?;
    let said = outside.approver(&["secret", "rotate", "--json"])?;
    may_lock("8388608")?;
    let answers: Value = serde_json::from_str(&said.text).context("the answers")?;
    let told = |key: &str| answers[0][key].as_str().unwrap_or_default().to_owned();
    ensure!(
        said.status == 1
            && told("why")
                .contains("the egress process: the memory that they need cannot be locked"),
        "{}",
        said.text
    );
    ensure!(told("remedy").contains("LimitMEMLOCK="), "{}", said.text);
    Ok(())
}

/// It was welcome all along, and never told.
fn answered(run: &Run) -> Result<()> {
    for fact in (0..ROUNDS).flat_map(|round| ["kept", "fresh"].map(|way| format!("{way} {round}")))
    {
        let said = run.fact(&fact)?;
        ensure!(said.contains("welcome") && said.contains("****"), "{fact}: {said}");
    }
    ensure!(!run.stdout.contains("hunter"), "it was told: {}", run.stdout);
    run.refused("the folder of those who may", &[nix::errno::Errno::ENOENT])?;
    Ok(())
}

/// The log has who renewed it, and who used it; and neither key.
fn told(outside: &Outside, profile: &str) -> Result<()> {
    let records = outside.records()?;
    let rotated: Vec<&Value> =
        records.iter().filter(|record| record["kind"] == "secret_rotated").collect();
    let decisions: Vec<&Value> = rotated.iter().map(|record| &record["decision"]).collect();
    let refused = if outside.is_user() { 2 } else { 1 };
    let mut expected = vec!["refused"; refused];
    expected.insert(0, "allowed");
    expected.push("allowed");
    ensure!(decisions == expected, "{rotated:?}");
    ensure!(rotated[0]["result"]["secrets"][0]["renewed"] == "changed", "{rotated:?}");
    ensure!(rotated[0]["result"]["by"]["uid"].is_u64(), "{rotated:?}");
    for record in &records {
        ensure!(!record.to_string().contains("hunter"), "{record}");
    }
    let run = outside
        .sandbox(profile)
        .verb("secret uses")
        .option("--json")
        .command(&["/bin/true"])
        .run()?;
    run.exited(0)?;
    let uses: Value = serde_json::from_str(&run.stdout)?;
    let used = &uses[0]["used"];
    ensure!(used[0]["requests"] == 2 * ROUNDS && used[0]["profile"] == "agent", "{uses}");
    ensure!(used[0]["connections"] == ROUNDS + 1 && used[1].is_null(), "{uses}");
    ensure!(uses[0]["may"][0].as_str().is_some_and(|may| may.contains("x-api-key")), "{uses}");
    Ok(())
}

/// Answers whoever has the key of the day, and says back all keys that there were.
fn serve(stream: &TcpStream, keys: &Mutex<Vec<&str>>) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    while let Some(line) = lines.next() {
        let mut head = vec![line];
        head.extend(lines.by_ref().take_while(|line| !line.is_empty()));
        let keys = keys.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let own = keys.last().map(|key| format!("x-api-key: {key}")).unwrap_or_default();
        let knows = head.iter().any(|line| line.to_lowercase() == own.to_lowercase());
        let word = if knows { "welcome" } else { "who are you?" };
        let body = format!("{word} {}", keys.join(" "));
        let length = body.len();
        let mut to = stream;
        if write!(to, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}").is_err() {
            return;
        }
    }
}

/// One request, on a connection that goes on.
fn once(stream: &mut TcpStream, port: &str) -> Result<String> {
    write!(stream, "GET / HTTP/1.1\r\nHost: host.internal:{port}\r\n\r\n")?;
    let mut said = String::new();
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    reader.take(length).read_to_string(&mut said)?;
    Ok(said)
}

fn ask(inside: &Inside) -> Result<()> {
    let (port, folder) = (inside.argument(0)?, inside.path(1)?);
    let connect = || TcpStream::connect(format!("host.internal:{port}"));
    let mut kept = connect()?;
    inside.attempt("the folder of those who may", fs::read_dir("/run/sandboxd/secrets"));
    for round in 0..ROUNDS {
        inside.fact(&format!("kept {round}"), &once(&mut kept, port)?);
        inside.fact(&format!("fresh {round}"), &once(&mut connect()?, port)?);
        inside.fact(&format!("round {round}"), "is over");
        wait_for(&folder.join(format!("go-{round}")))?;
    }
    Ok(())
}
