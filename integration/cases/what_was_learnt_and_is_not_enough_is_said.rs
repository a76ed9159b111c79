//! What `sandboxd learn` cannot grant it says: keys that were asked for and covered, with no advice to grant them,
//! names that led through a link that the profile does not show, and that it does not see which system calls are
//! refused. A key among what was typed is not written down.

use anyhow::{Result, ensure};
use sandboxd_integration::{Case, Outside};
use std::fs;
use std::os::unix::fs::symlink;

pub(crate) const CASE: Case = Case { rows: &["X03"], seconds: 120, outside, ..Case::NEW };

/// As no key is that opens anything.
const KEY: &str = "ghp_Ab3dEf6hIj9lMn2pQr5tUv8xYz1bCd4fGh7j";

fn outside(outside: &Outside) -> Result<()> {
    outside.file("data/releases/42/conf", "what it reads\n")?;
    let data = outside.dir().join("data");
    symlink("releases/42", data.join("current"))?;
    let ws = outside.workspace()?;
    let file = outside.dir().join("learnt.toml");
    let script = format!(
        "cat {0}/current/conf; readlink {0}/current; cat /etc/shadow; unshare -U true; : {KEY}",
        data.display()
    );
    let learn = outside.bare().verb("learn").option("--output").option(file.as_path());
    let learn = learn.option("--read").option(data.as_path()).cwd(&ws);
    let run = learn.command(&["/bin/sh", "-c", &script]).run()?;
    run.exited(0)?;
    ensure!(run.stdout.contains("what it reads"), "{} {}", run.stdout, run.stderr);
    let learnt = fs::read_to_string(&file)?;
    let left = learnt.split("# Left out").nth(1).unwrap_or_default();
    let link = data.join("current");
    let (link, conf) = (link.display(), data.join("releases/42/conf"));
    for said in [
        String::from("#   read /etc/shadow (cat): it holds keys, tokens or history\n"),
        format!("#   {link}/conf (cat): named through the link {link}, which is not shown"),
        format!("#   read {link} (readlink): {link} leads through the link {link}"),
        String::from("#   the command and its arguments: a key is in them"),
    ] {
        ensure!(left.contains(&said), "not said: {said}\n{learnt}");
    }
    ensure!(!learnt.contains(KEY) && !learnt.contains("exec ="), "the key is in it: {learnt}");
    let unseen = "unseen  refused system calls: after that run, see sandboxd why --last";
    ensure!(run.stderr.contains(unseen), "not said: {}", run.stderr);
    ensure!(learnt.contains("were not seen"), "not said: {learnt}");
    // With what was written they are: the command is typed again.
    let again = outside.bare().option("--profile").option(file.as_path()).cwd(&ws);
    again.command(&["/bin/sh", "-c", "unshare -U true; true"]).run()?.exited(0)?;
    let why = outside.bare().verb("why").option("--last").run()?;
    ensure!(why.stdout.contains("unshare"), "{} {}", why.stdout, why.stderr);
    ensure!(!left.contains("learn with -r"), "advised to grant it: {learnt}");
    ensure!(learnt.contains(&format!("    \"{}\",", conf.display())), "not granted: {learnt}");
    Ok(())
}
