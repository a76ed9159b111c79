//! The ssh-agent of whoever runs sandboxd, which keeps a key. A connection to it is made here, with the rights
//! that it knows, and is handed to the process that asks it for signatures: nothing inside has its socket. Of what it
//! says this process reads one thing, before the start: which keys it has.
//!
//! It is less to be trusted than we are. What it says has a bound, and a time to be said in.

use super::Over;
use super::source::not_itself;
use super::until::{Late, Until};
use crate::profile_file::is_invoker;
use crate::sandbox::StartError;
use rustix::fd::{AsRawFd as _, OwnedFd};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use rustix::io::{Errno, read, retry_on_intr};
use rustix::net::sockopt::socket_peercred;
use rustix::net::{
    AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect as connect_to, send,
    socket_with,
};
use rustix::process::getuid;
use sandboxd_egress::Read;
use sandboxd_egress::ssh::keeper::{IDENTITIES, KEYS, Reply, reply};
use sandboxd_egress::ssh::public::{fingerprint, is_sized, kind};
use sandboxd_egress_plan::{Fingerprint, ssh};
use sandboxd_plan::HostPath;

const NOT_THERE: &str = "start one and add the key (eval $(ssh-agent); ssh-add FILE), or correct SSH_AUTH_SOCK or socket in [secrets]";

/// A connection to the agent that listens there, which is that of root or of whoever runs sandboxd.
///
/// # Errors
/// Where none does, or it is somebody else's.
pub(crate) fn connect(path: &HostPath) -> Result<OwnedFd, StartError> {
    let failed =
        |call| move |errno| StartError::call(call, path.as_str(), errno).with_remedy(NOT_THERE);
    // Held, so that what is looked at is what is connected to.
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let held =
        openat2(CWD, path.as_str(), flags, Mode::empty(), resolve).map_err(
            |errno| match errno {
                Errno::LOOP => not_itself(path, errno),
                errno => failed("open")(errno),
            },
        )?;
    let found = fstat(&held).map_err(failed("fstat"))?;
    if FileType::from_raw_mode(found.st_mode) != FileType::Socket {
        let what = format!("{path} is not a socket");
        return Err(StartError::found("ssh-agent", what).with_remedy(NOT_THERE));
    }
    is_ours(path, found.st_uid)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .map_err(failed("socket"))?;
    let name = SocketAddrUnix::new(format!("/proc/self/fd/{}", held.as_raw_fd()))
        .map_err(failed("connect"))?;
    connect_to(&socket, &name).map_err(failed("connect"))?;
    // Whoever listens may be another than whose the file is.
    let peer = socket_peercred(&socket).map_err(failed("getsockopt"))?;
    is_ours(path, peer.uid.as_raw())?;
    Ok(socket)
}

/// Whether this is root, or whoever runs sandboxd: somebody else's agent would have itself asked what is signed
/// here, and would say which keys are used.
fn is_ours(path: &HostPath, uid: u32) -> Result<(), StartError> {
    if uid == 0 || uid == getuid().as_raw() || is_invoker(uid) {
        return Ok(());
    }
    let what = format!("{path} is the agent of uid {uid}");
    Err(StartError::found("ssh-agent", what)
        .with_remedy("name your own: another user's is not asked to sign"))
}

/// The public half of the key that is known by this, as a line has it.
///
/// # Errors
/// Where the agent is not there, says nothing in time, or has not this key, or the run is over.
pub(super) fn key(
    name: &str,
    (path, wanted): (&HostPath, Fingerprint),
    over: Over<'_>,
) -> Result<String, StartError> {
    let agent = connect(path)?;
    let failed =
        |call| move |errno| StartError::call(call, path.as_str(), errno).with_remedy(NOT_THERE);
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    retry_on_intr(|| send(&agent, &IDENTITIES, flags)).map_err(failed("sendto"))?;
    let keys = keys(name, (path, &agent), over)?;
    let refused =
        |what: String, remedy: &str| Err(StartError::found("ssh-agent", what).with_remedy(remedy));
    if keys.is_empty() {
        let remedy = "add one (ssh-add FILE); a locked agent shows none until ssh-add -X";
        return refused(format!("{path} has no key: it is locked, or empty"), remedy);
    }
    let Some(key) = keys.iter().find(|key| fingerprint(key) == Some(wanted)) else {
        let remedy = "add it: ssh-add FILE; ssh-add -l lists the keys that are there";
        return refused(format!("{path} has {} keys, but not {wanted}", keys.len()), remedy);
    };
    match kind(key) {
        Some(_) if !is_sized(key) => refused(
            format!("{wanted} in {path} is an RSA key whose signatures cannot be checked"),
            "use an RSA key of 2048 to 8192 bits, or make another: ssh-keygen -t ed25519",
        ),
        Some(kind) => Ok(ssh::line(kind, key)),
        None => refused(
            format!("{wanted} in {path} is of a type that is not supported here"),
            "use Ed25519, ECDSA on P-256 or P-384, RSA, or a token's key (ed25519-sk, ecdsa-sk)",
        ),
    }
}

