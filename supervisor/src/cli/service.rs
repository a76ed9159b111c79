//! `sandboxd service`: what runs inside the sandboxes that sandboxd makes for itself.

use super::NOT_SET_UP;
use super::output::warn;
use crate::explain::{self, printable};
use crate::learn::observe::observe;
use crate::network::user;
use crate::sandbox::StartError;
use crate::service::{broker, egress, notify, terminal};
use clap::Subcommand;
use rustix::io::Errno;
use sandboxd_egress_plan::Ways;
use sandboxd_profiles::Escape;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Which service. Sandboxd starts them; there is nothing in them for anybody else.
#[derive(Debug, Subcommand)]
pub enum Service {
    /// Filter what a terminal is shown: standard input to standard output.
    Terminal {
        /// What may pass beside text.
        #[arg(value_parser = Escape::ALL.map(Escape::name))]
        escapes: Vec<String>,
    },
    /// Carry calls, between a client and a server or among agents and tools.
    Broker {
        /// What may be carried, as JSON; without it, it is standard input, and the supervisor gives
        /// streams.
        plan: Option<String>,
    },
    /// Let out what a plan names: it is standard input, and the supervisor gives the sockets.
    Egress,
    /// Pass on what a command says to its service manager: standard input to standard error.
    Notify,
    /// Start a command, and see what it names; see `sandboxd learn`.
    Observe {
        /// Where that is told.
        #[arg(long)]
        record: PathBuf,
        /// Numbers of system calls to tell of.
        #[arg(long, value_delimiter = ',')]
        calls: Vec<u32>,
        /// The command.
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Lead everything in a user's network namespace to sockets, and hand those over.
    Network {
        /// How.
        #[arg(value_parser = Ways::ALL.map(Ways::name))]
        way: String,
    },
}

/// Does the service until its streams end.
pub(crate) fn service(service: &Service) -> u8 {
    let served = match service {
        Service::Terminal { escapes } => {
            let escapes: Vec<Escape> =
                escapes.iter().filter_map(|name| Escape::named(name)).collect();
            terminal::serve(&escapes).is_ok()
        }
        Service::Broker { plan } => broker::serve(plan.as_deref()).is_ok(),
        Service::Egress => egress::serve().is_ok(),
        Service::Notify => notify::serve().is_ok(),
        Service::Network { way } => Ways::named(way).is_some_and(led),
        Service::Observe { record, calls, command } => return observed(record, calls, command),
    };
    // Whoever reads the streams sees their end, and nobody reads more of it.
    if served { 0 } else { NOT_SET_UP }
}

/// Whoever is learnt from is told why it did not start.
fn observed(record: &Path, calls: &[u32], command: &[OsString]) -> u8 {
    observe(record, calls, command).unwrap_or_else(|errno| {
        let first = command.first().map(|word| printable(&word.to_string_lossy()));
        let why = explain::errno(errno.raw_os_error());
        warn(&format!("sandboxd: not started: {}: {why}\n", first.unwrap_or_default()));
        if errno == Errno::NOENT { 127 } else { 126 }
    })
}

/// Who waits for the sockets reads why there are none.
fn led(ways: Ways) -> bool {
    let led = sandboxd_kernel::fds::take(0)
        .map_err(|errno| StartError::call("fcntl", "standard input", errno))
        .and_then(|socket| user::serve(&socket, ways));
    led.map_err(|error| warn(&error.line())).is_ok()
}
