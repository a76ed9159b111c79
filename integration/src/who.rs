//! Whose sandboxes a case is about: root's, an ordinary user's, or both.

use crate::sandbox;
use anyhow::{Context as _, Result};
use nix::unistd::geteuid;
use serde::{Deserialize, Serialize};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// For whose sandboxes a promise holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Root's alone: it is about what only root can do, or its observer does such things.
    Root,
    /// Anybody's: it is tried twice, where root runs the cases.
    Anybody,
    /// Those of an ordinary user.
    User,
}

/// Who plays a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Player {
    Root,
    User,
}

impl Player {
    /// Whoever this process is.
    pub(crate) fn this() -> Self {
        if geteuid().is_root() { Self::Root } else { Self::User }
    }

    /// What is said after a case's name.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Root => "",
            Self::User => " (as a user)",
        }
    }
}

impl By {
    /// Everybody who plays such a case; nobody where it would take root and this is a user.
    pub(crate) fn players(self) -> Vec<Player> {
        let players: &[Player] = match self {
            Self::Root => &[Player::Root],
            Self::Anybody => &[Player::Root, Player::User],
            Self::User => &[Player::User],
        };
        let possible = |player: &&Player| geteuid().is_root() || **player == Player::User;
        players.iter().filter(possible).copied().collect()
    }
}

/// The harness and the product where every user can execute them, whoever may enter the folder they
/// were built in.
#[derive(Debug)]
pub(crate) struct Lent(PathBuf);

/// The first uid of those that play users: far from any that somebody has.
const FIRST: u32 = 2_000_000_000;

impl Lent {
    pub(crate) fn make() -> Result<Self> {
        let own = std::env::current_exe()?;
        let folder = std::env::temp_dir().join(format!("sandboxd-lent-{}", std::process::id()));
        fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
        let lent = Self(folder);
        fs::set_permissions(&lent.0, fs::Permissions::from_mode(0o755))?;
        for program in [own, sandbox::product()?] {
            let there = lent.0.join(program.file_name().context("a program without a name")?);
            // On the same file system that costs nothing.
            if fs::hard_link(&program, &there).is_err() {
                fs::copy(&program, &there).with_context(|| there.display().to_string())?;
            }
        }
        Ok(lent)
    }

    /// The harness, to be executed as a user that nobody else is.
    pub(crate) fn command(&self, number: usize) -> Result<Command> {
        let name = std::env::current_exe()?;
        let uid = FIRST + std::process::id() % 100_000 * 1000 + u32::try_from(number)? % 1000;
        let mut command = Command::new(self.0.join(name.file_name().unwrap_or_default()));
        // With the uid go all supplementary groups, and every capability.
        command.uid(uid).gid(uid).current_dir(Path::new("/"));
        Ok(command)
    }
}

/// Why an ordinary user may make no user namespaces here, as the harness finds it; nothing where they may.
/// The product is not asked: it is what is tried.
pub(crate) fn refused(lent: Option<&Lent>) -> Result<Option<String>> {
    let mut command = match lent {
        Some(lent) => lent.command(0)?,
        None => Command::new(std::env::current_exe()?),
    };
    let told = command.arg("privileged").output().context("a user's process")?;
    let words = String::from_utf8_lossy(&told.stderr);
    let why = format!("user namespaces for ordinary users; {}", words.trim());
    Ok((!told.status.success()).then_some(why))
}

/// Mounts in a user namespace, in a process of its own that ends.
pub(crate) fn play() -> Result<ExitCode> {
    use nix::mount::{MsFlags, mount};
    use nix::sched::{CloneFlags, unshare};
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS).context("clone")?;
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).context("mount")?;
    Ok(ExitCode::SUCCESS)
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("{}: {error}", self.0.display());
        }
    }
}
