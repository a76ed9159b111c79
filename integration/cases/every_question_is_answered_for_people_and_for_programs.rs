//! Every question is answered, for people and for programs: `check`, `plan`, `doctor`, `profile`,
//! `completions` and `man` run nothing of the profile's, print what they promise, and their JSON
//! parses; what is waived stands in all of them.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{Case, Fault, Outside, Run};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

pub(crate) const CASE: Case =
    Case { rows: &["X03", "X06", "C06"], seconds: 120, outside, ..Case::NEW };

const BASE: &str = "extends = [\"builtin:base\"]\n";
const WAIVING: &str = "extends = [\"builtin:base\"]\n[require]\nlandlock = \"if-available\"\n";

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let done = ws.join("done");
    let profile = format!(
        "extends = [\"builtin:base\"]\n[command]\nexec = [\"/bin/touch\", {done:?}]\n[files]\nwrite = [{ws:?}]\n"
    );
    let ask = |verb: &'static str, options: &[&str]| -> Result<Run> {
        let asked = outside.sandbox(&profile).verb(verb);
        options.iter().fold(asked, |asked, option| asked.option(option)).run()
    };
    let checked = json(&ask("check", &["--json"])?)?;
    ensure!(checked.get("ok") == Some(&Value::Bool(true)), "check says {checked}");
    says(&ask("check", &[])?, &["can be run here"])?;
    let plan = json(&ask("plan", &["--json"])?)?;
    ensure!(plan.pointer("/plan/exec/argv").is_some(), "the plan has no command: {plan}");
    says(&ask("plan", &[])?, &["namespaces", "landlock", "seccomp", "self-test", "/bin/touch"])?;
    says(&ask("plan", &["--filter"])?, &["ld", "ret"])?;
    ensure!(!done.exists(), "the command was run");
    says(&outside.sandbox(&profile).run()?, &[]).context("and it can be run")?;
    ensure!(done.exists(), "the command was not run");

    problems(outside)?;
    a_start_that_would_fail(outside)?;
    profiles(outside)?;
    waived(outside)?;
    called(outside)?;
    doctor(outside)?;
    made_pages(outside)?;
    mistaken(outside)
}

/// What cannot be answered says so, why and what to do, and ends with 125.
fn mistaken(outside: &Outside) -> Result<()> {
    let bare = |verb: &'static str, words: &[&str]| -> Result<Run> {
        words.iter().fold(outside.bare().verb(verb), |asked, word| asked.option(word)).run()
    };
    for (run, said) in [
        (bare("audit", &["show", "/etc/passwd"])?, "there is no record in it"),
        (bare("audit", &["export", "/etc/passwd"])?, "there is no record in it"),
        (bare("man", &["/nowhere/at-all"])?, "/nowhere/at-all"),
        (bare("why", &["--call", "a b"])?, "is not the name of an edge"),
        (bare("check", &["--profile", "/dev/stdin"])?, "must be a regular file"),
        (outside.sandbox(BASE).verb("call").option("notes").run()?, "it has no [call.NAME]"),
    ] {
        run.exited(125)?;
        ensure!(run.stdout.is_empty(), "{}", run.stdout);
        let told = run.stderr.contains(said) && run.stderr.contains("remedy  ");
        ensure!(told, "{said:?} is not said: {}", run.stderr);
    }
    Ok(())
}

fn json(run: &Run) -> Result<Value> {
    run.exited(0)?;
    serde_json::from_str(&run.stdout).with_context(|| format!("no JSON: {}", run.stdout))
}

fn says(run: &Run, words: &[&str]) -> Result<()> {
    run.exited(0)?;
    for word in words {
        ensure!(run.stdout.contains(word), "{word:?} is not said: {}", run.stdout);
    }
    Ok(())
}

