//! What the command says to the service manager, sd_notify(3): a socket of the sandbox's own, from which
//! a service takes the few words that are passed on.

use super::Deciding;
use super::calls::FOLDER;
use super::trees::Shown;
use super::view::{View, fixed};
use sandboxd_plan::{Arrives, JailPath, RootOp};

/// The socket that `$NOTIFY_SOCKET` names.
const SOCKET: &str = "/run/sandboxd/notify.sock";

/// The service manager that started sandboxd.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Manager {
    /// There is none, or it waits for nothing.
    #[default]
    Silent,
    /// It waits to hear that the command is ready.
    Waits {
        /// After how many microseconds without a word it takes the command for hung,
        /// sd_watchdog_enabled(3); 0 where it does not.
        watchdog_us: u64,
    },
}

impl Manager {
    /// Whether it waits for a word.
    #[must_use]
    pub fn waits(self) -> bool {
        self != Self::Silent
    }
}

/// What the command is told of its service manager.
#[derive(Debug)]
pub(super) struct Notified {
    pub(super) socket: JailPath,
    watchdog_us: u64,
}

impl Notified {
    /// The variables of sd_notify(3). `WATCHDOG_PID` is not among them: without it every process is meant.
    pub(super) fn variables(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![("NOTIFY_SOCKET", self.socket.to_string())];
        if self.watchdog_us > 0 {
            variables.push(("WATCHDOG_USEC", self.watchdog_us.to_string()));
        }
        variables
    }
}

impl Deciding<'_> {
    /// Makes the socket, where the profile wants it and somebody hears what is said there.
    pub(super) fn notified(
        &mut self,
        view: &mut View,
        shown: &Shown,
        manager: Manager,
    ) -> Option<Notified> {
        let written = self.profile.command.notify.as_ref().filter(|written| written.value)?;
        let origin = written.origin.clone();
        if self.under.iter().any(|profile| !profile.command.notifies()) {
            self.refuse(
                &origin,
                "a profile that this runs under does not let it notify the service manager",
                "write notify = true in that one, too, or remove it",
            );
            return None;
        }
        if self.is_bare() {
            self.refuse(
                &origin,
                "the sender is identified by a socket that no one else can see, and without a mount view everyone can",
                "run it with isolation = \"namespaces\", or remove notify",
            );
            return None;
        }
        if fixed(FOLDER).is_none_or(|folder| shown.covers(&folder)) {
            let what = format!("needs {FOLDER}, which a grant covers");
            self.refuse(&origin, what, "do not grant /run as a whole");
            return None;
        }
        let Manager::Waits { watchdog_us } = manager else { return None };
        let socket = fixed(SOCKET)?;
        view.directory(FOLDER);
        view.ops.push(RootOp::Endpoint { path: socket.clone(), arrives: Arrives::Words });
        Some(Notified { socket, watchdog_us })
    }
}
