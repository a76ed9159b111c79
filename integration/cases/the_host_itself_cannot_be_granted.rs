//! A profile that grants the whole host, its control files or the state of sandboxd is refused.

use anyhow::{Context as _, Result};
use sandboxd_integration::{By, Case, Outside};

pub(crate) const CASE: Case = Case { rows: &["X04", "E30"], outside, by: By::Anybody, ..Case::NEW };

/// Refused however it is written.
const NEVER: &[(&str, &str)] = &[
    ("read", "/"),
    ("write", "/"),
    ("execute", "/"),
    ("read", "/proc"),
    ("read", "/proc/sys"),
    ("write", "/proc/self"),
    ("read", "/dev"),
    ("write", "/dev/mem"),
    ("write", "/sys"),
    ("write", "/sys/fs/cgroup"),
    ("write", "/sys/kernel"),
    ("read", "/run/sandboxd"),
    ("write", "/run/sandboxd"),
    ("write", "/run/sandboxd/uids"),
    ("read", "/run"),
    ("write", "/etc"),
    ("write", "/usr"),
    ("execute", "/proc"),
];

/// Refused unless the operator wrote why.
const REASONED: &[(&str, &str)] =
    &[("read", "/sys"), ("read", "/root"), ("read", "/tmp"), ("write", "/etc/cron.d")];

fn outside(outside: &Outside) -> Result<()> {
    let run = |access: &str, entry: &str| {
        let profile = format!("extends = [\"builtin:base\"]\n[files]\n{access} = [{entry}]\n");
        outside.sandbox(&profile).command(&["/bin/echo", "ran"]).run()
    };
    for (access, path) in NEVER {
        let plain = run(access, &format!("{path:?}"))?;
        plain.has_problem(&[":3:", path]).with_context(|| format!("{access} {path}"))?;
        let reason = run(access, &format!("{{ path = {path:?}, reason = \"I say so\" }}"))?;
        reason.has_problem(&[":3:", path]).with_context(|| format!("{access} {path}, reason"))?;
    }
    for (access, path) in REASONED {
        let plain = run(access, &format!("{path:?}"))?;
        plain.has_problem(&[":3:", path]).with_context(|| format!("{access} {path}"))?;
    }
    for path in ["/", "/proc", "/run/sandboxd", "/sys/fs/cgroup"] {
        let profile = format!(
            "extends = [\"builtin:base\"]\n[files]\nbind = [{{ from = {path:?}, to = \"/mnt/x\", access = \"write\" }}]\n"
        );
        let run = outside.sandbox(&profile).command(&["/bin/echo", "ran"]).run()?;
        run.has_problem(&[":3:", path]).with_context(|| format!("bind {path}"))?;
    }
    Ok(())
}
