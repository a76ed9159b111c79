//! `mount_setattr(2)` (kernel 5.12), which rustix lacks.

use crate::fds::number;
use crate::syscall::syscall;
use rustix::fd::BorrowedFd;
use rustix::io::Result;

const MOUNT_ATTR_RDONLY: u64 = 0x1;
const MOUNT_ATTR_NOSUID: u64 = 0x2;
const MOUNT_ATTR_NODEV: u64 = 0x4;
const MOUNT_ATTR_NOEXEC: u64 = 0x8;
const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;
const AT_EMPTY_PATH: usize = 0x1000;
const AT_RECURSIVE: usize = 0x8000;
const MS_PRIVATE: u64 = 1 << 18;

/// `struct mount_attr`.
#[repr(C)]
#[derive(Default)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

/// The flags a mount is to have. `nosuid` is always set: there is no way to ask for a mount without.
#[derive(Debug, Clone, Copy, Default)]
pub struct Attributes {
    /// `MOUNT_ATTR_RDONLY`.
    pub read_only: bool,
    /// `MOUNT_ATTR_NOEXEC`.
    pub no_exec: bool,
    /// `MOUNT_ATTR_NODEV`.
    pub no_dev: bool,
}

impl Attributes {
    fn bits(self) -> u64 {
        let mut bits = MOUNT_ATTR_NOSUID;
        for (wanted, bit) in [
            (self.read_only, MOUNT_ATTR_RDONLY),
            (self.no_exec, MOUNT_ATTR_NOEXEC),
            (self.no_dev, MOUNT_ATTR_NODEV),
        ] {
            if wanted {
                bits |= bit;
            }
        }
        bits
    }
}

/// Whether only the mount itself changes, or all mounts below it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// This mount.
    Alone,
    /// This mount and all below.
    Recursive,
}

/// Adds flags to a mount; none is ever taken away. With `idmap`, the mount also takes on the id map
/// of that user namespace, which a detached mount alone can (`MOUNT_ATTR_IDMAP`).
///
/// # Errors
/// `EINVAL` where the file system cannot be idmapped or the descriptor is no mount's root; `EPERM`
/// where a flag is locked or the file system belongs to another user namespace.
pub fn restrict(
    mount: BorrowedFd<'_>,
    reach: Reach,
    attributes: Attributes,
    idmap: Option<BorrowedFd<'_>>,
) -> Result<()> {
    let mut attr = MountAttr { attr_set: attributes.bits(), ..MountAttr::default() };
    if let Some(userns) = idmap {
        attr.attr_set |= MOUNT_ATTR_IDMAP;
        attr.userns_fd = u64::try_from(number(userns)).unwrap_or(u64::MAX);
    }
    set(mount, reach, &attr)
}

/// Cuts a mount and all below it off from whatever is mounted elsewhere, `MS_REC | MS_PRIVATE`.
///
/// # Errors
/// `EINVAL` where the descriptor is no mount's root.
pub fn make_private(mount: BorrowedFd<'_>) -> Result<()> {
    let attr = MountAttr { propagation: MS_PRIVATE, ..MountAttr::default() };
    set(mount, Reach::Recursive, &attr)
}

fn set(mount: BorrowedFd<'_>, reach: Reach, attr: &MountAttr) -> Result<()> {
    let flags = match reach {
        Reach::Alone => AT_EMPTY_PATH,
        Reach::Recursive => AT_EMPTY_PATH | AT_RECURSIVE,
    };
    let arguments = [
        number(mount),
        c"".as_ptr().addr(),
        flags,
        (&raw const *attr).addr(),
        size_of::<MountAttr>(),
        0,
    ];
    // SAFETY: the path is a static empty string and `attr` is read, for its own size, during the
    // call only.
    unsafe { syscall(libc::SYS_mount_setattr, arguments) }.map(drop)
}
