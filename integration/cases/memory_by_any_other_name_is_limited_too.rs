//! Memory by any other name is limited too: `/tmp`, the home directory, `/dev/shm`, memfds, System V segments, queues,
//! pipes and sockets, those of TCP among them, all end at their size or at the sandbox's memory.

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use sandboxd_integration::raw::{self, Argument};
use sandboxd_integration::{Case, Inside, Outside, Run};
use serde_json::Value;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, ErrorKind, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixDatagram;

pub(crate) const CASE: Case = Case {
    rows: &["R04", "R05", "R06"],
    seconds: 120,
    outside,
    probes: &[
        ("fill", fill),
        ("crowd", crowd),
        ("memfd", memfd),
        ("segments", segments),
        ("messages", messages),
        ("queues", queues),
        ("pipes", pipes),
        ("sockets", sockets),
        ("streams", streams),
    ],
    ..Case::NEW
};

const MEMORY: u64 = 48 << 20;
/// What each probe tries to get hold of.
const WANTED: u64 = 256 << 20;
/// What each gets at least.
const LEAST: u64 = 1 << 20;
const CHUNK: usize = 1 << 20;
/// Connections that together could hold what is wanted, if each were as large as the kernel lets it be.
const STREAMS: usize = 100;
/// What the kernel lets each of them have beyond any limit, about.
const SENT: u64 = 64 << 10;

fn outside(outside: &Outside) -> Result<()> {
    let profile = "\
extends = [\"builtin:base\"]
[files]
tmp = \"8M\"
[limits]
memory = \"48M\"
open_files = 4096
[syscalls]
base = \"network-server\"
";
    let run = |probe: &str, arguments: &[&str]| {
        outside.sandbox(profile).probe(probe, arguments).run().with_context(|| probe.to_owned())
    };
    // Each has the size that the profile says.
    for place in ["/tmp/x", "/home/agent/x", "/dev/shm/x"] {
        let run = run("fill", &[place])?;
        run.ran()?.refused("fill", &[Errno::ENOSPC])?;
        ensure!((4 << 20..=8 << 20).contains(&held(&run)?), "{place} took {} bytes", held(&run)?);
    }
    // What these may hold is no key of the profile: they end there or at the sandbox's memory.
    for probe in ["memfd", "segments", "messages", "pipes", "sockets"] {
        let run = run(probe, &[])?;
        outside.note(probe);
        if run.exit() == Some(137) {
            let oom = run.result.as_ref().and_then(|result| result.get("oom")?.as_bool());
            ensure!(oom == Some(true), "{probe}: killed, and not for its memory");
        } else {
            run.ran()?;
            // One that is refused at once would show no limit.
            let bounds = LEAST..=MEMORY;
            ensure!(bounds.contains(&held(&run)?), "{probe} held {} bytes", held(&run)?);
        }
        within(&run).with_context(|| probe.to_owned())?;
    }
    let queues = run("queues", &[])?;
    queues.ran()?.refused("more", &[Errno::EMFILE, Errno::ENOSPC])?;
    within(&queues)?;
    // On the loopback of its own, between itself and itself, which nobody reads.
    let way_out = "[network]\nmode = \"egress\"\negress = [\"tcp://example.com:443\"]\n";
    let streams = outside.sandbox(&format!("{profile}{way_out}")).probe("streams", &[]).run()?;
    if streams.exit() != Some(137) {
        streams.ran()?;
        // Each may send something whatever its group has, so that it is not held up for ever.
        let bounds = LEAST..=MEMORY + SENT * u64::try_from(STREAMS)?;
        ensure!(bounds.contains(&held(&streams)?), "streams held {} bytes", held(&streams)?);
    }
    within(&streams)?;
    // As many files as are wanted do not fit either.
    let crowd = run("crowd", &[])?;
    if crowd.exit() != Some(137) {
        crowd.ran()?.refused("crowd", &[Errno::ENOSPC])?;
    }
    within(&crowd)
}

fn held(run: &Run) -> Result<u64> {
    Ok(run.fact("held")?.parse()?)
}

/// What the kernel's own account says.
fn within(run: &Run) -> Result<()> {
    let result = run.result.as_ref().context("no result")?;
    let peak = result.get("memory_peak").and_then(Value::as_u64).context("no peak")?;
    ensure!(peak <= MEMORY, "{peak} bytes were used at one time");
    Ok(())
}

/// Takes by chunks until nothing more is given, and tells how much that was.
fn take(inside: &Inside, what: &str, mut more: impl FnMut() -> io::Result<u64>) {
    let mut held = 0;
    while held < WANTED {
        match more() {
            Ok(given) => held += given,
            Err(error) => {
                inside.attempt::<(), _>(what, Err(error));
                break;
            }
        }
    }
    inside.fact("held", &held.to_string());
}

fn fill(inside: &Inside) -> Result<()> {
    let mut file = File::create(inside.path(0)?)?;
    let chunk = vec![1; CHUNK];
    take(inside, "fill", || Ok(u64::try_from(file.write(&chunk)?).unwrap_or_default()));
    Ok(())
}

