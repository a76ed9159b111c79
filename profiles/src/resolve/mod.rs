//! From a profile and the facts of a host to everything the shim executes.
//!
//! Read in this order: [`identity`] (who), [`trees`] (what the profile shows) with [`dangers`], [`under`]
//! (what of that is left under other profiles), [`own`] (what is no command's to write),
//! [`holes`] and [`holds`] (protected names in it), [`view`] (the root it makes), [`landlock`], [`syscalls`],
//! [`calls`] (what it calls through), [`network`] (what goes out) and the [`proxy`], [`limits`], [`cgroup`], [`terminal`], [`command`] with its [`sockets`]
//! and [`credentials`], [`secrets`] (with how they are [`kept`]) and who [`inject`]s them or has them stand for a [`placeholder`], [`probes`]. What is different where the profile chose
//! to have no namespaces is in [`bare`].

mod also;
mod bare;
mod budget;
mod calls;
mod cgroup;
pub(crate) mod command;
mod credentials;
pub(crate) mod dangers;
mod grants;
mod holds;
mod holes;
mod identity;
mod inject;
mod java;
pub(crate) mod kept;
mod kernels;
mod landlock;
pub(crate) mod limits;
pub(crate) mod masks;
mod network;
mod notify;
mod own;
mod placeholder;
mod probes;
mod proxy;
mod resolver;
mod secrets;
mod sockets;
mod sources;
mod ssh;
mod syscalls;
mod terminal;
mod trees;
mod under;
pub(crate) mod view;

use crate::Problem;
use crate::host::{AuditFact, Gap, HostFacts, Lease, Privilege};
use crate::meet::words::narrowed;
use crate::origin::Origin;
use crate::resolved::{Hangup, Outside, Resolved, Waived};
use crate::schema::{Isolation, Profile, Serve};
use grants::Grants;
pub(crate) use grants::count;

pub use budget::budget;
pub use credentials::Credentials;
pub use dangers::SYSTEM;
pub use notify::Manager;
pub use sockets::{Accepts, Listening, Passed};
pub use sources::{Area, Calls, Explained, Sources, Whose};
pub use terminal::Stream;

use sandboxd_plan::{
    Bounding, Confinement, Ending, HostPath, Identity, Keyring, Landlock, Layer, Layers, Namespace,
    Namespaces, Owner, Plan, Root, Session, Text, VERSION,
};

/// What to do where no namespaces are to be had, and what that costs.
pub const IN_A_CONTAINER: &str = "in a container that forbids namespaces: --profile \
     builtin:container, which keeps Landlock, the system call filter and the limits of each process, but \
     has no mount view, no network and pid namespaces, no uid of its own and no protection of \
     git hooks and the like";

/// What belongs to this one run, and neither to the profile nor to the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Invocation {
    /// The caller's environment; only what `[env].pass` names is taken from it.
    pub env: Vec<(Text, Text)>,
    /// What the caller's standard input, output and error are.
    pub streams: [Stream; 3],
    /// What a service manager listens at for the command.
    pub listening: Listening,
    /// What a service manager passes for the command to read.
    pub credentials: Credentials,
    /// Whether it is to be known afterwards which system calls were refused.
    pub told: bool,
    /// Whether a service manager waits for a word, and how soon.
    pub manager: Manager,
    /// Sandboxd's own executable, where somebody carries what the command calls.
    pub program: Option<HostPath>,
    /// The folder of the socket at which the run tells its numbers; nothing where it has none.
    pub metrics: Option<HostPath>,
    /// The folder that the receipt is written to; nothing where that is none, or a device.
    pub receipt: Option<HostPath>,
}

/// Decide everything the shim must not decide. Pure: same arguments, same result.
///
/// # Errors
/// Everything that is wrong with the profile on this host.
pub fn resolve(
    profile: &Profile,
    under: &[Profile],
    host: &HostFacts,
    lease: &Lease,
    invocation: &Invocation,
) -> Result<Resolved, Vec<Problem>> {
    let (narrowed, problems) = narrowed(profile, under);
    let deciding = Deciding { problems, ..Deciding::new(&narrowed, under, (host, lease)) };
    deciding.decided(invocation).map(|(resolved, _)| resolved)
}

/// The same, and where in the profiles it is written.
///
/// # Errors
/// As [`resolve`].
pub fn explain(
    profile: &Profile,
    under: &[Profile],
    host: &HostFacts,
    lease: &Lease,
    invocation: &Invocation,
) -> Result<Explained, Vec<Problem>> {
    let (narrowed, problems) = narrowed(profile, under);
    let here = Deciding::new(&narrowed, under, (host, lease));
    let deciding = Deciding { problems, ..Deciding::new(&narrowed, under, (host, lease)) };
    let (resolved, left) = deciding.decided(invocation)?;
    Ok(Explained { resolved, sources: here.sources(&left) })
}

