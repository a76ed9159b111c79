//! One loop owns a run: it waits for everything that can happen, asks [`next`], and does what that
//! says. It never waits on the sandbox alone; only an init that is gone or killed is waited for.

use super::ahead::Ahead;
use super::carried::Carried;
use super::channel::{Handed, Lifeline, Reports, watched};
use super::clocks::{Clocks, Passed};
use super::cpu_time::CpuTime;
use super::deadline;
use super::denials::Denials;
use super::egress::Used;
use super::error::StartError;
use super::held::{Held, claimed};
use super::inspect::{Inspected, Ours, inspect};
use super::orphans;
use super::signals::{self, Signals};
use super::spawn::Entering;
use super::state::{Action, End, Event, Limit, State, next};
use crate::calls::Called;
use crate::cgroup::Group;
use crate::systemd::notify::ServiceManager;
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, pidfd_send_signal};
use sandboxd_plan::{Ending, Enforced, Notice};
use sandboxd_profiles::Resolved;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tokio::io::unix::AsyncFd;

/// How long an init that is not PID 1 may take to kill all of its sandbox.
const END_WITHIN: Duration = Duration::from_secs(10);

/// Called between the look from outside and the command's start; its failure keeps the command from
/// running.
pub(crate) type OnGo<'a> = &'a mut dyn FnMut(&Enforced, &Inspected) -> Result<(), StartError>;

/// A run that is being driven.
pub(crate) struct Driver<'a> {
    pub(crate) resolved: &'a Resolved,
    pub(crate) group: Option<&'a Group>,
    pub(super) state: State,
    pub(super) init: Pid,
    pidfd: AsyncFd<OwnedFd>,
    reports: Reports,
    lifeline: Lifeline,
    /// Children that were there before, and are not the sandbox's.
    others: BTreeSet<i32>,
    /// What it is compared with of this process.
    ours: Option<Ours>,
    /// What was begun before it, until its start is over.
    ahead: Option<Ahead>,
    /// What the shim said holds.
    enforced: Option<Enforced>,
    /// The command's pidfd, once init has sent it.
    pub(super) command: Option<OwnedFd>,
    /// What the shim has sent.
    pub(super) handed: Handed,
    pub(super) carried: Carried,
    pub(super) clocks: Clocks,
    signals: Signals,
    /// Whoever started us and waits to be told.
    manager: Option<ServiceManager>,
    /// Where it waits for whoever it is for, until somebody claims it.
    pub(super) held: Option<Held>,
    /// When somebody did.
    pub(super) claimed: Option<Instant>,
    went: bool,
    dead: bool,
    /// What could not be cleaned up.
    left: Vec<String>,
}

impl<'a> Driver<'a> {
    /// Takes over a shim that was just started.
    ///
    /// # Errors
    /// Where a descriptor cannot be waited on.
    pub(crate) fn new(
        resolved: &'a Resolved,
        group: Option<&'a Group>,
        entering: Entering,
        carried: Carried,
        signals: Signals,
    ) -> Result<Self, StartError> {
        let emergency = entering.init.pidfd.try_clone().ok();
        Self::watch(resolved, group, entering, carried, signals).inspect_err(|_| {
            // Nothing waits for it yet. The end of its lifeline ends it too; this is sooner.
            if let Some(pidfd) = emergency {
                pidfd_send_signal(pidfd, Signal::KILL).ok();
            }
        })
    }

    fn watch(
        resolved: &'a Resolved,
        group: Option<&'a Group>,
        entering: Entering,
        carried: Carried,
        signals: Signals,
    ) -> Result<Self, StartError> {
        Ok(Self {
            resolved,
            group,
            state: State::Entering { ready: false, enforced: None, held: false },
            init: entering.init.pid,
            pidfd: watched(entering.init.pidfd)?,
            reports: Reports::new(entering.report)?,
            lifeline: Lifeline::new(entering.lifeline)?,
            others: entering.others,
            ours: None,
            ahead: None,
            enforced: None,
            command: None,
            handed: Handed::default(),
            carried,
            clocks: Clocks::default(),
            signals,
            manager: None,
            held: None,
            claimed: None,
            went: false,
            dead: false,
            left: Vec::new(),
        })
    }

    /// Ends the start where the command does not run by then, and tells whoever started us what becomes
    /// of the run.
    pub(crate) fn awaited(
        &mut self,
        ahead: Ahead,
        deadline: Instant,
        manager: Option<ServiceManager>,
    ) {
        self.ahead = Some(ahead);
        self.clocks.begin(&self.resolved.outside, deadline, Instant::now());
        self.clocks.tell_in(manager.as_ref().and_then(ServiceManager::alive_every));
        self.manager = manager;
    }

