//! Where groups can be made on this host: found once per run, from two files of `/proc` and a look
//! at each hierarchy. Nothing is made or written here.

use super::CgroupError;
use super::dir::Dir;
use super::mounts::{Hierarchy, hierarchies};
use super::node::{self, Found, V2Node};
use crate::systemd::scope;
use sandboxd_profiles::host::{CgroupFacts, Controller, Gap};
use std::collections::BTreeMap;

/// Those that limits are set with.
pub(crate) const CONTROLLERS: [Controller; 4] =
    [Controller::Memory, Controller::Pids, Controller::Cpu, Controller::Io];

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
    /// Why, and what to do.
    pub gap: Gap,
}

/// Where groups can be made.
#[derive(Debug)]
pub struct Tree {
    pub(crate) layout: Layout,
    /// The directory that holds them, where not the base itself.
    container: Option<String>,
    missing: Vec<Missing>,
    /// Where that is and whose it is, in words.
    placed: String,
    /// The cgroup that this process is in and systemd would take it out of, into a scope of its own.
    asks_from: Option<String>,
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
        let unified = seen.iter().find(|hierarchy| hierarchy.unified);
        let mut tree = Self {
            layout: Layout::None,
            container,
            missing: Vec::new(),
            placed: String::from("nowhere"),
            asks_from: None,
        };
        if seen.iter().any(Self::limits_with) {
            let unified = unified.and_then(|hierarchy| base(hierarchy).ok());
            tree.layout = Layout::V1 { nodes: v1_nodes(&seen, &mut tree.missing), unified };
            tree.placed = match placement {
                Placement::Own => String::from("in the supervisor's own, of each hierarchy"),
                Placement::Below(name) => format!("below {name}, of each hierarchy"),
            };
            return Ok(tree);
        }
        match unified {
            Some(hierarchy) => tree.look(hierarchy, placement),
            None => absent(
                &mut tree.missing,
                &CONTROLLERS,
                "no cgroup file system is mounted",
                "mount -t cgroup2 none /sys/fs/cgroup",
            ),
        }
        Ok(tree)
    }

    /// The same, and where systemd has this process in a cgroup that it did not delegate, asks it
    /// for a scope first. That moves the process, so it is for those that run sandboxes.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub fn settle(placement: &Placement) -> Result<Self, CgroupError> {
        let mut tree = Self::find(placement)?;
        let Some(own) = tree.asks_from.take() else { return Ok(tree) };
        match scope::enter(&own) {
            Ok(()) => Self::find(placement),
            Err(no) => {
                tree.missing.clear();
                absent(&mut tree.missing, &CONTROLLERS, &no.what, &no.remedy);
                Ok(tree)
            }
        }
    }

    /// The same host, with groups made there.
    pub(crate) fn elsewhere(&self, layout: Layout) -> Self {
        Self {
            layout,
            container: None,
            missing: self.missing.clone(),
            placed: String::from("in that of its caller"),
            asks_from: None,
        }
    }

    fn look(&mut self, hierarchy: &Hierarchy, placement: &Placement) {
        match node::find(hierarchy, placement, &mut self.missing) {
            Ok(Found::Node(node, words)) => {
                self.layout = Layout::V2(node);
                self.placed = words;
            }
            Ok(Found::Ask(own)) => {
                absent(
                    &mut self.missing,
                    &CONTROLLERS,
                    &format!("systemd did not delegate {own}, where sandboxd is"),
                    "none needed: a run asks systemd for a scope of its own",
                );
                self.placed =
                    String::from("in a scope of its own, which each run asks systemd for");
                self.asks_from = Some(own);
            }
            Ok(Found::Foreign(why, remedy)) => {
                absent(&mut self.missing, &CONTROLLERS, &why, remedy);
            }
            Err(error) => {
                absent(&mut self.missing, &CONTROLLERS, &error.why(), &error.remedy);
            }
        }
    }

    /// What [`Cgroups::missing`] tells, as `resolve` needs to know it.
    #[must_use]
    pub fn gaps(&self) -> BTreeMap<Controller, Gap> {
        self.missing.iter().map(|one| (one.controller, one.gap.clone())).collect()
    }

    /// Where groups are made and whose that is, in words.
    #[must_use]
    pub fn placed(&self) -> &str {
        &self.placed
    }

    /// Whether a v1 hierarchy has a controller that limits are set with.
    pub(crate) fn limits_with(hierarchy: &Hierarchy) -> bool {
        CONTROLLERS
            .iter()
            .any(|ours| hierarchy.controllers.iter().any(|name| name == ours.v1_name()))
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
            |missing| (missing.gap.why.as_str(), missing.gap.remedy.as_str()),
        );
        CgroupError::found("limit", format!("{}: {why}", controller.name()), remedy)
    }
}

pub(crate) fn proc(name: &str) -> Result<String, CgroupError> {
    let path = format!("/proc/self/{name}");
    crate::proc::read(&path).map_err(|errno| CgroupError::refused("read", path, errno))
}

pub(crate) fn absent(missing: &mut Vec<Missing>, which: &[Controller], why: &str, remedy: &str) {
    missing.extend(which.iter().map(|controller| Missing {
        controller: *controller,
        gap: Gap { why: why.to_owned(), remedy: remedy.to_owned() },
    }));
}

/// The directory below which groups are made, if one can be made there.
pub(crate) fn base(hierarchy: &Hierarchy) -> Result<Dir, CgroupError> {
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
        let ours: Vec<Controller> = CONTROLLERS
            .into_iter()
            .filter(|ours| hierarchy.controllers.iter().any(|name| name == ours.v1_name()))
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
                        Controller::Io => base.has("blkio.throttle.read_bps_device"),
                    });
                absent(missing, &lacks, "this kernel lacks the limit", "use a kernel that has it");
                if !has.is_empty() {
                    nodes.push(V1Node { controllers: has, base });
                }
            }
            Err(error) => absent(missing, &ours, &error.why(), &error.remedy),
        }
    }
    let mounted = |ours: &Controller| {
        seen.iter().any(|hierarchy| hierarchy.controllers.iter().any(|name| name == ours.v1_name()))
    };
    let unmounted: Vec<Controller> =
        CONTROLLERS.into_iter().filter(|ours| !mounted(ours)).collect();
    absent(
        missing,
        &unmounted,
        "its v1 hierarchy is not mounted",
        "mount -t cgroup -o <controller> none /sys/fs/cgroup/<controller>",
    );
    nodes
}
