//! Whose cgroup this process is in, on v2: the node below which groups are made.
//!
//! Only what was delegated is written to, `CGROUP_DELEGATION.md` of systemd and cgroups(7). The
//! places, the first that fits being taken:
//!
//! 1. the directory that the operator names;
//! 2. a unit with `Delegate=yes`, whose processes move into its leaf `supervisor`;
//! 3. a scope that systemd makes for this process, which is in a unit that was not delegated;
//! 4. without systemd, the own cgroup, where nobody else is in it, or the root of the hierarchy.

use super::CgroupError;
use super::dir::Dir;
use super::mounts::Hierarchy;
use super::tree::{CONTROLLERS, LEAF, Missing, Placement, absent, base};
use super::v2;
use crate::systemd;
use sandboxd_profiles::host::Controller;
use std::ffi::OsStr;
use std::path::Path;

/// Below what groups are made in the v2 hierarchy.
#[derive(Debug)]
pub(crate) struct V2Node {
    pub(crate) base: Dir,
    /// What a child can have.
    pub(crate) offered: Vec<Controller>,
    /// Whether processes must move into a leaf before controllers can be turned on.
    pub(crate) leave_first: bool,
}

/// What was found.
#[derive(Debug)]
pub(crate) enum Found {
    /// A node, and whose it is, in words.
    Node(V2Node, String),
    /// None; this cgroup is systemd's, which can be asked for one.
    Ask(String),
    /// None, and nobody to ask: why, and what to do.
    Foreign(String, &'static str),
}

const DELEGATE: &str = "write Delegate=yes into the [Service] of this unit";
const SHARED: &str = "start sandboxd in a cgroup of its own, or name a directory for groups in /etc/sandboxd/config.toml: [cgroups] parent = \"sandboxd\"";

/// Finds the node. Nothing is made or written.
pub(crate) fn find(
    hierarchy: &Hierarchy,
    placement: &Placement,
    missing: &mut Vec<Missing>,
) -> Result<Found, CgroupError> {
    let found = match placement {
        Placement::Below(name) => named(hierarchy, name)?,
        Placement::Own => own(hierarchy)?,
    };
    if let Found::Node(node, _) = &found {
        for controller in CONTROLLERS.into_iter().filter(|one| !node.offered.contains(one)) {
            let available = v2::listed(&node.base, "cgroup.controllers")?;
            if available.contains(&controller) {
                absent(
                    missing,
                    &[controller],
                    "it is not enabled below the root of the hierarchy",
                    "enable it: echo +<controller> > /sys/fs/cgroup/cgroup.subtree_control",
                );
            } else {
                absent(
                    missing,
                    &[controller],
                    "it is not delegated to the supervisor's cgroup, or the kernel lacks it",
                    "let systemd delegate it (Delegate=, and for a user's manager a drop-in of user@.service), or waive it in [require]",
                );
            }
        }
    }
    Ok(found)
}

/// The root of the hierarchy, below which the operator's directory lies. With systemd, an operator's
/// word for where groups lie is no word for changing what is above them.
fn named(hierarchy: &Hierarchy, name: &str) -> Result<Found, CgroupError> {
    let base = base(hierarchy)?;
    let which = if is_root(&base) && !systemd::is_booted() {
        "cgroup.controllers"
    } else {
        "cgroup.subtree_control"
    };
    let offered = v2::listed(&base, which)?;
    let node = V2Node { base, offered, leave_first: false };
    Ok(Found::Node(node, format!("below {name}, as /etc/sandboxd/config.toml says")))
}

fn own(hierarchy: &Hierarchy) -> Result<Found, CgroupError> {
    let Some(own) = &hierarchy.own else {
        // Says so.
        return base(hierarchy).map(|_| Found::Foreign(String::new(), SHARED));
    };
    let shown = format!("/{}", own.display());
    let at = |path: &Path| base(&Hierarchy { own: Some(path.to_owned()), ..hierarchy.clone() });
    // A leaf of a delegated node: the other supervisors of the unit are in it too. A unit is no leaf:
    // what is above it is its manager's.
    if !own.file_name().is_some_and(is_unit_name)
        && let Some(above) = own.parent()
        && let Ok(node) = at(above)
        && is_delegated(hierarchy, above, &node)
    {
        return delegated(node, above);
    }
    if systemd::is_booted() && is_unit(own) {
        return match at(own) {
            Ok(node) if is_delegated(hierarchy, own, &node) => delegated(node, own),
            _ if is_main_process(own) => Ok(Found::Foreign(
                format!("systemd did not delegate the cgroup of this service, {shown}"),
                DELEGATE,
            )),
            _ => Ok(Found::Ask(shown)),
        };
    }
    unmanaged(base(hierarchy)?, shown)
}

/// A unit's cgroup that its processes may divide as they like.
fn delegated(base: Dir, path: &Path) -> Result<Found, CgroupError> {
    let offered = v2::listed(&base, "cgroup.controllers")?;
    let leave_first = !base.processes()?.is_empty();
    let words = format!("in /{}, which systemd delegated", path.display());
    Ok(Found::Node(V2Node { base, offered, leave_first }, words))
}

/// Where nobody manages cgroups.
fn unmanaged(base: Dir, shown: String) -> Result<Found, CgroupError> {
    let available = v2::listed(&base, "cgroup.controllers")?;
    let enabled = v2::listed(&base, "cgroup.subtree_control")?;
    let node = |base, leave_first| {
        let words = format!("in {shown}, which no service manager manages");
        Found::Node(V2Node { base, offered: available.clone(), leave_first }, words)
    };
    // The root of the whole hierarchy is exempt from the rule that a node has either processes or
    // controllers for its children.
    if is_root(&base) || available.iter().all(|one| enabled.contains(one)) {
        return Ok(node(base, false));
    }
    let me = rustix::process::getpid().as_raw_nonzero().get();
    match base.processes()?.as_slice() {
        [] => Ok(node(base, false)),
        [only] if *only == me => Ok(node(base, true)),
        _ => Ok(Found::Foreign(
            format!("the supervisor shares its cgroup {shown} with other processes"),
            SHARED,
        )),
    }
}

/// Only the root of the whole hierarchy lacks this file.
fn is_root(node: &Dir) -> bool {
    !node.has("cgroup.type")
}

fn is_unit(own: &Path) -> bool {
    own.iter().any(is_unit_name)
}

fn is_unit_name(name: &OsStr) -> bool {
    let kind = Path::new(name).extension();
    kind.is_some_and(|kind| ["service", "scope", "slice"].iter().any(|known| kind == *known))
}

/// Whether this process is what a service consists of: then the service is what has to be changed,
/// and leaving it would leave its limits too. systemd.exec(5), since version 248.
fn is_main_process(own: &Path) -> bool {
    let me = rustix::process::getpid().as_raw_nonzero().to_string();
    own.extension().is_some_and(|kind| kind == "service")
        && std::env::var("SYSTEMD_EXEC_PID").is_ok_and(|pid| pid == me)
}

/// Whether a node is this user's to divide: it belongs to them, and it carries systemd's mark or
/// ours, or it is a scope of ours (a user's manager has marked since systemd 251), or what is above
/// it belongs to somebody else.
fn is_delegated(hierarchy: &Hierarchy, path: &Path, node: &Dir) -> bool {
    let me = rustix::process::geteuid().as_raw();
    if node.owner() != Some(me) {
        return false;
    }
    if is_marked(node) || path.file_name().is_some_and(systemd::scope::is_ours) {
        return true;
    }
    let handed_over = || {
        let above = Hierarchy { own: path.parent().map(Path::to_owned), ..hierarchy.clone() };
        Dir::mount(&above.mount)
            .and_then(|mount| mount.open(above.own.as_deref().unwrap_or_else(|| Path::new(""))))
            .is_ok_and(|above| above.owner() != Some(me))
    };
    me != 0 && path.parent().is_some() && handed_over()
}

const MARK: &str = "user.sandboxd";

/// systemd marks a delegated cgroup with an extended attribute, `CGROUP_DELEGATION.md`.
fn is_marked(node: &Dir) -> bool {
    ["trusted.delegate", "user.delegate", MARK].into_iter().any(|name| {
        let mut value = [0; 8];
        matches!(
            rustix::fs::fgetxattr(node, name, &mut value),
            Ok(length) if value.get(..length) == Some(b"1")
        )
    })
}

impl V2Node {
    /// Turns controllers on for the groups below. Where processes stand in the way they move into a
    /// leaf: this one alone where nobody manages the node, all of them where it was delegated.
    pub(crate) fn enable(&self) -> Result<(), CgroupError> {
        let enabled = v2::listed(&self.base, "cgroup.subtree_control")?;
        if self.offered.iter().all(|offered| enabled.contains(offered)) {
            return Ok(());
        }
        if self.leave_first {
            self.leave()?;
        }
        v2::enable(&self.base, &self.offered)
    }

    fn leave(&self) -> Result<(), CgroupError> {
        /// Processes fork while they are moved.
        const ROUNDS: usize = 32;
        let leaf = self.base.ensure(LEAF)?;
        leaf.write("cgroup.procs", "0")?;
        // So that a supervisor that is started from the leaf finds the node. Extended attributes of
        // cgroups since kernel 3.7, `user.` ones since 5.7.
        rustix::fs::fsetxattr(&self.base, MARK, b"1", rustix::fs::XattrFlags::empty())
            .map_err(|errno| CgroupError::refused("fsetxattr", self.base.label(), errno))?;
        for _ in 0..ROUNDS {
            let others = self.base.processes()?;
            if others.is_empty() {
                break;
            }
            for pid in others {
                let moved = leaf.write("cgroup.procs", &pid.to_string());
                // It has ended meanwhile.
                let gone = rustix::io::Errno::SRCH.raw_os_error();
                moved.or_else(|error| if error.errno == gone { Ok(()) } else { Err(error) })?;
            }
        }
        Ok(())
    }
}
