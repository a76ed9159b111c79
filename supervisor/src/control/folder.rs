//! The folder of the control sockets, and what lies in it.
//!
//! Root's is in `/run/sandboxd`. A user's is in the folder that is made for each login, or where there is
//! none, in `/tmp`. Nobody else can put anything there. A socket gets its name once somebody listens; what a
//! killed supervisor left is one that nobody has, and is removed by the next start, by whoever looks for runs
//! to ask, and by `sandboxd doctor --clean`.

use super::trusted;
use crate::lease::RunDir;
use crate::sandbox::StartError;
use rustix::fd::{AsFd, AsRawFd as _, OwnedFd};
use rustix::fs::{AtFlags, Dir, FileType, Mode, chmodat, renameat, statat, unlinkat};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};
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
    remedy: "approvals (approval = \"ask\") need a socket in a folder of yours: set XDG_RUNTIME_DIR to one that only you may enter",
};

/// Where secrets are renewed.
pub(crate) const ROTATIONS: Sockets = Sockets {
    name: "secrets",
    remedy: "rotating secrets that are put into requests (sandboxd secret rotate) needs a socket in a folder of yours: set XDG_RUNTIME_DIR to one that only you may enter",
};

/// Where edges are taken back.
pub(crate) const REVOCATIONS: Sockets = Sockets {
    name: "edges",
    remedy: "revoking what may be called (sandboxd revoke) needs a socket in a folder of yours: set XDG_RUNTIME_DIR to one that only you may enter",
};

/// What a name begins with until somebody listens.
const UNFINISHED: char = '.';

/// How many may wait to be let in.
const BACKLOG: i32 = 16;

/// How often a socket is made again that was taken for one that nobody has.
const TRIES: u32 = 100;

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
    again(|| own(kind), run)
}

fn again<E: Into<StartError>>(
    folder: impl Fn() -> Result<RunDir, E>,
    run: &str,
) -> Result<(OwnedFd, Name), StartError> {
    let gone = Errno::NOENT.raw_os_error();
    let mut tries = 0;
    loop {
        match listen_in(folder().map_err(Into::into)?, run) {
            // Before Linux 5.14 bind(2) lets others see the name before it has the socket: whoever sweeps then takes
            // it for one that nobody has.
            Err(StartError::Call { errno, .. }) if errno == gone && tries < TRIES => tries += 1,
            made => return made,
        }
    }
}

fn listen_in(folder: RunDir, run: &str) -> Result<(OwnedFd, Name), StartError> {
    let failed = |call| move |errno| StartError::call(call, "the control socket", errno);
    // In two PID namespaces two supervisors may have the same number.
    let mut random = [0; 4];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
        .map_err(failed("getrandom"))?;
    let name = format!("{run}.{:08x}", u32::from_ne_bytes(random));
    let socket = socket(SocketType::STREAM).map_err(failed("socket"))?;
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

fn socket(kind: SocketType) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socket_with(AddressFamily::UNIX, kind, flags, None)
}

/// Those of the folders that are there; none is made.
fn there(kind: &Sockets) -> impl Iterator<Item = RunDir> {
    places().into_iter().filter_map(|(parent, name)| {
        parent.join(&name).join(kind.name).symlink_metadata().ok()?;
        RunDir::at(&parent, &name).and_then(|folder| folder.dir(kind.name)).ok()
    })
}

/// The sockets that killed supervisors left, by their paths; with `remove` each is gone, or why it is not.
pub(crate) fn left(remove: bool) -> Vec<(String, Result<(), Errno>)> {
    let folders = [&APPROVALS, &ROTATIONS, &REVOCATIONS].into_iter().flat_map(there);
    folders.flat_map(|folder| left_in(&folder, remove)).collect()
}

fn left_in(folder: &RunDir, remove: bool) -> Vec<(String, Result<(), Errno>)> {
    let mut left = Vec::new();
    for name in names(folder) {
        if !is_left(folder, &name) {
            continue;
        }
        match if remove { unlinkat(folder, &name, AtFlags::empty()) } else { Ok(()) } {
            // Who is faster has removed it.
            Err(Errno::NOENT) => {}
            gone => left.push((format!("{}/{name}", folder.label()), gone)),
        }
    }
    left
}

fn names(folder: &RunDir) -> Vec<String> {
    let entries = Dir::read_from(folder).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.file_name().to_str().ok()?.to_owned())).collect()
}

/// The run that a socket of this name is of; nothing where no supervisor gave it.
fn named(name: &str) -> Option<&str> {
    let name = name.strip_prefix(UNFINISHED).unwrap_or(name);
    let (run, random) = name.rsplit_once('.')?;
    let is_hex = random.len() == 8 && random.bytes().all(|letter| letter.is_ascii_hexdigit());
    (is_hex && !run.is_empty()).then_some(run)
}

