//! What is at a path of the host.

use sandboxd_plan::{HostPath, Inode};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What is at a path of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(clippy::large_enum_variant, reason = "nearly every path that is looked at is there")]
pub enum PathFact {
    /// Nothing.
    Missing,
    /// It could not be looked at; the errno.
    Failed(i32),
    /// Something.
    Found(Found),
}

/// Something at a path of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// What it is, all links followed.
    pub kind: FileKind,
    /// The path without links; equal to the one asked for where there was none.
    pub real: HostPath,
    /// Every symbolic link met on the way, in order.
    pub links: Vec<Link>,
    /// Owner on disk.
    pub uid: u32,
    /// Group on disk.
    pub gid: u32,
    /// Which file that is.
    pub inode: Inode,
    /// Permission bits, `st_mode & 0o7777`.
    pub mode: u32,
    /// Hard links.
    pub links_count: u64,
    /// For a tree the profile lets be written: the paths below it that the host may later execute
    /// (see `protect`), in path order.
    pub protected: Vec<ProtectedFact>,
    /// Whether such a tree was searched whole, so that nothing else in it is protected.
    pub searched: bool,
    /// Why nothing says what was not found in it, where that is in the hands of whoever writes it.
    pub blind: Option<Blind>,
    /// The default ACLs that folders of such a tree have, acl(5).
    pub acls: BTreeSet<Vec<u8>>,
    /// Of a folder that the profile hides: what of it other names would show.
    pub shown_by: Option<ShownBy>,
    /// Mounts below it through which the kernel or the whole host could be reached.
    pub doors: Vec<HostPath>,
    /// Of what the profile hides: where else the host's mounts show it, or something in it.
    pub elsewhere: Vec<Elsewhere>,
    /// What in it has another name too, because the host has mounted it twice.
    pub also: Vec<Also>,
}

/// Why a search says nothing of what it did not find.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Blind {
    /// There is too much, or it is too slow.
    Bounded,
    /// This folder cannot be read by the one who looks, who may enter it or give himself leave to read it. So may what
    /// runs as him, and an earlier run may have closed it.
    Closed(HostPath),
}

/// Two names of one thing on the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Also {
    /// In the tree that was looked at, or that itself.
    pub inside: HostPath,
    /// The other one.
    pub at: HostPath,
}

/// What of a hidden folder other names (hard links) would show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ShownBy {
    /// A file in it, which has a name outside of it.
    Name(String),
    /// It was not seen whole, so that there may be one.
    Unsearched,
}

/// Something that has another path too, because it is mounted there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elsewhere {
    /// That path.
    pub path: HostPath,
    /// What kind of file.
    pub kind: FileKind,
}

/// What kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileKind {
    /// A directory.
    Directory,
    /// A regular file.
    Regular,
    /// A character device.
    Character,
    /// A block device.
    Block,
    /// A named pipe.
    Fifo,
    /// A Unix socket.
    Socket,
}

/// A symbolic link on the way to a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Where it lies.
    pub path: HostPath,
    /// What it points to, as written.
    pub target: String,
    /// Whether root owns it and every directory above it, and nobody else may write those: such a
    /// link belongs to the system. Any other may have been planted.
    pub trusted: bool,
}

/// A path below a writable tree that the host may later execute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtectedFact {
    /// Which.
    pub path: HostPath,
    /// What it is. A link is never followed: it counts as found, and cannot be held.
    pub kind: ProtectedKind,
    /// Whether it is a file with another name (a hard link), or a directory with such a file at any depth, so that
    /// no mount over this name keeps others from writing it.
    pub linked: bool,
}

/// What a protected path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProtectedKind {
    /// A directory.
    Directory,
    /// A regular file.
    Regular,
    /// A symbolic link.
    Link,
    /// A Unix socket, whatever its name: somebody of the host may listen on it.
    Socket,
    /// A named pipe, whatever its name: somebody of the host may be at its other end.
    Pipe,
    /// Anything else.
    Other,
}