fn decide(
    mut deciding: Deciding<'_>,
    invocation: &Invocation,
) -> Result<(Resolved, under::Left), Vec<Problem>> {
    let (profile, lease) = (deciding.profile, deciding.lease);
    let identity = deciding.identity();
    let left = deciding.left(identity);
    let shown = &left.shown;
    deciding.own_files_are_safe(shown, invocation);
    deciding.reads_stay_reads(shown);
    let holds = deciding.holds(shown, &left.holes);
    let terminal = deciding.terminal(invocation.streams);
    let egress = deciding.egress(invocation.streams);
    let filters = deciding.filters(&left);
    let limits = deciding.limits(identity, shown);
    let secrets = deciding.secrets(&left);
    let placeholders = deciding.placeholders();
    let credentials = deciding.credentials(&invocation.credentials, &secrets, shown);
    let mut copies = credentials.copies();
    let trusts = deciding.authority(egress.as_ref(), shown, &mut copies);
    let mut grants = Grants::new(&limits, deciding.enters_network());
    grants.copies = count(copies.len());
    let view = match deciding.profile.isolation() {
        Isolation::Namespaces => deciding.view(shown, &holds, identity, &mut grants),
        Isolation::Landlock => deciding.bare_view(shown),
    };
    let Some(mut view) = view else {
        return Err(deciding.into_problems());
    };
    deciding.show_credentials(&credentials, &mut view, identity, &grants);
    if trusts {
        deciding.show_authority(&mut view, identity, &grants);
    }
    view.carried = deciding.carried(&mut view, shown, invocation.program.as_ref());
    view.notified = deciding.notified(&mut view, shown, invocation.manager);
    view.agent = deciding.show_agent(egress.as_ref(), &mut view, shown);
    let exec = deciding.exec(shown, &view, (invocation, identity), &mut grants);
    let landlock = deciding.landlock(&left, &view);
    if let (Some(filters), Some(landlock)) = (&filters, &landlock) {
        deciding.listeners_only_listen(&invocation.listening, &filters.met, landlock);
    }
    let sound = deciding.problems.is_empty();
    let (Some(filters), Some(landlock), Some(exec), Some(ending), true) =
        (filters, landlock, exec, deciding.ending(), sound)
    else {
        return Err(deciding.into_problems());
    };
    let refusals = deciding.refusals(invocation.told, &filters.layers);
    let probes = deciding.probes(shown, &filters.met, identity);
    let private = deciding.private(&view, identity);
    let absent = deciding.absent(shown, identity);
    let granted = grants.granted();
    let plan = Plan {
        version: VERSION,
        id: lease.id.clone(),
        session: Session { umask: 0o022, keyring: deciding.keyring(), granted },
        namespaces: Namespaces {
            hostname: profile.name().to_owned(),
            tasks: grants.tasks(),
            network: grants.network(),
            own: deciding.namespaces(),
        },
        root: deciding.root(view, identity),
        limits: limits.plan,
        terminal: terminal.plan,
        bounding: deciding.bounding(),
        init: deciding.init_half(identity, &landlock, &ending),
        ending,
        command: Confinement { identity, landlock, syscalls: filters.layers },
        refusals,
        probes,
        exec: exec.plan,
    };
    let outside = Outside {
        cgroup: limits.cgroup,
        wall_time_ms: limits.wall_time_ms,
        cpu_time_ms: limits.cpu_time_ms,
        output: limits.output,
        egress,
        streams: terminal.streams,
        escapes: deciding.escapes(),
        secrets: secrets.held,
        placeholders,
        copies,
        notify: deciding.profile.command.notifies() && invocation.manager.waits(),
        hangup: profile.command.hangup.as_ref().map_or(Hangup::Stop, |written| written.value),
        idmaps: grants.idmaps,
        pinned: exec.pinned,
        watched: holds.watched,
        private,
    };
    Ok((Resolved { plan, outside, waived: deciding.waived, absent }, left))
}

/// A decision under way.
struct Deciding<'a> {
    profile: &'a Profile,
    /// What it is run under.
    under: &'a [Profile],
    host: &'a HostFacts,
    lease: &'a Lease,
    problems: Vec<Problem>,
    waived: Vec<Waived>,
}

impl<'a> Deciding<'a> {
    /// About a profile on a host, with nothing wrong yet.
    fn new(
        profile: &'a Profile,
        under: &'a [Profile],
        (host, lease): (&'a HostFacts, &'a Lease),
    ) -> Self {
        Self { profile, under, host, lease, problems: Vec::new(), waived: Vec::new() }
    }

    /// What is left of the profile comes along.
    fn decided(mut self, invocation: &Invocation) -> Result<(Resolved, under::Left), Vec<Problem>> {
        self.privileges();
        self.recorded();
        self.fileless();
        self.problems.extend(self.profile.serve.iter().flat_map(Serve::problems));
        self.calls_are_carried(invocation.program.is_some());
        decide(self, invocation)
    }
}

