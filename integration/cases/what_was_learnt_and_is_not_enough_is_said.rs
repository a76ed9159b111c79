//! What `sandboxd learn` cannot grant it says: keys that were asked for and covered, with no advice to grant them, and
//! names that led through a link that the profile does not show.

use anyhow::{Result, ensure};
use sandboxd_integration::{Case, Outside};
use std::fs;
use std::os::unix::fs::symlink;

pub(crate) const CASE: Case = Case { rows: &["X03"], seconds: 120, outside, ..Case::NEW };

fn outside(outside: &Outside) -> Result<()> {
    outside.file("data/releases/42/conf", "what it reads\n")?;
    let data = outside.dir().join("data");
    symlink("releases/42", data.join("current"))?;
    let ws = outside.workspace()?;
    let file = outside.dir().join("learnt.toml");
    let script = format!(
        "cat {0}/current/conf; readlink {0}/current; cat /etc/shadow; true",
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
        String::from("#   read /etc/shadow (cat): keys, tokens or histories lie there\n"),
        format!("#   {link}/conf (cat): named through the link {link}, which is not shown"),
        format!("#   read {link} (readlink): {link} leads through the link {link}"),
    ] {
        ensure!(left.contains(&said), "not said: {said}\n{learnt}");
    }
    ensure!(!left.contains("learn with -r"), "advised to grant it: {learnt}");
    ensure!(learnt.contains(&format!("    \"{}\",", conf.display())), "not granted: {learnt}");
    Ok(())
}
