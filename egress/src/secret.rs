//! What is put into requests, in this process's memory: handed over by the supervisor, and kept as all that is
//! (`sandboxd_broker::secret`). Here is what the plan wants of it, and the authority that comes with it.

use crate::authority::{Authority, AuthorityError};
use sandboxd_broker::secret;
use sandboxd_egress_plan::{EgressPlan, Spot};

pub use sandboxd_broker::secret::{
    HANDED, MOST, Message, NotTaken, SecretError, Secrets, TAKEN, answer, append, malformed,
    unlocked,
};

impl From<AuthorityError> for SecretError {
    fn from(error: AuthorityError) -> Self {
        Self::new(NotTaken::Unknown, error.0)
    }
}

/// Whether these are the secrets that the plan names, and each can be put where it is to go.
///
/// # Errors
/// What is wrong with which; never what it is.
pub fn check(secrets: &Secrets, plan: &EgressPlan) -> Result<(), SecretError> {
    secrets.are_of(&plan.secrets)?;
    for inject in &plan.injects {
        if !secrets.get(inject.secret).is_some_and(|value| fits(value, &inject.spot)) {
            let name = usize::try_from(inject.secret).ok().and_then(|at| plan.secrets.get(at));
            let name = name.map_or("", String::as_str);
            let what = format!("secret {name:?} has bytes that are not allowed where it is put");
            return Err(SecretError::new(NotTaken::Unfit, what));
        }
    }
    Ok(())
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
    let parts = authority.iter().flatten().copied();
    secret::encode(u8::from(authority.is_some()), parts.chain(secrets.all()))
}

/// What was handed over for the sandbox of this id.
///
/// # Errors
/// Where the message is none.
pub fn decode(bytes: &[u8], id: &str) -> Result<(Secrets, Option<Authority>), SecretError> {
    let (count, mut parts) = secret::decode(bytes)?;
    let authority = match count {
        0 => None,
        1 => {
            let mut part = || parts.part()?.ok_or_else(malformed);
            let (certificate, key) = (part()?, part()?);
            Some(Authority::handed(id, certificate, key)?)
        }
        _ => return Err(malformed()),
    };
    Ok((parts.secrets()?, authority))
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
            assert!(cut.is_err() || cut.unwrap().0.all().count() < 2, "{end}");
        }
        let (read, none) = decode(encode(&secrets, None).unwrap().bytes(), "agent-1").unwrap();
        assert!(same(&read) && none.is_none());
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
