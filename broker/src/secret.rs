//! Secrets in the memory of whoever uses them for somebody who does not have them: handed over by the supervisor,
//! kept in pages that are locked and left out of cores, and overwritten when they are let go of. Where so much
//! cannot be locked, nothing is served. The broker has those that stand in arguments, the
//! egress process those that it puts into requests.

use sandboxd_kernel::locked::Locked;
use std::{convert::Infallible, fmt};

/// The most bytes of one.
pub const MOST: usize = 8 << 10;

/// The most bytes of all that is handed over at once.
pub const HANDED: usize = 96 << 10;

/// What is answered to secrets that were handed over: they are used from now on.
pub const TAKEN: u8 = 0;

/// Why those that were handed over are not used, and those that were used are: all that is told of it, in a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTaken {
    /// So much memory cannot be locked.
    Memory,
    /// They are not those that the plan names, or no message at all.
    Unknown,
    /// One cannot go where it is to go.
    Unfit,
    /// One that is to sign is no key that does.
    NoKey,
    /// Two that are to sign are the same key.
    SameKey,
}

impl NotTaken {
    const ALL: [Self; 5] = [Self::Memory, Self::Unknown, Self::Unfit, Self::NoKey, Self::SameKey];

    /// What is answered.
    #[must_use]
    pub const fn byte(self) -> u8 {
        match self {
            Self::Memory => 1,
            Self::Unknown => 2,
            Self::Unfit => 3,
            Self::NoKey => 4,
            Self::SameKey => 5,
        }
    }

    /// What is meant by an answer; nothing where that is none of these.
    #[must_use]
    pub fn meant(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|why| why.byte() == byte)
    }
}

/// What is answered to secrets that were handed over.
#[must_use]
pub fn answer(taken: Result<(), SecretError>) -> u8 {
    taken.map_or_else(|error| error.why.byte(), |()| TAKEN)
}

/// What is handed over, as bytes.
pub type Message = Locked;

/// Secrets, in the order of the plan's names of them.
#[derive(Default)]
pub struct Secrets(Vec<Locked>);

impl fmt::Debug for Secrets {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{} secrets", self.0.len())
    }
}

/// What is handed over is not what the plan wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretError {
    /// In short.
    pub why: NotTaken,
    what: String,
}

impl SecretError {
    /// For this reason, in words.
    pub fn new(why: NotTaken, what: impl Into<String>) -> Self {
        Self { why, what: what.into() }
    }
}

impl fmt::Display for SecretError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.what)
    }
}

impl std::error::Error for SecretError {}

impl Secrets {
    /// Adds a copy of this one, with the next number.
    ///
    /// # Errors
    /// Where no more memory can be locked.
    pub fn push(&mut self, value: &[u8]) -> Result<(), SecretError> {
        self.0.push(Locked::copy(value).map_err(|_| unlocked())?);
        Ok(())
    }

    /// The one of this number.
    #[must_use]
    pub fn get(&self, number: u32) -> Option<&[u8]> {
        self.0.get(usize::try_from(number).ok()?).map(Locked::bytes)
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &[u8]> + Clone {
        self.0.iter().map(Locked::bytes)
    }

    /// Whether there is one for each of these names, and none has more bytes than may be.
    ///
    /// # Errors
    /// What is wrong with which; never what it is.
    pub fn are_of<N: AsRef<str>>(&self, names: &[N]) -> Result<(), SecretError> {
        let (there, wanted) = (self.0.len(), names.len());
        if there != wanted {
            let what = format!("there are {there} secrets, not {wanted}");
            return Err(SecretError::new(NotTaken::Unknown, what));
        }
        for (value, name) in self.all().zip(names) {
            if value.is_empty() || value.len() > MOST {
                let name = name.as_ref();
                let what = format!("secret {name:?} must have 1 to {MOST} bytes");
                return Err(SecretError::new(NotTaken::Unfit, what));
            }
        }
        Ok(())
    }
}

/// Memory that is written to no disk is short: all that is kept is in such.
#[must_use]
pub fn unlocked() -> SecretError {
    let what = "the memory that secrets need cannot be locked (RLIMIT_MEMLOCK)";
    SecretError::new(NotTaken::Memory, what)
}

/// These parts as one message, which begins with this byte.
///
/// # Errors
/// Where it would be too long.
pub fn encode<'p>(
    first: u8,
    parts: impl Iterator<Item = &'p [u8]> + Clone,
) -> Result<Message, SecretError> {
    let length: usize = parts.clone().map(|part| part.len() + 4).sum();
    if length >= HANDED {
        let what = format!("all secrets together have more than {HANDED} bytes");
        return Err(SecretError::new(NotTaken::Unfit, what));
    }
    let mut message = Locked::with_room(length + 1).map_err(|_| unlocked())?;
    append(&mut message, &[first]);
    for part in parts {
        append(&mut message, &u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
        append(&mut message, part);
    }
    Ok(message)
}

/// Writes more into such memory, as far as there is room.
pub fn append(to: &mut Locked, bytes: &[u8]) {
    fill(to, bytes.iter().copied());
}

/// The same, byte by byte, so that it is whole nowhere else.
pub fn fill(to: &mut Locked, bytes: impl Iterator<Item = u8>) {
    let written = to.extend(|room| {
        Ok::<_, Infallible>(room.iter_mut().zip(bytes).map(|(to, from)| *to = from).count())
    });
    match written {
        Ok(_) => {}
        Err(never) => match never {},
    }
}

/// The parts of a message, and the byte that it begins with.
///
/// # Errors
/// Where it is none.
pub fn decode(bytes: &[u8]) -> Result<(u8, Parts<'_>), SecretError> {
    let (first, rest) = bytes.split_first().ok_or_else(malformed)?;
    Ok((*first, Parts(rest)))
}

/// What was handed over is none.
#[must_use]
pub fn malformed() -> SecretError {
    SecretError::new(NotTaken::Unknown, "what was handed over is malformed")
}

/// The parts that are left of a message.
#[derive(Debug)]
pub struct Parts<'m>(&'m [u8]);

