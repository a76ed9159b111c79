//! What a broker is handed before it begins: its plan, what is known of tools and what is left of its buckets.

use crate::lasting::{Limits, Pins};
use crate::sandbox::{Audit, StartError};
use crate::service::channel::Told;
use rustix::fd::{AsFd as _, OwnedFd};
use sandboxd_broker_plan::{BrokerPlan, Durability, wire};
use sandboxd_profiles::Profile;

/// Gives a broker the file in which it keeps what is left of its buckets, before anything else is said to it.
///
/// # Errors
/// Where that cannot be said.
pub(crate) fn told_limits(limits: Option<&Limits>, line: &OwnedFd) -> Result<(), StartError> {
    let told = |limits: &Limits| Told::Limits.say(line.as_fd(), &[limits.as_fd()]);
    limits
        .map_or(Ok(()), told)
        .map_err(|errno| StartError::call("sendmsg", "the broker's channel", errno))
}

/// The plan as a broker is told it.
///
/// # Errors
/// Where it is more than one is told.
pub(crate) fn encoded(plan: &BrokerPlan) -> Result<Vec<u8>, StartError> {
    wire::encode(plan)
        .map_err(|error| StartError::found("encode", format!("the broker's plan: {error}")))
}

/// What is known of the tools that a plan calls, which is laid over it. Nothing where nothing is kept, by leave
/// of the profile, which the run says.
///
/// # Errors
/// Where what is kept cannot be read, or is not whole.
pub(crate) fn kept<'p>(
    audit: &Audit,
    plan: &mut BrokerPlan,
    serving: impl Fn(&str) -> Option<&'p Profile>,
) -> Result<Option<Pins>, StartError> {
    audit.is_kept().then(|| Pins::lay(plan, serving)).transpose()
}

/// Whether no edge waits for records of which there will be none.
pub(crate) fn waits_for_nothing(plan: &BrokerPlan, audit: &Audit) -> Result<(), StartError> {
    let mut durable = plan.edges.iter().filter(|edge| edge.durability == Durability::Durable);
    match durable.next().filter(|_| !audit.is_kept()) {
        None => Ok(()),
        Some(edge) => Err(StartError::found(
            "call",
            format!("{}: durable, but no audit log can be written", edge.name),
        )
        .with_remedy(
            "let sandboxd write the audit log (`sandboxd doctor`), or remove durable = true",
        )),
    }
}
