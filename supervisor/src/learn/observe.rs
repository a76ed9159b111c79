//! Inside: starts the command and sees what it names.
//!
//! Runs as the command, behind every layer. A thread puts itself under a filter that asks about calls with
//! paths in them, and starts the command; this thread is asked, looks, and lets the kernel go on. That decides
//! nothing, see `sandboxd_kernel::seccomp::let_through`: a path that is swapped meanwhile is seen wrongly, and
//! meets the same sandbox.

use super::calls::{CALLS, MAPS, Named, OF_CREAT, OPENS, REMOVES, opening};
use super::group::is_secret;
use super::seen::{LONGEST, MOST, Need, Seen};
use super::way::{links, real, unfollowed};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Access, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Signal, set_dumpable_behavior};
use sandboxd_kernel::seccomp::{self, Asked, Instruction};
use sandboxd_kernel::signals;
use sandboxd_profiles::syscalls::{name, number};
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::mpsc::{Sender, channel};

/// What each sandbox has its own of, and nobody grants.
const OWN: &[&str] = &["/proc", "/dev"];
/// Where the file systems lie that are the sandbox's own. In them lie trees of the host's, which are others.
const PRIVATE: &[&str] = &["/", "/tmp", "/run", "/dev/shm", "/home", "/home/agent"];

/// Runs the command and writes what it names to a file of this path, which is gone from there before the
/// command begins; its exit status.
///
/// # Errors
/// Where the file cannot be opened, or nothing can be asked.
pub(crate) fn observe(record: &Path, extra: &[u32], command: &[OsString]) -> Result<u8, Errno> {
    // Nobody else of this user gets at what is open here, or at this memory.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let told = rustix::fs::open(record, flags, Mode::empty())?;
    rustix::fs::unlink(record)?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let (words, program) = (command.to_vec(), asking(extra));
    let (hand, taken) = channel();
    let starter = std::thread::spawn(move || start(&words, &program, &hand));
    // Without a listener the thread has ended, and says why.
    if let Ok(listener) = taken.recv() {
        let devices = PRIVATE.iter().filter_map(|path| Some(std::fs::metadata(path).ok()?.dev()));
        let private = devices.collect();
        let (told, extra) = (File::from(told), extra.to_vec());
        let known = HashSet::new();
        let mut observer = Observer { listener, told, known, deaf: false, extra, private };
        observer.begun(command.first());
        observer.look();
    }
    starter.join().map_err(|_| Errno::NOTRECOVERABLE)?
}

