//! The filter of the command.

use super::Deciding;
use super::trees::Shown;
use crate::origin::Written;
use crate::schema::Mode;
use crate::syscalls::{Action, Rules, Sharing, Sockets, Verdict, evaluate, number, told, verdicts};
use sandboxd_plan::{Filter, Layers, Refusals};

/// `MSG_NOSIGNAL`.
const NOSIGNAL: u64 = 0x4000;

/// What a profile wants of the filter, owned.
#[derive(Debug, Clone)]
pub(super) struct Wishes {
    base: String,
    allow: Vec<String>,
    deny: Vec<String>,
    sockets: Sockets,
    sharing: Sharing,
    last_syscall: u32,
}

impl Wishes {
    pub(super) fn rules(&self) -> Rules<'_> {
        Rules {
            base: &self.base,
            allow: &self.allow,
            deny: &self.deny,
            sockets: self.sockets,
            sharing: self.sharing,
            last_syscall: self.last_syscall,
        }
    }
}

impl Deciding<'_> {
    pub(super) fn wishes(&self, shown: &Shown) -> Wishes {
        let syscalls = &self.profile.syscalls;
        let names = |list: &[Written<String>]| list.iter().map(|name| name.value.clone()).collect();
        Wishes {
            base: syscalls.base.as_ref().map_or("default", |base| &base.value).to_owned(),
            allow: names(&syscalls.allow),
            deny: names(&syscalls.deny),
            sockets: match (self.mode(), self.guards_unix_sockets()) {
                (Mode::None, true) => Sockets::UnixOnly,
                (Mode::Egress | Mode::Host, true) => Sockets::Inet,
                (Mode::None, false) => Sockets::PairsOnly,
                (Mode::Egress | Mode::Host, false) => Sockets::InetOnly,
            },
            sharing: self.sharing(shown),
            last_syscall: self.host.last_syscall,
        }
    }

    /// Who answers what is refused. Where there is more than one filter, the kernel does: what an outer one
    /// refuses, no inner one is asked about. And so it does where what asks cannot be handed over.
    pub(super) fn refusals(&self, wanted: bool, filters: &Layers<Filter>) -> Refusals {
        let own = &filters.last().rules;
        let sends = number("sendmsg").is_some_and(|number| {
            evaluate(own, number, [0, 0, NOSIGNAL, 0, 0, 0]) == Action::Allow
        });
        let one = filters.iter().count() == 1;
        let asking = (wanted && self.host.listeners && one && sends).then(|| told(own)).flatten();
        asking.map_or(Refusals::Kernel, Refusals::Supervisor)
    }

    /// What becomes of every call; nothing where a name is not known, which is a problem then.
    pub(super) fn verdicts(&mut self, shown: &Shown) -> Option<Vec<Verdict>> {
        match verdicts(&self.wishes(shown).rules()) {
            Ok(verdicts) => Some(verdicts),
            Err(wrong) => {
                self.filter_is_wrong(wrong);
                None
            }
        }
    }

    pub(super) fn filter_is_wrong(&mut self, wrong: Vec<String>) {
        let syscalls = &self.profile.syscalls;
        let written = || syscalls.allow.iter().chain(&syscalls.deny).chain(&syscalls.base);
        for what in wrong {
            // The compiler names the entry; the longest that it names is the one.
            let entry = written()
                .filter(|entry| what.contains(&entry.value))
                .max_by_key(|entry| entry.value.len());
            let origin = entry.map(|entry| entry.origin.clone());
            let origin =
                origin.unwrap_or_else(|| crate::origin::Origin::named("this profile", "syscalls"));
            self.refuse(&origin, what, "correct or remove the entry");
        }
    }
}
