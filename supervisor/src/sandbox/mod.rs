//! One run, start to end.
//!
//! Read in this order: [`state`] (what happens next), `driver` (what makes it happen), `spawn`,
//! `inspect`, then the parts.

mod ahead;
mod around;
mod audit;
mod brokered;
mod by_entry;
mod by_name;
mod carried;
pub(crate) mod channel;
mod clocks;
mod copies;
mod cpu_time;
mod deadline;
mod decisions;
mod denials;
mod descriptors;
mod digests;
mod driver;
mod egress;
mod ended;
mod error;
mod fed;
mod given_back;
mod held;
mod idmap;
pub(crate) mod image;
mod inspect;
mod invocation;
mod keys;
mod lender;
mod orphans;
mod pinned;
mod prepare;
pub(crate) mod private;
mod purse;
mod ran;
mod receipt;
mod relay;
mod renewals;
mod signals;
mod signatures;
mod spawn;
pub mod starts;
pub mod state;
pub(crate) mod stdio;
mod still;
mod suspend;
mod unawaited;
mod watch;

pub use ahead::{Ahead, Late, Then};
pub use around::Around;
pub use audit::{Audit, AuditLog};
pub(crate) use deadline::{REMEDY as LATE, START_WITHIN, doing};
pub use denials::{Denials, DeniedCall};
pub use descriptors::check_descriptors;
pub(crate) use descriptors::{DESCRIPTORS, descriptors};
pub use egress::{ByEntry, Refused, Used};
pub use ended::Ended;
pub use error::StartError;
pub(crate) use image::copy as sealed_copy;
pub use invocation::Asked;
pub(crate) use invocation::invocation;
pub(crate) use keys::receive as keys;
pub use prepare::{Prepared, prepare};
pub use purse::{Model, Purses, UsedUp};
pub use receipt::{LayerState, Receipt, RunResult};
pub(crate) use renewals::stands;
pub use signatures::Signature;
pub(crate) use starts::elsewhere;
pub(crate) use unawaited::Unawaited;
pub(crate) use watch::{NOT_KEPT_AGAIN, NOT_LOOKED_THROUGH, OPENED};

#[cfg(test)]
pub(crate) use audit::nowhere;

use crate::cgroup::{Group, Room, Tree};
use crate::systemd::notify::ServiceManager;
use crate::systemd::words::Words;
use ahead::Made;
use carried::Carried;
use channel::runtime;
use digests::Digests;
use driver::Driver;
use egress::Egress;
use given_back::{clean_up, not_started};
use inspect::Inspected;
use keys::Keys;
use lender::Lender;
use ran::Ran;
use receipt::Facts;
use renewals::Renewals;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use sandboxd_audit::chain::digest as sha256;
use sandboxd_plan::Enforced;
use sandboxd_profiles::{HostFacts, Invocation, Lease, Profile, Resolved};
use state::{End, SIGKILL};
use std::sync::Arc;
use std::time::Instant;
use still::{Decided, Still};

/// The text of a receipt, made where somebody wants it.
pub type MakeReceipt<'a> = &'a dyn Fn() -> Result<String, StartError>;

/// Told that every layer is on, before the command runs, and may take the receipt; where it fails, the
/// command does not run.
pub type WriteReceipt<'a> = &'a mut dyn FnMut(MakeReceipt<'_>) -> Result<(), StartError>;

/// What is asked for.
pub struct Request<'a> {
    /// The profile, with the command line laid over it.
    pub profile: &'a Profile,
    /// What it is run under, the outermost first.
    pub under: &'a [Profile],
    /// What belongs to this invocation.
    pub invocation: &'a Invocation,
    /// When `sandboxd` was called.
    pub since: Instant,
    /// What was begun before the profile was read.
    pub ahead: Ahead,
    /// Where it is written down that it was started, and how it ended.
    pub audit: Audit,
    /// Whether the result is to name the receipt's digest.
    pub digest: bool,
    /// Whose run it is.
    pub around: Around,
    /// Where its cgroup is made; nothing where that is looked for.
    pub within: Option<Arc<Tree>>,
    /// What it uses up, together with whoever it calls or is called by.
    pub purses: Purses,
    /// The sockets that the command gets, as the invocation tells of them.
    pub sockets: Vec<OwnedFd>,
}

/// A run that is over.
pub struct Finished {
    /// What became of the command.
    pub result: RunResult,
    /// What was waived, in words.
    pub waived: Vec<String>,
    /// The layers that the profile chose to do without.
    pub absent: Vec<String>,
    /// Where the command started, where that is not where sandboxd was called.
    pub starts: Option<String>,
    /// What went wrong beside the command, and what could not be cleaned up; empty as a rule.
    pub left: Vec<String>,
}

