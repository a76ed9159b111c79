//! The receipt and the result say what the kernel enforced: each layer, each probe with its answer,
//! the sandbox as seen from outside, and the digests of the profile that `profile show` prints, of the
//! plan that `plan --json` prints, and of the receipt itself.

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use sandboxd_integration::{Case, Outside, Run, raw};
use serde_json::Value;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::{Command, Stdio};

pub(crate) const CASE: Case = Case { rows: &["X07", "E33"], outside, ..Case::NEW };

fn outside(outside: &Outside) -> Result<()> {
    // One uid for all runs, so that a plan can be compared with the plan of another run.
    let (first, _) = outside.uids();
    let settings = fs::read_to_string("/etc/sandboxd/config.toml")?;
    let (_, cgroups) = settings.split_once("[cgroups]").context("the settings name no cgroup")?;
    let settings = format!("[uids]\nfirst = {first}\ncount = 2\n[cgroups]{cgroups}");
    fs::write("/etc/sandboxd/config.toml", settings)?;

    let ws = outside.workspace()?;
    let text = format!(
        "name = \"told\"\nextends = [\"builtin:base\"]\n[command]\nexec = [\"/bin/sh\", \"-c\", \"echo here; sleep 3\"]\n[files]\nwrite = [{ws:?}]\n[limits]\nmemory = \"64M\"\n"
    );
    let profile = outside.dir().join("profile.toml");
    fs::write(&profile, &text)?;
    let profile = profile.to_str().context("the profile's path")?;
    let bare = || outside.bare().option("--profile").option(profile);

    let mut running = bare().start()?;
    running.says("here")?;
    let living = inodes(&running.pid().to_string(), first + 1);
    running.signal(Signal::SIGTERM)?;
    let run = running.wait()?;
    run.exited(143)?;
    let receipt = run.receipt.as_ref().context("no receipt")?;
    layers(receipt)?;
    probes(receipt)?;
    seen(receipt, &living?, first + 1)?;
    digests(&run, receipt, &bare().verb("plan").option("--json").run()?)?;

    let shown = outside.bare().verb("profile").option("show").option(profile).run()?;
    shown.exited(0)?;
    let digest = sha256(shown.stdout.as_bytes())?;
    ensure!(text_at(receipt, "/profile_sha256")? == digest, "the profile's digest is {digest}");

    let path = outside.dir().join("run-1/receipt");
    let digest = sha256(&fs::read(&path)?)?;
    let result = run.result.as_ref().context("no result")?;
    ensure!(text_at(result, "/receipt_sha256")? == digest, "the receipt's digest is {digest}");
    let mode = fs::metadata(&path)?.permissions().mode();
    ensure!(mode & 0o777 == 0o600, "the receipt's mode is {mode:o}");
    what_is_not_on_is_said(outside)?;
    no_receipt_no_run(outside)?;
    nobody_replaces_it(outside)
}

fn what_is_not_on_is_said(outside: &Outside) -> Result<()> {
    let profile =
        "extends = [\"builtin:base\"]\n[network]\nmode = \"host\"\nreason = \"to be told\"\n";
    let run = outside.sandbox(profile).command(&["/bin/true"]).run()?;
    let receipt = run.exited(0)?.receipt.as_ref().context("no receipt")?;
    let layers = receipt.pointer("/layers").and_then(Value::as_array).context("no layers")?;
    let name = Some(&Value::from("network-namespace"));
    let layer = layers.iter().find(|layer| layer.get("name") == name).context("no such layer")?;
    let state = text_at(layer, "/state")?;
    ensure!(state != "enforced", "the network namespace is {state}");
    Ok(())
}

/// Where the receipt cannot be written nothing runs, and nothing is left of the attempt.
fn no_receipt_no_run(outside: &Outside) -> Result<()> {
    let folder = outside.dir().join("full");
    fs::create_dir(&folder)?;
    fs::create_dir(folder.join("receipt"))?;
    let run = outside.bare().receipt(&folder.join("receipt"));
    let run = run.command(&["/bin/echo", "ran"]).run()?;
    ensure!(run.exit() == Some(125) && run.stdout.is_empty(), "it ran: {}", run.status);
    let left = fs::read_dir(&folder)?.count();
    ensure!(left == 1, "{left} files in the folder of the receipt");
    Ok(())
}

