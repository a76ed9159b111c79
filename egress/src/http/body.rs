//! The body of a request or an answer: where it ends, and its chunks written anew.

use super::Framing;
use sandboxd_egress_plan::Verdict;

/// The most bytes of the line before a chunk.
const LINE: usize = 18;

/// A body of which some may have been read.
#[derive(Debug)]
pub struct Body {
    state: State,
    /// The line that is being read.
    line: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// So many bytes, and it is over.
    Rest(u64),
    /// The size of a chunk.
    Size,
    /// So many bytes of a chunk.
    Chunk(u64),
    /// The line's end after a chunk.
    After,
    /// The line's end after the last chunk.
    Last,
    /// It is over.
    Over,
}

impl Body {
    /// The body that follows a head with this framing.
    #[must_use]
    pub const fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Length(0) => State::Over,
            Framing::Length(length) => State::Rest(length),
            Framing::Chunked => State::Size,
        };
        Self { state, line: Vec::new() }
    }

    /// The body that ends with the connection.
    #[must_use]
    pub const fn until_the_end() -> Self {
        Self { state: State::Rest(u64::MAX), line: Vec::new() }
    }

    /// Whether there is no more of it.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Takes what is there of it, writes it to `to`, and says how many bytes that was. Chunks have no
    /// extensions, and nothing follows the last one.
    ///
    /// # Errors
    /// Where it is malformed.
    pub fn take(&mut self, bytes: &[u8], to: &mut Vec<u8>) -> Result<usize, Verdict> {
        self.parted(bytes, (to, &mut Nothing))
    }

    /// The same, and writes what is in it to `heard`, without what the chunks add.
    ///
    /// # Errors
    /// Where it is malformed.
    pub fn take_and_hear(
        &mut self,
        bytes: &[u8],
        to: &mut Vec<u8>,
        heard: &mut Vec<u8>,
    ) -> Result<usize, Verdict> {
        self.parted(bytes, (to, heard))
    }

    fn parted(
        &mut self,
        bytes: &[u8],
        (to, heard): (&mut Vec<u8>, &mut impl Heard),
    ) -> Result<usize, Verdict> {
        let mut rest = bytes;
        while !rest.is_empty() && self.state != State::Over {
            rest = match self.state {
                State::Rest(left) => {
                    let (rest, left) = copy(rest, left, (to, heard));
                    self.state = if left == 0 { State::Over } else { State::Rest(left) };
                    rest
                }
                State::Chunk(left) => {
                    let (rest, left) = copy(rest, left, (to, heard));
                    self.state = if left == 0 { State::After } else { State::Chunk(left) };
                    rest
                }
                State::Size | State::After | State::Last => self.line(rest, to)?,
                State::Over => rest,
            };
        }
        Ok(bytes.len() - rest.len())
    }

    fn line<'a>(&mut self, bytes: &'a [u8], to: &mut Vec<u8>) -> Result<&'a [u8], Verdict> {
        let (first, rest) = bytes.split_first().ok_or(Verdict::Malformed)?;
        self.line.push(*first);
        if self.line.len() > LINE {
            return Err(Verdict::Malformed);
        }
        let Some(line) = self.line.strip_suffix(b"\r\n") else {
            // A carriage return is followed by a line feed, and a line feed comes after one.
            let odd = *first == b'\n' || self.line.iter().rev().nth(1) == Some(&b'\r');
            return if odd { Err(Verdict::Malformed) } else { Ok(rest) };
        };
        self.state = match self.state {
            State::Size => match size(line).ok_or(Verdict::Malformed)? {
                0 => {
                    to.extend_from_slice(b"0\r\n");
                    State::Last
                }
                size => {
                    to.extend_from_slice(format!("{size:x}\r\n").as_bytes());
                    State::Chunk(size)
                }
            },
            State::After if line.is_empty() => {
                to.extend_from_slice(b"\r\n");
                State::Size
            }
            State::Last if line.is_empty() => {
                to.extend_from_slice(b"\r\n");
                State::Over
            }
            State::After | State::Last | State::Rest(_) | State::Chunk(_) | State::Over => {
                return Err(Verdict::Malformed);
            }
        };
        self.line.clear();
        Ok(rest)
    }
}

