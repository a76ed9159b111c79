//! What is put into a request, and what of the client's goes for it.

use crate::{
    http::{Head, is_same_field},
    mask::escaped,
    rule::{Cover, Place},
    secret::Secrets,
};
use sandboxd_audit::encode::base64;
use sandboxd_egress_plan::{EgressPlan, HOST_INTERNAL, Inject, Spot, Verdict};
use zeroize::Zeroizing;

/// A secret, in the place where it goes.
#[derive(Debug)]
pub enum Put {
    /// The value of a field.
    Field(String, Zeroizing<Vec<u8>>),
    /// The value of a parameter of the query, as it stands there.
    Parameter(String, Zeroizing<Vec<u8>>),
}

/// What is put into this request, each with the secret's number. In plain text nothing is, but to the host's own
/// loopback.
///
/// # Errors
/// Where a secret is not there, which is then not left out.
pub fn puts(
    plan: &EgressPlan,
    secrets: &Secrets,
    head: &Head,
    (place, cover): (&Place, Cover),
) -> Result<Vec<(u32, Put)>, Verdict> {
    let Some(name) = place.whom.name() else { return Ok(Vec::new()) };
    if cover == Cover::Plain && name.as_str() != HOST_INTERNAL {
        return Ok(Vec::new());
    }
    let mut chosen: Vec<&Inject> = Vec::new();
    for inject in &plan.injects {
        let is_for = inject.host == *name && inject.port == place.port;
        let taken = chosen.iter().any(|other| other.spot.is_at(&inject.spot));
        if is_for && !taken && has_request(inject, head) {
            chosen.push(inject);
        }
    }
    let put = |inject: &Inject| {
        let value = secrets.get(inject.secret).ok_or(Verdict::Broke)?;
        Ok((inject.secret, put(&inject.spot, value)))
    };
    chosen.into_iter().map(put).collect()
}

/// Whether a request is one that this is put into.
fn has_request(inject: &Inject, head: &Head) -> bool {
    inject.method.has(|method| head.is_plainly(method.as_str()))
        && inject.path.has(|path| head.plain_path().is_some_and(|asked| path.matches(asked)))
}

fn put(spot: &Spot, value: &[u8]) -> Put {
    let field = |parts: &[&[u8]]| {
        let name = spot.field().unwrap_or_default().to_owned();
        Put::Field(name, Zeroizing::new(parts.concat()))
    };
    match spot {
        Spot::Header { before, after, .. } => field(&[before.as_bytes(), value, after.as_bytes()]),
        Spot::Basic { user } => {
            let both = Zeroizing::new([user.as_bytes(), b":", value].concat());
            let letters = Zeroizing::new(base64(&both));
            field(&[b"Basic ", letters.as_bytes()])
        }
        Spot::Query { name } => Put::Parameter(name.clone(), escaped(value)),
    }
}

impl Put {
    /// Whether a field of the client's is in its place.
    #[must_use]
    pub fn replaces(&self, field: &str) -> bool {
        match self {
            Self::Field(name, _) => is_same_field(name, field),
            Self::Parameter(..) => false,
        }
    }

    /// How many bytes it takes in the head.
    pub(crate) fn room(&self) -> usize {
        let (Self::Field(name, value) | Self::Parameter(name, value)) = self;
        name.len() + value.len() + 4
    }

    /// The target with it in, and without what the client put there, however that was spelled.
    #[must_use]
    pub fn in_target(&self, target: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
        let Self::Parameter(name, value) = self else { return target };
        let mut parts = target.splitn(2, |byte| *byte == b'?');
        let (path, query) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        // Some servers take `;` for `&`.
        let is_own = |part: &[u8]| part.split(|byte| *byte == b';').any(|one| is_named(one, name));
        let others = query.split(|byte| *byte == b'&').filter(|part| !is_own(part));
        let room = target.len() + name.len() + value.len() + 4;
        let mut written = Zeroizing::new(Vec::with_capacity(room));
        written.extend_from_slice(path);
        written.push(b'?');
        for part in others.filter(|part| !part.is_empty()) {
            written.extend_from_slice(part);
            written.push(b'&');
        }
        written.extend_from_slice(name.as_bytes());
        written.push(b'=');
        written.extend_from_slice(value);
        written
    }
}

/// Whether a parameter has this name, in whatever case and spelling.
fn is_named(parameter: &[u8], name: &str) -> bool {
    let said = parameter.split(|byte| *byte == b'=').next().unwrap_or_default();
    // In a query a plus is a space.
    let said: Vec<u8> = said.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    let said = unescaped(&said);
    said.trim_ascii().eq_ignore_ascii_case(name.as_bytes())
}

/// What stands for a text in which bytes may be percent-encoded.
pub(crate) fn unescaped(mut rest: &[u8]) -> Vec<u8> {
    let mut said = Vec::new();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        said.push(match (first, after) {
            (b'%', [high, low, more @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                rest = more;
                let digit = |byte: &u8| char::from(*byte).to_digit(16).unwrap_or(0);
                u8::try_from(digit(high) * 16 + digit(low)).unwrap_or(0)
            }
            (first, _) => *first,
        });
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter() -> Put {
        Put::Parameter("key".into(), Zeroizing::new(b"v%2B".to_vec()))
    }

    #[test]
    fn what_the_client_put_there_goes_however_it_is_spelled() {
        for (said, written) in [
            ("/a", "/a?key=v%2B"),
            ("/a?", "/a?key=v%2B"),
            ("/a?x=1", "/a?x=1&key=v%2B"),
            ("/a?key=mine", "/a?key=v%2B"),
            ("/a?key=mine&key=other&x=1", "/a?x=1&key=v%2B"),
            ("/a?KEY=mine&x=1&k%65y=other", "/a?x=1&key=v%2B"),
            ("/a?x=1;key=mine&y=2", "/a?y=2&key=v%2B"),
            ("/a?%6b%65%79&monkey=1&keys=2&x=key", "/a?monkey=1&keys=2&x=key&key=v%2B"),
            ("/a?%20key=1&key+=2&+key=3&k+ey=4&b", "/a?k+ey=4&b&key=v%2B"),
        ] {
            let target = parameter().in_target(Zeroizing::new(said.as_bytes().to_vec()));
            assert_eq!(std::str::from_utf8(&target), Ok(written), "{said}");
        }
    }

    #[test]
    fn a_field_is_the_same_in_every_spelling() {
        let field = Put::Field("x-api-key".into(), Zeroizing::new(Vec::new()));
        assert!(field.replaces("X-Api-Key") && field.replaces("x_api_key"));
        assert!(!field.replaces("x-api-keys") && !parameter().replaces("key"));
        let user = Spot::Basic { user: "me".into() };
        let Put::Field(name, value) = put(&user, b"pass") else { panic!() };
        assert_eq!(
            (name.as_str(), value.as_slice()),
            ("authorization", &b"Basic bWU6cGFzcw=="[..])
        );
    }
}
