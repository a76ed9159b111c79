//! Where groups can be made on this host: found once per run, from two files of `/proc` and a look
//! at each hierarchy. Nothing is made or written here.

use super::dir::Dir;
use super::mounts::{Hierarchy, hierarchies};
use super::{CgroupError, v2};
use sandboxd_profiles::host::{CgroupFacts, Controller};
use std::path::Path;

const ALL: [Controller; 3] = [Controller::Memory, Controller::Pids, Controller::Cpu];

/// What the names of groups begin with, so that they are told from others' in the same directory. The
/// dot is what an operator's own name for a directory cannot have: that one is never swept as a group.
pub(crate) const PREFIX: &str = "sandboxd.";

/// The leaf a supervisor moves into when its own node must have no processes; systemd's
/// `DelegateSubgroup=` by the same name leaves it there already.
pub(crate) const LEAF: &str = "supervisor";

/// Below what the groups lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placement {
    /// In the supervisor's own cgroup, so that outer limits hold for sandboxes too.
    Own,
    /// This directory in the root of every hierarchy, because the operator said so.
    Below(String),
}

/// A controller that limits cannot be set with, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Which.
    pub controller: Controller,
    /// Why.
    pub why: String,
    /// What to do.
    pub remedy: String,
}

/// Where groups can be made.
#[derive(Debug)]
pub struct Tree {
    pub(crate) layout: Layout,
    /// The directory that holds them, where not the base itself.
    container: Option<String>,
    missing: Vec<Missing>,
}

#[derive(Debug)]
pub(crate) enum Layout {
    /// One v2 hierarchy.
    V2(V2Node),
    /// Hierarchies per controller, and perhaps the unified one beside them.
    V1 { nodes: Vec<V1Node>, unified: Option<Dir> },
    /// None that can be written.
    None,
}

/// Below what groups are made in a v1 hierarchy.
#[derive(Debug)]
pub(crate) struct V1Node {
    /// Those of ours that are mounted together there.
    pub(crate) controllers: Vec<Controller>,
    pub(crate) base: Dir,
}

/// Below what groups are made in the v2 hierarchy.
#[derive(Debug)]
pub(crate) struct V2Node {
    pub(crate) base: Dir,
    /// What a child can have.
    pub(crate) offered: Vec<Controller>,
    /// Whether the supervisor must move into a leaf before controllers can be turned on.
    pub(crate) leave_first: bool,
}

impl Tree {
    /// Looks at the hierarchies this process sees.
    ///
    /// # Errors
    /// Where `/proc` cannot be read or the placement is not a plain name. A hierarchy that cannot be
    /// used is not an error: it is missing from the facts.
    pub fn find(placement: &Placement) -> Result<Self, CgroupError> {
        let container = match placement {
            Placement::Own => None,
            Placement::Below(name) => {
                super::group::check_name(name)?;
                Some(name.clone())
            }
        };
        let mut seen = hierarchies(&proc("mountinfo")?, &proc("cgroup")?);
        if let Placement::Below(_) = placement {
            for hierarchy in &mut seen {
                hierarchy.own = Some("".into());
            }
        }
        let v1 = |hierarchy: &Hierarchy| {
            ALL.iter().any(|ours| hierarchy.controllers.iter().any(|name| name == ours.name()))
        };
        let mut missing = Vec::new();
        let unified = seen.iter().find(|hierarchy| hierarchy.unified);
        let layout = if seen.iter().any(v1) {
            let unified = unified.and_then(|hierarchy| base(hierarchy).ok());
            Layout::V1 { nodes: v1_nodes(&seen, &mut missing), unified }
        } else {
            match unified.map(|hierarchy| v2_node(hierarchy, placement, &mut missing)) {
                Some(Ok(node)) => Layout::V2(node),
                Some(Err(error)) => {
                    absent(&mut missing, &ALL, &error.to_string(), &error.remedy);
                    Layout::None
                }
                None => {
                    absent(
                        &mut missing,
                        &ALL,
                        "no cgroup file system is mounted",
                        "mount -t cgroup2 none /sys/fs/cgroup",
                    );
                    Layout::None
                }
            }
        };
        Ok(Self { layout, container, missing })
    }

