//! What is kept ready and would not be started so any more is not used: a folder that is another by now, a place
//! that is protected by now, a secret that was changed, a program that is not the one that is pinned. What is
//! started in its stead is told with the reason.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Outside, Run};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

pub(crate) const CASE: Case = Case { rows: &["B11", "B12"], outside, by: By::Anybody, ..Case::NEW };

fn outside(outside: &Outside) -> Result<()> {
    what_is_the_same_is_used(outside)?;
    a_folder_that_is_another(outside)?;
    a_place_that_is_protected(outside)?;
    a_secret_that_was_changed(outside)?;
    a_program_that_was_changed(outside)
}

/// Calls a tool once, which was kept ready before something changed.
struct Changes<'a> {
    outside: &'a Outside,
    name: &'a str,
    /// The tool's profile; what the edge lets it execute more, and more words of the edge.
    tool: String,
    executes: String,
    edge: String,
    /// What it is asked to run.
    line: String,
}

impl Changes<'_> {
    /// The run, and what is written down of the tool's start.
    fn run(&self, change: impl FnOnce() -> Result<()>) -> Result<(Run, Value)> {
        let Self { outside, name, tool, executes, edge, line } = self;
        let folder = outside.dir().join(format!("{name}-go"));
        fs::create_dir_all(&folder)?;
        let path = outside.dir().join(format!("{name}.toml"));
        fs::write(&path, tool)?;
        let call = outside.call("tool", &path, &[])?;
        let call = call.replace("execute = [", &format!("execute = [{executes}"));
        let profile = format!(
            "name = \"agent-{name}\"\nextends = [\"builtin:base\"]\n[files]\nread = [{folder:?}]\n{call}{edge}ready = 1\n"
        );
        let asked = json!({ "line": line }).to_string().replace('\'', "'\\''");
        let script = format!(
            "until [ -e {}/go ]; do sleep 0.05; done; /run/sandboxd/sandboxd call tool sh '{asked}'",
            folder.display()
        );
        let running = outside.sandbox(&profile).command(&["/bin/sh", "-c", &script]).start()?;
        running.keeps_ready(1)?;
        change()?;
        fs::write(folder.join("go"), "")?;
        let run = running.wait()?;
        let records = outside.records()?;
        let tools = |record: &&Value| {
            at(record, "/actor/agent") == *name && at(record, "/kind") == "started"
        };
        let started = records.iter().find(tools).map(|record| at(record, "/result").clone());
        Ok((run, started.unwrap_or_default()))
    }
}

/// The profile of a tool with these words, and more of its files.
fn tool(outside: &Outside, name: &str, files: &str, words: &str) -> Result<String> {
    let path = outside.tool(name, &[], words)?;
    Ok(fs::read_to_string(&path)?.replace("read = []", files))
}

fn what_is_the_same_is_used(outside: &Outside) -> Result<()> {
    let tool = tool(outside, "same", "", "")?;
    let line = String::from("echo answered");
    let changes =
        Changes { outside, name: "same", tool, executes: String::new(), edge: String::new(), line };
    let (run, started) = changes.run(|| Ok(()))?;
    ensure!(run.stdout.contains("answered"), "{}, {}", run.stdout, run.stderr);
    ensure!(at(&started, "/kept_ready_ms").is_u64(), "it was not used: {started}");
    Ok(())
}

fn was_not_used(started: &Value, why: &str) -> Result<()> {
    let told = at(started, "/not_kept_ready")
        .as_str()
        .with_context(|| format!("it was used: {started}"))?;
    ensure!(told.contains(why), "for another reason: {told}");
    Ok(())
}

fn a_folder_that_is_another(outside: &Outside) -> Result<()> {
    let file = outside.file("data/file", "of before")?;
    let data = file.parent().context("a folder")?;
    let tool = tool(outside, "folder", &format!("read = [{data:?}]"), "")?;
    let edge = format!("grant.files.read = [{data:?}]\n");
    let edge = edge.replace("grant.files.read", "grant.files.write");
    let tool = tool.replace("read = [\"", "write = [\"");
    let line = format!("cat {}", file.display());
    let changes = Changes { outside, name: "folder", tool, executes: String::new(), edge, line };
    let (run, started) = changes.run(|| {
        fs::rename(data, data.with_extension("old"))?;
        outside.file("data/file", "of now")?;
        Ok(())
    })?;
    ensure!(
        run.stdout.contains("of now"),
        "it has the folder of before: {}, {}",
        run.stdout,
        run.stderr
    );
    was_not_used(&started, "path")
}