impl Deciding<'_> {
    /// What PID 1 may: wait, and tell.
    fn init_half(
        &self,
        command: Identity,
        landlock: &Layers<Landlock>,
        ending: &Ending,
    ) -> Confinement {
        Confinement {
            identity: self.init(command),
            landlock: Layers::from(Layer {
                of: "init".into(),
                rules: landlock::nothing(&landlock.last().rules, ending),
            }),
            syscalls: Layers::from(Layer { of: "init".into(), rules: crate::syscalls::init() }),
        }
    }

    fn refuse(&mut self, origin: &Origin, what: impl Into<String>, remedy: impl Into<String>) {
        self.problems.push(origin.problem(what, remedy));
    }

    /// Whether something is wrong there already, of which what else is would be a consequence.
    fn is_refused(&self, origin: &Origin) -> bool {
        let there = origin.problem("", "");
        let is_there =
            |one: &Problem| (&one.file, &one.key, one.at) == (&there.file, &there.key, there.at);
        self.problems.iter().any(is_there)
    }

    /// What is wrong, once each, in the order of the text.
    fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems;
        problems.sort_by(|one, other| (&one.file, one.at).cmp(&(&other.file, other.at)));
        problems.dedup();
        problems
    }

    /// The host lacks something: the run says so where the profile lets it, else there is none.
    fn lacking(&mut self, key: &str, what: &str) {
        self.lacking_for(key, what, None);
    }

    /// The same, where it is known why and what to do about it.
    fn lacking_for(&mut self, key: &str, what: &str, gap: Option<&Gap>) {
        let what = gap.map_or(what.to_owned(), |gap| format!("{what}: {}", gap.why));
        let remedy = gap.map_or(String::new(), |gap| format!("{}; or ", gap.remedy));
        match self.profile.require.waives(key) {
            Some(key) => self.waived.push(Waived { key, what }),
            None => {
                let origin = Origin::named("this host", &format!("require.{key}"));
                self.refuse(
                    &origin,
                    what,
                    format!(
                        "{remedy}write [require] {key} = \"if-available\", or --set require.{key}='\"if-available\"', to run without it"
                    ),
                );
            }
        }
    }

    fn privileges(&mut self) {
        if self.is_bare() {
            return;
        }
        if let Privilege::None { what, remedy } = &self.host.privilege {
            let remedy = format!("{remedy}; or, {IN_A_CONTAINER}");
            self.refuse(&Origin::named("this host", ""), what, remedy);
        }
    }

    /// Whether the sandbox is in a user namespace of an ordinary user's.
    fn is_rootless(&self) -> bool {
        self.host.is_rootless() && !self.is_bare()
    }

    /// Whether the profile chose to have no namespaces, and so no view of its own.
    fn is_bare(&self) -> bool {
        self.profile.isolation() == Isolation::Landlock
    }

    fn keyring(&self) -> Keyring {
        if self.host.keyrings { Keyring::New } else { Keyring::Unreachable }
    }

    fn bounding(&self) -> Bounding {
        let kept = self.is_bare() && !self.host.own.empties_bounding;
        if kept { Bounding::Kept } else { Bounding::Emptied }
    }

    /// What happens is written down, or the profile lets it go without.
    fn recorded(&mut self) {
        if let AuditFact::Lacking(gap) = &self.host.audit {
            let what = "the run is not recorded in the audit log";
            self.lacking_for("audit", what, Some(gap));
        }
    }

    fn namespaces(&self) -> Vec<Namespace> {
        if self.is_bare() {
            return Vec::new();
        }
        let mut own =
            vec![Namespace::Mnt, Namespace::Pid, Namespace::Ipc, Namespace::Uts, Namespace::Cgroup];
        if self.own_network() {
            own.push(Namespace::Net);
        }
        if self.is_rootless() {
            own.push(Namespace::User);
        }
        own
    }

    /// What `/` is inside.
    fn root(&self, view: view::View, identity: Identity) -> Root {
        if self.is_bare() {
            return Root::Host;
        }
        Root::Own { owner: self.owner(identity), ops: view.ops }
    }

    /// Who owns what sandboxd makes inside: root, where the sandbox has one.
    fn owner(&self, identity: Identity) -> Owner {
        if self.is_rootless() {
            return Owner { uid: identity.uid, gid: identity.gid };
        }
        Owner { uid: 0, gid: 0 }
    }
}

/// How deep a path lies.
fn depth(path: &str) -> usize {
    if path == "/" { 0 } else { path.matches('/').count() }
}

/// The same path on the other side of the root.
fn jail(path: &HostPath) -> Option<sandboxd_plan::JailPath> {
    sandboxd_plan::JailPath::try_from(path.as_str()).ok()
}
