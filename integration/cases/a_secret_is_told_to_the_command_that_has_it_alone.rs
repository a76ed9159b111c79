//! A secret is read from where only its operator can, and is a file of the one command whose profile names
//! it. What others could read, or the command could, is refused, and so is what whoever calls it could. It is in no
//! plan, no receipt, no record and no message, whatever the command does.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Inside, Need, Outside, Sandbox};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) const CASE: Case = Case {
    rows: &["I01", "F08"],
    needs: &[Need::Program("/usr/bin/age"), Need::Program("/usr/bin/age-keygen")],
    by: By::Anybody,
    seconds: 180,
    outside,
    probes: &[("tell", tell)],
};

const NAMES: [&str; 5] = ["file", "systemd", "env", "exec", "age"];

fn outside(outside: &Outside) -> Result<()> {
    let world = World::made(outside)?;
    let run = world.with(outside.sandbox(&world.profile)).probe("tell", &[]).run()?;
    run.ran()?;
    for name in NAMES {
        ensure!(run.fact(name)? == World::value(name), "{name} is not what it is outside");
    }
    ensure!(run.fact("mode")? == "400", "others may read it: {}", run.fact("mode")?);
    ensure!(run.fact("elsewhere")?.is_empty(), "also in {}", run.fact("elsewhere")?);
    let receipt = fs::read_to_string(run.folder().join("receipt"))?;
    world.told_in(&receipt, "the receipt")?;
    let plan = world.with(outside.sandbox(&world.profile)).verb("plan").option("--json");
    let plan = plan.command(&["/bin/true"]).run()?;
    plan.exited(0)?;
    world.told_in(&plan.stdout, "the plan")?;
    ensure!(plan.stdout.contains("file-key"), "the plan does not say where it is read");
    is_not_told_to_what_it_calls(outside, &world)?;
    is_asked_about(outside, &world)?;
    is_not_written_down(outside, &world)?;
    what_others_could_read(outside, &world)?;
    what_a_caller_could_write(outside)
}

/// Who is called has neither the files nor the variables of who calls.
fn is_not_told_to_what_it_calls(outside: &Outside, world: &World) -> Result<()> {
    let tool = outside.tool("tool", &[], "")?;
    let profile =
        format!("name = \"caller\"\n{}{}", world.profile, outside.call("tool", &tool, &[])?);
    let lists = "echo \"at:$CREDENTIALS_DIRECTORY.\"; ls -A /run/sandboxd/credentials /run/credentials; \
        tr \"\\0\" \"\\n\" < /proc/self/environ; echo over";
    let asked = serde_json::json!({ "line": lists });
    let script = format!(
        "ls \"$CREDENTIALS_DIRECTORY\"; echo own; /run/sandboxd/sandboxd call tool sh '{asked}'"
    );
    let run = world.with(outside.sandbox(&profile)).command(&["/bin/sh", "-c", &script]).run()?;
    run.exited(0)?;
    let (own, its) = run.stdout.split_once("own\n").context("it did not list its own")?;
    ensure!(NAMES.iter().all(|name| own.lines().any(|line| line == *name)), "it has {own}");
    ensure!(its.contains("at:.") && its.contains("over"), "what is called said {its}");
    for theirs in ["MODEL", "hunter2", "CREDENTIALS_DIRECTORY="] {
        ensure!(!its.contains(theirs), "{theirs} is told to what is called: {its}");
    }
    ensure!(!its.lines().any(|line| NAMES.contains(&line)), "what is called has {its}");
    Ok(())
}

struct World {
    profile: String,
    folder: PathBuf,
}

impl World {
    fn made(outside: &Outside) -> Result<Self> {
        let folder = outside.dir().join("keys");
        fs::create_dir(&folder)?;
        for name in ["file-key", "passed"] {
            let value = Self::value(if name == "passed" { "systemd" } else { "file" });
            fs::write(folder.join(name), value)?;
            fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o400))?;
        }
        sealed(&folder)?;
        let shown = folder.display();
        let mut profile = String::from("extends = [\"builtin:base\"]\n");
        let program =
            format!("exec:/usr/bin/printf\"\narguments = [\"%s\", \"{}\"]", Self::value("exec"));
        let age = format!("age:{shown}/sealed\"\nidentity = \"{shown}/identity\"");
        for (name, from) in NAMES.into_iter().zip([
            format!("file:{shown}/file-key\""),
            "systemd:passed\"".into(),
            "env:MODEL\"".into(),
            program,
            age,
        ]) {
            profile += &format!("[secrets.{name}]\nfrom = \"{from}\ncredential = true\n");
        }
        Ok(Self { profile, folder })
    }

    fn value(name: &str) -> String {
        format!("{name}-hunter2-0123456789abcdef")
    }

    fn with<'a>(&self, sandbox: Sandbox<'a>) -> Sandbox<'a> {
        let folder = self.folder.to_string_lossy().into_owned();
        sandbox.env("CREDENTIALS_DIRECTORY", &folder).env("MODEL", &Self::value("env"))
    }

    /// None is in it but the arguments of the program, which the operator wrote.
    fn told_in(&self, text: &str, what: &str) -> Result<()> {
        for name in NAMES.into_iter().filter(|name| *name != "exec") {
            ensure!(!text.contains(&Self::value(name)), "{what} tells {name}");
        }
        Ok(())
    }
}

