//! A mount of the host's that lies in a granted folder, or is one, or has one in it, does not bring the kernel's own file
//! systems or the host's root inside.

use anyhow::{Context as _, Result};
use nix::mount::{MsFlags, mount, umount};
use sandboxd_integration::{Case, Outside};
use std::fs;
use std::path::Path;

pub(crate) const CASE: Case = Case { rows: &["F27", "F28", "X04"], outside, ..Case::NEW };

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let point = ws.join("door");
    let run = |access: &str, path: &Path| {
        let profile = format!("extends = [\"builtin:base\"]\n[files]\n{access} = [{path:?}]\n");
        outside.sandbox(&profile).command(&["/bin/true"]).run()
    };
    fs::create_dir(&point)?;
    let none = None::<&str>;
    for (kind, source, flags, inner) in [
        (Some("proc"), "proc", MsFlags::empty(), "door/sys"),
        (Some("sysfs"), "sysfs", MsFlags::empty(), "door/kernel"),
        (None, "/", MsFlags::MS_BIND, "door"),
    ] {
        mount(Some(source), &point, kind, flags, none).with_context(|| source)?;
        let runs = [("read", &ws), ("read", &point), ("write", &point), ("read", &ws.join(inner))]
            .map(|(access, path)| run(access, path));
        umount(&point)?;
        for run in runs {
            run?.not_started()?.has_problem(&["door", "exposes the host or its kernel"])?;
        }
    }
    run("read", &ws)?.exited(0)?;
    Ok(())
}
