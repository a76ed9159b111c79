//! What is told about a run: the receipt, before the command runs, of what was enforced; the result,
//! after it, of what became of it.

use super::denials::Denials;
use super::digests::{Digests, Under};
use super::egress::Used;
use super::ended::{Ended, ended};
use super::error::StartError;
use super::inspect::Inspected;
use super::purse::UsedUp;
use super::state::{End, Limit};
use crate::calls::Called;
use crate::cgroup::{Pressures, Usage};
use sandboxd_egress_plan::{Budget, EgressPlan, Ways, money};
use sandboxd_plan::{Enforced, Landlock, Layers, Plan};
use sandboxd_profiles::resolved::{Absent, Waived};
use sandboxd_profiles::{HostFacts, Placeholder, Resolved};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What was enforced, as the kernel answered when it was tried.
#[derive(Debug, Clone, Serialize)]
pub struct Receipt {
    /// Version of this format.
    pub version: u32,
    /// The sandbox's id.
    pub sandbox: String,
    /// The version of sandboxd.
    pub sandboxd: &'static str,
    /// `uname -r`.
    pub kernel: String,
    /// Landlock ABI; nothing where waived.
    pub landlock_abi: Option<u32>,
    /// Landlock errata that the kernel has fixed, a bit mask.
    pub landlock_errata: Option<u32>,
    /// Each layer, and whether it is on.
    pub layers: Vec<Layer>,
    /// Whose rulesets and whose filters hold, in the order in which they were put on.
    pub stacked: Stacked,
    /// What the operator allowed this host to lack.
    pub waived: Vec<Waived>,
    /// Layers that the profile chose to do without, and what follows.
    pub absent: Vec<Absent>,
    /// SHA-256 of the effective profile as `sandboxd profile show` prints it.
    pub profile_sha256: String,
    /// The profiles it was run under, the outermost first.
    pub under: Vec<Under>,
    /// SHA-256 of the plan the shim read.
    pub plan_sha256: String,
    /// Each probe of the self-test, and the errno it met.
    pub probes: Enforced,
    /// Where its network leads; nothing where that is nowhere, or the host's.
    pub egress: Option<WayOut>,
    /// Where secrets stand in the arguments of its calls, by their names.
    pub placeholders: Vec<Placeholder>,
    /// The command's uid.
    pub uid: u32,
    /// The command's gid.
    pub gid: u32,
    /// Where its cgroups lie and whose that place is, in words.
    pub cgroup_placement: String,
    /// The sandbox as seen from outside.
    pub outside: Inspected,
}

/// One restriction.
#[derive(Debug, Clone, Serialize)]
pub struct Layer {
    /// Which.
    pub name: &'static str,
    /// Whether it is on.
    pub state: LayerState,
}

/// Whether a restriction is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LayerState {
    /// It is.
    Enforced,
    /// The host lacks it, by leave of `[require]`.
    Waived,
    /// The profile chose to do without.
    Absent,
}

/// The way out.
#[derive(Debug, Clone, Serialize)]
pub struct WayOut {
    /// How a connection comes to the egress process: `redirect` where the kernel leads all of them there,
    /// `proxy` where a program asks for it and whatever else it opens goes nowhere, or `both`.
    pub by: &'static str,
    /// What is let out, as the profiles have it.
    pub rules: Vec<String>,
    /// Those of them for which TLS is ended, and what is put into their requests.
    pub ended: Vec<Ended>,
    /// What may be used up, by whose budget.
    pub budgets: Vec<Bears>,
}

/// A budget that bears what goes out.
#[derive(Debug, Clone, Serialize)]
pub struct Bears {
    /// Whose it is.
    pub of: String,
    /// Tokens; nothing where they have no limit.
    pub tokens: Option<u64>,
    /// What they may cost; nothing where that has no limit.
    pub cost: Option<String>,
    /// Bytes; nothing where they have no limit.
    pub bytes: Option<u64>,
}

impl Bears {
    fn new(budget: &Budget) -> Self {
        let Budget { of, tokens, cost, bytes, prices: _ } = budget;
        let cost = cost.most().map(money);
        Self { of: of.clone(), tokens: tokens.most(), cost, bytes: bytes.most() }
    }
}

impl WayOut {
    fn new(plan: &EgressPlan) -> Self {
        let rules = plan.rules.iter().map(|rule| rule.written.clone()).collect();
        let budgets = plan.budgets.iter().map(Bears::new).collect();
        let by = match plan.ways {
            Ways::Transparent => "redirect",
            Ways::Proxy => "proxy",
            Ways::Both => "both",
        };
        Self { by, rules, ended: ended(plan), budgets }
    }
}

/// Layers of one kind, by the names of the profiles they come from.
#[derive(Debug, Clone, Serialize)]
pub struct Stacked {
    /// Landlock domains; none where waived.
    pub landlock: Vec<String>,
    /// Seccomp filters.
    pub seccomp: Vec<String>,
}

