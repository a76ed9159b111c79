//! What somebody may want to do with a path, and what that is to the kernel.

use super::host::Thing;
use super::view::{EACCES, ENOENT, Node};

const ENXIO: i32 = 6;
const EEXIST: i32 = 17;
const ENOTDIR: i32 = 20;
const EISDIR: i32 = 21;
const EINVAL: i32 = 22;
const ENOTTY: i32 = 25;
const EADDRINUSE: i32 = 98;
const ECONNREFUSED: i32 = 111;

/// What is wanted of a path: the words of a profile, and those of landlock(7). What moves from one
/// folder to another takes two paths, and is no question about one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read a file, list a folder.
    Read,
    /// Write a file, make one where there is none or in a folder.
    Write,
    /// Execute a file, or the programs in a folder.
    Execute,
    /// Read a file.
    ReadFile,
    /// List a folder.
    ReadDir,
    /// Write a file that is there.
    WriteFile,
    /// Cut a file short.
    Truncate,
    /// Make a file.
    MakeReg,
    /// Make a folder.
    MakeDir,
    /// Make a symbolic link.
    MakeSym,
    /// Make a Unix socket.
    MakeSock,
    /// Make a named pipe.
    MakeFifo,
    /// Make a character device.
    MakeChar,
    /// Make a block device.
    MakeBlock,
    /// Remove a file.
    RemoveFile,
    /// Remove a folder.
    RemoveDir,
    /// Control a device, ioctl(2).
    IoctlDev,
    /// Connect to a Unix socket.
    ResolveUnix,
}

impl Access {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Read,
        Self::Write,
        Self::Execute,
        Self::ReadFile,
        Self::ReadDir,
        Self::WriteFile,
        Self::Truncate,
        Self::MakeReg,
        Self::MakeDir,
        Self::MakeSym,
        Self::MakeSock,
        Self::MakeFifo,
        Self::MakeChar,
        Self::MakeBlock,
        Self::RemoveFile,
        Self::RemoveDir,
        Self::IoctlDev,
        Self::ResolveUnix,
    ];

    /// Its word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Execute => "execute",
            Self::ReadFile => "read-file",
            Self::ReadDir => "read-dir",
            Self::WriteFile => "write-file",
            Self::Truncate => "truncate",
            Self::MakeReg => "make-reg",
            Self::MakeDir => "make-dir",
            Self::MakeSym => "make-sym",
            Self::MakeSock => "make-sock",
            Self::MakeFifo => "make-fifo",
            Self::MakeChar => "make-char",
            Self::MakeBlock => "make-block",
            Self::RemoveFile => "remove-file",
            Self::RemoveDir => "remove-dir",
            Self::IoctlDev => "ioctl-dev",
            Self::ResolveUnix => "resolve-unix",
        }
    }

    /// The one that is written so.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|access| access.name() == name)
    }

    /// The list of `[files]` that gives it.
    #[must_use]
    pub const fn list(self) -> &'static str {
        match self {
            Self::Read | Self::ReadFile | Self::ReadDir | Self::ResolveUnix | Self::IoctlDev => {
                "read"
            }
            Self::Execute => "execute",
            Self::Write
            | Self::WriteFile
            | Self::Truncate
            | Self::MakeReg
            | Self::MakeDir
            | Self::MakeSym
            | Self::MakeSock
            | Self::MakeFifo
            | Self::MakeChar
            | Self::MakeBlock
            | Self::RemoveFile
            | Self::RemoveDir => "write",
        }
    }

    /// Whether a name comes of it.
    #[must_use]
    pub const fn makes(self) -> bool {
        matches!(
            self,
            Self::MakeReg
                | Self::MakeDir
                | Self::MakeSym
                | Self::MakeSock
                | Self::MakeFifo
                | Self::MakeChar
                | Self::MakeBlock
        )
    }

    /// Whether a name goes.
    #[must_use]
    pub const fn removes(self) -> bool {
        matches!(self, Self::RemoveFile | Self::RemoveDir)
    }

    /// Whether a link at the end of the path is meant itself, and not where it leads.
    pub(super) const fn is_of_the_name(self) -> bool {
        self.makes() || self.removes()
    }
}