    /// What `resolve` needs to know of it.
    #[must_use]
    pub fn facts(&self) -> CgroupFacts {
        match &self.layout {
            Layout::V2(node) => CgroupFacts::V2 { controllers: node.offered.clone() },
            Layout::V1 { nodes, unified } => {
                let mut controllers: Vec<Controller> =
                    nodes.iter().flat_map(|node| node.controllers.iter().copied()).collect();
                controllers.sort_unstable();
                if controllers.is_empty() && unified.is_none() {
                    return CgroupFacts::None;
                }
                CgroupFacts::V1 { controllers, unified: unified.is_some() }
            }
            Layout::None => CgroupFacts::None,
        }
    }

    /// The controllers that limits cannot be set with here, for messages and `doctor`.
    #[must_use]
    pub fn missing(&self) -> &[Missing] {
        &self.missing
    }

    /// The directory below `base` that groups are made in. Nothing of ours stays in the supervisor's
    /// own cgroup after a run: whoever made that must be able to remove it.
    pub(crate) fn ensure_container(&self, base: &Dir) -> Result<Dir, CgroupError> {
        match &self.container {
            Some(name) => base.ensure(name),
            None => base.open(""),
        }
    }

    /// The same, where it is there already.
    pub(crate) fn open_container(&self, base: &Dir) -> Result<Dir, CgroupError> {
        base.open(self.container.as_deref().unwrap_or_default())
    }

    /// Why a limit of this controller cannot be set here.
    pub(crate) fn lacks(&self, controller: Controller) -> CgroupError {
        let known = self.missing.iter().find(|missing| missing.controller == controller);
        let (why, remedy) = known.map_or(
            ("the plan names no hierarchy for it", "resolve the profile again on this host"),
            |missing| (missing.why.as_str(), missing.remedy.as_str()),
        );
        CgroupError::found("limit", format!("{}: {why}", controller.name()), remedy)
    }
}

fn proc(name: &str) -> Result<String, CgroupError> {
    let path = format!("/proc/self/{name}");
    // With room from the start: `read_to_string` alone begins with 32 bytes, because a file of proc
    // has no length.
    let mut text = String::with_capacity(16 << 10);
    std::fs::File::open(&path)
        .and_then(|mut file| std::io::Read::read_to_string(&mut file, &mut text))
        .map_err(|error| {
            let errno =
                rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::ILSEQ);
            CgroupError::refused("read", path, errno)
        })?;
    Ok(text)
}

fn absent(missing: &mut Vec<Missing>, which: &[Controller], why: &str, remedy: &str) {
    missing.extend(which.iter().map(|controller| Missing {
        controller: *controller,
        why: why.to_owned(),
        remedy: remedy.to_owned(),
    }));
}

/// The directory below which groups are made, if one can be made there.
fn base(hierarchy: &Hierarchy) -> Result<Dir, CgroupError> {
    let Some(own) = &hierarchy.own else {
        return Err(CgroupError::found(
            "open",
            hierarchy.mount.display().to_string(),
            "the supervisor's own cgroup is not visible below this mount: mount the cgroup file system again in this namespace",
        ));
    };
    let base = Dir::mount(&hierarchy.mount)?.open(own)?;
    base.writable()?;
    Ok(base)
}

