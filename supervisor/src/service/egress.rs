//! The service `egress`: its plan is standard input; standard error is the supervisor, who first hands
//! over the sockets of the sandbox's network, and then is told what went out and what did not.

use crate::network::Inside;
use crate::network::passed;
use crate::sandbox;
use rustix::fd::OwnedFd;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use sandboxd_egress::secret;
use sandboxd_egress::{Ends, Handed, Sockets};
use sandboxd_egress_plan::{EgressPlan, Kept, Signer, wire};
use sandboxd_kernel::fds::take;
use std::fs::File;
use std::io::{self, Read as _};

pub(crate) const NAME: &str = "egress";

/// Lets out what the plan names, until the supervisor is gone.
///
/// # Errors
/// Where the plan is none, or the sockets are not there.
pub(crate) fn serve() -> io::Result<()> {
    // What is here is for nobody who has the same user, and for no core.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let mut plan = Vec::new();
    File::from(take(0)?).read_to_end(&mut plan)?;
    let plan = wire::decode(&plan).map_err(|error| io::Error::other(error.to_string()))?;
    let control = take(2)?;
    let Inside { transparent, proxy, dns_datagram, dns_stream, agent } = passed::receive(&control)?;
    let handed = handed(&plan, &control)?;
    let sockets = Sockets { transparent, proxy, dns_datagram, dns_stream, agent, control };
    sandboxd_egress::serve(plan, sockets, handed)
}

/// What no plan has.
fn handed(plan: &EgressPlan, control: &OwnedFd) -> io::Result<Handed> {
    let (message, mut given) = sandbox::keys(control)?;
    let none = || io::Error::other("what was handed over is not complete");
    let renewals = match plan.secrets.is_empty() {
        true => None,
        false => Some(given.pop().ok_or_else(none)?),
    };
    let keeps = |signer: &Signer| signer.kept == Kept::Agent;
    let lender = match plan.agent.signers.iter().any(keeps) {
        false => None,
        true => Some(given.pop().ok_or_else(none)?),
    };
    let roots = given.pop();
    if !given.is_empty() {
        return Err(none());
    }
    let (secrets, authority) =
        secret::decode(message.bytes(), &plan.id).map_err(io::Error::other)?;
    let ends = match (authority, roots) {
        (None, None) => None,
        (Some(authority), Some(file)) => {
            let mut roots = Vec::new();
            File::from(file).read_to_end(&mut roots)?;
            Some(Ends { authority, roots })
        }
        (Some(_), None) | (None, Some(_)) => {
            return Err(io::Error::other("an authority comes with those that the host trusts"));
        }
    };
    Ok(Handed { secrets, ends, renewals, lender })
}
