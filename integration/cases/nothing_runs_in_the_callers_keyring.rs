//! The command has a session keyring of its own: where none can be had, nothing runs.
//!
//! Whether a foreign key can be read cannot be tried from inside, since the filter refuses all calls
//! about keys whatever the profile says; this holds the stage that would protect them without it.

use anyhow::Result;
use nix::errno::Errno;
use sandboxd_integration::{By, Case, Fault, Outside};

pub(crate) const CASE: Case = Case { rows: &["K05"], outside, by: By::Anybody, ..Case::NEW };

fn outside(outside: &Outside) -> Result<()> {
    const JOIN_SESSION_KEYRING: u32 = 1;
    let sandbox =
        || outside.sandbox("extends = [\"builtin:base\"]\n").command(&["/bin/echo", "it", "ran"]);
    let fault = Fault::of(libc::SYS_keyctl, libc::EDQUOT).when(0, JOIN_SESSION_KEYRING);
    sandbox().fault(fault).run()?.failed_in("session", "keyctl", Errno::EDQUOT)?;
    sandbox().run()?.exited(0)?;
    Ok(())
}