fn v1_nodes(seen: &[Hierarchy], missing: &mut Vec<Missing>) -> Vec<V1Node> {
    let mut nodes = Vec::new();
    for hierarchy in seen.iter().filter(|hierarchy| !hierarchy.unified) {
        let ours: Vec<Controller> = ALL
            .into_iter()
            .filter(|ours| hierarchy.controllers.iter().any(|name| name == ours.name()))
            .collect();
        if ours.is_empty() {
            continue;
        }
        match base(hierarchy) {
            Ok(base) => {
                let (has, lacks): (Vec<_>, Vec<_>) =
                    ours.into_iter().partition(|ours| match ours {
                        Controller::Memory => base.has("memory.limit_in_bytes"),
                        // The root of the hierarchy has no file of this controller to look for.
                        Controller::Pids => true,
                        Controller::Cpu => base.has("cpu.cfs_quota_us"),
                    });
                absent(missing, &lacks, "this kernel lacks the limit", "use a kernel that has it");
                if !has.is_empty() {
                    nodes.push(V1Node { controllers: has, base });
                }
            }
            Err(error) => absent(missing, &ours, &error.to_string(), &error.remedy),
        }
    }
    let mounted = |ours: &Controller| {
        seen.iter().any(|hierarchy| hierarchy.controllers.iter().any(|name| name == ours.name()))
    };
    let unmounted: Vec<Controller> = ALL.into_iter().filter(|ours| !mounted(ours)).collect();
    absent(
        missing,
        &unmounted,
        "its v1 hierarchy is not mounted",
        "mount -t cgroup -o <controller> none /sys/fs/cgroup/<controller>",
    );
    nodes
}

fn v2_node(
    hierarchy: &Hierarchy,
    placement: &Placement,
    missing: &mut Vec<Missing>,
) -> Result<V2Node, CgroupError> {
    const DELEGATE: &str = "run it in a cgroup of its own: systemd-run --scope -p Delegate=yes sandboxd …; or name a parent in /etc/sandboxd/config.toml: [cgroups] parent = \"sandboxd\"";
    let own = node_of(hierarchy)?;
    let base = own.base;
    let available = v2::listed(&base, "cgroup.controllers")?;
    let enabled = v2::listed(&base, "cgroup.subtree_control")?;
    let (offered, leave_first) = if available.iter().all(|one| enabled.contains(one)) {
        (enabled, false)
    } else if let Placement::Below(_) = placement {
        // An operator's word for where groups lie is no word for changing what is above them.
        (enabled, false)
    } else if !base.has("cgroup.type") || own.left {
        // The root of the whole hierarchy is exempt from the rule that a node has either processes
        // or controllers for its children; a node that the supervisor left has none.
        (available.clone(), false)
    } else {
        let me = rustix::process::getpid().as_raw_nonzero().get();
        match base.processes()?.as_slice() {
            [] => (available.clone(), false),
            [only] if *only == me => (available.clone(), true),
            _ => (enabled, false),
        }
    };
    let lacks: Vec<Controller> = ALL.into_iter().filter(|ours| !offered.contains(ours)).collect();
    for controller in lacks {
        let (why, remedy) = if available.contains(&controller) {
            ("the supervisor shares its cgroup with other processes", DELEGATE)
        } else {
            ("it is not delegated to the supervisor's cgroup, or the kernel lacks it", DELEGATE)
        };
        absent(missing, &[controller], why, remedy);
    }
    Ok(V2Node { base, offered, leave_first })
}

struct Own {
    base: Dir,
    /// Whether the supervisor already sits in a leaf of the node.
    left: bool,
}

/// The supervisor's own node: its cgroup, or the one above if it sits in the leaf `supervisor` of a
/// node that is its own. That it is shows by systemd's mark of delegation, or by ours.
fn node_of(hierarchy: &Hierarchy) -> Result<Own, CgroupError> {
    if let Some(own) = &hierarchy.own
        && own.file_name().is_some_and(|name| name == LEAF)
    {
        let above = own.parent().unwrap_or(Path::new("")).to_owned();
        let node = Hierarchy { own: Some(above), ..hierarchy.clone() };
        if let Ok(node) = base(&node)
            && is_marked(&node)
        {
            return Ok(Own { base: node, left: true });
        }
    }
    Ok(Own { base: base(hierarchy)?, left: false })
}

/// Marks a node whose processes were moved into a leaf, so that a supervisor that is started from the
/// leaf finds it. Extended attributes of cgroups since kernel 3.7, `user.` ones since 5.7.
pub(crate) fn mark(node: &Dir) -> Result<(), CgroupError> {
    rustix::fs::fsetxattr(node, MARK, b"1", rustix::fs::XattrFlags::empty())
        .map_err(|errno| CgroupError::refused("fsetxattr", node.label(), errno))
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
