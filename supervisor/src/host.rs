//! What this host is and has: probed once per run, decided upon by `sandboxd-profiles`.

use crate::paths;
use crate::sandbox::{StartError, doing};
use crate::{known_hosts, proc, resolver};
use caps::{CapSet, Capability};
use rustix::process::Resource;
use sandboxd_kernel::{clone3_is_answered, keyring, landlock};
use sandboxd_plan::{HostPath, Resource as Limited};
use sandboxd_profiles::Wanted;
use sandboxd_profiles::graph::Lies;
use sandboxd_profiles::host::{
    AuditFact, CgroupFacts, CoreFact, HostFacts, LandlockFacts, Own, Privilege, ResolverFacts,
};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;

/// What the privileged path needs, and what it needs it for.
pub const NEEDED: &[(Capability, &str)] = &[
    (Capability::CAP_SYS_ADMIN, "namespaces and mounts"),
    (Capability::CAP_SYS_PTRACE, "inspecting a sandbox's namespaces from outside"),
    (Capability::CAP_CHOWN, "pipes that belong to the sandbox's user"),
    (Capability::CAP_FOWNER, "the permissions of the caller's pipes"),
    (Capability::CAP_SETUID, "a uid of its own for each sandbox"),
    (Capability::CAP_SETGID, "a gid of its own for each sandbox"),
    (Capability::CAP_SETPCAP, "emptying the bounding set"),
    (Capability::CAP_MKNOD, "the sandbox's own /dev"),
    (Capability::CAP_KILL, "forwarding signals to the sandbox's uid"),
    (Capability::CAP_DAC_OVERRIDE, "reaching granted paths that are private to their owner"),
];

/// What it needs besides where a profile lets something out, to take up the loopback interface of a network
/// namespace and to lead everything in it to the egress process; no other run touches its network's settings.
pub const FOR_EGRESS: Capability = Capability::CAP_NET_ADMIN;

/// The last system call of each kernel that brought new ones, newest first; `Documentation` of each
/// release and `arch/x86/entry/syscalls/syscall_64.tbl`.
const LAST_SYSCALLS: &[((u32, u32), u32)] = &[
    ((6, 19), 470),
    ((6, 17), 469),
    ((6, 15), 467),
    ((6, 13), 466),
    ((6, 10), 462),
    ((6, 8), 461),
    ((6, 7), 456),
    ((6, 6), 452),
    ((6, 5), 451),
    ((5, 17), 450),
    ((5, 16), 449),
    ((5, 15), 448),
    ((5, 14), 447),
    ((5, 13), 446),
    ((5, 12), 442),
    ((0, 0), 441),
];

/// Looks at the host, and at what the profile names.
///
/// # Errors
/// Where this process cannot tell which groups it is in, which decide what a command may do that keeps them.
pub(crate) fn probe(
    wanted: &Wanted,
    cgroups: CgroupFacts,
    privilege: Privilege,
    audit: AuditFact,
) -> Result<HostFacts, StartError> {
    let looked = paths::look(wanted);
    // The last path is not what hangs from here on.
    doing("inspecting the host");
    let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
    Ok(HostFacts {
        last_syscall: last_syscall(&kernel),
        landlock: landlock::abi()
            .ok()
            .map(|abi| LandlockFacts { abi, errata: landlock::errata().unwrap_or(0) }),
        cgroups,
        cgroup_gaps: BTreeMap::new(),
        privilege,
        audit,
        own: own(),
        keyrings: keyring::is_answered(),
        clone3: clone3_is_answered(),
        listeners: listeners(&kernel),
        // Where the kernel does not answer, its version does, and the stage that needs it finds out.
        memfd_noexec: std::path::Path::new("/proc/sys/vm/memfd_noexec")
            .try_exists()
            .unwrap_or_else(|_| version(&kernel) >= (6, 3)),
        cores: cores(),
        kernel,
        open_files_max: rustix::process::getrlimit(Resource::Nofile).maximum,
        hard_limits: hard_limits(),
        users: users(),
        invoker: invoker(),
        groups: groups()?,
        top_links: paths::top_links(),
        paths: looked,
        disks: paths::disks(wanted),
        ssh_agent: ssh_agent(),
        known_hosts: known_hosts::look(&wanted.known_hosts),
        resolver: if wanted.resolver { resolver::look() } else { ResolverFacts::default() },
    })
}