/// What has no problem and would not start all the same.
fn a_start_that_would_fail(outside: &Outside) -> Result<()> {
    let script = outside.file("script", "#!/nowhere/sh\n")?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    let open = outside.file("open", "key\n")?;
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644))?;
    let secret = |from: &Path| {
        format!("{BASE}[secrets.key]\nfrom = \"file:{}\"\ncredential = true\n", from.display())
    };
    let granted = format!("{BASE}[files]\nexecute = [{script:?}]\n");
    let script = script.to_string_lossy().into_owned();
    for (profile, program, says) in [
        (BASE.to_owned(), "/usr/bin/nosuch", "execve(\"/usr/bin/nosuch\")"),
        (granted, script.as_str(), "whose first line names /nowhere/sh"),
        (secret(Path::new("/nowhere/key")), "/bin/true", "open(\"/nowhere/key\")"),
        (secret(&open), "/bin/true", "lets others access it"),
    ] {
        let run = outside.sandbox(&profile).verb("check").command(&[program]).run()?;
        run.exited(125)?;
        ensure!(run.stderr.contains(says), "{says:?} is not said: {}", run.stderr);
    }
    let shut = outside.file("shut/x", "")?;
    let folder = shut.parent().context("no folder")?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    std::os::unix::fs::chown(folder, Some(0), Some(0))?;
    let profile = format!("{BASE}[files]\nread = [{folder:?}]\n");
    let run = outside.sandbox(&profile).verb("check").command(&["/bin/true"]).run()?;
    run.exited(0)?;
    ensure!(run.stdout.contains("file permissions deny it to the command"), "{}", run.stdout);
    Ok(())
}

fn problems(outside: &Outside) -> Result<()> {
    let bad = "[files]\nraed = [\"/etc\\u001b]52;c;x\\u0007\"]\n\"\\u001b[31m\" = 1\n";
    for verb in ["check", "plan", "run"] {
        let run = outside.sandbox(bad).verb(verb).command(&["/bin/echo", "ran"]).run()?;
        run.exited(125)?;
        ensure!(run.stdout.is_empty(), "{verb}: something was run or said: {}", run.stdout);
        ensure!(run.stderr.contains("profile.toml:2:"), "{verb}: no line: {}", run.stderr);
        ensure!(!run.stderr.contains('\u{1b}'), "{verb}: what a terminal acts on came through");
    }
    let run = outside.sandbox(bad).verb("check").option("--json").run()?;
    run.exited(125)?;
    let told: Value = serde_json::from_str(&run.stdout).context("no JSON")?;
    let problems = told.get("problems").and_then(Value::as_array).context("no problems")?;
    ensure!(problems.len() > 1, "one problem of two: {told}");
    for problem in problems {
        ensure!(problem.get("remedy").is_some_and(Value::is_string), "no remedy: {problem}");
    }
    let run = outside.sandbox(bad).option("--json").command(&["/bin/true"]).run()?;
    run.exited(125)?;
    serde_json::from_str::<Value>(&run.stderr).context("`run --json` says no JSON")?;
    let run =
        outside.sandbox(WAIVING).option("--json").command(&["/bin/sh", "-c", "exit 3"]).run()?;
    run.exited(3)?;
    let told: Value = serde_json::from_str(&run.stderr).context("`run --json` says no JSON")?;
    ensure!(told.pointer("/result/exit") == Some(&Value::from(3)), "{told}");
    ensure!(told.get("result") == run.result.as_ref(), "two results: {told}");
    served(outside)
}

/// What is said of a server is said as of any command; standard output is its client's.
fn served(outside: &Outside) -> Result<()> {
    let mcp = |options: &[&str]| -> Result<Run> {
        let server = outside.sandbox(WAIVING).verb("mcp").command(&["/bin/cat"]).stdin(b"");
        let told = ["--json", "--result-fd", "3"];
        told.iter().chain(options).fold(server, |server, option| server.option(option)).run()
    };
    let run = mcp(&["--tool", "read_*"])?;
    run.exited(0)?;
    let told: Value = serde_json::from_str(&run.stderr).context("`mcp --json` says no JSON")?;
    ensure!(told.pointer("/result/exit") == Some(&Value::from(0)), "{told}");
    ensure!(told.get("result") == run.result.as_ref(), "two results: {told}");
    ensure!(run.stdout.is_empty(), "the client is told {}", run.stdout);
    let run = mcp(&[])?;
    run.exited(125)?;
    let told: Value = serde_json::from_str(&run.stderr).context("`mcp --json` says no JSON")?;
    ensure!(told.to_string().contains("it serves nothing"), "{told}");
    ensure!(run.stdout.is_empty(), "the client is told {}", run.stdout);
    Ok(())
}

