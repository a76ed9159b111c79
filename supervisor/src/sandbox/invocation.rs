//! What belongs to one run of this process: its caller's environment and streams, and this very program.

use super::error::StartError;
use super::stdio;
use crate::host;
use crate::systemd::notify::manager;
use sandboxd_plan::{HostPath, Text};
use sandboxd_profiles::{Credentials, Invocation, Listening, Manager, Profile};
use std::os::unix::ffi::OsStringExt;

/// A profile, what it is run under, and what belongs to this invocation.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The profile, with the command line laid over it.
    pub profile: &'a Profile,
    /// What it is run under, the outermost first.
    pub under: &'a [Profile],
    /// What belongs to this invocation.
    pub invocation: &'a Invocation,
}

/// What a run of this profile takes from its caller.
///
/// # Errors
/// Where its command calls, and no path leads to this program, which it calls through.
pub(crate) fn invocation(profile: &Profile) -> Result<Invocation, StartError> {
    let program = (!profile.calls.is_empty()).then(host::executable).transpose()?;
    let program = program.map(HostPath::try_from).transpose();
    let program = program.map_err(|error| StartError::found("readlink", error.to_string()))?;
    Ok(Invocation {
        env: environment(),
        streams: stdio::callers(),
        listening: Listening::AsNamed,
        credentials: Credentials::AsNamed,
        told: true,
        manager: if profile.command.notifies() { manager()? } else { Manager::Silent },
        program,
        metrics: None,
        receipt: None,
    })
}

/// The caller's environment; nothing with a NUL can be in it.
fn environment() -> Vec<(Text, Text)> {
    std::env::vars_os()
        .filter_map(|(name, value)| {
            Some((Text::try_from(name.into_vec()).ok()?, Text::try_from(value.into_vec()).ok()?))
        })
        .collect()
}
