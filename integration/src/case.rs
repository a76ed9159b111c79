//! What a case is, and what it needs of the host.

use crate::{By, Inside, Outside, raw};
use anyhow::{Result, bail};
use nix::sys::utsname::uname;
use nix::unistd::{Uid, User};
use std::path::Path;

/// One promise and how it is tried.
pub struct Case {
    /// The rows of the catalogue of attacks that it answers: `F08`.
    pub rows: &'static [&'static str],
    /// What the host must offer; where it does not, the case is not run, and that is said.
    pub needs: &'static [Need],
    /// For whose sandboxes it holds.
    pub by: By,
    /// How long it may take, in seconds.
    pub seconds: u64,
    /// The observer: starts sandboxes, and judges what became of them.
    pub outside: fn(&Outside) -> Result<()>,
    /// The adversaries, by the names that [`Sandbox::probe`](crate::Sandbox::probe) starts them by.
    pub probes: &'static [(&'static str, Probe)],
}

/// An adversary. An error means that it could not try, which is not the same as being refused.
pub type Probe = fn(&Inside) -> Result<()>;

impl Case {
    /// What a case is where it does not say otherwise.
    pub const NEW: Self = Self {
        rows: &[],
        needs: &[],
        by: By::Root,
        seconds: 60,
        outside: no_observer,
        probes: &[],
    };
}

fn no_observer(_: &Outside) -> Result<()> {
    bail!("the case has no `outside`")
}

/// A case and its file.
pub struct Named {
    /// The file's name without `.rs`.
    pub name: &'static str,
    /// The first paragraph of its documentation.
    pub promise: &'static str,
    /// The case.
    pub case: &'static Case,
}

/// Something that not every host has. Whether it takes root is said by [`By`].
#[derive(Debug, Clone, Copy)]
pub enum Need {
    /// Landlock of this ABI or newer.
    Landlock(i64),
    /// A kernel without Landlock, or with it switched off.
    NoLandlock,
    /// Linux of this version or newer.
    Linux(u32, u32),
    /// The unified cgroup hierarchy with controllers in it.
    CgroupV2,
    /// systemd as the service manager of this machine, of this version or newer.
    Systemd(u32),
    /// cgroup v1 hierarchies with the memory controller in one of them.
    CgroupV1,
    /// A program at this path.
    Program(&'static str),
    /// A registry of packages that answers where this is asked, as the machine's own configuration names it.
    Registry(&'static [&'static str]),
    /// A path of the host.
    Path(&'static str),
    /// A path below root's home directory, who runs the cases.
    Home(&'static str),
}

impl Need {
    /// Why it is not met; nothing where it is.
    #[must_use]
    pub fn unmet(self) -> Option<String> {
        match self {
            Self::Landlock(wanted) => {
                let abi = raw::landlock_abi().unwrap_or(0);
                (abi < wanted).then(|| format!("Landlock ABI {wanted}; this kernel has {abi}"))
            }
            Self::NoLandlock => raw::landlock_abi()
                .ok()
                .map(|abi| format!("no Landlock; this kernel has ABI {abi}")),
            Self::Linux(major, minor) => linux(major, minor),
            Self::Systemd(wanted) => systemd(wanted),
            Self::CgroupV2 => missing("/sys/fs/cgroup/cgroup.controllers")
                .then(|| String::from("cgroup v2 with controllers; this machine has none there")),
            Self::CgroupV1 => missing("/sys/fs/cgroup/memory/memory.limit_in_bytes")
                .then(|| String::from("cgroup v1 with memory; this machine has none there")),
            Self::Program(path) | Self::Path(path) => installed(path),
            Self::Registry(words) => registry(words),
            Self::Home(path) => match User::from_uid(Uid::from_raw(0)) {
                Ok(Some(root)) => installed(&root.dir.join(path).to_string_lossy()),
                Ok(None) | Err(_) => Some(format!("{path} in root's home; root has none")),
            },
        }
    }
}

fn linux(major: u32, minor: u32) -> Option<String> {
    let release = uname().ok()?.release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    let is = (numbers.next(), numbers.next());
    (is < (Some(major), Some(minor)))
        .then(|| format!("Linux {major}.{minor}; this kernel is {release}"))
}

/// sd_booted(3), and what systemctl says of its version.
fn systemd(wanted: u32) -> Option<String> {
    if !Path::new("/run/systemd/system").is_dir() {
        return Some(String::from("systemd; this machine runs without it"));
    }
    let told = std::process::Command::new("/usr/bin/systemctl").arg("--version").output().ok();
    let told = told.and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default();
    let version = told.split_whitespace().nth(1).and_then(|word| word.parse::<u32>().ok());
    match version {
        Some(version) if version >= wanted => None,
        found => Some(format!("systemd {wanted}; this machine has {found:?}")),
    }
}

/// Asks it, and does not wait for long.
fn registry(words: &[&str]) -> Option<String> {
    let asked = std::process::Command::new("/usr/bin/timeout")
        .arg("30")
        .args(words)
        .stdin(std::process::Stdio::null())
        .output();
    let answered = asked.is_ok_and(|asked| asked.status.success());
    (!answered).then(|| format!("a registry; none is reachable by {}", words.join(" ")))
}

fn missing(path: &str) -> bool {
    !Path::new(path).exists()
}

/// Of something that can be had.
fn installed(path: &str) -> Option<String> {
    // Those of the tree are named from its own folders.
    let shown = path.replace("/integration/../", "/");
    missing(path).then(|| format!("{shown}; .ci/run installs it"))
}