/// Everything a receipt is made from.
pub(crate) struct Facts<'a> {
    pub(crate) resolved: &'a Resolved,
    pub(crate) host: &'a HostFacts,
    pub(crate) digests: &'a Digests,
    pub(crate) enforced: &'a Enforced,
    pub(crate) inspected: &'a Inspected,
    pub(crate) placed: &'a str,
}

impl Receipt {
    pub(crate) fn new(facts: &Facts<'_>) -> Self {
        let Plan { id, command, .. } = &facts.resolved.plan;
        let landlock = facts.host.landlock.filter(|_| confines(&command.landlock));
        Self {
            version: 1,
            sandbox: id.clone(),
            sandboxd: env!("CARGO_PKG_VERSION"),
            kernel: facts.host.kernel.clone(),
            landlock_abi: landlock.map(|facts| facts.abi),
            landlock_errata: landlock.map(|facts| facts.errata),
            layers: layers(facts),
            stacked: Stacked {
                landlock: names(&command.landlock, |rules| rules.handled_fs != 0),
                seccomp: names(&command.syscalls, |_| true),
            },
            waived: facts.resolved.waived.clone(),
            absent: facts.resolved.absent.clone(),
            profile_sha256: facts.digests.profile_sha256.clone(),
            under: facts.digests.under.clone(),
            plan_sha256: facts.digests.plan_sha256.clone(),
            probes: facts.enforced.clone(),
            egress: facts.resolved.outside.egress.as_ref().map(WayOut::new),
            placeholders: facts.resolved.outside.placeholders.clone(),
            uid: command.identity.uid,
            gid: command.identity.gid,
            cgroup_placement: facts.placed.to_owned(),
            outside: facts.inspected.clone(),
        }
    }
}

impl Receipt {
    /// The very bytes of the file, so that sha256sum(1) gives the digest of the result.
    pub(crate) fn text(&self) -> Result<String, StartError> {
        serde_json::to_string_pretty(self)
            .map(|text| text + "\n")
            .map_err(|error| StartError::found("encode", error.to_string()))
    }
}

/// Whether every ruleset is one.
fn confines(landlock: &Layers<Landlock>) -> bool {
    landlock.iter().all(|layer| layer.rules.handled_fs != 0)
}

fn names<T>(layers: &Layers<T>, on: impl Fn(&T) -> bool) -> Vec<String> {
    layers.iter().filter(|layer| on(&layer.rules)).map(|layer| layer.of.clone()).collect()
}

fn layers(facts: &Facts<'_>) -> Vec<Layer> {
    use sandboxd_plan::{Bounding, Groups, Identity, Namespace};
    let resolved = facts.resolved;
    let plan = &resolved.plan;
    let (init, Identity { uid, groups, .. }) = (plan.init.identity.uid, plan.command.identity);
    let absent = |name| resolved.absent.iter().any(|one| one.layer == name);
    let own = |namespace| plan.namespaces.own.contains(&namespace);
    [
        ("mount-view", own(Namespace::Mnt)),
        ("pid-namespace", own(Namespace::Pid)),
        ("ipc-namespace", own(Namespace::Ipc)),
        ("network-namespace", own(Namespace::Net)),
        ("signals", true),
        ("landlock", confines(&plan.command.landlock)),
        ("seccomp", true),
        ("no-new-privs", true),
        ("capabilities", true),
        ("bounding-set", plan.bounding == Bounding::Emptied),
        ("uid", uid != 0 && uid != init),
        ("groups", groups == Groups::Emptied || facts.host.groups.is_empty()),
        ("file-attributes", !absent("file-attributes")),
        ("cgroup", resolved.outside.cgroup.is_some()),
        ("rlimits", true),
    ]
    .into_iter()
    .map(|(name, on)| {
        let state = match (on, absent(name)) {
            (true, _) => LayerState::Enforced,
            (false, true) => LayerState::Absent,
            (false, false) => LayerState::Waived,
        };
        Layer { name, state }
    })
    .collect()
}

/// signal(7).
const SIGSYS: u8 = 31;

