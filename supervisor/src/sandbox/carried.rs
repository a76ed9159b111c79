//! What is carried between the command and its caller, to files, and from and to a terminal; and who is let
//! in that calls.

use super::around::Between;
use super::audit::Audit;
use super::brokered::Brokered;
use super::channel::Handed;
use super::denials::{Denials, Refusing};
use super::egress::Used;
use super::error::StartError;
use super::fed::Fed;
use super::relay::Relays;
use super::signals::{SIGCONT, SIGHUP, SIGTERM, SIGWINCH, Signals, Told};
use super::state::{Event, Limit};
use super::stdio::Stdio;
use crate::calls::{Called, Caller, Endpoint, Exchange};
use crate::cgroup::Group;
use crate::control::rotation::Rotation;
use crate::terminal::console::Console;
use rustix::fd::OwnedFd;
use rustix::process::Pid;
use sandboxd_plan::Plan;
use sandboxd_profiles::{Profile, Resolved};
use std::time::Duration;

/// How long what a dead sandbox left is still carried once somebody asks for the end.
const LAST: Duration = Duration::from_secs(1);

/// What is told where what it wrote last got lost.
const LOST: &str = "the last of its output is lost: its file or terminal accepted no more";

/// Everything that is carried.
pub(crate) struct Carried {
    relays: Relays,
    fed: Option<Fed>,
    console: Option<Console>,
    between: Between,
    /// Where the command's calls arrive, once it runs.
    endpoint: Option<Endpoint>,
    /// The sandbox's own uid.
    uid: u32,
    /// Who may have secrets read again that others use for the command.
    rotation: Option<Rotation>,
    /// What went out, once the run is over.
    used: Option<Used>,
    /// Answers what the command's filter refuses, once the shim has sent through what.
    refusing: Option<Refusing>,
}

impl Carried {
    /// Begins to carry to and from files; the terminal waits until the command runs, and its filter may lack
    /// what the profile of the run lets the host lack.
    ///
    /// # Errors
    /// Where the caller's terminal cannot be opened, or a descriptor cannot be waited on.
    pub(crate) fn start(
        stdio: &mut Stdio,
        between: Between,
        resolved: &Resolved,
        run: &Profile,
        audit: &Audit,
    ) -> Result<Self, StartError> {
        let outside = &resolved.outside;
        let pipes = stdio.take_pipes();
        Ok(Self {
            console: Console::prepare(outside.streams, &outside.escapes, (run, audit), pipes)?,
            fed: stdio.take_feed().map(Fed::start).transpose()?,
            relays: Relays::start(stdio.take_relays(), outside.output)?,
            between,
            endpoint: None,
            uid: resolved.plan.command.identity.uid,
            rotation: None,
            used: None,
            refusing: None,
        })
    }

    /// Takes over what is answered through where the filter refuses.
    ///
    /// # Errors
    /// Where it cannot be waited on.
    pub(crate) fn refuse(&mut self, listener: OwnedFd, plan: &Plan) -> Result<(), StartError> {
        self.refusing = Some(Refusing::new(listener, plan)?);
        Ok(())
    }

    /// What the command was refused; nothing where nobody was asked.
    pub(crate) fn denials(&self) -> Option<Denials> {
        self.refusing.as_ref().map(Refusing::denials)
    }

    /// The sandbox is as it must be, and nothing in it has run yet: its network is led out, where it goes
    /// anywhere.
    ///
    /// # Errors
    /// Where the kernel leads nothing.
    pub(crate) fn lead(&mut self, init: Pid) -> Result<(), StartError> {
        self.between.egress.as_mut().map_or(Ok(()), |egress| egress.lead(init))
    }

    /// All that the command will need is there, though it does not run yet.
    ///
    /// # Errors
    /// Where a service does not run, or the shim made no place where it is asked, or one that nobody wants.
    pub(crate) fn settle(&mut self, signatures: Option<OwnedFd>) -> Result<(), StartError> {
        match (self.between.egress.as_mut(), signatures) {
            (Some(egress), socket) => {
                egress.ask_at(socket)?;
                egress.started()
            }
            (None, None) => Ok(()),
            (None, Some(_)) => Err(StartError::found("recvmsg", "the ssh-agent socket")),
        }
    }

    /// Who the command is where it calls.
    pub(crate) fn is(&mut self, caller: Option<Caller>) {
        self.between.caller = caller;
    }

    /// The command runs.
    pub(crate) fn runs(&self) {
        if let Some(endpoint) = &self.endpoint {
            endpoint.runs();
        }
    }

    /// The command is about to run, with what the shim handed over: the other end of its terminal where
    /// it has one, and where its calls arrive.
    ///
    /// # Errors
    /// Where it should have one and there is none, a terminal refuses its settings, or a service does
    /// not run.
    pub(crate) fn begin(&mut self, handed: Handed) -> Result<(), StartError> {
        self.refusing.iter_mut().for_each(Refusing::begin);
        self.settle(handed.signatures)?;
        let Between { brokered, exchange, caller, words, renewals, .. } = &mut self.between;
        brokered.as_mut().map_or(Ok(()), Brokered::started)?;
        exchange.as_mut().map_or(Ok(()), Exchange::started)?;
        let renewals = renewals.take();
        self.rotation = renewals.map(|renewals| renewals.begin(caller.as_ref())).transpose()?;
        self.endpoint = match (caller.take(), handed.calls) {
            (Some(caller), Some(socket)) => Some(Endpoint::new(socket, caller, self.uid)?),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => {
                return Err(StartError::found("recvmsg", "the broker's socket"));
            }
        };
        match (words, handed.words) {
            (Some(words), Some(socket)) => words.begin(socket)?,
            (None, None) => {}
            (Some(_), None) | (None, Some(_)) => {
                return Err(StartError::found("recvmsg", "the notify socket"));
            }
        }
        self.console.as_mut().map_or(Ok(()), |console| console.begin(handed.terminal))
    }

