//! Services: the parts of sandboxd that read what a command wrote, each in a process of its own that
//! may do nothing else. No such byte is parsed with the supervisor's rights.
//!
//! A service is a run like any other, in a thread of its own: this executable, shown to it as
//! `/sandboxd`, behind every layer, with the three streams that it is given and nothing else. It ends
//! when the supervisor wants it to, or ends itself. Its profile ships (`profiles/builtin`); what the
//! operator lets the host lack for the command, namespaces among it, it may lack for the service.

pub(crate) mod broker;
pub(crate) mod channel;
pub(crate) mod egress;
pub(crate) mod gathered;
pub(crate) mod notify;
pub(crate) mod pipes;
pub(crate) mod terminal;

use crate::host;
use crate::sandbox::channel::watched;
use crate::sandbox::{
    self, Ahead, Around, Audit, Finished, MakeReceipt, Purses, Request, START_WITHIN, StartError,
    Then,
};
use rustix::fd::OwnedFd;
use sandboxd_plan::Text;
use sandboxd_profiles::schema::Isolation;
use sandboxd_profiles::{Invocation, Overrides, Profile, Stream, builtin};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::io::unix::AsyncFd;

/// Where a service finds this executable.
pub(crate) const PROGRAM: &str = "/sandboxd";

/// The names of all services, which are those of their profiles.
pub(crate) const NAMES: [&str; 4] = [broker::NAME, egress::NAME, notify::NAME, terminal::NAME];

/// What is wanted of a service.
pub(crate) struct Wanted {
    /// Its profile and its word on the command line, `sandboxd service NAME`.
    pub(crate) name: &'static str,
    /// The rest of its command line.
    pub(crate) arguments: Vec<String>,
    /// The profile of the run that it is for: what that lets the host lack.
    pub(crate) run: Profile,
    /// Where it is written down, as of that run.
    pub(crate) audit: Audit,
    /// Its standard input, output and error.
    pub(crate) streams: [OwnedFd; 3],
}

/// A service that was begun. Letting go of it ends it, and waits until nothing of it is left.
pub(crate) struct Service {
    name: &'static str,
    /// Its end is the service's.
    tie: Option<OwnedFd>,
    /// Its end says that the service is over.
    over: Option<AsyncFd<OwnedFd>>,
    /// It was waited for, and runs.
    begun: bool,
    news: Receiver<News>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread says.
enum News {
    /// Every layer is on; it runs.
    Started,
    /// It does not run.
    Refused(StartError),
    /// It is over; its exit status, and what could not be cleaned up.
    Ended(u8, Vec<String>),
}

impl Service {
    /// Begins to start it, and does not wait. In the loop that is to wait for its end.
    ///
    /// # Errors
    /// Where there is no thread or pipe to be had.
    pub(crate) fn begin(wanted: Wanted) -> Result<Self, StartError> {
        let (orders, tie) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
            .map_err(|errno| StartError::call("pipe2", wanted.name, errno))?;
        let (over, living) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
            .map_err(|errno| StartError::call("pipe2", wanted.name, errno))?;
        let (teller, news) = channel();
        let name = wanted.name;
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let told = match serve(wanted, orders, &teller) {
                    Ok(finished) => News::Ended(finished.result.exit_status(), finished.left),
                    Err(error) => News::Refused(error),
                };
                // Who has let go of the service hears nothing more of it.
                teller.send(told).ok();
                drop(living);
            })
            .map_err(|error| StartError::io("clone3", name, &error))?;
        let over = Some(watched(over)?);
        Ok(Self { name, tie: Some(tie), over, begun: false, news, thread: Some(thread) })
    }

    /// Waits until it runs, where that was not waited for before.
    ///
    /// # Errors
    /// Why it does not.
    pub(crate) fn started(&mut self) -> Result<(), StartError> {
        if self.begun {
            return Ok(());
        }
        let why = match self.news.recv_timeout(START_WITHIN) {
            Ok(News::Started) => {
                self.begun = true;
                return Ok(());
            }
            Ok(News::Refused(error)) => return Err(self.refused(&error)),
            Ok(News::Ended(..)) => "it ended before it began",
            Err(RecvTimeoutError::Timeout) => "it did not start in time",
            Err(RecvTimeoutError::Disconnected) => "its thread panicked",
        };
        Err(StartError::found("service", format!("{}: {why}", self.name)))
    }

    fn refused(&self, error: &StartError) -> StartError {
        let lines = error.text(self.name);
        let why: Vec<&str> = lines.lines().skip(1).map(str::trim).collect();
        StartError::found("service", format!("{}: {}", self.name, why.join("; "))).with_remedy(
            "sandboxd's own services are confined as the command is: check that this host can start one more sandbox (`sandboxd doctor`)",
        )
    }

    /// Returns once, when it is over though it ran. One that did not start says why to who waits for it
    /// to have [`started`](Self::started).
    pub(crate) async fn over(&mut self) {
        match &self.over {
            // Nothing is ever written to it.
            Some(over) if self.begun => drop(over.readable().await),
            Some(_) | None => std::future::pending().await,
        }
        self.over = None;
    }

    /// Waits until it has ended by itself, or ends it after this time, and tells what could not be
    /// cleaned up after it, and that it failed. One that nobody waited for is ended at once.
    pub(crate) fn finish(&mut self, within: Duration) -> Vec<String> {
        if !self.begun {
            return self.end();
        }
        let mut left = match self.news.recv_timeout(within) {
            Ok(News::Ended(0, left)) => left,
            Ok(News::Ended(status, mut left)) => {
                left.push(format!("the service {} ended with status {status}", self.name));
                left
            }
            Ok(News::Refused(error)) => {
                vec![format!("the service {} failed: {}", self.name, error.line())]
            }
            Ok(News::Started) | Err(_) => Vec::new(),
        };
        left.extend(self.end());
        left
    }

    /// Ends it, and tells what could not be cleaned up after it.
    pub(crate) fn end(&mut self) -> Vec<String> {
        self.tie = None;
        let Some(thread) = self.thread.take() else { return Vec::new() };
        let panicked = thread.join().is_err();
        let mut left: Vec<String> = self
            .news
            .try_iter()
            .flat_map(|news| match news {
                News::Ended(_, left) => left,
                News::Started | News::Refused(_) => Vec::new(),
            })
            .collect();
        if panicked {
            left.push(format!("not cleaned up: the thread of the service {} panicked", self.name));
        }
        left
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Nobody is left to be told.
        drop(self.end());
    }
}

