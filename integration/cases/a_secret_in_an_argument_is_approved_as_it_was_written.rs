//! Where a person is asked about a call with a placeholder in it, what is shown and approved is the call as the agent
//! wrote it: nobody who approves is told the secret, and a secret that is another by then is what the tool is told.
//! What it was before is nobody's either, and one that cannot be read changes nothing.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Outside};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

pub(crate) const CASE: Case = Case { rows: &["N17", "B14"], outside, by: By::Anybody, ..Case::NEW };

const OLD: &str = "old-hunter2-0123456789";
const NEW: &str = "new-hunter3-9876543210";

fn outside(outside: &Outside) -> Result<()> {
    let key = outside.dir().join("db");
    fs::write(&key, OLD)?;
    let mode = |mode| fs::set_permissions(&key, fs::Permissions::from_mode(mode));
    mode(0o600)?;
    let tool = outside.tool("tool", &[], "instances = \"serial\"\n")?;
    let asks = "tools = [\"sh\"]\napproval = \"ask\"\napproval_within = \"1h\"\n";
    let edge = outside.call("tool", &tool, &[])?.replacen("tools = [\"sh\"]\n", asks, 1);
    let profile = format!(
        "name = \"agent\"\nextends = [\"builtin:base\"]\n{edge}[secrets.db]\nfrom = \"file:{}\"\n\
         placeholder = {{ call = \"tool\", tools = [\"sh\"], arguments = [\"/line\"] }}\n",
        key.display()
    );
    // Whatever it was told is kept and said back, by itself and together.
    let line = "printf %s '{{secret:db}}' | tee -a /tmp/told | wc -c; cat /tmp/told; grep -c 98765 /tmp/told";
    let asked = json!({ "line": line }).to_string().replace('\'', "'\\''");
    let script =
        format!("/run/sandboxd/sandboxd call --json tool sh '{asked}' | tr -d '\\n'; echo;")
            .repeat(2);
    let run = outside.sandbox(&profile);
    let running = run.command(&["/bin/sh", "-c", &script]).start()?;

    let (first, told) = outside.waits("{{secret:db}}")?;
    is_told_to_nobody(&told.to_string())?;
    is_told_to_nobody(&outside.approver(&["approvals"])?.text)?;
    approve(outside, &first)?;
    let (second, again) = outside.waits("{{secret:db}}")?;
    // Others could read it: it is none, and nothing changes.
    mode(0o644)?;
    let said = outside.approver(&["secret", "rotate"])?;
    ensure!(said.status == 1 && said.text.contains("chmod"), "{}", said.text);
    mode(0o600)?;
    fs::write(&key, "short")?;
    let said = outside.approver(&["secret", "rotate"])?;
    ensure!(said.status == 1 && said.text.contains("too short"), "{}", said.text);
    fs::write(&key, NEW)?;
    let said = outside.approver(&["secret", "rotate"])?;
    ensure!(said.status == 0 && said.text.contains("db: changed"), "{}", said.text);
    // It is the same call, before and after.
    ensure!(outside.waits("{{secret:db}}")?.0 == second, "it waits under another name");
    ensure!(told.get("sha256") == again.get("sha256"), "what was written is the same: {again}");
    approve(outside, &second)?;
    let run = running.wait()?;
    run.exited(0)?;
    is_told_to_nobody(&format!("{}{}", run.stdout, run.stderr))?;
    let answers: Vec<&str> = run.stdout.lines().collect();
    let [first, second] = answers.as_slice() else { anyhow::bail!("{}", run.stdout) };
    ensure!(first.contains(r"22\n«secret:db»0\n"), "the first had another: {first}");
    ensure!(second.contains(r"22\n«secret:db»«secret:db»1\n"), "the second had another: {second}");
    for record in outside.records()? {
        is_told_to_nobody(&record.to_string())?;
    }
    let rotated = outside.records()?;
    let rotated =
        rotated.iter().filter(|record| record.get("kind") == Some(&Value::from("secret_rotated")));
    let allowed =
        rotated.filter(|one| one.get("decision") == Some(&Value::from("allowed"))).count();
    ensure!(allowed == 1, "it was renewed {allowed} times");
    Ok(())
}

fn is_told_to_nobody(text: &str) -> Result<()> {
    ensure!(!text.contains("hunter"), "it is told: {text}");
    Ok(())
}

fn approve(outside: &Outside, id: &str) -> Result<()> {
    let said = outside.approver(&["approve", id])?;
    is_told_to_nobody(&said.text)?;
    (said.status == 0).then_some(()).with_context(|| said.text)
}
