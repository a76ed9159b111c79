//! What the service manager is told of a run, sd_notify(3): that the command runs, how it goes, that it
//! comes to its end, and that the supervisor still looks after it.
//!
//! It is sandboxd's own word. The command has neither the socket nor the variables that name it. Where its
//! profile lets it speak for itself ([`super::words`]), it is the command that says that it is ready and not
//! hung, and sandboxd the rest.

use crate::explain::printable;
use crate::sandbox::StartError;
use crate::sandbox::state::{End, Limit, State};
use rustix::io::Errno;
use sandboxd_plan::Plan;
use sandboxd_profiles::Manager;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// What a service manager waits for that started this process, for the command to be told.
///
/// # Errors
/// Where what it wants to be told cannot be read.
pub(crate) fn manager() -> Result<Manager, StartError> {
    let wants = Wants::read(&|name| std::env::var_os(name), std::process::id())?;
    let microseconds = |within: Duration| u64::try_from(within.as_micros()).unwrap_or(u64::MAX);
    Ok(wants.map_or(Manager::Silent, |wants| Manager::Waits {
        watchdog_us: wants.watchdog.map_or(0, microseconds),
    }))
}

/// How long a manager that is busy may take to make room for a word.
const PATIENCE: Duration = Duration::from_secs(5);

/// The service manager that started this process and waits for its word.
pub(crate) struct ServiceManager {
    socket: UnixDatagram,
    watchdog: Option<Duration>,
    /// The sandbox's id and its program, for people.
    name: String,
    /// Whether the command itself says that it is ready, and answers the watchdog.
    spoken_for: bool,
}

impl ServiceManager {
    /// The one that waits, where one does; it is told that something begins, so that one who does not
    /// listen is noticed before anything is started.
    ///
    /// # Errors
    /// Where it cannot be told, or what it wants to be told cannot be read.
    pub(crate) fn find(plan: &Plan, spoken_for: bool) -> Result<Option<Self>, StartError> {
        let Some(wants) = Wants::read(&|name| std::env::var_os(name), std::process::id())? else {
            return Ok(None);
        };
        let program = plan.exec.argv.first().map(ToString::to_string).unwrap_or_default();
        let name = format!("{}: {}", plan.id, printable(&program));
        let failed = |error: &io::Error| {
            let subject = printable(&wants.address.to_string_lossy());
            StartError::io("connect", format!("NOTIFY_SOCKET={subject}"), error).with_remedy(
                "make sure that what set NOTIFY_SOCKET listens there, or unset the variable",
            )
        };
        let socket = connected(&wants.address).map_err(|error| failed(&error))?;
        let manager = Self { socket, watchdog: wants.watchdog, name, spoken_for };
        manager.tell("STATUS=Setting up the sandbox").map_err(|error| failed(&error))?;
        Ok(Some(manager))
    }

    /// How often it wants to hear that we still look: twice as often as it must, sd_watchdog_enabled(3).
    pub(crate) fn alive_every(&self) -> Option<Duration> {
        self.watchdog.filter(|_| !self.spoken_for).map(|within| within / 2)
    }

    /// Says that we still look. A manager that does not hear it acts by itself.
    pub(crate) fn alive(&self) {
        self.tell("WATCHDOG=1").ok();
    }

