//! A run's CPU time and its limit. No cgroup keeps one, so it is looked at; soon after the start, and then no
//! sooner than it can have been used up, so that a command that waits costs nothing.

use super::driver::Driver;
use nix::unistd::{SysconfVar, sysconf};
use std::time::Duration;

/// How long it is not looked at, at most, whatever becomes of the machine's processors meanwhile.
const LONGEST: Duration = Duration::from_secs(10);

/// What is left of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CpuTime {
    Unlimited,
    /// So long at least: until every processor has worked for this command alone.
    Lasts(Duration),
    UsedUp,
}

impl Driver<'_> {
    pub(super) fn cpu_time(&self) -> CpuTime {
        let Some(limit) = self.resolved.outside.cpu_time_ms else { return CpuTime::Unlimited };
        // What cannot be read now is asked for again as soon as can be.
        let used = self.group.and_then(|group| group.usage().cpu_us);
        let Some(used) = used else { return CpuTime::Lasts(Duration::ZERO) };
        lasts(Duration::from_millis(limit), Duration::from_micros(used), processors())
    }
}

fn lasts(limit: Duration, used: Duration, processors: u32) -> CpuTime {
    match limit.saturating_sub(used) {
        Duration::ZERO => CpuTime::UsedUp,
        left => CpuTime::Lasts((left / processors.max(1)).min(LONGEST)),
    }
}

/// Those that this machine can have, and not those that we may use: a command can choose others.
fn processors() -> u32 {
    let count = sysconf(SysconfVar::_NPROCESSORS_CONF).ok().flatten();
    // So many that it is looked at as often as ever.
    count.and_then(|count| u32::try_from(count).ok()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_lasts_until_all_processors_have_used_it_up_and_is_never_left_alone_for_long() {
        let of = |limit, used, processors| {
            lasts(Duration::from_secs(limit), Duration::from_secs(used), processors)
        };
        assert_eq!(of(8, 0, 2), CpuTime::Lasts(Duration::from_secs(4)));
        assert_eq!(of(8, 7, 2), CpuTime::Lasts(Duration::from_millis(500)));
        assert_eq!(of(8, 8, 2), CpuTime::UsedUp);
        assert_eq!(of(8, 9, 2), CpuTime::UsedUp);
        assert_eq!(of(3600, 0, 1), CpuTime::Lasts(LONGEST));
        assert_eq!(of(1, 0, u32::MAX), CpuTime::Lasts(Duration::ZERO));
    }
}