/// Who hears what is in a body.
trait Heard {
    fn hear(&mut self, bytes: &[u8]);
}

impl Heard for Vec<u8> {
    fn hear(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Nobody.
struct Nothing;

impl Heard for Nothing {
    fn hear(&mut self, _: &[u8]) {}
}

fn copy<'a>(
    bytes: &'a [u8],
    left: u64,
    (to, heard): (&mut Vec<u8>, &mut impl Heard),
) -> (&'a [u8], u64) {
    let most = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
    let (taken, rest) = bytes.split_at_checked(most).unwrap_or((bytes, &[]));
    to.extend_from_slice(taken);
    heard.hear(taken);
    (rest, left - u64::try_from(taken.len()).unwrap_or(left))
}

fn size(line: &[u8]) -> Option<u64> {
    let plain = !line.is_empty() && line.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(line).ok().filter(|_| plain)?;
    u64::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn take(framing: Framing, pieces: &[&[u8]]) -> Result<(Vec<u8>, usize, bool), Verdict> {
        let (mut body, mut to, mut taken) = (Body::new(framing), Vec::new(), 0);
        for piece in pieces {
            taken += body.take(piece, &mut to)?;
        }
        Ok((to, taken, body.is_over()))
    }

    #[test]
    fn a_body_ends_where_it_says() {
        let whole = take(Framing::Length(3), &[b"abcGET"]).unwrap();
        assert_eq!(whole, (b"abc".to_vec(), 3, true));
        assert!(Body::new(Framing::Length(0)).is_over());
        let chunked = b"3\r\nabc\r\n0A\r\n0123456789\r\n0\r\n\r\nGET";
        let written = b"3\r\nabc\r\na\r\n0123456789\r\n0\r\n\r\n";
        let whole = take(Framing::Chunked, &[chunked]).unwrap();
        assert_eq!(whole, (written.to_vec(), chunked.len() - 3, true));
    }

    #[test]
    fn what_is_in_it_is_heard_without_its_chunks() {
        let (mut to, mut heard) = (Vec::new(), Vec::new());
        let mut body = Body::new(Framing::Chunked);
        body.take_and_hear(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", &mut to, &mut heard).unwrap();
        assert_eq!((heard.as_slice(), body.is_over()), (&b"abcde"[..], true));
        let mut body = Body::until_the_end();
        assert_eq!(body.take_and_hear(b"0\r\n\r\n", &mut to, &mut heard), Ok(5));
        assert!(heard.ends_with(b"0\r\n\r\n") && !body.is_over());
    }

    #[test]
    fn chunks_that_two_may_read_differently_are_refused() {
        for text in [
            &b"3;x=y\r\nabc\r\n"[..],
            b"3\nabc\r\n",
            b"3 \r\nabc",
            b"0x3\r\nabc",
            b"+3\r\nabc",
            b"\r\n",
            b"3\r\nabcd\r\n",
            b"3\r\nabc\n",
            b"3\r\rabc",
            b"-1\r\n",
            b"00000000000000000003\r\n",
            b"11111111111111111\r\n",
            b"0\r\nTrailer: x\r\n\r\n",
        ] {
            assert_eq!(take(Framing::Chunked, &[text]), Err(Verdict::Malformed), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn it_is_the_same_however_it_is_cut(
            text in "[0-9a-f\r\n]{0,60}", chunks in proptest::collection::vec("[ -~]{1,20}", 0..4), at: usize,
        ) {
            let mut bytes: Vec<u8> = chunks.iter()
                .flat_map(|chunk| format!("{:X}\r\n{chunk}\r\n", chunk.len()).into_bytes()).collect();
            bytes.extend(text.as_bytes());
            let (head, tail) = bytes.split_at(at % (bytes.len() + 1));
            prop_assert_eq!(take(Framing::Chunked, &[&bytes]), take(Framing::Chunked, &[head, tail]));
        }
    }
}
