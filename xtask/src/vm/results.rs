//! What was found, kept for whoever takes a run up again.
//!
//! Below the cache: `results/`, the digest of what the guests were given, the name of what they boot,
//! the kernel and who ran the cases, and there a file a boot. QEMU itself writes it, so that whatever
//! dies, what was told is there.

use super::{
    found::{Found, Told},
    matrix::Kernel,
    payload::Payload,
    prepare::{Cache, key},
};
use anyhow::{Context as _, Result};
use std::{fs, path::PathBuf};

/// Of one kernel, one user, and one state of everything that was booted.
pub(super) struct Results(PathBuf);

impl Results {
    /// `image` names what is booted.
    pub(super) fn of(
        cache: &Cache,
        payload: &Payload,
        kernel: &Kernel,
        image: &str,
        user: &str,
    ) -> Self {
        let below = cache.folder.join("results").join(&payload.digest).join(image);
        let booted = key(&[&kernel.command_line]);
        Self(below.join(format!("{}-{booted}.{user}", kernel.name)))
    }

    /// Of this machine.
    pub(super) fn here(cache: &Cache, payload: &Payload) -> Self {
        Self(cache.folder.join("results").join(&payload.digest).join("here"))
    }

    /// Everything that was told so far.
    pub(super) fn read(&self) -> Result<Found> {
        let mut found = Found::default();
        for path in (1..).map(|boot| self.file(boot)).take_while(|path| path.exists()) {
            found.add(&fs::read_to_string(&path)?).with_context(|| path.display().to_string())?;
        }
        Ok(found)
    }

    /// The file of the next boot.
    pub(super) fn next(&self) -> Result<PathBuf> {
        fs::create_dir_all(&self.0)?;
        let mut paths = (1..).map(|boot| self.file(boot));
        paths.find(|path| !path.exists()).context("too many boots")
    }

    /// Adds what no guest can tell: what it died of.
    pub(super) fn add(&self, told: &Told) -> Result<()> {
        Ok(fs::write(self.next()?, format!("{}\n", serde_json::to_string(told)?))?)
    }

    fn file(&self, boot: u32) -> PathBuf {
        self.0.join(format!("{boot}.jsonl"))
    }
}
