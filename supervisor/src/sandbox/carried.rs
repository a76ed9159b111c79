//! What is carried between the command and its caller: to files, and from and to a terminal.

use super::error::StartError;
use super::relay::Relays;
use super::signals::{SIGCONT, SIGHUP, SIGWINCH, Told};
use super::state::{Event, Limit};
use super::stdio::Stdio;
use crate::terminal::console::Console;
use rustix::fd::OwnedFd;
use sandboxd_profiles::Outside;

/// Everything that is carried.
pub(crate) struct Carried {
    relays: Relays,
    console: Option<Console>,
}

impl Carried {
    /// Begins to carry to files; the terminal waits until the command runs.
    ///
    /// # Errors
    /// Where the caller's terminal cannot be opened, or a descriptor cannot be waited on.
    pub(crate) fn start(stdio: &mut Stdio, outside: &Outside) -> Result<Self, StartError> {
        let pipes = stdio.take_pipes();
        Ok(Self {
            console: Console::prepare(outside.streams, &outside.escapes, pipes)?,
            relays: Relays::start(stdio.take_relays(), outside.output)?,
        })
    }

    /// The command is about to run, with the other end of its terminal where it has one.
    ///
    /// # Errors
    /// Where it should have one and there is none, or a terminal refuses its settings.
    pub(crate) fn begin(&mut self, terminal: Option<OwnedFd>) -> Result<(), StartError> {
        self.console.as_mut().map_or(Ok(()), |console| console.begin(terminal))
    }

    /// Whether the command has a terminal of its own.
    pub(crate) fn has_terminal(&self) -> bool {
        self.console.as_ref().is_some_and(Console::is_own)
    }

    /// Carries, and returns when the limit of output is reached, a file takes no more, or the caller's
    /// terminal is gone.
    pub(crate) async fn event(&mut self) -> Event {
        let Self { relays, console } = self;
        let hung_up = async {
            match console {
                Some(console) => console.hung_up().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = relays.full() => Event::Limit(Limit::Output),
            // As the kernel tells the leader of the session whose terminal it was.
            () = hung_up => Event::Stop(SIGHUP),
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
        }
    }

    /// Carries what is left of a sandbox that has ended, and gives the terminal back.
    pub(crate) async fn finish(&mut self) {
        self.relays.drain().await;
        if let Some(console) = &mut self.console {
            console.finish().await;
        }
    }
}
