//! Landlock, landlock(7): the three calls, with nothing about them optional.
//!
//! The crate `landlock` decides in the supervisor which rights a host's ABI has. Here the kernel is
//! asked for exactly those; it refuses a bit it does not know with `EINVAL`, so there is no best
//! effort to switch off.

use crate::fds::number;
use crate::syscall::syscall;
use rustix::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use rustix::io::{Errno, Result};

const CREATE_RULESET_VERSION: usize = 1;
const CREATE_RULESET_ERRATA: usize = 2;
const RULE_PATH_BENEATH: usize = 1;
const RULE_NET_PORT: usize = 2;

/// `struct landlock_ruleset_attr` of ABI 6.
#[repr(C)]
struct RulesetAttr {
    handled_access_fs: u64,
    handled_access_net: u64,
    scoped: u64,
}

/// `struct landlock_path_beneath_attr`, which the kernel packs.
#[repr(C, packed)]
struct PathBeneathAttr {
    allowed_access: u64,
    parent_fd: i32,
}

/// `struct landlock_net_port_attr`.
#[repr(C)]
struct NetPortAttr {
    allowed_access: u64,
    port: u64,
}

/// The kernel's ABI, or the reason there is none: `ENOSYS` not built in, `EOPNOTSUPP` off at boot.
///
/// # Errors
/// As said.
pub fn abi() -> Result<u32> {
    query(CREATE_RULESET_VERSION)
}

/// Which errata of its ABI the kernel has fixed, as a bit mask; ABI 7 and later.
///
/// # Errors
/// `EINVAL` below ABI 7.
pub fn errata() -> Result<u32> {
    query(CREATE_RULESET_ERRATA)
}

fn query(flag: usize) -> Result<u32> {
    // SAFETY: with a null attribute and one of the query flags the kernel reads no memory and
    // answers with a number, not with a descriptor.
    let answer = unsafe { syscall(libc::SYS_landlock_create_ruleset, [0, 0, flag, 0, 0, 0]) }?;
    u32::try_from(answer).map_err(|_| Errno::OVERFLOW)
}

/// A ruleset being made.
pub struct Ruleset(OwnedFd);

impl Ruleset {
    /// A ruleset that denies all the rights given until rules allow them.
    ///
    /// # Errors
    /// `ENOSYS`, `EOPNOTSUPP` where there is no Landlock; `EINVAL` where the kernel does not know a
    /// right.
    pub fn create(fs: u64, net: u64, scoped: u64) -> Result<Self> {
        let attr = RulesetAttr { handled_access_fs: fs, handled_access_net: net, scoped };
        // An older kernel takes a longer attribute as long as what it does not know is zero, and
        // says E2BIG where it is not: exactly the refusal that is wanted.
        let arguments = [(&raw const attr).addr(), size_of::<RulesetAttr>(), 0, 0, 0, 0];
        // SAFETY: the kernel reads `size_of::<RulesetAttr>()` bytes from `attr`, which outlives the
        // call, and answers with a descriptor that is new.
        let fd = unsafe { syscall(libc::SYS_landlock_create_ruleset, arguments) }?;
        let fd = i32::try_from(fd).map_err(|_| Errno::OVERFLOW)?;
        // SAFETY: the kernel just made this descriptor for us; nobody else owns it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Allows rights on a file, or on everything beneath a directory.
    ///
    /// # Errors
    /// `EINVAL` where a right is not handled by this ruleset or cannot apply to a file that is no
    /// directory; `ENOMSG` where `rights` is empty.
    pub fn allow_beneath(&self, path: BorrowedFd<'_>, rights: u64) -> Result<()> {
        use rustix::fd::AsRawFd;
        let attr = PathBeneathAttr { allowed_access: rights, parent_fd: path.as_raw_fd() };
        self.add(RULE_PATH_BENEATH, (&raw const attr).addr())
    }

    /// Allows rights on a TCP port.
    ///
    /// # Errors
    /// `EINVAL` where a right is not handled by this ruleset.
    pub fn allow_port(&self, port: u16, rights: u64) -> Result<()> {
        let attr = NetPortAttr { allowed_access: rights, port: u64::from(port) };
        self.add(RULE_NET_PORT, (&raw const attr).addr())
    }

    fn add(&self, kind: usize, attr: usize) -> Result<()> {
        let arguments = [number(self.0.as_fd()), kind, attr, 0, 0, 0];
        // SAFETY: both callers pass the address of a live attribute of the kind they name, which the
        // kernel reads during the call.
        unsafe { syscall(libc::SYS_landlock_add_rule, arguments) }.map(drop)
    }

    /// Puts the calling thread, and whatever it starts, under this ruleset for good.
    ///
    /// # Errors
    /// `EPERM` without `no_new_privs`; `E2BIG` at the seventeenth layer; `EINVAL` for an unknown flag.
    pub fn restrict(self, flags: u32) -> Result<()> {
        let flags = usize::try_from(flags).map_err(|_| Errno::INVAL)?;
        let arguments = [number(self.0.as_fd()), flags, 0, 0, 0, 0];
        // SAFETY: the call takes a descriptor and flags; the kernel touches no memory of ours.
        unsafe { syscall(libc::SYS_landlock_restrict_self, arguments) }.map(drop)
    }
}
