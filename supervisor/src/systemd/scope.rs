//! A cgroup of this process's own, from systemd: a transient scope with `Delegate=yes`,
//! systemd.scope(5) and `CONTROL_GROUP_INTERFACE.md`.
//!
//! Root asks the system's manager, anybody else their own. The sockets are looked for where systemd
//! puts them and nowhere else: what the environment says of a bus is not asked.

use super::bus::{Answer, Body, Call, call};
use std::io::{ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long systemd may take. It takes milliseconds, but on a machine that is busy starting.
const WITHIN: Duration = Duration::from_secs(20);

const SYSTEM_BUS: &str = "/run/dbus/system_bus_socket";

/// Why there is no scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoScope {
    /// What happened.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

/// Moves this process into a new scope and waits until the kernel says that it is there. `own` is
/// the cgroup it is in now: the scope is put into the same slice, so that whatever limits that
/// limits the scope too.
///
/// # Errors
/// Where systemd cannot be asked, refuses, or does not do it in time.
pub fn enter(own: &str) -> std::result::Result<(), NoScope> {
    let until = Instant::now() + WITHIN;
    let uid = rustix::process::geteuid().as_raw();
    let socket = bus_of(uid);
    let asked = |error: std::io::Error| unreachable_bus(&socket, uid, &error);
    let unit = unit().map_err(asked)?;
    let pid = rustix::process::getpid().as_raw_nonzero().get().cast_unsigned();
    let body = arguments(&unit, slice(own, uid).as_deref(), pid).map_err(asked)?;
    match call(&socket, &request(body), until).map_err(asked)? {
        Answer::Done => wait_for_the_move(&unit, until),
        Answer::Refused(name, words) => Err(NoScope {
            what: format!("systemd refuses a scope: {words} ({name})"),
            remedy: String::from(
                "run it as a service with Delegate=yes in its [Service], or see why systemd refuses: journalctl -b",
            ),
        }),
    }
}

/// Where the manager that is responsible for this user is to be asked.
fn bus_of(uid: u32) -> PathBuf {
    match uid {
        0 => PathBuf::from(SYSTEM_BUS),
        uid => PathBuf::from(format!("/run/user/{uid}/bus")),
    }
}

fn unreachable_bus(socket: &Path, uid: u32, error: &std::io::Error) -> NoScope {
    let remedy = match (error.kind(), uid) {
        (ErrorKind::NotFound | ErrorKind::ConnectionRefused, 0) => {
            "install and start D-Bus (the package dbus), or run it as a service with Delegate=yes"
        }
        (ErrorKind::NotFound | ErrorKind::ConnectionRefused, _) => {
            "log in, or `loginctl enable-linger` this user, and install dbus-user-session"
        }
        _ => "check whether systemd answers: systemctl status",
    };
    NoScope {
        what: format!("systemd cannot be asked for a scope: {}: {error}", socket.display()),
        remedy: remedy.to_owned(),
    }
}

/// A name that no other unit has.
fn unit() -> Result<String> {
    let mut random = [0; 8];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
    let pid = rustix::process::getpid().as_raw_nonzero();
    Ok(format!("sandboxd-{pid}-{:016x}.scope", u64::from_le_bytes(random)))
}

/// Whether a cgroup's name is that of such a scope.
#[must_use]
pub fn is_ours(name: &std::ffi::OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with("sandboxd-") && name.ends_with(".scope"))
}

/// The slice that a cgroup lies in, as the manager in question knows it. Below a user's manager the
/// system's knows none.
fn slice(own: &str, uid: u32) -> Option<String> {
    let mut parts = own.split('/').filter(|part| !part.is_empty());
    if uid != 0 {
        let manager = format!("user@{uid}.service");
        parts.find(|part| *part == manager)?;
    }
    parts.take_while(|part| part.ends_with(".slice")).last().map(str::to_owned)
}

fn request(body: Body) -> Call<'static> {
    Call {
        destination: "org.freedesktop.systemd1",
        path: "/org/freedesktop/systemd1",
        interface: "org.freedesktop.systemd1.Manager",
        member: "StartTransientUnit",
        signature: "ssa(sv)a(sa(sv))",
        body,
    }
}

