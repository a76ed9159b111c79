//! Every address is this namespace's own: a packet to anywhere comes back on its loopback interface.

use super::message::{ACK, Body, CREATE, EXCLUSIVE, Messages};
use rustix::io::Errno;

/// `RTM_NEWLINK`.
const NEW_LINK: u16 = 16;
/// `RTM_NEWROUTE`.
const NEW_ROUTE: u16 = 24;
/// `IFF_UP`.
const UP: u32 = 1;
/// The loopback interface is the first of every network namespace.
const LOOPBACK: u32 = 1;
/// `RTA_OIF`.
const OUT: u16 = 4;
/// `RT_TABLE_LOCAL`, `RTPROT_BOOT`, `RT_SCOPE_HOST`, `RTN_LOCAL`.
const LOCAL: [u8; 4] = [255, 3, 254, 2];

/// Takes the loopback interface up.
pub(super) fn loopback_up() -> Result<(), Errno> {
    // struct ifinfomsg: family, padding, type, index, flags, and which flags are meant.
    let head = [0, LOOPBACK, UP, UP].map(u32::to_ne_bytes).concat();
    let mut messages = Messages::default();
    messages.push(NEW_LINK, ACK, &Body::new(&head));
    messages.send(None)
}

/// Makes every address of the family local.
pub(super) fn all_local(family: u8) -> Result<(), Errno> {
    // struct rtmsg: family, two prefix lengths (0: everywhere), tos, the above, and flags.
    let head = [[family, 0, 0, 0], LOCAL, [0; 4]].concat();
    let mut messages = Messages::default();
    let body = Body::new(&head).with(OUT, &LOOPBACK.to_ne_bytes());
    messages.push(NEW_ROUTE, ACK | CREATE | EXCLUSIVE, &body);
    messages.send(None)
}
