//! When something is to happen though nothing else does: the times of a run, in one place.

use super::deadline::START_WITHIN;
use sandboxd_profiles::resolved::Outside;
use std::time::{Duration, Instant};

/// How often CPU time is compared with its limit, at most.
const CPU_TICK: Duration = Duration::from_millis(100);
/// Long after anything that is to happen.
const NEVER: Duration = Duration::from_secs(3600);

/// The times at which a run wakes up.
#[derive(Debug, Default)]
pub(super) struct Clocks {
    /// The command is to run by then.
    start: Option<Instant>,
    /// Its wall time is used up.
    wall: Option<Instant>,
    /// CPU time is looked at.
    cpu: Option<Instant>,
    /// Whoever started us is told that we still look.
    alive: Option<Instant>,
}

/// Which of them has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passed {
    Start,
    Wall,
    Cpu,
    Alive,
    /// None of these.
    Other,
}

impl Clocks {
    /// The command's time begins, and that of its start.
    pub(super) fn begin(&mut self, outside: &Outside, start: Instant, now: Instant) {
        self.start = Some(start);
        self.wall = outside.wall_time_ms.map(|limit| now + Duration::from_millis(limit));
        self.cpu = outside.cpu_time_ms.map(|_| now + CPU_TICK);
    }

    /// Nobody waits for the command: its time does not run.
    pub(super) fn rest(&mut self) {
        (self.start, self.wall, self.cpu) = (None, None, None);
    }

    /// The same, from when somebody does.
    pub(super) fn claimed(&mut self, outside: &Outside, now: Instant) {
        self.begin(outside, now + START_WITHIN, now);
    }

    /// Whether the command was to run before now.
    pub(super) fn is_late(&self) -> bool {
        self.start.is_some_and(|start| start <= Instant::now())
    }

    /// Looked at CPU time, which lasts so long at least.
    pub(super) fn look_again(&mut self, lasts: Duration) {
        self.cpu = Some(Instant::now() + lasts.max(CPU_TICK));
    }

    /// Whoever started us is to be told so long from now.
    pub(super) fn tell_in(&mut self, every: Option<Duration>) {
        self.alive = every.map(|every| Instant::now() + every);
    }

    /// When wall time is used up; nothing where it is not limited, or that is over.
    pub(super) const fn wall(&self) -> Option<Instant> {
        self.wall
    }

    /// The first of them, and of this one.
    pub(super) fn earliest(&self, other: Option<Instant>) -> Instant {
        let all = [other, self.start, self.wall, self.cpu, self.alive];
        all.into_iter().flatten().min().unwrap_or_else(|| Instant::now() + NEVER)
    }

    /// Which one this was. It does not come again.
    pub(super) fn passed(&mut self, at: Instant) -> Passed {
        let all = [
            (&mut self.start, Passed::Start),
            (&mut self.wall, Passed::Wall),
            (&mut self.cpu, Passed::Cpu),
            (&mut self.alive, Passed::Alive),
        ];
        for (clock, passed) in all {
            if *clock == Some(at) {
                *clock = None;
                return passed;
            }
        }
        Passed::Other
    }
}