    /// Says what there is to say where a run went from one state to another.
    ///
    /// # Errors
    /// Where it cannot be told that the command runs: it would wait for that in vain. Without the
    /// rest a manager knows less and does the same.
    pub(crate) fn went(&self, before: &State, after: &State) -> Result<(), StartError> {
        let news = news(before, after, &self.name, self.spoken_for);
        let Some(News { ready, text }) = news else { return Ok(()) };
        match self.tell(&text) {
            Err(error) if ready => Err(StartError::io("sendto", "NOTIFY_SOCKET", &error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Its socket, for whoever passes on what the command says.
    ///
    /// # Errors
    /// Where there is no descriptor to be had.
    pub(super) fn socket(&self) -> Result<OwnedFd, StartError> {
        let socket = self.socket.try_clone().map(OwnedFd::from);
        socket.map_err(|error| StartError::io("fcntl", "NOTIFY_SOCKET", &error))
    }

    fn tell(&self, text: &str) -> io::Result<()> {
        self.socket.send(text.as_bytes()).map(drop)
    }
}

fn connected(address: &OsString) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(PATIENCE))?;
    match address.as_bytes() {
        [b'@', name @ ..] => socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
        _ => socket.connect(address)?,
    }
    Ok(socket)
}

/// What a manager wants to be told, and where.
#[derive(Debug, PartialEq, Eq)]
struct Wants {
    address: OsString,
    /// How long it waits to hear from us before it takes us for hung.
    watchdog: Option<Duration>,
}

impl Wants {
    /// Reads the variables of sd_notify(3) and sd_watchdog_enabled(3). They reach every process below a
    /// service: where the manager says which process it started, only that one is meant.
    fn read(
        variable: &dyn Fn(&str) -> Option<OsString>,
        own: u32,
    ) -> Result<Option<Self>, StartError> {
        let is_own = |name| variable(name).is_none_or(|pid| pid == *own.to_string());
        let Some(address) = variable("NOTIFY_SOCKET").filter(|_| is_own("SYSTEMD_EXEC_PID")) else {
            return Ok(None);
        };
        if !matches!(address.as_bytes(), [b'/' | b'@', _, ..]) {
            let address = printable(&address.to_string_lossy());
            return Err(StartError::call(
                "connect",
                format!("NOTIFY_SOCKET={address}"),
                Errno::AFNOSUPPORT,
            )
            .with_remedy(
                "set NOTIFY_SOCKET to a path or an abstract socket (@name), or unset it",
            ));
        }
        let watchdog = match variable("WATCHDOG_USEC").filter(|_| is_own("WATCHDOG_PID")) {
            None => None,
            Some(written) => Some(microseconds(&written)?),
        };
        Ok(Some(Self { address, watchdog }))
    }
}

fn microseconds(written: &OsString) -> Result<Duration, StartError> {
    let number = written.to_str().and_then(|text| text.parse().ok()).filter(|number| *number > 0);
    number.map(Duration::from_micros).ok_or_else(|| {
        let written = printable(&written.to_string_lossy());
        StartError::found("watchdog", format!("WATCHDOG_USEC={written}"))
            .with_remedy("write microseconds, or unset the variable")
    })
}

/// What is told at once.
#[derive(Debug, PartialEq, Eq)]
struct News {
    /// That the command runs is part of it.
    ready: bool,
    text: String,
}

/// Decides; tells nothing. That the command runs is said once its `execve` is seen, or it has ended
/// before that could be.
fn news(before: &State, after: &State, name: &str, spoken_for: bool) -> Option<News> {
    let (ready, words) = match (before, after) {
        (State::Entered, State::Running(_)) => (true, format!("Running {name}")),
        (State::Running(_) | State::Entered, State::Stopping { why, .. }) => {
            (false, format!("Stopping {name}: {}", reason(*why)))
        }
        (State::Ended(_), _) => return None,
        (_, State::Ended(end)) => {
            let ran = matches!(end, End::Exited { .. } | End::Signaled { .. });
            (ran && *before == State::Entered, ended(end, name))
        }
        _ => return None,
    };
    let ready = ready && !spoken_for;
    let ready_line = if ready { "READY=1\n" } else { "" };
    let stopping = if matches!(after, State::Running(_)) { "" } else { "STOPPING=1\n" };
    Some(News { ready, text: format!("{ready_line}{stopping}STATUS={words}") })
}

fn ended(end: &End, name: &str) -> String {
    match end {
        End::Failed(failure) => {
            format!("Not started, stage {} failed: {name}", failure.stage.name())
        }
        End::Silent => format!("Not started, the shim ended without a report: {name}"),
        End::Exited { status, why } => format!("Ended with status {status}{} {name}", after(*why)),
        End::Signaled { signal, why } => format!("Ended by signal {signal}{} {name}", after(*why)),
    }
}

fn after(why: Option<Limit>) -> String {
    why.map_or_else(|| String::from(":"), |why| format!(", {}:", reason(Some(why))))
}

const fn reason(why: Option<Limit>) -> &'static str {
    match why {
        None => "it was asked to end",
        Some(Limit::WallTime) => "its wall time was used up",
        Some(Limit::CpuTime) => "its CPU time was used up",
        Some(Limit::Output) => "it reached its limit of output",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::state::Job;
    use std::time::Instant;

    const PID: u32 = 77;

    fn read(variables: &[(&str, &str)]) -> Result<Option<Wants>, StartError> {
        let find = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
        };
        Wants::read(&find, PID)
    }

    #[test]
    fn only_the_process_that_was_started_is_meant() {
        let socket = ("NOTIFY_SOCKET", "/run/systemd/notify");
        assert_eq!(read(&[]).unwrap(), None);
        assert_eq!(read(&[socket, ("SYSTEMD_EXEC_PID", "76")]).unwrap(), None);
        let meant = Wants { address: "/run/systemd/notify".into(), watchdog: None };
        assert_eq!(read(&[socket]).unwrap(), Some(meant));
        assert!(read(&[socket, ("SYSTEMD_EXEC_PID", "77")]).unwrap().is_some());
    }

    #[test]
    fn a_watchdog_of_somebody_else_is_none() {
        let [socket, within] = [("NOTIFY_SOCKET", "@name"), ("WATCHDOG_USEC", "3000000")];
        let watchdog = |variables: &[(&str, &str)]| read(variables).unwrap().unwrap().watchdog;
        assert_eq!(watchdog(&[socket, within]), Some(Duration::from_secs(3)));
        assert_eq!(watchdog(&[socket, within, ("WATCHDOG_PID", "1")]), None);
        assert!(read(&[socket, ("WATCHDOG_USEC", "soon")]).is_err());
        assert!(read(&[socket, ("WATCHDOG_USEC", "0")]).is_err());
    }

    #[test]
    fn an_address_of_another_kind_is_refused() {
        for address in ["", "@", "/", "vsock:2:1234", "notify"] {
            assert!(read(&[("NOTIFY_SOCKET", address)]).is_err(), "{address}");
        }
    }

    #[test]
    fn ready_is_said_of_a_command_that_runs_and_of_no_other() {
        let entering = State::Entering { ready: true, enforced: None, held: false };
        let running = State::Running(Job::Goes);
        let stopping = State::Stopping { why: None, kill_at: Instant::now() };
        let exited = State::Ended(End::Exited { status: 0, why: None });
        let silent = State::Ended(End::Silent);
        let ready = |before: &State, after: &State| {
            news(before, after, "a", false).is_some_and(|News { ready, text }| {
                assert_eq!(ready, text.starts_with("READY=1\n"));
                ready
            })
        };
        assert!(ready(&State::Entered, &running));
        assert!(ready(&State::Entered, &exited));
        let others = [
            (&entering, &State::Entered),
            (&entering, &silent),
            (&State::Entered, &silent),
            (&State::Entered, &stopping),
            (&running, &stopping),
            (&running, &exited),
            (&stopping, &exited),
            (&exited, &exited),
        ];
        for (before, after) in others {
            assert!(!ready(before, after), "{before:?} {after:?}");
        }
    }

    #[test]
    fn of_a_command_that_speaks_for_itself_it_is_not_said_that_it_is_ready() {
        let running = State::Running(Job::Goes);
        let told = news(&State::Entered, &running, "a-1: sleep", true).unwrap();
        assert_eq!((told.ready, told.text.as_str()), (false, "STATUS=Running a-1: sleep"));
    }

    #[test]
    fn every_end_is_told_and_why() {
        let running = State::Running(Job::Goes);
        let why = Some(Limit::WallTime);
        let end = State::Ended(End::Signaled { signal: 15, why });
        assert_eq!(
            news(&running, &end, "a-1: sleep", false).unwrap().text,
            "STOPPING=1\nSTATUS=Ended by signal 15, its wall time was used up: a-1: sleep"
        );
        let stopping = State::Stopping { why: None, kill_at: Instant::now() };
        assert_eq!(
            news(&running, &stopping, "a-1: sleep", false).unwrap().text,
            "STOPPING=1\nSTATUS=Stopping a-1: sleep: it was asked to end"
        );
    }
}
