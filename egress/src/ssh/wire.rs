//! How the protocols of SSH write things, RFC 4251, section 5.

/// What is not read yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wire<'b>(pub(super) &'b [u8]);

impl<'b> Wire<'b> {
    fn array<const SIZE: usize>(&mut self) -> Option<[u8; SIZE]> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*bytes)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn number(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn string(&mut self) -> Option<&'b [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (string, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(string)
    }

    /// A number that is larger than 0: its bytes, the first of which is not 0.
    pub(super) fn magnitude(&mut self) -> Option<&'b [u8]> {
        let bytes = self.string()?;
        match bytes {
            [0, rest @ ..] => rest.first().is_some_and(|first| *first >= 0x80).then_some(rest),
            [first, ..] if *first < 0x80 => Some(bytes),
            _ => None,
        }
    }

    /// Nothing, where there is nothing more.
    pub(super) fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

/// Adds a string.
pub(super) fn put(to: &mut Vec<u8>, string: &[u8]) {
    to.extend_from_slice(&u32::try_from(string.len()).unwrap_or(u32::MAX).to_be_bytes());
    to.extend_from_slice(string);
}

/// Adds a number, whose bytes these are.
pub(super) fn put_magnitude(to: &mut Vec<u8>, bytes: &[u8]) {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let bytes = bytes.get(zeros..).unwrap_or_default();
    // One that begins with a set bit would be less than 0.
    let sign: &[u8] = if bytes.first().is_some_and(|first| *first >= 0x80) { &[0] } else { &[] };
    put(to, &[sign, bytes].concat());
}

/// Strings, one after the other.
pub(super) fn strings(all: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    all.iter().for_each(|one| put(&mut bytes, one));
    bytes
}
