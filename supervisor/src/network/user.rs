//! The same in the namespace of an ordinary user's sandbox. Who administers that is in its user namespace,
//! which only a process with one thread can enter: this program again, for a moment.

use super::{Inside, NOT_LED, enter, inside, passed};
use crate::sandbox::StartError;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::Pid;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use sandboxd_egress_plan::Ways;
use std::process::{Command, Stdio};

/// Leads everything in the network of a sandbox to sockets; nothing in it has run yet but init.
///
/// # Errors
/// As [`super::lead`]'s, and where there is no process to be had.
pub(crate) fn lead(init: Pid, ways: Ways) -> Result<Inside, StartError> {
    let namespaces = ["user", "net"].map(|name| {
        let path = format!("/proc/{}/ns/{name}", init.as_raw_pid());
        openat(CWD, &path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| StartError::call("open", path, errno))
    });
    let [user, network] = namespaces;
    let (user, network) = (user?, network?);
    let failed = |errno| StartError::call("socketpair", "the sockets of the network", errno);
    let (ours, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(failed)?;
    passed::send_all(vec![user.as_fd(), network.as_fd()], &[0], &ours).map_err(failed)?;
    let child = Command::new("/proc/self/exe")
        .args(["service", "network", ways.name()])
        .env_clear()
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| StartError::io("execve", "service network", &error))?;
    // It says one thing and ends, and so does this where it ends without a word.
    let received = passed::receive(&ours);
    let said = child
        .wait_with_output()
        .map_err(|error| StartError::io("waitid", "service network", &error))?;
    received.map_err(|errno| match String::from_utf8_lossy(&said.stderr).trim() {
        "" => StartError::call("recvmsg", "service network", errno),
        said => StartError::found("service network", said).with_remedy(NOT_LED),
    })
}

/// What the other process does, whose standard input is a socket.
///
/// # Errors
/// Where what it is told to enter cannot be entered or led.
pub(crate) fn serve(socket: &OwnedFd, ways: Ways) -> Result<(), StartError> {
    let failed =
        |call| move |errno: Errno| StartError::call(call, "the sandbox's namespaces", errno);
    let ([_], namespaces) = passed::receive_all::<1>(socket).map_err(failed("recvmsg"))?;
    let [user, network] = namespaces.as_slice() else {
        return Err(failed("recvmsg")(Errno::BADMSG));
    };
    move_into_link_name_space(user.as_fd(), Some(LinkNameSpaceType::User))
        .map_err(failed("setns"))?;
    enter(network.as_fd())?;
    passed::send(&inside(ways)?, socket).map_err(failed("sendmsg"))
}
