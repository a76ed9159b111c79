//! The command is who the profile says: a user of its own where it says nothing, the invoker or a
//! named user where it does, with that user's rights on files and nobody's groups; root only by name
//! and with a reason, and even then without a capability.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::outside::OWNER;
use sandboxd_integration::{Case, Inside, Outside, Run};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};

pub(crate) const CASE: Case =
    Case { rows: &["V02", "E29", "C08"], outside, probes: &[("be", be)], ..Case::NEW };

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let place = ws.to_str().unwrap_or_default();
    // In a folder of root's that may be read, a file for the eyes of the owner of the workspace.
    let private = outside.file("owned/private", "mine")?;
    fs::set_permissions(&private, fs::Permissions::from_mode(0o600))?;
    let folder = private.parent().context("no folder")?;
    chown(folder, Some(0), Some(0))?;
    let sandbox = |command: &str| {
        let profile = format!(
            "extends = [\"builtin:base\"]\n[command]\n{command}\n[files]\nwrite = [{ws:?}]\nread = [{folder:?}]\n"
        );
        outside.sandbox(&profile).probe("be", &[place, private.to_str().unwrap_or_default()])
    };
    let owner = OWNER.to_string();
    let reads = |run: &Run, may: bool| -> Result<()> {
        ensure!((run.errno("private")? == 0) == may, "the private file: may be read: {may}");
        run.allowed("new")?;
        // Whoever writes in the workspace, on disk it stays its owner's.
        ensure!(fs::metadata(ws.join("new"))?.uid() == OWNER, "the new file is another's");
        Ok(fs::remove_file(ws.join("new"))?)
    };

    let run = sandbox("user = \"dynamic\"").run()?;
    let (first, count) = outside.uids();
    let uid: u32 = is(&run, None)?.parse()?;
    ensure!(uid > first && uid < first + count, "uid {uid}");
    reads(&run, false)?;

    let invoker = sandbox("user = \"invoker\"").env("SUDO_UID", &owner).env("SUDO_GID", &owner);
    let run = invoker.run()?;
    is(&run, Some(&owner))?;
    reads(&run, true)?;

    let text = fs::read_to_string("/etc/passwd")?;
    let nobody: Vec<_> = text
        .lines()
        .find(|line| line.starts_with("nobody:"))
        .context("this host has no nobody")?
        .split(':')
        .collect();
    let run = sandbox("user = \"nobody\"").run()?;
    is(&run, nobody.get(2).copied())?;
    reads(&run, false)?;

    for (command, words) in [
        ("user = \"root\"", "would run as root"),
        ("user = \"invoker\"", "would run as root"),
        ("user = \"invoker\"\nreason = \"because\"", "would run as root"),
        ("user = \"root\"\nreason = \"\"", "command.reason"),
        ("user = \"0\"", "command.user"),
        ("user = \"no-such-user\"", "no user no-such-user"),
    ] {
        sandbox(command).run()?.has_problem(&[words]).with_context(|| command.to_owned())?;
    }
    // Without a capability the root of the host reads no more than anybody else.
    let run = sandbox("user = \"root\"\nreason = \"it owns what is built\"").run()?;
    is(&run, Some("0"))?;
    reads(&run, false)
}

/// All its ids are one, it has no group and no capability; who it is.
fn is<'a>(run: &'a Run, wanted: Option<&str>) -> Result<&'a str> {
    run.ran()?;
    let status = run.fact("status")?;
    let field = |name: &str| -> Vec<&str> {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or("?").split_whitespace().collect()
    };
    let uids = field("Uid");
    let uid = *uids.first().context("no uid")?;
    ensure!(uids == [uid; 4], "uids {uids:?}");
    ensure!(wanted.is_none_or(|wanted| wanted == uid), "uid {uid}, not {wanted:?}");
    ensure!(field("Groups").is_empty(), "groups {:?}", field("Groups"));
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        ensure!(field(set) == ["0000000000000000"], "{set} {:?}", field(set));
    }
    let receipt = run.receipt.as_ref().context("no receipt")?;
    ensure!(receipt.get("uid").map(ToString::to_string).as_deref() == Some(uid), "{receipt}");
    Ok(uid)
}

fn be(inside: &Inside) -> Result<()> {
    let ws = inside.path(0)?;
    inside.fact("status", &fs::read_to_string("/proc/self/status")?);
    inside.attempt("private", fs::read(inside.path(1)?));
    inside.attempt("new", fs::write(ws.join("new"), "x"));
    Ok(())
}
