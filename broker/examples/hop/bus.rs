//! D-Bus, as little of it as a call and its answer need (D-Bus Specification 0.43), so that neither end
//! costs more than those of the others.

use super::Caller;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;

const NAME: &str = "dev.sandboxd.Hop";

/// Types of messages and of header fields.
const CALL: u8 = 1;
const ANSWER: u8 = 2;
const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const ANSWERED: u8 = 5;
const DESTINATION: u8 = 6;
const SENDER: u8 = 7;
const SIGNATURE: u8 = 8;

/// One that the bus knows.
struct Peer {
    stream: BufReader<UnixStream>,
    serial: u32,
}

/// What was received.
struct Message {
    kind: u8,
    serial: u32,
    sender: String,
    body: Vec<u8>,
}

/// Bytes of a message, aligned as its types want it.
#[derive(Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    fn word(&mut self, word: u32) {
        self.align(4);
        self.0.extend(word.to_le_bytes());
    }

    fn text(&mut self, text: &str) -> io::Result<()> {
        self.word(u32::try_from(text.len()).map_err(io::Error::other)?);
        self.0.extend(text.as_bytes());
        self.0.push(0);
        Ok(())
    }

    /// A header field whose value is a string, an object path or a signature.
    fn field(&mut self, code: u8, kind: u8, value: &str) -> io::Result<()> {
        self.align(8);
        self.0.extend([code, 1, kind, 0]);
        if kind == b'g' {
            self.0.push(u8::try_from(value.len()).map_err(io::Error::other)?);
            self.0.extend(value.as_bytes());
            self.0.push(0);
            return Ok(());
        }
        self.text(value)
    }
}

impl Peer {
    fn new(path: &str) -> io::Result<Self> {
        let mut peer = Self { stream: BufReader::new(UnixStream::connect(path)?), serial: 0 };
        // As user 0, in hexadecimal digits of its decimal ones.
        peer.stream.get_mut().write_all(b"\0AUTH EXTERNAL 30\r\n")?;
        let mut line = String::new();
        peer.stream.read_line(&mut line)?;
        if !line.starts_with("OK ") {
            return Err(io::Error::other(format!("the bus says {line:?}")));
        }
        peer.stream.get_mut().write_all(b"BEGIN\r\n")?;
        peer.ask(("org.freedesktop.DBus", "Hello"), ("", &[]))?;
        Ok(peer)
    }

    /// Says a message with these header fields and this body.
    fn say(&mut self, kind: u8, fields: &Bytes, body: &[u8]) -> io::Result<u32> {
        self.serial += 1;
        let mut bytes = Bytes(vec![b'l', kind, 0, 1]);
        bytes.word(u32::try_from(body.len()).map_err(io::Error::other)?);
        bytes.word(self.serial);
        bytes.word(u32::try_from(fields.0.len()).map_err(io::Error::other)?);
        bytes.0.extend(&fields.0);
        bytes.align(8);
        bytes.0.extend(body);
        self.stream.get_mut().write_all(&bytes.0)?;
        Ok(self.serial)
    }

    /// Calls, and waits for the answer.
    fn ask(
        &mut self,
        (to, member): (&str, &str),
        (signature, body): (&str, &[u8]),
    ) -> io::Result<Message> {
        let mut fields = Bytes::default();
        fields.field(PATH, b'o', "/org/freedesktop/DBus")?;
        fields.field(INTERFACE, b's', to)?;
        fields.field(MEMBER, b's', member)?;
        fields.field(DESTINATION, b's', to)?;
        if !signature.is_empty() {
            fields.field(SIGNATURE, b'g', signature)?;
        }
        self.say(CALL, &fields, body)?;
        loop {
            let message = self.next()?;
            match message.kind {
                ANSWER => return Ok(message),
                // The bus tells what happens, too.
                4 => {}
                _ => {
                    return Err(io::Error::other(
                        String::from_utf8_lossy(&message.body).into_owned(),
                    ));
                }
            }
        }
    }

    fn next(&mut self) -> io::Result<Message> {
        let mut head = [0; 16];
        self.stream.read_exact(&mut head)?;
        let word = |from: usize| {
            let bytes = head.get(from..from + 4).and_then(|bytes| bytes.try_into().ok());
            bytes.map_or(0, u32::from_le_bytes)
        };
        let (body, serial, fields) = (word(4), word(8), word(12));
        let fields = usize::try_from(fields).map_err(io::Error::other)?;
        let mut padded = vec![0; fields.next_multiple_of(8)];
        self.stream.read_exact(&mut padded)?;
        let mut bytes = vec![0; usize::try_from(body).map_err(io::Error::other)?];
        self.stream.read_exact(&mut bytes)?;
        padded.truncate(fields);
        let sender = sender(&padded).unwrap_or_default();
        Ok(Message { kind: head[1], serial, sender, body: bytes })
    }
}

/// Who sent it, of its header fields.
fn sender(fields: &[u8]) -> Option<String> {
    let mut place = 0;
    loop {
        place = usize::next_multiple_of(place, 8);
        let (code, kind) = (*fields.get(place)?, *fields.get(place + 2)?);
        place += 4;
        let length = if kind == b'g' {
            let length = usize::from(*fields.get(place)?);
            place += 1;
            length
        } else {
            let word = fields.get(place..place + 4)?.try_into().ok()?;
            place += 4;
            if kind == b'u' {
                continue;
            }
            usize::try_from(u32::from_le_bytes(word)).ok()?
        };
        if code == SENDER {
            let text = fields.get(place..place + length)?;
            return String::from_utf8(text.to_vec()).ok();
        }
        place += length + 1;
    }
}

/// Says each call back.
pub(crate) fn service(path: &str) -> io::Result<()> {
    let mut peer = Peer::new(path)?;
    let mut body = Bytes::default();
    body.text(NAME)?;
    body.word(0);
    peer.ask(("org.freedesktop.DBus", "RequestName"), ("su", &body.0))?;
    loop {
        let message = peer.next()?;
        if message.kind != CALL {
            continue;
        }
        let mut fields = Bytes::default();
        fields.align(8);
        fields.0.extend([ANSWERED, 1, b'u', 0]);
        fields.word(message.serial);
        fields.field(DESTINATION, b's', &message.sender)?;
        fields.field(SIGNATURE, b'g', "s")?;
        peer.say(ANSWER, &fields, &message.body)?;
    }
}

/// Calls the service.
pub(crate) struct Client {
    peer: Peer,
    body: Bytes,
}

impl Client {
    /// With a text that makes the whole message as long as that.
    pub(crate) fn new(path: &str, bytes: usize) -> io::Result<Self> {
        // What stands before a text in a message to the service.
        const BEFORE: usize = 144;
        let mut body = Bytes::default();
        body.text(&"x".repeat(bytes.saturating_sub(BEFORE + 5)))?;
        Ok(Self { peer: Peer::new(path)?, body })
    }
}

impl Caller for Client {
    fn call(&mut self) -> io::Result<()> {
        let answer = self.peer.ask((NAME, "Echo"), ("s", &self.body.0))?;
        if answer.body == self.body.0 { Ok(()) } else { Err(io::Error::other("not what was said")) }
    }
}
