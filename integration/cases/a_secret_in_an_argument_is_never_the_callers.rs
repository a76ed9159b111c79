//! Where an agent writes a placeholder, in the argument of the tool that its profile names, that tool is told a
//! secret, and the agent never is: not by what the tool says back, in whatever form and however much of it, then or
//! later; and in no plan, receipt, record or message is it either. Anywhere else a placeholder is a text like
//! others, or the call is refused in the same words, whichever secrets there are.
//!
//! The tool does whatever its caller says.

#![expect(
    clippy::indexing_slicing,
    reason = "a member that is not there is null, and an answer that is not there fails the case"
)]

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::search::Search;
use sandboxd_integration::{By, Case, Inside, Outside, Run};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

pub(crate) const CASE: Case = Case {
    rows: &["N17"],
    outside,
    probes: &[("call", call)],
    by: By::Anybody,
    seconds: 120,
    ..Case::NEW
};

/// With what a shell, JSON and addresses each write in a way of their own.
const SECRET: &str = "s3cr3t/\"hunter2\\+ä?0123456789";
/// What of it is in no form of it the same as outside.
const TOLD: [&str; 3] = ["hunter2", "aHVudGVyMl", "68756e74657232"];
/// Another secret, which the agent's own command has as a file.
const OTHER: &str = "another-key-0123456789";

/// What is called, each with its tool, its arguments, and whether the secret is to be in them.
const CALLS: [(&str, &str, &str, &str); 17] = [
    ("told", "tool", "line", "printf %s '{{secret:db}}' | sha256sum"),
    ("twice", "tool", "line", "printf %s '{{secret:db}}{{secret:db}}' | wc -c"),
    ("raw", "tool", "line", "echo '{{secret:db}}'"),
    (
        "base64",
        "tool",
        "line",
        "for before in '' a ab; do printf %s \"$before\"'{{secret:db}}' | base64 -w0; done",
    ),
    ("hexadecimal", "tool", "line", "printf %s '{{secret:db}}' | od -An -tx1 | tr -d ' \\n'"),
    ("json", "tool", "line", "printf %s '{{secret:db}}' | sed 's/[\"\\\\]/\\\\&/g'"),
    // The answer is read in pieces of 64 KiB.
    (
        "long",
        "tool",
        "line",
        "head -c 65510 /dev/zero | tr '\\0' x; printf %s '{{secret:db}}{{secret:db}}'",
    ),
    ("error", "tool", "line", "echo '{{secret:db}}' >&2; exit 3"),
    ("kept", "tool", "line", "printf %s '{{secret:db}}' > /tmp/kept; echo kept"),
    ("later", "tool", "line", "cat /tmp/kept; wc -c < /tmp/kept"),
    ("no more of it", "tool", "line", "printf '{{sec'; printf 'ret:db}}'"),
    // Elsewhere; five refusals within a minute are borne.
    ("another edge", "other", "line", "printf %s '{{secret:db}} {{secret:api}}'"),
    ("another argument", "tool", "more", "{{secret:db}}"),
    ("another secret", "tool", "line", "printf %s '{{secret:api}}'"),
    ("no secret", "tool", "line", "printf %s '{{secret:none}}'"),
    ("no end", "tool", "line", "printf %s '{{secret:db'"),
    ("in a key", "tool", "{{secret:db}}", "x"),
];

fn outside(outside: &Outside) -> Result<()> {
    for (name, value) in [("db", SECRET), ("api", OTHER)] {
        let path = outside.dir().join(name);
        fs::write(&path, format!("{value}\n"))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400))?;
    }
    let profile = profile(outside)?;
    let run = outside.sandbox(&profile).probe("call", &[]).run()?;
    run.ran()?;
    told(&run)?;
    elsewhere(&run)?;
    ensure!(run.fact("found")?.is_empty(), "it is in {}", run.fact("found")?);
    ensure!(!run.fact("control")?.is_empty(), "nothing was searched");
    let receipt = fs::read_to_string(run.folder().join("receipt"))?;
    let placed: Value = serde_json::from_str(&receipt)?;
    ensure!(placed["placeholders"][0]["arguments"] == json!(["/line"]), "{receipt}");
    for (text, what) in
        [(&run.stdout, "the agent"), (&run.stderr, "a message"), (&receipt, "the receipt")]
    {
        is_nowhere(text, what)?;
    }
    is_in_no_answer(outside, &profile)?;
    is_written_down(outside, &profile)?;
    is_refused_where_it_cannot_stand(outside, &profile)
}

fn profile(outside: &Outside) -> Result<String> {
    let tool = outside.tool("tool", &[], "instances = \"serial\"\n")?;
    let edges = [outside.call("tool", &tool, &[])?, outside.call("other", &tool, &[])?].concat();
    let from = |name: &str| {
        format!("[secrets.{name}]\nfrom = \"file:{}\"\n", outside.dir().join(name).display())
    };
    Ok(format!(
        "name = \"agent\"\nextends = [\"builtin:base\"]\n{edges}{}placeholder = {{ call = \"tool\", \
         tools = [\"sh\"], arguments = [\"/line\"] }}\n{}credential = true\n",
        from("db"),
        from("api"),
    ))
}

fn text<'r>(run: &'r Run, call: &str) -> Result<&'r str> {
    run.fact(call).with_context(|| format!("{call}: {}", run.stderr))
}

