//! Connections to ssh-agents that keep keys, for the egress process, which cannot make any: it says the number of
//! a secret and hands over where the connection is to come, and that is all that is heard of it. What is said on one,
//! nobody here reads.

use super::error::StartError;
use crate::network::passed;
use crate::secret::agent;
use crate::thread::Thread;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use sandboxd_egress_plan::EgressPlan;
use sandboxd_plan::HostPath;
use sandboxd_profiles::{From, Held};

const WHAT: &str = "connections to ssh-agents";

/// Makes them, until this is let go of.
pub(super) struct Lender {
    _thread: Thread<()>,
}

/// Where the agent listens that keeps each of a plan's secrets; nothing for those that none keeps.
type Agents = Vec<Option<HostPath>>;

impl Lender {
    /// One for this plan, and the egress process's end; nothing where no agent keeps a key.
    ///
    /// # Errors
    /// Where there is no thread or stream to be had.
    pub(super) fn begin(
        plan: &EgressPlan,
        held: &[Held],
    ) -> Result<Option<(Self, OwnedFd)>, StartError> {
        let of = |name: &String| {
            held.iter().find(|held| held.name == *name).and_then(|held| match &held.from {
                From::Agent { socket, .. } => Some(socket.clone()),
                From::File(_)
                | From::Systemd(_)
                | From::Env(_)
                | From::Exec { .. }
                | From::Age { .. } => None,
            })
        };
        let agents: Agents = plan.secrets.iter().map(of).collect();
        if agents.iter().all(Option::is_none) {
            return Ok(None);
        }
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .map_err(|errno| StartError::call("socketpair", WHAT, errno))?;
        let thread = Thread::begin("agents", move |closed| serve(&closed, &ours, &agents))?;
        Ok(Some((Self { _thread: thread }, theirs)))
    }
}

fn serve(closed: &OwnedFd, socket: &OwnedFd, agents: &Agents) {
    loop {
        let mut fds = [PollFd::new(closed, PollFlags::IN), PollFd::new(socket, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return,
        }
        let [over, said] = fds.map(|fd| fd.revents());
        if !over.is_empty() || said.contains(PollFlags::HUP) {
            return;
        }
        if said.contains(PollFlags::IN) {
            // Whoever gets no connection sees the end of where it was to come.
            lend(socket, agents);
        }
    }
}

/// One connection, where what is said names an agent that is there.
fn lend(socket: &OwnedFd, agents: &Agents) -> Option<()> {
    let mut number = [0; 4];
    let (length, mut to) = passed::receive_into(socket, &mut number).ok()?;
    let to = to.pop().filter(|_| length == number.len() && to.is_empty())?;
    let place = usize::try_from(u32::from_le_bytes(number)).ok()?;
    let path = agents.get(place)?.as_ref()?;
    let stream = agent::connect(path).ok()?;
    passed::send_all(vec![stream.as_fd()], &[0], &to).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{RecvFlags, recv};
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::{UnixListener, UnixStream};

    fn pair() -> (OwnedFd, OwnedFd) {
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap()
    }

    #[test]
    fn a_connection_comes_to_whoever_says_which_and_nothing_to_others() {
        let path = std::env::temp_dir().join(format!("sandboxd-lent-{}", std::process::id()));
        let path = path.parent().unwrap().canonicalize().unwrap().join(path.file_name().unwrap());
        let listener = UnixListener::bind(&path).unwrap();
        let agents = vec![None, Some(HostPath::try_from(path.to_str().unwrap()).unwrap())];
        let (ours, theirs) = pair();
        let thread = Thread::begin("agents", move |closed| serve(&closed, &ours, &agents)).unwrap();
        let asked = |bytes: &[u8]| {
            let (here, there) = pair();
            passed::send_all(vec![there.as_fd()], bytes, &theirs).unwrap();
            drop(there);
            here
        };
        let lent = asked(&1_u32.to_le_bytes());
        let mut said = [0; 4];
        let (1, mut given) = passed::receive_into(&lent, &mut said).unwrap() else { panic!() };
        let (mut agent, _) = listener.accept().unwrap();
        agent.write_all(b"said").unwrap();
        let connected = UnixStream::from(given.pop().unwrap());
        connected.set_nonblocking(false).unwrap();
        (&connected).read_exact(&mut said).unwrap();
        assert!(said == *b"said" && given.is_empty());
        for bytes in [&0_u32.to_le_bytes()[..], &2_u32.to_le_bytes(), &[1, 0], &[1]] {
            let none = asked(bytes);
            assert_eq!(recv(&none, &mut said[..], RecvFlags::empty()).unwrap().0, 0, "{bytes:?}");
        }
        drop(theirs);
        drop(thread);
        std::fs::remove_file(&path).unwrap();
    }
}
