//! How much the command may use: per process by the shim, as a whole by the cgroup (see [`super::cgroup`]).

use super::Deciding;
use super::trees::Shown;
use crate::host::{Controller, CoreFact};
use crate::origin::Written;
use crate::quantity::Amount;
use crate::resolved::CgroupLimits;
use sandboxd_plan::{Identity, Limits, Resource, Rlimit};

/// The limits of both sides.
pub(super) struct Decided {
    pub(super) plan: Limits,
    pub(super) cgroup: Option<CgroupLimits>,
    pub(super) wall_time_ms: Option<u64>,
    pub(super) cpu_time_ms: Option<u64>,
    pub(super) output: Option<u64>,
}

/// Where a profile is silent. `limits.rs` of the schema says the same to the operator.
pub(crate) const MEMORY: u64 = 512 << 20;
pub(crate) const CPU_MILLI: u64 = 1000;
pub(crate) const PROCESSES: u64 = 128;
pub(crate) const OPEN_FILES: u64 = 1024;
pub(crate) const FILE_SIZE: u64 = 1 << 30;
pub(crate) const WALL_TIME_MS: u64 = 600_000;
pub(crate) const OUTPUT: u64 = 64 << 20;

/// `fs.nr_open` of every kernel that was not told otherwise.
const NR_OPEN: u64 = 1 << 20;
/// Bytes one process may keep from being swapped: the kernel's own default (since 5.16).
const MEMLOCK: u64 = 8 << 20;
/// Bytes of POSIX message queues: the kernel's own default.
const MSGQUEUE: u64 = 819_200;
const SIGPENDING: u64 = 4096;
/// Killed before anything else of the host's when memory runs out.
const OOM_SCORE_ADJ: i32 = 500;