/// The tool has it, and says it back in vain.
fn told(run: &Run) -> Result<()> {
    use std::io::Write as _;
    use std::process::Stdio;
    let mut sum =
        Command::new("/usr/bin/sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    sum.stdin.take().context("no input")?.write_all(SECRET.as_bytes())?;
    let sum = String::from_utf8(sum.wait_with_output()?.stdout)?;
    let sum = sum.split(' ').next().unwrap_or_default();
    ensure!(text(run, "told")?.contains(sum), "the tool was not told: {}", text(run, "told")?);
    ensure!(
        text(run, "twice")?.contains(&(2 * SECRET.len()).to_string()),
        "{}",
        text(run, "twice")?
    );
    ensure!(text(run, "later")?.contains(&SECRET.len().to_string()), "{}", text(run, "later")?);
    for call in ["raw", "base64", "hexadecimal", "json", "long", "error", "later"] {
        let said = text(run, call)?;
        ensure!(said.contains("«secret:db»"), "{call}: it is not covered: {said}");
    }
    // What a tool says is no placeholder.
    ensure!(
        text(run, "no more of it")?.contains("{{secret:db}}"),
        "{}",
        text(run, "no more of it")?
    );
    Ok(())
}

fn elsewhere(run: &Run) -> Result<()> {
    let other = text(run, "another edge")?;
    ensure!(other.contains("{{secret:db}} {{secret:api}}"), "over another edge it is: {other}");
    let refused = ["another argument", "another secret", "no secret", "no end", "in a key"];
    let first = text(run, refused[0])?;
    ensure!(first.contains("a placeholder is not allowed there"), "{first}");
    for call in refused {
        ensure!(
            text(run, call)? == first,
            "{call} tells which secrets there are: {}",
            text(run, call)?
        );
    }
    Ok(())
}

fn is_nowhere(text: &str, what: &str) -> Result<()> {
    for form in TOLD {
        ensure!(!text.contains(form), "{what} tells it: {text}");
    }
    Ok(())
}

/// Each asks about this very profile, which its answer shows.
fn is_in_no_answer(outside: &Outside, profile: &str) -> Result<()> {
    let asked = |verb| outside.sandbox(profile).verb(verb).command(&["/bin/true"]);
    let file = outside.dir().join("shown.toml");
    fs::write(&file, profile)?;
    for (verb, sandbox, shows) in [
        ("plan", asked("plan").option("--json"), "\"hostname\": \"agent\""),
        ("check", asked("check"), "called tool: can be run here"),
        (
            "profile show",
            outside.bare().waiving_nothing().verb("profile show").option(file),
            "{ call = \"tool\"",
        ),
    ] {
        let said = sandbox.run()?;
        let text = format!("{}{}", said.exited(0)?.stdout, said.stderr);
        ensure!(text.contains(shows), "{verb}: {shows:?} is not in {text}");
        is_nowhere(&text, verb)?;
    }
    Ok(())
}

/// Each call that it stood in, with its name and as it was written, and nothing of what it is.
fn is_written_down(outside: &Outside, profile: &str) -> Result<()> {
    let records = outside.records()?;
    for record in &records {
        is_nowhere(&record.to_string(), "a record")?;
    }
    let stood =
        |record: &&Value| record["kind"] == "call" && record["result"]["secrets"] == json!(["db"]);
    let stood = records.iter().filter(stood).count();
    ensure!(stood == 9, "it stood in {stood} calls that are written down");
    let refused = records.iter().filter(|record| record["rule"] == "secret").count();
    ensure!(refused == 5, "{refused} refusals are written down");
    let run = outside
        .sandbox(profile)
        .verb("secret uses")
        .option("--json")
        .command(&["/bin/true"])
        .run()?;
    run.exited(0)?;
    let uses: Value = serde_json::from_str(&run.stdout)?;
    let db =
        uses.as_array().into_iter().flatten().find(|one| one["name"] == "db").context("no uses")?;
    ensure!(db["used"][0]["calls"] == 9 && db["used"][0]["tool"] == "sh", "{db}");
    ensure!(
        db["may"][0].as_str().is_some_and(|may| may.contains("/line of sh over [call.tool]")),
        "{db}"
    );
    Ok(())
}

/// What JSON does not carry, or an answer could not be looked through for.
fn is_refused_where_it_cannot_stand(outside: &Outside, profile: &str) -> Result<()> {
    let path = outside.dir().join("db");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    for (value, says) in
        [(&b"\xff\xfe01234567"[..], "UTF-8"), (b"short", "too short"), (&[b'"'; 5000], "8192")]
    {
        fs::write(&path, value)?;
        let run = outside.sandbox(profile).command(&["/bin/true"]).run()?;
        run.not_started()?;
        ensure!(run.stderr.contains(says) && run.stderr.contains("remedy"), "{}", run.stderr);
    }
    Ok(())
}

/// Calls, in the order of the list, and looks for what the tools were told.
fn call(inside: &Inside) -> Result<()> {
    for (call, edge, argument, value) in CALLS {
        // Another line, so that an argument too many is all that is wrong.
        let mut arguments = json!({ "line": "true" });
        arguments[argument] = json!(value);
        let ran = Command::new("/run/sandboxd/sandboxd")
            .args(["call", "--json", edge, "sh", &arguments.to_string()])
            .output()?;
        let said = [ran.stdout, ran.stderr].concat();
        let said = String::from_utf8_lossy(&said).replace(['\n', '\r'], " ");
        // What is the same in all of a long answer says nothing.
        let said = said.replace(&"x".repeat(100), "");
        inside.fact(call, &said);
    }
    let mut search = Search {
        everywhere: vec![["hunt".into(), "er2\\+".into()]],
        control: ["«secr".into(), "et:db»".into()],
        ..Search::default()
    };
    fs::write("/tmp/control", "«secret:db»")?;
    search.all()?;
    inside.fact("found", &search.found.join(" "));
    inside.fact("control", &search.controls.join(" "));
    Ok(())
}