fn a_place_that_is_protected(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let tool = tool(outside, "place", &format!("write = [{ws:?}]"), "")?;
    let edge = format!("grant.files.write = [{ws:?}]\n");
    let hook = ws.join(".git/hooks/pre-commit");
    let line = format!(
        "echo planted > {0}; echo tried; echo fine > {1}/fine",
        hook.display(),
        ws.display()
    );
    let changes = Changes { outside, name: "place", tool, executes: String::new(), edge, line };
    let (run, started) = changes.run(|| repository(&ws, outside.owner()))?;
    ensure!(run.stdout.contains("tried"), "{}, {}", run.stdout, run.stderr);
    ensure!(ws.join("fine").exists(), "it could write nothing: {}, {}", run.stdout, run.stderr);
    ensure!(!hook.exists(), "a hook was planted in a repository that was made meanwhile");
    was_not_used(&started, "host")
}

/// What git(1) makes of a folder.
fn repository(ws: &Path, (uid, gid): (u32, u32)) -> Result<()> {
    for folder in [".git", ".git/hooks", ".git/objects", ".git/refs"] {
        fs::create_dir(ws.join(folder))?;
    }
    fs::write(ws.join(".git/HEAD"), "ref: refs/heads/main\n")?;
    fs::write(ws.join(".git/config"), "[core]\n")?;
    for path in [".git", ".git/hooks", ".git/objects", ".git/refs", ".git/HEAD", ".git/config"] {
        std::os::unix::fs::chown(ws.join(path), Some(uid), Some(gid))?;
    }
    Ok(())
}

fn a_secret_that_was_changed(outside: &Outside) -> Result<()> {
    // It belongs to whoever runs sandboxd.
    let file = outside.dir().join("key");
    fs::write(&file, "the key of before")?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
    let words = format!("[secrets.key]\nfrom = \"file:{}\"\ncredential = true\n", file.display());
    let tool = tool(outside, "secret", "", &words)?;
    let line = String::from("cat $CREDENTIALS_DIRECTORY/key");
    let changes = Changes {
        outside,
        name: "secret",
        tool,
        executes: String::new(),
        edge: String::new(),
        line,
    };
    let (run, started) = changes.run(|| Ok(fs::write(&file, "the key of now")?))?;
    ensure!(
        run.stdout.contains("of now"),
        "a key that is not any more: {}, {}",
        run.stdout,
        run.stderr
    );
    was_not_used(&started, "secret")
}

fn a_program_that_was_changed(outside: &Outside) -> Result<()> {
    let shell = outside.file("programs/shell", "")?;
    fs::copy("/bin/sh", &shell)?;
    fs::set_permissions(&shell, fs::Permissions::from_mode(0o755))?;
    let digest = sha256(&shell)?;
    let program = std::env::current_exe()?;
    let tool = tool(outside, "program", "", "")?;
    let served = format!("exec {} tool", program.display());
    let tool = tool.replace(
        &format!("exec = [{program:?}, \"tool\"]"),
        &format!("exec = [{shell:?}, \"-c\", {served:?}]\nsha256 = {digest:?}"),
    );
    let tool = tool.replace("execute = [", &format!("execute = [{shell:?}, "));
    let (executes, edge) = (format!("{shell:?}, "), String::new());
    let line = String::from("echo answered");
    let changes = Changes { outside, name: "program", tool, executes, edge, line };
    let (run, started) = changes.run(|| {
        // In the very file that was opened and digested.
        let bytes = fs::read(&shell)?;
        let changed: Vec<u8> = bytes.iter().map(|byte| byte ^ u8::from(*byte == b'$')).collect();
        Ok(fs::write(&shell, changed)?)
    })?;
    ensure!(!run.stdout.contains("answered"), "it was executed: {}", run.stdout);
    ensure!(run.stderr.contains("sha256"), "{}, {}", run.stdout, run.stderr);
    ensure!(started.is_null(), "it was started: {started}");
    Ok(())
}

fn sha256(file: &Path) -> Result<String> {
    let said = Command::new("sha256sum").arg(file).output()?;
    let said = String::from_utf8(said.stdout)?;
    Ok(said.split_whitespace().next().unwrap_or_default().to_owned())
}

/// What stands at a place in a record; nothing where that is not there.
fn at<'v>(record: &'v Value, place: &str) -> &'v Value {
    record.pointer(place).unwrap_or(&Value::Null)
}
