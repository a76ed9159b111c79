//! What a call graph lets nobody do it says, what a new one lets be done it says, each with its exit
//! status; and a graph with a profile that somebody else could write is none.

use anyhow::{Result, ensure};
use sandboxd_integration::{By, Case, Outside};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

pub(crate) const CASE: Case = Case { rows: &["X03"], outside, by: By::Anybody, ..Case::NEW };

const AGENT: &str = "name = \"agent\"\nextends = [\"builtin:base\"]\n[call.hub]\n\
    profile = \"hub.toml\"\ntools = [\"ask\"]\n";
const HUB: &str = "name = \"hub\"\nextends = [\"builtin:base\"]\n\
    command.exec = [\"/usr/bin/true\"]\nserve.tools = [\"ask\"]\n[call.web]\n\
    profile = \"web.toml\"\ntools = [\"get\"]\n\
    grant.files.execute = [\"/usr\"]\ngrant.network = { mode = \"host\", reason = \"fetches\" }\n";
const WEB: &str = "name = \"web\"\nextends = [\"builtin:base\"]\n\
    command.exec = [\"/usr/bin/true\"]\nserve.tools = [\"get\", \"put\"]\n\
    network = { mode = \"host\", reason = \"fetches\" }\n";
const GRANT: &str = "grant.files.execute = [\"/usr\"]\n\
    grant.network = { mode = \"host\", reason = \"asks the hub to fetch\" }\n";

fn outside(outside: &Outside) -> Result<()> {
    let (old, new) = (outside.dir().join("old"), outside.dir().join("new"));
    for folder in [&old, &new] {
        write(folder, &[("agent", AGENT), ("hub", HUB), ("web", WEB)])?;
    }
    let folder = old.to_string_lossy().into_owned();
    let net = ["--from", "agent", "--to", "net"];
    says(&[&[folder.as_str()], &net[..]].concat(), 1, &["agent cannot reach net"])?;
    let path = ["--from", "hub", "--to", "/usr/bin/env"];
    says(&[&[folder.as_str()], &path[..]].concat(), 0, &["hub itself", "hub -> web", "execute"])?;
    says(&[&folder, "--from", "agent", "--to", "nobody"], 125, &["agent, hub, web"])?;
    says(&[&folder, "--dot"], 0, &["\"agent\" -> \"hub\" [label = \"ask\"]"])?;
    says(&[&folder, "--json"], 0, &["\"callee\": \"hub\""])?;

    let both = [folder.as_str(), new.to_str().unwrap_or_default()];
    let diff = |status, words: &[&str]| says(&["diff", both[0], both[1]], status, words);
    diff(0, &["nothing changed"])?;
    write(&new, &[("agent", &format!("{AGENT}{GRANT}"))])?;
    // The hub itself has no network: this is about what it calls.
    diff(
        1,
        &["widened   agent -> hub: on the caller's behalf: network", "narrowed  agent -> hub"],
    )?;
    says(&[&[both[1]], &net[..]].concat(), 0, &["agent -> hub -> web", "may network"])?;
    says(&["diff", both[1], both[0]], 1, &["widened   agent -> hub"])?;
    write(&new, &[("agent", &format!("{AGENT}approval = \"ask\"\n"))])?;
    diff(0, &["narrowed  agent -> hub: approval: never -> ask"])?;
    write(&new, &[("agent", &format!("{AGENT}[budget]\ncalls = 20000\n"))])?;
    diff(1, &["widened   agent: budget calls: 10000 -> 20000"])?;
    write(&new, &[("agent", &format!("{AGENT}[budget]\ntokens = 5\n"))])?;
    diff(0, &["narrowed  agent: budget tokens: unlimited -> 5"])?;

    shown_beside(&old, &new, &diff)?;

    write(&new, &[("agent", AGENT), ("web", &WEB.replace("\"get\", ", ""))])?;
    diff(125, &["hub.toml:7:10", "web serves no tools called get", "remedy"])?;
    write(&new, &[("web", WEB)])?;
    fs::set_permissions(new.join("web.toml"), fs::Permissions::from_mode(0o666))?;
    diff(125, &["lets others write it"])?;
    fs::remove_file(new.join("web.toml"))?;
    symlink(old.join("web.toml"), new.join("web.toml"))?;
    diff(125, &["a link leads there"])
}

/// What a profile shows of its own folder is the same in both, but not what it lets be done with it, and not where
/// the other folder is what is named.
fn shown_beside(old: &Path, new: &Path, diff: &impl Fn(i32, &[&str]) -> Result<()>) -> Result<()> {
    let base = "files.bind = [{ from = \"data\", to = \"/data\" }]\n";
    let agent = AGENT.replace("[\"builtin:base\"]", "[\"builtin:base\", \"parts.toml\"]");
    for folder in [old, new] {
        write(folder, &[("agent", &agent), ("parts", base)])?;
    }
    diff(0, &["nothing changed"])?;
    write(new, &[("parts", &base.replace(" }", ", access = \"write\" }"))])?;
    diff(1, &["widened   agent: write", "new/data"])?;
    write(new, &[("parts", &base.replace("data\",", "other\","))])?;
    diff(1, &["widened   agent: read", "new/other", "narrowed  agent: read", "new/data"])?;
    let other = format!("from = \"{}/data\"", old.display());
    write(new, &[("parts", &base.replace("from = \"data\"", &other))])?;
    diff(1, &["widened   agent: read", "old/data"])?;
    for folder in [old, new] {
        fs::remove_file(folder.join("parts.toml"))?;
        write(folder, &[("agent", AGENT)])?;
    }
    diff(0, &["nothing changed"])
}

fn write(folder: &Path, profiles: &[(&str, &str)]) -> Result<()> {
    fs::create_dir_all(folder)?;
    for (name, text) in profiles {
        let file = folder.join(format!("{name}.toml"));
        fs::write(&file, text)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644))?;
    }
    Ok(())
}

/// `sandboxd graph` with these words ends so, and says that.
fn says(words: &[&str], status: i32, wanted: &[&str]) -> Result<()> {
    let mut product = std::env::current_exe()?;
    product.set_file_name("sandboxd");
    let ended = Command::new(&product).arg("graph").args(words).output()?;
    let said =
        [&ended.stdout, &ended.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    let said = said.concat();
    ensure!(ended.status.code() == Some(status), "{words:?}: {}: {said}", ended.status);
    for one in wanted {
        ensure!(said.contains(one), "{words:?} does not say {one:?}: {said}");
    }
    Ok(())
}
