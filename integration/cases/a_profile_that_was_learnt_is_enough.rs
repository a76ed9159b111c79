//! What `sandboxd learn` writes is enough: a shell script, Python, git and a program that is a link, as npm and pipx
//! install them, do under the written profile what they did while they were learnt from; and it is little: what nobody used is not in it, and the host is as it was.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Need, Outside};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

pub(crate) const CASE: Case = Case {
    rows: &["X03"],
    needs: &[Need::Program("/usr/bin/python3"), Need::Program("/usr/bin/git")],
    seconds: 240,
    outside,
    by: By::Anybody,
    ..Case::NEW
};

const PYTHON: &str = "import json, os, sqlite3, sys\n\
    print(open(sys.argv[1]).read().strip())\n\
    json.dump({}, open('new.json', 'w'))\n\
    os.replace('new.json', 'made')\n\
    sqlite3.connect('made.db').execute('create table t (a)')\n";
const GIT: &str = "git init -q r && cd r && echo a > a && git add a && \
    git -c user.name=a -c user.email=a@b.c commit -qm m && git log --oneline | wc -l && cat \"$0\" && echo > ../made";

fn outside(outside: &Outside) -> Result<()> {
    let data = outside.file("data/one", "what it reads\n")?;
    outside.file("data/other", "what nobody reads\n")?;
    let ws = outside.workspace()?;
    let shell = outside
        .file("ws/work.sh", "cat \"$1\" && mkdir -p a/b && echo > a/b/c && echo > made\n")?;
    let python = outside.file("ws/work.py", PYTHON)?;
    let program = outside.file("data/lib/agent", "#!/bin/sh\ncat \"$1\" && echo > made\n")?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    let link = data.with_file_name("bin-agent");
    symlink("lib/agent", &link)?;
    let (data, shell, python) = (text(&data)?, text(&shell)?, text(&python)?);
    for (name, words) in [
        ("shell", ["/bin/sh", shell, data].as_slice()),
        ("python", &["/usr/bin/python3", python, data]),
        ("git", &["/bin/sh", "-c", GIT, data]),
        ("link", &[text(&link)?, data]),
    ] {
        learnt(outside, &ws, name, words).with_context(|| name.to_owned())?;
    }
    Ok(())
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is no text")
}

fn learnt(outside: &Outside, ws: &Path, name: &str, words: &[&str]) -> Result<()> {
    let file = outside.dir().join(format!("{name}.toml"));
    let data = outside.dir().join("data");
    let learn = |writes: bool| {
        let learn = outside.bare().verb("learn").option("--output").option(file.as_path());
        let learn = learn.option("--execute").option(data.as_path());
        let learn = if writes { learn.option("--write").option(ws) } else { learn };
        learn.cwd(ws).command(words).run()
    };
    // Where nothing may be written, nothing is.
    let first = learn(false)?;
    ensure!(first.exit() != Some(0) && !ws.join("made").exists(), "it wrote what it might not");
    ensure!(first.stderr.contains("writes  nothing of the host"), "{}", first.stderr);
    fs::remove_file(&file)?;
    let run = learn(true)?;
    run.exited(0)?;
    ensure!(run.stdout.contains("what it reads"), "{}", run.stdout);
    // One that is there is not overwritten.
    learn(true)?.exited(125)?;
    emptied(ws)?;
    let profile = fs::read_to_string(&file)?;
    for (holds, what) in [(true, "data/one"), (false, "data/other"), (false, "\"/etc\"")] {
        ensure!(profile.contains(what) == holds, "{what} in {profile}");
    }
    let again = outside.bare().option("--profile").option(file.as_path()).cwd(ws).run()?;
    again.exited(0).with_context(|| profile.clone())?;
    ensure!(again.stdout == run.stdout, "{} and not {}", again.stdout, run.stdout);
    ensure!(ws.join("made").exists(), "it made nothing");
    emptied(ws)
}

/// As it was before.
fn emptied(ws: &Path) -> Result<()> {
    let made: Vec<PathBuf> =
        ["made", "made.db", "a", "r"].iter().map(|name| ws.join(name)).collect();
    for path in made.iter().filter(|path| path.exists()) {
        if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }?;
    }
    Ok(())
}
