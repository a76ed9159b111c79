//! Sockets that systemd listens on for a service, sd_listen_fds(3). The profile says which of them the
//! command gets; here they are taken, and looked at: only what accepts is passed on.

use crate::explain::printable;
use crate::sandbox::StartError;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, ipproto, sockopt};
use sandboxd_profiles::{Accepts, Passed};
use std::ffi::OsString;

/// The first of them, by the contract of sd_listen_fds(3).
const FIRST: i32 = 3;
/// More than any service has, and few enough to be put in place for a command.
const MOST: i32 = 16;
/// What sockets without names are called, sd_listen_fds_with_names(3).
const UNNAMED: &str = "unknown";

/// What was passed, in its order.
#[derive(Default)]
pub(crate) struct Sockets {
    /// What is known of each.
    pub(crate) passed: Vec<Passed>,
    /// The sockets themselves.
    pub(crate) fds: Vec<OwnedFd>,
}

/// Takes the sockets that were passed to this process. To be called once, before anything else is opened
/// or taken; `result` is the descriptor that the caller wants the result written to.
///
/// # Errors
/// Where something else was passed than sockets that accept, or more than can be put in place.
pub(crate) fn take(result: Option<i32>) -> Result<Sockets, StartError> {
    let names = announced(&|name| std::env::var_os(name), std::process::id())?;
    let mut sockets = Sockets::default();
    for (number, name) in (FIRST..).zip(names) {
        let subject = format!("descriptor {number}, {}", printable(&name));
        if result == Some(number) {
            return Err(StartError::found("result-fd", subject)
                .with_remedy("this is a socket that systemd passes: give another number"));
        }
        let fd = sandboxd_kernel::fds::take(number)
            .map_err(|errno| StartError::call("fcntl", &subject, errno).with_remedy(PASSED))?;
        let accepts = accepts(&fd).map_err(|wrong| match wrong {
            Wrong::Call(call, errno) => StartError::call(call, &subject, errno).with_remedy(PASSED),
            Wrong::Kind(what) => StartError::found("sockets", format!("{subject}: {what}"))
                .with_remedy("pass only listening Unix and TCP sockets (ListenStream=, Accept=no): remove the rest from the .socket unit"),
        })?;
        sockets.passed.push(Passed { name, accepts });
        sockets.fds.push(fd);
    }
    Ok(sockets)
}

const PASSED: &str = "LISTEN_FDS announces a socket there: check what started sandboxd";

/// Why a socket is not passed on.
enum Wrong {
    Call(&'static str, Errno),
    Kind(&'static str),
}

/// Whom a socket accepts. One that does anything else than accept is none.
fn accepts(fd: &OwnedFd) -> Result<Accepts, Wrong> {
    let failed = |errno| match errno {
        Errno::NOTSOCK => Wrong::Kind("not a socket"),
        errno => Wrong::Call("getsockopt", errno),
    };
    let kind = sockopt::socket_type(fd).map_err(failed)?;
    let family = sockopt::socket_domain(fd).map_err(failed)?;
    let protocol = sockopt::socket_protocol(fd).map_err(failed)?;
    let accepts = match (family, kind, protocol) {
        (AddressFamily::UNIX, SocketType::STREAM, _) => Accepts::Local,
        // No other protocol is judged by Landlock.
        (AddressFamily::INET | AddressFamily::INET6, SocketType::STREAM, Some(ipproto::TCP)) => {
            Accepts::Tcp
        }
        (_, SocketType::DGRAM, _) => {
            return Err(Wrong::Kind("a datagram socket, which can send to anyone"));
        }
        _ => return Err(Wrong::Kind("neither a Unix nor a TCP stream")),
    };
    match sockopt::socket_acceptconn(fd).map_err(failed)? {
        true => Ok(accepts),
        false => Err(Wrong::Kind("a socket that does not listen")),
    }
}

/// The names of the sockets that were passed to this process and no other.
fn announced(
    variable: &dyn Fn(&str) -> Option<OsString>,
    own: u32,
) -> Result<Vec<String>, StartError> {
    // The variables reach every process below a service; one of them is meant.
    let is_own = variable("LISTEN_PID").is_some_and(|pid| pid == *own.to_string());
    let Some(count) = variable("LISTEN_FDS").filter(|_| is_own) else { return Ok(Vec::new()) };
    let wrong = |what: &str| {
        Err(StartError::found(
            "sockets",
            format!("LISTEN_FDS={}: {what}", printable(&count.to_string_lossy())),
        )
        .with_remedy("check what started sandboxd, or unset LISTEN_PID"))
    };
    let Some(number) = count.to_str().and_then(|count| count.parse::<i32>().ok()) else {
        return wrong("not a number");
    };
    if !(0..=MOST).contains(&number) {
        return wrong("a command is given 16 sockets at most");
    }
    let unnamed = (0..number).map(|_| UNNAMED.to_owned()).collect();
    let Some(names) = variable("LISTEN_FDNAMES").filter(|names| !names.is_empty()) else {
        return Ok(unnamed);
    };
    let names: Vec<String> = names.to_string_lossy().split(':').map(str::to_owned).collect();
    if i32::try_from(names.len()) == Ok(number) {
        Ok(names)
    } else {
        wrong("LISTEN_FDNAMES has a different number of names")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(variables: &[(&str, &str)]) -> Result<Vec<String>, StartError> {
        let find = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
        };
        announced(&find, 77)
    }

    #[test]
    fn sockets_for_this_process_and_for_no_other_are_taken() {
        let none: Vec<String> = Vec::new();
        let own = ("LISTEN_PID", "77");
        assert_eq!(told(&[]).unwrap(), none);
        assert_eq!(told(&[("LISTEN_FDS", "1")]).unwrap(), none);
        assert_eq!(told(&[("LISTEN_FDS", "1"), ("LISTEN_PID", "76")]).unwrap(), none);
        assert_eq!(told(&[("LISTEN_FDS", "0"), own]).unwrap(), none);
        assert_eq!(told(&[("LISTEN_FDS", "2"), own]).unwrap(), ["unknown", "unknown"]);
        let named = [("LISTEN_FDS", "2"), own, ("LISTEN_FDNAMES", "web:control")];
        assert_eq!(told(&named).unwrap(), ["web", "control"]);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let own = ("LISTEN_PID", "77");
        for count in ["some", "-1", "17", ""] {
            assert!(told(&[("LISTEN_FDS", count), own]).is_err(), "{count}");
        }
        assert!(told(&[("LISTEN_FDS", "2"), own, ("LISTEN_FDNAMES", "web")]).is_err());
    }
}