fn profiles(outside: &Outside) -> Result<()> {
    let profile = |options: &[&str]| -> Result<Run> {
        let asked = outside.bare().verb("profile");
        options.iter().fold(asked, |asked, option| asked.option(option)).run()
    };
    let list = json(&profile(&["list", "--json"])?)?;
    let names: Vec<&str> =
        list.as_array().into_iter().flatten().filter_map(|one| one.get("name")?.as_str()).collect();
    ensure!(names.contains(&"builtin:base") && names.contains(&"builtin:untrusted"), "{names:?}");
    says(&profile(&["list"])?, &names)?;
    let schema = json(&profile(&["schema"])?)?;
    for table in ["command", "env", "files", "syscalls", "limits", "network", "require"] {
        ensure!(
            schema.pointer(&format!("/properties/{table}")).is_some(),
            "no [{table}]: {schema}"
        );
    }
    for name in &names {
        let shown = profile(&["show", name])?;
        shown.exited(0).with_context(|| (*name).to_owned())?;
        ensure!(!shown.stdout.is_empty(), "{name} shows nothing");
    }
    // What is shown is a profile itself, and says the same.
    let shown = profile(&["show", "builtin:untrusted"])?.stdout;
    let check = outside.sandbox(&shown).verb("check").command(&["/bin/true"]).run()?;
    says(&check, &["can be run here"])?;
    profile(&["show", "builtin:none"])?.exited(125)?;
    let told = json(&profile(&["show", "--json", "builtin:mcp-server"])?)?;
    let processes = told.pointer("/profile/limits/processes");
    ensure!(processes == Some(&Value::from(64)), "profile show says {told}");
    let from = told.pointer("/from/limits.processes").and_then(Value::as_str);
    ensure!(from.is_some_and(|from| from.starts_with("builtin:mcp-server:")), "{told}");

    let file = outside.dir().join("begun.toml");
    let place = file.to_str().unwrap_or_default();
    says(&profile(&["init", place, "--extends", "untrusted"])?, &["sandboxd check"])?;
    let begun = fs::read(&file)?;
    let asked = outside.bare().verb("check").option("--profile").option(place);
    says(&asked.command(&["/bin/true"]).run()?, &["can be run here"])?;
    // One that is there is not overwritten.
    profile(&["init", place])?.exited(125)?;
    ensure!(fs::read(&file)? == begun, "the profile was overwritten");
    let mode = fs::metadata(&file)?.permissions().mode() & 0o777;
    ensure!(mode == 0o644, "others may write it: {mode:o}");
    what_was_meant(outside)
}

/// What was typed almost right is told with what is right.
fn what_was_meant(outside: &Outside) -> Result<()> {
    let told = |words: &[&str], status: i32, stdout: bool, says: &[&str]| -> Result<()> {
        let own = std::env::current_exe()?.with_file_name("sandboxd");
        // Under a umask that lets others write.
        let mut sandboxd = std::process::Command::new("/bin/sh");
        sandboxd.args(["-c", "umask 000; exec \"$0\" \"$@\""]).arg(own).args(words);
        let output = sandboxd.current_dir(outside.dir()).output()?;
        let text = String::from_utf8(if stdout { output.stdout } else { output.stderr })?;
        ensure!(output.status.code() == Some(status), "{words:?}: {} {text}", output.status);
        for word in says {
            ensure!(text.contains(word), "{words:?}: no {word:?} in {text}");
        }
        Ok(())
    };
    told(&["run", "ls", "-la"], 125, false, &["sandboxd run -- ls -la"])?;
    told(&["check", "-p", "coding-agent", "--", "true"], 125, false, &["builtin:coding-agent"])?;
    told(
        &["check", "-p", "builtin:codng-agent", "--", "true"],
        125,
        false,
        &["builtin:coding-agent"],
    )?;
    told(&["mcp", "--help"], 0, true, &["builtin:mcp-server"])?;
    told(&["audit", "show", "--kind", "nosuch"], 125, false, &["no such kind", "started"])?;
    what_comes_to_nothing(&told)?;
    // Whoever reads answers for programs finds failures there too.
    for verb in ["check", "plan", "why"] {
        let words: &[&str] = if verb == "why" { &["--path", "/etc"] } else { &["--", "true"] };
        let words = [&[verb, "--json", "-p", "builtin:none"], words].concat();
        told(&words, 125, true, &["\"ok\": false", "\"problems\""])?;
    }
    // Where each line is an object, on one.
    told(&["audit", "show", "--json", "nowhere"], 125, true, &["\"ok\":false"])?;
    told(&["graph", "--json", "nowhere"], 125, true, &["\"ok\": false"])?;
    told(&["profile", "show", "--json", "builtin:none"], 125, true, &["\"ok\": false"])?;
    told(&["profile", "init", "loose.toml"], 0, true, &["it is rejected here"])?;
    let mode = fs::metadata(outside.dir().join("loose.toml"))?.permissions().mode() & 0o777;
    ensure!(mode == 0o644, "others may write it: {mode:o}");
    // Nor is it given to those whom the umask keeps from it.
    let own = std::env::current_exe()?.with_file_name("sandboxd");
    let tight = "umask 077; exec \"$0\" profile init tight.toml";
    let mut sandboxd = std::process::Command::new("/bin/sh");
    let made = sandboxd.args(["-c", tight]).arg(own).current_dir(outside.dir()).output()?;
    let mode = fs::metadata(outside.dir().join("tight.toml"))?.permissions().mode() & 0o777;
    ensure!(made.status.success() && mode == 0o600, "{}: {mode:o}", made.status);
    told(&["profile", "init", "no/folder.toml"], 125, false, &["create its folder first"])?;
    for (words, status) in [(["completions", "bash"], "125"), (["profile", "list"], "125")] {
        let own = std::env::current_exe()?.with_file_name("sandboxd");
        let mut sandboxd = std::process::Command::new(own);
        let full = fs::File::options().write(true).open("/dev/full")?;
        let output = sandboxd.args(words).stdout(full).output()?;
        let said = String::from_utf8(output.stderr)?;
        ensure!(said.contains("standard output could not be written"), "{words:?}: {said}");
        ensure!(
            !said.contains("panicked") && output.status.to_string().ends_with(status),
            "{said}"
        );
    }
    Ok(())
}

