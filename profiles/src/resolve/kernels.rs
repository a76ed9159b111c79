//! What is there of the kernel's own files, in `/proc`: to be covered, or shown.

use super::trees::ENOSYS;
use super::{Deciding, jail};
use crate::host::{FileKind, PathFact, Privilege};
use crate::origin::Origin;
use sandboxd_plan::{HostPath, JailPath, Kind};

const EACCES: i32 = 13;

impl Deciding<'_> {
    /// The sandbox's own `/proc` shows all of it, whatever the host's does: what the host's leaves out (`subset=pid`,
    /// proc(5)) would not be known to be there, and not be covered.
    pub(super) fn needs_all_of_proc(&mut self) {
        let settings = HostPath::try_from("/proc/sys").ok();
        let fact = settings.and_then(|path| self.host.paths.get(&path));
        if matches!(fact, Some(PathFact::Missing)) {
            self.refuse(
                &Origin::named("this host", "/proc"),
                "/proc shows only processes, so the rest of a sandbox's own /proc cannot be covered",
                "mount it whole; in a unit of systemd: ProcSubset=all",
            );
        }
    }

    /// Those of these paths that are to be covered. Where that is not known nothing is run.
    pub(super) fn existing(&mut self, paths: &[&str]) -> Vec<(JailPath, Kind)> {
        let mut existing = Vec::new();
        for path in paths.iter().filter_map(|path| HostPath::try_from(*path).ok()) {
            let why = match self.host.paths.get(&path) {
                Some(PathFact::Found(_) | PathFact::Missing) => {
                    existing.extend(self.there(&path));
                    continue;
                }
                // Of what this process may not even look at the sandbox sees no more.
                Some(PathFact::Failed(EACCES)) => continue,
                // Where a filter hides the very call, the host is what is wrong, and that is told.
                Some(PathFact::Failed(ENOSYS))
                    if matches!(self.host.privilege, Privilege::None { .. }) =>
                {
                    continue;
                }
                Some(PathFact::Failed(errno)) => format!("cannot be examined (errno {errno})"),
                None => String::from("was not examined"),
            };
            let (what, origin) = (format!("{path} {why}"), Origin::named("this host", "/proc"));
            self.refuse(&origin, what, "find out what keeps sandboxd from examining it");
        }
        existing
    }

    /// One of them, where it is there.
    pub(super) fn there(&self, path: &HostPath) -> Option<(JailPath, Kind)> {
        let PathFact::Found(found) = self.host.paths.get(path)? else { return None };
        let is_folder = found.kind == FileKind::Directory;
        Some((jail(path)?, if is_folder { Kind::Directory } else { Kind::File }))
    }
}
