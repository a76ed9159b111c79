//! Netlink messages: written, sent, and answered by the kernel before the call returns.

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with,
};

/// `NLM_F_REQUEST`.
pub(super) const REQUEST: u16 = 0x1;
/// `NLM_F_ACK`.
pub(super) const ACK: u16 = 0x4;
/// `NLM_F_EXCL`.
pub(super) const EXCLUSIVE: u16 = 0x200;
/// `NLM_F_CREATE`.
pub(super) const CREATE: u16 = 0x400;
/// `NLM_F_APPEND`.
pub(super) const APPEND: u16 = 0x800;

/// `NLA_F_NESTED`.
const NESTED: u16 = 0x8000;
/// `NLMSG_ERROR`.
const ERROR: u16 = 2;
/// The length of a `struct nlmsghdr`.
const HEADER: usize = 16;

/// Messages, one after the other.
#[derive(Default)]
pub(super) struct Messages {
    bytes: Vec<u8>,
    /// How many of them are answered where all goes well.
    answered: usize,
}

/// The bytes of one message after its header, or of an attribute after its own.
#[derive(Default)]
pub(super) struct Body(Vec<u8>);

impl Body {
    /// Begins with what the kind of message begins with.
    pub(super) fn new(head: &[u8]) -> Self {
        Self(head.to_vec())
    }

    /// An attribute.
    pub(super) fn with(mut self, kind: u16, value: &[u8]) -> Self {
        // Everything that is written here is a few hundred bytes at most.
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        pad(&mut self.0);
        self
    }

    /// An attribute that is a number, as netfilter takes them.
    pub(super) fn number(self, kind: u16, value: u32) -> Self {
        self.with(kind, &value.to_be_bytes())
    }

    /// An attribute that is a text.
    pub(super) fn text(self, kind: u16, value: &str) -> Self {
        let bytes: Vec<u8> = value.bytes().chain([0]).collect();
        self.with(kind, &bytes)
    }

    /// An attribute made of attributes.
    pub(super) fn nest(self, kind: u16, inner: Self) -> Self {
        self.with(kind | NESTED, &inner.0)
    }
}

impl Messages {
    /// One more.
    pub(super) fn push(&mut self, kind: u16, flags: u16, body: &Body) {
        let length = u32::try_from(HEADER + body.0.len()).unwrap_or(u32::MAX);
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend((flags | REQUEST).to_ne_bytes());
        // Neither a sequence nor a sender: one socket, one sending, and every answer is of it.
        self.bytes.extend([0; 8]);
        self.bytes.extend(&body.0);
        pad(&mut self.bytes);
        self.answered += usize::from(flags & ACK != 0);
    }

    /// Sends them, for routing where no protocol is named, and reads what the kernel says to each.
    pub(super) fn send(&self, protocol: Option<Protocol>) -> Result<(), Errno> {
        let socket = open(protocol)?;
        let sent = send(&socket, &self.bytes, SendFlags::empty())?;
        if sent != self.bytes.len() {
            return Err(Errno::MSGSIZE);
        }
        let mut answered = 0;
        while answered < self.answered {
            // All answers are there once the call above has returned; what is not there will not come.
            let mut buffer = [0; 8192];
            let (length, _) = recv(&socket, buffer.as_mut_slice(), RecvFlags::DONTWAIT)?;
            answered += answers(buffer.get(..length).unwrap_or_default())?;
        }
        Ok(())
    }
}

fn open(protocol: Option<Protocol>) -> Result<OwnedFd, Errno> {
    socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)
}

/// How many messages were obeyed, or what the first is that was not.
fn answers(mut bytes: &[u8]) -> Result<usize, Errno> {
    let mut obeyed = 0;
    while !bytes.is_empty() {
        let length = number(bytes, 0).and_then(|length| usize::try_from(length).ok());
        let length = length.filter(|length| (HEADER..=bytes.len()).contains(length));
        let Some(length) = length else { return Err(Errno::BADMSG) };
        let kind = number(bytes, 4).unwrap_or(0) & 0xffff;
        if kind != u32::from(ERROR) {
            return Err(Errno::BADMSG);
        }
        match number(bytes, HEADER).map(u32::cast_signed) {
            Some(0) => obeyed += 1,
            Some(errno) => return Err(Errno::from_raw_os_error(errno.wrapping_neg())),
            None => return Err(Errno::BADMSG),
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(obeyed)
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::{Body, answers};
    use rustix::io::Errno;

    fn answer(errno: i32) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(36_u32.to_ne_bytes());
        bytes.extend(2_u32.to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(errno.to_ne_bytes());
        bytes.extend([0; 16]);
        bytes
    }

    #[test]
    fn every_answer_counts_and_the_first_refusal_is_told() {
        assert_eq!(answers(&[answer(0), answer(0)].concat()), Ok(2));
        assert_eq!(answers(&[answer(0), answer(-1), answer(-2)].concat()), Err(Errno::PERM));
    }

    #[test]
    fn what_is_cut_short_is_no_answer() {
        assert_eq!(answers(answer(0).get(..18).unwrap_or_default()), Err(Errno::BADMSG));
        assert_eq!(answers(&[0; 16]), Err(Errno::BADMSG));
    }

    #[test]
    fn attributes_are_padded_and_their_length_is_not() {
        let Body(bytes) = Body::default().text(1, "nat!").number(2, 7);
        assert_eq!(bytes.len(), 4 + 8 + 4 + 4);
        assert_eq!(bytes.get(..2), Some(9_u16.to_ne_bytes().as_slice()));
        assert_eq!(bytes.get(16..), Some([0, 0, 0, 7].as_slice()));
    }
}