/// Its arguments.
fn arguments(unit: &str, slice: Option<&str>, pid: u32) -> Result<Body> {
    let mut body = Body::default();
    body.text(unit)?;
    body.text("fail")?;
    body.array(8, |body| {
        body.property("Description", "s", |body| body.text("sandboxd and its sandbox"))?;
        if let Some(slice) = slice {
            body.property("Slice", "s", |body| body.text(slice))?;
        }
        body.property("CollectMode", "s", |body| body.text("inactive-or-failed"))?;
        body.property("Delegate", "b", |body| {
            body.number(1);
            Ok(())
        })?;
        // What the sandbox may have is the profile's to say; the slice's own limit stays.
        body.property("TasksMax", "t", |body| {
            body.long(u64::MAX);
            Ok(())
        })?;
        body.property("PIDs", "au", |body| {
            body.array(4, |body| {
                body.number(pid);
                Ok(())
            })
        })
    })?;
    body.array(8, |_| Ok(()))?;
    Ok(body)
}

/// systemd answers before it has moved anybody. What it says later is not listened for: where this
/// process is, the kernel knows best.
fn wait_for_the_move(unit: &str, until: Instant) -> std::result::Result<(), NoScope> {
    let mut pause = Duration::from_micros(100);
    while Instant::now() < until {
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        if own.lines().any(|line| line.starts_with("0::/") && line.ends_with(&format!("/{unit}"))) {
            return Ok(());
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
    Err(NoScope {
        what: format!("systemd did not move sandboxd into {unit} within {} s", WITHIN.as_secs()),
        remedy: format!("see why: journalctl -b -u {unit}, or --user-unit for an ordinary user"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same call as jeepney, another implementation of D-Bus, makes it.
    const BY_OTHERS: [&str; 15] = [
        "6c0100011801000002000000b600000001016f00190000002f6f72672f667265",
        "656465736b746f702f73797374656d6431000000000000000201730020000000",
        "6f72672e667265656465736b746f702e73797374656d64312e4d616e61676572",
        "0000000000000000030173001200000053746172745472616e7369656e74556e",
        "697400000000000006017300180000006f72672e667265656465736b746f702e",
        "73797374656d6431000000000000000008016700107373612873762961287361",
        "28737629290000002100000073616e64626f78642d372d303030303030303030",
        "303030303066662e73636f7065000000040000006661696c00000000d8000000",
        "0b0000004465736372697074696f6e00017300001800000073616e64626f7864",
        "20616e64206974732073616e64626f78000000000000000005000000536c6963",
        "65000173000000000c000000757365722d302e736c6963650000000000000000",
        "0b000000436f6c6c6563744d6f6465000173000012000000696e616374697665",
        "2d6f722d6661696c65640000000000000800000044656c656761746500016200",
        "0100000000000000080000005461736b734d617800017400ffffffffffffffff",
        "0400000050494473000261750000000004000000070000000000000000000000",
    ];

    #[test]
    fn the_call_is_to_the_last_byte_what_another_implementation_sends() {
        let unit = "sandboxd-7-00000000000000ff.scope";
        let body = arguments(unit, Some("user-0.slice"), 7).unwrap();
        let bytes = request(body).message(2).unwrap();
        let shown = sandboxd_audit::encode::hex(&bytes);
        assert_eq!(shown, BY_OTHERS.concat());
    }

    #[test]
    fn a_scope_stays_in_the_slice_that_limits_its_caller() {
        for (own, uid, wanted) in [
            ("/user.slice/user-0.slice/session-1.scope", 0, Some("user-0.slice")),
            ("/system.slice/cron.service", 0, Some("system.slice")),
            // What the user's manager calls app.slice is nothing that the system's knows.
            (
                "/user.slice/user-1000.slice/user@1000.service/app.slice/x.scope",
                0,
                Some("user-1000.slice"),
            ),
            (
                "/user.slice/user-1000.slice/user@1000.service/app.slice/x.scope",
                1000,
                Some("app.slice"),
            ),
            ("/user.slice/user-1000.slice/session-1.scope", 1000, None),
            ("/init.scope", 0, None),
            ("/", 0, None),
        ] {
            assert_eq!(slice(own, uid).as_deref(), wanted, "{own}");
        }
    }
}