/// Where the ssh-agent of whoever runs this listens.
pub(crate) fn ssh_agent() -> Option<HostPath> {
    std::env::var("SSH_AUTH_SOCK").ok().and_then(|path| HostPath::try_from(path).ok())
}

/// What lies at a path. What cannot be looked at is there.
pub(crate) fn lies(path: &HostPath) -> Lies {
    match std::fs::symlink_metadata(path.as_str()) {
        Ok(found) if found.is_dir() => Lies::Folder,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Lies::Nothing
        }
        Ok(_) | Err(_) => Lies::File,
    }
}

/// What cannot be read may run a program.
fn cores() -> CoreFact {
    let pattern = proc::read("/proc/sys/kernel/core_pattern");
    match pattern.as_deref().map(|pattern| pattern.as_bytes().first()) {
        Ok(Some(b'@')) => CoreFact::Socket,
        Ok(Some(b'|')) | Err(_) => CoreFact::Program,
        Ok(_) => CoreFact::File,
    }
}

/// Whether refusals can be asked about. What an outer filter refuses with an errno, no inner one is asked
/// about, and its errno would be the answer: `EPERM` for clone3(2), around containers.
fn listeners(kernel: &str) -> bool {
    use rustix::thread::{SecureComputingMode, secure_computing_mode};
    let unfiltered =
        secure_computing_mode().is_ok_and(|mode| mode == SecureComputingMode::Disabled);
    unfiltered && version(kernel) >= (5, 19)
}

/// This process.
fn own() -> Own {
    let have = caps::read(None, CapSet::Effective).unwrap_or_default();
    let (uid, gid) = own_ids();
    Own {
        uid,
        gid,
        leaves_groups: have.contains(&Capability::CAP_SETGID),
        empties_bounding: have.contains(&Capability::CAP_SETPCAP),
        leads_networks: have.contains(&FOR_EGRESS),
    }
}

/// The limits that this process cannot raise for a sandbox, where it cannot.
fn hard_limits() -> BTreeMap<Limited, u64> {
    let have = caps::read(None, CapSet::Effective).unwrap_or_default();
    if have.contains(&Capability::CAP_SYS_RESOURCE) {
        return BTreeMap::new();
    }
    let limit = |resource| rustix::process::getrlimit(resource).maximum;
    let all = [
        (Limited::Core, Resource::Core),
        (Limited::Cpu, Resource::Cpu),
        (Limited::Fsize, Resource::Fsize),
        (Limited::Memlock, Resource::Memlock),
        (Limited::Msgqueue, Resource::Msgqueue),
        (Limited::Nproc, Resource::Nproc),
        (Limited::Sigpending, Resource::Sigpending),
    ];
    all.into_iter().filter_map(|(ours, kernels)| Some((ours, limit(kernels)?))).collect()
}

/// The capabilities of [`NEEDED`] that this process lacks.
#[must_use]
pub fn missing_capabilities() -> Vec<Capability> {
    let have = caps::read(None, CapSet::Effective).unwrap_or_default();
    NEEDED.iter().map(|(one, _)| *one).filter(|one| !have.contains(one)).collect()
}

/// Whether this process has every capability that is needed, and has it of the machine.
#[must_use]
pub fn is_root_of_the_machine() -> bool {
    missing_capabilities().is_empty() && in_initial_user_namespace()
}

/// The whole id range maps onto itself.
fn in_initial_user_namespace() -> bool {
    std::fs::read_to_string("/proc/self/uid_map")
        .is_ok_and(|map| map.split_whitespace().eq(["0", "0", "4294967295"]))
}

