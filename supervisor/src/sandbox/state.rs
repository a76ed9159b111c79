//! What happens next: a pure machine.
//!
//! ```text
//! Entering --both halves confined, go---------------> Entered --report closed--> Running
//!     │  └---the same, kept ready---> Held --claimed, go--^ │                       │
//!     │                                │                    │                       │
//!     └─────────────failed─────────────┴────────────────────┘               stop, or a limit
//!                      │                                                            v
//!                    Ended <──────────────────ended, init gone────────────────── Stopping
//! ```
//!
//! [`next`] decides and does nothing; `driver` does and decides nothing.

use super::error::StartError;
use sandboxd_plan::{Arrives, Enforced, Failure, Notice};
use std::time::{Duration, Instant};

/// How long a sandbox that was asked to end may take before everything in it is killed.
pub const GRACE: Duration = Duration::from_secs(2);

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// The shim goes through its stages.
    Entering {
        /// Init is confined.
        ready: bool,
        /// The command is confined; what its probes answered.
        enforced: Option<Enforced>,
        /// Nobody has claimed it yet, so that its command does not run.
        held: bool,
    },
    /// Both halves are confined, and nobody has claimed it: the command does not run.
    Held,
    /// The supervisor was told to go on; the shim executes the command.
    Entered,
    /// The command runs.
    Running(Job),
    /// The command was asked to end, for this reason, and is killed at that time.
    Stopping {
        /// Why.
        why: Option<Limit>,
        /// When.
        kill_at: Instant,
    },
    /// It is over.
    Ended(End),
}

/// What job control has done to a command that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Job {
    /// Nothing: it goes on.
    Goes,
    /// It was asked to stop, and has not stopped yet.
    Stopping,
    /// It has stopped itself, and we go on.
    Stopped,
}

/// A limit that only the supervisor can enforce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// `wall_time`.
    WallTime,
    /// `cpu_time`.
    CpuTime,
    /// `output`.
    Output,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Before the command ran, for a reason the shim told.
    Failed(Failure),
    /// Before the command ran, and the shim did not say why.
    Silent,
    /// The command ended with a status.
    Exited {
        /// Its exit status.
        status: u8,
        /// The limit that ended it.
        why: Option<Limit>,
    },
    /// The command, or init with it, was ended by a signal.
    Signaled {
        /// Which.
        signal: u8,
        /// The limit that ended it.
        why: Option<Limit>,
    },
}

