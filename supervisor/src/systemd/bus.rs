//! As much of D-Bus as one call takes, and no more: the D-Bus specification, "Message Protocol" and
//! "Authentication Protocol"; why by hand: `docs/decisions/0006-one-call-to-systemd.md`.
//!
//! What the bus answers is read in bounded pieces and taken for nothing but the answer to the call
//! that was made: a sender cannot be mistaken, because the bus passes on only replies that were
//! asked for, and whatever else it sends is left unread.

use sandboxd_audit::encode::hex;
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// Far more than any answer that is waited for; the specification allows 128 MiB.
const MOST: usize = 64 << 10;
/// Far more messages than come before the answer.
const MOST_MESSAGES: usize = 64;

const CALL: u8 = 1;
const RETURN: u8 = 2;
const ERROR: u8 = 3;

/// A method, and what it is called with.
pub(super) struct Call<'a> {
    /// The name on the bus.
    pub(super) destination: &'a str,
    /// The object.
    pub(super) path: &'a str,
    /// The interface.
    pub(super) interface: &'a str,
    /// The method.
    pub(super) member: &'a str,
    /// The types of the arguments.
    pub(super) signature: &'a str,
    /// The arguments.
    pub(super) body: Body,
}

/// What a call was answered with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It was done.
    Done,
    /// It was refused: the error's name and its words.
    Refused(String, String),
}

/// Makes one call on the bus at this socket and waits for the answer.
///
/// # Errors
/// Where the bus cannot be reached, refuses who calls, or does not answer in time.
pub(super) fn call(socket: &Path, call: &Call<'_>, until: Instant) -> Result<Answer> {
    let mut stream = UnixStream::connect(socket)?;
    let uid = rustix::process::geteuid().as_raw().to_string();
    let digits = hex(uid.as_bytes());
    wait_until(&stream, until)?;
    stream.write_all(format!("\0AUTH EXTERNAL {digits}\r\n").as_bytes())?;
    let welcome = line(&mut stream, until)?;
    if !welcome.starts_with(b"OK ") {
        return Err(Error::new(ErrorKind::PermissionDenied, "the bus rejects this user"));
    }
    let hello = Call {
        destination: "org.freedesktop.DBus",
        path: "/org/freedesktop/DBus",
        interface: "org.freedesktop.DBus",
        member: "Hello",
        signature: "",
        body: Body::default(),
    };
    let mut bytes = b"BEGIN\r\n".to_vec();
    bytes.extend(hello.message(1)?);
    bytes.extend(call.message(2)?);
    stream.write_all(&bytes)?;
    for _ in 0..MOST_MESSAGES {
        let (header, body) = message(&mut stream, until)?;
        match (header.kind, header.reply) {
            (RETURN, Some(2)) => return Ok(Answer::Done),
            (ERROR, Some(1 | 2)) => {
                let words = text(&body, 0).unwrap_or_default();
                return Ok(Answer::Refused(header.error, words));
            }
            _ => {}
        }
    }
    Err(Error::new(ErrorKind::InvalidData, "the bus sent no answer"))
}

/// Lets no read or write take longer than what is left.
fn wait_until(stream: &UnixStream, until: Instant) -> Result<()> {
    let left = until.saturating_duration_since(Instant::now());
    let left = left.max(Duration::from_millis(1));
    stream.set_read_timeout(Some(left))?;
    stream.set_write_timeout(Some(left))
}

fn line(stream: &mut UnixStream, until: Instant) -> Result<Vec<u8>> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        if line.len() > 512 {
            return Err(broken());
        }
        let mut byte = [0];
        wait_until(stream, until)?;
        stream.read_exact(&mut byte)?;
        line.extend(byte);
    }
    Ok(line)
}

fn broken() -> Error {
    Error::new(ErrorKind::InvalidData, "the bus sent invalid D-Bus")
}

/// What matters of a message's header.
#[derive(Debug, Default, PartialEq, Eq)]
struct Header {
    kind: u8,
    reply: Option<u32>,
    error: String,
}

fn message(stream: &mut UnixStream, until: Instant) -> Result<(Header, Vec<u8>)> {
    let mut fixed = [0; 16];
    wait_until(stream, until)?;
    stream.read_exact(&mut fixed)?;
    let [endian, kind, ..] = fixed;
    if endian != b'l' {
        return Err(broken());
    }
    let body_length = number(&fixed, 4).ok_or_else(broken)?;
    let fields_length = number(&fixed, 12).ok_or_else(broken)?;
    let padded = fields_length.checked_next_multiple_of(8).ok_or_else(broken)?;
    if body_length.max(padded) > MOST {
        return Err(broken());
    }
    let mut fields = vec![0; padded];
    wait_until(stream, until)?;
    stream.read_exact(&mut fields)?;
    fields.truncate(fields_length);
    let mut body = vec![0; body_length];
    stream.read_exact(&mut body)?;
    Ok((header(kind, &fields).ok_or_else(broken)?, body))
}

