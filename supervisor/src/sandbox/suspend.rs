//! Being stopped with the command, as a shell's job control has it, without losing the limits of time:
//! who is stopped looks at no clock, so somebody else does.

use super::driver::Driver;
use super::error::StartError;
use rustix::fd::AsFd;
use rustix::fs::{Mode, OFlags};
use sandboxd_kernel::guard::Guard;
use std::time::Instant;

/// How often, at most, CPU time is looked at while we are stopped, in milliseconds.
const CPU_NAP: u64 = 1000;

impl Driver<'_> {
    /// Is stopped as the command was, and wakes up when somebody continues us, or when a time is over
    /// that the command could otherwise outlive.
    pub(super) fn suspend(&mut self) -> Result<(), StartError> {
        let failed = |errno| StartError::call("kill", "SIGTSTP to ourselves", errno);
        loop {
            self.carried.leave();
            let waker = self.waker().map_err(failed)?;
            sandboxd_kernel::signals::stop_group().map_err(failed)?;
            let woken = waker.is_some_and(|waker| waker.has_woken());
            let over = self.clocks.wall().is_some_and(|deadline| Instant::now() >= deadline);
            if !woken || over || self.cpu_time_is_used_up() {
                break;
            }
        }
        self.carried.continued();
        Ok(())
    }

    /// Somebody who continues us when a limit of time may have been reached.
    fn waker(&self) -> rustix::io::Result<Option<Guard>> {
        let outside = &self.resolved.outside;
        let used = self.group.and_then(|group| group.usage().cpu_us).unwrap_or(0) / 1000;
        let processors = std::thread::available_parallelism().map_or(1, |count| count.get());
        // The soonest at which that much can have been used.
        let soonest = outside
            .cpu_time_ms
            .map(|limit| limit.saturating_sub(used))
            .map(|left| left.div_ceil(u64::try_from(processors).unwrap_or(1)).max(CPU_NAP));
        let wall = self.clocks.wall().map(|at| at.saturating_duration_since(Instant::now()));
        let wall = wall.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
        let Some(left) = soonest.into_iter().chain(wall).min() else { return Ok(None) };
        let nothing = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        let waker = Guard::start(nothing.as_fd(), nothing.as_fd())?;
        waker.wake_in(u32::try_from(left).unwrap_or(u32::MAX).max(1))?;
        Ok(Some(waker))
    }
}