impl End {
    /// How the command ended, where it ran.
    pub(super) fn of_command(self) -> Result<Self, StartError> {
        match self {
            Self::Failed(failure) => Err(StartError::Failed(failure)),
            Self::Silent => Err(StartError::silent()),
            end @ (Self::Exited { .. } | Self::Signaled { .. }) => Ok(end),
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The shim told what holds.
    Enforced(Enforced),
    /// The shim told why the command does not run.
    Failed(Failure),
    /// The shim sent the other end of the command's terminal.
    Terminal,
    /// The shim sent where it is asked about system calls that are refused.
    Refusals,
    /// The shim sent where this arrives of the command's.
    Endpoint(Arrives),
    /// The report socket is closed.
    ReportClosed,
    /// Init said something.
    Notice(Notice),
    /// Somebody has claimed what was kept ready.
    Claimed,
    /// Init has ended, and with it all of the sandbox.
    InitGone,
    /// Somebody asked for the end with this signal.
    Stop(u8),
    /// A limit was reached.
    Limit(Limit),
    /// The command was stopped; whether from a terminal of its own it may have been.
    Stopped {
        /// It has one.
        terminal: bool,
    },
    /// Somebody wants the command stopped, and us with it, with this signal.
    Suspend(u8),
    /// Another signal that is the command's to see.
    Forward(u8),
    /// Somebody wants the command to read its configuration again.
    Reload,
    /// A deadline passed.
    Tick,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Compare the sandbox from outside, and keep it.
    Hold,
    /// Compare the sandbox from outside and let the command run.
    Go,
    /// Send the command's process group this signal.
    Signal(u8),
    /// Send the command SIGHUP, and nobody else of its group: what it started may know nothing of it.
    Reload,
    /// Give the caller's terminal back, be stopped, and come back when continued.
    Suspend,
    /// Kill everything.
    Kill,
}

const SIGHUP: u8 = 1;
pub(super) const SIGKILL: u8 = 9;
const SIGTERM: u8 = 15;
const SIGCONT: u8 = 18;

/// Decides; does nothing.
#[must_use]
pub fn next(state: State, event: Event, now: Instant) -> (State, Vec<Action>) {
    match state {
        State::Entering { ready, enforced, held } => entering((ready, enforced, held), event),
        State::Held => holding(&event),
        State::Entered => entered(event, now),
        State::Running(job) => running(job, event, now),
        State::Stopping { why, kill_at } => stopping(why, kill_at, event, now),
        State::Ended(end) => (State::Ended(end), Vec::new()),
    }
}

/// How a run ends of this whose command does not run yet.
fn ends_early(event: &Event) -> Option<State> {
    match event {
        Event::Failed(failure) => Some(State::Ended(End::Failed(failure.clone()))),
        Event::ReportClosed | Event::InitGone => Some(State::Ended(End::Silent)),
        Event::Stop(signal) => Some(signaled(*signal, None)),
        Event::Limit(why) => Some(signaled(SIGKILL, Some(*why))),
        Event::Enforced(_)
        | Event::Terminal
        | Event::Refusals
        | Event::Endpoint(_)
        | Event::Notice(_)
        | Event::Claimed
        | Event::Stopped { .. }
        | Event::Suspend(_)
        | Event::Forward(_)
        | Event::Reload
        | Event::Tick => None,
    }
}

fn holding(event: &Event) -> (State, Vec<Action>) {
    if let Some(ended) = ends_early(event) {
        return (ended, vec![Action::Kill]);
    }
    // A command that does not run yet is neither stopped nor told anything.
    if *event == Event::Claimed {
        (State::Entered, vec![Action::Go])
    } else {
        (State::Held, Vec::new())
    }
}

fn entering(
    (ready, enforced, held): (bool, Option<Enforced>, bool),
    event: Event,
) -> (State, Vec<Action>) {
    if let Some(ended) = ends_early(&event) {
        return (ended, vec![Action::Kill]);
    }
    let (ready, enforced, held) = match event {
        Event::Enforced(enforced) => (ready, Some(enforced), held),
        Event::Notice(Notice::Ready) => (true, enforced, held),
        Event::Claimed => (ready, enforced, false),
        // A command that does not run yet is neither stopped nor told anything.
        Event::Notice(_)
        | Event::Terminal
        | Event::Refusals
        | Event::Endpoint(_)
        | Event::Stopped { .. }
        | Event::Suspend(_)
        | Event::Forward(_)
        | Event::Reload
        | Event::Tick
        | Event::Failed(_)
        | Event::ReportClosed
        | Event::InitGone
        | Event::Stop(_)
        | Event::Limit(_) => (ready, enforced, held),
    };
    match (ready && enforced.is_some(), held) {
        (true, false) => (State::Entered, vec![Action::Go]),
        (true, true) => (State::Held, vec![Action::Hold]),
        (false, _) => (State::Entering { ready, enforced, held }, Vec::new()),
    }
}

fn entered(event: Event, now: Instant) -> (State, Vec<Action>) {
    if let Event::Failed(failure) = event {
        return (State::Ended(End::Failed(failure)), vec![Action::Kill]);
    }
    if event == Event::ReportClosed {
        // The exec closed the socket: the command runs.
        return (State::Running(Job::Goes), Vec::new());
    }
    if matches!(event, Event::Suspend(_) | Event::Reload) {
        // A command that does not run yet is not stopped, and has read nothing; who asks again is heard.
        return (State::Entered, Vec::new());
    }
    // A notice can overtake the end of the report of a command that ended at once.
    match running(Job::Goes, event, now) {
        (State::Running(_), actions) => (State::Entered, actions),
        ended => ended,
    }
}

fn running(job: Job, event: Event, now: Instant) -> (State, Vec<Action>) {
    let same = State::Running(job);
    let stop = |why, signal| {
        // One that is stopped hears of it only when it is continued.
        let actions = vec![Action::Signal(signal), Action::Signal(SIGCONT)];
        (State::Stopping { why, kill_at: now + GRACE }, actions)
    };
    match event {
        Event::Notice(Notice::Continued) if job == Job::Stopped => {
            (State::Running(Job::Goes), Vec::new())
        }
        Event::Notice(notice) => (told(notice, None).unwrap_or(same), Vec::new()),
        Event::InitGone => (signaled(SIGKILL, None), Vec::new()),
        Event::Stop(signal) => stop(None, signal),
        Event::Limit(why) => stop(Some(why), SIGTERM),
        // Who has stopped says so no second time.
        Event::Suspend(signal) if job == Job::Stopped => {
            let actions = vec![Action::Signal(signal), Action::Suspend, Action::Signal(SIGCONT)];
            (State::Running(Job::Goes), actions)
        }
        Event::Suspend(signal) => (State::Running(Job::Stopping), vec![Action::Signal(signal)]),
        Event::Stopped { terminal } if terminal || job == Job::Stopping => {
            let actions = vec![Action::Suspend, Action::Signal(SIGCONT)];
            (State::Running(Job::Goes), actions)
        }
        // A command that stops itself, with nobody at a terminal who could have wanted it, stops
        // nobody who keeps its time.
        Event::Stopped { .. } => (State::Running(Job::Stopped), Vec::new()),
        Event::Forward(signal) => (same, vec![Action::Signal(signal)]),
        Event::Reload => (same, vec![Action::Reload]),
        Event::Claimed
        | Event::Enforced(_)
        | Event::Terminal
        | Event::Refusals
        | Event::Endpoint(_)
        | Event::Failed(_)
        | Event::ReportClosed
        | Event::Tick => (same, Vec::new()),
    }
}

fn stopping(
    why: Option<Limit>,
    kill_at: Instant,
    event: Event,
    now: Instant,
) -> (State, Vec<Action>) {
    let same = State::Stopping { why, kill_at };
    match event {
        Event::Notice(notice) => (told(notice, why).unwrap_or(same), Vec::new()),
        Event::InitGone => (signaled(SIGKILL, why), Vec::new()),
        // A terminal that hangs up says so in more than one way.
        Event::Stop(SIGHUP) => (same, Vec::new()),
        // Asked twice: somebody is waiting.
        Event::Stop(_) => (same, vec![Action::Kill]),
        Event::Tick if now >= kill_at => (same, vec![Action::Kill]),
        Event::Forward(signal) => (same, vec![Action::Signal(signal)]),
        // The stop came between the word to go and an execve that then failed.
        Event::Failed(failure) => (State::Ended(End::Failed(failure)), vec![Action::Kill]),
        Event::Limit(limit) => (State::Stopping { why: why.or(Some(limit)), kill_at }, Vec::new()),
        Event::Enforced(_)
        | Event::Claimed
        | Event::Terminal
        | Event::Refusals
        | Event::Endpoint(_)
        | Event::Stopped { .. }
        | Event::Suspend(_)
        | Event::ReportClosed
        | Event::Reload
        | Event::Tick => (same, Vec::new()),
    }
}

fn told(notice: Notice, why: Option<Limit>) -> Option<State> {
    match notice {
        Notice::Exited(status) => Some(State::Ended(End::Exited { status, why })),
        Notice::Signaled(signal) => Some(signaled(signal, why)),
        Notice::Ready | Notice::Stopped(_) | Notice::Continued => None,
    }
}

fn signaled(signal: u8, why: Option<Limit>) -> State {
    State::Ended(End::Signaled { signal, why })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandboxd_plan::{Call, Stage};

    fn enforced() -> Enforced {
        Enforced { answers: Vec::new() }
    }

    fn failure() -> Failure {
        Failure { stage: Stage::Root, call: Call::Open, subject: String::new(), errno: 2 }
    }

    fn every_event() -> Vec<Event> {
        vec![
            Event::Enforced(enforced()),
            Event::Failed(failure()),
            Event::ReportClosed,
            Event::Notice(Notice::Ready),
            Event::Notice(Notice::Exited(3)),
            Event::Notice(Notice::Signaled(11)),
            Event::Notice(Notice::Stopped(19)),
            Event::Notice(Notice::Continued),
            Event::Claimed,
            Event::InitGone,
            Event::Stop(2),
            Event::Limit(Limit::WallTime),
            Event::Terminal,
            Event::Refusals,
            Event::Endpoint(Arrives::Calls),
            Event::Stopped { terminal: true },
            Event::Stopped { terminal: false },
            Event::Suspend(20),
            Event::Forward(10),
            Event::Reload,
            Event::Tick,
        ]
    }

    /// Only this pair of facts, in either order, lets the command run.
    #[test]
    fn the_command_runs_only_after_both_halves_are_confined() {
        let now = Instant::now();
        let states = [(false, None), (true, None), (false, Some(enforced()))];
        for (ready, known) in states {
            for event in every_event() {
                let completes = matches!(
                    (&event, ready, &known),
                    (Event::Enforced(_), true, _) | (Event::Notice(Notice::Ready), _, Some(_))
                );
                for held in [false, true] {
                    let state = State::Entering { ready, enforced: known.clone(), held };
                    let (_, actions) = next(state, event.clone(), now);
                    let goes = actions.contains(&Action::Go);
                    assert_eq!(goes, completes && !held, "{event:?} {ready}");
                    let rests = actions.contains(&Action::Hold);
                    assert_eq!(rests, completes && held, "{event:?} {ready}");
                }
            }
        }
    }

    #[test]
    fn what_is_kept_ready_goes_once_it_is_claimed_and_ends_as_one_that_did_not_run() {
        let now = Instant::now();
        for event in every_event() {
            let (state, actions) = next(State::Held, event.clone(), now);
            assert_eq!(actions.contains(&Action::Go), event == Event::Claimed, "{event:?}");
            let ends = matches!(
                event,
                Event::Failed(_)
                    | Event::ReportClosed
                    | Event::InitGone
                    | Event::Stop(_)
                    | Event::Limit(_)
            );
            if event == Event::Claimed {
                assert_eq!(state, State::Entered);
            } else if ends {
                assert!(matches!(state, State::Ended(_)), "{event:?}");
                assert_eq!(actions, [Action::Kill]);
            } else {
                assert_eq!((state, actions), (State::Held, Vec::new()));
            }
        }
        // One that is claimed before it is ready goes as soon as it is.
        let entering = State::Entering { ready: true, enforced: None, held: true };
        let (state, _) = next(entering, Event::Claimed, now);
        let (_, actions) = next(state, Event::Enforced(enforced()), now);
        assert_eq!(actions, [Action::Go]);
    }

    #[test]
    fn nothing_but_entering_ever_lets_a_command_run() {
        let now = Instant::now();
        let states = [
            State::Entered,
            State::Running(Job::Goes),
            State::Stopping { why: None, kill_at: now },
            State::Ended(End::Silent),
        ];
        for state in states {
            for event in every_event() {
                let (_, actions) = next(state.clone(), event, now);
                assert!(!actions.contains(&Action::Go));
            }
        }
    }

    #[test]
    fn a_failure_before_the_exec_kills_what_was_started() {
        let now = Instant::now();
        let stopping = State::Stopping { why: None, kill_at: now };
        for state in
            [State::Entering { ready: true, enforced: None, held: false }, State::Entered, stopping]
        {
            let (state, actions) = next(state, Event::Failed(failure()), now);
            assert_eq!(state, State::Ended(End::Failed(failure())));
            assert_eq!(actions, [Action::Kill]);
        }
    }

    #[test]
    fn a_command_that_ends_before_its_exec_is_seen_has_still_run() {
        let now = Instant::now();
        let (state, _) = next(State::Entered, Event::Notice(Notice::Exited(0)), now);
        assert_eq!(state, State::Ended(End::Exited { status: 0, why: None }));
    }

    #[test]
    fn a_limit_ends_politely_then_for_good() {
        let now = Instant::now();
        let (state, actions) = next(State::Running(Job::Goes), Event::Limit(Limit::WallTime), now);
        assert_eq!(actions, [Action::Signal(15), Action::Signal(18)]);
        let (state, actions) = next(state, Event::Tick, now);
        assert_eq!(actions, []);
        let (state, actions) = next(state, Event::Tick, now + GRACE);
        assert_eq!(actions, [Action::Kill]);
        let (state, _) = next(state, Event::InitGone, now + GRACE);
        assert_eq!(state, State::Ended(End::Signaled { signal: 9, why: Some(Limit::WallTime) }));
    }

    #[test]
    fn the_end_is_final() {
        let now = Instant::now();
        let end = State::Ended(End::Exited { status: 1, why: None });
        for event in every_event() {
            assert_eq!(next(end.clone(), event, now), (end.clone(), Vec::new()));
        }
    }

    #[test]
    fn being_asked_twice_kills_at_once() {
        let now = Instant::now();
        let (state, actions) = next(State::Running(Job::Goes), Event::Stop(2), now);
        assert_eq!(actions, [Action::Signal(2), Action::Signal(18)]);
        assert_eq!(next(state, Event::Stop(2), now).1, [Action::Kill]);
    }

    #[test]
    fn only_who_was_asked_or_sits_at_a_terminal_stops_the_supervisor() {
        let now = Instant::now();
        let running = State::Running(Job::Goes);
        let alone = State::Running(Job::Stopped);
        let told = next(running.clone(), Event::Stopped { terminal: false }, now);
        assert_eq!(told, (alone.clone(), Vec::new()));
        // Asked to stop when it has stopped already, it has no more to tell.
        let (state, actions) = next(alone.clone(), Event::Suspend(20), now);
        assert_eq!(actions, [Action::Signal(20), Action::Suspend, Action::Signal(18)]);
        assert_eq!(state, running);
        assert_eq!(next(alone, Event::Notice(Notice::Continued), now).0, running);
        let (state, actions) = next(running.clone(), Event::Suspend(20), now);
        assert_eq!(actions, [Action::Signal(20)]);
        let stopped = [Action::Suspend, Action::Signal(18)];
        assert_eq!(next(state, Event::Stopped { terminal: false }, now).1, stopped);
        assert_eq!(next(running, Event::Stopped { terminal: true }, now).1, stopped);
    }

    #[test]
    fn only_a_command_that_runs_is_told_to_read_again() {
        let now = Instant::now();
        let running = State::Running(Job::Goes);
        let told = next(running.clone(), Event::Reload, now);
        assert_eq!(told, (running, vec![Action::Reload]));
        let stopping = State::Stopping { why: None, kill_at: now };
        for state in
            [State::Entering { ready: true, enforced: None, held: false }, State::Entered, stopping]
        {
            assert_eq!(next(state.clone(), Event::Reload, now), (state, Vec::new()));
        }
    }

    #[test]
    fn a_terminal_that_hangs_up_twice_leaves_the_command_its_time() {
        let now = Instant::now();
        let (state, _) = next(State::Running(Job::Goes), Event::Stop(1), now);
        assert_eq!(next(state.clone(), Event::Stop(1), now), (state, Vec::new()));
    }
}
