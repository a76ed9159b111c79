//! The observer's side: a folder of its own, and the sandboxes it starts.

use crate::who::Player;
use crate::{Canary, Container, Named, Sandbox};
use anyhow::{Context as _, Result};
use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The uid and gid of the user whose files the workspace holds, where root runs the case.
pub const OWNER: u32 = 1000;

/// A case while it runs. Everything it makes lies in [`Self::dir`], which is removed afterwards.
#[derive(Debug)]
pub struct Outside {
    pub(crate) case: &'static str,
    dir: PathBuf,
    transcript: Mutex<String>,
    untried: Mutex<Vec<String>>,
    runs: AtomicU32,
    pub(crate) uids: (u32, u32),
    pub(crate) busy: AtomicBool,
    /// Children that somebody waits for.
    launched: Mutex<BTreeSet<i32>>,
}

/// Makes a folder where it is not there yet; another thread of the case may at the same time.
fn is_new(folder: &Path) -> Result<bool> {
    match fs::create_dir(folder) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error).with_context(|| folder.display().to_string()),
    }
}

impl Outside {
    pub(crate) fn new(named: &Named, dir: PathBuf, uids: (u32, u32)) -> Self {
        Self {
            case: named.name,
            dir,
            transcript: Mutex::default(),
            untried: Mutex::default(),
            runs: AtomicU32::new(0),
            uids,
            busy: AtomicBool::new(false),
            launched: Mutex::default(),
        }
    }

    pub(crate) fn launched(&self) -> MutexGuard<'_, BTreeSet<i32>> {
        self.launched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A folder of this case alone.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where an ordinary user's audit log lies; root's is in `/var/lib/sandboxd`, which is this case's own.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// The folder of the audit log of whoever runs the case.
    #[must_use]
    pub fn audit(&self) -> PathBuf {
        match Player::this() {
            Player::Root => PathBuf::from("/var/lib/sandboxd/audit"),
            Player::User => self.state().join("sandboxd/audit"),
        }
    }

    /// The uid and gid of whoever's files the workspace holds: [`OWNER`]'s, or the user's who runs the case.
    #[must_use]
    pub fn owner(&self) -> (u32, u32) {
        match Player::this() {
            Player::Root => (OWNER, OWNER),
            Player::User => (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw()),
        }
    }

    /// Whether this is an ordinary user, and so are the sandboxes'.
    #[must_use]
    pub fn is_user(&self) -> bool {
        Player::this() == Player::User
    }