/// What was typed and comes to nothing is said.
fn what_comes_to_nothing(told: &impl Fn(&[&str], i32, bool, &[&str]) -> Result<()>) -> Result<()> {
    told(&["run", "--", "true --version"], 127, false, &["is one word", "-- true --version"])?;
    told(
        &["check", "--", "nosuchprog"],
        125,
        false,
        &["execve(\"nosuchprog\")", "grant its folder"],
    )?;
    told(&["run", "-e", "SANDBOXD_NONE", "--", "true"], 0, false, &["-e SANDBOXD_NONE"])?;
    told(&["secret", "check"], 0, true, &["builtin:untrusted has no [secrets.NAME]"])?;
    told(&["why", "--host", "127.0.0.1:8080"], 1, true, &["--egress nobody.invalid:443"])?;
    let long = "x".repeat(100_000);
    let words: Vec<&str> = ["run", "--", "true"].into_iter().chain([long.as_str(); 12]).collect();
    told(&words, 125, false, &["arguments and variables have", "on its standard input"])
}

/// What is called is checked as its caller is, and says whose problem it is.
fn called(outside: &Outside) -> Result<()> {
    let file = outside.dir().join("tool.toml");
    let waivers = outside.waivers().iter().map(|key| format!("{key} = \"if-available\"\n"));
    let waivers: String = waivers.collect();
    let write = |read: &str| {
        let tool = format!(
            "name = \"tool\"\nextends = [\"builtin:base\"]\n[command]\nexec = [\"/bin/cat\"]\n\
             [files]\nread = [{read}]\n[serve]\ntools = [\"echo\"]\n[require]\n{waivers}"
        );
        fs::write(&file, tool)
    };
    let caller = format!(
        "name = \"caller\"\nextends = [\"builtin:base\"]\n[call.tool]\nprofile = {file:?}\ntools = [\"echo\"]\n"
    );
    let check = || outside.sandbox(&caller).verb("check").command(&["/bin/true"]);
    write("")?;
    says(&check().run()?, &["called tool: can be run here"])?;
    let told = json(&check().option("--json").run()?)?;
    let name = told.pointer("/called/0/profile").and_then(Value::as_str);
    ensure!(name == Some("tool"), "check says {told}");
    write("\"/no/such/folder\"")?;
    let run = check().run()?;
    run.exited(125)?;
    for word in ["tool.toml", "/no/such/folder does not exist"] {
        ensure!(run.stderr.contains(word), "{word:?} is not said: {}", run.stderr);
    }
    Ok(())
}