/// Nor does anything run that could put another one in its place.
fn nobody_replaces_it(outside: &Outside) -> Result<()> {
    let written = outside.dir().join("written");
    fs::create_dir_all(written.join("deeper"))?;
    for folder in ["written", "written/deeper"] {
        let run = outside.bare().receipt(&outside.dir().join(folder).join("receipt"));
        let run = run.option("-w").option(written.as_path());
        let run = run.command(&["/bin/echo", "ran"]).run()?;
        run.has_problem(&["--receipt would be written into it"])?;
        ensure!(run.stdout.is_empty(), "it ran: {}", run.stdout);
    }
    Ok(())
}

fn text_at<'a>(value: &'a Value, path: &str) -> Result<&'a str> {
    value.pointer(path).and_then(Value::as_str).with_context(|| format!("{path} is no text"))
}

fn number_at(value: &Value, path: &str) -> Result<u64> {
    value.pointer(path).and_then(Value::as_u64).with_context(|| format!("{path} is no number"))
}

fn layers(receipt: &Value) -> Result<()> {
    let layers = receipt.pointer("/layers").and_then(Value::as_array).context("no layers")?;
    for name in [
        "mount-view",
        "pid-namespace",
        "ipc-namespace",
        "network-namespace",
        "landlock",
        "seccomp",
        "no-new-privs",
        "capabilities",
        "uid",
        "cgroup",
        "rlimits",
    ] {
        let layer = layers.iter().find(|layer| layer.get("name") == Some(&Value::from(name)));
        let state = text_at(layer.with_context(|| format!("no layer {name}"))?, "/state")?;
        ensure!(state == "enforced", "{name} is {state}");
    }
    for kind in ["landlock", "seccomp"] {
        let stacked = receipt.pointer(&format!("/stacked/{kind}"));
        ensure!(stacked == Some(&serde_json::json!(["told"])), "{kind}: {stacked:?}");
    }
    let abi = number_at(receipt, "/landlock_abi")?;
    ensure!(i64::try_from(abi)? == raw::landlock_abi()?, "Landlock ABI {abi}");
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    ensure!(
        text_at(receipt, "/kernel")? == kernel.trim(),
        "kernel {}",
        text_at(receipt, "/kernel")?
    );
    let waived =
        receipt.pointer("/waived").and_then(Value::as_array).context("no list of waivers")?;
    let told: Vec<&str> = waived.iter().map(|one| text_at(one, "/key")).collect::<Result<_>>()?;
    let lacking = lacking(abi);
    ensure!(told == lacking, "waived: {waived:?}; the kernel lacks {lacking:?}");
    Ok(())
}

/// What the base profile waives, and only where the kernel does not have it.
fn lacking(landlock: u64) -> Vec<&'static str> {
    let knob = fs::exists("/proc/sys/vm/memfd_noexec").unwrap_or(false);
    let since = [
        ("require.landlock.truncate", 3),
        ("require.landlock.network", 4),
        ("require.landlock.ioctl", 5),
        ("require.landlock.scope", 6),
    ];
    let mut lacking = if knob { Vec::new() } else { vec!["require.memfd_noexec"] };
    lacking.extend(since.iter().filter(|(_, abi)| landlock < *abi).map(|(key, _)| *key));
    lacking
}

fn probes(receipt: &Value) -> Result<()> {
    let answers =
        receipt.pointer("/probes/answers").and_then(Value::as_array).context("no answers")?;
    let told = Value::from(answers.clone()).to_string();
    for words in [
        "read ",
        "system call",
        "socket family",
        "become root",
        "capabilities",
        "no_new_privs",
        "seccomp filter",
        "ids",
        "descriptors",
    ] {
        ensure!(told.contains(words), "no probe {words:?} in {told}");
    }
    Ok(())
}

