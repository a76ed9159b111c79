//! Two sandboxes at a time never share a uid, and neither has the host's root or its user's.

use anyhow::{Result, ensure};
use sandboxd_integration::outside::OWNER;
use sandboxd_integration::{Case, Inside, Outside};
use std::io::Read as _;

pub(crate) const CASE: Case =
    Case { rows: &["C08", "X09"], outside, probes: &[("wait", wait)], ..Case::NEW };

fn outside(outside: &Outside) -> Result<()> {
    let profile = "name = \"same\"\nextends = [\"builtin:base\"]\n";
    let mut first = outside.sandbox(profile).probe("wait", &["30"]).start()?;
    first.says("uid")?;
    let second = outside.sandbox(profile).probe("wait", &["0"]).run()?;
    ensure!(first.lives()?, "the first ended with the second");
    first.signal(nix::sys::signal::Signal::SIGTERM)?;
    let first = first.wait()?;
    second.ran()?;
    let (one, other) = (first.fact("uid")?, second.fact("uid")?);
    ensure!(one != other, "both ran as {one}");
    let (lowest, count) = outside.uids();
    for uid in [one, other] {
        let uid: u32 = uid.parse()?;
        ensure!(uid != 0 && uid != OWNER && uid > lowest && uid < lowest + count, "uid {uid}");
    }
    Ok(())
}

fn wait(inside: &Inside) -> Result<()> {
    inside.fact("uid", &nix::unistd::getuid().to_string());
    std::io::stdin().read_to_end(&mut Vec::new())?;
    std::thread::sleep(std::time::Duration::from_secs(inside.argument(0)?.parse()?));
    Ok(())
}
