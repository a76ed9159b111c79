//! The groups that the caller is in, docker's or kvm's, do not reach inside: a file that only they may
//! read is not read, even where it is granted.

use anyhow::{Result, ensure};
use nix::errno::Errno;
use nix::unistd::{Gid, setgroups};
use sandboxd_integration::{Case, Inside, Outside};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};

pub(crate) const CASE: Case =
    Case { rows: &["E29", "V02"], outside, probes: &[("read", read)], ..Case::NEW };

/// Groups of no user of this host.
const GROUPS: &[u32] = &[64_001, 64_002];

fn outside(outside: &Outside) -> Result<()> {
    let mut groups: Vec<Gid> = GROUPS.iter().map(|group| Gid::from_raw(*group)).collect();
    groups.push(Gid::from_raw(0));
    // Whatever this case starts from here on has them.
    setgroups(&groups)?;
    let ws = outside.workspace()?;
    let mut canaries = Vec::new();
    for group in [0, 64_001, 64_002] {
        let canary = outside.canary(&format!("ws/of-{group}"))?;
        chown(canary.path(), Some(0), Some(group))?;
        fs::set_permissions(canary.path(), fs::Permissions::from_mode(0o640))?;
        canaries.push(canary);
    }
    let profile = format!("extends = [\"builtin:base\"]\n[files]\nread = [{ws:?}]\n");
    let run = outside.sandbox(&profile).probe("read", &[ws.to_str().unwrap_or_default()]).run()?;
    run.ran()?;
    ensure!(run.fact("groups")?.is_empty(), "groups {}", run.fact("groups")?);
    for (canary, group) in canaries.iter().zip([0, 64_001, 64_002]) {
        run.refused(&format!("of {group}"), &[Errno::EACCES])?.keeps(canary)?;
    }
    run.refused("take", &[Errno::EPERM])?;
    Ok(())
}

fn read(inside: &Inside) -> Result<()> {
    let own = nix::unistd::getgid();
    let groups: Vec<String> = nix::unistd::getgroups()?
        .iter()
        .filter(|group| **group != own)
        .map(Gid::to_string)
        .collect();
    inside.fact("groups", &groups.join(" "));
    for group in [0, 64_001, 64_002] {
        let path = inside.path(0)?.join(format!("of-{group}"));
        if let Some(text) = inside.attempt(&format!("of {group}"), fs::read_to_string(path)) {
            inside.fact(&format!("text of {group}"), &text);
        }
    }
    inside.attempt("take", setgroups(&[Gid::from_raw(64_001)]));
    Ok(())
}
