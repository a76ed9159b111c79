//! The folder of the control sockets, and what lies in it.
//!
//! Root's is in `/run/sandboxd`. A user's is in the folder that is made for each login, or where there is
//! none, in `/tmp`. A socket gets its name once somebody listens; so one where nobody answers is what a
//! killed supervisor left behind, and is removed by whoever finds it.

use super::trusted;
use crate::lease::RunDir;
use crate::sandbox::StartError;
use rustix::fd::{AsFd, AsRawFd as _, OwnedFd};
use rustix::fs::{AtFlags, Dir, Mode, chmodat, renameat, unlinkat};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with,
};
use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

/// One kind of sockets.
pub(crate) struct Sockets {
    /// The folder in the folder.
    pub(super) name: &'static str,
    /// What to do where there can be none.
    remedy: &'static str,
}

/// Where calls are approved.
pub(crate) const APPROVALS: Sockets = Sockets {
    name: "approvals",
    remedy: "calls wait for somebody to approve them (approval = \"ask\"), who comes in by a socket in a folder of yours: set XDG_RUNTIME_DIR to one that only you may enter",
};

/// Where secrets are renewed.
pub(crate) const ROTATIONS: Sockets = Sockets {
    name: "secrets",
    remedy: "secrets that are put into requests can be renewed (sandboxd secret rotate) by a socket in a folder of yours: set XDG_RUNTIME_DIR to one that only you may enter",
};

/// Where edges are taken back.
pub(crate) const REVOCATIONS: Sockets = Sockets {
    name: "edges",
    remedy: "that something may be called can be taken back (sandboxd revoke) by a socket in a folder of yours: set XDG_RUNTIME_DIR to one that only you may enter",
};

/// What a name begins with until somebody listens.
const UNFINISHED: char = '.';

/// How many may wait to be let in.
const BACKLOG: i32 = 16;

/// The name of a socket, which is removed with this.
pub(super) struct Name {
    folder: RunDir,
    name: String,
}

impl Drop for Name {
    fn drop(&mut self) {
        // One that is gone already need not be removed.
        unlinkat(&self.folder, &self.name, AtFlags::empty()).ok();
    }
}

/// Where the folder may be: what it lies in, and its name there. The first that can be is taken.
fn places() -> Vec<(PathBuf, String)> {
    let user = rustix::process::geteuid();
    let plain = |folder: PathBuf| (folder, String::from("sandboxd"));
    let tmp = (PathBuf::from("/tmp"), format!("sandboxd-{}", user.as_raw()));
    if user.is_root() {
        return vec![plain(PathBuf::from("/run")), tmp];
    }
    let login = PathBuf::from(format!("/run/user/{}", user.as_raw()));
    let said = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let said = said.filter(|said| said.is_absolute() && *said != login);
    let mut places: Vec<_> = said.into_iter().chain([login]).map(plain).collect();
    places.push(tmp);
    places
}

fn own(kind: &Sockets) -> Result<RunDir, StartError> {
    let mut why = None;
    for (parent, name) in places() {
        match RunDir::at(&parent, &name).and_then(|folder| folder.dir(kind.name)) {
            Ok(folder) => return Ok(folder),
            Err(error) => why = Some(error),
        }
    }
    let error = why.map_or_else(|| StartError::found(kind.name, "no folder"), StartError::from);
    Err(error.with_remedy(kind.remedy))
}

/// By its folder's descriptor, so that nobody puts another folder in its place; and it fits into an
/// address however long the folder's name is.
fn path(folder: &RunDir, name: &str) -> String {
    format!("/proc/self/fd/{}/{name}", folder.as_fd().as_raw_fd())
}

/// A socket for this run, which is listened on.
pub(super) fn listen_for(kind: &Sockets, run: &str) -> Result<(OwnedFd, Name), StartError> {
    let failed = |call| move |errno| StartError::call(call, "the control socket", errno);
    let folder = own(kind)?;
    // In two PID namespaces two supervisors may have the same number.
    let mut random = [0; 4];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
        .map_err(failed("getrandom"))?;
    let name = format!("{run}.{:08x}", u32::from_ne_bytes(random));
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .map_err(failed("socket"))?;
    let unfinished = format!("{UNFINISHED}{name}");
    let address = SocketAddrUnix::new(path(&folder, &unfinished)).map_err(failed("bind"))?;
    bind(&socket, &address).map_err(failed("bind"))?;
    let mut named = Name { folder, name: unfinished };
    let folder = &named.folder;
    chmodat(folder, &named.name, Mode::RUSR | Mode::WUSR, AtFlags::empty())
        .map_err(failed("fchmodat"))?;
    listen(&socket, BACKLOG).map_err(failed("listen"))?;
    renameat(folder, &named.name, folder, &name).map_err(failed("renameat"))?;
    named.name = name;
    Ok((socket, named))
}

/// The run whose socket is named so.
pub(crate) fn run_of(socket: &str) -> &str {
    socket.rsplit_once('.').map_or(socket, |(run, _)| run)
}

/// Each run that can be asked, by the name of its socket, and a stream to whoever is asked there.
pub(crate) fn found(kind: &Sockets) -> Vec<(String, UnixStream)> {
    let mut found = Vec::new();
    for (parent, name) in places() {
        // It is not made here.
        if parent.join(&name).join(kind.name).symlink_metadata().is_ok()
            && let Ok(folder) = RunDir::at(&parent, &name).and_then(|it| it.dir(kind.name))
        {
            found.extend(answering(&folder));
        }
    }
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    found
}

/// The same, by the names of the runs.
pub(crate) fn runs(kind: &Sockets) -> Vec<(String, UnixStream)> {
    let named = |(socket, stream): (String, _)| (run_of(&socket).to_owned(), stream);
    found(kind).into_iter().map(named).collect()
}

fn answering(folder: &RunDir) -> Vec<(String, UnixStream)> {
    let names = Dir::read_from(folder).into_iter().flatten().filter_map(|entry| {
        let name = entry.ok()?.file_name().to_str().ok()?.to_owned();
        (!name.starts_with(UNFINISHED)).then_some(name)
    });
    let mut found = Vec::new();
    for name in names {
        match UnixStream::connect(path(folder, &name)) {
            // What listens there must be a supervisor, and nothing that a sandbox put in its place.
            Ok(stream) if trusted(stream.as_fd()).is_ok() => found.push((name, stream)),
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                // Who is faster has removed it.
                unlinkat(folder, &name, AtFlags::empty()).ok();
            }
            Ok(_) | Err(_) => {}
        }
    }
    found
}
