//! Being oneself in a new user namespace, and privileged there; and whether a host allows that.

use super::CLONE_NEWUSER;
use crate::clone::{CLONE_CLEAR_SIGHAND, CLONE_PIDFD, CLONE_VFORK, CLONE_VM, Clone, CloneArgs};
use crate::process::{NewNamespaces, address, clone_onto, exit};
use crate::signals;
use alloc::{format, string::String, vec::Vec};
use core::ffi::{CStr, c_void};
use rustix::fd::{AsFd, FromRawFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, Result};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};
use rustix::process::{WaitId, WaitIdOptions};
use rustix::thread::{CapabilitySet, CapabilitySets};

/// What the shim does with capabilities, in a user namespace as well as outside: mounts, names and the
/// cgroup namespace; then the bounding set and the secure bits.
const CARRIED: CapabilitySet = CapabilitySet::SYS_ADMIN.union(CapabilitySet::SETPCAP);

/// One uid and one gid that are themselves in a new user namespace, in which nobody else is anybody.
/// Made before the clone, because the child allocates nothing.
#[derive(Debug)]
pub struct Mapping {
    uids: String,
    gids: String,
}

/// A step on the way to being privileged in a user namespace, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// clone3(2) with `CLONE_NEWUSER` and others.
    Clone,
    /// Giving up setgroups(2), without which no group can be mapped.
    Setgroups,
    /// The maps of uids and gids.
    Map,
    /// Carrying capabilities over an execve.
    Capabilities,
    /// Making a tmpfs.
    Tmpfs,
    /// Making a proc of a pid namespace of one's own.
    Proc,
}

/// Where a host refused it, and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// The step.
    pub step: Step,
    /// The kernel's answer.
    pub errno: Errno,
}

impl Mapping {
    /// These ids, which must be the caller's own: an ordinary user may map no others.
    #[must_use]
    pub fn of(uid: u32, gid: u32) -> Self {
        Self { uids: format!("{uid} {uid} 1"), gids: format!("{gid} {gid} 1") }
    }

    /// Does it to the calling process, which is in a new user namespace and shares the memory of a
    /// suspended parent: nothing is allocated.
    ///
    /// # Errors
    /// Where the host refuses it.
    pub(crate) fn take_on(&self) -> core::result::Result<(), Refused> {
        let at = |step| move |errno| Refused { step, errno };
        write(c"/proc/self/setgroups", b"deny").map_err(at(Step::Setgroups))?;
        write(c"/proc/self/uid_map", self.uids.as_bytes()).map_err(at(Step::Map))?;
        write(c"/proc/self/gid_map", self.gids.as_bytes()).map_err(at(Step::Map))?;
        carry().map_err(at(Step::Capabilities))
    }

    /// Tries it in a process that ends at once: a host may let a user namespace be made and refuse
    /// whatever is done in it, so only doing it tells.
    ///
    /// # Errors
    /// The first step that this host refuses.
    pub fn attempt(&self) -> core::result::Result<(), Refused> {
        // What stands there where the process is ended before it can say anything.
        let unheard = Refused { step: Step::Clone, errno: Errno::CHILD };
        let mut trial = Trial { mapping: self, outcome: Err(unheard) };
        let cloned = clone_trial(&mut trial);
        cloned.map_err(|errno| Refused { step: Step::Clone, errno })?;
        trial.outcome
    }
}

/// What the child of [`Mapping::attempt`] is given, and where it says what came of it.
struct Trial<'a> {
    mapping: &'a Mapping,
    outcome: core::result::Result<(), Refused>,
}

fn clone_trial(trial: &mut Trial<'_>) -> Result<()> {
    let mut stack: Vec<u128> = Vec::with_capacity(4096);
    let mut pidfd: i32 = -1;
    let args = CloneArgs {
        flags: CLONE_VM
            | CLONE_VFORK
            | CLONE_PIDFD
            | CLONE_CLEAR_SIGHAND
            | CLONE_NEWUSER
            | NewNamespaces::MNT.and(NewNamespaces::PID).bits(),
        pidfd: address(&raw mut pidfd),
        exit_signal: u64::from(libc::SIGCHLD.cast_unsigned()),
        stack: address(stack.as_mut_ptr()),
        stack_size: 4096 * 16,
        ..CloneArgs::default()
    };
    let mask = signals::block_all()?;
    // SAFETY: `args` names a stack of 64 KiB that nothing else uses and a place for the pidfd; `trial`
    // outlives the child's use of it, because CLONE_VFORK suspends this thread until the child has
    // ended.
    let cloned = unsafe { clone_onto(&Clone::three(&args), try_out, (&raw mut *trial).cast()) };
    signals::set_mask(mask)?;
    cloned?;
    // SAFETY: the kernel made this descriptor for us and nobody else owns it.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED).map(drop)
}

/// The child of [`Mapping::attempt`].
///
/// # Safety
/// `trial` points to a [`Trial`] whose owner is suspended.
unsafe extern "C" fn try_out(trial: *mut c_void) -> ! {
    // SAFETY: by the contract the pointer is valid, and its owner is suspended while we use it.
    let trial = unsafe { &mut *trial.cast::<Trial<'_>>() };
    trial.outcome = trial.mapping.take_on().and_then(|()| {
        mount(c"tmpfs").map_err(|errno| Refused { step: Step::Tmpfs, errno })?;
        mount(c"proc").map_err(|errno| Refused { step: Step::Proc, errno })
    });
    exit(0)
}

/// A file system that is attached nowhere and goes with its descriptor.
fn mount(kind: &CStr) -> Result<()> {
    let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_create(&context)?;
    let flags = FsMountFlags::FSMOUNT_CLOEXEC;
    rustix::mount::fsmount(&context, flags, MountAttrFlags::MOUNT_ATTR_NOSUID).map(drop)
}

fn write(path: &CStr, bytes: &[u8]) -> Result<()> {
    let file = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    match rustix::io::write(&file, bytes)? {
        whole if whole == bytes.len() => Ok(()),
        _ => Err(Errno::IO),
    }
}

/// Makes what the shim needs inheritable, and ambient: so it is kept by a program without a uid 0.
fn carry() -> Result<()> {
    let own = rustix::thread::capabilities(None)?;
    rustix::thread::set_capabilities(None, CapabilitySets { inheritable: CARRIED, ..own })?;
    for capability in CARRIED.iter() {
        rustix::thread::configure_capability_in_ambient_set(capability, true)?;
    }
    Ok(())
}
