//! The group of one sandbox: made and limited before anybody joins, emptied and removed at the end.

use super::dir::{Claim, Dir};
use super::node::V2Node;
use super::sweep::reclaim;
use super::tree::{Layout, PREFIX, Tree, V1Node};
use super::{CgroupError, Usage, usage, v1, v2};
use rustix::fs::OFlags;
use rustix::io::Errno;
use sandboxd_profiles::host::Controller;
use sandboxd_profiles::resolved::CgroupLimits;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

mod removal;

pub(crate) use removal::remove_tree;

/// How long a group may take to become empty where nobody waits for the outcome: the owner gave up half
/// way.
const DROP_WITHIN: Duration = Duration::from_secs(1);

/// How long a directory that somebody owns is waited for: as a rule a sweep that took it for left behind,
/// which on a machine with hundreds of starts at once may have to wait for its own turn meanwhile.
const CLAIM_WITHIN: Duration = Duration::from_secs(10);

/// What the directory is called that a sandbox's own processes are in, where others are below it.
const LEAF: &str = "command";

/// A sandbox's cgroup in every hierarchy it is limited in.
#[derive(Debug)]
pub struct Group {
    id: String,
    v2: bool,
    unified: Option<Member>,
    v1: Vec<Member>,
    tasks: Vec<OwnedFd>,
    /// Where its own processes are, where on v2 there is room for groups below.
    leaf: Option<Dir>,
    settled: bool,
}

/// Whether there may be groups below a sandbox's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// None, and the kernel refuses any.
    None,
    /// Those of what the sandbox calls: what they use, it uses.
    Below,
}

/// The group's directory in one hierarchy.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) controllers: Vec<Controller>,
    container: Dir,
    pub(crate) dir: Dir,
}

impl Group {
    /// Makes the group `id` with these limits, each read back after it was written, and room for others.
    ///
    /// On v2 this may move the supervisor into a leaf of its own node, once, where controllers can
    /// be had in no other way.
    ///
    /// # Errors
    /// Where a directory cannot be made, a limit cannot be set or is not what the kernel then holds,
    /// or a living supervisor has a group of this id. Nothing is left behind.
    pub fn create(
        tree: &Tree,
        id: &str,
        limits: &CgroupLimits,
        room: Room,
    ) -> Result<Self, CgroupError> {
        check_name(id)?;
        let mut group = Self {
            id: format!("{PREFIX}{id}"),
            v2: false,
            unified: None,
            v1: Vec::new(),
            tasks: Vec::new(),
            leaf: None,
            settled: false,
        };
        // Dropping a group that is only half made removes what there is of it.
        match &tree.layout {
            Layout::V2(node) => group.fill_v2(tree, node, limits, room)?,
            Layout::V1 { .. } => group.fill_v1(tree, limits, room)?,
            Layout::None => {
                let why = tree.missing().first();
                return Err(CgroupError::found(
                    "mkdirat",
                    format!("{id}: {}", why.map_or("no cgroups", |missing| &missing.gap.why)),
                    why.map_or("see sandboxd doctor", |missing| &missing.gap.remedy),
                ));
            }
        }
        Ok(group)
    }

    fn fill_v2(
        &mut self,
        tree: &Tree,
        node: &V2Node,
        limits: &CgroupLimits,
        room: Room,
    ) -> Result<(), CgroupError> {
        for controller in v2::needed(limits).into_iter().chain(limits.v1.iter().copied()) {
            if !node.offered.contains(&controller) || !limits.v1.is_empty() {
                return Err(tree.lacks(controller));
            }
        }
        node.enable()?;
        let container = tree.ensure_container(&node.base)?;
        v2::enable(&container, &node.offered)?;
        let dir = claim(&container, &self.id)?;
        self.v2 = true;
        let member = Member { controllers: node.offered.clone(), container, dir };
        let member = self.unified.insert(member);
        v2::limit(&member.dir, &node.offered, limits)?;
        if room == Room::None {
            return v2::forbid_groups_below(&member.dir);
        }
        // A group has processes, or controllers for those below it.
        v2::enable(&member.dir, &node.offered)?;
        let leaf = self.leaf.insert(member.dir.ensure(LEAF)?);
        v2::forbid_groups_below(leaf)
    }