/// An encrypted file, and the key that opens it.
fn sealed(folder: &Path) -> Result<()> {
    let identity = folder.join("identity");
    let made = Command::new("/usr/bin/age-keygen").arg("-o").arg(&identity).output()?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let public = fs::read_to_string(&identity)?;
    let public = public.lines().find_map(|line| line.strip_prefix("# public key: "));
    let mut age = Command::new("/usr/bin/age")
        .args(["-r", public.context("a key")?, "-o"])
        .arg(folder.join("sealed"))
        .stdin(Stdio::piped())
        .spawn()?;
    let input = age.stdin.take().context("a pipe")?;
    std::io::Write::write_all(&mut { input }, World::value("age").as_bytes())?;
    ensure!(age.wait()?.success(), "age failed");
    Ok(())
}

/// `sandboxd secret` tells everything but what it is.
fn is_asked_about(outside: &Outside, world: &World) -> Result<()> {
    let ask = |verb| world.with(outside.sandbox(&world.profile)).verb(verb);
    let list = ask("secret list").command(&["/bin/true"]).run()?;
    list.exited(0)?;
    ensure!(list.stdout.contains("env:MODEL"), "{}", list.stdout);
    world.told_in(&list.stdout, "the list")?;
    let check = ask("secret check").command(&["/bin/true"]).run()?;
    check.exited(0)?;
    ensure!(check.stdout.matches("can be read").count() == NAMES.len(), "{}", check.stdout);
    let unset = outside.sandbox(&world.profile).verb("secret check");
    let unset = unset.command(&["/bin/true"]).run()?;
    unset.exited(1)?;
    ensure!(unset.stderr.contains("MODEL is not set"), "{}", unset.stderr);
    ensure!(!check.stdout.contains("warning"), "{}", check.stdout);
    is_warned_of(outside)
}

/// What stands in the words of others is no good secret. It is told that it is none, and not which it is.
fn is_warned_of(outside: &Outside) -> Result<()> {
    for (value, word) in
        [("Parameter", "ordinary word"), ("q7Zk3w", "by chance"), ("q7Zk", "not masked")]
    {
        let profile = "extends = [\"builtin:base\"]\n[secrets.weak]\nfrom = \"env:WEAK\"\ncredential = true\n";
        let ask = || {
            outside.sandbox(profile).env("WEAK", value).verb("secret check").command(&["/bin/true"])
        };
        let (said, json) = (ask().run()?, ask().option("--json").run()?);
        said.exited(0)?;
        ensure!(
            said.stdout.contains("weak: can be read\n  warning  ") && said.stdout.contains(word),
            "{}",
            said.stdout
        );
        let told: serde_json::Value = serde_json::from_str(&json.stdout)?;
        let warning = told.pointer("/0/warning").and_then(serde_json::Value::as_str);
        ensure!(warning.is_some_and(|warning| warning.contains(word)), "{}", json.stdout);
        for text in [&said.stdout, &said.stderr, &json.stdout, &json.stderr] {
            ensure!(
                !text.to_lowercase().contains(&format!(" {} ", value.to_lowercase()))
                    && !text.contains(value),
                "{text}"
            );
        }
    }
    Ok(())
}

/// The command is called by one: a record would have its name.
fn is_not_written_down(outside: &Outside, world: &World) -> Result<()> {
    let inside = format!("/named/{}", World::value("file"));
    let bind = format!("/usr/bin/true:{inside}:execute");
    let run = world.with(outside.sandbox(&world.profile)).option("--bind").option(bind);
    run.command(&[&inside]).run()?.exited(0)?;
    let grep = Command::new("/usr/bin/grep")
        .args(["-rlF", &World::value("file")])
        .arg(outside.audit())
        .output()?;
    let found = String::from_utf8(grep.stdout)?;
    ensure!(found.is_empty(), "the audit log has it: {found}");
    let named = Command::new("/usr/bin/grep")
        .args(["-rlF", "/named/«secret:file»"])
        .arg(outside.audit())
        .output()?;
    ensure!(!named.stdout.is_empty(), "the record has no name of the command");
    Ok(())
}