    /// Drives the run to its end. Everything in the sandbox is dead when this returns, whichever way.
    ///
    /// # Errors
    /// Where the sandbox is not what it says, or a channel to it breaks; the command then did not run
    /// or was killed.
    pub(crate) async fn drive(&mut self, on_go: OnGo<'_>) -> Result<End, StartError> {
        let end = self.run(on_go).await;
        // The end of init is the end of every process in its pid namespace. Whoever else is in the
        // cgroup, because there was no init yet, ends when that is removed.
        let killed = self.end_init();
        if !self.has_pid_namespace() {
            self.init_may_end().await;
        }
        let reaped = self.reap().and_then(|alone| if alone { Ok(()) } else { self.end_orphans() });
        self.dead = reaped.is_ok();
        if end.is_ok() {
            killed?;
            reaped?;
        }
        let by_itself = matches!(end, Ok(End::Exited { why: None, .. }));
        self.left = self.carried.finish(&mut self.signals, by_itself).await;
        end
    }

    /// Whether init was waited for, and with it everything in its pid namespace.
    pub(crate) fn is_dead(&self) -> bool {
        self.dead
    }

    /// What could not be cleaned up beside the sandbox itself.
    pub(crate) fn left(&mut self) -> Vec<String> {
        std::mem::take(&mut self.left)
    }

    /// What went out, where anything could; what was refused, where anybody was asked; and what came of calls.
    pub(crate) fn told(&mut self) -> (Option<Used>, Option<Denials>, Vec<Called>) {
        (self.carried.used(), self.carried.denials(), self.carried.called())
    }

    /// Whether the command was let go.
    pub(crate) fn went(&self) -> bool {
        self.went
    }

    async fn run(&mut self, on_go: OnGo<'_>) -> Result<End, StartError> {
        // While the shim works.
        self.ours = Some(Ours::look(&self.resolved.plan.namespaces.own)?);
        loop {
            let event = self.wait().await?;
            if let Event::Enforced(enforced) = &event {
                self.enforced = Some(enforced.clone());
            }
            if let Some(listener) = self.handed.refusals.take() {
                self.carried.refuse(listener, &self.resolved.plan)?;
            }
            if event == Event::Notice(Notice::Ready) && self.command.is_none() {
                return Err(StartError::found("recvmsg", "init sent no pidfd"));
            }
            let (state, actions) = next(self.state.clone(), event, Instant::now());
            let before = std::mem::replace(&mut self.state, state);
            for action in actions {
                self.perform(action, on_go)?;
            }
            if matches!(self.state, State::Ended(_)) {
                self.carried.hear_out().await;
            }
            if before == State::Entered && matches!(self.state, State::Running(_)) {
                self.carried.runs();
            }
            if let Some(manager) = &self.manager {
                manager.went(&before, &self.state)?;
            }
            if let State::Ended(end) = &self.state {
                return Ok(end.clone());
            }
        }
    }

    /// The next thing that happens. What the shim reports comes before the news of its end, and what
    /// init says before the news that it is gone.
    async fn wait(&mut self) -> Result<Event, StartError> {
        let event = self.first().await?;
        let end = matches!(
            event,
            Event::Notice(Notice::Exited(_) | Notice::Signaled(_)) | Event::InitGone
        );
        if matches!(event, Event::Notice(Notice::Stopped(_))) {
            return Ok(Event::Stopped { terminal: self.carried.has_terminal() });
        }
        let failure = if end { self.reports.failure()? } else { None };
        Ok(failure.unwrap_or(event))
    }

    async fn first(&mut self) -> Result<Event, StartError> {
        let deadline = self.deadline();
        tokio::select! {
            biased;
            event = self.reports.next(&mut self.handed) => event,
            event = self.lifeline.next(&mut self.command) => event,
            gone = self.pidfd.readable() => match gone {
                Ok(_) => Ok(self.lifeline.last()?.unwrap_or(Event::InitGone)),
                Err(_) => Err(StartError::found("epoll_wait", "pidfd")),
            },
            told = self.signals.next() => Ok(self.carried.told(told)),
            () = claimed(self.held.as_ref()) => Ok(self.go_on()),
            event = self.carried.event(self.group) => event,
            () = tokio::time::sleep_until(deadline.into()) => Ok(self.passed(deadline)),
        }
    }

    /// When to wake up without anything having happened.
    fn deadline(&self) -> Instant {
        let kill_at =
            if let State::Stopping { kill_at, .. } = &self.state { Some(*kill_at) } else { None };
        self.clocks.earliest(kill_at)
    }

