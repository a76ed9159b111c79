//! Whose run it is: where the command's streams come from, and who may end it.

use super::brokered::Brokered;
use super::error::StartError;
use super::signals::Signals;
use super::stdio::Stdio;
use rustix::fd::OwnedFd;
use sandboxd_broker_plan::BrokerPlan;
use sandboxd_profiles::{Profile, Resolved};

/// Whose the streams are that the command gets, and who may end it.
pub enum Around {
    /// Sandboxd's caller, with its own streams and signals.
    Caller,
    /// The same caller, who is a client and talks to the command through a broker.
    Client {
        /// What the client may call.
        plan: Box<BrokerPlan>,
    },
    /// Sandboxd itself, one of whose services this is.
    Service {
        /// Its standard input, output and error.
        streams: [OwnedFd; 3],
        /// A pipe whose end is the service's end.
        orders: OwnedFd,
    },
}

impl Around {
    pub(super) fn is_callers(&self) -> bool {
        matches!(self, Self::Caller | Self::Client { .. })
    }

    /// Begins to listen, and makes the command's streams. In the loop that is to wait for both.
    pub(super) fn prepare(
        self,
        resolved: &Resolved,
        profile: &Profile,
    ) -> Result<(Signals, Stdio, Option<Brokered>), StartError> {
        let outside = &resolved.outside;
        let (user, wires, hangup) =
            (resolved.plan.command.identity, outside.streams, outside.hangup);
        match self {
            Self::Caller => Ok((Signals::listen(hangup)?, Stdio::prepare(user, wires)?, None)),
            Self::Client { plan } => {
                let (brokered, server) = Brokered::begin(&plan, profile)?;
                Ok((Signals::listen(hangup)?, Stdio::served(user, wires, server)?, Some(brokered)))
            }
            Self::Service { streams, orders } => {
                Ok((Signals::tie(orders)?, Stdio::lent(streams), None))
            }
        }
    }
}
