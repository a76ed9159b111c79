//! Work inside a sandbox beside the same work outside. Each reports its own time, so that starting
//! the sandbox does not count.

use super::Built;
use super::paired::{self, Runner};
use anyhow::{Context as _, Result, ensure};
use std::{fmt::Write as _, fs, path::Path, process::Command, time::Duration};

/// Files in the repository that git looks at.
const FILES: usize = 5000;

pub(crate) fn run(built: &Built, rounds: usize) -> Result<()> {
    let getppid = built.compile("getppid")?;
    let folder = built.folder.join("inside");
    prepare(&folder, &getppid)?;
    let profile = built.folder.join("inside.toml");
    // The folder that it is run in is the one the profile lets be written.
    fs::write(
        &profile,
        "extends = [\"builtin:coding-agent\"]\n[limits]\ncpus = \"unlimited\"\nmemory = \"unlimited\"\n",
    )?;
    let rounds = rounds.min(30);
    for (what, script) in [
        ("getppid, a million times", String::from("./getppid")),
        ("git status, 5,000 files, ten times", timed("git status --porcelain", 10)),
        ("gcc -O2 of 400 functions", timed("gcc -O2 -c work.c -o /dev/null", 1)),
        ("stat of 5,000 files (path-heavy)", timed("find repository -size +1k", 5)),
    ] {
        let mut runners = [
            Runner::new("outside", || {
                reported(Command::new("/bin/sh").args(["-c", &script]).current_dir(&folder))
            }),
            Runner::new("inside", || {
                reported(built.run(&profile, &["/bin/sh", "-c", &script]).current_dir(&folder))
            }),
        ];
        paired::run(&mut runners, rounds)?;
        let [outside, _] = &runners;
        println!("{what}");
        paired::print(&runners, outside);
        println!();
    }
    Ok(())
}

/// A script that prints the nanoseconds its work took.
fn timed(work: &str, times: usize) -> String {
    let work =
        if work.starts_with("git") { format!("(cd repository && {work})") } else { work.into() };
    format!(
        "{work} >/dev/null 2>&1; from=$(date +%s%N); i=0; while [ $i -lt {times} ]; do \
         {work} >/dev/null || exit 1; i=$((i+1)); done; echo $(($(date +%s%N)-from))"
    )
}

fn reported(command: &mut Command) -> Result<Duration> {
    let output = command.output()?;
    ensure!(
        output.status.success(),
        "{}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout)?;
    let nanos = text.trim().parse().with_context(|| format!("not a time: {text:?}"))?;
    Ok(Duration::from_nanos(nanos))
}

fn prepare(folder: &Path, getppid: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    let repository = folder.join("repository");
    for index in 0..FILES {
        let below = repository.join(format!("d{}/e{}", index / 500, index / 50 % 10));
        fs::create_dir_all(&below)?;
        fs::write(below.join(format!("f{index}")), format!("{index}\n"))?;
    }
    fs::copy(getppid, folder.join("getppid"))?;
    let mut source = String::new();
    for index in 0..400 {
        writeln!(
            source,
            "int f{index}(int a, int b) {{ int s = 0; for (int i = a; i < b; i++) s += i * {index} ^ (s >> 3); return s; }}"
        )?;
    }
    fs::write(folder.join("work.c"), source)?;
    for words in [
        &["init", "-q"][..],
        &["add", "."],
        &["-c", "user.name=bench", "-c", "user.email=bench@localhost", "commit", "-qm", "all"],
    ] {
        let status = Command::new("git").args(words).current_dir(&repository).status()?;
        ensure!(status.success(), "git {words:?}: {status}");
    }
    Ok(())
}
