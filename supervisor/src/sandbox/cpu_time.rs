//! A run's CPU time and its limit. No cgroup keeps one, so it is looked at; and no sooner than it can have
//! been used up, so that a command that waits costs nothing.

use super::driver::Driver;
use nix::unistd::{SysconfVar, sysconf};
use std::time::Duration;

impl Driver<'_> {
    pub(super) fn cpu_time_is_used_up(&self) -> bool {
        self.cpu_time_left().is_some_and(|left| left.is_zero())
    }

    /// How long it lasts at least: until every processor has worked for this command alone. Nothing where it
    /// is not limited.
    pub(super) fn cpu_time_lasts(&self) -> Option<Duration> {
        self.cpu_time_left().map(|left| left / processors())
    }

    fn cpu_time_left(&self) -> Option<Duration> {
        let limit = Duration::from_millis(self.resolved.outside.cpu_time_ms?);
        let used = self.group.and_then(|group| group.usage().cpu_us).unwrap_or(0);
        Some(limit.saturating_sub(Duration::from_micros(used)))
    }
}

/// Those that this machine can have, and not those that we may use: a command can choose others.
fn processors() -> u32 {
    let count = sysconf(SysconfVar::_NPROCESSORS_CONF).ok().flatten();
    // So many that it is looked at as often as ever.
    count.and_then(|count| u32::try_from(count).ok()).filter(|count| *count > 0).unwrap_or(u32::MAX)
}
