//! Interfaces, netdevice(7).

use crate::fds::number;
use crate::syscall::syscall;
use rustix::fd::AsFd;
use rustix::io::Result;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

/// `struct ifreq` as `SIOCSIFFLAGS` reads it.
#[repr(C)]
struct IfReq {
    name: [u8; 16],
    flags: i16,
    rest: [u8; 22],
}

/// Brings the loopback interface of the calling process's network namespace up, which also gives it
/// 127.0.0.1 and ::1.
///
/// # Errors
/// `EPERM` without `CAP_NET_ADMIN` over the namespace.
pub fn loopback_up() -> Result<()> {
    const IFF_UP: i16 = 1;
    const SIOCSIFFLAGS: usize = 0x8914;
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    let mut name = [0; 16];
    name[..2].copy_from_slice(b"lo");
    let request = IfReq { name, flags: IFF_UP, rest: [0; 22] };
    let arguments = [number(socket.as_fd()), SIOCSIFFLAGS, (&raw const request).addr(), 0, 0, 0];
    // SAFETY: SIOCSIFFLAGS reads one `struct ifreq`, 40 bytes, which is what `IfReq` is.
    unsafe { syscall(libc::SYS_ioctl, arguments) }.map(drop)
}