/// The header's fields: a code, the type of the value, the value; each from a multiple of eight on.
fn header(kind: u8, fields: &[u8]) -> Option<Header> {
    let mut header = Header { kind, ..Header::default() };
    let mut at = 0_usize;
    while at < fields.len() {
        let [code, 1, of_type, 0] = *fields.get(at..at + 4)? else { return None };
        at += 4;
        let length = number(fields, at);
        match of_type {
            b'u' => {
                if code == 5 {
                    header.reply = Some(u32::try_from(length?).ok()?);
                }
                at += 4;
            }
            b's' | b'o' => {
                if code == 4 {
                    header.error = text(fields, at)?;
                }
                at = at.checked_add(length?)?.checked_add(5)?;
            }
            b'g' => at = at.checked_add(usize::from(*fields.get(at)?))?.checked_add(2)?,
            _ => return None,
        }
        at = at.checked_next_multiple_of(8)?;
    }
    Some(header)
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    usize::try_from(u32::from_le_bytes(four.try_into().ok()?)).ok()
}

fn text(bytes: &[u8], at: usize) -> Option<String> {
    let from = at.checked_add(4)?;
    let text = bytes.get(from..from.checked_add(number(bytes, at)?)?)?;
    Some(String::from_utf8_lossy(text).into_owned())
}

impl Call<'_> {
    /// The call as bytes.
    pub(super) fn message(&self, serial: u32) -> Result<Vec<u8>> {
        let mut fields = Body::default();
        for (code, of_type, value) in [
            (1, "o", self.path),
            (2, "s", self.interface),
            (3, "s", self.member),
            (6, "s", self.destination),
        ] {
            fields.align(8);
            fields.0.push(code);
            fields.signature(of_type)?;
            fields.text(value)?;
        }
        if !self.signature.is_empty() {
            fields.align(8);
            fields.0.push(8);
            fields.signature("g")?;
            fields.signature(self.signature)?;
        }
        // No flags, protocol version 1.
        let mut bytes = Body(vec![b'l', CALL, 0, 1]);
        bytes.number(length(&self.body.0)?);
        bytes.number(serial);
        bytes.number(length(&fields.0)?);
        bytes.0.extend(fields.0);
        bytes.align(8);
        bytes.0.extend(&self.body.0);
        Ok(bytes.0)
    }
}

fn length(bytes: &[u8]) -> Result<u32> {
    u32::try_from(bytes.len()).map_err(|_| broken())
}

/// Values as bytes, each aligned to its size.
#[derive(Debug, Default)]
pub(super) struct Body(Vec<u8>);

impl Body {
    fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    /// `u`, and `b` as 0 or 1.
    pub(super) fn number(&mut self, value: u32) {
        self.align(4);
        self.0.extend(value.to_le_bytes());
    }

    /// `t`.
    pub(super) fn long(&mut self, value: u64) {
        self.align(8);
        self.0.extend(value.to_le_bytes());
    }

    /// `s` or `o`.
    pub(super) fn text(&mut self, value: &str) -> Result<()> {
        self.number(length(value.as_bytes())?);
        self.0.extend(value.as_bytes());
        self.0.push(0);
        Ok(())
    }

    /// `g`, and the type in front of a variant's value.
    pub(super) fn signature(&mut self, value: &str) -> Result<()> {
        self.0.push(u8::try_from(value.len()).map_err(|_| broken())?);
        self.0.extend(value.as_bytes());
        self.0.push(0);
        Ok(())
    }

    /// `a`: its length, then its elements, the first aligned to `to`.
    pub(super) fn array(
        &mut self,
        to: usize,
        fill: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        self.number(0);
        let at = self.0.len() - 4;
        self.align(to);
        let from = self.0.len();
        fill(self)?;
        let filled = length(self.0.get(from..).unwrap_or_default())?.to_le_bytes();
        if let Some(place) = self.0.get_mut(at..at + 4) {
            place.copy_from_slice(&filled);
        }
        Ok(())
    }

    /// `(sv)`: a property.
    pub(super) fn property(
        &mut self,
        name: &str,
        of_type: &str,
        value: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        self.align(8);
        self.text(name)?;
        self.signature(of_type)?;
        value(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The header of an error that answers call 2, as dbus-daemon sends it.
    fn fields() -> Vec<u8> {
        let mut fields = Body::default();
        fields.0.extend([4, 1, b's', 0]);
        fields.text("org.freedesktop.DBus.Error.AccessDenied").unwrap();
        fields.align(8);
        fields.0.extend([5, 1, b'u', 0]);
        fields.number(2);
        fields.align(8);
        fields.0.extend([8, 1, b'g', 0]);
        fields.signature("s").unwrap();
        fields.0
    }

    #[test]
    fn an_error_is_understood_and_a_broken_header_is_none() {
        let read = header(ERROR, &fields()).unwrap();
        assert_eq!(read.reply, Some(2));
        assert_eq!(read.error, "org.freedesktop.DBus.Error.AccessDenied");
        for cut in 1..fields().len() {
            // Whatever is cut off, nothing is read beyond the end.
            drop(header(ERROR, fields().get(..cut).unwrap()));
        }
        let mut long = fields();
        long.get_mut(4..8).unwrap().copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(header(ERROR, &long), None);
    }
}