/// Runs a command to its end. `receipt` is called with what makes the [`Receipt`], JSON, before the command
/// runs; where it fails, the command does not.
///
/// # Errors
/// Where the command did not run. Whatever goes wrong once it may have run is told in
/// [`Finished::left`].
pub fn run(
    request: Request<'_>,
    receipt: Option<WriteReceipt<'_>>,
) -> Result<Finished, StartError> {
    doing("testing what this host permits");
    let privilege = request.ahead.privilege()?;
    let asked =
        Asked { profile: request.profile, under: request.under, invocation: request.invocation };
    let Prepared { resolved, host, lease, tree, held } =
        prepare(&asked, privilege, request.within.clone(), request.audit.fact())?;
    request.ahead.settled(&tree);
    doing("creating the cgroup");
    let room = if request.profile.calls.is_empty() { Room::None } else { Room::Below };
    let group = match &resolved.outside.cgroup {
        Some(limits) => match Group::create(&tree, &resolved.plan.id, limits, room) {
            Ok(group) => Some(group),
            Err(error) => {
                not_started(None, held);
                return Err(error.into());
            }
        },
        None => None,
    };
    let private = match resolved.outside.private.as_ref().map(private::make).transpose() {
        Ok(private) => private,
        Err(error) => {
            not_started(group, held);
            return Err(error);
        }
    };
    let before = watch::before(&resolved.outside);
    let (since, profile, audit, purses) =
        (request.since, request.profile, request.audit.clone(), request.purses.clone());
    let mut ran = Ran { dead: true, ..Ran::default() };
    let running = Running {
        request,
        resolved: &resolved,
        host: &host,
        lease: &lease,
        group: group.as_ref(),
        tree: &tree,
    };
    let end = running.run(receipt, &mut ran);
    let usage = group.as_ref().map(Group::usage).unwrap_or_default();
    let mut left = std::mem::take(&mut ran.left);
    clean_up(group, held, ran.dead, &mut left);
    if let Some(Err(error)) = private.filter(|_| ran.dead).map(private::Made::remove) {
        left.push(format!("not removed: {}", error.line()));
    }
    let end = match end {
        Err(error) if ran.went => {
            left.push(format!("it was killed, because sandboxd failed: {}", error.line()));
            Ok(End::Signaled { signal: SIGKILL, why: None })
        }
        end => end.and_then(End::of_command),
    };
    let end = end.inspect_err(|_| {
        if ran.written {
            audit.not_started(profile.name(), &resolved.plan.id);
        }
    })?;
    let took = ran.claimed.unwrap_or(since).elapsed();
    let mut result = RunResult::new(&resolved.plan.id, &end, usage, took);
    result.receipt_sha256 = ran.receipt_sha256;
    result.egress = ran.egress;
    result.denials = ran.denials.unwrap_or_else(|| denials::unseen(&resolved.plan, host.listeners));
    result.called = ran.called;
    result.budget = purses.used(&sandboxd_profiles::budget(profile));
    result.may_execute =
        watch::appeared(&resolved.outside.watched, &ran.before.take().unwrap_or(before));
    result.tell_no_secret(|text| *text = audit.clean(text));
    // What was kept ready and never let go has not run.
    if !ran.unused {
        left.extend(audit.ended(profile.name(), &result, &left));
    }
    let waived = resolved.waived.iter().map(|one| format!("{}: {}", one.key, one.what)).collect();
    let absent = resolved.absent.iter().map(|one| one.layer.clone()).collect();
    Ok(Finished {
        result,
        waived,
        absent,
        starts: starts::elsewhere(profile, &resolved.plan),
        left,
    })
}

/// Everything a run needs once its uid and its cgroup are there.
struct Running<'a> {
    request: Request<'a>,
    resolved: &'a Resolved,
    host: &'a HostFacts,
    lease: &'a Lease,
    group: Option<&'a Group>,
    tree: &'a Tree,
}