impl<'m> Parts<'m> {
    /// The next; nothing at the end.
    ///
    /// # Errors
    /// Where the message is none.
    pub fn part(&mut self) -> Result<Option<&'m [u8]>, SecretError> {
        let Some((length, after)) = self.0.split_first_chunk::<4>() else {
            return if self.0.is_empty() { Ok(None) } else { Err(malformed()) };
        };
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| malformed())?;
        let (part, after) = after.split_at_checked(length).ok_or_else(malformed)?;
        self.0 = after;
        Ok(Some(part))
    }

    /// The rest of them as secrets.
    ///
    /// # Errors
    /// Where the message is none, or no more memory can be locked.
    pub fn secrets(mut self) -> Result<Secrets, SecretError> {
        let mut secrets = Secrets::default();
        while let Some(value) = self.part()? {
            secrets.push(value)?;
        }
        Ok(secrets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_handed_over_arrives() {
        let mut secrets = Secrets::default();
        secrets.push(b"one").unwrap();
        secrets.push(b"").unwrap();
        let message = encode(7, secrets.all()).unwrap();
        let bytes = message.bytes();
        let (first, parts) = decode(bytes).unwrap();
        assert!(first == 7 && parts.secrets().unwrap().all().eq(secrets.all()));
        for end in 0..bytes.len() - 4 {
            let cut = decode(&bytes[..end]).and_then(|(_, parts)| parts.secrets());
            assert!(cut.is_err() || cut.unwrap().0.len() < 2, "{end}");
        }
        let mut many = Secrets::default();
        (0..20).for_each(|_| many.push(&[1; MOST]).unwrap());
        assert!(encode(0, many.all()).is_err());
        assert!(!format!("{secrets:?}").contains("one"));
        assert!(secrets.are_of(&["a", "b"]).unwrap_err().to_string().contains("\"b\""));
        assert!(secrets.are_of(&["a"]).unwrap_err().to_string().contains("2 secrets"));
    }

    #[test]
    fn each_answer_means_one_thing() {
        let meant = (0..=u8::MAX).filter_map(NotTaken::meant);
        assert!(meant.eq(NotTaken::ALL));
        for why in NotTaken::ALL {
            let said = answer(Err(SecretError::new(why, "")));
            assert_eq!((NotTaken::meant(said), said == TAKEN), (Some(why), false));
        }
        assert_eq!((answer(Ok(())), NotTaken::meant(TAKEN)), (TAKEN, None));
        let mut secrets = Secrets::default();
        secrets.push(b"").unwrap();
        let of = |names: &[&str]| secrets.are_of(names).unwrap_err().why;
        assert_eq!((of(&[]), of(&["a"])), (NotTaken::Unknown, NotTaken::Unfit));
        let malformed = decode(&[]).unwrap_err().why;
        assert_eq!((malformed, unlocked().why), (NotTaken::Unknown, NotTaken::Memory));
    }

    proptest! {
        #[test]
        fn any_bytes_have_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Ok((first, parts)) = decode(&bytes)
                && let Ok(secrets) = parts.secrets()
            {
                let again = encode(first, secrets.all()).unwrap();
                prop_assert_eq!(again.bytes(), &bytes[..]);
            }
        }
    }
}
