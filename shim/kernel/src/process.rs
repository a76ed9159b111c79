//! Processes: forking init's child, and starting a program in namespaces of its own.

use crate::clone::{
    CLONE_CLEAR_SIGHAND, CLONE_INTO_CGROUP, CLONE_PIDFD, CLONE_VFORK, CLONE_VM, Clone, CloneArgs,
    STACK, STACK_BYTES, exit_signal,
};
use crate::exec::{Program, Texts, exec_texts};
use crate::fds::number;
use crate::signals;
use crate::syscall::syscall;
use crate::userns::Mapping;
use alloc::vec::Vec;
use core::ffi::{CStr, c_void};
use rustix::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use rustix::io::{Errno, Result};
use rustix::process::Pid;

/// Which side of a [`fork`] this is.
pub enum Fork {
    /// The new process.
    Child,
    /// The old one, and a descriptor of the new one, pidfd_open(2).
    Parent {
        /// In the caller's pid namespace.
        pid: Pid,
        /// The child, whatever becomes of its number.
        pidfd: OwnedFd,
    },
}

/// New namespaces, clone(2): `CLONE_NEW*`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NewNamespaces(u64);

impl NewNamespaces {
    /// `CLONE_NEWNS`.
    pub const MNT: Self = Self(0x0002_0000);
    /// `CLONE_NEWUTS`.
    pub const UTS: Self = Self(0x0400_0000);
    /// `CLONE_NEWIPC`.
    pub const IPC: Self = Self(0x0800_0000);
    /// `CLONE_NEWUSER`.
    pub const USER: Self = Self(0x1000_0000);
    /// `CLONE_NEWPID`.
    pub const PID: Self = Self(0x2000_0000);
    /// `CLONE_NEWNET`.
    pub const NET: Self = Self(0x4000_0000);

    /// These and those.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// As clone3 takes them.
    pub(crate) const fn bits(self) -> u64 {
        self.0
    }
}

/// Forks a process that has one thread, which is checked: a lock that another thread held would stay
/// locked in the child for good.
///
/// # Errors
/// `EDEADLK` where there is another thread; `ENOENT` without `/proc`; `EAGAIN` at a limit of
/// processes; `ENOMEM`.
pub fn fork() -> Result<Fork> {
    // A directory of one thread has three links: `.`, its name, and the thread's `..`.
    if rustix::fs::stat(c"/proc/self/task")?.st_nlink != 3 {
        return Err(Errno::DEADLK);
    }
    let mut pidfd: i32 = -1;
    let flags = usize::try_from(CLONE_PIDFD | exit_signal()).map_err(|_| Errno::INVAL)?;
    // clone(2) and not clone3(2), which filters around containers answer with ENOSYS.
    let arguments = [flags, 0, (&raw mut pidfd).expose_provenance(), 0, 0, 0];
    // SAFETY: the kernel writes a descriptor to `pidfd`; without CLONE_VM the child goes on in a copy
    // of this memory on a copy of this stack, and there is no other thread whose state the copy could
    // cut in half.
    let pid = unsafe { syscall(libc::SYS_clone, arguments) }?;
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return Ok(Fork::Child);
    };
    // SAFETY: the kernel made this descriptor for us and nobody else owns it.
    Ok(Fork::Parent { pid, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } })
}

/// A program to be started in a process of its own.
pub struct Spawn<'a> {
    /// The file to execute.
    pub program: BorrowedFd<'a>,
    /// Its arguments; its environment is empty.
    pub argv: &'a [&'a CStr],
    /// The namespaces it gets.
    pub namespaces: NewNamespaces,
    /// Who it is in its new user namespace, where it gets one: it is executed with the capabilities of a
    /// [`Mapping`], whoever it is.
    pub mapping: Option<&'a Mapping>,
    /// The v2 cgroup it starts in (`CLONE_INTO_CGROUP`, kernel 5.7).
    pub cgroup: Option<BorrowedFd<'a>>,
    /// What it finds open, from descriptor 3 on; 0, 1 and 2 are given by [`stdio`](Self::stdio).
    /// Everything else is close-on-exec or not inherited by the started program's own doing.
    pub fds: &'a [BorrowedFd<'a>],
    /// Standard input, output and error.
    pub stdio: [BorrowedFd<'a>; 3],
}

/// A process that was started.
#[derive(Debug)]
pub struct Started {
    /// Its number in the caller's pid namespace.
    pub pid: Pid,
    /// The process, whatever becomes of its number. Readable once it has ended.
    pub pidfd: OwnedFd,
}

/// What the child needs, in memory it shares with its suspended parent.
struct Handover<'a> {
    program: BorrowedFd<'a>,
    argv: Texts<'a>,
    env: Texts<'a>,
    mapping: Option<&'a Mapping>,
    /// Copies under numbers that no target number can hit.
    sources: &'a [OwnedFd],
    failed: Option<Errno>,
}

/// What the child is given is copied to numbers from here on, and from there to its place below.
const FIRST_SOURCE: i32 = 64;

