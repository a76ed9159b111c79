//! What a command that is learnt from may write is what `-w` names, and the profile lets it write that and nothing
//! else, however it tried. In such a folder it builds, executes what it built, replaces and moves files and uses
//! its git repository, while it is learnt from as afterwards, twice. What was looked at in passing is not shown.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Need, Outside};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

pub(crate) const CASE: Case = Case {
    rows: &["X03"],
    needs: &[
        Need::Program("/usr/bin/python3"),
        Need::Program("/usr/bin/git"),
        Need::Program("/usr/bin/make"),
    ],
    seconds: 240,
    outside,
    by: By::Anybody,
    ..Case::NEW
};

const SCRIPT: &str = "#!/bin/sh\nset -e\n\
    cat a > b && mv b a && mkdir -p part && mv a part/a && mv part/a a\n\
    printf '#!/bin/sh\\necho built\\n' > tool && chmod +x tool && ./tool\n\
    ln -sf part there && cd there && cat ../a\n";
const MAKE: &str =
    "all: built\n\t./built\nbuilt: work.sh\n\tcp work.sh built\n\trm -f absent\n\tmkdir -p .\n";
const GIT: &str = "git status --short | wc -l && echo more >> tracked && git -c user.name=a -c user.email=a@b.c commit -qam m && \
    git log --format=%s";
/// As `distro`, which pip uses, does: everything is looked at, one file is read.
const LISTING: &str = "import os\n\
    all = [name for name in os.listdir('/etc') if os.path.isfile('/etc/' + name)]\n\
    print('os-release' in open('/etc/passwd').name, len(open('/etc/host.conf').read()) > 0)\n";

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    outside.file("ws/a", "kept\n")?;
    outside.file("ws/tracked", "tracked\n")?;
    outside.file("ws/Makefile", MAKE)?;
    let script = outside.file("ws/work.sh", SCRIPT)?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    let git = "git init -q . && git add tracked && git -c user.name=a -c user.email=a@b.c commit -qm first";
    let made = outside
        .bare()
        .option("--write")
        .option(&*ws)
        .cwd(&ws)
        .command(&["/bin/sh", "-c", git])
        .run()?;
    made.exited(0)?;
    for (name, words, says) in [
        ("script", ["./work.sh"].as_slice(), "built\nkept\n"),
        ("make", &["make", "-s"], "built\nkept\n"),
        ("git", &["/bin/sh", "-c", GIT], "m\nfirst\n"),
    ] {
        let profile = learnt(outside, &ws, name, words)?;
        for _ in 0..2 {
            let again = outside.bare().option("--profile").option(&*profile.0).cwd(&ws).run()?;
            again.exited(0).with_context(|| profile.1.clone())?;
            ensure!(again.stdout.ends_with(says), "{} under {}", again.stdout, profile.1);
        }
    }
    let listing = learnt(outside, &ws, "listing", &["/usr/bin/python3", "-c", LISTING])?;
    let shown = listing.1.lines().filter(|line| line.starts_with("    \"/etc/")).count();
    ensure!(shown < 8, "what was only looked at is shown: {}", listing.1);
    nothing_else(outside, &ws)?;
    of_what_did_not_run_nothing_is_learnt(outside, &ws)?;
    nothing_wider(outside, &ws)?;
    another_file_stays(outside, &ws)
}

/// What was executed and could not be removed or replaced is executed afterwards, and nothing beside it; what is not
/// there and was to be removed is not needed at all.
fn nothing_wider(outside: &Outside, ws: &Path) -> Result<()> {
    let (tool, beside) = (
        outside.file("tools/run", "#!/bin/sh\necho ran\n")?,
        outside.file("tools/beside", "#!/bin/sh\n")?,
    );
    for script in [&tool, &beside] {
        fs::set_permissions(script, fs::Permissions::from_mode(0o755))?;
    }
    let tools = outside.dir().join("tools");
    fs::create_dir(tools.join("empty"))?;
    let at = tools.display();
    let tries = format!(
        "{at}/run; rm -f {at}/run {at}/empty/absent; mv {at}/beside {at}/run; rmdir {at}/empty/none; true"
    );
    let file = outside.dir().join("wider.toml");
    let learn = outside.bare().verb("learn").option("--output").option(&*file);
    let learn = learn.option("--execute").option(&*tools).option("--read").option(&*tools);
    let run =
        learn.option("--write").option(ws).cwd(ws).command(&["/bin/sh", "-c", &tries]).run()?;
    run.exited(0)?;
    ensure!(
        run.stdout == "ran\n" && tool.exists() && beside.exists(),
        "{}{}",
        run.stdout,
        run.stderr
    );
    let text = fs::read_to_string(&file)?;
    let granted = text.lines().filter(|line| line.starts_with("    \"") && line.contains("/tools"));
    let granted: Vec<&str> = granted.filter_map(|line| line.split('"').nth(1)).collect();
    let alone = |path: &&str| Path::new(path) == tool || Path::new(path) == beside;
    ensure!(granted.contains(&&*tool.to_string_lossy()), "it is not granted: {text}");
    ensure!(granted.iter().all(alone), "more than was executed is granted: {text}");
    let mut needed = text.lines().filter(|line| !line.starts_with("exec = "));
    ensure!(!needed.any(|line| line.contains("/empty")), "what is not there is needed: {text}");
    Ok(())
}

