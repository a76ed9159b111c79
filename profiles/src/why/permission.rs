//! Owner, group and mode of a file, as the kernel judges them for a command without capabilities,
//! path_resolution(7).

use super::view::{EACCES, Node};
use sandboxd_plan::Identity;

pub(super) const READ: u32 = 4;
pub(super) const WRITE: u32 = 2;
pub(super) const SEARCH: u32 = 1;
/// To execute a file is the same bit.
pub(super) const EXECUTE: u32 = 1;
const STICKY: u32 = 0o1000;
const WORLD: u32 = 0o002;

/// Who asks.
#[derive(Debug, Clone)]
pub(super) struct Who {
    pub(super) identity: Identity,
    /// The supplementary groups that stay with it.
    pub(super) groups: Vec<u32>,
    /// Whether links in folders that everybody writes are followed only where they are safe,
    /// `fs.protected_symlinks`.
    pub(super) guarded: bool,
}

impl Who {
    fn is(&self, uid: Option<u32>) -> bool {
        uid == Some(self.identity.uid)
    }

    /// Whether the mode grants all of this.
    pub(super) fn may(&self, node: &Node, wanted: u32) -> Result<(), i32> {
        // The kernel writes nothing back whose owner it could not name.
        if wanted & WRITE != 0
            && !node.thing.is_special()
            && (node.uid.is_none() || node.gid.is_none())
        {
            return Err(EACCES);
        }
        let member = |gid| gid == self.identity.gid || self.groups.contains(&gid);
        let bits = if self.is(node.uid) {
            node.mode >> 6
        } else if node.gid.is_some_and(member) {
            node.mode >> 3
        } else {
            node.mode
        };
        if bits & wanted == wanted { Ok(()) } else { Err(EACCES) }
    }

    /// Whether a list of more permissions than the mode tells decides: its owner's are those of the mode, and
    /// with a list the group's bits are the most that anybody else it names may have, acl(5).
    pub(super) fn depends(&self, node: &Node, wanted: u32) -> bool {
        let most = (node.mode >> 3) | node.mode;
        node.acl && !self.is(node.uid) && most & wanted == wanted
    }

    /// Whether an entry may be taken out of a folder that may be written: in a sticky one only by the
    /// owner of either.
    pub(super) fn may_remove(&self, folder: &Node, entry: &Node) -> bool {
        folder.mode & STICKY == 0 || self.is(entry.uid) || self.is(folder.uid)
    }

    /// Whether a link is followed that lies in a folder in which everybody makes some.
    pub(super) fn follows(&self, folder: &Node, link: &Node) -> bool {
        let shared = self.guarded && folder.mode & STICKY != 0 && folder.mode & WORLD != 0;
        !shared || self.is(link.uid) || link.uid == folder.uid
    }

    /// The permissions of a file, in words.
    pub(super) fn words(&self, node: &Node) -> String {
        let id = |id: Option<u32>| id.map_or_else(|| String::from("nobody"), |id| id.to_string());
        format!(
            "mode {:04o}, owner {}, group {}; the command is {}, {}",
            node.mode,
            id(node.uid),
            id(node.gid),
            self.identity.uid,
            self.identity.gid
        )
    }
}
