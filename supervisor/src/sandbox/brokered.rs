//! A run whose caller is a client: between it and the command stands the broker, which is a service. The
//! supervisor moves none of their bytes.

use super::audit::Audit;
use super::error::StartError;
use super::state::GRACE;
use crate::calls::{
    Called, Client, Listed, Records, Tally, Waits, encoded, kept, told_limits, waits_for_nothing,
};
use crate::control::{Approvers, Control};
use crate::lasting::{Limits, server_key};
use crate::service::broker::{FIRST, NAME};
use crate::service::channel::Told;
use crate::service::pipes::Pipes;
use crate::service::{Service, Wanted};
use rustix::fd::AsFd as _;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use sandboxd_broker_plan::{Approval, BrokerPlan};
use sandboxd_profiles::Profile;
use std::time::{Duration, Instant};

/// How long answers may take to reach a client that reads, once the server has ended.
const DRAIN: Duration = Duration::from_secs(12);

/// The broker of a run.
pub(crate) struct Brokered {
    service: Service,
    /// Hears what the broker tells.
    client: Client,
    /// Where calls are approved; nothing where none is asked about.
    control: Option<Control>,
    /// What came of all calls.
    tally: Tally,
    /// Once it is over: until when the server may end by itself.
    until: Option<Instant>,
    /// Closed once the broker has ended.
    _limits: Option<Limits>,
}

impl Brokered {
    /// Begins to start the broker of the run of this id, and gives the server's ends of the pipes between the
    /// two.
    ///
    /// # Errors
    /// Where its streams cannot be made, or the plan is more than a broker is told; where it asks, and
    /// there is no place for whoever answers.
    pub(crate) fn begin(
        mut plan: BrokerPlan,
        run: &Profile,
        id: &str,
        told: (Waits, Listed),
        audit: &Audit,
    ) -> Result<(Self, Pipes), StartError> {
        let failed = |errno| StartError::call("dup", "the client's streams", errno);
        let client = |number| {
            let own = sandboxd_kernel::fds::inherited(number).map_err(failed)?;
            rustix::io::fcntl_dupfd_cloexec(own, 3).map_err(failed)
        };
        let (ours, server) = Pipes::between()
            .map_err(|errno| StartError::call("pipe", "the server's streams", errno))?;
        let (line, brokers) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .map_err(|errno| StartError::call("socketpair", "the broker's channel", errno))?;
        let name = server_key(run);
        let limits = audit.is_kept().then(|| Limits::open(&name, &plan)).transpose()?;
        told_limits(limits.as_ref(), &line)?;
        // What it finds there when it starts.
        Told::Started(FIRST)
            .say(line.as_fd(), &ours.both())
            .map_err(|errno| StartError::call("sendmsg", "the broker's channel", errno))?;
        let pins = kept(audit, &mut plan, |_| Some(run))?;
        let words = String::from_utf8(encoded(&plan)?)
            .map_err(|error| StartError::found("encode", format!("the broker's plan: {error}")))?;
        waits_for_nothing(&plan, audit)?;
        let service = Service::begin(Wanted {
            name: NAME,
            arguments: vec![words],
            run: run.clone(),
            audit: audit.clone(),
            streams: [client(0)?, client(1)?, brokers],
        })?;
        let asks = plan.edges.iter().any(|edge| edge.approval != Approval::Never);
        let approvers = Approvers::default();
        let control = asks.then(|| Control::open(id, &line, approvers.clone())).transpose()?;
        let records = Records::new(audit.clone(), &plan, approvers);
        let tally = records.tally();
        let client = Client::hear(line, (id, &plan), (records, pins), told)?;
        Ok((Self { service, until: None, client, control, tally, _limits: limits }, server))
    }

    /// Waits until it runs.
    ///
    /// # Errors
    /// Why it does not.
    pub(crate) fn started(&mut self) -> Result<(), StartError> {
        self.service.started()
    }

    /// Returns once, when the broker has ended, because the client is gone or is carried for no more, and
    /// the server has not, which saw the end of its input.
    pub(crate) async fn over(&mut self) {
        let until = match self.until {
            Some(until) => until,
            None => {
                self.service.over().await;
                *self.until.insert(Instant::now() + GRACE)
            }
        };
        tokio::time::sleep_until(until.into()).await;
        self.until = None;
    }

    /// What came of all calls: once it is finished, all of it.
    pub(crate) fn called(&self) -> Vec<Called> {
        self.tally.so_far()
    }

    /// Lets the client read what it was answered, and tells what could not be cleaned up.
    pub(crate) fn finish(&mut self) -> Vec<String> {
        let mut left = self.control.take().map(Control::finish).unwrap_or_default();
        left.extend(self.service.finish(DRAIN));
        left.extend(self.client.finish());
        left
    }
}