/// What became of the command.
#[derive(Debug, Clone, Serialize)]
pub struct RunResult {
    /// The sandbox's id.
    pub sandbox: String,
    /// The command's exit status, where it exited.
    pub exit: Option<u8>,
    /// The signal that ended it, where one did.
    pub signal: Option<u8>,
    /// Whether it ended of SIGSYS, which is what its filter gives whoever calls the kernel as another
    /// architecture does. Any other refusal is an errno, of which the program alone is told.
    pub denied: bool,
    /// Whether the kernel ended something in it for want of memory.
    pub oom: bool,
    /// Whether it ended all of it at once, as it does on cgroup v2; nothing where it does not tell.
    pub oom_group: Option<bool>,
    /// Whether its wall time was used up.
    pub timeout: bool,
    /// Whether its CPU time was used up.
    pub cpu_limit: bool,
    /// Whether its output was cut off.
    pub output_limit: bool,
    /// Most memory at one time, in bytes; nothing where the host keeps no such account.
    pub memory_peak: Option<u64>,
    /// CPU time in milliseconds, of all it started.
    pub cpu_time_ms: Option<u64>,
    /// Most processes and threads at one time, init counted.
    pub processes_peak: Option<u64>,
    /// How often a process could not be started because of the limit.
    pub processes_refused: Option<u64>,
    /// Bytes read from disks; nothing where the host keeps no such account.
    pub io_read_bytes: Option<u64>,
    /// Bytes written to disks.
    pub io_written_bytes: Option<u64>,
    /// How long its processes were held up for want of CPUs, memory or disks.
    pub pressure: Pressures,
    /// Wall time in milliseconds, from the command line to the end.
    pub wall_time_ms: u64,
    /// Protected paths that appeared during the run: the host may execute these. Behind `default ACL: `, folders that
    /// got one; behind `not looked through: `, what was not seen whole, and why.
    pub may_execute: Vec<String>,
    /// What went out; nothing where the network is empty, or the host's.
    pub egress: Option<Used>,
    /// What it was refused, as far as that is known.
    pub denials: Denials,
    /// What came of its calls, and of those of all that it called; over each edge that anything was called over.
    pub called: Vec<Called>,
    /// What was used of its budget, by itself and whatever acted for it; nothing where nobody could.
    pub budget: Option<UsedUp>,
    /// SHA-256 of the receipt, as it stands in the file of `--receipt`; nothing where nobody reads it.
    pub receipt_sha256: Option<String>,
}

impl RunResult {
    pub(crate) fn new(sandbox: &str, end: &End, usage: Usage, wall_time: Duration) -> Self {
        let (exit, signal, why) = match end {
            End::Exited { status, why } => (Some(*status), None, *why),
            End::Signaled { signal, why } => (None, Some(*signal), *why),
            End::Failed(_) | End::Silent => (None, None, None),
        };
        Self {
            sandbox: sandbox.to_owned(),
            exit,
            signal,
            denied: signal == Some(SIGSYS),
            oom: usage.oom_kills.is_some_and(|kills| kills > 0),
            oom_group: usage.oom_group_kills.map(|kills| kills > 0),
            timeout: why == Some(Limit::WallTime),
            cpu_limit: why == Some(Limit::CpuTime),
            output_limit: why == Some(Limit::Output),
            memory_peak: usage.memory_peak,
            cpu_time_ms: usage.cpu_us.map(|micros| micros / 1000),
            processes_peak: usage.processes_peak,
            processes_refused: usage.processes_refused,
            io_read_bytes: usage.io_read,
            io_written_bytes: usage.io_written,
            pressure: usage.pressure,
            wall_time_ms: u64::try_from(wall_time.as_millis()).unwrap_or(u64::MAX),
            may_execute: Vec::new(),
            egress: None,
            denials: Denials::default(),
            called: Vec::new(),
            budget: None,
            receipt_sha256: None,
        }
    }

    /// Changes every text in it that the command had a hand in.
    pub(super) fn tell_no_secret(&mut self, change: impl Fn(&mut String)) {
        self.may_execute.iter_mut().for_each(&change);
        let used = self.egress.iter_mut();
        used.flat_map(|used| &mut used.refused).for_each(|refused| change(&mut refused.to));
        // What a model is called says its API.
        if let Some(used) = &mut self.budget {
            let models = std::mem::take(&mut used.models).into_iter();
            used.models = models
                .map(|(mut name, model)| {
                    change(&mut name);
                    (name, model)
                })
                .collect();
        }
        self.denials.calls.iter_mut().for_each(|denied| change(&mut denied.by));
        for called in &mut self.called {
            let refused = called.refused.iter_mut().flat_map(|one| &mut one.tools);
            called.tools.iter_mut().chain(refused).for_each(&change);
        }
    }

    /// The exit status of `sandboxd run`.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match (self.timeout, self.exit, self.signal) {
            (true, _, _) => 124,
            (false, Some(status), _) => status,
            (false, None, Some(signal)) => 128_u8.saturating_add(signal),
            (false, None, None) => 125,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(end: &End) -> RunResult {
        RunResult::new("x", end, Usage::default(), Duration::ZERO)
    }

    #[test]
    fn what_there_is_none_of_is_null_in_the_result() {
        let told = serde_json::to_value(result(&End::Silent)).unwrap();
        for place in ["/receipt_sha256", "/denials/unseen", "/egress", "/exit", "/memory_peak"] {
            assert_eq!(told.pointer(place), Some(&serde_json::Value::Null), "{place}");
        }
    }

    #[test]
    fn exit_statuses_are_the_commands_own_or_say_what_ended_it() {
        assert_eq!(result(&End::Exited { status: 7, why: None }).exit_status(), 7);
        assert_eq!(result(&End::Signaled { signal: 11, why: None }).exit_status(), 139);
        let why = Some(Limit::WallTime);
        assert_eq!(result(&End::Signaled { signal: 15, why }).exit_status(), 124);
        assert_eq!(result(&End::Exited { status: 0, why }).exit_status(), 124);
        assert_eq!(result(&End::Silent).exit_status(), 125);
    }
}
