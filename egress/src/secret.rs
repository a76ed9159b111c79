//! What is put into requests, in this process's memory: handed over by the supervisor, kept in pages that are
//! locked and left out of cores, and overwritten when it is let go of. Where so much cannot be locked, nothing is
//! served.

use crate::authority::{Authority, AuthorityError};
use sandboxd_egress_plan::{EgressPlan, Spot};
use sandboxd_kernel::locked::Locked;
use std::{convert::Infallible, fmt};

/// The most bytes of one.
pub const MOST: usize = 8 << 10;

/// The most bytes of all that is handed over at once.
pub const HANDED: usize = 96 << 10;

/// What is answered to secrets that come anew: they are used from now on.
pub const TAKEN: u8 = 0;

/// They are not, for want of memory that can be locked, and those that were used are.
pub const NOT_TAKEN: u8 = 1;

/// They are not, because one that is to sign is no key, and those that were used are.
pub const NO_KEY: u8 = 2;

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
pub struct SecretError(pub String);

impl fmt::Display for SecretError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.0)
    }
}

impl std::error::Error for SecretError {}

impl From<AuthorityError> for SecretError {
    fn from(error: AuthorityError) -> Self {
        Self(error.0.to_owned())
    }
}

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
    pub(crate) fn all(&self) -> impl Iterator<Item = &[u8]> + Clone {
        self.0.iter().map(Locked::bytes)
    }

    /// Whether they are those that the plan names, and each can be put where it is to go.
    ///
    /// # Errors
    /// What is wrong with which; never what it is.
    pub fn check(&self, plan: &EgressPlan) -> Result<(), SecretError> {
        let (there, wanted) = (self.0.len(), plan.secrets.len());
        if there != wanted {
            return Err(SecretError(format!("{there} secrets are there, and {wanted} wanted")));
        }
        for (value, name) in self.all().zip(&plan.secrets) {
            if value.is_empty() || value.len() > MOST {
                return Err(SecretError(format!("secret {name:?} has not 1 to {MOST} bytes")));
            }
        }
        for inject in &plan.injects {
            if !self.get(inject.secret).is_some_and(|value| fits(value, &inject.spot)) {
                let name = usize::try_from(inject.secret).ok().and_then(|at| plan.secrets.get(at));
                let name = name.map_or("", String::as_str);
                return Err(SecretError(format!(
                    "secret {name:?} has bytes that cannot be put where it is to go"
                )));
            }
        }
        Ok(())
    }
}

/// Memory that is written to no disk is short: all that is kept is in such.
pub(crate) fn unlocked() -> SecretError {
    let what = "so much memory cannot be locked (RLIMIT_MEMLOCK) as secrets take";
    SecretError(what.to_owned())
}

/// Whether a value can be put there: into a field it goes as it is, elsewhere in letters that stand for
/// it.
fn fits(value: &[u8], spot: &Spot) -> bool {
    let printed = |byte: &u8| (0x20..0x7f).contains(byte);
    match spot {
        Spot::Header { .. } => {
            let blank = |end: Option<&u8>| end == Some(&b' ');
            value.iter().all(printed) && !blank(value.first()) && !blank(value.last())
        }
        Spot::Query { .. } => true,
        Spot::Basic { .. } => value.iter().all(|byte| !byte.is_ascii_control()),
    }
}

