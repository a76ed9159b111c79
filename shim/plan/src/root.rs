//! Stage `root`: what exists inside.

use crate::{HostPath, JailPath};
use alloc::{string::String, vec::Vec};
use serde::{Deserialize, Serialize};

/// What `/` is inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Root {
    /// A root of its own: a small tmpfs, filled by [`RootOp`]s in order, then read-only.
    Own {
        /// Owner of the tmpfs, and so of what the shim makes in it.
        owner: Owner,
        /// What is done, in this order. The sandbox's own tmpfs is writable to the shim until the last
        /// one is done.
        ops: Vec<RootOp>,
    },
    /// The supervisor's, as it is: nothing is mounted, and Landlock alone says what may be opened.
    Host,
}

/// Owner of a tmpfs of the sandbox's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// What a path is. The shim refuses a path that is not what the plan says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A directory.
    Directory,
    /// Anything else that can be opened: a regular file, a device, a socket.
    File,
}

/// Which file a path leads to, stat(2). What has its name later need not be it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inode {
    /// Its file system.
    pub device: u64,
    /// Its number there.
    pub number: u64,
}

/// Flags of a mount, mount_setattr(2). `nosuid` is not among them because it is always set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// `MOUNT_ATTR_RDONLY`.
    pub read_only: bool,
    /// `MOUNT_ATTR_NOEXEC`.
    pub no_exec: bool,
    /// `MOUNT_ATTR_NODEV`.
    pub no_dev: bool,
}

/// What the command says at a socket of the sandbox's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arrives {
    /// What it calls, a stream for each client.
    Calls,
    /// What it tells the service manager, sd_notify(3), a datagram for each.
    Words,
    /// What it wants signed for logins, as an ssh-agent is asked, a stream for each client.
    Signatures,
}

/// One step in building the root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum RootOp {
    /// Make a directory in a tmpfs of the sandbox. Never used below a bind.
    Directory {
        /// Where.
        path: JailPath,
        /// Permissions.
        mode: u32,
    },
    /// Make a file in a tmpfs of the sandbox. Never used below a bind.
    File {
        /// Where.
        path: JailPath,
        /// What it holds.
        content: String,
        /// Permissions.
        mode: u32,
    },
    /// Make a file in a tmpfs of the sandbox that its owner alone may read, of what was granted: a secret
    /// is no part of a plan. Never used below a bind.
    Copy {
        /// Where.
        path: JailPath,
        /// The granted descriptor of what it holds.
        from: u32,
        /// Whose it is.
        owner: Owner,
    },
    /// Make a symbolic link in a tmpfs of the sandbox. Never used below a bind.
    Symlink {
        /// Where.
        path: JailPath,
        /// What it points to, as written into the link.
        target: String,
    },
    /// Make a character device in a tmpfs of the sandbox that was mounted with devices allowed.
    Device {
        /// Where.
        path: JailPath,
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// Show a tree or a file of the host. The mount point must exist.
    Bind {
        /// What: opened once with `RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS`.
        from: HostPath,
        /// Where.
        to: JailPath,
        /// What it must be.
        kind: Kind,
        /// The very file that was looked at; nothing where none was: a device of the host's, and sandboxd's own program.
        inode: Option<Inode>,
        /// With which flags, recursively.
        mount: Mount,
        /// The granted descriptor of the user namespace whose map this mount takes on, so that the
        /// sandbox's own uid acts as the owner on disk (`MOUNT_ATTR_IDMAP`, kernel 5.12).
        idmap: Option<u32>,
    },
    /// Mount an empty tmpfs. The mount point must exist.
    Tmpfs {
        /// Where.
        to: JailPath,
        /// Most bytes it can hold.
        size: u64,
        /// Most inodes it can hold.
        inodes: u64,
        /// Permissions of its root.
        mode: u32,
        /// Owner of its root.
        owner: Owner,
        /// Flags.
        mount: Mount,
    },
    /// Mount the proc of the sandbox's own pid namespace, proc(5).
    Proc {
        /// Where.
        to: JailPath,
    },
    /// Mount a devpts instance of its own, with `ptmxmode=0666`.
    Devpts {
        /// Where.
        to: JailPath,
    },
    /// Write a value into a file below the sandbox's proc: a sysctl of one of its namespaces.
    Sysctl {
        /// Which, below the root: `/proc/sys/vm/memfd_noexec`.
        path: JailPath,
        /// What is written.
        value: String,
    },
    /// Cover a path with something empty: a read-only directory of mode 0, or a file of mode 0.
    Hide {
        /// What is covered.
        path: JailPath,
        /// What it must be.
        kind: Kind,
    },
    /// Bind a path onto itself, which makes it a mount point: it can be neither renamed nor removed,
    /// and it takes flags of its own.
    Hold {
        /// What is held.
        path: JailPath,
        /// What it must be.
        kind: Kind,
        /// With which flags.
        mount: Mount,
    },
    /// Make a socket in a tmpfs of the sandbox, which everybody in it may connect to, and hand it to the
    /// supervisor. Never used below a bind.
    Endpoint {
        /// Where.
        path: JailPath,
        /// What arrives there.
        arrives: Arrives,
    },
    /// Change the flags of the mount at a path, for that mount alone.
    Remount {
        /// The mount point.
        path: JailPath,
        /// The flags.
        mount: Mount,
    },
}