impl Deciding<'_> {
    pub(super) fn limits(&mut self, identity: Identity, shown: &Shown) -> Decided {
        let limits = &self.profile.limits;
        let processes = amount(limits.processes.as_ref(), PROCESSES);
        let cpu_time_ms = limits.cpu_time.as_ref().and_then(|time| time.value.limit());
        let mut rlimits = vec![
            // A core of 1 byte, because 0 does not keep a piped handler from running, core(5).
            Rlimit { resource: Resource::Core, value: 1 },
            Rlimit { resource: Resource::Nofile, value: self.open_files() },
            Rlimit {
                resource: Resource::Fsize,
                value: amount(limits.file_size.as_ref(), FILE_SIZE).unwrap_or(u64::MAX),
            },
            Rlimit { resource: Resource::Memlock, value: MEMLOCK },
            Rlimit { resource: Resource::Msgqueue, value: MSGQUEUE },
            Rlimit { resource: Resource::Sigpending, value: SIGPENDING },
            Rlimit { resource: Resource::Nice, value: 0 },
            Rlimit { resource: Resource::Rtprio, value: 0 },
        ];
        // Counted per user, and per user namespace: another user's processes elsewhere must not count.
        // One more than the cgroup lets be, where there is one, because only the cgroup tells how often
        // it refused; and one for init, where it is the same user. Without a user namespace the caller's
        // own processes would count.
        let rootless = self.is_rootless();
        let own_user = (identity.uid == self.lease.uid || rootless) && !self.is_bare();
        let counted = self.host.cgroups.controllers().contains(&Controller::Pids);
        if let (true, Some(processes)) = (own_user, processes) {
            let value = processes.saturating_add(u64::from(counted) + u64::from(rootless));
            rlimits.push(Rlimit { resource: Resource::Nproc, value });
        }
        // No process can use more than all of them together may. A second later than the supervisor,
        // who asks before it kills, and says why.
        if let Some(time) = cpu_time_ms {
            rlimits.push(Rlimit { resource: Resource::Cpu, value: time.div_ceil(1000) + 1 });
        }
        self.keep_within_own(&mut rlimits);
        self.unhandled(&rlimits);
        Decided {
            plan: Limits { rlimits, oom_score_adj: OOM_SCORE_ADJ },
            cgroup: if self.can_be_joined() {
                self.cgroup(processes, own_user, shown)
            } else {
                None
            },
            wall_time_ms: amount(limits.wall_time.as_ref(), WALL_TIME_MS),
            cpu_time_ms,
            output: amount(limits.output.as_ref(), OUTPUT),
        }
    }

    /// Nobody without `CAP_SYS_RESOURCE` gets more than the supervisor itself has. What the profile asks
    /// for and is not to be had is a problem; what it is silent about is less then.
    fn keep_within_own(&mut self, rlimits: &mut [Rlimit]) {
        for limit in rlimits {
            let Some(most) = self.host.hard_limits.get(&limit.resource).copied() else { continue };
            let limits = &self.profile.limits;
            let written = match limit.resource {
                Resource::Fsize => limits.file_size.as_ref(),
                Resource::Cpu => limits.cpu_time.as_ref(),
                Resource::Nproc => limits.processes.as_ref(),
                Resource::Core
                | Resource::Memlock
                | Resource::Msgqueue
                | Resource::Nice
                | Resource::Nofile
                | Resource::Rtprio
                | Resource::Sigpending
                | Resource::Stack => None,
            };
            // A second more than was asked for: see above.
            let asked = if limit.resource == Resource::Cpu { most + 1 } else { most };
            if let Some(origin) = written.filter(|_| limit.value > asked).map(|one| &one.origin) {
                let what = format!("{}, and sandboxd itself has no more than {most}", limit.value);
                self.refuse(origin, what, "write less, or raise sandboxd's own limit (ulimit)");
            }
            limit.value = limit.value.min(most);
        }
    }

    /// That no handler of the host's runs as root on an image of the command's choice.
    fn unhandled(&mut self, rlimits: &[Rlimit]) {
        let none = rlimits.iter().any(|one| one.resource == Resource::Core && one.value == 0);
        match self.host.cores {
            CoreFact::Program if none => self.lacking(
                "core_handler",
                "kernel.core_pattern runs a program for each command that dies, and a core size limit of 0 does not prevent it: \
                 start sandboxd with a hard limit of 1 or more (ulimit -Hc, LimitCORE=)",
            ),
            CoreFact::Socket => self.lacking(
                "core_handler",
                "kernel.core_pattern sends the core dump of each command that dies to a socket, whatever its limit",
            ),
            CoreFact::Program | CoreFact::File => {}
        }
    }

    /// No more than the supervisor itself may have.
    fn open_files(&mut self) -> u64 {
        let most = self.host.open_files_max;
        let Some(written) = &self.profile.limits.open_files else {
            return most.map_or(OPEN_FILES, |most| most.min(OPEN_FILES));
        };
        match (written.value, most) {
            (Amount::Limited(asked), Some(most)) if asked > most => {
                self.refuse(
                    &written.origin,
                    format!("{asked}, and sandboxd itself may open no more than {most}"),
                    format!("write at most {most}, or raise the limit (ulimit -n, LimitNOFILE=)"),
                );
                most
            }
            (Amount::Limited(asked), None) if asked > NR_OPEN => {
                self.refuse(
                    &written.origin,
                    format!("{asked}; the kernel opens no more than {NR_OPEN} (fs.nr_open)"),
                    format!("write at most {NR_OPEN}"),
                );
                NR_OPEN
            }
            (Amount::Limited(asked), _) => asked,
            (Amount::Unlimited, most) => most.unwrap_or(NR_OPEN).min(NR_OPEN),
        }
    }

    /// Whether nothing may be executed without a file.
    pub(super) fn noexec_memfd(&self) -> bool {
        let fileless = self.profile.syscalls.fileless_exec.as_ref().is_some_and(|word| word.value);
        !fileless && self.host.memfd_noexec && !self.is_rootless() && !self.is_bare()
    }

    /// That the host can forbid it.
    pub(super) fn fileless(&mut self) {
        let fileless = self.profile.syscalls.fileless_exec.as_ref().is_some_and(|word| word.value);
        // Without a pid namespace to set it for, the filter forbids it.
        if !fileless && !self.host.memfd_noexec && !self.is_bare() {
            self.lacking("memfd_noexec", "programs can be executed from memory, without a file");
        } else if !fileless && self.is_rootless() {
            self.lacking(
                "memfd_noexec",
                "programs can be executed from memory, without a file: only root can forbid it",
            );
        }
    }
}

pub(super) fn amount(written: Option<&Written<Amount>>, silent: u64) -> Option<u64> {
    written.map_or(Some(silent), |written| written.value.limit())
}