fn version(kernel: &str) -> (u32, u32) {
    let mut numbers = kernel.split(|letter: char| !letter.is_ascii_digit());
    let mut next = || numbers.next().and_then(|number| number.parse::<u32>().ok()).unwrap_or(0);
    (next(), next())
}

fn last_syscall(kernel: &str) -> u32 {
    let version = version(kernel);
    LAST_SYSCALLS.iter().find(|(since, _)| version >= *since).map_or(441, |(_, last)| *last)
}

/// Users of `/etc/passwd`. Not through NSS: its modules would be loaded into a root process, and a
/// user who exists only in a directory service has a numeric uid to be named by.
fn users() -> BTreeMap<String, (u32, u32)> {
    let text = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            let mut ids = fields.skip(1).map(str::parse);
            Some((name.to_owned(), (ids.next()?.ok()?, ids.next()?.ok()?)))
        })
        .collect()
}

/// The uid and gid of this process.
#[must_use]
pub fn own_ids() -> (u32, u32) {
    (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}

/// Its supplementary groups, its own gid left out.
fn groups() -> Result<Vec<u32>, StartError> {
    let (_, own) = own_ids();
    let all = rustix::process::getgroups()
        .map_err(|errno| StartError::call("getgroups", "sandboxd's groups", errno))?;
    Ok(all.into_iter().map(rustix::process::Gid::as_raw).filter(|gid| *gid != own).collect())
}

/// Who runs `sandboxd`: under sudo, whoever called it.
fn invoker() -> (u32, u32) {
    let own = own_ids();
    let id = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    match (own, id("SUDO_UID"), id("SUDO_GID")) {
        ((0, _), Some(uid), Some(gid)) => (uid, gid),
        _ => own,
    }
}

/// The caller's working directory and home, where they are paths a profile can name.
#[must_use]
pub fn folders() -> (Option<HostPath>, Option<HostPath>) {
    let path = |path: std::path::PathBuf| {
        path.into_os_string().into_string().ok().and_then(|path| HostPath::try_from(path).ok())
    };
    let cwd = std::env::current_dir().ok().and_then(path);
    let (uid, _) = invoker();
    let home = std::fs::read_to_string("/etc/passwd").ok().and_then(|text| {
        text.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            match fields.as_slice() {
                [_, _, id, _, _, home, ..] if id.parse() == Ok(uid) => {
                    HostPath::try_from(*home).ok()
                }
                _ => None,
            }
        })
    });
    (cwd, home)
}

/// The path of the file that this process runs, to be shown inside.
///
/// # Errors
/// Where no path leads to it.
pub(crate) fn executable() -> Result<String, StartError> {
    const OWN: &str = "/proc/self/exe";
    let remedy = "sandboxd re-executes itself: put its executable where a path leads to it; if it was just replaced, run it again";
    let failed =
        |error: &std::io::Error| StartError::io("readlink", OWN, error).with_remedy(remedy);
    let path = std::fs::read_link(OWN).map_err(|error| failed(&error))?;
    let own = std::fs::metadata(OWN).map_err(|error| failed(&error))?;
    let there = std::fs::metadata(&path).map_err(|error| failed(&error))?;
    let same = (own.dev(), own.ino()) == (there.dev(), there.ino());
    match path.to_str() {
        // `--bind` has a colon between the two sides.
        Some(path) if same && !path.contains(':') => Ok(path.to_owned()),
        Some(_) | None => {
            Err(StartError::found("readlink", format!("{OWN} is {}", path.display()))
                .with_remedy(remedy))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_system_call_follows_the_version() {
        assert_eq!(last_syscall("6.18.44-fc"), 469);
        assert_eq!(last_syscall("6.1.0-50-amd64"), 450);
        assert_eq!(last_syscall("7.2.12+deb14"), 470);
        assert_eq!(last_syscall("5.10.0"), 441);
    }
}
