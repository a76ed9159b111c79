//! Where Landlock is missing or refuses, nothing is started; an operator who accepts that writes it,
//! and is told on every run.

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use sandboxd_integration::{By, Case, Fault, Inside, Outside};

pub(crate) const CASE: Case =
    Case { rows: &["C06", "E4"], outside, probes: &[("be", be)], by: By::Anybody, ..Case::NEW };

const PROFILE: &str = "extends = [\"builtin:base\"]\n";
const WAIVED: &str = "extends = [\"builtin:base\"]\n[require]\nlandlock = \"if-available\"\n";

fn outside(outside: &Outside) -> Result<()> {
    for errno in [Errno::ENOSYS, Errno::EOPNOTSUPP] {
        let missing = || Fault::of(libc::SYS_landlock_create_ruleset, raw(errno));
        let run = outside.sandbox(PROFILE).probe("be", &[]).fault(missing()).run()?;
        run.not_started().with_context(|| format!("{errno:?} when it is looked for"))?;
        ensure!(run.stderr.to_lowercase().contains("landlock"), "the message names no Landlock");

        let run = outside.sandbox(WAIVED).probe("be", &[]).fault(missing()).run()?;
        run.ran().with_context(|| format!("waived, {errno:?}"))?;
        ensure!(run.stderr.contains("waived by the profile"), "the run does not tell it");
        let receipt = run.receipt.as_ref().context("no receipt")?;
        let layers = receipt.get("layers").and_then(serde_json::Value::as_array);
        let state = layers.into_iter().flatten().find(|layer| {
            layer.get("name").and_then(serde_json::Value::as_str) == Some("landlock")
        });
        let state = state.and_then(|layer| layer.get("state")?.as_str());
        ensure!(state == Some("waived"), "the receipt says {state:?}");
    }
    // It is there when looked for and fails when used: a waiver is for what is missing, not for this.
    for profile in [PROFILE, WAIVED] {
        for errno in [Errno::ENOSYS, Errno::EOPNOTSUPP, Errno::EINVAL, Errno::ENOMEM] {
            let fault = Fault::of(libc::SYS_landlock_create_ruleset, raw(errno)).when(2, 0);
            let run = outside.sandbox(profile).probe("be", &[]).fault(fault).run()?;
            run.failed_in("landlock", "landlock_create_ruleset", errno)?;
        }
        for errno in [Errno::EOPNOTSUPP, Errno::E2BIG, Errno::EPERM] {
            let fault = Fault::of(libc::SYS_landlock_restrict_self, raw(errno));
            let run = outside.sandbox(profile).probe("be", &[]).fault(fault).run()?;
            run.failed_in("landlock", "landlock_restrict_self", errno)?;
        }
        let fault = Fault::of(libc::SYS_landlock_add_rule, libc::EINVAL);
        let run = outside.sandbox(profile).probe("be", &[]).fault(fault).run()?;
        run.failed_in("landlock", "landlock_add_rule", Errno::EINVAL)?;
    }
    Ok(())
}

fn raw(errno: Errno) -> i32 {
    std::io::Error::from(errno).raw_os_error().unwrap_or(libc::EIO)
}

fn be(inside: &Inside) -> Result<()> {
    inside.fact("here", "yes");
    Ok(())
}