/// `LANDLOCK_ACCESS_FS_*`, landlock(7): the number of the bit is the place in this list.
const RIGHTS: [&str; 17] = [
    "execute",
    "write-file",
    "read-file",
    "read-dir",
    "remove-dir",
    "remove-file",
    "make-char",
    "make-dir",
    "make-reg",
    "make-sock",
    "make-fifo",
    "make-block",
    "make-sym",
    "refer",
    "truncate",
    "ioctl-dev",
    "resolve-unix",
];

/// The names of these rights.
#[must_use]
pub fn rights(bits: u64) -> String {
    let names = RIGHTS.iter().enumerate().filter(|(bit, _)| bits & (1 << bit) != 0);
    names.map(|(_, name)| *name).collect::<Vec<_>>().join(" ")
}

pub(super) fn bit(name: &str) -> u64 {
    RIGHTS.iter().position(|right| *right == name).map_or(0, |bit| 1 << bit)
}

/// What the kernel is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// Open what is there for reading.
    Read,
    /// Open what is there for writing.
    Write,
    /// Make a file in the folder that the path names or lies in, and write it.
    Create,
    Execute,
    Truncate,
    /// Make something in that folder.
    Make,
    /// Take the name out of the folder it lies in.
    Remove,
    Control,
    Connect,
}

/// What an access comes to on what is there, and the right of Landlock that it takes; the errno and the
/// reason where it comes to nothing.
pub(super) fn act(access: Access, node: Option<&Node>) -> Result<(Act, u64), (i32, String)> {
    let Some(node) = node else {
        return absent(access);
    };
    let thing = &node.thing;
    let is = |act, right| Ok((act, bit(right)));
    let not = |errno| Err((errno, format!("it is {}", thing.name())));
    match (access, thing) {
        (Access::Read | Access::ReadDir, Thing::Directory) => is(Act::Read, "read-dir"),
        (Access::Read | Access::ReadFile | Access::Write | Access::WriteFile, Thing::Socket) => {
            Err((
                ENXIO,
                String::from("a socket is connected to, not opened: ask about resolve-unix"),
            ))
        }
        (Access::Read | Access::ReadFile, Thing::Regular | Thing::Pipe | Thing::Device) => {
            is(Act::Read, "read-file")
        }
        (Access::Write, Thing::Directory) => is(Act::Create, "make-reg"),
        (Access::Write | Access::WriteFile, Thing::Regular | Thing::Pipe | Thing::Device) => {
            is(Act::Write, "write-file")
        }
        (
            Access::ReadFile | Access::WriteFile | Access::Truncate | Access::RemoveFile,
            Thing::Directory,
        ) => not(EISDIR),
        (Access::ReadDir | Access::RemoveDir, _) if *thing != Thing::Directory => not(ENOTDIR),
        (Access::Execute, Thing::Regular | Thing::Directory) => is(Act::Execute, "execute"),
        (Access::Execute, _) => not(EACCES),
        (Access::Truncate, Thing::Regular) => is(Act::Truncate, "truncate"),
        (Access::Truncate, _) => not(EINVAL),
        (Access::RemoveFile, _) => is(Act::Remove, "remove-file"),
        (Access::RemoveDir, _) => is(Act::Remove, "remove-dir"),
        (Access::IoctlDev, Thing::Device) => is(Act::Control, "ioctl-dev"),
        (Access::IoctlDev, _) => not(ENOTTY),
        (Access::ResolveUnix, Thing::Socket) => is(Act::Connect, "resolve-unix"),
        (Access::ResolveUnix, _) => not(ECONNREFUSED),
        (_, Thing::Directory) => is(Act::Make, access.name()),
        (Access::MakeSock, _) => Err((EADDRINUSE, format!("{} already exists", thing.name()))),
        _ => Err((EEXIST, format!("{} already exists", thing.name()))),
    }
}

/// Where nothing is there.
fn absent(access: Access) -> Result<(Act, u64), (i32, String)> {
    if access == Access::Write {
        return Ok((Act::Create, bit("make-reg")));
    }
    if access.makes() {
        return Ok((Act::Make, bit(access.name())));
    }
    Err((ENOENT, String::from("it does not exist")))
}
