//! A mount of the host's that lies in a granted folder does not bring the kernel's own file systems or
//! the host's root inside.

use anyhow::{Context as _, Result};
use nix::mount::{MsFlags, mount, umount};
use sandboxd_integration::{Case, Outside};
use std::fs;

pub(crate) const CASE: Case = Case { rows: &["F27", "F28", "X04"], outside, ..Case::NEW };

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let profile = format!("extends = [\"builtin:base\"]\n[files]\nread = [{ws:?}]\n");
    let point = ws.join("door");
    fs::create_dir(&point)?;
    let none = None::<&str>;
    for (kind, source, flags) in [
        (Some("proc"), "proc", MsFlags::empty()),
        (Some("sysfs"), "sysfs", MsFlags::empty()),
        (None, "/", MsFlags::MS_BIND),
    ] {
        mount(Some(source), &point, kind, flags, none).with_context(|| source)?;
        let run = outside.sandbox(&profile).command(&["/bin/true"]).run();
        umount(&point)?;
        run?.not_started()?.has_problem(&["door", "opens the host or its kernel"])?;
    }
    outside.sandbox(&profile).command(&["/bin/true"]).run()?.exited(0)?;
    Ok(())
}
