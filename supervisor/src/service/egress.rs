//! The service `egress`: its plan is standard input; standard error is the supervisor, who first hands
//! over the sockets of the sandbox's network, and then is told what went out and what did not.

use crate::network::Inside;
use crate::network::passed;
use sandboxd_egress::secret::Secrets;
use sandboxd_egress::{Handed, Sockets};
use sandboxd_egress_plan::wire;
use sandboxd_kernel::fds::take;
use std::fs::File;
use std::io::{self, Read as _};

pub(crate) const NAME: &str = "egress";

/// Lets out what the plan names, until the supervisor is gone.
///
/// # Errors
/// Where the plan is none, or the sockets are not there.
pub(crate) fn serve() -> io::Result<()> {
    let mut plan = Vec::new();
    File::from(take(0)?).read_to_end(&mut plan)?;
    let plan = wire::decode(&plan).map_err(|error| io::Error::other(error.to_string()))?;
    let control = take(2)?;
    let Inside { transparent, dns_datagram, dns_stream } = passed::receive(&control)?;
    let proxy = Vec::new();
    let sockets = Sockets { transparent, proxy, dns_datagram, dns_stream, control };
    sandboxd_egress::serve(plan, sockets, Handed { secrets: Secrets::default(), ends: None })
}
