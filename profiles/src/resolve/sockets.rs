//! The sockets that a service manager listens at and passes on, sd_listen_fds(3): which of them the command
//! gets.
//!
//! A socket belongs to the network namespace it was made in, wherever it is used. A listening Unix socket
//! does nothing but accept; one of TCP can be disconnected, connect(2) with `AF_UNSPEC`, and then dials
//! into the host's network. So it is given only where Landlock refuses that, or the network is the host's
//! anyhow. What goes past Landlock, `MSG_FASTOPEN` and io_uring(7), no filter lets through.

use super::{Deciding, Grants};
use crate::origin::Origin;
use crate::schema::Mode;
use crate::syscalls::{Verdict, number};
use landlock::{AccessNet, BitFlags};
use sandboxd_plan::{Landlock, Layer, Layers};

/// What nobody but sandboxd says to the command.
const VARIABLES: [&str; 3] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"];

/// How the shim finds out whom the variables are for, as confined as the command is; the rest that it
/// calls cannot be denied.
const NEEDED: &str = "getpid";

/// The sockets that were passed to `sandboxd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listening {
    /// Nothing is started: as if there were one of each name that the profile has.
    AsNamed,
    /// These.
    Passed(Vec<Passed>),
}

impl Default for Listening {
    fn default() -> Self {
        Self::Passed(Vec::new())
    }
}

/// A socket that somebody listens at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// What the service manager calls it; several may have one name.
    pub name: String,
    /// Whom it accepts.
    pub accepts: Accepts,
}

/// Whom a socket accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepts {
    /// Processes of this machine, unix(7).
    Local,
    /// Whoever reaches it over TCP, tcp(7).
    Tcp,
}

impl Deciding<'_> {
    /// Which sockets the command gets: all that were passed, and each is named.
    pub(super) fn sockets(&mut self, listening: &Listening) -> Vec<Passed> {
        let named = &self.profile.command.sockets;
        let passed = match listening {
            Listening::Passed(passed) => passed.clone(),
            Listening::AsNamed => {
                let one = |name: String| Passed { name, accepts: Accepts::Local };
                named.iter().map(|name| one(name.value.clone())).collect()
            }
        };
        for Passed { name, .. } in &passed {
            if !named.iter().any(|known| known.value == *name) {
                let what = format!(
                    "systemd listens on a socket for this run, {name:?}, that the profile does not give to the command: no one would answer there"
                );
                let remedy =
                    format!("write command.sockets = [{name:?}], or remove the .socket unit");
                self.refuse(&Origin::named("LISTEN_FDS", ""), what, remedy);
            }
        }
        for name in named.iter().filter(|name| !passed.iter().any(|one| one.name == name.value)) {
            let what = format!("no socket named {:?} was passed", name.value);
            let remedy = "start the .socket unit (FileDescriptorName= is the name), or try it with \
                          systemd-socket-activate --fdname=NAME -l ADDRESS sandboxd run …";
            self.refuse(&name.origin, what, remedy);
        }
        if !named.is_empty() {
            self.nobody_else_says(&VARIABLES, "command.sockets", "of its sockets");
        }
        passed
    }

    /// Whether what listens stays what accepts, and the shim can put it in place.
    pub(super) fn listeners_only_listen(
        &mut self,
        listening: &Listening,
        calls: &[Verdict],
        rules: &Layers<Landlock>,
    ) {
        let Some(first) = self.profile.command.sockets.first().map(|name| name.origin.clone())
        else {
            return;
        };
        let verdict = number(NEEDED).and_then(|call| calls.get(usize::try_from(call).ok()?));
        if !matches!(verdict, Some(Verdict::Allow | Verdict::Conditional(_))) {
            let what = format!(
                "the command cannot be told of its sockets without {NEEDED}, which is refused"
            );
            self.refuse(&first, what, format!("allow {NEEDED} in [syscalls]"));
        }
        let Listening::Passed(passed) = listening else { return };
        if self.mode() == Mode::Host || rules.iter().any(forbids_dialling) {
            return;
        }
        for Passed { name, .. } in passed.iter().filter(|one| one.accepts == Accepts::Tcp) {
            let what = format!(
                "{name:?} is a TCP socket, with which the command could connect to the host's network: Landlock does not prevent that here"
            );
            let remedy = match self.mode() {
                Mode::Egress => "listen on a path (ListenStream=/run/NAME.sock)",
                Mode::None | Mode::Host => {
                    "listen on a path (ListenStream=/run/NAME.sock), run kernel 6.7 or newer \
                     with Landlock, or write network.mode = \"host\" and why"
                }
            };
            self.refuse(&first, what, remedy);
        }
    }
}

/// Whether a ruleset lets no TCP socket connect to anything.
fn forbids_dialling(Layer { rules, .. }: &Layer<Landlock>) -> bool {
    let connect = BitFlags::from(AccessNet::ConnectTcp).bits();
    rules.handled_net & connect != 0 && rules.ports.is_empty()
}

/// What the command is told of them, but for whom it is told.
pub(super) fn variables(passed: &[Passed]) -> Vec<(&'static str, String)> {
    if passed.is_empty() {
        return Vec::new();
    }
    let names: Vec<&str> = passed.iter().map(|one| one.name.as_str()).collect();
    vec![("LISTEN_FDS", passed.len().to_string()), ("LISTEN_FDNAMES", names.join(":"))]
}

impl Grants {
    /// The descriptors of the sockets. Nothing can be granted after them.
    pub(super) fn listen(&mut self, passed: &[Passed]) -> Vec<u32> {
        let first = self.first_socket();
        self.sockets = super::count(passed.len());
        (first..).take(passed.len()).collect()
    }
}