fn crowd(inside: &Inside) -> Result<()> {
    for number in 0..400_000 {
        let made = File::create(format!("/tmp/{number}"));
        if made.is_err() {
            inside.attempt("crowd", made);
            return Ok(());
        }
    }
    inside.attempt::<(), io::Error>("crowd", Ok(()));
    Ok(())
}

fn memfd(inside: &Inside) -> Result<()> {
    let memory = nix::sys::memfd::memfd_create(c"x", nix::sys::memfd::MFdFlags::MFD_CLOEXEC)?;
    let mut memory = File::from(memory);
    let chunk = vec![1; CHUNK];
    take(inside, "fill", || Ok(u64::try_from(memory.write(&chunk)?).unwrap_or_default()));
    Ok(())
}

fn segments(inside: &Inside) -> Result<()> {
    const SIZE: u64 = 4 << 20;
    let zero = File::open("/dev/zero")?;
    let zero = u64::try_from(zero.as_raw_fd())?;
    take(inside, "more", || {
        let made = raw::call_numbers(libc::SYS_shmget, &[0, SIZE, 0o1600])?;
        let at = raw::call_numbers(libc::SYS_shmat, &[made.cast_unsigned(), 0, 0])?;
        let filled = raw::call_numbers(libc::SYS_read, &[zero, at.cast_unsigned(), SIZE])?;
        Ok(filled.cast_unsigned())
    });
    Ok(())
}

fn messages(inside: &Inside) -> Result<()> {
    const MANY: u64 = 8000;
    // A message begins with its type, which is not 0.
    let message = vec![1_u8; 8 + usize::try_from(MANY)?];
    let nowait = u64::from(libc::IPC_NOWAIT.cast_unsigned());
    let mut queue = None;
    take(inside, "more", || {
        let put = |queue: i64| {
            raw::call(
                libc::SYS_msgsnd,
                &mut [
                    Argument::Number(queue.cast_unsigned()),
                    Argument::Bytes(&message),
                    Argument::Number(MANY),
                    Argument::Number(nowait),
                ],
            )
        };
        if queue.is_none_or(|queue| put(queue).is_err()) {
            let next = raw::call_numbers(libc::SYS_msgget, &[0, 0o1600])?;
            queue = Some(next);
            put(next)?;
        }
        Ok(MANY)
    });
    Ok(())
}

/// Landlock finds no tree that holds a queue, and lets none be opened; by then the kernel has made it.
fn queues(inside: &Inside) -> Result<()> {
    let flags = u64::from((libc::O_CREAT | libc::O_RDWR).cast_unsigned());
    for number in 0..1000 {
        let name = CString::new(number.to_string())?;
        let made = raw::call(
            libc::SYS_mq_open,
            &mut [Argument::Text(&name), Argument::Number(flags), Argument::Number(0o600)],
        );
        if made.is_err_and(|errno| errno != Errno::EACCES) {
            inside.attempt("more", made);
            return Ok(());
        }
    }
    inside.attempt::<(), io::Error>("more", Ok(()));
    Ok(())
}

fn pipes(inside: &Inside) -> Result<()> {
    let chunk = vec![1; CHUNK];
    let mut held = Vec::new();
    take(inside, "more", || {
        let (from, to) = nix::unistd::pipe2(OFlag::O_NONBLOCK)?;
        // Where it may not be that large, it stays as it is.
        fcntl(&to, FcntlArg::F_SETPIPE_SZ(1 << 20)).ok();
        let written = nix::unistd::write(&to, &chunk)?;
        held.push((from, to));
        Ok(u64::try_from(written).unwrap_or_default())
    });
    Ok(())
}

fn sockets(inside: &Inside) -> Result<()> {
    let chunk = vec![1; 64 << 10];
    let mut held: Vec<(UnixDatagram, UnixDatagram)> = Vec::new();
    take(inside, "more", || {
        if let Some((to, _)) = held.last()
            && let Ok(sent) = to.send(&chunk)
        {
            return Ok(u64::try_from(sent).unwrap_or_default());
        }
        let pair = UnixDatagram::pair()?;
        pair.0.set_nonblocking(true)?;
        let sent = pair.0.send(&chunk)?;
        held.push(pair);
        Ok(u64::try_from(sent).unwrap_or_default())
    });
    Ok(())
}

fn streams(inside: &Inside) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let chunk = vec![1; 64 << 10];
    let mut held: Vec<(TcpStream, TcpStream)> = Vec::new();
    take(inside, "more", || {
        loop {
            if let Some((mut to, _)) = held.last().map(|(to, from)| (to, from)) {
                match to.write(&chunk) {
                    Err(full) if full.kind() == ErrorKind::WouldBlock && held.len() < STREAMS => {}
                    written => return Ok(u64::try_from(written?).unwrap_or_default()),
                }
            }
            let to = TcpStream::connect(address)?;
            to.set_nonblocking(true)?;
            held.push((to, listener.accept()?.0));
        }
    });
    Ok(())
}