/// Starts a program the way vfork(2) does: the child borrows this process's memory until it has
/// executed the program, so starting costs the same however large the supervisor is.
///
/// # Errors
/// Those of clone(2), of clone3(2) where there is a cgroup, of execveat(2), and `EMFILE`, also where more than 64 descriptors are given.
pub fn spawn(spawn: &Spawn<'_>) -> Result<Started> {
    let count = spawn.stdio.len() + spawn.fds.len();
    if i32::try_from(count).map_or(true, |count| count > FIRST_SOURCE) {
        return Err(Errno::MFILE);
    }
    let sources = spawn
        .stdio
        .iter()
        .chain(spawn.fds)
        .map(|fd| rustix::io::fcntl_dupfd_cloexec(fd, FIRST_SOURCE))
        .collect::<Result<Vec<OwnedFd>>>()?;
    // The program too: what the child is given would be laid over a low number.
    let program = rustix::io::fcntl_dupfd_cloexec(spawn.program, FIRST_SOURCE)?;
    let mut handover = Handover {
        program: program.as_fd(),
        argv: Texts::new(spawn.argv),
        env: Texts::new(&[]),
        mapping: spawn.mapping,
        sources: &sources,
        failed: None,
    };
    let mut stack: Vec<u128> = Vec::with_capacity(STACK);
    let mut pidfd: i32 = -1;
    let flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | spawn.namespaces.0;
    let args = match spawn.cgroup {
        None => None,
        Some(cgroup) => Some(CloneArgs {
            flags: flags | CLONE_CLEAR_SIGHAND | CLONE_INTO_CGROUP,
            pidfd: address(&raw mut pidfd),
            exit_signal: exit_signal(),
            stack: address(stack.as_mut_ptr()),
            stack_size: STACK_BYTES,
            cgroup: u64::try_from(number(cgroup)).map_err(|_| Errno::BADF)?,
            ..CloneArgs::default()
        }),
    };
    let call = match &args {
        Some(args) => Clone::three(args),
        None => Clone::two(flags, stack.as_mut_ptr(), &raw mut pidfd)?,
    };
    // No handler of this process may run in the child, which shares its memory.
    let mask = signals::block_all()?;
    // SAFETY: `call` names a stack of 64 KiB that nothing else uses and a place for the pidfd;
    // `handover` and all it borrows outlive the child's use of them, because CLONE_VFORK suspends
    // this thread until the child has executed or ended.
    let cloned = unsafe { clone_onto(&call, child, (&raw mut handover).cast()) };
    signals::set_mask(mask)?;
    let pid = cloned?;
    // SAFETY: the kernel made this descriptor for us and nobody else owns it.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    if let Some(failed) = handover.failed {
        rustix::process::waitid(
            rustix::process::WaitId::PidFd(pidfd.as_fd()),
            rustix::process::WaitIdOptions::EXITED,
        )?;
        return Err(failed);
    }
    Ok(Started { pid, pidfd })
}

/// What a child runs on the stack and in the memory that its suspended parent lent it.
pub(crate) type Child = unsafe extern "C" fn(*mut c_void) -> !;

/// A clone onto a fresh stack, with the child in `child`.
///
/// # Safety
/// `call` must name a valid stack, and `handover` point to what `child` expects, which must outlive the
/// child's use of it.
pub(crate) unsafe fn clone_onto(call: &Clone, child: Child, handover: *mut c_void) -> Result<Pid> {
    let [a, b, c, d, e] = call.arguments;
    let answer: isize;
    // SAFETY: in the parent this is a plain system call. In the child it begins on the new, 16-byte
    // aligned stack with all registers but rax, rcx and r11 kept, calls `child`, and never comes back.
    unsafe {
        core::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, {handover}",
            "call {child}",
            "ud2",
            "2:",
            child = in(reg) child,
            handover = in(reg) handover,
            inlateout("rax") call.number => answer,
            in("rdi") a,
            in("rsi") b,
            in("rdx") c,
            in("r10") d,
            in("r8") e,
            // Not `lateout`: the instruction destroys both before the inputs are used for the last time.
            out("rcx") _,
            out("r11") _,
        );
    }
    // `Pid::from_raw` takes no errors: it asserts that the number is not negative.
    let pid = i32::try_from(answer).ok().filter(|pid| *pid > 0).and_then(Pid::from_raw);
    pid.ok_or_else(|| {
        Errno::from_raw_os_error(i32::try_from(answer.wrapping_neg()).unwrap_or(libc::EIO))
    })
}