fn serve(wanted: Wanted, orders: OwnedFd, teller: &Sender<News>) -> Result<Finished, StartError> {
    let since = Instant::now();
    let Wanted { name, arguments, run, audit, streams } = wanted;
    let profile = profile(name, &arguments, run)?;
    // The supervisor looks at the clock too, and sooner.
    let ahead = Ahead::begin(since, Then::Rest, Box::new(|error| error.exit_status()))?;
    let invocation = Invocation { streams: [Stream::Pipe; 3], ..Invocation::default() };
    let request = Request {
        profile: &profile,
        under: &[],
        invocation: &invocation,
        since,
        ahead,
        audit: audit.clone(),
        digest: false,
        around: Around::Service { streams, orders },
        within: None,
        sockets: Vec::new(),
        purses: Purses::default(),
    };
    sandbox::run(
        request,
        Some(&mut |_: MakeReceipt<'_>| {
            // Where nobody waits any more, the tie is cut too.
            teller.send(News::Started).ok();
            Ok(())
        }),
    )
    .inspect_err(|error| audit.refused(name, error))
}

fn profile(name: &str, arguments: &[String], run: Profile) -> Result<Profile, StartError> {
    let document = builtin::find(name)
        .ok_or_else(|| StartError::found("service", format!("there is no profile {name}")))?;
    let mut profile = sandboxd_profiles::load(document, &mut |path| {
        Err(format!("{} is not part of a service", path.as_str()))
    })?;
    let own = host::executable()?;
    let isolation = run.isolation();
    profile.require = run.require;
    let mut overrides = Overrides::default();
    let program = match isolation {
        Isolation::Namespaces => {
            overrides.bind.push(format!("{own}:{PROGRAM}:execute"));
            PROGRAM
        }
        // Where there is no view of its own, nothing can be shown elsewhere, and nobody else be it.
        Isolation::Landlock => {
            profile.isolation = run.isolation;
            profile.command.user = run.command.user;
            profile.command.reason = run.command.reason;
            overrides.execute.push(own.clone());
            own.as_str()
        }
    };
    let words = [program, "service", name].into_iter().chain(arguments.iter().map(String::as_str));
    let command: Result<Vec<Text>, _> = words.map(Text::try_from).collect();
    overrides.command = command.map_err(|error| StartError::found("service", error.to_string()))?;
    profile.apply(&overrides)?;
    Ok(profile)
}