/// Whether this is a socket of ours that nobody has. Whoever has it is not woken to find out: by a socket of another
/// type nobody gets in, and the kernel says which of the two it is (`unix_find_bsd` in net/unix/af_unix.c), also of
/// one that is not listened on yet.
fn is_left(folder: &RunDir, name: &str) -> bool {
    let ours = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|found| {
        FileType::from_raw_mode(found.st_mode) == FileType::Socket
            && found.st_uid == rustix::process::geteuid().as_raw()
    });
    let answer = || connect(&socket(SocketType::DGRAM)?, &SocketAddrUnix::new(path(folder, name))?);
    ours && named(name).is_some() && answer() == Err(Errno::CONNREFUSED)
}

/// The run whose socket is named so.
pub(crate) fn run_of(socket: &str) -> &str {
    named(socket).unwrap_or(socket)
}

/// Each run that can be asked, by the name of its socket, and a stream to whoever is asked there.
pub(crate) fn found(kind: &Sockets) -> Vec<(String, UnixStream)> {
    let mut found = Vec::new();
    for folder in there(kind) {
        // What cannot be removed is for `doctor` to tell.
        drop(left_in(&folder, true));
        found.extend(answering(&folder));
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
    let is_whole = |name: &String| !name.starts_with(UNFINISHED) && named(name).is_some();
    let mut found = Vec::new();
    for name in names(folder).into_iter().filter(is_whole) {
        // What listens there must be a supervisor, and nothing that a sandbox put in its place.
        if let Ok(stream) = UnixStream::connect(path(folder, &name))
            && trusted(stream.as_fd()).is_ok()
        {
            found.push((name, stream));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// A folder of its own, as `own` gives.
    fn folder(name: &str) -> (PathBuf, RunDir) {
        let path = std::env::temp_dir().join(format!("sandboxd-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        let folder = RunDir::at(&path, "sandboxd").unwrap();
        (path, folder)
    }

    fn bound(folder: &RunDir, name: &str) -> OwnedFd {
        let socket = socket(SocketType::STREAM).unwrap();
        bind(&socket, &SocketAddrUnix::new(path(folder, name)).unwrap()).unwrap();
        socket
    }

    #[test]
    fn what_nobody_has_is_left_and_nothing_else() {
        let (top, folder) = folder("sockets");
        let again = || RunDir::at(&top, "sandboxd").unwrap();
        drop(bound(&folder, "dead-1.0a0b0c0d"));
        drop(bound(&folder, ".dead-2.0a0b0c0d"));
        // Somebody's that waits for nobody yet, that listens, and that has all it lets wait.
        let _early = bound(&folder, ".early-3.0a0b0c0d");
        let (_living, _name) = listen_in(again(), "living-4").unwrap();
        let full = bound(&folder, "full-5.0a0b0c0d");
        listen(&full, 0).unwrap();
        let full = SocketAddrUnix::new(path(&folder, "full-5.0a0b0c0d")).unwrap();
        let one = socket(SocketType::STREAM).unwrap();
        connect(&one, &full).unwrap();
        let other = socket(SocketType::STREAM).unwrap();
        assert_eq!(connect(&other, &full), Err(Errno::AGAIN));
        // What is there by other names, or is no socket.
        drop(bound(&folder, "a-socket"));
        std::os::unix::fs::symlink("/nowhere", top.join("sandboxd/link-6.0a0b0c0d")).unwrap();
        std::fs::write(top.join("sandboxd/file-7.0a0b0c0d"), "").unwrap();

        let told = |remove| {
            let left = left_in(&folder, remove).into_iter();
            let mut left: Vec<_> = left.map(|(name, gone)| (name, gone.is_ok())).collect();
            left.sort();
            left
        };
        let label = folder.label();
        let dead = [".dead-2", "dead-1"].map(|run| (format!("{label}/{run}.0a0b0c0d"), true));
        assert_eq!(told(false), dead, "seen");
        assert_eq!(told(true), dead, "removed");
        assert_eq!(told(true), []);
        assert_eq!(names(&folder).iter().filter(|name| super::named(name).is_some()).count(), 5);
        std::fs::remove_dir_all(top).unwrap();
    }

    #[test]
    fn what_is_swept_while_it_is_made_is_made_again() {
        let (top, folder) = folder("swept");
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        drop(left_in(&folder, true));
                    }
                });
            }
            let made = (0..2000).map(|_| again(|| RunDir::at(&top, "sandboxd"), "run-1"));
            let failed: Vec<_> = made.filter_map(Result::err).collect();
            over.store(true, Ordering::Relaxed);
            assert!(failed.is_empty(), "{failed:?}");
        });
        std::fs::remove_dir_all(top).unwrap();
    }
}
