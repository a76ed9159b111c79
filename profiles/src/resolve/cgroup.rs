//! How much the sandbox may use as a whole: what its cgroup is told.

use super::Deciding;
use super::limits::{CPU_MILLI, MEMORY, amount};
use super::trees::Shown;
use crate::host::{CgroupFacts, Controller, Disk, DiskFact};
use crate::resolved::{CgroupLimits, IoLimit};
use std::collections::BTreeSet;

impl Deciding<'_> {
    /// Whether a process can be started in the cgroup.
    pub(super) fn can_be_joined(&mut self) -> bool {
        let v2 = matches!(self.host.cgroups, CgroupFacts::V2 { .. });
        let joined = !v2 || self.host.clone3;
        if !joined {
            self.lacking(
                "cgroup",
                "memory, swap, cpus and processes are not limited: clone3(2), the only call that \
                 starts a process in its cgroup, is refused here",
            );
        }
        joined
    }

    /// The limits; nothing where there are no cgroups and the profile waives them.
    /// `per_user` is whether processes are limited without one as well.
    pub(super) fn cgroup(
        &mut self,
        processes: Option<u64>,
        per_user: bool,
        shown: &Shown,
    ) -> Option<CgroupLimits> {
        if self.host.cgroups == CgroupFacts::None {
            let gap = self.host.cgroup_gaps.values().next();
            // Without root they are counted in the sandbox's own user namespace.
            let what = if self.is_rootless() {
                "memory, swap and cpus are not limited as a whole"
            } else {
                "memory, swap, cpus and processes are not limited"
            };
            self.lacking_for("cgroup", what, gap);
            return None;
        }
        let limits = &self.profile.limits;
        let memory = amount(limits.memory.as_ref(), MEMORY);
        let high = self.high(memory);
        let io = self.io(shown);
        let mut decided = CgroupLimits {
            memory,
            memory_high: high,
            swap: amount(limits.swap.as_ref(), 0),
            cpu_milli: amount(limits.cpus.as_ref(), CPU_MILLI),
            cpu_weight: limits.cpu_weight.as_ref().and_then(|weight| weight.value.limit()),
            processes,
            io,
            v1: Vec::new(),
        };
        self.without_missing(&mut decided, per_user);
        if let CgroupFacts::V1 { controllers, .. } = &self.host.cgroups {
            // Joining a hierarchy costs something: only where something is to be limited there.
            let used = |one: &Controller| *one != Controller::Io || !decided.io.is_empty();
            decided.v1 = controllers.iter().copied().filter(used).collect();
            decided.v1.sort_unstable();
            decided.v1.dedup();
        }
        Some(decided)
    }

    /// Leaves out what this host has no controller for, where the profile lets it lack that.
    fn without_missing(&mut self, decided: &mut CgroupLimits, per_user: bool) {
        for (controller, asked, what) in [
            (
                Controller::Memory,
                decided.memory.is_some() || decided.swap.is_some(),
                "memory and swap are not limited: no memory controller",
            ),
            (
                Controller::Cpu,
                decided.cpu_milli.is_some() || decided.cpu_weight.is_some(),
                "cpus are not limited: no cpu controller",
            ),
            (
                Controller::Pids,
                decided.processes.is_some(),
                if per_user {
                    "processes are limited only per user: no pids controller"
                } else {
                    "processes are not limited: no pids controller"
                },
            ),
            (
                Controller::Io,
                !decided.io.is_empty(),
                "input and output are not limited: no io controller",
            ),
        ] {
            if self.host.cgroups.controllers().contains(&controller) {
                continue;
            }
            if asked {
                let gap = self.host.cgroup_gaps.get(&controller);
                self.lacking_for(&format!("cgroup.{}", controller.name()), what, gap);
            }
            match controller {
                Controller::Memory => {
                    (decided.memory, decided.memory_high, decided.swap) = (None, None, None);
                }
                Controller::Cpu => (decided.cpu_milli, decided.cpu_weight) = (None, None),
                Controller::Pids => decided.processes = None,
                Controller::Io => decided.io.clear(),
            }
        }
    }

    /// From where on the kernel slows the command down, where the profile says so.
    fn high(&mut self, memory: Option<u64>) -> Option<u64> {
        let written = self.profile.limits.memory_high.as_ref()?;
        let high = written.value.limit()?;
        if memory.is_some_and(|memory| high > memory) {
            self.refuse(
                &written.origin,
                "is more than [limits].memory, which is reached first",
                "write less than [limits].memory",
            );
        }
        if matches!(self.host.cgroups, CgroupFacts::V1 { .. }) {
            self.lacking("cgroup.memory", "memory_high has no effect: cgroup v1");
            return None;
        }
        Some(high)
    }

    /// A limit for each disk that something granted lies on.
    fn io(&mut self, shown: &Shown) -> Vec<IoLimit> {
        let limits = &self.profile.limits;
        let limit = |rate: &Option<crate::origin::Written<crate::quantity::Amount>>| {
            rate.as_ref().and_then(|rate| rate.value.limit())
        };
        let (read, write) = (limit(&limits.io_read), limit(&limits.io_write));
        if read.is_none() && write.is_none() {
            return Vec::new();
        }
        let mut disks: BTreeSet<Disk> = BTreeSet::new();
        let mut without: BTreeSet<String> = BTreeSet::new();
        for tree in &shown.trees {
            let why = match self.host.disks.get(&tree.from) {
                Some(DiskFact::Disk(disk)) => {
                    disks.insert(*disk);
                    None
                }
                // What is read there was in memory before.
                Some(DiskFact::Memory) => tree.write.then(|| format!("{} is in memory", tree.from)),
                Some(DiskFact::Without(name)) => (tree.write || read.is_some())
                    .then(|| format!("{} is on {name}, which has no known disk", tree.from)),
                None => Some(format!("the disk that holds {} is not known", tree.from)),
            };
            without.extend(why);
        }
        for why in without {
            self.lacking("cgroup.io", &format!("input and output are not limited there: {why}"));
        }
        disks.into_iter().map(|disk| IoLimit { disk, read, write }).collect()
    }
}
