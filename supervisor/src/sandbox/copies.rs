//! The secrets of a run, whom its command trusts, and what the sandbox's own root has copies of: each goes in by a memfd, and so is
//! never on a disk as a file.

use super::audit::Audit;
use super::error::StartError;
use super::keys::Trusted;
use crate::secret::Secrets;
use crate::systemd::credentials;
use rustix::fd::OwnedFd;
use sandboxd_profiles::{Copied, Outside};

/// The secrets, which no record has from here on, and what is copied, in this order.
///
/// # Errors
/// Where one cannot be read, or memory is short.
pub(super) fn made(
    outside: &Outside,
    id: &str,
    audit: &Audit,
) -> Result<(Secrets, Option<Trusted>, Vec<OwnedFd>), StartError> {
    let secrets = Secrets::read(&outside.secrets, None)?;
    audit.hide(&secrets)?;
    let (mut room, mut trusted) = (credentials::MOST, None);
    let copies = outside.copies.iter().map(|copied| match copied {
        Copied::File { path } => credentials::copied(path, &mut room),
        Copied::Secret(place) => secrets.file(*place),
        Copied::Authority => trusted.insert(Trusted::made(id)?).bundle(),
        Copied::JavaStore => trusted
            .as_ref()
            .ok_or_else(|| StartError::found("authority", "there is none"))?
            .java_store(),
    });
    let copies = copies.collect::<Result<_, _>>()?;
    Ok((secrets, trusted, copies))
}