/// Secrets, and the authority where TLS is ended, as one message.
///
/// # Errors
/// Where it would be too long.
pub fn encode(secrets: &Secrets, authority: Option<&Authority>) -> Result<Message, SecretError> {
    let authority = authority.map(|authority| [authority.certificate(), authority.key()]);
    let count = u8::from(authority.is_some());
    let parts = authority.iter().flatten().copied();
    let parts = parts.chain(secrets.all());
    let length: usize = parts.clone().map(|part| part.len() + 4).sum();
    if length >= HANDED {
        return Err(SecretError(format!("all secrets together have more than {HANDED} bytes")));
    }
    let mut message = Locked::with_room(length + 1).map_err(|_| unlocked())?;
    append(&mut message, &[count]);
    for part in parts {
        append(&mut message, &u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
        append(&mut message, part);
    }
    Ok(message)
}

/// Writes more into such memory, as far as there is room.
pub(crate) fn append(to: &mut Locked, bytes: &[u8]) {
    let written = to.extend(|room| {
        room.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        Ok::<_, Infallible>(room.len().min(bytes.len()))
    });
    match written {
        Ok(_) => {}
        Err(never) => match never {},
    }
}

/// What was handed over for the sandbox of this id.
///
/// # Errors
/// Where the message is none.
pub fn decode(bytes: &[u8], id: &str) -> Result<(Secrets, Option<Authority>), SecretError> {
    let wrong = || SecretError("what was handed over is malformed".to_owned());
    let (count, mut rest) = bytes.split_first().ok_or_else(wrong)?;
    let mut next = || -> Option<Option<&[u8]>> {
        let Some((length, after)) = rest.split_first_chunk::<4>() else {
            return rest.is_empty().then_some(None);
        };
        let (part, after) =
            after.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        rest = after;
        Some(Some(part))
    };
    let authority = match count {
        0 => None,
        1 => {
            let mut part = || next().flatten().ok_or_else(wrong);
            let (certificate, key) = (part()?, part()?);
            Some(Authority::handed(id, certificate, key)?)
        }
        _ => return Err(wrong()),
    };
    let mut secrets = Secrets::default();
    while let Some(value) = next().ok_or_else(wrong)? {
        secrets.push(value)?;
    }
    Ok((secrets, authority))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::SystemTime;

    #[test]
    fn what_is_handed_over_arrives() {
        let authority = Authority::new("agent-1", SystemTime::now()).unwrap();
        let mut secrets = Secrets::default();
        secrets.push(b"one").unwrap();
        secrets.push(b"").unwrap();
        let same = |read: &Secrets| read.all().eq(secrets.all());
        let message = encode(&secrets, Some(&authority)).unwrap();
        let bytes = message.bytes();
        let (read, again) = decode(bytes, "agent-1").unwrap();
        assert!(same(&read));
        assert_eq!(again.unwrap().certificate(), authority.certificate());
        for end in 0..bytes.len() - 4 {
            let cut = decode(&bytes[..end], "agent-1");
            assert!(cut.is_err() || cut.unwrap().0.0.len() < 2, "{end}");
        }
        let (read, none) = decode(encode(&secrets, None).unwrap().bytes(), "agent-1").unwrap();
        assert!(same(&read) && none.is_none());
        let mut many = Secrets::default();
        (0..20).for_each(|_| many.push(&[1; MOST]).unwrap());
        assert!(encode(&many, None).is_err());
        assert!(!format!("{read:?}").contains("one"));
    }

    #[test]
    fn a_secret_that_would_end_its_field_goes_nowhere() {
        let header = Spot::Header {
            name: String::from("x-key").try_into().unwrap(),
            before: String::new(),
            after: String::new(),
        };
        for value in [&b"a\r\nb"[..], b"a\n", b"a\0", b" a", b"a ", "ä".as_bytes()] {
            assert!(!fits(value, &header), "{value:?}");
            assert!(fits(value, &Spot::Query { name: "key".into() }));
        }
        assert!(fits(b"sk-1 2", &header));
        let basic = Spot::Basic { user: "me".into() };
        assert!(fits("pä:ss".as_bytes(), &basic) && !fits(b"a\n", &basic));
    }

    proptest! {
        #[test]
        fn any_bytes_have_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Ok((secrets, None)) = decode(&bytes, "agent-1") {
                let again = encode(&secrets, None).unwrap();
                prop_assert_eq!(again.bytes(), &bytes[..]);
            }
        }
    }
}