    /// The command has ended: what it said to the service manager is passed on before anything else is
    /// said there.
    pub(crate) async fn hear_out(&mut self) {
        if let Some(words) = &mut self.between.words {
            words.hear_out().await;
        }
    }

    /// What went out, once the run is over.
    pub(crate) fn used(&mut self) -> Option<Used> {
        self.used.take()
    }

    /// What came of its calls, once the run is over.
    pub(crate) fn called(&self) -> Vec<Called> {
        let Between { brokered, exchange, .. } = &self.between;
        let clients = brokered.iter().flat_map(Brokered::called);
        clients.chain(exchange.iter().flat_map(Exchange::called)).collect()
    }

    /// Whether the command has a terminal of its own.
    pub(crate) fn has_terminal(&self) -> bool {
        self.console.as_ref().is_some_and(Console::is_own)
    }

    /// Carries, and returns when the limit of output is reached, a file takes no more, or the caller's
    /// terminal is gone.
    ///
    /// # Errors
    /// Where what the command shows can no longer be filtered, or what it reads no longer be read.
    pub(crate) async fn event(&mut self, group: Option<&Group>) -> Result<Event, StartError> {
        let Self { relays, fed, console, between, endpoint, refusing, .. } = self;
        let Between { brokered, exchange, egress, words, .. } = between;
        let over = async {
            match (brokered, exchange) {
                (Some(brokered), _) => brokered.over().await,
                (None, Some(exchange)) => exchange.over().await,
                (None, None) => std::future::pending().await,
            }
        };
        let shut = async {
            match egress {
                Some(egress) => egress.over().await,
                None => std::future::pending().await,
            }
        };
        let unheard = async {
            match words {
                Some(words) => words.over().await,
                None => std::future::pending().await,
            }
        };
        let served = async {
            match endpoint {
                Some(endpoint) => endpoint.serve(group).await,
                None => std::future::pending().await,
            }
        };
        let unread = async {
            match fed {
                Some(fed) => fed.broken().await,
                None => std::future::pending().await,
            }
        };
        let hung_up = async {
            match console {
                Some(console) => console.hung_up().await,
                None => std::future::pending().await,
            }
        };
        let refused = async {
            match refusing {
                Some(refusing) => refusing.answer().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = refused => Ok(Event::Tick),
            full = relays.full() => full.map(|()| Event::Limit(Limit::Output)),
            broken = unread => Err(broken),
            () = over => Ok(Event::Stop(SIGTERM)),
            () = shut => Ok(Event::Stop(SIGTERM)),
            () = unheard => Ok(Event::Stop(SIGTERM)),
            failed = served => failed.map(|()| Event::Tick),
            // As the kernel tells the leader of the session whose terminal it was.
            gone = hung_up => gone.map(|()| Event::Stop(SIGHUP)),
        }
    }

    /// Gives the caller's terminal back for the time in which we are stopped.
    pub(crate) fn leave(&mut self) {
        if let Some(console) = &mut self.console {
            console.leave();
        }
    }

    /// We were stopped, and go on.
    pub(crate) fn continued(&mut self) {
        if let Some(console) = &mut self.console {
            console.continued();
        }
    }

    /// What a signal of ours means, once the terminal has been seen to.
    pub(crate) fn told(&mut self, told: Told) -> Event {
        match (told, &mut self.console) {
            (Told::Forward(SIGWINCH), Some(console)) if console.is_own() => {
                // The kernel tells the command's side, which is all that anybody need do.
                console.resized();
                Event::Tick
            }
            (Told::Forward(SIGCONT), Some(console)) => {
                console.continued();
                Event::Forward(SIGCONT)
            }
            (Told::Forward(number), _) => Event::Forward(number),
            (Told::Stop(number), _) => Event::Stop(number),
            (Told::Suspend(number), _) => Event::Suspend(number),
            (Told::Reload, _) => Event::Reload,
        }
    }

    /// Carries what is left of a sandbox that has ended, gives the terminal back, and tells what could
    /// not be cleaned up. What a command that ended by itself wrote last is `wanted`: that it got lost is told.
    pub(crate) async fn finish(&mut self, signals: &mut Signals, wanted: bool) -> Vec<String> {
        let Self { relays, console, .. } = self;
        let shown = async {
            if let Some(console) = console {
                console.drain(wanted).await;
            }
        };
        // Whoever asks for the end does not wait for a file or a terminal that takes nothing.
        let asked = async {
            signals.asked().await;
            tokio::time::sleep(LAST).await;
        };
        let carried = async { tokio::join!(relays.drain(wanted), shown) };
        tokio::select! { ((), ()) = carried => {}, () = asked => {} }
        let lost = !self.relays.are_over() || self.console.as_ref().is_some_and(Console::shows);
        let mut left = Vec::from_iter((wanted && lost).then(|| String::from(LOST)));
        left.extend(self.console.iter_mut().flat_map(Console::finish));
        // Nobody is let in any more, and nobody reads.
        left.extend(self.rotation.take().into_iter().flat_map(Rotation::finish));
        self.fed = None;
        if let Some(endpoint) = self.endpoint.take() {
            endpoint.close();
        }
        left.extend(self.between.exchange.iter_mut().flat_map(Exchange::finish));
        left.extend(self.between.brokered.iter_mut().flat_map(Brokered::finish));
        if let Some(words) = &mut self.between.words {
            left.extend(words.finish());
        }
        if let Some(egress) = &mut self.between.egress {
            let (used, more) = egress.finish().await;
            self.used = Some(used);
            left.extend(more);
        }
        left
    }
}
