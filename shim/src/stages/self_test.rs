//! Try what must be refused, behind every layer, before the command can.
//!
//! Kernel: whatever each [`Probe`] tries.
//! Here because: after `seccomp`, so that all layers are on; before `exec`, so that a layer that does
//! not hold ends the run instead of serving the command.
//! Proves: [`Tested`].

use super::seccomp::Sealed;
use super::split::PINNED;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddrV4};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType};
use rustix::process::{Resource, Uid, getppid, test_kill_process};
use rustix::thread::CapabilitySet;
use sandboxd_kernel::{fds, process};
use sandboxd_plan::{
    Answer, Bounding, Call, Exec, Failure, Groups, Identity, JailPath, Plan, Probe, Stage,
};

/// Proof: every probe gave the planned answer.
#[must_use]
pub(crate) struct Tested(Vec<Answer>);

impl Tested {
    /// What was tried and what came of it, for the receipt.
    pub(crate) fn answers(&self) -> &[Answer] {
        &self.0
    }
}

pub(crate) fn run(_: Sealed, plan: &Plan) -> Result<Tested, Failure> {
    plan.probes.iter().map(|probe| ask(probe, plan)).collect::<Result<_, _>>().map(Tested)
}

fn ask(probe: &Probe, plan: &Plan) -> Result<Answer, Failure> {
    let (answer, planned) = match probe {
        Probe::Open { path, errno } => (open(path, OFlags::RDONLY), *errno),
        Probe::OpenWrite { path, errno } => (open(path, OFlags::WRONLY), *errno),
        Probe::Syscall { number, errno } => (process::probe(*number), *errno),
        Probe::Socket { family, kind, protocol, errno } => {
            (socket(*family, *kind, *protocol), *errno)
        }
        Probe::Connect { address, port, errno } => (connect(*address, *port), *errno),
        Probe::Setuid { errno } => (rustix::thread::set_thread_uid(Uid::ROOT), *errno),
        Probe::SignalInit { errno } => (signal_init(), *errno),
        Probe::NoCapabilities => (no_capabilities(plan.bounding), 0),
        Probe::NoNewPrivs => (state(rustix::thread::no_new_privs()), 0),
        Probe::Filtered => (filtered(), 0),
        Probe::Identity => (identity(plan.command.identity), 0),
        Probe::Descriptors => (descriptors(&plan.exec), 0),
    };
    let found = answer.err().map_or(0, Errno::raw_os_error);
    if found == planned {
        Ok(Answer { probe: probe.name(), errno: found })
    } else {
        Err(Failure {
            stage: Stage::SelfTest,
            call: Call::Probe,
            subject: alloc::format!("{}: expected errno {planned}", probe.name()),
            errno: found,
        })
    }
}

fn open(path: &JailPath, access: OFlags) -> rustix::io::Result<()> {
    let flags = access | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    rustix::fs::openat(CWD, path.as_str(), flags, Mode::empty()).map(drop)
}

fn socket(family: u16, kind: u32, protocol: u32) -> rustix::io::Result<()> {
    rustix::net::socket_with(
        AddressFamily::from_raw(family),
        SocketType::from_raw(kind),
        SocketFlags::CLOEXEC,
        core::num::NonZeroU32::new(protocol).map(Protocol::from_raw),
    )
    .map(drop)
}

fn connect([a, b, c, d]: [u8; 4], port: u16) -> rustix::io::Result<()> {
    let socket = rustix::net::socket_with(
        AddressFamily::INET,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?;
    rustix::net::connect(&socket, &SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), port))
}

/// A state that must hold, as an answer: `EPERM` stands for "it does not".
fn state(holds: rustix::io::Result<bool>) -> rustix::io::Result<()> {
    if holds? { Ok(()) } else { Err(Errno::PERM) }
}

fn filtered() -> rustix::io::Result<()> {
    use rustix::thread::SecureComputingMode;
    state(rustix::thread::secure_computing_mode().map(|mode| mode == SecureComputingMode::Filter))
}

fn signal_init() -> rustix::io::Result<()> {
    // Outside a pid namespace of its own, init is the parent of the command's half.
    test_kill_process(getppid().ok_or(Errno::SRCH)?)
}

fn no_capabilities(bounding: Bounding) -> rustix::io::Result<()> {
    let sets = rustix::thread::capabilities(None)?;
    // The kernel keeps the ambient set within the permitted and the inheritable one, capabilities(7).
    let own = sets.effective | sets.permitted | sets.inheritable;
    state(Ok(own.is_empty()))?;
    if bounding == Bounding::Kept {
        return Ok(());
    }
    for number in 0..64 {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        match rustix::thread::capability_is_in_bounding_set(capability) {
            Ok(false) => {}
            Ok(true) => return Err(Errno::PERM),
            // The first number that is no capability.
            Err(Errno::INVAL) if number > 0 => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn identity(Identity { uid, gid, groups: kept }: Identity) -> rustix::io::Result<()> {
    let users = [rustix::process::getuid(), rustix::process::geteuid()];
    let groups = [rustix::process::getgid(), rustix::process::getegid()];
    state(Ok(users.iter().all(|user| user.as_raw() == uid)
        && groups.iter().all(|group| group.as_raw() == gid)
        && (kept == Groups::Kept || rustix::process::getgroups()?.is_empty())))
}

/// 0, 1, 2, the report socket, a pinned program and the sockets; a further one would be a door.
fn descriptors(exec: &Exec) -> rustix::io::Result<()> {
    let limit = rustix::process::getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let end = i32::try_from(limit.min(1024)).unwrap_or(1024);
    let open = fds::open_among(0..end)?;
    let kept = exec.pinned.iter().chain(&exec.sockets).count();
    fds::inherited(sandboxd_plan::fds::REPORT)?;
    for (number, _) in (PINNED..).zip(0..kept) {
        fds::inherited(number)?;
    }
    state(Ok(open == 4 + kept))
}
