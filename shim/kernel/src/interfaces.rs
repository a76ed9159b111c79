//! The addresses of a network namespace's interfaces, netdevice(7).

use crate::fds::number;
use crate::syscall::syscall;
use alloc::{vec, vec::Vec};
use core::net::Ipv4Addr;
use rustix::fd::BorrowedFd;
use rustix::io::{Errno, Result};

/// `SIOCGIFCONF` of linux/sockios.h.
const GET_CONFIGURATION: usize = 0x8912;
/// `struct ifreq`: the name of an interface, and a `struct sockaddr_in` of which this is where the address is.
const ENTRY: usize = 40;
const ADDRESS: core::ops::Range<usize> = 20..24;
/// More addresses than most hosts have.
const USUAL: usize = 32;
/// More than any host has.
const MOST: usize = 1 << 16;

/// `struct ifconf`.
#[repr(C)]
struct Configuration {
    length: i32,
    buffer: usize,
}

/// Each IPv4 address that an interface has in the network namespace of this socket, the second and further
/// ones of an interface too.
///
/// # Errors
/// Those of the kernel; `E2BIG` where there are more than 65,536.
pub fn ipv4_addresses(socket: BorrowedFd<'_>) -> Result<Vec<Ipv4Addr>> {
    let mut room = USUAL;
    while room <= MOST {
        let mut entries = vec![0_u8; room.saturating_mul(ENTRY)];
        let length = i32::try_from(entries.len()).map_err(|_| Errno::TOOBIG)?;
        let mut asked = Configuration { length, buffer: entries.as_mut_ptr().expose_provenance() };
        let asked_at = (&raw mut asked).expose_provenance();
        let arguments = [number(socket), GET_CONFIGURATION, asked_at, 0, 0, 0];
        // SAFETY: `asked` is laid out as the kernel has it. It writes no more than the length to the buffer, which has
        // room for that, and then the length.
        unsafe { syscall(libc::SYS_ioctl, arguments) }?;
        // It leaves out without a word what there is no room for.
        if asked.length < length {
            let used = usize::try_from(asked.length).map_err(|_| Errno::IO)?;
            entries.truncate(used);
            return Ok(entries.chunks_exact(ENTRY).filter_map(address).collect());
        }
        room = room.saturating_mul(2);
    }
    Err(Errno::TOOBIG)
}

fn address(entry: &[u8]) -> Option<Ipv4Addr> {
    let bytes: [u8; 4] = entry.get(ADDRESS)?.try_into().ok()?;
    Some(bytes.into())
}