/// Puts this thread under the filter, and starts the command from it.
fn start(words: &[OsString], program: &[Instruction], hand: &Sender<OwnedFd>) -> Result<u8, Errno> {
    let (first, rest) = words.split_first().ok_or(Errno::INVAL)?;
    let listener = seccomp::install_asking(program)?;
    hand.send(listener).map_err(|_| Errno::PIPE)?;
    // As in a sandbox: a limit of size that is reached ends it, and the observer writes no file.
    signals::default(Signal::XFSZ)?;
    let ended = Command::new(first).args(rest).status();
    ended.map(status).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

fn status(ended: ExitStatus) -> u8 {
    let own = ended.code().or_else(|| ended.signal().map(|signal| 128 + signal));
    own.and_then(|status| u8::try_from(status).ok()).unwrap_or(u8::MAX)
}

const LOAD: u16 = 0x20;
const EQUAL: u16 = 0x15;
const ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;
const ASK: u32 = 0x7fc0_0000;
const LET: u32 = 0x7fff_0000;
/// Where `struct seccomp_data` has the low half of an argument.
const fn argument(place: u32) -> u32 {
    16 + 8 * place
}

fn step(code: u16, k: u32, jt: u8, jf: u8) -> Instruction {
    Instruction { code, jt, jf, k }
}

/// Asks about calls that name something, about mapping to execute, and about these.
fn asking(extra: &[u32]) -> Vec<Instruction> {
    /// `AT_EMPTY_PATH`: the file is a descriptor, and was named before.
    const EMPTY_PATH: u32 = 0x1000;
    /// `PROT_EXEC`.
    const EXECUTED: u32 = 4;
    let mut program = vec![step(LOAD, 0, 0, 0)];
    let names = CALLS.iter().map(|(name, _)| *name).chain(OPENS.iter().map(|(name, ..)| *name));
    for name in names {
        let Some(number) = number(name) else { continue };
        match name {
            "newfstatat" | "statx" => {
                let flags = if name == "statx" { 2 } else { 3 };
                program.extend([
                    step(EQUAL, number, 0, 4),
                    step(LOAD, argument(flags), 0, 0),
                    step(ANY_BIT, EMPTY_PATH, 0, 1),
                    step(RETURN, LET, 0, 0),
                    step(RETURN, ASK, 0, 0),
                ]);
            }
            _ => program.extend([step(EQUAL, number, 0, 1), step(RETURN, ASK, 0, 0)]),
        }
    }
    for number in extra {
        program.extend([step(EQUAL, *number, 0, 1), step(RETURN, ASK, 0, 0)]);
    }
    if let Some(number) = number(MAPS) {
        program.extend([
            step(EQUAL, number, 0, 3),
            step(LOAD, argument(2), 0, 0),
            step(ANY_BIT, EXECUTED, 0, 1),
            step(RETURN, ASK, 0, 0),
        ]);
    }
    program.push(step(RETURN, LET, 0, 0));
    program
}

struct Observer {
    listener: OwnedFd,
    told: File,
    /// What was told already.
    known: HashSet<(Need, Vec<u8>)>,
    /// What was seen can be told no more.
    deaf: bool,
    extra: Vec<u32>,
    /// The devices of the sandbox's own file systems.
    private: Vec<u64>,
}

impl Observer {
    /// The command itself: until it is executed, its memory is that of this process, and not to be read.
    fn begun(&mut self, program: Option<&OsString>) {
        let Some(program) = program.and_then(|program| found_in_path(program)) else { return };
        let own = std::process::id();
        self.found(own, &program, true, |_, _| Need::EXECUTE);
        self.interpreter(own, &program);
    }

    /// Until nobody is left who asks.
    fn look(mut self) {
        loop {
            let mut polled = [PollFd::new(&self.listener, PollFlags::IN)];
            match poll(&mut polled, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return,
            }
            let waits = polled.first().map_or(PollFlags::empty(), PollFd::revents);
            if waits.contains(PollFlags::IN) {
                let Ok(asked) = seccomp::receive(self.listener.as_fd()) else { continue };
                self.see(&asked);
                // Who took its call back is not waiting for it.
                seccomp::let_through(self.listener.as_fd(), &asked).ok();
            } else if !waits.is_empty() {
                return;
            }
        }
    }

    fn see(&mut self, asked: &Asked) {
        let Ok(number) = u32::try_from(asked.number) else { return };
        if self.extra.contains(&number) {
            self.tell(asked.pid, Need::CALL, false, number.to_string().into_bytes());
            return;
        }
        let Some(call) = name(number) else { return };
        if call == MAPS {
            // Which is in no file where there is no descriptor.
            let [_, _, _, _, fd, _] = asked.arguments;
            let link = format!("/proc/{}/fd/{}", asked.pid, low(fd));
            if let Ok(file) = std::fs::read_link(link) {
                self.found(asked.pid, &file, true, |_, _| Need::EXECUTE);
            }
        } else if let Some((_, folder, path, flags)) = OPENS.iter().find(|(name, ..)| *name == call)
        {
            let flags = flags.map_or(OF_CREAT, |place| at(asked, place));
            let named = Named { folder: *folder, path: *path, need: Need::READ, follows: true };
            if let Some(file) = self.path(asked, &named) {
                self.found(asked.pid, &file, true, |exists, _| opening(flags, exists));
            }
        } else if let Some((_, all)) = CALLS.iter().find(|(name, _)| *name == call) {
            for named in *all {
                let Some(file) = self.path(asked, named) else { continue };
                self.found(asked.pid, &file, named.follows, |exists, folder| {
                    // What is not there is not needed, but by whoever makes it; and a folder that is only
                    // looked at is there where something in it is. A folder that is there is not made.
                    match (named.need, exists) {
                        (Need::LOOK | Need::READ, _) if folder || !exists => Need::default(),
                        (need, true) if need.has(Need::FOLDER) => Need::default(),
                        (_, false) if REMOVES.contains(&call) => Need::default(),
                        (need, false) if !need.has(Need::NAME) => need.and(Need::ABSENT),
                        (need, _) => need,
                    }
                });
                if named.need == Need::EXECUTE {
                    self.interpreter(asked.pid, &file);
                }
            }
        }
    }

    /// What the kernel opens for a script, which is executed as well.
    fn interpreter(&mut self, pid: u32, script: &Path) {
        let mut head = [0; 256];
        let read = regular(script).and_then(|file| file.read_at(&mut head, 0).ok()).unwrap_or(0);
        let line = head.get(..read).unwrap_or_default().split(|byte| *byte == b'\n').next();
        let words = line.and_then(|line| line.strip_prefix(b"#!")).unwrap_or_default();
        let mut words =
            words.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty());
        if let Some(program) = words.next() {
            self.found(pid, Path::new(OsStr::from_bytes(program)), true, |_, _| Need::EXECUTE);
        }
    }

    /// The path of a call, from the root on; nothing where it cannot be told.
    fn path(&self, asked: &Asked, named: &Named) -> Option<PathBuf> {
        let memory = File::open(format!("/proc/{}/mem", asked.pid)).ok()?;
        let mut text = [0; LONGEST];
        let read = memory.read_at(&mut text, at(asked, named.path)).ok()?;
        if !seccomp::still_waits(self.listener.as_fd(), asked) {
            return None;
        }
        let end = text.get(..read)?.iter().position(|byte| *byte == 0)?;
        let path = Path::new(OsStr::from_bytes(text.get(..end)?));
        let whole = if path.is_absolute() {
            path.to_owned()
        } else if path.as_os_str().is_empty() {
            return None;
        } else {
            let folder = named.folder.map(|place| low(at(asked, place)));
            let link = match folder {
                Some(fd) if fd >= 0 => format!("/proc/{}/fd/{fd}", asked.pid),
                Some(_) | None => format!("/proc/{}/cwd", asked.pid),
            };
            std::fs::read_link(link).ok()?.join(path)
        };
        Some(whole)
    }

    /// Tells of a file, where it really is, and by which links it was named.
    fn found(&mut self, pid: u32, file: &Path, follows: bool, need: impl Fn(bool, bool) -> Need) {
        if OWN.iter().any(|own| file.starts_with(own)) {
            return;
        }
        let place = if follows { Some(real(file)) } else { unfollowed(file) };
        let Some((real, exists)) = place else { return };
        if OWN.iter().any(|own| real.starts_with(own)) {
            return;
        }
        let private = self.is_private(&real);
        // What is covered cannot be seen here: whether it is there is asked outside.
        let covered = private && is_secret(&real);
        let folder = real.symlink_metadata().is_ok_and(|found| found.is_dir());
        let need = need(exists || covered, folder);
        if exists && real != file {
            self.links(pid, file, follows);
        }
        let absent = need.has(Need::ABSENT);
        if need.is_nothing() || (private && !covered && !absent) {
            return;
        }
        self.tell(pid, need, folder, real.into_os_string().into_vec());
    }

    /// Whether what is there of a path is the sandbox's own.
    fn is_private(&self, path: &Path) -> bool {
        device(path).is_some_and(|device| self.private.contains(&device))
    }

    /// Tells of every link on the way of a path.
    fn links(&mut self, pid: u32, path: &Path, follows: bool) {
        let last = path.file_name().filter(|_| !follows);
        let way = if follows { path } else { path.parent().unwrap_or(path) };
        for (link, below) in links(way) {
            // Those that sandboxd made are there in every sandbox.
            if !self.is_private(&link) {
                let named = below.iter().map(OsString::as_os_str).chain(last);
                let name = named.fold(link, |path, name| path.join(name));
                self.tell(pid, Need::LINK, false, name.into_os_string().into_vec());
            }
        }
    }

    fn tell(&mut self, pid: u32, need: Need, folder: bool, path: Vec<u8>) {
        // One more than is read, so that it shows that there was more.
        if self.deaf || self.known.len() > MOST || !self.known.insert((need, path.clone())) {
            return;
        }
        let by = std::fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
        let by = by.strip_suffix(b"\n").unwrap_or(&by).to_vec();
        // A disk that is full tells less, and the command goes on. What follows a piece of a record would
        // be read as the rest of it.
        self.deaf = self.told.write_all(&Seen { need, folder, path, by }.encode()).is_err();
    }
}

