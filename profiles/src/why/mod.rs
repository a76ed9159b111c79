//! Why something is allowed or refused, and where that is written: answered from the plan that a run would
//! execute, by the very rules, flags and filter that it holds, never by a second reading of a profile.
//!
//! Read in this order: [`answer`] (what is told), [`view`] and [`walk`] (what a path names inside), [`access`]
//! (what is wanted of it), [`file`] (what the layers say) with [`permission`], [`layers`] and [`places`];
//! then [`syscall`] and [`network`]. What the host has is asked of the caller, as [`host`] says.

mod access;
mod answer;
mod file;
mod host;
mod layers;
mod network;
mod permission;
mod places;
mod syscall;
mod view;
mod walk;

pub use access::{Access, rights};
pub use answer::{Answer, Judged, Line};
pub(crate) use answer::{allows, refuses};
pub use host::{Look, Seen, Thing};

use crate::resolve::Explained;
use file::Asking;
use permission::Who;
use sandboxd_plan::{Groups, HostPath, JailPath};
use view::View;

/// A plan that is asked.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The plan, and where it is written.
    pub explained: &'a Explained,
    /// The supplementary groups of whoever runs it.
    pub groups: &'a [u32],
    /// Whether the host guards links in folders that everybody writes, `fs.protected_symlinks`.
    pub guarded: bool,
    /// What the host has.
    pub look: Look<'a>,
}

impl Asked<'_> {
    /// May the command do this with what a path names inside? One that is relative begins in its working
    /// directory.
    #[must_use]
    pub fn path(&self, path: &str, access: Access) -> Answer {
        self.asking(access).answer(path)
    }

    /// Where a path leads inside, without links, and what that is on the host; nothing where it leads
    /// nowhere.
    #[must_use]
    pub fn leads(&self, path: &str, access: Access) -> Option<(JailPath, Option<HostPath>)> {
        let asking = self.asking(access);
        let place = asking.place(path).ok()?;
        let host = asking.view.host(&place.path);
        Some((place.path, host))
    }

    fn asking(&self, access: Access) -> Asking<'_> {
        let identity = self.explained.resolved.plan.command.identity;
        let groups = match identity.groups {
            Groups::Kept => self.groups.to_vec(),
            Groups::Emptied => Vec::new(),
        };
        Asking {
            view: View::of(&self.explained.resolved, self.look),
            who: Who { identity, groups, guarded: self.guarded },
            sources: &self.explained.sources,
            access,
        }
    }

    /// May it make a system call? Nothing where there is none of this name.
    #[must_use]
    pub fn syscall(&self, name: &str) -> Option<Answer> {
        let filters = &self.explained.resolved.plan.command.syscalls;
        syscall::answer(filters, &self.explained.sources, name)
    }

    /// May it connect to a port of a host over TCP?
    #[must_use]
    pub fn host(&self, host: &str, port: u16) -> Answer {
        network::answer(self.explained, host, port)
    }
}
