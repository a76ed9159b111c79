//! System calls that no safe wrapper makes: the adversary's own, and what the harness needs to play
//! tricks on the product.
#![allow(unsafe_code, reason = "an attack is a system call with any arguments whatever")]

use nix::errno::Errno;
use nix::unistd::Pid;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

/// One argument of a system call.
#[derive(Debug)]
pub enum Argument<'a> {
    /// A number, a descriptor, flags, or an address that is meant to be wrong.
    Number(u64),
    /// A path or name.
    Text(&'a CStr),
    /// Memory that the kernel reads.
    Bytes(&'a [u8]),
    /// Memory that the kernel writes.
    Buffer(&'a mut [u8]),
}

impl Argument<'_> {
    fn word(&mut self) -> u64 {
        let address = match self {
            Self::Number(number) => return *number,
            Self::Text(text) => text.as_ptr().addr(),
            Self::Bytes(bytes) => bytes.as_ptr().addr(),
            Self::Buffer(bytes) => bytes.as_mut_ptr().expose_provenance(),
        };
        u64::try_from(address).unwrap_or(u64::MAX)
    }
}

/// Makes a system call of this number, with zeros for the arguments that are not given.
///
/// # Errors
/// The kernel's answer.
pub fn call(number: i64, arguments: &mut [Argument<'_>]) -> nix::Result<i64> {
    let mut words = [0_u64; 6];
    for (word, argument) in words.iter_mut().zip(arguments) {
        *word = argument.word();
    }
    let [a, b, c, d, e, f] = words;
    // SAFETY: the kernel reads and writes what the arguments borrow, for the length that the caller
    // gives beside them. A number that the kernel takes for an address is the probe's own risk: its
    // process is made for this one attack and thrown away.
    let answer = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    Errno::result(answer)
}

/// [`call`] with numbers only.
///
/// # Errors
/// The kernel's answer.
pub fn call_numbers(number: i64, words: &[u64]) -> nix::Result<i64> {
    let mut arguments: Vec<_> = words.iter().map(|word| Argument::Number(*word)).collect();
    call(number, &mut arguments)
}

/// Landlock's ABI on this kernel.
///
/// # Errors
/// `ENOSYS` or `EOPNOTSUPP` where the kernel has none.
pub fn landlock_abi() -> nix::Result<i64> {
    const VERSION: u64 = 1;
    call_numbers(libc::SYS_landlock_create_ruleset, &[0, 0, VERSION])
}

/// Runs `child` in a child process, which exits with what it returns.
///
/// # Errors
/// Where no process can be made.
pub fn fork(child: impl FnOnce() -> u8) -> nix::Result<Pid> {
    // SAFETY: neither probes nor the launcher start threads, so the child finds no lock held.
    let forked = unsafe { nix::unistd::fork() }?;
    match forked {
        nix::unistd::ForkResult::Parent { child } => Ok(child),
        nix::unistd::ForkResult::Child => {
            let status = i32::from(child());
            // SAFETY: _exit(2) takes no memory and does not return.
            unsafe { libc::_exit(status) }
        }
    }
}

/// Ignores a signal, or lets it do what it does by itself; either stays so over execve.
///
/// # Errors
/// The kernel's answer.
pub fn ignore(signal: i32, ignored: bool) -> io::Result<()> {
    let how = if ignored { libc::SIG_IGN } else { libc::SIG_DFL };
    // SAFETY: signal(2) takes no memory, and neither SIG_IGN nor SIG_DFL is a function of ours.
    let before = unsafe { libc::signal(signal, how) };
    if before == libc::SIG_ERR { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Gives an open descriptor a number, and leaves it open over execve.
///
/// # Errors
/// The kernel's answer.
pub fn place(from: i32, number: i32) -> io::Result<()> {
    let placed = if from == number {
        // SAFETY: fcntl(2) with F_SETFD takes no memory.
        unsafe { libc::fcntl(from, libc::F_SETFD, 0) }
    } else {
        // SAFETY: dup2(2) takes no memory; whatever had the number before is not used by this
        // process, which executes another program next.
        unsafe { libc::dup2(from, number) }
    };
    Errno::result(placed)?;
    Ok(())
}

/// Installs a filter for this process and whatever it starts; needs root, since `no_new_privs` is
/// the product's to set. With `listener`, the descriptor that the kernel tells of calls.
///
/// # Errors
/// The kernel's answer.
pub fn filter(program: &mut [libc::sock_filter], listener: bool) -> io::Result<i64> {
    let length = u16::try_from(program.len()).map_err(io::Error::other)?;
    let fprog = libc::sock_fprog { len: length, filter: program.as_mut_ptr() };
    let flags = if listener { libc::SECCOMP_FILTER_FLAG_NEW_LISTENER } else { 0 };
    // SAFETY: the kernel copies `len` instructions from `filter`, which `program` keeps alive.
    let answer = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const fprog)
    };
    Ok(Errno::result(answer)?)
}

/// Drops a capability from the bounding set of this process, by its number; one that is none is dropped
/// already.
///
/// # Errors
/// `EPERM` without `CAP_SETPCAP`.
pub fn drop_from_bounding_set(capability: u32) -> io::Result<()> {
    // SAFETY: prctl(2) with PR_CAPBSET_DROP takes integers.
    let dropped = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, u64::from(capability), 0, 0, 0) };
    match Errno::result(dropped) {
        Ok(_) | Err(Errno::EINVAL) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// A copy of a descriptor of another process, pidfd_getfd(2).
///
/// # Errors
/// The kernel's answer.
pub fn descriptor_of(process: Pid, number: i32) -> io::Result<OwnedFd> {
    let pidfd = self::process(process)?;
    let words = [word(pidfd.as_raw_fd()), word(number), 0];
    own(call_numbers(libc::SYS_pidfd_getfd, &words)?)
}

/// A process by descriptor, pidfd_open(2).
///
/// # Errors
/// `ESRCH` where it is gone.
pub fn process(pid: Pid) -> io::Result<OwnedFd> {
    own(call_numbers(libc::SYS_pidfd_open, &[word(pid.as_raw()), 0])?)
}

/// A copy of a descriptor under a number from this one on, which an execve closes.
///
/// # Errors
/// The kernel's answer.
pub fn copy_above(from: i32, least: i32) -> io::Result<i32> {
    let duplicate = u64::from(libc::F_DUPFD_CLOEXEC.cast_unsigned());
    let copy = call_numbers(libc::SYS_fcntl, &[word(from), duplicate, word(least)])?;
    i32::try_from(copy).map_err(io::Error::other)
}

/// The next who connects to a listening socket that this process was started with, accept4(2).
///
/// # Errors
/// The kernel's answer.
pub fn accept(listener: i32) -> io::Result<OwnedFd> {
    own(call_numbers(libc::SYS_accept4, &[word(listener), 0, 0, 0])?)
}

fn word(number: i32) -> u64 {
    u64::from(number.cast_unsigned())
}

/// A descriptor that the kernel just made.
fn own(number: i64) -> io::Result<OwnedFd> {
    let number = i32::try_from(number).map_err(io::Error::other)?;
    // SAFETY: the kernel made the descriptor for the call that answered it, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// A call that waits for an answer, seccomp_unotify(2).
#[derive(Debug, Clone, Copy)]
pub struct Notified {
    /// Names it in the answer.
    pub id: u64,
    /// Who makes it.
    pub pid: u32,
    /// Which call.
    pub number: i32,
}

/// `SECCOMP_IOCTL_NOTIF_RECV`.
const RECEIVE: u64 = 0xc050_2100;
/// `SECCOMP_IOCTL_NOTIF_SEND`.
const SEND: u64 = 0xc018_2101;

/// The next call that waits.
///
/// # Errors
/// `ENOENT` where whoever made it is gone.
pub fn notified(listener: BorrowedFd<'_>) -> io::Result<Notified> {
    let mut notice = libc::seccomp_notif {
        id: 0,
        pid: 0,
        flags: 0,
        data: libc::seccomp_data { nr: 0, arch: 0, instruction_pointer: 0, args: [0; 6] },
    };
    // SAFETY: the kernel writes one `seccomp_notif`, whose size the number of the ioctl carries.
    let answer = unsafe { libc::ioctl(listener.as_raw_fd(), RECEIVE, &raw mut notice) };
    Errno::result(answer)?;
    Ok(Notified { id: notice.id, pid: notice.pid, number: notice.data.nr })
}

/// Answers a call: it is made, or it fails with an errno.
///
/// # Errors
/// `ENOENT` where whoever made it is gone.
pub fn answer(listener: BorrowedFd<'_>, id: u64, errno: Option<i32>) -> io::Result<()> {
    /// `SECCOMP_USER_NOTIF_FLAG_CONTINUE`.
    const CONTINUE: u32 = 1;
    let (error, flags) = errno.map_or((0, CONTINUE), |errno| (-errno, 0));
    let mut response = libc::seccomp_notif_resp { id, val: 0, error, flags };
    // SAFETY: the kernel reads one `seccomp_notif_resp`, whose size the number of the ioctl carries.
    let answered = unsafe { libc::ioctl(listener.as_raw_fd(), SEND, &raw mut response) };
    Errno::result(answered)?;
    Ok(())
}

/// A system call by the door of 32-bit programs, `int 0x80`, whose numbers are those of i386 and
/// whose arguments are zeros here.
///
/// # Errors
/// The kernel's answer. A kernel without that door kills the caller with SIGSEGV.
pub fn call_as_i386(number: u32) -> nix::Result<i64> {
    let answer: u64;
    // SAFETY: with zeros for arguments no call reads or writes memory. The kernel saves every
    // register but rax; older ones clear r8 to r11, which are declared as lost. rbx is LLVM's own
    // and put back by hand.
    unsafe {
        std::arch::asm!(
            "push rbx",
            "xor ebx, ebx",
            "int 0x80",
            "pop rbx",
            inlateout("rax") u64::from(number) => answer,
            in("rcx") 0_u64,
            in("rdx") 0_u64,
            in("rsi") 0_u64,
            in("rdi") 0_u64,
            lateout("r8") _,
            lateout("r9") _,
            lateout("r10") _,
            lateout("r11") _,
        );
    }
    // The answer is 32 bits wide; the kernel may or may not have widened its sign.
    let bytes = answer.to_le_bytes();
    let [a, b, c, d, ..] = bytes;
    match i32::from_le_bytes([a, b, c, d]) {
        errno @ -4095..0 => Err(Errno::from_raw(-errno)),
        value => Ok(i64::from(value)),
    }
}