/// Where a program is that is called so; nothing where that is nowhere.
fn found_in_path(program: &OsStr) -> Option<PathBuf> {
    if program.as_bytes().contains(&b'/') {
        return std::path::absolute(program).ok();
    }
    let folders = std::env::var_os("PATH")?;
    let mut places = std::env::split_paths(&folders).map(|folder| folder.join(program));
    places.find(|place| rustix::fs::access(place, Access::EXEC_OK).is_ok())
}

/// A file that can be read without waiting for anybody: whoever names it may have made a pipe of it.
fn regular(path: &Path) -> Option<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty()).ok()?;
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&file).ok()?.st_mode);
    (kind == FileType::RegularFile).then(|| File::from(file))
}

fn at(asked: &Asked, place: usize) -> u64 {
    asked.arguments.get(place).copied().unwrap_or(0)
}

/// Of what is there of a path, the device that it lies on.
fn device(path: &Path) -> Option<u64> {
    let mut there = path.ancestors().filter_map(|above| above.symlink_metadata().ok());
    there.next().map(|found| found.dev())
}

/// The low half, as the kernel takes a descriptor.
fn low(argument: u64) -> i32 {
    let [a, b, c, d, ..] = argument.to_le_bytes();
    i32::from_le_bytes([a, b, c, d])
}
