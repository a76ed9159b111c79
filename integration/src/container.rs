//! A place like the inside of a container, without an engine to make one: what Docker and its like leave
//! a program with where nobody asked for more.
//!
//! The capabilities of Docker's default set or none, a filter that answers as the default one of Docker,
//! Podman and Kubernetes does, `/sys/fs/cgroup` and `/proc/sys` read-only, parts of `/proc` masked.

use crate::faults::{JUMP_IF_EQUAL, LOAD, ret, step};
use crate::raw;
use anyhow::{Context as _, Result};
use libc::sock_filter;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Whom the container's program runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Container {
    /// uid 0, with the capabilities that Docker leaves it.
    Root,
    /// An ordinary user without any, in a supplementary group.
    User(u32),
}

impl Container {
    /// The uid, and gid, it runs as.
    #[must_use]
    pub const fn uid(self) -> u32 {
        match self {
            Self::Root => 0,
            Self::User(uid) => uid,
        }
    }
}

/// CHOWN, `DAC_OVERRIDE`, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP, `NET_BIND_SERVICE`, `NET_RAW`,
/// `SYS_CHROOT`, MKNOD, `AUDIT_WRITE`, SETFCAP: capabilities(7).
const CAPABILITIES: [u32; 14] = [0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31];
/// The last capability of current kernels is 40; one that is none is refused.
const LAST_CAPABILITY: u32 = 40;

/// Any group that the program does not need.
const GROUP: u32 = 20;

/// What the default filter of Docker, without `CAP_SYS_ADMIN`, refuses with EPERM.
const REFUSED: &[i64] = &[
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_init_module,
    libc::SYS_kexec_load,
    libc::SYS_open_by_handle_at,
    libc::SYS_quotactl,
];

/// Makes this process one of a container's.
pub(crate) fn enter(container: Container) -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS).context("a mount namespace")?;
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    for path in ["/sys", "/proc/sys"] {
        read_only(path).with_context(|| path.to_owned())?;
    }
    for path in ["/proc/kcore", "/proc/keys", "/proc/timer_list"] {
        if Path::new(path).exists() {
            mount(Some("/dev/null"), path, none, MsFlags::MS_BIND, none)
                .with_context(|| path.to_owned())?;
        }
    }
    // While there still is CAP_SYS_ADMIN: without it, only a process under no_new_privs may.
    raw::filter(&mut filter()?, false).context("the container's filter")?;
    for capability in 0..=LAST_CAPABILITY {
        let kept = container == Container::Root && CAPABILITIES.contains(&capability);
        if !kept {
            raw::drop_from_bounding_set(capability).context("the bounding set")?;
        }
    }
    if let Container::User(uid) = container {
        let (user, group) = (Uid::from_raw(uid), Gid::from_raw(uid));
        setgroups(&[group, Gid::from_raw(GROUP)]).context("groups")?;
        setresgid(group, group, group).context("gid")?;
        setresuid(user, user, user).context("uid")?;
    }
    // For root, execve gives back what the bounding set has kept, and no more.
    Ok(())
}

/// Everything mounted there and below.
fn read_only(path: &str) -> Result<()> {
    let none: Option<&str> = None;
    mount(Some(path), path, none, MsFlags::MS_BIND | MsFlags::MS_REC, none)?;
    let table = std::fs::read_to_string("/proc/self/mounts")?;
    let points = table.lines().filter_map(|line| line.split(' ').nth(1));
    for point in points.filter(|point| Path::new(point).starts_with(path)) {
        let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        let flags = flags | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        mount(none, point, none, flags, none).with_context(|| point.to_owned())?;
    }
    Ok(())
}

/// `clone3` does not exist, `clone` makes no namespaces, and the rest of what Docker refuses is refused.
fn filter() -> Result<Vec<sock_filter>> {
    const JUMP_IF_SET: u16 = 0x45;
    const NEW_NAMESPACES: u32 = 0x7e02_0000;
    /// Where the lower half of the first argument is, in `struct seccomp_data`.
    const FIRST_ARGUMENT: u32 = 16;
    let errno = |errno: i32| -> Result<sock_filter> {
        Ok(ret(libc::SECCOMP_RET_ERRNO | u32::try_from(errno)?))
    };
    let mut program = vec![step(LOAD, 0, 0, 0)];
    program.extend([
        step(JUMP_IF_EQUAL, 0, 1, u32::try_from(libc::SYS_clone3)?),
        errno(libc::ENOSYS)?,
        step(JUMP_IF_EQUAL, 0, 4, u32::try_from(libc::SYS_clone)?),
        step(LOAD, 0, 0, FIRST_ARGUMENT),
        step(JUMP_IF_SET, 0, 1, NEW_NAMESPACES),
        errno(libc::EPERM)?,
        ret(libc::SECCOMP_RET_ALLOW),
    ]);
    for number in REFUSED {
        program.push(step(JUMP_IF_EQUAL, 0, 1, u32::try_from(*number)?));
        program.push(errno(libc::EPERM)?);
    }
    program.push(ret(libc::SECCOMP_RET_ALLOW));
    Ok(program)
}
