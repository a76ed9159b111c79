//! Whose run it is: where the command's streams come from, who may end it, and whom it calls.

use super::audit::Audit;
use super::brokered::Brokered;
use super::egress::Egress;
use super::error::StartError;
use super::renewals::Renewals;
use super::signals::Signals;
use super::stdio::Stdio;
use crate::calls::{Caller, Calls, Exchange, Hold, Listed, Streams, Waits, Whose};
use crate::cgroup::Tree;
use crate::systemd::words::Words;
use rustix::fd::OwnedFd;
use sandboxd_broker_plan::BrokerPlan;
use sandboxd_profiles::{Profile, Resolved};
use std::sync::Arc;

/// Whose the streams are that the command gets, and who may end it.
pub enum Around {
    /// Sandboxd's caller, with its own streams and signals.
    Caller {
        /// Whom the command calls; nothing where that is nobody.
        calls: Option<Box<Calls>>,
    },
    /// The same caller, who is a client and talks to the command through a broker.
    Client {
        /// What the client may call.
        plan: Box<BrokerPlan>,
        /// Told whenever another number of calls waits for approval.
        waits: Waits,
        /// Told when the server had listed tools that were not known.
        listed: Listed,
    },
    /// Sandboxd itself, one of whose services this is.
    Service {
        /// Its standard input, output and error.
        streams: [OwnedFd; 3],
        /// A pipe whose end is the service's end.
        orders: OwnedFd,
    },
    /// Somebody who called, by the broker.
    Instance(Streams),
}

/// What a run has around it.
pub(super) struct Prepared {
    pub(super) signals: Signals,
    pub(super) stdio: Stdio,
    pub(super) between: Between,
    /// Where it waits to be claimed, and where the cgroups are made then of what it calls; nothing where
    /// somebody wants it already.
    pub(super) kept: Option<(Arc<Hold>, Option<Arc<Tree>>)>,
}

/// What of ours stands between the command and those it talks to.
#[derive(Default)]
pub(super) struct Between {
    /// The broker, where the command's caller is a client.
    pub(super) brokered: Option<Brokered>,
    /// The broker that the command calls through, in the run that it was made for.
    pub(super) exchange: Option<Exchange>,
    /// Who the command is where it calls.
    pub(super) caller: Option<Caller>,
    /// Where its network leads, where that is anywhere.
    pub(super) egress: Option<Egress>,
    /// What it says to the service manager, where that is anything.
    pub(super) words: Option<Words>,
    /// What others use for it, until they have it.
    pub(super) renewals: Option<Renewals>,
}

impl Around {
    pub(super) const fn is_callers(&self) -> bool {
        matches!(self, Self::Caller { .. } | Self::Client { .. })
    }

    /// Whether it is kept ready for somebody.
    pub(super) const fn is_kept(&self) -> bool {
        matches!(self, Self::Instance(Streams { whose: Whose::Nobodys(_), .. }))
    }

    /// Why it is started only now, where one was kept ready for whoever called.
    pub(super) fn instead(&self) -> Option<String> {
        match self {
            Self::Instance(Streams { whose: Whose::Callers(_, instead), .. }) => instead.clone(),
            Self::Caller { .. }
            | Self::Client { .. }
            | Self::Service { .. }
            | Self::Instance(Streams { whose: Whose::Nobodys(_), .. }) => None,
        }
    }

    /// Begins to listen, and makes the command's streams. In the loop that is to wait for both.
    pub(super) fn prepare(
        self,
        resolved: &Resolved,
        profile: &Profile,
        below: Option<Arc<Tree>>,
        audit: &Audit,
    ) -> Result<Prepared, StartError> {
        let outside = &resolved.outside;
        let (user, wires, hangup) =
            (resolved.plan.command.identity, outside.streams, outside.hangup);
        let (mut between, mut kept) = (Between::default(), None);
        let (signals, stdio) = match self {
            Self::Caller { calls } => {
                if let Some(calls) = calls {
                    let (exchange, caller) =
                        Exchange::begin(*calls, profile, &resolved.plan.id, below.clone(), audit)?;
                    between.exchange = Some(exchange);
                    between.caller = Some(caller);
                }
                (Signals::listen(hangup)?, Stdio::prepare(user, wires)?)
            }
            Self::Client { plan, waits, listed } => {
                let id = &resolved.plan.id;
                let told = (waits, listed);
                let (brokered, server) = Brokered::begin(*plan, profile, id, told, audit)?;
                between.brokered = Some(brokered);
                (Signals::listen(hangup)?, Stdio::served(user, wires, server)?)
            }
            Self::Service { streams, orders } => (Signals::tie(orders)?, Stdio::lent(streams)),
            Self::Instance(Streams { pipes, orders, whose }) => {
                match whose {
                    Whose::Callers(caller, _) => between.caller = caller,
                    Whose::Nobodys(hold) => kept = Some((hold, below.clone())),
                }
                (Signals::tie(orders)?, Stdio::called(user, pipes)?)
            }
        };
        between.caller = between.caller.map(|caller| caller.within(&resolved.plan.id, below));
        Ok(Prepared { signals, stdio, between, kept })
    }
}