/// A process, and the inode of each of its namespaces.
type Living = (u32, Vec<(String, u64)>);

/// The user's own processes, each with its namespaces as `/proc` shows them now.
fn inodes(supervisor: &str, uid: u32) -> Result<Vec<Living>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Ok(pid) = entry?.file_name().to_string_lossy().parse::<u32>() else { continue };
        let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else { continue };
        let ids = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or_default();
        if ids.split_whitespace().next() != Some(&uid.to_string()) || pid.to_string() == supervisor
        {
            continue;
        }
        let mut all = Vec::new();
        for name in ["mnt", "pid", "ipc", "net", "uts", "cgroup"] {
            let inode = fs::metadata(format!("/proc/{pid}/ns/{name}"))?.ino();
            all.push((name.to_owned(), inode));
        }
        found.push((pid, all));
    }
    Ok(found)
}

fn seen(receipt: &Value, living: &[Living], uid: u32) -> Result<()> {
    ensure!(number_at(receipt, "/uid")? == u64::from(uid), "uid {}", number_at(receipt, "/uid")?);
    let pid = number_at(receipt, "/outside/pid")?;
    let (_, all) = living
        .iter()
        .find(|(number, _)| u64::from(*number) == pid)
        .with_context(|| format!("process {pid} is none of the sandbox's: {living:?}"))?;
    let told = receipt.pointer("/outside/namespaces").and_then(Value::as_object).context("none")?;
    for name in ["mnt", "pid", "ipc", "net"] {
        ensure!(told.contains_key(name), "no namespace {name}");
    }
    for (name, inode) in all.iter().filter(|(name, _)| told.contains_key(name)) {
        ensure!(told.get(name).and_then(Value::as_u64) == Some(*inode), "{name} is {inode}");
    }
    let cgroups = receipt.pointer("/outside/cgroups").and_then(Value::as_array).context("none")?;
    ensure!(!cgroups.is_empty(), "no cgroup is named");
    for cgroup in cgroups {
        ensure!(cgroup.as_str().is_some_and(|path| path.contains("sandboxd-test-")), "{cgroup}");
    }
    Ok(())
}

fn digests(run: &Run, receipt: &Value, plan: &Run) -> Result<()> {
    plan.exited(0)?;
    let digest = sha256(without_space(object(&plan.stdout, "plan")?).as_bytes())?;
    ensure!(text_at(receipt, "/plan_sha256")? == digest, "what `plan --json` prints is {digest}");
    let result = run.result.as_ref().context("no result")?;
    ensure!(number_at(result, "/signal")? == 15, "the result: {result}");
    ensure!(text_at(result, "/sandbox")? == text_at(receipt, "/sandbox")?, "two names");
    Ok(())
}

/// The object that is the value of a key, as it is written.
fn object<'a>(text: &'a str, key: &str) -> Result<&'a str> {
    let at = text.find(&format!("\"{key}\":")).with_context(|| format!("no {key}"))?;
    let rest = text.get(at..).unwrap_or_default();
    let rest = rest.get(rest.find('{').context("no object")?..).unwrap_or_default();
    let (mut depth, mut quoted, mut escaped) = (0_u32, false, false);
    for (at, letter) in rest.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '{' if !quoted => depth += 1,
            '}' if !quoted => {
                depth -= 1;
                if depth == 0 {
                    return rest.get(..=at).context("the object's end");
                }
            }
            _ => {}
        }
    }
    anyhow::bail!("{key} does not end")
}

/// JSON without what only makes it readable.
fn without_space(text: &str) -> String {
    let (mut quoted, mut escaped) = (false, false);
    let keeps = |letter: &char| {
        let inside = quoted;
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        inside || !letter.is_ascii_whitespace()
    };
    text.chars().filter(keeps).collect()
}

fn sha256(bytes: &[u8]) -> Result<String> {
    let mut child =
        Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    child.stdin.take().context("no pipe")?.write_all(bytes)?;
    let said = String::from_utf8(child.wait_with_output()?.stdout)?;
    Ok(said.split_whitespace().next().unwrap_or_default().to_owned())
}