fn waived(outside: &Outside) -> Result<()> {
    let missing = || Fault::of(libc::SYS_landlock_create_ruleset, libc::ENOSYS);
    let ask = |verb: &'static str| {
        outside.sandbox(WAIVING).verb(verb).command(&["/bin/true"]).fault(missing())
    };
    says(&ask("check").run()?, &["waived", "require.landlock"])?;
    says(&ask("plan").run()?, &["waived", "require.landlock"])?;
    // An older kernel lacks more, with and without this.
    let keys = |told: &Value| -> Vec<String> {
        let all = told.get("waived").and_then(Value::as_array).into_iter().flatten();
        all.filter_map(|one| Some(one.get("key")?.as_str()?.to_owned())).collect()
    };
    let names = |told: &Value| keys(told).iter().any(|key| key == "require.landlock");
    for verb in ["check", "plan"] {
        let told = json(&ask(verb).option("--json").run()?)?;
        ensure!(names(&told), "{verb}: {told}");
    }
    let run = ask("run").run()?;
    run.exited(0)?;
    ensure!(run.stderr.contains("require.landlock"), "the run does not say it: {}", run.stderr);
    let receipt = run.receipt.context("no receipt")?;
    ensure!(names(&receipt), "the receipt: {receipt}");
    ensure!(receipt.get("landlock_abi") == Some(&Value::Null), "the receipt: {receipt}");
    // Waived is what is missing: where it is there, it is enforced and nothing is said.
    let usual = outside.sandbox(BASE).command(&["/bin/true"]).run()?;
    usual.exited(0)?;
    let run = outside.sandbox(WAIVING).command(&["/bin/true"]).run()?;
    run.exited(0)?;
    let lines = |run: &Run| run.stderr.lines().count();
    ensure!(lines(&run) == lines(&usual), "something is said: {}", run.stderr);
    let [receipt, usual] =
        [run.receipt, usual.receipt].map(|receipt| receipt.context("no receipt"));
    let (receipt, usual) = (receipt?, usual?);
    ensure!(keys(&receipt) == keys(&usual) && !names(&receipt), "the receipt: {receipt}");
    Ok(())
}

fn doctor(outside: &Outside) -> Result<()> {
    let run = outside.bare().verb("doctor").option("--json").run()?;
    let told = json(&run)?;
    let mechanisms = told.get("mechanisms").and_then(Value::as_array).context("no mechanisms")?;
    ensure!(
        mechanisms.iter().all(|one| one.get("evidence").is_some_and(Value::is_string)),
        "{told}"
    );
    let profiles = told.get("profiles").and_then(Value::as_array).context("no profiles")?;
    ensure!(!profiles.is_empty(), "{told}");
    for profile in profiles {
        ensure!(profile.get("runs") == Some(&Value::Bool(true)), "{profile}");
    }
    says(&outside.bare().verb("doctor").run()?, &["landlock", "cgroups", "builtin:base"])?;
    // What is missing is named, with what to do.
    let missing = Fault::of(libc::SYS_landlock_create_ruleset, libc::ENOSYS);
    let run = outside.bare().verb("doctor").fault(missing).run()?;
    run.exited(1)?;
    ensure!(run.stdout.contains("lacks  landlock"), "{}", run.stdout);
    ensure!(run.stdout.contains("  remedy  "), "no remedy: {}", run.stdout);
    Ok(())
}

fn made_pages(outside: &Outside) -> Result<()> {
    for shell in ["bash", "zsh", "fish"] {
        let run = outside.bare().verb("completions").option(shell).run()?;
        says(&run, &["sandboxd", "doctor", "receipt"])?;
    }
    says(&outside.bare().verb("man").run()?, &[".TH", "sandboxd"])?;
    let folder = outside.dir().join("man");
    fs::create_dir(&folder)?;
    outside.bare().verb("man").option(&folder).run()?.exited(0)?;
    for page in ["sandboxd.1", "sandboxd-run.1", "sandboxd-plan.1"] {
        let text = fs::read_to_string(folder.join(page)).with_context(|| page.to_owned())?;
        ensure!(text.contains(".SH"), "{page} has no section");
    }
    let run = outside.bare().verb("run").option("--help").run()?;
    says(&run, &["Exit status", "124", "127"])
}