    fn fill_v1(
        &mut self,
        tree: &Tree,
        limits: &CgroupLimits,
        room: Room,
    ) -> Result<(), CgroupError> {
        let Layout::V1 { nodes, unified } = &tree.layout else { return Ok(()) };
        for controller in v2::needed(limits) {
            if !limits.v1.contains(&controller) {
                return Err(tree.lacks(controller));
            }
        }
        if let Some(base) = unified {
            let container = tree.ensure_container(base)?;
            let dir = claim(&container, &self.id)?;
            let member = Member { controllers: Vec::new(), container, dir };
            let member = self.unified.insert(member);
            if room == Room::None {
                v2::forbid_groups_below(&member.dir)?;
            }
        }
        for controller in &limits.v1 {
            let Some(node) = nodes.iter().find(|node| node.controllers.contains(controller)) else {
                return Err(tree.lacks(*controller));
            };
            if !self.v1.iter().any(|member| member.controllers.contains(controller)) {
                let container = tree.ensure_container(&node.base)?;
                let dir = claim(&container, &self.id)?;
                self.v1.push(Member { controllers: node.controllers.clone(), container, dir });
            }
            let member = self.v1.iter().find(|member| member.controllers.contains(controller));
            let Some(member) = member else { return Err(tree.lacks(*controller)) };
            v1::limit(&member.dir, *controller, limits)?;
            self.tasks.push(member.dir.file("tasks", OFlags::WRONLY)?);
        }
        Ok(())
    }

