//! What an answer needs to know of the host: this crate looks at nothing, it is told.

use sandboxd_plan::HostPath;

/// What is at a path of the host, no link followed; the errno where it cannot be said.
pub type Look<'a> = &'a dyn Fn(&HostPath) -> Result<Seen, i32>;

/// Something at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What it is.
    pub thing: Thing,
    /// Permission bits, `st_mode & 0o7777`.
    pub mode: u32,
    /// Owner on disk.
    pub uid: u32,
    /// Group on disk.
    pub gid: u32,
    /// Device and inode.
    pub id: (u64, u64),
    /// Whether the host has it on something that cannot be written.
    pub read_only: bool,
    /// Whether the host has it on something from which nothing is executed.
    pub no_exec: bool,
    /// Whether it has an access control list, acl(5).
    pub acl: bool,
}

/// What kind of file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Thing {
    /// A directory.
    Directory,
    /// A regular file.
    Regular,
    /// A symbolic link, and what is written in it.
    Link(String),
    /// A Unix socket.
    Socket,
    /// A named pipe.
    Pipe,
    /// A device.
    Device,
}

impl Thing {
    /// In words.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Directory => "a folder",
            Self::Regular => "a file",
            Self::Link(_) => "a symbolic link",
            Self::Socket => "a Unix socket",
            Self::Pipe => "a named pipe",
            Self::Device => "a device",
        }
    }

    /// Whether mount flags say whether it is written: what is behind these is not on the file system.
    pub(super) const fn is_special(&self) -> bool {
        matches!(self, Self::Socket | Self::Pipe | Self::Device)
    }
}