fn what_others_could_read(outside: &Outside, world: &World) -> Result<()> {
    let says = |profile: &str| world.with(outside.sandbox(profile)).command(&["/bin/echo", "runs"]);
    let key = world.folder.join("file-key");
    let mode = |mode| fs::set_permissions(&key, fs::Permissions::from_mode(mode));
    mode(0o440)?;
    let run = says(&world.profile).run()?;
    run.not_started()?;
    ensure!(run.stderr.contains("lets others access it"), "{}", run.stderr);
    mode(0o400)?;
    if !outside.is_user() {
        chown(&key, Some(12_345), None)?;
        says(&world.profile).run()?.not_started()?;
        chown(&key, Some(0), None)?;
    }
    let link = world.folder.join("link");
    symlink(&key, &link)?;
    says(&world.profile.replace("file-key", "link")).run()?.not_started()?;
    let failing = world.profile.replace("/usr/bin/printf", "/usr/bin/false");
    let run = says(&failing).run()?;
    run.not_started()?;
    ensure!(run.stderr.contains("exit status: 1"), "{}", run.stderr);
    let shown = format!("{}[files]\nread = [{:?}]\n", world.profile, world.folder);
    says(&shown).run()?.has_problem(&["secrets.file.from", "the command could read"])?;
    let passed = format!("{}[env]\npass = [\"MODEL\"]\n", world.profile);
    says(&passed).run()?.has_problem(&["secrets.env.from", "[env].pass"])?;
    says(&world.profile).run()?.exited(0)?;
    Ok(())
}

/// Outside every sandbox sandboxd runs what prints a secret, which is then no caller's to write.
fn what_a_caller_could_write(outside: &Outside) -> Result<()> {
    let ws = outside.dir().join("tokens");
    fs::create_dir(&ws)?;
    let (program, ran) = (ws.join("get-token"), outside.dir().join("ran"));
    fs::write(&program, format!("#!/bin/sh\n/usr/bin/touch {ran:?}\necho hunter2\n"))?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    let from =
        format!("[secrets.token]\nfrom = \"exec:{}\"\ncredential = true\n", program.display());
    let tool = outside.tool("printer", &[], &from)?;
    let call = outside.call("printer", &tool, &[])?;
    let files = format!("[files]\nwrite = [{ws:?}]\n");
    let profile = format!("name = \"caller\"\nextends = [\"builtin:base\"]\n{files}{call}");
    let calls = "/run/sandboxd/sandboxd call printer sh '{\"line\": \"true\"}'";
    for verb in ["check", "run"] {
        let run = outside.sandbox(&profile).verb(verb).command(&["/bin/sh", "-c", calls]).run()?;
        run.has_problem(&["printer.toml:", "secrets.token.from", "caller may write"])?;
        ensure!(!ran.exists(), "{verb} ran what the caller may write");
    }
    // What it may read alone says nothing, while nobody else may write it.
    let profile = profile.replace("write = [", "read = [");
    let call = || outside.sandbox(&profile).command(&["/bin/sh", "-c", calls]).run();
    fs::set_permissions(&ws, fs::Permissions::from_mode(0o777))?;
    let run = call()?;
    ensure!(!ran.exists() && run.stderr.contains("lets others change it"), "{}", run.stderr);
    fs::set_permissions(&ws, fs::Permissions::from_mode(0o755))?;
    let run = call()?;
    run.exited(0)?;
    ensure!(ran.exists(), "nothing of it ran: {}", run.stderr);
    Ok(())
}

fn tell(inside: &Inside) -> Result<()> {
    let folder = PathBuf::from(std::env::var("CREDENTIALS_DIRECTORY")?);
    for name in NAMES {
        inside.fact(name, &fs::read_to_string(folder.join(name))?);
    }
    let mode = fs::metadata(folder.join("file"))?.permissions().mode() & 0o7777;
    inside.fact("mode", &format!("{mode:o}"));
    // What every process here was started with, and what its memory is made of.
    let mut elsewhere = String::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        for file in ["environ", "cmdline", "mountinfo", "maps"] {
            let path = entry.path().join(file);
            let text = fs::read(&path).unwrap_or_default();
            if String::from_utf8_lossy(&text).contains("hunter2") {
                elsewhere += &format!("{} ", path.display());
            }
        }
    }
    inside.fact("elsewhere", elsewhere.trim());
    Ok(())
}
