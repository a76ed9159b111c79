//! Being stopped with the command, as a shell's job control has it, without losing the limits of time:
//! who is stopped looks at no clock, so somebody else does.

use super::cpu_time::CpuTime;
use super::driver::Driver;
use super::error::StartError;
use rustix::fd::AsFd;
use rustix::fs::{Mode, OFlags};
use sandboxd_kernel::guard::Guard;
use std::time::{Duration, Instant};

/// How often CPU time is looked at while we are stopped, at most.
const CPU_NAP: Duration = Duration::from_secs(1);

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
            if !woken || over || self.cpu_time() == CpuTime::UsedUp {
                break;
            }
        }
        self.carried.continued();
        Ok(())
    }

    /// Somebody who continues us when a limit of time may have been reached.
    fn waker(&self) -> rustix::io::Result<Option<Guard>> {
        let cpu = match self.cpu_time() {
            CpuTime::Unlimited => None,
            CpuTime::Lasts(lasts) => Some(lasts.max(CPU_NAP)),
            CpuTime::UsedUp => Some(Duration::ZERO),
        };
        let wall = self.clocks.wall().map(|at| at.saturating_duration_since(Instant::now()));
        let Some(left) = cpu.into_iter().chain(wall).min() else { return Ok(None) };
        let nothing = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        let waker = Guard::start(nothing.as_fd(), nothing.as_fd())?;
        waker.wake_in(u32::try_from(left.as_millis()).unwrap_or(u32::MAX).max(1))?;
        Ok(Some(waker))
    }
}