    /// The directory for `CLONE_INTO_CGROUP`, clone(2); nothing on a host without a v2 hierarchy.
    #[must_use]
    pub fn into_fd(&self) -> Option<BorrowedFd<'_>> {
        self.own().map(AsFd::as_fd)
    }

    /// The v2 directory that its own processes are in.
    fn own(&self) -> Option<&Dir> {
        self.leaf.as_ref().or_else(|| self.unified.as_ref().map(|member| &member.dir))
    }

    /// Where groups below this one are made, and in a hierarchy where this has none, beside it.
    ///
    /// # Errors
    /// Where a directory cannot be opened again.
    pub fn below(&self, beside: &Tree) -> Result<Tree, CgroupError> {
        let again = |dir: &Dir| dir.open("");
        let layout = match (&self.unified, &beside.layout) {
            (Some(member), Layout::V2(_)) => Layout::V2(V2Node {
                base: again(&member.dir)?,
                offered: member.controllers.clone(),
                leave_first: false,
            }),
            (unified, Layout::V1 { nodes, .. }) => {
                let own = |node: &V1Node| {
                    let mut members = self.v1.iter();
                    let own = members.find(|member| member.controllers == node.controllers);
                    again(own.map_or(&node.base, |member| &member.dir))
                };
                let nodes = nodes.iter().map(|node| {
                    Ok(V1Node { controllers: node.controllers.clone(), base: own(node)? })
                });
                let unified = unified.as_ref().map(|member| again(&member.dir)).transpose()?;
                Layout::V1 { nodes: nodes.collect::<Result<_, CgroupError>>()?, unified }
            }
            (None, Layout::V2(_)) | (_, Layout::None) => Layout::None,
        };
        Ok(beside.elsewhere(layout))
    }

    /// The v1 `tasks` files, in the order of [`CgroupLimits::v1`]: the child writes `0` into each.
    #[must_use]
    pub fn tasks(&self) -> &[OwnedFd] {
        &self.tasks
    }

    /// The kernel's cgroup id, as `PIDFD_GET_INFO` tells it; nothing without a v2 hierarchy.
    #[must_use]
    pub fn id(&self) -> Option<u64> {
        self.own().and_then(|own| own.inode().ok())
    }

    /// The directories it consists of, for messages and receipts.
    #[must_use]
    pub fn paths(&self) -> Vec<&str> {
        self.members().map(|member| member.dir.label()).collect()
    }

    /// Whether the process is in every directory of the group.
    ///
    /// # Errors
    /// Where a list of processes cannot be read.
    pub fn contains(&self, pid: i32) -> Result<bool, CgroupError> {
        self.contains_all(&[pid])
    }

    /// Whether all of these processes are in every directory of the group.
    ///
    /// # Errors
    /// Where a list of processes cannot be read.
    pub fn contains_all(&self, pids: &[i32]) -> Result<bool, CgroupError> {
        for dir in self.own().into_iter().chain(self.v1.iter().map(|member| &member.dir)) {
            let listed = dir.processes()?;
            if !pids.iter().all(|pid| listed.contains(pid)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn members(&self) -> impl Iterator<Item = &Member> {
        self.unified.iter().chain(&self.v1)
    }

    /// Ends every process of the group. Those that are still on their way out keep it from being
    /// empty for a moment; see [`Self::wait_empty`]. Nothing can be run in the group after this.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn kill(&self) -> Result<(), CgroupError> {
        let killed = match &self.unified {
            Some(member) if v2::can_kill(&member.dir) => {
                v2::kill(&member.dir)?;
                true
            }
            _ => false,
        };
        if !killed {
            // Without cgroup.kill a fork bomb is a race; without forks it is none.
            for member in self.members() {
                if member.controllers.contains(&Controller::Pids) {
                    member.dir.write("pids.max", "0")?;
                }
            }
        }
        if let Some(leaf) = self.leaf.as_ref().filter(|_| !killed) {
            v1::kill_listed(leaf)?;
        }
        // Whoever was only written into v1 directories is not in the unified one.
        for member in self.members().filter(|member| !killed || !member.controllers.is_empty()) {
            if !(self.v2 && killed) {
                v1::kill_listed(&member.dir)?;
            }
        }
        Ok(())
    }

    /// What the group used so far. To be read before [`Self::remove`].
    #[must_use]
    pub fn usage(&self) -> Usage {
        match &self.unified {
            Some(member) if self.v2 => usage::of_v2(&member.dir),
            unified => usage::of_v1(unified.as_ref().map(|member| &member.dir), &self.v1),
        }
    }

    /// Whether nobody is in it.
    ///
    /// # Errors
    /// Where that cannot be read.
    pub fn is_empty(&self) -> Result<bool, CgroupError> {
        if let Some(member) = &self.unified
            && v2::populated(&member.dir)?
        {
            return Ok(false);
        }
        for member in &self.v1 {
            if !member.dir.processes()?.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.settled {
            // Reached on the way out of a failure that is reported already. What cannot be removed
            // here is unlocked when the descriptors close, and so is the next sweep's.
            drop(self.clear(DROP_WITHIN));
        }
    }
}

/// Makes `name` and owns it. One left over by a supervisor that died is removed first.
fn claim(container: &Dir, name: &str) -> Result<Dir, CgroupError> {
    let until = Instant::now() + CLAIM_WITHIN;
    loop {
        match container.claim(name)? {
            Claim::Made(dir) => return Ok(dir),
            Claim::Exists if reclaim(container, name)? => {}
            // Owned by somebody: by a sweep that took it for left behind, which is over at once, or by
            // a living sandbox.
            Claim::Exists if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Claim::Exists => break,
        }
    }
    let mut error =
        CgroupError::refused("mkdirat", format!("{}/{name}", container.label()), Errno::EXIST);
    "a running sandbox has this id: stop it, or use another".clone_into(&mut error.remedy);
    Err(error)
}

/// A name that is one plain component of a path and no file of the kernel's.
pub(crate) fn check_name(name: &str) -> Result<(), CgroupError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !name.is_empty() && name.len() <= 128 && name.bytes().all(plain) {
        return Ok(());
    }
    Err(CgroupError::found(
        "mkdirat",
        name.escape_default().to_string(),
        "name it with at most 128 letters, digits, - and _",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_directory_or_be_a_file_of_the_kernels() {
        assert!(check_name("build-tool_7f3a").is_ok());
        for bad in ["", ".", "..", "a/b", "cgroup.procs", "a\n", "ä", &"a".repeat(129)] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }
}