    /// What it means that this time has come.
    fn passed(&mut self, deadline: Instant) -> Event {
        match self.clocks.passed(deadline) {
            Passed::Start => return self.late(),
            Passed::Wall => return Event::Limit(Limit::WallTime),
            Passed::Cpu => match self.cpu_time() {
                CpuTime::UsedUp => return Event::Limit(Limit::CpuTime),
                CpuTime::Lasts(lasts) => self.clocks.look_again(lasts),
                CpuTime::Unlimited => {}
            },
            Passed::Alive => {
                if let Some(manager) = &self.manager {
                    manager.alive();
                    self.clocks.tell_in(manager.alive_every());
                }
            }
            Passed::Other => {}
        }
        Event::Tick
    }

    fn perform(&mut self, action: Action, on_go: OnGo<'_>) -> Result<(), StartError> {
        match action {
            Action::Hold => self.look().and_then(|_| self.rest()),
            Action::Go => {
                let (enforced, inspected) = self.look()?;
                on_go(&enforced, &inspected)?;
                self.carried.begin(std::mem::take(&mut self.handed))?;
                // Nothing that follows can keep the command from running. Whoever looks at the clock is woken up to end
                // only when it runs, which it would do first.
                let in_time = !self.clocks.is_late();
                if !in_time || !self.ahead.as_ref().is_none_or(Ahead::over) {
                    return Err(deadline::own());
                }
                self.went = true;
                let gone = self.reports.go();
                self.ahead = None;
                gone
            }
            Action::Signal(number) => signals::send_to_group(self.command.as_ref(), number),
            Action::Reload => signals::send_hangup(self.command.as_ref()),
            Action::Kill => self.kill(),
            Action::Suspend => self.suspend(),
        }
    }

    /// Compares the sandbox with its plan from outside, and leads its network out, now that it is as it must
    /// be. Of what is kept ready that is done twice: once it is, and again before its command is let go.
    fn look(&mut self) -> Result<(Enforced, Inspected), StartError> {
        let (Some(command), Some(enforced), Some(ours)) =
            (&self.command, &self.enforced, &self.ours)
        else {
            return Err(StartError::found("inspect", "nothing to compare with"));
        };
        let (init, enforced) = (self.init.as_raw_pid(), enforced.clone());
        let plan = &self.resolved.plan;
        let seen = inspect(plan, self.group, init, command.as_fd(), ours);
        let inspected = match seen {
            Ok(inspected) => inspected,
            Err(differs) => return Err(self.told_first(differs)),
        };
        self.carried.lead(self.init)?;
        Ok((enforced, inspected))
    }

    /// A command's half that failed after it had reported is not there to be looked at, and what it said
    /// is what went wrong.
    fn told_first(&mut self, differs: StartError) -> StartError {
        match self.reports.failure() {
            Ok(Some(Event::Failed(failure))) => StartError::Failed(failure),
            Ok(_) | Err(_) => differs,
        }
    }

    /// Kills init, whose death the rest of its pid namespace does not survive, and whoever is in the
    /// cgroup, which covers the moment before there is an init.
    fn kill(&self) -> Result<(), StartError> {
        self.end_init()?;
        match self.group {
            Some(group) => group.kill().map_err(StartError::from),
            None => Ok(()),
        }
    }

    fn has_pid_namespace(&self) -> bool {
        self.resolved.plan.ending == Ending::PidNamespace
    }

    /// Ends init, and everything with it: by killing it where it is PID 1, by the end of its lifeline
    /// where it has to kill the rest itself.
    fn end_init(&self) -> Result<(), StartError> {
        if self.has_pid_namespace() { self.kill_init() } else { self.lifeline.end() }
    }

    /// Waits for the end of an init that was asked to end, and kills one that does not.
    async fn init_may_end(&self) {
        let gone = tokio::time::timeout(END_WITHIN, self.pidfd.readable()).await;
        if gone.is_err() {
            // Whether it could be killed is seen when it is waited for.
            self.kill_init().ok();
        }
    }

    /// Kills what init left because it was killed itself. Whoever else has become a child of ours meanwhile, as one
    /// of those that our caller started may, is not told apart from them.
    fn end_orphans(&self) -> Result<(), StartError> {
        if self.has_pid_namespace() { Ok(()) } else { orphans::end(&self.others) }
    }

    fn kill_init(&self) -> Result<(), StartError> {
        match pidfd_send_signal(self.pidfd.get_ref(), Signal::KILL) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(errno) => Err(StartError::call("pidfd_send_signal", "init", errno)),
        }
    }

    /// Takes in init, which is gone or killed; whether nothing was left when it went. Where it hangs, its uid stays
    /// busy.
    fn reap(&self) -> Result<bool, StartError> {
        let ended = orphans::taken_in(self.pidfd.get_ref().as_fd(), "init", orphans::REAP_WITHIN)?;
        orphans::gone(self.init);
        // It ends by itself only once it has ended all the rest.
        Ok(ended.exit_status() == Some(0))
    }
}