/// What somebody puts in the place of the file that is learnt into stays, and so does what was there before.
fn another_file_stays(outside: &Outside, ws: &Path) -> Result<()> {
    let file = outside.dir().join("taken.toml");
    let learn = |line: &str| {
        let learn = outside.bare().verb("learn").option("--output").option(&*file);
        learn.option("--write").option(ws).cwd(ws).command(&["/bin/sh", "-c", line]).start()
    };
    let mut running = learn("echo begun; while ! [ -e go ]; do sleep 0.1; done")?;
    running.says("begun")?;
    fs::remove_file(&file)?;
    fs::write(&file, "another\n")?;
    fs::write(ws.join("go"), "")?;
    let run = running.wait()?;
    ensure!(run.stderr.contains("it was replaced by another file"), "{}", run.stderr);
    let run = learn("true")?.wait()?;
    ensure!(run.stderr.contains("not there yet"), "{}", run.stderr);
    ensure!(fs::read_to_string(&file)? == "another\n", "it is not what it was");
    fs::remove_file(&file)?;
    // What sandboxd made itself does not stay where nothing was learnt.
    let refused =
        outside.bare().verb("learn").option("--output").option(&*file).option("--profile");
    let run = refused.option("/nowhere/at-all.toml").cwd(ws).command(&["/bin/true"]).run()?;
    ensure!(run.exit() != Some(0) && !file.exists(), "an empty file stays: {}", run.stderr);
    Ok(())
}

fn of_what_did_not_run_nothing_is_learnt(outside: &Outside, ws: &Path) -> Result<()> {
    let file = outside.dir().join("none.toml");
    let learn = |words: &[&str]| {
        let learn = outside.bare().verb("learn").option("--output").option(&*file);
        learn.cwd(ws).command(words).run()
    };
    for (words, status) in [
        (["no-such-program"].as_slice(), 127),
        (&["/bin/sh", "-c", "no-such-program"], 127),
        (&["/etc/passwd"], 126),
    ] {
        let run = learn(words)?;
        run.exited(status)?;
        ensure!(run.stderr.contains("nothing was learnt or written"), "{}", run.stderr);
        ensure!(!file.exists(), "{words:?}: a profile was written");
    }
    // One that was ended as `sandboxd stop` ends it did not fail.
    let run = learn(&["/bin/sh", "-c", "kill -TERM $$"])?;
    run.exited(143)?;
    ensure!(file.exists() && !run.stderr.contains("too small"), "{}", run.stderr);
    fs::remove_file(&file)?;
    let run = learn(&["/bin/sh", "-c", "exit 6"])?;
    run.exited(6)?;
    ensure!(file.exists() && run.stderr.contains("too small"), "{}", run.stderr);
    Ok(())
}

/// What it tried to write elsewhere is left out, and said.
fn nothing_else(outside: &Outside, ws: &Path) -> Result<()> {
    let canary = outside.canary("data/one")?;
    let data = outside.dir().join("data");
    let tries = format!(
        "echo x >> {0}/one; echo x > {0}/new; mkdir {0}/sub; echo > here; true",
        data.display()
    );
    let file = outside.dir().join("tries.toml");
    let learn = outside.bare().verb("learn").option("--output").option(&*file);
    let learn = learn.option("--read").option(&*data).option("--write").option(ws);
    learn.cwd(ws).command(&["/bin/sh", "-c", &tries]).run()?.exited(0)?;
    canary.unchanged()?;
    let text = fs::read_to_string(&file)?;
    let granted =
        text.lines().filter(|line| line.starts_with("    \"")).any(|line| line.contains("/data"));
    ensure!(!granted, "what could not be written is granted: {text}");
    let left = format!("#   write {}/one (sh): it was not writable during the run", data.display());
    ensure!(text.contains(&left), "no {left} in {text}");
    Ok(())
}

fn learnt(
    outside: &Outside,
    ws: &Path,
    name: &str,
    words: &[&str],
) -> Result<(std::path::PathBuf, String)> {
    let file = outside.dir().join(format!("{name}.toml"));
    let learn = outside.bare().verb("learn").option("--output").option(&*file);
    let run = learn.option("--write").option(ws).cwd(ws).command(words).run()?;
    run.exited(0)?;
    let text = fs::read_to_string(&file)?;
    Ok((file, text))
}
