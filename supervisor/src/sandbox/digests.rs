//! What a receipt says of what was asked for: digests of the profiles and the plan, which hold for all of a run.

use sandboxd_audit::chain::digest as sha256;
use sandboxd_profiles::Profile;
use serde::Serialize;

/// Of one run.
pub(crate) struct Digests {
    pub(super) profile_sha256: String,
    pub(super) under: Vec<Under>,
    pub(super) plan_sha256: String,
}

impl Digests {
    pub(crate) fn of(profile: &Profile, under: &[Profile], plan: &[u8]) -> Self {
        Self {
            profile_sha256: sha256(profile.to_toml().as_bytes()),
            under: under.iter().map(Under::new).collect(),
            plan_sha256: sha256(plan),
        }
    }
}

/// A profile that a run was narrowed by.
#[derive(Debug, Clone, Serialize)]
pub struct Under {
    /// Its name, or its file.
    pub name: String,
    /// SHA-256 of it, as `profile_sha256`.
    pub sha256: String,
}

impl Under {
    fn new(profile: &Profile) -> Self {
        Self { name: profile.label().to_owned(), sha256: sha256(profile.to_toml().as_bytes()) }
    }
}
