//! The example of a key that the agent never has runs as it ships: the service answers it, whatever it shows for a
//! key, and nothing else that it asks for; it finds the key nowhere. What its page says to change is refused.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::hosts::Serving;
use sandboxd_integration::world::{IP, World};
use sandboxd_integration::{By, Case, Need, Outside, Run};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

pub(crate) const CASE: Case = Case {
    rows: &["I01"],
    needs: &[Need::Program(IP), Need::Program("/usr/bin/python3")],
    outside,
    by: By::Anybody,
    ..Case::NEW
};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/a-key-it-never-has");
/// Where its service listens, which in a network of this case's own nobody else does.
const PORT: &str = "8460";

fn outside(outside: &Outside) -> Result<()> {
    let example = outside.dir().join("example");
    fs::create_dir(&example)?;
    for name in ["README.md", "agent.py", "agent.toml", "service.py"] {
        fs::write(example.join(name), fs::read(Path::new(EXAMPLE).join(name))?)?;
    }
    let world = (!outside.is_user()).then(|| World::enter(outside, &[])).transpose()?;
    let service = example.join("service.py");
    let service = service.to_str().context("a path")?;
    // A user has no network of its own: there it listens where nobody does yet.
    let arguments: &[&str] = if world.is_some() { &[] } else { &["0"] };
    let service = Serving::begin(service, arguments)?;
    let port = service.said().strip_prefix("listening on 127.0.0.1:").context("no port")?;
    for name in ["agent.py", "agent.toml"] {
        let text = fs::read_to_string(example.join(name))?;
        ensure!(text.contains(PORT), "{name} asks elsewhere");
        fs::write(example.join(name), text.replace(PORT, port))?;
    }
    let says = |options: &[&str]| {
        let sandbox = outside.bare().cwd(&example).option("--profile").option("agent.toml");
        options.iter().fold(sandbox, |sandbox, option| sandbox.option(*option)).run()
    };
    let run = says(&[])?;
    run.exited(0)?;
    as_its_page_says(&run, &example)?;
    let key = fs::read_to_string(example.join("key"))?;
    let said = format!("{}{}", run.stdout, run.stderr);
    ensure!(!said.contains(&key), "it is told: {said}");
    what_it_finds(outside, &says)?;
    let key = example.join("key");
    let bound = format!("--bind={}:/agent/key", key.display());
    says(&[&bound])?.has_problem(&["secrets.tides.from", "the command could read"])?;
    let profile = example.join("agent.toml");
    let text = fs::read_to_string(&profile)?;
    let all = format!("\"http://host.internal:{port}\"");
    ensure!(text.contains(&all), "the profile names no service");
    fs::write(&profile, text.replace(&all, &format!("\"GET http://host.internal:{port}/v1/*\"")))?;
    let narrow = says(&[])?;
    ensure!(narrow.stdout.matches(": 403 sandboxd: ").count() == 2, "let out: {}", narrow.stdout);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640))?;
    let open = says(&[])?;
    open.exited(125)?;
    ensure!(open.stderr.contains("lets others access it"), "{}", open.stderr);
    Ok(())
}

/// Word for word.
fn as_its_page_says(run: &Run, example: &Path) -> Result<()> {
    let page = fs::read_to_string(example.join("README.md"))?;
    let shown = page.split_once("```text\n").and_then(|(_, rest)| rest.split_once("```"));
    let (shown, _) = shown.context("the page shows nothing")?;
    ensure!(run.stdout == shown, "its page says {shown}, and it said {}", run.stdout);
    Ok(())
}

/// It knows a key where it sees one.
fn what_it_finds(outside: &Outside, says: &dyn Fn(&[&str]) -> Result<Run>) -> Result<()> {
    let other = outside.file("other", &format!("a key: tides-{}", "0123456789abcdef".repeat(2)))?;
    let run = says(&[&format!("--bind={}:/tmp/other", other.display())])?;
    run.exited(0)?;
    ensure!(run.stdout.contains("arguments: /tmp/other\n"), "it did not look: {}", run.stdout);
    Ok(())
}
