//! Of the credentials that systemd passes, a command may read those that its profile names, where
//! `$CREDENTIALS_DIRECTORY` says. Nobody else may, nothing changes them, and they are in no plan, no
//! receipt and no file.

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use sandboxd_integration::{By, Case, Inside, Outside, Sandbox};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) const CASE: Case = Case {
    rows: &["I01", "F08", "F09", "V06"],
    by: By::Anybody,
    seconds: 180,
    outside,
    probes: &[("read", read)],
    ..Case::NEW
};

const PROFILE: &str =
    "extends = [\"builtin:base\"]\n[command]\ncredentials = [\"token\", \"blob\", \"token\"]\n";

fn outside(outside: &Outside) -> Result<()> {
    let token = outside.canary("secret")?;
    let folder = made(outside, token.secret())?;
    let run = with(outside.sandbox(PROFILE), &folder)?.probe("read", &[]).run()?;
    run.ran()?.all_refused()?;
    for attempt in ["append", "truncate", "remove", "rename", "add", "chmod", "chown"] {
        run.refused(attempt, &[Errno::EACCES, Errno::EROFS])?;
    }
    run.refused("the other", &[Errno::ENOENT])?;
    for (fact, wanted) in
        [("token", token.secret()), ("size", "900000"), ("names", "blob token"), ("mode", "400")]
    {
        let found = run.fact(fact)?;
        ensure!(found == wanted, "{fact} is not what it is outside");
    }
    ensure!(run.fact("owner")? == "own", "the file is somebody else's");
    let receipt = fs::read_to_string(run.folder().join("receipt"))?;
    ensure!(!receipt.contains(token.secret()), "the receipt tells it");
    let plan = with(outside.sandbox(PROFILE), &folder)?.verb("plan").option("--json");
    let plan = plan.command(&["/bin/true"]).run()?;
    plan.exited(0)?;
    ensure!(!plan.stdout.contains(token.secret()), "the plan tells it");
    ensure!(plan.stdout.contains("/run/credentials/token"), "the plan does not say where it is");
    is_nowhere(outside, token.secret(), &folder)?;
    what_is_not_given(outside, &folder)
}

/// As systemd has it: a folder and files that nobody but the unit's user may read.
fn made(outside: &Outside, token: &str) -> Result<PathBuf> {
    outside.file("credentials/token", token)?;
    outside.file("credentials/blob", &"x".repeat(900_000))?;
    let other = outside.file("credentials/other", "another's")?;
    let folder = other.parent().context("a folder")?;
    let own = Some(nix::unistd::geteuid().as_raw());
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400))?;
        chown(&path, own, None)?;
    }
    chown(folder, own, None)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o500))?;
    Ok(folder.to_owned())
}

fn with<'a>(sandbox: Sandbox<'a>, folder: &Path) -> Result<Sandbox<'a>> {
    Ok(sandbox.env("CREDENTIALS_DIRECTORY", folder.to_str().context("a path")?))
}

/// No file that sandboxd or its sandbox left holds it.
fn is_nowhere(outside: &Outside, token: &str, folder: &Path) -> Result<()> {
    let mut searched = Command::new("/usr/bin/grep");
    // Where sandboxd keeps what it keeps; its TMPDIR is the case's own.
    searched.args(["-rls", token, "/run/sandboxd", "/dev/shm"]).arg(outside.dir());
    let found = String::from_utf8(searched.output()?.stdout)?;
    let own = [folder.join("token"), outside.dir().join("secret")];
    // What the probe said of it is written down by the observer.
    let told = |path: &Path| path.ends_with("stdout") && path.starts_with(outside.dir());
    for path in found.lines().map(Path::new) {
        ensure!(own.iter().any(|own| own == path) || told(path), "{} holds it", path.display());
    }
    Ok(())
}

fn what_is_not_given(outside: &Outside, folder: &Path) -> Result<()> {
    let says = |profile: &str| outside.sandbox(profile).command(&["/bin/echo", "runs"]);
    says(PROFILE).run()?.has_problem(&["command.credentials[0]", "passed no credentials"])?;
    let more = PROFILE.replace("\"blob\"", "\"absent\"");
    with(says(&more), folder)?.run()?.has_problem(&["command.credentials[1]", "\"absent\""])?;
    let told = with(says(PROFILE), folder)?.option("--env").option("CREDENTIALS_DIRECTORY");
    told.run()?.has_problem(&["--env", "sandboxd sets this variable"])?;

    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    let linked = PROFILE.replace("\"blob\"", "\"linked\"");
    symlink("/etc/shadow", folder.join("linked"))?;
    with(says(&linked), folder)?.run()?.not_started()?;
    let large = PROFILE.replace("\"blob\"", "\"large\"");
    fs::write(folder.join("large"), "x".repeat(1 << 20))?;
    let run = with(says(&large), folder)?.run()?;
    run.not_started()?;
    ensure!(run.stderr.contains("at most"), "{}", run.stderr);

    // Without the key there is nothing, whatever was passed.
    let run = with(outside.sandbox("extends = [\"builtin:base\"]\n"), folder)?;
    let run = run.command(&["/bin/sh", "-c", "env; ls -d /run/credentials || true"]).run()?;
    run.exited(0)?;
    ensure!(!run.stdout.to_lowercase().contains("credentials"), "{}", run.stdout);
    Ok(())
}

fn read(inside: &Inside) -> Result<()> {
    let folder = PathBuf::from(std::env::var("CREDENTIALS_DIRECTORY")?);
    let token = folder.join("token");
    inside.fact("token", &fs::read_to_string(&token)?);
    inside.fact("size", &fs::read(folder.join("blob"))?.len().to_string());
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort_unstable();
    inside.fact("names", &names.join(" "));
    let found = fs::metadata(&token)?;
    inside.fact("mode", &format!("{:o}", found.mode() & 0o7777));
    let own = found.uid() == nix::unistd::geteuid().as_raw();
    inside.fact("owner", if own { "own" } else { "another's" });

    inside.attempt("the other", fs::read(folder.join("other")));
    inside.attempt("append", fs::OpenOptions::new().append(true).open(&token));
    inside.attempt("truncate", fs::OpenOptions::new().write(true).truncate(true).open(&token));
    inside.attempt("remove", fs::remove_file(&token));
    inside.attempt("rename", fs::rename(&token, folder.join("renamed")));
    inside.attempt("add", fs::write(folder.join("added"), "x"));
    inside.attempt("chmod", fs::set_permissions(&token, fs::Permissions::from_mode(0o666)));
    inside.attempt("chown", chown(&token, Some(found.uid()), None));
    Ok(())
}
