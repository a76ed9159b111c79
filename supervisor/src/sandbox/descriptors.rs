//! How many files this process may have open, and how many it takes.

use super::error::StartError;
use rustix::process::{Resource, getrlimit};

/// Descriptors a supervisor may need at once, those it moves out of the way of a start among them.
/// With fewer it could start something and then lack one to clean up with.
pub(crate) const DESCRIPTORS: u64 = 160;

/// How many files this process may have open.
pub(crate) fn descriptors() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Whether this process may have as many files open as it takes to set up a sandbox. Asked before
/// anything else.
///
/// # Errors
/// Where too few may be.
pub fn check_descriptors() -> Result<(), StartError> {
    if descriptors() < DESCRIPTORS {
        return Err(StartError::found("getrlimit", "RLIMIT_NOFILE")
            .with_remedy("let sandboxd open at least 160 files: ulimit -n 1024"));
    }
    Ok(())
}