impl Running<'_> {
    /// Where the cgroups are made of what the command calls.
    fn below(&self, profile: &Profile) -> Result<Option<Arc<Tree>>, StartError> {
        let group = self.group.filter(|_| !profile.calls.is_empty());
        Ok(group.map(|group| group.below(self.tree).map(Arc::new)).transpose()?)
    }

    fn run(self, mut receipt: Option<WriteReceipt<'_>>, ran: &mut Ran) -> Result<End, StartError> {
        let below = self.below(self.request.profile)?;
        let Request {
            profile,
            under,
            invocation,
            since,
            ahead,
            digest,
            audit,
            around,
            sockets,
            purses,
            ..
        } = self.request;
        let plan = &self.resolved.plan;
        let outside = &self.resolved.outside;
        let encoded = image::encoded(plan)?;
        doing("opening what the sandbox is granted");
        let pinned = outside.pinned.as_ref().map(pinned::open).transpose()?;
        let (secrets, trusted, copies) = copies::made(outside, &plan.id, &audit)?;
        let decided = Decided {
            asked: Asked { profile, under, invocation },
            resolved: self.resolved,
            host: self.host,
            lease: self.lease,
            tree: self.tree,
            audit: &audit,
        };
        let instead = around.instead();
        let still = around.is_kept().then(|| Still::of(decided, &secrets, trusted.as_ref()));
        let still = still.transpose()?;
        let idmaps = outside.idmaps.iter().map(|map| idmap::namespace(*map));
        let idmaps = idmaps.collect::<Result<Vec<OwnedFd>, _>>()?;
        let Made { network, shim } = ahead.made()?;
        let network = network.filter(|_| plan.namespaces.network.is_some()).transpose()?;
        let tasks = self.group.map(Group::tasks).unwrap_or_default();
        let granted = network
            .iter()
            .chain(tasks)
            .chain(&copies)
            .chain(&idmaps)
            .chain(&pinned)
            .chain(&sockets);
        let granted: Vec<BorrowedFd<'_>> = granted.map(AsFd::as_fd).collect();
        let runtime = runtime()?;
        let _entered = runtime.enter();
        // A service of ours says nothing to the service manager, whose service we are.
        let manager =
            if around.is_callers() { ServiceManager::find(plan, outside.notify)? } else { None };
        let around::Prepared { signals, mut stdio, mut between, kept } =
            around.prepare(self.resolved, profile, below, &audit)?;
        let mut renewals = renewals::begin((outside, &plan.id), &secrets, (profile, &audit))?;
        let begin = |plan| {
            let anew = renewals.as_mut().and_then(Renewals::egress);
            let lender = Lender::begin(plan, &outside.secrets)?;
            let keys = Keys::of(plan, &secrets, trusted, (anew, lender))?;
            Egress::begin(plan, network.as_ref(), (profile, &audit), &purses, keys)
        };
        between.egress = outside.egress.as_ref().map(begin).transpose()?;
        between.renewals = renewals;
        let heard = manager.as_ref().filter(|_| outside.notify);
        between.words = Words::to(heard, profile, &audit)?;
        let carried = Carried::start(&mut stdio, between, self.resolved, profile, &audit)?;
        doing("starting the shim");
        let entering = spawn::start(plan, &encoded, shim.as_fd(), self.group, &granted, &stdio)?;
        // The command's ends, so that their end is seen; and what is a secret from here on.
        drop((stdio, copies, secrets));
        ran.dead = false;
        let mut driver = Driver::new(self.resolved, self.group, entering, carried, signals)?;
        if let Some((hold, below)) = kept {
            driver.hold(held::Held { hold, watched: ahead.watched(), below });
        }
        driver.awaited(ahead, since + START_WITHIN, manager);
        // While the shim works.
        let digests = Digests::of(profile, under, &encoded);
        let facts = |enforced: &Enforced, inspected: &Inspected| {
            Receipt::new(&Facts {
                resolved: self.resolved,
                host: self.host,
                digests: &digests,
                enforced,
                inspected,
                placed: self.tree.placed(),
            })
        };
        let mut held = None;
        let end = runtime.block_on(driver.drive(&mut |enforced, inspected| {
            if let Some(still) = &still {
                still.holds(pinned.as_ref())?;
                ran.before = Some(watch::before(outside));
            }
            doing("writing the receipt");
            if let Some(write) = &mut receipt {
                write(&|| facts(enforced, inspected).text())?;
            }
            doing("writing to the audit log");
            let ready = still::told(still.is_some().then(|| since.elapsed()), instead.as_deref());
            audit.started(profile, plan, &|| facts(enforced, inspected), ready)?;
            held = Some((enforced.clone(), inspected.clone()));
            Ok(())
        }));
        ran.written = held.is_some();
        ran.dead = driver.is_dead();
        ran.went = driver.went();
        ran.claimed = driver.claimed;
        ran.unused = still.is_some() && !ran.went;
        ran.left = driver.left();
        (ran.egress, ran.denials, ran.called) = driver.told();
        // Where nobody reads it before the start, the command need not wait for it to be made.
        if let Some((enforced, inspected)) = held.filter(|_| digest) {
            ran.receipt_sha256 = Some(sha256(facts(&enforced, &inspected).text()?.as_bytes()));
        }
        end
    }
}