/// The keys that it has. It may ask its owner to unlock it first.
fn keys(
    name: &str,
    (path, agent): (&HostPath, &OwnedFd),
    over: Over<'_>,
) -> Result<Vec<Vec<u8>>, StartError> {
    let until = Until::begin(over);
    let wrong = |what: &str| {
        Err(StartError::found("ssh-agent", format!("{path} {what}"))
            .with_remedy("check that it is an ssh-agent, and that ssh-add -l answers there"))
    };
    let (mut bytes, mut some) = (Vec::new(), [0; 4 << 10]);
    loop {
        match reply(&bytes, KEYS) {
            Ok(Read::More) => {}
            Ok(Read::Done(Reply::Identities(keys), _)) => return Ok(keys),
            Ok(Read::Done(..)) | Err(_) => return wrong("sends no valid list of keys"),
        }
        match until.wait(name, agent)? {
            Ok(()) => {}
            Err(Late::Over) => return Err(super::over(name)),
            Err(Late::Time) => {
                let what = format!("{path} does not answer within 20 s");
                return Err(StartError::found("ssh-agent", what).with_remedy(
                    "check that ssh-add -l answers there; unlock it if it asks, and start again",
                ));
            }
        }
        match read(agent, &mut some) {
            Ok(0) => return wrong("closes the connection"),
            Ok(count) => bytes.extend_from_slice(some.get(..count).unwrap_or_default()),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => return Err(StartError::call("read", path.as_str(), errno)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fd::AsFd as _;
    use rustix::pipe::{PipeFlags, pipe_with};
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixListener;
    use std::time::{Duration, Instant};

    #[test]
    fn a_short_key_of_rsa_is_refused() {
        let string =
            |bytes: &[u8]| [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat();
        let key =
            [string(b"ssh-rsa"), string(&[1, 0, 1]), string(&[&[0][..], &[0xff; 128]].concat())];
        let key = key.concat();
        let wanted = fingerprint(&key).unwrap();
        let list = [&[12, 0, 0, 0, 1][..], &string(&key), &string(b"short")].concat();
        let folder = std::env::temp_dir().canonicalize().unwrap();
        let socket = folder.join(format!("sandboxd-short-{}", std::process::id()));
        let listener = UnixListener::bind(&socket).unwrap();
        let answers = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.read_exact(&mut [0; 5]).unwrap();
            stream.write_all(&string(&list)).unwrap();
        });
        let path = HostPath::try_from(socket.to_str().unwrap()).unwrap();
        let text = super::key("mine", (&path, wanted), None).unwrap_err().text("case");
        assert!(text.contains("2048 to 8192 bits"), "{text}");
        answers.join().unwrap();
        std::fs::remove_file(&socket).unwrap();
    }

    #[test]
    fn one_that_hangs_is_waited_for_no_longer_than_the_run_goes_on() {
        let folder = std::env::temp_dir().canonicalize().unwrap();
        let socket = folder.join(format!("sandboxd-agent-{}", std::process::id()));
        let listener = UnixListener::bind(&socket).unwrap();
        let path = HostPath::try_from(socket.to_str().unwrap()).unwrap();
        let (closed, closes) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let began = Instant::now();
        let asks = std::thread::spawn(move || {
            let key = key("mine", (&path, Fingerprint([7; 32])), Some(closed.as_fd()));
            key.unwrap_err().line()
        });
        // It was asked, and says nothing.
        let held = listener.accept().unwrap();
        drop(closes);
        let line = asks.join().unwrap();
        assert!(line.contains("mine: the run is over"), "{line}");
        assert!(began.elapsed() < Duration::from_secs(10), "it was waited for");
        drop(held);
        std::fs::remove_file(&socket).unwrap();
    }
}