    /// What an ordinary user's sandbox lacks has to be waived, where a case starts the product by hand.
    #[must_use]
    pub fn waivers(&self) -> &'static [&'static str] {
        if self.is_user() { crate::sandbox::WAIVED_BY_USERS } else { &[] }
    }

    fn give(&self, path: &Path) -> Result<()> {
        let (uid, gid) = self.owner();
        chown(path, Some(uid), Some(gid)).with_context(|| path.display().to_string())
    }

    /// `ws` in [`Self::dir`]: the folder of [`Self::owner`], made where it is not there yet.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn workspace(&self) -> Result<PathBuf> {
        let path = self.dir.join("ws");
        if is_new(&path)? {
            self.give(&path)?;
        }
        Ok(path)
    }

    /// Writes a file below [`Self::dir`], its folders with it, and gives all of them to [`Self::owner`].
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn file(&self, path: &str, content: &str) -> Result<PathBuf> {
        let whole = self.folder_of(path)?;
        fs::write(&whole, content).with_context(|| path.to_owned())?;
        self.give(&whole)?;
        Ok(whole)
    }

    /// A canary below [`Self::dir`], its folders with it.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn canary(&self, path: &str) -> Result<Canary> {
        Canary::make(&self.folder_of(path)?)
    }

    fn folder_of(&self, path: &str) -> Result<PathBuf> {
        let whole = self.dir.join(path);
        let mut folder = self.dir.clone();
        for part in Path::new(path).parent().into_iter().flat_map(Path::components) {
            folder.push(part);
            if is_new(&folder)? {
                fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))?;
                self.give(&folder)?;
            }
        }
        Ok(whole)
    }

    /// A sandbox to be started with this profile, TOML. The probe is shown to it as `/probe`.
    pub fn sandbox(&self, profile: &str) -> Sandbox<'_> {
        Sandbox::new(self).profile(profile)
    }

    /// A profile for others to be run under, which has a list `bind`: what tries has to be there, and a user's
    /// sandbox lacks what only root can give.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn site(&self, text: &str) -> Result<PathBuf> {
        let own = std::env::current_exe()?;
        let probe =
            format!("bind = [{{ from = {own:?}, to = \"/probe\", access = \"execute\" }}, ");
        let file = self.dir.join("site.toml");
        fs::write(&file, text.replace("bind = [", &probe) + self.leave())?;
        Ok(file)
    }

    /// A sandbox to be started with no profile file.
    pub fn bare(&self) -> Sandbox<'_> {
        Sandbox::new(self)
    }

    /// A folder for the next run.
    pub(crate) fn next_run(&self) -> Result<PathBuf> {
        let number = self.runs.fetch_add(1, Ordering::Relaxed) + 1;
        let folder = self.dir.join(format!("run-{number}"));
        fs::create_dir(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        Ok(folder)
    }

    /// Where the probe is for sandboxes in a container.
    pub(crate) fn probe_in_a_container(&self) -> PathBuf {
        self.dir.join("bin/probe")
    }

    /// Lets the user of a container reach what a run needs: the product and the probe, which may lie in
    /// somebody's home, a place for temporary files, and the folder of the run. Where `sandboxd` is.
    pub(crate) fn contain(&self, run: &Path, container: Container) -> Result<PathBuf> {
        let bin = self.dir.join("bin");
        let product = bin.join("sandboxd");
        if !bin.exists() {
            fs::create_dir(&bin)?;
            fs::copy(crate::sandbox::product()?, &product)?;
            fs::copy(std::env::current_exe()?, self.probe_in_a_container())?;
        }
        fs::set_permissions(self.dir.join("tmp"), fs::Permissions::from_mode(0o1777))?;
        chown(run, Some(container.uid()), Some(container.uid()))?;
        Ok(product)
    }

    /// A user of a container whose uid nobody else has.
    #[must_use]
    pub const fn user(&self) -> Container {
        Container::User(self.uids.0 + 7)
    }

    /// Adds to what is printed where the case fails.
    pub fn note(&self, text: &str) {
        let mut transcript = self.transcript.lock().unwrap_or_else(PoisonError::into_inner);
        transcript.push_str(text.trim_end());
        transcript.push('\n');
    }

    pub(crate) fn transcript(&self) -> String {
        self.transcript.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says that a part of the case was not run, and why. What a whole case needs stands in its `needs`.
    pub fn not_run(&self, why: &str) {
        self.untried.lock().unwrap_or_else(PoisonError::into_inner).push(why.to_owned());
    }

    pub(crate) fn untried(&self) -> String {
        self.untried.lock().unwrap_or_else(PoisonError::into_inner).join("; ")
    }

    /// How often something is tried: so often, or as many times that as a soak asks for.
    #[must_use]
    pub fn times(&self, often: usize) -> usize {
        often.saturating_mul(soak().unwrap_or(1))
    }

    /// Whether everything is to be tried, not a part that fits into the time of CI.
    #[must_use]
    pub fn soaks(&self) -> bool {
        soak().is_some()
    }

    /// Tells what came of a case that passed: printed where it is soaked.
    pub fn tell(&self, text: &str) {
        self.note(text);
        if self.soaks() {
            println!("{}: {text}", self.case);
        }
    }

    /// Says that a supervisor was killed on purpose, so that its lease may stay marked busy: it is
    /// given out again only after a look at every process. Nothing else may be left.
    pub fn leases_may_stay_busy(&self) {
        self.busy.store(true, Ordering::Relaxed);
    }

    /// Leaves a single uid for sandboxes to have, so that the next one gets that of the last one.
    ///
    /// # Errors
    /// Where the operator's settings cannot be written.
    pub fn leave_one_uid(&self) -> Result<()> {
        crate::alone::settle(std::process::id(), self.uids.0, 2)
    }

    /// The uids that this case's sandboxes get: the first of them, which is init's, and how many.
    #[must_use]
    pub const fn uids(&self) -> (u32, u32) {
        self.uids
    }
}

/// The variable by which the runner says how many times as much a soak is.
pub(crate) const SOAK: &str = "SANDBOXD_SOAK";

/// How many times as much; nothing where this is no soak.
pub(crate) fn soak() -> Option<usize> {
    std::env::var(SOAK).ok().and_then(|times| times.parse().ok())
}