/// The child between clone and execveat: descriptors, then the program.
///
/// # Safety
/// `handover` points to a [`Handover`] whose owner is suspended.
unsafe extern "C" fn child(handover: *mut c_void) -> ! {
    // SAFETY: by the contract the pointer is valid, and its owner is suspended while we use it.
    let handover = unsafe { &mut *handover.cast::<Handover<'_>>() };
    if let Some(mapping) = handover.mapping
        && let Err(refused) = mapping.take_on()
    {
        handover.failed = Some(refused.errno);
        exit(127);
    }
    for (target, source) in handover.sources.iter().enumerate() {
        let arguments = [number(source.as_fd()), target, 0, 0, 0, 0];
        // SAFETY: dup2 takes two integers. Sources are numbered from 64 on and targets below, so no
        // source is overwritten; this process has a descriptor table of its own.
        let placed = unsafe { syscall(libc::SYS_dup2, arguments) };
        if let Err(error) = placed {
            handover.failed = Some(error);
            exit(127);
        }
    }
    handover.failed =
        Some(exec_texts(Program::File(handover.program), &handover.argv, &handover.env));
    exit(127)
}

/// Moves the caller into a new cgroup namespace, whose root is the cgroup the caller is in.
///
/// # Errors
/// `EPERM` without `CAP_SYS_ADMIN`.
pub fn new_cgroup_namespace() -> Result<()> {
    const CLONE_NEWCGROUP: usize = 0x0200_0000;
    // SAFETY: unshare takes flags; this one changes neither memory nor the descriptor table.
    unsafe { syscall(libc::SYS_unshare, [CLONE_NEWCGROUP, 0, 0, 0, 0, 0]) }.map(drop)
}

/// A new network namespace. The calling thread, and it alone, is moved into it, so this is for a
/// thread that ends.
///
/// # Errors
/// `EPERM` without `CAP_SYS_ADMIN`; `ENOSPC` at a limit of namespaces; `ENOENT` without `/proc`.
pub fn network_namespace() -> Result<OwnedFd> {
    const CLONE_NEWNET: usize = 0x4000_0000;
    // SAFETY: unshare takes flags; this one changes neither memory nor the descriptor table.
    unsafe { syscall(libc::SYS_unshare, [CLONE_NEWNET, 0, 0, 0, 0, 0]) }?;
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
    rustix::fs::open(c"/proc/thread-self/ns/net", flags, rustix::fs::Mode::empty())
}

/// Forgets whatever execution domain the caller was started in, personality(2): no
/// `READ_IMPLIES_EXEC`, no `ADDR_NO_RANDOMIZE`.
///
/// # Errors
/// None that a kernel gives; an outer filter may.
pub fn reset_personality() -> Result<()> {
    // SAFETY: personality takes an integer.
    unsafe { syscall(libc::SYS_personality, [0; 6]) }.map(drop)
}

/// Makes a system call by number with all arguments zero, to see that it is refused.
///
/// # Errors
/// What the kernel says; that is the point.
pub fn probe(call: u32) -> Result<()> {
    // SAFETY: zero is a null pointer, an empty length and descriptor 0 to any call that takes one:
    // nothing of ours can be read or written through it.
    unsafe { syscall(libc::c_long::from(call), [0; 6]) }.map(drop)
}

/// Sends SIGKILL to every process the caller may signal, PID 1 and itself left out, `kill(-1, SIGKILL)`.
/// Only for a process whose Landlock domain keeps its signals inside.
///
/// # Errors
/// None where nobody is there, or nobody may be signalled.
pub fn kill_everything() -> Result<()> {
    const EVERYTHING: usize = (-1_isize).cast_unsigned();
    let arguments = [EVERYTHING, usize::from(SIGKILL), 0, 0, 0, 0];
    // SAFETY: kill takes two integers.
    match unsafe { syscall(libc::SYS_kill, arguments) } {
        Ok(_) | Err(Errno::SRCH | Errno::PERM) => Ok(()),
        Err(errno) => Err(errno),
    }
}

const SIGKILL: u8 = 9;

/// Ends the process, exit_group(2).
pub fn exit(status: i32) -> ! {
    loop {
        // SAFETY: exit_group takes an integer and does not return; the loop is for the type alone.
        let ended = unsafe {
            syscall(libc::SYS_exit_group, [status.unsigned_abs() as usize, 0, 0, 0, 0, 0])
        };
        if ended.is_err() {
            core::hint::spin_loop();
        }
    }
}

/// An address, as `struct clone_args` takes it.
pub(crate) fn address<T>(pointer: *mut T) -> u64 {
    u64::try_from(pointer.expose_provenance()).unwrap_or(0)
}

/// Signals the process group that a process leads, `pidfd_send_signal(PIDFD_SIGNAL_PROCESS_GROUP)`
/// (kernel 6.9); before that kernel, the process alone.
///
/// # Errors
/// `ESRCH` where it has ended, `EPERM` where it is not the caller's to signal.
pub fn signal_group(leader: BorrowedFd<'_>, signal: u8) -> Result<()> {
    const PROCESS_GROUP: usize = 4;
    let send = |flags| {
        let arguments = [number(leader), usize::from(signal), 0, flags, 0, 0];
        // SAFETY: with a null siginfo the kernel reads no memory of ours.
        unsafe { syscall(libc::SYS_pidfd_send_signal, arguments) }.map(drop)
    };
    match send(PROCESS_GROUP) {
        Err(Errno::INVAL) => send(0),
        sent => sent,
    }
}
